"""Whether a model goes by the shape of a thing or by its texture.

Conflict sets show the shape of one class (``label``) in the texture of another (``texture``). A decision is the class
with the largest mean softmax probability over the model's classes that mean it, softmax over all (method "mapped"), as
in Geirhos et al. 2019. A zero-shot model is also asked with the set's own class names under the full prompt set, where
the decision is the name of the largest logit (method "zero_shot", and the head says whose names). These are different
numbers, never to be mixed: only "mapped" compares it with a classifier.

``error_consistency`` says how far two models err on the same images, beyond what their accuracies by shape make them
(Geirhos et al. 2020): each pair once, method "mapped:<other model>", under both models' default heads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from engine.predictions import Folder, ImageSet, IncompleteRecord, Predictions, Record, models
from studies import estimates
from studies.estimates import Site
from studies.measurements import Measurement
from studies.metrics import Bools, Ints, log_softmax

RIGHT: dict[tuple[str, str, str, ImageSet], Bools] = {}
"""On which images each model goes by shape: a process asks every model once, not once for each of the others."""
log = logging.getLogger(__name__)


def measure(record: Record) -> Iterator[Measurement]:
    """Shape bias of one model, pooled and by shape; share of decisions that hit a cue; consistency with others."""
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
        yield from of_decisions(site, image_set, decisions, shapes, textures)
        if not record.head:  # the others are not asked under that head, and the set's own names have but one
            yield from consistencies(site, record, decisions == shapes)
            if predictions.head.kind == "zero_shot":
                yield from _by_own_names(record, image_set, shapes, textures)


def of_decisions(
    site: Site, image_set: ImageSet, decisions: Ints, shapes: Ints, textures: Ints
) -> Iterator[Measurement]:
    """Shape bias of labels of the set that images were taken for (n,), and share that hit a cue; bias by shape."""
    yield from site.measure("shape_bias", estimates.shape_bias, decisions, shapes, textures)
    yield from site.measure("cue_accuracy", estimates.cue_accuracy, decisions, shapes, textures)
    for shape, name in enumerate(image_set.class_names):
        rows, here = shapes == shape, replace(site, subset=name)
        yield from here.measure("shape_bias", estimates.shape_bias, decisions[rows], shapes[rows], textures[rows])


def _by_own_names(record: Record, image_set: ImageSet, shapes: Ints, textures: Ints) -> Iterator[Measurement]:
    if image_set.name not in record.own_heads:
        log.info(
            "shape by the own names of '%s' is left out for %s: there is no head of them. Make it, without showing an "
            "image again, with: python -m studies all --grid GRID --data DATA --results %s",
            image_set.name, record.model, record.results,
        )  # fmt: skip
        return
    head = record.own_heads[image_set.name]
    decisions = np.asarray(record.predictions(image_set.name, head).logits.argmax(axis=1))
    site = Site("shape", record.model, head, image_set.name, "all", "zero_shot")
    yield from of_decisions(site, image_set, decisions, shapes, textures)


def consistencies(site: Site, record: Record, correct: Bools) -> Iterator[Measurement]:
    """Error consistency with every model whose name comes later, where that one has been shown the whole set."""
    others = models(record.results)["digest"]
    for other in others.index[others.index > record.model]:
        try:
            same = _right_by_shape(record.results, str(other), str(others[other]), record.image_set(site.image_set))
        except (IncompleteRecord, OSError) as reason:
            log.info("error_consistency with %s is left out at %s: %s", other, site, reason)
            continue
        place = replace(site, method=f"{site.method}:{other}")
        yield from place.measure("error_consistency", estimates.error_consistency, correct, same)


def _right_by_shape(results: Folder, model: str, digest: str, image_set: ImageSet) -> Bools:
    """Whether another model goes by shape (n,); worked out once in a process for these weights and images."""
    key = (str(results), model, digest, image_set)
    if key not in RIGHT:
        predictions = Record.of(results, model).predictions(image_set.name)
        RIGHT[key] = np.asarray(decide(predictions) == predictions.labels)
    return RIGHT[key]


def decide(predictions: Predictions) -> Ints:
    """Label of the set that each image is taken for (n,)."""
    probabilities = np.exp(log_softmax(predictions.logits))
    means = [probabilities[:, list(ids)].mean(axis=1) for ids in predictions.image_set.classes]
    return np.asarray(np.stack(means, axis=1).argmax(axis=1))
