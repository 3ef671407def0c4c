"""Metrics with their standard errors over images.

An error comes from the metric's influence values: how much each image moves the metric. The standard error of a mean of
n independent influences is their standard deviation over the root of n; that of a difference between two heads on the
same images comes from the differences of their influences. For a share this is the usual formula, for AUROC it is
DeLong's, for the rest the infinitesimal jackknife (Efron 1982, ch. 6): exact to first order, without draws. Only FPR,
which hangs on a quantile, is resampled. Where all influences are equal, the images do not show how much the metric
varies, and the error is None, not 0.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec

import numpy as np
import numpy.typing as npt
from scipy import stats

from studies import detection, metrics
from studies.measurements import Measurement
from studies.metrics import Bools, Doubles, Floats, Ints

Given = ParamSpec("Given")
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value, its standard error, and what it rests on.

    Attributes
    ----------
    value : the metric
    std_error : over images, in the unit of the value; None where there is none
    n : number of images
    influences : one array for each independent sample of images; empty where the error has another source
    """

    value: float
    std_error: float | None
    n: int
    influences: tuple[Doubles, ...] = ()

    @classmethod
    def of(cls, value: float, *influences: npt.NDArray[np.floating | np.bool_]) -> Estimate:
        """A metric of independent samples of images, from the influence of every image."""
        samples = tuple(np.asarray(sample, dtype=np.float64) for sample in influences)
        return cls(value, _std_error(samples), sum(map(len, samples)), samples)

    def __sub__(self, other: Estimate) -> Estimate:
        """Paired difference: both must come from the same images in the same order."""
        if not self.influences or [*map(len, self.influences)] != [*map(len, other.influences)]:
            raise ValueError("A paired difference needs two estimates with influences on the same images.")
        pairs = zip(self.influences, other.influences, strict=True)
        return Estimate.of(self.value - other.value, *(mine - theirs for mine, theirs in pairs))


def _std_error(samples: Sequence[Doubles]) -> float | None:
    if any(len(sample) < 2 for sample in samples) or all(np.ptp(sample) == 0 for sample in samples):
        return None
    return math.sqrt(sum(float(sample.var(ddof=1)) / len(sample) for sample in samples))


@dataclass(frozen=True, slots=True)
class Site:
    """Where something is measured: the key of a measurement, but for its metric."""

    study: str
    model: str
    head: str
    image_set: str
    subset: str
    method: str

    def measure(
        self, metric: str, estimate: Callable[Given, Estimate], *args: Given.args, **kwargs: Given.kwargs
    ) -> Iterator[Measurement]:
        """One measurement; none where the metric is undefined here, with the reason logged."""
        try:
            found = estimate(*args, **kwargs)
        except ValueError as reason:
            log.info("%s is undefined and left out at %s: %s", metric, self, reason)
            return
        yield Measurement(
            self.study, self.model, self.head, self.image_set, self.subset, metric, self.method,
            found.value, found.std_error, found.n, found.influences,
        )  # fmt: skip


def share(held: Bools) -> Estimate:
    """Share of images for which something holds, a fraction."""
    metrics.same_length(held=held)
    return Estimate.of(float(held.mean()), held)


def top_k(logits: Floats, labels: Ints, *, k: int = 1) -> Estimate:
    """Top-k accuracy, a fraction."""
    return share(metrics.hits(logits, labels, k=k))


def nll(log_probabilities: Floats, labels: Ints) -> Estimate:
    """Negative log-likelihood, in nats."""
    return Estimate.of(metrics.nll(log_probabilities, labels), metrics.log_losses(log_probabilities, labels))


def brier(log_probabilities: Floats, labels: Ints) -> Estimate:
    """Brier score, 0 to 2."""
    probabilities = np.exp(log_probabilities)
    return Estimate.of(metrics.brier(probabilities, labels), metrics.squared_losses(probabilities, labels))


def ece(log_probabilities: Floats, labels: Ints) -> Estimate:
    """Expected calibration error over 15 bins of equal width, a fraction. The error is too wide near a value of 0."""
    confidence, correct = _top_label(log_probabilities, labels)
    signed = signed_gaps(confidence, correct, metrics.equal_width(confidence, 15))
    return Estimate.of(metrics.ece(confidence, correct), signed)


def ece_equal_mass(log_probabilities: Floats, labels: Ints) -> Estimate:
    """Expected calibration error over 15 bins of equal mass, a fraction. The error is too wide near a value of 0."""
    confidence, correct = _top_label(log_probabilities, labels)
    signed = signed_gaps(confidence, correct, metrics.equal_mass(confidence, 15))
    return Estimate.of(metrics.ece_equal_mass(confidence, correct), signed)


def _top_label(log_probabilities: Floats, labels: Ints) -> tuple[Doubles, Bools]:
    return np.exp(log_probabilities.max(axis=1)), metrics.hits(log_probabilities, labels)


def signed_gaps(confidence: Doubles, correct: Bools, bin_of: Ints) -> Doubles:
    """Influences on an ECE (n,): right or not, less the confidence, with the sign of their bin's gap."""
    gaps = correct - confidence
    signed: Doubles = np.sign(np.bincount(bin_of, weights=gaps))[bin_of] * gaps
    return signed


def temperature(logits: Floats, labels: Ints) -> Estimate:
    """Temperature of least negative log-likelihood; its error is the sandwich of a root of estimating equations."""
    value = metrics.temperature(logits, labels)
    log_probabilities = metrics.log_softmax(logits, temperature=value)
    probabilities, centred = np.exp(log_probabilities), log_probabilities * value
    mean = (probabilities * centred).sum(axis=1)
    curvature = float(((probabilities * centred**2).sum(axis=1) - mean**2).mean())
    slopes = metrics.likelihood_slopes(logits, labels, 1 / value)
    return Estimate.of(value, value**2 / curvature * slopes)


def auroc(known: Floats, out: Floats) -> Estimate:
    """AUROC, a fraction; error of DeLong et al. 1988 from ranks (Sun and Xu 2014, O(n log n))."""
    value = detection.auroc(known, out)
    ranks = stats.rankdata(np.concatenate([known, out]))
    of_known = (ranks[: len(known)] - stats.rankdata(known)) / len(out)
    of_out = 1 - (ranks[len(known) :] - stats.rankdata(out)) / len(known)
    return Estimate.of(value, of_known, of_out)


def aupr_in(known: Floats, out: Floats) -> Estimate:
    """Average precision with ID as positive, a fraction."""
    value, found = detection.aupr_in(known, out), detection.steps(known, out)
    above = found.above_known + found.above_out
    weight = found.of_known / len(known)
    # How the precision at each step moves with the share of ID, and of out images, at or above its score.
    by_known = weight * len(known) * found.above_out / above**2
    by_out = -weight * len(out) * found.above_known / above**2
    of_known = (found.above_known / above + by_known[::-1].cumsum()[::-1])[found.known_step]
    return Estimate.of(value, of_known, by_out[::-1].cumsum()[::-1][found.out_step])


def fpr_at_95(known: Floats, out: Floats, *, draws: int = 1000, seed: int = 0) -> Estimate:
    """FPR at 95 % TPR with ID as positive, a fraction; bootstrap error over `draws` resamples of both samples.

    The threshold of a resample is an order statistic, so its rank is drawn from a beta distribution, and the number of
    out images above it from a binomial: in law the same as drawing the images.
    """
    value, random = detection.fpr_at_95(known, out), np.random.default_rng(seed)
    n, kept = len(known), detection.kept(len(known))
    ranks = np.ceil(n * random.beta(n - kept + 1, kept, draws)).astype(np.int64)
    above = len(out) - np.searchsorted(np.sort(out), np.sort(known)[ranks - 1], side="left")
    drawn = random.binomial(len(out), above / len(out)) / len(out)
    return Estimate(value, float(drawn.std(ddof=1)) or None, n + len(out))


def fpr_at_95_out(known: Floats, out: Floats) -> Estimate:
    """FPR at 95 % TPR with out as positive, a fraction; error as for `fpr_at_95`."""
    return fpr_at_95(-out, -known)


def error_ratio(correct: Bools, member: Bools) -> Estimate:
    """Error ratio of a factor; the error minds that its images are among all images. n counts the factor's images."""
    value, wrong = metrics.error_ratio(correct, member), ~correct
    overall = wrong.mean()
    of_factor = member / member.mean() * (wrong - wrong[member].mean())
    found = Estimate.of(value, (of_factor - value * (wrong - overall)) / overall)
    return replace(found, n=int(member.sum()))


def shape_bias(decisions: Ints, shapes: Ints, textures: Ints) -> Estimate:
    """Shape bias, a fraction; error given the number of decisions that hit a cue, which is n."""
    found = share(metrics.shape_choices(decisions, shapes, textures))
    hit = metrics.cue_hits(decisions, shapes, textures)
    # Of every image whose cues differ, for other decisions on these images hit other cues.
    by_shape = (decisions == shapes)[shapes != textures]
    return replace(found, influences=(hit / hit.mean() * (by_shape - found.value),))


def cue_accuracy(decisions: Ints, shapes: Ints, textures: Ints) -> Estimate:
    """Share of decisions that hit a cue, a fraction, among images whose cues differ."""
    return share(metrics.cue_hits(decisions, shapes, textures))


def mean_of_strata(strata: Sequence[Bools]) -> Estimate:
    """Unweighted mean of the shares of disjoint groups of images, a fraction."""
    if not strata:
        raise ValueError("There is no group of images to take the mean of.")
    value = float(np.mean([held.mean() for held in strata]))
    # An influence is per image of its own group, so a group of weight 1 / g has influences that much smaller.
    return Estimate.of(value, *(held / len(strata) for held in strata))
