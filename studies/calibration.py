"""Whether a model's probabilities are what they say, before and after one temperature.

The clean set is cut into stratified halves by ten seeds; each time the temperature is fitted on one half (subset
``fit-half``), and both the "raw" and the "scaled" probabilities are measured on the other (``test-half``). A value is
the mean over the seeds, n the size of one half, and the error that of one half's images, given the temperature (mean
over the seeds; the halves overlap, so ten of them are not ten times the images). Shift sets are measured over their own
classes (masked), raw and scaled by the mean of the ten clean temperatures, never by one of their own.

Where an image has several right labels (annotation ``labels``), ECE counts any of them; NLL, the Brier score and the
temperature keep its own label.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from engine.predictions import ImageSet, Predictions, Record
from studies import estimates
from studies.estimates import Estimate, Site
from studies.halves import SEEDS, Halves, halve
from studies.measurements import Measurement
from studies.metrics import Floats, Ints, log_softmax
from studies.right import best_right

METRICS: dict[str, Callable[[Floats, Ints], Estimate]] = {
    "ece15": estimates.ece,
    "ece15_equal_mass": estimates.ece_equal_mass,
    "nll": estimates.nll,
    "brier": estimates.brier,
}
DECISIONS = ("ece15", "ece15_equal_mass")
"""Metrics that ask whether a decision is right; the others ask for the probability of one right answer."""
log = logging.getLogger(__name__)


def measure(record: Record) -> Iterator[Measurement]:
    """ECE, NLL, Brier score and temperature of one model on clean sets and their shift sets."""
    for clean in record.sets("clean"):
        predictions = record.predictions(clean.name)
        halves = [halve(predictions.labels, seed) for seed in range(SEEDS)]
        fits = _fits(record, predictions, halves)
        yield from _of_clean(record, predictions, halves, fits)
        scale = float(np.mean([fit.value for fit in fits])) if fits else None
        for shift in record.sets("shift"):
            if shift.clean == clean.name:
                yield from _of_shift(record, shift, scale)


def _fits(record: Record, predictions: Predictions, halves: Sequence[Halves]) -> list[Estimate]:
    try:
        return [estimates.temperature(predictions.logits[half.fit], predictions.labels[half.fit]) for half in halves]
    except ValueError as reason:
        log.info("%s on %s: nothing is scaled, since %s", record.model, predictions.image_set.name, reason)
        return []


def _of_clean(
    record: Record, predictions: Predictions, halves: Sequence[Halves], fits: Sequence[Estimate]
) -> Iterator[Measurement]:
    name, head = predictions.image_set.name, predictions.head.name
    labels = _labels(predictions)
    raw = log_softmax(predictions.logits)
    samples = {"raw": [raw[half.test] for half in halves]}
    if fits:
        site = Site("calibration", record.model, head, name, "fit-half", "")
        yield from site.measure("temperature", mean_over_seeds, fits)
        pairs = zip(halves, fits, strict=True)
        samples["scaled"] = [log_softmax(predictions.logits[half.test], temperature=fit.value) for half, fit in pairs]
    for method, sample in samples.items():
        site = Site("calibration", record.model, head, name, "test-half", method)
        for metric, estimate in METRICS.items():
            tests = [labels[metric][half.test] for half in halves]
            yield from site.measure(metric, _over_halves, estimate, sample, tests)


def _labels(predictions: Predictions) -> dict[str, Ints]:
    """For each metric, the right columns of `logits` (n,)."""
    right = best_right(predictions)
    return {metric: right if metric in DECISIONS else predictions.labels for metric in METRICS}


def _over_halves(
    estimate: Callable[[Floats, Ints], Estimate], samples: Sequence[Floats], labels: Sequence[Ints]
) -> Estimate:
    return mean_over_seeds([estimate(*half) for half in zip(samples, labels, strict=True)])


def mean_over_seeds(found: Sequence[Estimate]) -> Estimate:
    """Mean of the values; the error and the n of one of them, both means over the seeds."""
    errors = [each.std_error for each in found if each.std_error is not None]
    value = float(np.mean([each.value for each in found]))
    return Estimate(value, float(np.mean(errors)) if errors else None, round(np.mean([each.n for each in found])))


def _of_shift(record: Record, image_set: ImageSet, scale: float | None) -> Iterator[Measurement]:
    predictions = record.predictions(image_set.name).on(image_set.classes)
    labels = _labels(predictions)
    for method, temperature in (("raw", 1.0), ("scaled", scale)):
        if temperature is not None:
            log_probabilities = log_softmax(predictions.logits, temperature=temperature)
            site = Site("calibration", record.model, predictions.head.name, image_set.name, "all", method)
            for metric, estimate in METRICS.items():
                yield from site.measure(metric, estimate, log_probabilities, labels[metric])
