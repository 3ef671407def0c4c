"""What a model's probabilities came to, image by image, and the calibration metrics of that with their standard errors.

A model's largest set is 50,000 images of 1,000 classes; four numbers an image are all that its calibration needs. They
are made in float64 over blocks of rows, so that the whole is never held twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np

from studies import influences, metrics, reliability
from studies.estimates import Estimate
from studies.metrics import Bools, Doubles, Floats, Ints, log_softmax
from studies.temperature import ROWS

BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What the probabilities of n images came to.

    Attributes
    ----------
    confidence : (n,) largest class probability
    correct : (n,) whether that class is a right one
    log_loss : (n,) negative log-likelihood of the image's own label, in nats
    squared_loss : (n,) Brier score over all classes, against the image's own label
    """

    confidence: Doubles
    correct: Bools
    log_loss: Doubles
    squared_loss: Doubles

    @classmethod
    def together(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """Those of several samples, one behind the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    @classmethod
    def of_decisions(cls, confidence: Doubles, correct: Bools) -> Outcomes:
        """Those of decisions alone, of which no loss is known: good for `DECISION_METRICS`."""
        unknown = np.full(len(correct), np.nan)
        return cls(confidence, correct, unknown, unknown)

    def __len__(self) -> int:
        return len(self.correct)

    def __getitem__(self, rows: Ints | Bools) -> Outcomes:
        """Those of some images."""
        return Outcomes(self.confidence[rows], self.correct[rows], self.log_loss[rows], self.squared_loss[rows])


def outcomes(logits: Floats, labels: Ints, right: Ints | None = None, *, temperature: float = 1.0) -> Outcomes:
    """Outcomes of the softmax of logits / temperature.

    Parameters
    ----------
    logits : (n, c)
    labels : (n,) column of the image's own label, for the losses
    right : (n,) column of the right answer nearest to winning (`studies.right`); None where it is the own label
    """
    right = labels if right is None else right
    metrics.same_length(logits=logits, labels=labels, right=right)
    found = Outcomes(np.empty(len(logits)), np.empty(len(logits), bool), np.empty(len(logits)), np.empty(len(logits)))
    for start in range(0, len(logits), ROWS):
        rows = slice(start, start + ROWS)
        logs = log_softmax(logits[rows], temperature=temperature)
        found.log_loss[rows] = -np.take_along_axis(logs, labels[rows, None], axis=1)[:, 0]
        probabilities = np.exp(logs, out=logs)
        found.confidence[rows] = probabilities.max(axis=1)
        found.squared_loss[rows] = metrics.squared_losses(probabilities, labels[rows])
        found.correct[rows] = metrics.hits(logits[rows], right[rows])
    return found


def nll(found: Outcomes) -> Estimate:
    """Negative log-likelihood, in nats; undefined where a right class has probability 0."""
    if not np.isfinite(found.log_loss).all():
        raise ValueError("The right class of some image has probability 0: the likelihood is undefined.")
    return Estimate.of(float(found.log_loss.mean()), found.log_loss)


def brier(found: Outcomes) -> Estimate:
    """Brier score over all classes, 0 to 2."""
    return Estimate.of(float(found.squared_loss.mean()), found.squared_loss)


def ece(found: Outcomes) -> Estimate:
    """Expected calibration error over 15 bins of equal width, a fraction.

    The error is that of the biased value: an interval covers the true error only where gaps are clear of chance.
    """
    bins = reliability.binned(found.confidence, found.correct, reliability.equal_width(found.confidence, BINS))
    value = reliability.ece(found.confidence, found.correct, bins=BINS)
    return Estimate.of(value, influences.of_gap(found.confidence, found.correct, bins))


def ece_equal_mass(found: Outcomes) -> Estimate:
    """Expected calibration error over 15 bins of equal mass, a fraction. The error is as that of `ece`."""
    bins = reliability.binned(found.confidence, found.correct, reliability.equal_mass(found.confidence, BINS))
    value = reliability.ece_equal_mass(found.confidence, found.correct, bins=BINS)
    return Estimate.of(value, influences.of_gap(found.confidence, found.correct, bins))


def squared_ece_debiased(found: Outcomes) -> Estimate:
    """Debiased squared calibration error over 15 bins of equal width.

    Squares of what chance adds to the gaps move the value too, and no influence shows them: they are taken from the
    influences' variance, which holds them twice over, and are the least that it can be.
    """
    bins = reliability.binned(found.confidence, found.correct, reliability.equal_width(found.confidence, BINS))
    value = reliability.squared_ece_debiased(found.confidence, found.correct, bins=BINS)
    first = Estimate.of(value, influences.of_squared_gap(found.confidence, found.correct, bins))
    least = influences.second_order(bins)
    variance = max((first.std_error or 0.0) ** 2 - least, least)
    return replace(first, std_error=float(np.sqrt(variance)) or None)


def smooth_ece(found: Outcomes) -> Estimate:
    """Smooth calibration error, a fraction. The error is as that of `ece`."""
    value = reliability.smooth_ece(found.confidence, found.correct)
    return Estimate.of(value, influences.of_smooth_ece(found.confidence, found.correct, value))


def mce(found: Outcomes) -> Estimate:
    """Maximum calibration error over 15 bins of equal width, a fraction; a largest value has no honest error."""
    return Estimate(reliability.mce(found.confidence, found.correct, bins=BINS), None, len(found))


def aurc(found: Outcomes) -> Estimate:
    """Area under the risk-coverage curve, a fraction."""
    value = reliability.aurc(found.confidence, found.correct)
    return Estimate.of(value, influences.of_aurc(found.confidence, found.correct))


def brier_part(found: Outcomes, name: str) -> Estimate:
    """Brier score of the top label, or one of the parts that add up to it over 15 bins of equal width."""
    bins = reliability.binned(found.confidence, found.correct, reliability.equal_width(found.confidence, BINS))
    value: float = getattr(reliability, name)(found.confidence, found.correct)
    return Estimate.of(value, influences.of_brier_parts(found.confidence, found.correct, bins)[name])


PARTS = ("brier_top_label", "brier_reliability", "brier_resolution", "brier_uncertainty", "brier_within_bins")
Metric = Callable[[Outcomes], Estimate]
DECISION_METRICS: dict[str, Metric] = {
    "ece15": ece,
    "ece15_equal_mass": ece_equal_mass,
    "ece15_squared_debiased": squared_ece_debiased,
    "smooth_ece": smooth_ece,
    "mce15": mce,
    **{name: partial(brier_part, name=name) for name in PARTS},
    "aurc": aurc,
}
"""What needs no more than a decision and its confidence."""
METRICS: dict[str, Metric] = {**DECISION_METRICS, "nll": nll, "brier": brier}
