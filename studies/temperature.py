"""One temperature for all images: where the likelihood of logits / T is best.

Guo et al. 2017 (arXiv:1706.04599). The negative log-likelihood is convex in 1/T, so the root of its derivative is the
minimum. It is found by Newton's method, kept in its bracket, over blocks of rows in float64: a few passes, each with
little memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studies.metrics import Doubles, Floats, Ints, same_length

ROWS = 128
"""Rows of a block: with 1,000 classes, 1 MB in float64."""
CLOSE = 1e-8
"""Relative step after which Newton's method, which squares its error, is at the root."""
PATIENCE = 8
"""Steps of Newton's method after which the bracket is halved instead."""
STEPS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A temperature, and how the images hold it.

    Attributes
    ----------
    value : the temperature
    slopes : (n,) derivative of each image's negative log-likelihood in 1/T
    curvature : mean second derivative
    """

    value: float
    slopes: Doubles
    curvature: float


def temperature(logits: Floats, labels: Ints, *, low: float = 0.01, high: float = 10.0) -> float:
    """The temperature that minimises the negative log-likelihood of logits / T. Above 1: the model is overconfident.

    Undefined where the minimum is outside of low to high, as it is for a model that is right on every image.

    >>> round(temperature(np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), np.array([0, 0, 0, 1])), 3)
    1.82
    """
    return fit(logits, labels, low=low, high=high).value


def fit(logits: Floats, labels: Ints, *, low: float = 0.01, high: float = 10.0, start: float = 1.0) -> Fit:
    """The temperature of least negative log-likelihood between low and high, sought from a start.

    Parameters
    ----------
    logits : (n, c)
    labels : (n,) column of the right class
    """
    same_length(logits=logits, labels=labels)
    ends = {1 / high, 1 / low}
    below, above, at = 1 / high, 1 / low, 1 / start
    for step in range(STEPS):
        slopes, curvature = slopes_at(logits, labels, at)
        slope = float(slopes.mean())
        if (curvature <= 0 and slope == 0) or (at in ends and (slope >= 0) == (at == 1 / high)):
            break
        ends.discard(at)
        below, above = (below, at) if slope > 0 else (at, above)
        following = at - slope / curvature if curvature > 0 else np.inf
        if abs(following - at) <= CLOSE * at:
            return Fit(1 / following, slopes, curvature)
        if not below < following < above or step > PATIENCE:
            # To the end that was not looked at yet, else between.
            end = above if slope < 0 else below
            following = end if end in ends else float(np.sqrt(below * above))
        at = following
    raise ValueError(f"No temperature in {low} to {high} minimises the likelihood of these {len(labels)} images.")


def slopes_at(logits: Floats, labels: Ints, inverse: float) -> tuple[Doubles, float]:
    """Derivative of each image's negative log-likelihood (n,) in 1/T at that 1/T, and the mean second derivative."""
    slopes, curvature = np.empty(len(logits)), 0.0
    for start in range(0, len(logits), ROWS):
        rows = slice(start, start + ROWS)
        values = logits[rows].astype(np.float64)
        own = np.take_along_axis(values, labels[rows, None], axis=1)
        values -= own
        weights = values * inverse
        weights -= weights.max(axis=1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=1, keepdims=True)
        slopes[rows] = np.einsum("nc,nc->n", weights, values)
        curvature += float(np.einsum("nc,nc,nc->", weights, values, values) - np.square(slopes[rows]).sum())
    return slopes, curvature / len(logits)
