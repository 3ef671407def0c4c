"""Metrics of telling ID from out images, with their standard errors; the influences are (of ID, of out) images.

AUROC has DeLong's error, average precision that of the infinitesimal jackknife. FPR hangs on a quantile of the ID
scores, so an ID image moves it by the ratio of the two densities there; that ratio comes from order statistics around
the threshold, as far away as the threshold itself may be from where it would be with endless images (Woodruff 1952).
Paired differences between two heads come from these influences. An interval of FPR for its own sake has to hold for few
images above the threshold too, so its error adds two images on either side (Agresti and Coull 1998). Where no out image
passes, or all do, the images do not show how much FPR varies: its error is None, and so is that of an AUROC or average
precision of samples that do not overlap.
"""

from __future__ import annotations

import math

import numpy as np

from studies.detection import Separation
from studies.estimates import Estimate
from studies.metrics import Doubles

SPREAD = 2.0
"""Standard deviations of the threshold's rank, to either side, over which the ratio of densities is taken."""


def auroc(pair: Separation) -> Estimate:
    """AUROC, a fraction; error of DeLong et al. 1988 from ranks (Sun and Xu 2014, O(n log n))."""
    of_known = (pair.out_below + pair.out_at_most) / (2 * len(pair.out))
    of_out = 1 - (pair.known_below + pair.known_at_most) / (2 * len(pair.known))
    return Estimate.of(pair.auroc, pair.known.by_image(of_known), pair.out.by_image(of_out))


def aupr_in(pair: Separation) -> Estimate:
    """Average precision with ID as positive, a fraction."""
    above_known, above_out = pair.above
    above = above_known + above_out
    # An ID image moves its own precision and those at and below its score; an out image those at and below its score.
    by_known = np.concatenate([[0.0], np.cumsum(above_out / above**2)])
    by_out = np.concatenate([[0.0], np.cumsum(above_known / above**2)]) * (-len(pair.out) / len(pair.known))
    of_known = above_known / above + by_known[pair.known.at_most]
    return Estimate.of(pair.aupr_in, pair.known.by_image(of_known), pair.out.by_image(by_out[pair.known_at_most]))


def aupr_out(pair: Separation) -> Estimate:
    """Average precision with out as positive, a fraction."""
    return _exchanged(aupr_in(pair.mirrored()))


def fpr_at_95(pair: Separation) -> Estimate:
    """FPR at 95 % TPR with ID as positive, a fraction; no error where it is 0 or 1."""
    n, n_out, rank = len(pair.known), len(pair.out), pair.rank_of_threshold
    # The share of all ID images below an order statistic has a beta distribution; equal scores round it off.
    equal = (pair.known.at_most[rank] - pair.known.below[rank]) / n
    level = (rank + 1) * (n - rank) / ((n + 1) ** 2 * (n + 2))
    ratio = _ratio_of_densities(pair, rank, math.ceil(SPREAD * math.sqrt(level) * n))
    ratio *= math.sqrt(1 + equal**2 / (12 * level))
    of_known = pair.known.by_image(ratio * _below(pair, rank))
    of_out = pair.out.by_image(pair.out.scores >= pair.known.scores[rank])
    share = (pair.passed + 2) / (n_out + 4)
    error = math.sqrt(share * (1 - share) / (n_out + 4) + ratio**2 * level)
    return Estimate(pair.fpr_at_95, error if 0 < pair.passed < n_out else None, n + n_out, (of_known, of_out))


def fpr_at_95_out(pair: Separation) -> Estimate:
    """FPR at 95 % TPR with out as positive, a fraction; error as for `fpr_at_95`."""
    return _exchanged(fpr_at_95(pair.mirrored()))


def _ratio_of_densities(pair: Separation, rank: int, width: int) -> float:
    low, high = max(rank - width, 0), min(rank + width, len(pair.known) - 1)
    if pair.known.scores[low] == pair.known.scores[high]:
        return 0.0  # as far as the threshold may be off, it stays among the same equal scores
    of_out = int(pair.out_at_most[high] - pair.out_below[low]) / len(pair.out)
    return of_out / (int(pair.known.at_most[high] - pair.known.below[low] - 1) / len(pair.known))


def _below(pair: Separation, rank: int) -> Doubles:
    """Whether each ID image is below the threshold (n_id,); those at it count in part, so that `rank` and a half do."""
    below, at_most = int(pair.known.below[rank]), int(pair.known.at_most[rank])
    found = np.zeros(len(pair.known))
    found[:below] = 1.0
    found[below:at_most] = (rank + 0.5 - below) / (at_most - below)
    return found


def _exchanged(mirrored: Estimate) -> Estimate:
    of_out, of_known = mirrored.influences
    return Estimate(mirrored.value, mirrored.std_error, mirrored.n, (of_known, of_out))
