"""How much each image moves a metric of confidence: influences (n,), for standard errors.

A metric of n independent images is, to first order, its value plus the mean of these, less their mean (the
infinitesimal jackknife, Efron 1982, ch. 6). Their standard deviation over the root of n is the metric's standard error,
and the differences of two heads' influences on the same images give that of the metric's difference. What is not a
smooth function of the images has none: the maximum calibration error.
"""

from __future__ import annotations

import numpy as np

from studies import reliability
from studies.metrics import Bools, Doubles, Floats, agreement
from studies.reliability import Binned


def of_gap(confidence: Floats, correct: Bools, found: Binned) -> Doubles:
    """Of a mean absolute gap over bins. Where gaps are no larger than their errors, the metric is far from smooth."""
    signed: Doubles = np.sign(found.gap)[found.bin_of] * (correct - confidence)
    return signed


def of_squared_gap(confidence: Floats, correct: Bools, found: Binned) -> Doubles:
    """Of a mean squared gap over bins."""
    gap = found.gap[found.bin_of]
    moved: Doubles = 2 * gap * (correct - confidence) - gap**2
    return moved


def second_order(found: Binned) -> float:
    """Variance that `reliability.squared_ece_debiased` has even where every gap is 0, which no influence shows.

    That of a U-statistic with kernel x y (Hoeffding 1948): 2 variance^2 / (n (n - 1)) for every bin of n images.
    """
    several = found.n > 1
    n = found.n[several]
    return float((2 * found.variance[several] ** 2 * n / (n - 1)).sum() / n.sum() ** 2)


def of_brier_parts(confidence: Floats, correct: Bools, found: Binned) -> dict[str, Doubles]:
    """Of the parts of `reliability.brier_top_label`, by the part's name."""
    overall, accuracy = correct.mean(), found.accuracy[found.bin_of]
    parts = {
        "brier_top_label": np.square(correct - confidence, dtype=np.float64),
        "brier_reliability": of_squared_gap(confidence, correct, found),
        "brier_resolution": 2 * (accuracy - overall) * correct - accuracy**2,
        "brier_uncertainty": (1 - 2 * overall) * correct,
    }
    rest = parts["brier_top_label"] - parts["brier_reliability"] + parts["brier_resolution"]
    return {**parts, "brier_within_bins": rest - parts["brier_uncertainty"]}


def of_smooth_ece(confidence: Floats, correct: Bools, value: float) -> Doubles:
    """Of the smooth calibration error, at its value, which is the bandwidth too.

    At a bandwidth held fixed, an image moves the error by its residual times the smoothed sign of what surrounds it.
    The fixed point follows by as much as 1 less the error's own slope in the bandwidth, which is at most 0.
    """
    masses = reliability.residual_masses(confidence, correct)
    signs = reliability.smoothed(np.sign(reliability.smoothed(masses, value)), value)
    below, share = reliability.cells(confidence)
    moved = (correct - confidence) * (signs[below] * (1 - share) + signs[below + 1] * share)
    wider, narrower = (np.abs(reliability.smoothed(masses, value * by)).sum() for by in (1.01, 0.99))
    influences: Doubles = moved / (1 - min((wider - narrower) / (0.02 * value), 0.0)) if value > 0 else moved
    return influences


def of_aurc(confidence: Floats, correct: Bools) -> Doubles:
    """Of the area under the risk-coverage curve.

    An image adds the risk at its own coverage, and moves the risk at every larger one towards its own error.
    """
    risks, level, level_of_rank = reliability.selective_risks(confidence, correct)
    ranks = np.arange(1, len(risks) + 1)
    reach, pull = (1 / ranks)[::-1].cumsum()[::-1], (risks / ranks)[::-1].cumsum()[::-1]
    counts = np.bincount(level_of_rank)
    of_level = [np.bincount(level_of_rank, weights=values) / counts for values in (risks - pull, reach)]
    influences: Doubles = of_level[0][level] + ~correct * of_level[1][level]
    return influences


def of_error_consistency(correct: Bools, other: Bools) -> Doubles:
    """Of `metrics.error_consistency`."""
    observed, expected = agreement(correct, other)
    by_chance = (2 * other.mean() - 1) * correct + (2 * correct.mean() - 1) * other
    apart = (1 - observed) / (1 - expected)
    influences: Doubles = ((correct == other) - apart * by_chance) / (1 - expected)
    return influences
