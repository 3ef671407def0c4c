"""Whether a model goes by the shape of a thing or by its texture.

Conflict sets show the shape of one class (``label``) in the texture of another (``texture``). A decision is the class
with the largest mean softmax probability over the model's classes that mean it, softmax over all (method "mapped"), as
in Geirhos et al. 2019. Asking a zero-shot model with the class names alone would be a different number.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.predictions import Predictions, Record
from studies import estimates
from studies.estimates import Site
from studies.measurements import Measurement
from studies.metrics import Ints, log_softmax


def measure(record: Record) -> Iterator[Measurement]:
    """Shape bias of one model, pooled and for each shape, and the share of decisions that hit a cue; fractions."""
    for image_set in record.sets("conflict"):
        predictions = record.predictions(image_set.name)
        if "texture" not in predictions.images:
            raise ValueError(
                f"Conflict set '{image_set.name}' has no column 'texture'. Prepare it again with the label of each "
                "image's texture: python -m engine.prepare"
            )
        shapes, textures = predictions.labels, predictions.images["texture"].to_numpy(dtype=np.int64)
        decisions = decide(predictions)
        site = Site("shape", record.model, predictions.head.name, image_set.name, "all", "mapped")
        yield from site.measure("shape_bias", estimates.shape_bias, decisions, shapes, textures)
        yield from site.measure("cue_accuracy", estimates.cue_accuracy, decisions, shapes, textures)
        for shape, name in enumerate(image_set.class_names):
            rows = shapes == shape
            site = Site("shape", record.model, predictions.head.name, image_set.name, name, "mapped")
            yield from site.measure("shape_bias", estimates.shape_bias, decisions[rows], shapes[rows], textures[rows])


def decide(predictions: Predictions) -> Ints:
    """Label of the set that each image is taken for (n,)."""
    probabilities = np.exp(log_softmax(predictions.logits))
    means = [probabilities[:, list(ids)].mean(axis=1) for ids in predictions.image_set.classes]
    return np.asarray(np.stack(means, axis=1).argmax(axis=1))
