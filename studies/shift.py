"""How much accuracy is left when the pictures change.

Clean sets are measured over all classes. A shift set is measured in two ways: "masked", where the model chooses among
the set's own classes only, and "full", where it chooses among all and is right with any class that the label means. The
clean set is measured once more on the same classes, masked, as subset ``classes:<shift set>``: the honest counterpart,
since fewer classes are easier. Where an image has several right labels (annotation ``labels``), an answer is right when
it is one of them, and top-5 when one of them is among the five.

A clean set with ReaL labels (Beyer et al. 2020) is measured once more on the images that have any, subset ``real``: by
these labels, any of which is right (method "real"), and beside it by the set's own (method "full").
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from engine.predictions import ImageSet, Predictions, Record
from studies import estimates
from studies.estimates import Site
from studies.measurements import Measurement
from studies.metrics import Floats, Ints
from studies.right import best_right, real_right

log = logging.getLogger(__name__)


def measure(record: Record) -> Iterator[Measurement]:
    """Top-1 and top-5 of one model on clean and shift sets, fractions."""
    head = record.default_head
    for clean in record.sets("clean"):
        predictions = record.predictions(clean.name)
        site = Site("shift", record.model, head, clean.name, "all", "full")
        yield from _accuracies(site, predictions.logits, best_right(predictions))
        if "real_labels" in predictions.images:
            yield from _of_real(replace(site, subset="real"), predictions)
    for clean_name, shifts in groupby(sorted(record.sets("shift"), key=attrgetter("clean")), attrgetter("clean")):
        counterpart = record.predictions(clean_name)
        for image_set in shifts:
            yield from _of_shift(record, image_set, counterpart)


def _of_real(site: Site, predictions: Predictions) -> Iterator[Measurement]:
    try:
        rows, right = real_right(predictions)
    except ValueError as reason:
        log.info("Nothing is measured at %s: %s", site, reason)
        return
    logits = predictions.logits[rows]
    yield from _accuracies(replace(site, method="real"), logits, right)
    yield from _accuracies(site, logits, best_right(predictions)[rows])


def _of_shift(record: Record, image_set: ImageSet, counterpart: Predictions) -> Iterator[Measurement]:
    head = record.default_head
    predictions = record.predictions(image_set.name)
    full = Site("shift", record.model, head, image_set.name, "all", "full")
    yield from _accuracies(full, predictions.logits, best_right(predictions, image_set.classes))
    masked = Site("shift", record.model, head, image_set.name, "all", "masked")
    clean = Site("shift", record.model, head, counterpart.image_set.name, f"classes:{image_set.name}", "masked")
    for site, among in ((masked, predictions.on(image_set.classes)), (clean, counterpart.on(image_set.classes))):
        yield from _accuracies(site, among.logits, best_right(among))


def _accuracies(site: Site, logits: Floats, labels: Ints) -> Iterator[Measurement]:
    yield from site.measure("top1", estimates.top_k, logits, labels)
    yield from site.measure("top5", estimates.top_k, logits, labels, k=5)
