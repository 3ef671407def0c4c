"""Which visual factors make a model err.

For clean sets annotated in the manner of ImageNet-X (Idrissi et al. 2022): ``top_factor`` is the one factor that sets
an image apart most (method "top"), ``factors`` are all that apply (method "multi"), and ``prototype`` marks the images
that the factors were annotated against. Those are left out, as the publishers do; with them the methods are
"top+prototypes" and "multi+prototypes". An image where it is null was not annotated, and is left out of all. Overall
accuracy is over all annotated images of the method (subset ``annotated``), against which an accuracy under one factor
is held. A factor that fewer than 30 images show is left out of that method.

Calibration errors (raw, at the model's own scale) are measured where 100 images or more show the factor, without
prototypes: the plain one over 15 bins is mostly chance below that, and the debiased one is there to tell.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from engine.predictions import Predictions, Record
from studies import estimates
from studies.estimates import Site
from studies.measurements import Measurement
from studies.metrics import Bools, hits
from studies.outcomes import METRICS, Outcomes, outcomes
from studies.right import best_right

ANNOTATIONS = {"top_factor", "factors", "prototype"}
LEAST_IMAGES = 30
LEAST_TO_CALIBRATE = 100
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Annotated:
    """Annotated images, without prototypes unless asked for.

    Attributes
    ----------
    rows : (N,) which images of the set they are
    correct : (n,) whether each is classified right
    top, multi : for each factor with enough images, which images show it (n,)
    """

    rows: Bools
    correct: Bools
    top: dict[str, Bools]
    multi: dict[str, Bools]


def _outcomes(predictions: Predictions) -> Outcomes:
    return outcomes(predictions.logits, predictions.labels, best_right(predictions))


def measure(record: Record, outcomes_of: Callable[[Predictions], Outcomes] = _outcomes) -> Iterator[Measurement]:
    """Top-1, error ratio and calibration error of one model for each visual factor of the annotated clean sets."""
    for clean in record.sets("clean"):
        predictions = record.predictions(clean.name)
        if set(predictions.images) >= ANNOTATIONS:
            site = Site("factors", record.model, predictions.head.name, clean.name, "annotated", "top")
            images, everything = annotated(predictions), annotated(predictions, prototypes=True)
            whole = outcomes_of(predictions)[images.rows]
            for method, members in (("top", images.top), ("multi", images.multi)):
                yield from _by_factor(replace(site, method=method), images.correct, members)
                yield from _calibrated(replace(site, method=method), whole, members)
            if len(everything.correct) > len(images.correct):
                for method, members in (("top", everything.top), ("multi", everything.multi)):
                    yield from _by_factor(replace(site, method=f"{method}+prototypes"), everything.correct, members)


def annotated(predictions: Predictions, *, prototypes: bool = False) -> Annotated:
    """The annotated images of a clean set, and which factors they show."""
    marked = predictions.images["prototype"]
    rows = (marked.notna() if prototypes else marked.eq(False)).to_numpy(dtype=bool)
    images = predictions.images[rows]
    correct = hits(predictions.logits, best_right(predictions))[rows]
    top = images["top_factor"]
    sets = [set() if found is None else set(found) for found in images["factors"]]
    return Annotated(
        rows,
        correct,
        _enough({name: top.eq(name).to_numpy(dtype=bool) for name in top.dropna().unique()}),
        _enough({name: np.array([name in found for found in sets]) for name in set().union(*sets)}),
    )


def _enough(members: dict[str, Bools]) -> dict[str, Bools]:
    few = sorted(name for name, member in members.items() if member.sum() < LEAST_IMAGES)
    if few:
        log.info("Left out, having fewer than %d images: %s", LEAST_IMAGES, ", ".join(few))
    return {name: members[name] for name in sorted(members) if name not in few}


def _by_factor(site: Site, correct: Bools, members: dict[str, Bools]) -> Iterator[Measurement]:
    yield from site.measure("top1", estimates.share, correct)
    for factor, member in members.items():
        yield from replace(site, subset=factor).measure("top1", estimates.share, correct[member])
        yield from replace(site, subset=factor).measure("error_ratio", estimates.error_ratio, correct, member)


def _calibrated(site: Site, whole: Outcomes, members: dict[str, Bools]) -> Iterator[Measurement]:
    for factor, member in {"annotated": np.ones(len(whole), dtype=bool), **members}.items():
        if member.sum() >= LEAST_TO_CALIBRATE:
            for metric in ("ece15", "ece15_squared_debiased"):
                yield from replace(site, subset=factor).measure(metric, METRICS[metric], whole[member])
