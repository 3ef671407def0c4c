"""Metrics of telling ID images from out-of-distribution images by a score: two samples in, one number out.

The samples are always given as (ID, out), and a higher score means more like ID. Directions differ in the field, so
which side is positive stands in the name or the first lines of each metric. Ties are handled in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from studies.metrics import Doubles, Floats


def auroc(known: Floats, out: Floats) -> float:
    """Probability that an ID image scores higher than an out image, ties counted half; a fraction. Higher is better.

    The area under the ROC curve (Hanley and McNeil 1982), from ranks. It does not change when both the labels and the
    scores are turned round.

    Parameters
    ----------
    known : (n_id,) scores of ID images
    out : (n_out,) scores of out-of-distribution images

    >>> auroc(np.array([0.9, 0.8, 0.4]), np.array([0.4, 0.1]))
    0.9166666666666666
    """
    both = two_samples(known, out)
    n_known, n_out = len(known), len(out)
    return float((stats.rankdata(both)[:n_known].sum() - n_known * (n_known + 1) / 2) / (n_known * n_out))


def fpr_at_95(known: Floats, out: Floats) -> float:
    """Share of out images that are taken for ID where at least 95 % of ID images are; a fraction. Lower is better.

    ID is positive, as in most papers. The threshold is the highest score that keeps 95 % of ID; equal scores are kept.

    >>> fpr_at_95(np.arange(1.0, 21.0), np.array([0.5, 1.5, 2.0, 30.0]))
    0.5
    """
    two_samples(known, out)
    return float((out >= np.sort(known)[-kept(len(known))]).mean())


def fpr_at_95_out(known: Floats, out: Floats) -> float:
    """Share of ID images that are rejected where at least 95 % of out images are; a fraction. Lower is better.

    Out is positive, as in OpenOOD and pytorch-ood. Not the same number as `fpr_at_95`.

    >>> fpr_at_95_out(np.array([0.5, 1.5, 2.0, 30.0]), np.arange(1.0, 21.0))
    0.75
    """
    return fpr_at_95(-out, -known)


def kept(n: int) -> int:
    """Least number of images that is at least 95 % of n; in integers, so that 0.95 * n cannot round."""
    return -(-95 * n // 100)


def aupr_in(known: Floats, out: Floats) -> float:
    """Average precision with ID as positive, a fraction. Higher is better; chance is n_id / (n_id + n_out).

    A sum of steps, not of trapezoids (Davis and Goadrich 2006); equal scores form one step.

    >>> round(aupr_in(np.array([0.9, 0.8, 0.4]), np.array([0.6, 0.1])), 4)
    0.9167
    """
    found = steps(known, out)
    return float(np.sum(found.of_known / len(known) * found.above_known / (found.above_known + found.above_out)))


@dataclass(frozen=True, slots=True)
class Steps:
    """Counts at each distinct score, the highest first; all of shape (g,).

    Attributes
    ----------
    of_known, of_out : images with exactly that score
    above_known, above_out : images with at least that score
    known_step, out_step : position of each image's score among the distinct ones, (n_id,) and (n_out,)
    """

    of_known: Doubles
    of_out: Doubles
    above_known: Doubles
    above_out: Doubles
    known_step: npt.NDArray[np.int64]
    out_step: npt.NDArray[np.int64]


def steps(known: Floats, out: Floats) -> Steps:
    """The walk from the highest score to the lowest that a precision-recall curve takes."""
    distinct, step = np.unique(-two_samples(known, out), return_inverse=True)
    known_step, out_step = step[: len(known)], step[len(known) :]
    of_known = np.bincount(known_step, minlength=len(distinct)).astype(np.float64)
    of_out = np.bincount(out_step, minlength=len(distinct)).astype(np.float64)
    return Steps(of_known, of_out, of_known.cumsum(), of_out.cumsum(), known_step, out_step)


def two_samples(known: Floats, out: Floats) -> Floats:
    """Both samples in one array, ID first; ValueError where one is empty or holds what is no number."""
    if not len(known) or not len(out):
        raise ValueError(f"Telling apart needs both kinds; there are {len(known)} ID and {len(out)} out images.")
    both = np.concatenate([known, out])
    if np.isnan(both).any():
        raise ValueError(f"{int(np.isnan(both).sum())} of {len(both)} scores are not numbers.")
    return both
