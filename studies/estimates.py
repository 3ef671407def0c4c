"""Metrics with their standard errors over images.

An error comes from the metric's influence values: how much each image moves the metric. The standard error of a mean of
n independent influences is their standard deviation over the root of n; that of a difference between two heads on the
same images comes from the differences of their influences. For a share this is the usual formula, for the rest the
infinitesimal jackknife (Efron 1982, ch. 6): exact to first order, without draws. Where all influences are equal, the
images do not show how much the metric varies, and the error is None, not 0. The metrics that separate ID from out are
in `studies.separations`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec

import numpy as np
import numpy.typing as npt

from studies import influences, metrics
from studies import temperature as temperatures
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


def temperature(logits: Floats, labels: Ints, *, start: float = 1.0) -> Estimate:
    """Temperature of least negative log-likelihood; its error is the sandwich of a root of estimating equations."""
    fit = temperatures.fit(logits, labels, start=start)
    return Estimate.of(fit.value, fit.value**2 / fit.curvature * fit.slopes)


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


def error_consistency(correct: Bools, other: Bools) -> Estimate:
    """Error consistency of two observers of the same images, -1 to 1."""
    value = metrics.error_consistency(correct, other)
    return Estimate.of(value, influences.of_error_consistency(correct, other))


def mean_of_strata(strata: Sequence[Bools]) -> Estimate:
    """Unweighted mean of the shares of disjoint groups of images, a fraction."""
    if not strata:
        raise ValueError("There is no group of images to take the mean of.")
    value = float(np.mean([held.mean() for held in strata]))
    # An influence is per image of its own group, so a group of weight 1 / g has influences that much smaller.
    return Estimate.of(value, *(held / len(strata) for held in strata))
