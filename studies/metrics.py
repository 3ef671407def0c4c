"""Metrics of decisions and probabilities: arrays in, one number out.

Accuracies, rates and errors are fractions. What is undefined raises ValueError with the reason; no metric returns NaN,
nor 0 in its place. Whether confidence means what it says is in `studies.reliability`, telling ID from out in
`studies.detection`, the fit of a temperature in `studies.temperature`, standard errors in `studies.estimates`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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


def error_consistency(correct: Bools, other: Bools) -> float:
    """How far two observers err on the same images, beyond what their accuracies alone make them: -1 to 1.

    Cohen's kappa of being right (Geirhos et al. 2020, arXiv:2006.16736). 1: both err on the same images; 0: as
    independent observers of their accuracies would. Undefined where both are right on all images, or both on none.

    Parameters
    ----------
    correct, other : (n,) whether each observer is right on each image

    >>> error_consistency(np.array([True, True, False, False]), np.array([True, False, False, False]))
    0.5
    """
    observed, expected = agreement(correct, other)
    return (observed - expected) / (1 - expected)


def agreement(correct: Bools, other: Bools) -> tuple[float, float]:
    """Share of images on which two observers are both right or both wrong: observed, and expected by chance."""
    same_length(correct=correct, other=other)
    mine, theirs = float(correct.mean()), float(other.mean())
    expected = mine * theirs + (1 - mine) * (1 - theirs)
    if (correct.all() and other.all()) or not (correct.any() or other.any()):
        raise ValueError(f"Both are {'right' if mine else 'wrong'} on all images: they cannot but agree.")
    return float((correct == other).mean()), expected


def same_length(**arrays: npt.NDArray[Any]) -> None:
    """Nothing; ValueError where the arrays are empty or not equally long."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Arrays differ in length: {', '.join(f'{name} {n}' for name, n in lengths.items())}.")
    if 0 in lengths.values():
        raise ValueError("There are no images to measure.")
