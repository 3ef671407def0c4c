"""Which visual factors make a model err.

For clean sets annotated in the manner of ImageNet-X (Idrissi et al. 2022): ``prototype`` marks the images that the
factors were annotated against, which are left out (null: the image was not annotated, left out too); ``top_factor`` is
the one factor that sets an image apart most (method "top"), ``factors`` are all that apply (method "multi"). Overall
accuracy is over all annotated images (subset ``annotated``), the same for both methods. A factor that fewer than 30
images show is left out of that method.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.predictions import Predictions, Record
from studies import estimates
from studies.estimates import Site
from studies.measurements import Measurement
from studies.metrics import Bools, hits
from studies.right import best_right

ANNOTATIONS = {"top_factor", "factors", "prototype"}
LEAST_IMAGES = 30
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Annotated:
    """Annotated images without prototypes.

    Attributes
    ----------
    correct : (n,) whether each is classified right
    top, multi : for each factor with enough images, which images show it (n,)
    """

    correct: Bools
    top: dict[str, Bools]
    multi: dict[str, Bools]


def measure(record: Record) -> Iterator[Measurement]:
    """Top-1 and error ratio of one model for each visual factor of the annotated clean sets."""
    for clean in record.sets("clean"):
        predictions = record.predictions(clean.name)
        if set(predictions.images) >= ANNOTATIONS:
            images = annotated(predictions)
            yield from _by_factor(record, predictions, "top", images.correct, images.top)
            yield from _by_factor(record, predictions, "multi", images.correct, images.multi)


def annotated(predictions: Predictions) -> Annotated:
    """The annotated images of a clean set, and which factors they show."""
    rows = predictions.images["prototype"].eq(False).to_numpy(dtype=bool)
    images = predictions.images[rows]
    correct = hits(predictions.logits, best_right(predictions))[rows]
    top = images["top_factor"]
    sets = [set() if found is None else set(found) for found in images["factors"]]
    return Annotated(
        correct,
        _enough({name: top.eq(name).to_numpy(dtype=bool) for name in top.dropna().unique()}),
        _enough({name: np.array([name in found for found in sets]) for name in set().union(*sets)}),
    )


def _enough(members: dict[str, Bools]) -> dict[str, Bools]:
    few = sorted(name for name, member in members.items() if member.sum() < LEAST_IMAGES)
    if few:
        log.info("Left out, having fewer than %d images: %s", LEAST_IMAGES, ", ".join(few))
    return {name: members[name] for name in sorted(members) if name not in few}


def _by_factor(
    record: Record, predictions: Predictions, method: str, correct: Bools, members: dict[str, Bools]
) -> Iterator[Measurement]:
    head, name = predictions.head.name, predictions.image_set.name
    yield from Site("factors", record.model, head, name, "annotated", method).measure("top1", estimates.share, correct)
    for factor, member in members.items():
        site = Site("factors", record.model, head, name, factor, method)
        yield from site.measure("top1", estimates.share, correct[member])
        yield from site.measure("error_ratio", estimates.error_ratio, correct, member)
