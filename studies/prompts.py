"""What the prompts of a zero-shot head change.

Every measurement of the studies in `PARTS` is taken under each prompt set of a zero-shot model, as a row of this study
whose head is the prompt set; its method is the other study's name and method, as in ``shift:full``. Beside it stands
its difference to the model's default head on the same images, ``<metric>_difference``, the default's value subtracted.
The error of a difference comes from the differences of the two measurements' influences, image by image, so it minds
the pairing (as McNemar's test does for two accuracies); where either has no influences, there is a difference without
an error. What is the same under every head to the last bit has no differences: the prompts have no part in it, or these
images do not show it. Reliability curves are for looking at, and stay with the study of calibration.

A study is taken under one head after the other, so this takes as long as the others do, once for every prompt set; what
was read of the images is kept and not read again, see `engine.predictions.Record`. Of the default's measurements in the
study at hand the influences are kept meanwhile, as float32: 4 bytes an image and measurement, at 60,000 images and 400
measurements about 100 MB. A study may go by ``record.head``, which is named here and empty elsewhere, to leave out what
no head can change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from engine.predictions import Record, read_head
from studies import calibration, estimates, factors, ood, shape, shift
from studies.estimates import Estimate, Site
from studies.measurements import Measurement

Key = tuple[str, str, str, str]
log = logging.getLogger(__name__)


def measure(record: Record) -> Iterator[Measurement]:
    """All other studies under each head of a zero-shot model, and differences to its default head."""
    if not record.sets("clean") or read_head(record.results, record.model, record.default_head).kind != "zero_shot":
        return
    for part in PARTS:
        yield from _of_part(record, part)


def _by_factor(record: Record) -> Iterator[Measurement]:
    """The study of factors, and mean top-1 over the factors ("top"), each counting the same."""
    yield from factors.measure(record)
    for clean in record.sets("clean"):
        predictions = record.predictions(clean.name)
        if set(predictions.images) >= factors.ANNOTATIONS:
            images = factors.annotated(predictions)
            strata = [images.correct[member] for member in images.top.values()]
            site = Site("factors", record.model, predictions.head.name, clean.name, "annotated", "top")
            yield from site.measure("mean_factor_top1", estimates.mean_of_strata, strata)


PARTS: tuple[Callable[[Record], Iterator[Measurement]], ...] = (
    shift.measure, ood.measure, calibration.measure, _by_factor, shape.measure,
)  # fmt: skip
"""The studies that are taken under each head: all but this one, and acceptance, whose published values have one."""


def _of_part(record: Record, part: Callable[[Record], Iterator[Measurement]]) -> Iterator[Measurement]:
    default = record.default_head
    reference = {_key(row): row for row in _rows(record, part, default)}
    yield from (replace(row, influences=()) for row in reference.values())
    differences: dict[Key, list[Measurement]] = {}
    for head in record.heads:
        if head == default:
            continue
        for row in _rows(record, part, head):
            yield replace(row, influences=())
            if _key(row) in reference:
                differences.setdefault(_key(row), []).append(difference(row, reference[_key(row)]))
    yield from _changing(record.model, differences)


def _key(row: Measurement) -> Key:
    return row.image_set, row.subset, row.metric, row.method


def _rows(record: Record, part: Callable[[Record], Iterator[Measurement]], head: str) -> Iterator[Measurement]:
    for row in part(record.under(head)):
        if row.metric in calibration.CURVE:
            continue
        method = f"{row.study}:{row.method}" if row.method else row.study
        influences = tuple(np.asarray(sample, dtype=np.float32) for sample in row.influences)
        yield replace(row, study="prompts", method=method, influences=influences)


def difference(row: Measurement, reference: Measurement) -> Measurement:
    """One measurement minus another of the same images in the same order; its error minds that they are paired.

    Without an error where either has no influences. n is that of the first.
    """
    value, error = row.value - reference.value, None
    if row.influences and [*map(len, row.influences)] == [*map(len, reference.influences)]:
        pairs = zip(row.influences, reference.influences, strict=True)
        error = Estimate.of(value, *(mine - theirs for mine, theirs in pairs)).std_error
    return replace(row, metric=f"{row.metric}_difference", value=value, std_error=error, influences=())


def _changing(model: str, differences: Mapping[Key, list[Measurement]]) -> Iterator[Measurement]:
    for key, found in differences.items():
        if any(row.value or row.std_error for row in found):
            yield from found
        else:
            log.info("%s of %s is the same under every head; its differences are left out", ", ".join(key), model)
