"""Whether a model's probabilities are what they say, before and after one temperature.

The clean set is cut into stratified halves by ten seeds; each time the temperature is fitted on one half (subset
``fit-half``), and both the "raw" and the "scaled" probabilities are measured on the other (``test-half``). A value is
the mean over the seeds, n the size of one half, and the error that of the mean, given the temperatures: the halves
overlap, so ten of them are about twice the images of one, not ten times. Shift sets are measured over their own
classes (masked), raw and scaled by the mean of the ten clean temperatures, never by one of their own.

Reliability curves are measurements too: ``bin_accuracy`` and ``bin_confidence`` of the 15 bins of equal width, as
subset ``test-half/bin-01`` (confidence up to 1/15) to ``test-half/bin-15``, n being the images of the bin in one half.
Empty bins are absent.

Where an image has several right labels (annotation ``labels``), what asks whether the decision is right counts any of
them; NLL, the Brier score and the temperature keep its own label.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.predictions import ImageSet, Predictions, Record
from studies import estimates
from studies.estimates import Estimate, Site
from studies.halves import SEEDS, Halves, halve
from studies.measurements import Measurement
from studies.metrics import Bools, Floats, Ints
from studies.outcomes import BINS, METRICS, Metric, Outcomes, outcomes
from studies.reliability import equal_width
from studies.right import best_right

CURVE = ("bin_accuracy", "bin_confidence")
"""Metrics of one bin, of which a reliability curve is made."""
log = logging.getLogger(__name__)


def measure(record: Record) -> Iterator[Measurement]:
    """Calibration errors, losses, reliability curve and temperature of one model on clean sets and their shift sets."""
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
    logits, labels, fits = predictions.logits, predictions.labels, list[Estimate]()
    try:
        for half in halves:
            start = fits[-1].value if fits else 1.0
            fits.append(estimates.temperature(logits[half.fit], labels[half.fit], start=start))
    except ValueError as reason:
        log.info("%s on %s: nothing is scaled, since %s", record.model, predictions.image_set.name, reason)
        return []
    return fits


def _of_clean(
    record: Record, predictions: Predictions, halves: Sequence[Halves], fits: Sequence[Estimate]
) -> Iterator[Measurement]:
    site = Site("calibration", record.model, predictions.head.name, predictions.image_set.name, "test-half", "raw")
    logits, labels, right = predictions.logits, predictions.labels, best_right(predictions)
    rows = [half.test for half in halves]
    whole = outcomes(logits, labels, right)
    yield from judge(site, [whole[test] for test in rows], rows, len(labels))
    if fits:
        fitted = replace(site, subset="fit-half", method="")
        fit_rows = [half.fit for half in halves]
        yield from fitted.measure("temperature", mean_over_seeds, fits, fit_rows, len(labels))
        pairs = zip(rows, fits, strict=True)
        scaled = [outcomes(logits[test], labels[test], right[test], temperature=fit.value) for test, fit in pairs]
        yield from judge(replace(site, method="scaled"), scaled, rows, len(labels))


def _of_shift(record: Record, image_set: ImageSet, scale: float | None) -> Iterator[Measurement]:
    predictions = record.predictions(image_set.name).on(image_set.classes)
    right, n = best_right(predictions), len(predictions)
    for method, temperature in (("raw", 1.0), ("scaled", scale)):
        if temperature is not None:
            found = outcomes(predictions.logits, predictions.labels, right, temperature=temperature)
            site = Site("calibration", record.model, predictions.head.name, image_set.name, "all", method)
            yield from judge(site, [found], [np.arange(n)], n)


def judge(
    site: Site, samples: Sequence[Outcomes], rows: Sequence[Ints], n: int, metrics: Mapping[str, Metric] = METRICS
) -> Iterator[Measurement]:
    """Every metric, and the reliability curve, of samples of n images that consist of these rows."""
    for metric, estimate in metrics.items():
        yield from site.measure(metric, _over_samples, estimate, samples, rows, n)
    together, images = Outcomes.together(samples), np.concatenate(rows)
    bin_of = equal_width(together.confidence, BINS)
    for number in np.unique(bin_of):
        inside = bin_of == number
        place = replace(site, subset=f"{site.subset}/bin-{number + 1:02d}")
        for metric, values in zip(CURVE, (together.correct, together.confidence), strict=True):
            yield from place.measure(metric, mean_of_repeats, values[inside], images[inside], len(samples))


def _over_samples(estimate: Metric, samples: Sequence[Outcomes], rows: Sequence[Ints], n: int) -> Estimate:
    return mean_over_seeds([estimate(sample) for sample in samples], rows, n)


def mean_over_seeds(found: Sequence[Estimate], rows: Sequence[Ints], n: int) -> Estimate:
    """Mean of the values; its error minds that the seeds' samples overlap; n is the size of one of them.

    An image moves the mean by what it moves each value, 0 where it is not in the sample: so there is one influence for
    each of all n images, and a difference to another head's mean on the same samples has the right error. Where a value
    has an error that is not that of its influences alone, the mean's is changed in the same proportion.

    Parameters
    ----------
    found : one estimate for each seed
    rows : the images that each was made of
    n : number of all images
    """
    value, size = float(np.mean([each.value for each in found])), round(np.mean([each.n for each in found]))
    if not all(each.influences for each in found):
        return Estimate(value, None, size)
    moved, changes = np.zeros(n), []
    for each, sample in zip(found, rows, strict=True):
        (own,) = each.influences
        moved[sample] += (own - own.mean()) * n / (len(sample) * len(found))
        alone = Estimate.of(each.value, own).std_error
        changes.append(each.std_error / alone if each.std_error and alone else 1.0)
    whole = Estimate.of(value, moved)
    error = None if whole.std_error is None else whole.std_error * float(np.mean(changes))
    return replace(whole, std_error=error, n=size)


def mean_of_repeats(values: Floats | Bools, images: Ints, samples: int) -> Estimate:
    """Mean of values (k,) of images (k,), some of them repeated; n is the number of values in one of the samples."""
    size = round(len(values) / samples)
    if size == 0:
        raise ValueError(f"{len(values)} images in {samples} samples are less than half an image in each.")
    mean = float(values.mean())
    moved = np.bincount(np.unique(images, return_inverse=True)[1], weights=values - mean)
    return replace(Estimate.of(mean, moved * len(moved) / len(values)), n=size)
