"""Metrics of decisions and probabilities: arrays in, one number out.

Accuracies, rates and errors are fractions. What is undefined raises ValueError with the reason; no metric returns NaN,
nor 0 in its place. Metrics of telling ID from out are in `studies.detection`, standard errors in `studies.estimates`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]


def log_softmax(logits: Floats, *, temperature: float = 1.0) -> Doubles:
    """Natural log of the class probabilities (n, c), float64, of logits (n, c) divided by a temperature."""
    scaled = logits.astype(np.float64) / temperature
    largest = scaled.max(axis=1, keepdims=True)
    if not np.isfinite(largest).all():
        raise ValueError(
            f"{int((~np.isfinite(largest)).sum())} of {len(logits)} images have logits that are not finite."
        )
    scaled -= largest
    log_probabilities: Doubles = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return log_probabilities


def hits(logits: Floats, labels: Ints, *, k: int = 1) -> Bools:
    """Whether the right class is among the k with the largest logits, for each image (n,).

    Of equal logits the one that stands first wins, as with argmax.

    >>> hits(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), np.array([1, 1]))
    array([ True, False])
    """
    same_length(logits=logits, labels=labels)
    classes = logits.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"Labels run from {labels.min()} to {labels.max()}; with {classes} classes they must be below it."
        )
    if k >= classes:
        raise ValueError(f"Top-{k} among {classes} classes is always right: it says nothing.")
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    if np.isnan(logits).any():
        raise ValueError("Some logits are not numbers.")
    ahead = (logits > own) | ((logits == own) & (np.arange(classes) < labels[:, None]))
    return np.asarray(ahead.sum(axis=1) < k)


def top1(logits: Floats, labels: Ints) -> float:
    """Share of images whose largest logit is that of the right class, a fraction. Higher is better.

    Parameters
    ----------
    logits : (n, c)
    labels : (n,) column of the right class

    >>> top1(np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), np.array([1, 2]))
    0.5
    """
    return float(hits(logits, labels).mean())


def top5(logits: Floats, labels: Ints) -> float:
    """Share of images whose right class is among the five largest logits, a fraction; undefined below six classes.

    >>> top5(np.arange(12.0).reshape(2, 6), np.array([0, 1]))
    0.5
    """
    return float(hits(logits, labels, k=5).mean())


def nll(log_probabilities: Floats, labels: Ints) -> float:
    """Negative log-likelihood of the right class, mean over images, in nats. Lower is better.

    >>> round(nll(np.log([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 0])), 4)
    1.0397
    """
    return float(log_losses(log_probabilities, labels).mean())


def log_losses(log_probabilities: Floats, labels: Ints) -> Doubles:
    """Negative log-likelihood of the right class of each image (n,), in nats."""
    same_length(log_probabilities=log_probabilities, labels=labels)
    losses = -np.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0].astype(np.float64)
    if not np.isfinite(losses).all():
        raise ValueError("The right class of some image has probability 0: the likelihood is undefined.")
    return losses


def brier(probabilities: Floats, labels: Ints) -> float:
    """Brier score, mean over images of the squared distance to the right answer, summed over classes: 0 to 2.

    Brier 1950, in its original form; some divide by the number of classes. Lower is better.

    >>> round(brier(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0])), 4)
    0.4
    """
    return float(squared_losses(probabilities, labels).mean())


def squared_losses(probabilities: Floats, labels: Ints) -> Doubles:
    """Brier score of each image (n,)."""
    same_length(probabilities=probabilities, labels=labels)
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    losses: Doubles = np.square(probabilities, dtype=np.float64).sum(axis=1) - 2.0 * own + 1.0
    return losses


def ece(confidence: Floats, correct: Bools, *, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over confidence bins, a fraction.

    Guo et al. 2017 (arXiv:1706.04599), eq. 3. Bins are (low, high] of equal width, 0 belongs to the first. The mean
    confidence of a bin stands for it, not its middle. Lower is better. A small sample biases it upwards.

    Parameters
    ----------
    confidence : (n,) largest class probability of each image
    correct : (n,) whether that class is the right one

    >>> round(ece(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]), bins=10), 3)
    0.1
    """
    return _gap(confidence, correct, equal_width(confidence, bins))


def ece_equal_mass(confidence: Floats, correct: Bools, *, bins: int = 15) -> float:
    """Expected calibration error over bins that hold equally many images, a fraction. Lower is better.

    Nixon et al. 2019 (arXiv:1904.01685), top label only. Images are sorted by confidence and cut into nearly equal
    parts; a tie across a cut is broken by the order of the images.

    >>> round(ece_equal_mass(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]), bins=2), 3)
    0.1
    """
    return _gap(confidence, correct, equal_mass(confidence, bins))


def equal_width(confidence: Floats, bins: int) -> Ints:
    """Bin of each image (n,): (low, high] of equal width on [0, 1], 0 in the first."""
    if len(confidence) and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError(f"Confidences run from {confidence.min()} to {confidence.max()}; they must lie in 0 to 1.")
    return np.maximum(np.searchsorted(np.linspace(0, 1, bins + 1), confidence, side="left") - 1, 0)


def equal_mass(confidence: Floats, bins: int) -> Ints:
    """Bin of each image (n,): nearly equally many in each, by rising confidence."""
    size, larger = divmod(len(confidence), bins)
    of_rank = np.repeat(np.arange(bins), size + (np.arange(bins) < larger))
    found = np.empty(len(confidence), dtype=np.int64)
    found[np.argsort(confidence, kind="stable")] = of_rank
    return found


def _gap(confidence: Floats, correct: Bools, bin_of: Ints) -> float:
    same_length(confidence=confidence, correct=correct)
    gaps = np.bincount(bin_of, weights=correct - confidence.astype(np.float64))
    return float(np.abs(gaps).sum() / len(confidence))


def temperature(logits: Floats, labels: Ints, *, low: float = 0.01, high: float = 10.0) -> float:
    """The temperature that minimises the negative log-likelihood of logits / T. Above 1: the model is overconfident.

    Guo et al. 2017. The likelihood is convex in 1/T, so the root of its derivative is the minimum. Undefined where the
    minimum is outside of low to high, as it is for a model that is right on every image.

    >>> round(temperature(np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), np.array([0, 0, 0, 1])), 3)
    1.82
    """
    same_length(logits=logits, labels=labels)
    centred = logits - logits.max(axis=1, keepdims=True)

    def slope(inverse: float) -> float:
        return float(likelihood_slopes(centred, labels, inverse).mean())

    if slope(1 / high) >= 0 or slope(1 / low) <= 0:
        raise ValueError(f"No temperature in {low} to {high} minimises the likelihood of these {len(labels)} images.")
    return 1.0 / float(optimize.brentq(slope, 1 / high, 1 / low, xtol=1e-10, rtol=1e-10))


def likelihood_slopes(logits: Floats, labels: Ints, inverse: float) -> Doubles:
    """Derivative of each image's negative log-likelihood (n,) in the inverse temperature, at that inverse."""
    values = logits.astype(np.float64)
    weights = np.exp(log_softmax(values, temperature=1 / inverse))
    slopes: Doubles = (weights * values).sum(axis=1) - np.take_along_axis(values, labels[:, None], axis=1)[:, 0]
    return slopes


def error_ratio(correct: Bools, member: Bools) -> float:
    """Error rate on the images of a factor over the error rate on all, a ratio. Above 1: the factor is harder.

    Idrissi et al. 2022 (arXiv:2211.01866), eq. 1. Undefined without images of the factor, or where all are right.

    Parameters
    ----------
    correct : (n,) whether each annotated image is classified right
    member : (n,) whether it shows the factor

    >>> error_ratio(np.array([True, False, True, False]), np.array([False, True, False, False]))
    2.0
    """
    same_length(correct=correct, member=member)
    if not member.any():
        raise ValueError("No image shows the factor.")
    if correct.all():
        raise ValueError("All images are right: an error ratio would divide by 0.")
    return float((1 - correct[member].mean()) / (1 - correct.mean()))


def shape_bias(decisions: Ints, shapes: Ints, textures: Ints) -> float:
    """Share of shape decisions among those that hit the shape or the texture, a fraction. 1: shape alone decides.

    Geirhos et al. 2019 (arXiv:1811.12231). Images whose two cues are the same class are left out. Undefined where no
    decision hits a cue.

    Parameters
    ----------
    decisions, shapes, textures : (n,) class that was chosen, class of the shape, class of the texture

    >>> shape_bias(np.array([0, 1, 2, 0]), np.array([0, 0, 0, 0]), np.array([1, 1, 1, 0]))
    0.5
    """
    return float(shape_choices(decisions, shapes, textures).mean())


def shape_choices(decisions: Ints, shapes: Ints, textures: Ints) -> Bools:
    """Whether the shape was chosen, for each decision that hit one of two different cues."""
    same_length(decisions=decisions, shapes=shapes, textures=textures)
    hit = (shapes != textures) & ((decisions == shapes) | (decisions == textures))
    if not hit.any():
        raise ValueError(f"None of {len(decisions)} decisions hits one of two different cues.")
    return np.asarray(decisions[hit] == shapes[hit])


def cue_accuracy(decisions: Ints, shapes: Ints, textures: Ints) -> float:
    """Share of decisions that hit the shape or the texture, a fraction, among images whose cues differ.

    >>> cue_accuracy(np.array([0, 1, 2, 2]), np.array([0, 0, 0, 0]), np.array([1, 1, 1, 1]))
    0.5
    """
    return float(cue_hits(decisions, shapes, textures).mean())


def cue_hits(decisions: Ints, shapes: Ints, textures: Ints) -> Bools:
    """Whether the decision hit either cue, for each image whose cues differ."""
    same_length(decisions=decisions, shapes=shapes, textures=textures)
    conflict = shapes != textures
    if not conflict.any():
        raise ValueError(f"None of {len(shapes)} images has two different cues.")
    return np.asarray(((decisions == shapes) | (decisions == textures))[conflict])


def same_length(**arrays: npt.NDArray[Any]) -> None:
    """Nothing; ValueError where the arrays are empty or not equally long."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Arrays differ in length: {', '.join(f'{name} {n}' for name, n in lengths.items())}.")
    if 0 in lengths.values():
        raise ValueError("There are no images to measure.")
