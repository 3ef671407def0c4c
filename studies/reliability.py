"""Whether confidence means what it says: metrics of the top label's probability and of its being right.

Each takes ``confidence`` (n,), the largest class probability of every image, and ``correct`` (n,), whether that class
is the right one. Bins are (low, high] of equal width on [0, 1], 0 belongs to the first and 1 to the last, unless the
name says otherwise. How much each image moves a metric, for its standard error, is in `studies.influences`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, optimize

from studies.metrics import Bools, Doubles, Floats, Ints, same_length

CELLS = 2**13
"""Cells of [0, 1] on which `smooth_ece` smooths."""


def ece(confidence: Floats, correct: Bools, *, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over confidence bins, a fraction.

    Guo et al. 2017 (arXiv:1706.04599), eq. 3. The mean confidence of a bin stands for it, not its middle. Lower is
    better. A small sample biases it upwards.

    >>> round(ece(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]), bins=10), 3)
    0.1
    """
    return _gap(binned(confidence, correct, equal_width(confidence, bins)))


def ece_equal_mass(confidence: Floats, correct: Bools, *, bins: int = 15) -> float:
    """Expected calibration error over bins that hold equally many images, a fraction. Lower is better.

    Nixon et al. 2019 (arXiv:1904.01685), top label only. Images are sorted by confidence and cut into nearly equal
    parts; a tie across a cut is broken by the order of the images.

    >>> round(ece_equal_mass(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]), bins=2), 3)
    0.1
    """
    return _gap(binned(confidence, correct, equal_mass(confidence, bins)))


def _gap(found: Binned) -> float:
    return float(np.abs(found.n * found.gap).sum() / found.n.sum())


def squared_ece_debiased(confidence: Floats, correct: Bools, *, bins: int = 15) -> float:
    """Squared calibration error without the bias of a small sample: mean squared gap over bins, a squared fraction.

    The debiased estimator of Kumar et al. 2019 (arXiv:1909.10155), with norm L2 and not rooted. Theirs is for models
    that say one confidence a bin, and takes accuracy * (1 - accuracy) / (n - 1) from the squared gap; here it is the
    sample variance of correct - confidence over n, the same where the confidence of a bin does not vary, and unbiased
    where it does. Lower is better; below 0 where the gaps are less than chance makes them. A bin of one image
    says nothing of chance, and is left out; undefined where there is no other.

    >>> round(squared_ece_debiased(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, False, False, False])), 4)
    0.36
    """
    found = binned(confidence, correct, equal_width(confidence, bins))
    several = found.n > 1
    if not several.any():
        raise ValueError(f"None of {bins} bins has two images or more.")
    squares = found.gap[several] ** 2 - found.variance[several] / found.n[several]
    return float(np.average(squares, weights=found.n[several]))


def mce(confidence: Floats, correct: Bools, *, bins: int = 15) -> float:
    """Maximum calibration error: the largest gap between confidence and accuracy of any bin, a fraction.

    Guo et al. 2017 (arXiv:1706.04599), eq. 5. Lower is better. A bin with few images can decide it: hardly a number to
    compare models by.

    >>> round(mce(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]), bins=10), 3)
    0.1
    """
    return float(np.abs(binned(confidence, correct, equal_width(confidence, bins)).gap).max())


def smooth_ece(confidence: Floats, correct: Bools) -> float:
    """Smooth calibration error: the gap between confidence and accuracy, smoothed instead of binned, a fraction.

    Blasiok and Nakkiran 2023 (arXiv:2309.12236): the residuals are smoothed with a Gaussian that is
    reflected at 0 and 1, and the integral of what remains is the error at that bandwidth; the one bandwidth at which
    the error equals the bandwidth is the result. Lower is better. A small sample biases it upwards, less than bins do.

    Worked out on `CELLS` cells, each residual split between the two middles next to it, by cosine transform: O(n). That
    changes it by less than 1e-6 where it is above 0.005, and by about 1e-5 below.

    >>> round(smooth_ece(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False])), 3)
    0.09
    """
    same_length(confidence=confidence, correct=correct)
    masses = residual_masses(confidence, correct)

    def surplus(bandwidth: float) -> float:
        return float(np.abs(smoothed(masses, bandwidth)).sum()) - bandwidth

    if not masses.any():
        return 0.0
    return min(float(optimize.brentq(surplus, 0.0, 2.0, xtol=1e-12)), 1.0)


def residual_masses(confidence: Floats, correct: Bools) -> Doubles:
    """Mean of correct - confidence that falls to each of `CELLS` cells, split between two; they sum to the mean."""
    weights: Doubles = correct - confidence.astype(np.float64)
    below, share = cells(confidence)
    total = np.bincount(below, weights * (1 - share), CELLS) + np.bincount(below + 1, weights * share, CELLS)
    masses: Doubles = total / len(confidence)
    return masses


def cells(confidence: Floats) -> tuple[Ints, Doubles]:
    """The cell whose middle is at or below each confidence (n,), and the share that falls to the next one (n,)."""
    _refuse_outside(confidence)
    places = np.clip(confidence.astype(np.float64) * CELLS - 0.5, 0, CELLS - 1)
    below = np.minimum(places.astype(np.int64), CELLS - 2)
    return below, places - below


def smoothed(values: Doubles, bandwidth: float) -> Doubles:
    """Values on `CELLS` cells, smoothed by a Gaussian reflected at 0 and 1: its eigenfunctions are cosines."""
    decay = np.exp(-0.5 * (np.pi * bandwidth * np.arange(CELLS)) ** 2)
    kept: Doubles = fft.idct(fft.dct(values) * decay)
    return kept


def aurc(confidence: Floats, correct: Bools) -> float:
    """Area under the risk-coverage curve: mean, over all coverages, of the error rate among the most confident images.

    Geifman and El-Yaniv 2017 (arXiv:1705.08500); a fraction, lower is better. Coverages are 1 / n, 2 / n to 1. Images
    of equal confidence come in any order alike: the mean over their orders is taken.

    >>> round(aurc(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True])), 4)
    0.1458
    """
    return float(selective_risks(confidence, correct)[0].mean())


def selective_risks(confidence: Floats, correct: Bools) -> tuple[Doubles, Ints, Ints]:
    """Error rate among the k most confident images, for k = 1 to n; which confidence each image has, and has k.

    Confidences are numbered, the largest 0: (n,) for the images, and (n,) for the ranks.
    """
    same_length(confidence=confidence, correct=correct)
    _refuse_outside(confidence)
    _, level, counts = np.unique(-confidence, return_inverse=True, return_counts=True)
    level_of_rank = np.repeat(np.arange(len(counts)), counts)
    wrong = np.bincount(level, weights=~correct) / counts
    risks: Doubles = wrong[level_of_rank].cumsum() / np.arange(1, len(level) + 1)
    return risks, level, level_of_rank


def brier_top_label(confidence: Floats, correct: Bools) -> float:
    """Mean squared difference of the top label's confidence and its being right, 0 to 1. Lower is better.

    Not the Brier score over all classes (`metrics.brier`). It is exactly reliability - resolution + uncertainty +
    within bins (Murphy 1973; Stephenson et al. 2008).

    >>> round(brier_top_label(np.array([0.9, 0.6]), np.array([True, False])), 4)
    0.185
    """
    same_length(confidence=confidence, correct=correct)
    _refuse_outside(confidence)
    return float(np.square(correct - confidence.astype(np.float64)).mean())


def brier_reliability(confidence: Floats, correct: Bools, *, bins: int = 15) -> float:
    """Part of `brier_top_label`: mean squared gap of confidence and accuracy over bins. Lower is better.

    Murphy 1973 (J. Appl. Meteorol. 12, 595), with the mean confidence of a bin. A small sample biases it upwards;
    `squared_ece_debiased` is the same without that.

    >>> round(brier_reliability(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]), bins=10), 3)
    0.01
    """
    found = binned(confidence, correct, equal_width(confidence, bins))
    return float(np.average(found.gap**2, weights=found.n))


def brier_resolution(confidence: Floats, correct: Bools, *, bins: int = 15) -> float:
    """Part of `brier_top_label`, taken from it: variance of the bins' accuracy, 0 to 1/4. Higher is better.

    >>> round(brier_resolution(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]), bins=10), 4)
    0.0625
    """
    found = binned(confidence, correct, equal_width(confidence, bins))
    return float(np.average((found.accuracy - correct.mean()) ** 2, weights=found.n))


def brier_uncertainty(confidence: Floats, correct: Bools) -> float:
    """Part of `brier_top_label`: accuracy * (1 - accuracy), 0 to 1/4; the score of always saying the accuracy.

    >>> brier_uncertainty(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]))
    0.1875
    """
    same_length(confidence=confidence, correct=correct)
    return float(correct.mean() * (1 - correct.mean()))


def brier_within_bins(confidence: Floats, correct: Bools, *, bins: int = 15) -> float:
    """Part of `brier_top_label`: variance of confidence within bins, less twice its covariance with being right.

    The two extra components of Stephenson et al. 2008 (Weather Forecast. 23, 752), without which the three of Murphy
    do not add up. Below 0 where confidence tells right from wrong within bins; lower is better.

    >>> round(brier_within_bins(np.array([0.9, 0.8, 0.9, 0.8]), np.array([True, False, True, False]), bins=2), 4)
    -0.0475
    """
    found = binned(confidence, correct, equal_width(confidence, bins))
    apart = confidence.astype(np.float64) - found.confidence[found.bin_of]
    return float((apart**2 - 2 * apart * (correct - found.accuracy[found.bin_of])).mean())


@dataclass(frozen=True, slots=True, eq=False)
class Binned:
    """Images in bins; bins without images are left out.

    Attributes
    ----------
    bin_of : (n,) place of each image's bin in the other attributes
    number : (b,) which of the bins each is, from 0
    n : (b,) images in each
    confidence, accuracy : (b,) their means
    variance : (b,) sample variance of correct - confidence; 0 for a bin of one image
    """

    bin_of: Ints
    number: Ints
    n: Ints
    confidence: Doubles
    accuracy: Doubles
    variance: Doubles

    @property
    def gap(self) -> Doubles:
        """Accuracy - confidence of each bin (b,)."""
        gap: Doubles = self.accuracy - self.confidence
        return gap


def binned(confidence: Floats, correct: Bools, bin_of: Ints) -> Binned:
    """The bins that images fall into."""
    same_length(confidence=confidence, correct=correct, bin_of=bin_of)
    number, place, n = np.unique(bin_of, return_inverse=True, return_counts=True)
    said = np.bincount(place, weights=confidence.astype(np.float64)) / n
    right = np.bincount(place, weights=correct) / n
    apart = correct - confidence - (right - said)[place]
    return Binned(place, number, n, said, right, np.bincount(place, weights=apart**2) / np.maximum(n - 1, 1))


def equal_width(confidence: Floats, bins: int) -> Ints:
    """Bin of each image (n,): (low, high] of equal width on [0, 1], 0 in the first."""
    _refuse_outside(confidence)
    return np.maximum(np.searchsorted(np.linspace(0, 1, bins + 1), confidence, side="left") - 1, 0)


def equal_mass(confidence: Floats, bins: int) -> Ints:
    """Bin of each image (n,): nearly equally many in each, by rising confidence."""
    _refuse_outside(confidence)
    size, larger = divmod(len(confidence), bins)
    of_rank = np.repeat(np.arange(bins), size + (np.arange(bins) < larger))
    found = np.empty(len(confidence), dtype=np.int64)
    found[np.argsort(confidence, kind="stable")] = of_rank
    return found


def _refuse_outside(confidence: Floats) -> None:
    if len(confidence) and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError(f"Confidences run from {confidence.min()} to {confidence.max()}; they must lie in 0 to 1.")
