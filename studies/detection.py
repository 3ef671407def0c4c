"""Metrics of telling ID images from out-of-distribution images by a score: two samples in, one number out.

The samples are always given as (ID, out), and a higher score means more like ID. Directions differ in the field, so
which side is positive stands in the name or the first lines of each metric. Ties are handled in all of them. All come
from counts of one sample at the scores of the other, so each sample is sorted once (`Sample`, `Separation`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from studies.metrics import Doubles, Floats

Counts = npt.NDArray[np.int64]


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
    return Separation.of(known, out).auroc


def fpr_at_95(known: Floats, out: Floats) -> float:
    """Share of out images that are taken for ID where at least 95 % of ID images are; a fraction. Lower is better.

    ID is positive, as in most papers. The threshold is the highest score that keeps 95 % of ID; equal scores are kept.

    >>> fpr_at_95(np.arange(1.0, 21.0), np.array([0.5, 1.5, 2.0, 30.0]))
    0.5
    """
    return Separation.of(known, out).fpr_at_95


def fpr_at_95_out(known: Floats, out: Floats) -> float:
    """Share of ID images that are rejected where at least 95 % of out images are; a fraction. Lower is better.

    Out is positive, as in OpenOOD and pytorch-ood. Not the same number as `fpr_at_95`.

    >>> fpr_at_95_out(np.array([0.5, 1.5, 2.0, 30.0]), np.arange(1.0, 21.0))
    0.75
    """
    return Separation.of(known, out).mirrored().fpr_at_95


def aupr_in(known: Floats, out: Floats) -> float:
    """Average precision with ID as positive, a fraction. Higher is better; chance is n_id / (n_id + n_out).

    A sum of steps, not of trapezoids (Davis and Goadrich 2006); equal scores form one step.

    >>> round(aupr_in(np.array([0.9, 0.8, 0.4]), np.array([0.6, 0.1])), 4)
    0.9167
    """
    return Separation.of(known, out).aupr_in


def aupr_out(known: Floats, out: Floats) -> float:
    """Average precision with out as positive, a fraction. Higher is better; chance is n_out / (n_id + n_out).

    The steps of `aupr_in`, walked from the lowest score up.

    >>> round(aupr_out(np.array([0.9, 0.8, 0.4]), np.array([0.6, 0.1])), 4)
    0.8333
    """
    return Separation.of(known, out).mirrored().aupr_in


def kept(n: int) -> int:
    """Least number of images that is at least 95 % of n; in integers, so that 0.95 * n cannot round."""
    return -(-95 * n // 100)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Scores of one kind of images, sorted once for everything that is asked of them.

    Attributes
    ----------
    scores : (n,) ascending
    order : (n,) which image has each of them
    below, at_most : (n,) how many images of this sample score lower than each of them, and how many not higher
    """

    scores: Floats
    order: Counts
    below: Counts
    at_most: Counts

    @classmethod
    def of(cls, scores: Floats) -> Sample:
        """The sample of these scores (n,), in any order."""
        order = scores.argsort()
        ascending = scores[order]
        first = np.ones(len(scores) + 1, dtype=bool)
        first[1:-1] = ascending[1:] != ascending[:-1]
        starts = first.nonzero()[0]
        sizes = np.diff(starts)
        return cls(ascending, order, np.repeat(starts[:-1], sizes), np.repeat(starts[1:], sizes))

    def __len__(self) -> int:
        return len(self.scores)

    def by_image(self, values: npt.NDArray[np.floating]) -> Doubles:
        """Values (n,) that are in the order of `scores`, in the order of the images."""
        found = np.empty(len(values))
        found[self.order] = values
        return found

    def mirrored(self) -> Sample:
        """The sample of the negative scores."""
        n = len(self)
        return Sample(-self.scores[::-1], self.order[::-1], (n - self.at_most)[::-1], (n - self.below)[::-1])


@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """Two samples, and how many of each score lower than those of the other; all in the order of `Sample.scores`.

    Attributes
    ----------
    known, out : the scores of ID and of out images
    out_below, out_at_most : (n_id,) out images that score lower than each ID image, and not higher
    known_below, known_at_most : (n_out,) ID images that score lower than each out image, and not higher
    """

    known: Sample
    out: Sample
    out_below: Counts
    out_at_most: Counts
    known_below: Counts
    known_at_most: Counts

    @classmethod
    def of(cls, known: Floats | Sample, out: Floats | Sample) -> Separation:
        """Both samples side by side; ValueError where one is empty or holds what is no number."""
        if not len(known) or not len(out):
            raise ValueError(f"Telling apart needs both kinds; there are {len(known)} ID and {len(out)} out images.")
        known, out = (each if isinstance(each, Sample) else Sample.of(each) for each in (known, out))
        unknown = int(np.isnan(known.scores).sum() + np.isnan(out.scores).sum())
        if unknown:
            raise ValueError(f"{unknown} of {len(known) + len(out)} scores are not numbers.")
        known_below, known_at_most = (np.searchsorted(known.scores, out.scores, side) for side in ("left", "right"))
        # An out image scores lower than the ID image of rank r where at most r ID images score no higher than it.
        out_below, out_at_most = (
            np.bincount(ranks, minlength=len(known) + 1)[:-1].cumsum() for ranks in (known_at_most, known_below)
        )
        return cls(known, out, out_below, out_at_most, known_below, known_at_most)

    def mirrored(self) -> Separation:
        """The same with out images as what is looked for: both samples change places and signs."""
        n_known, n_out = len(self.known), len(self.out)
        return Separation(
            self.out.mirrored(), self.known.mirrored(),
            n_known - self.known_at_most[::-1], n_known - self.known_below[::-1],
            n_out - self.out_at_most[::-1], n_out - self.out_below[::-1],
        )  # fmt: skip

    @property
    def auroc(self) -> float:
        """Share of pairs that the ID image wins, ties counted half."""
        return int(self.out_below.sum() + self.out_at_most.sum()) / (2 * len(self.known) * len(self.out))

    @property
    def rank_of_threshold(self) -> int:
        """Place, from 0, of the highest ID score that keeps 95 % of ID."""
        return len(self.known) - kept(len(self.known))

    @property
    def passed(self) -> int:
        """Number of out images that score at least the threshold."""
        return len(self.out) - int(self.out_below[self.rank_of_threshold])

    @property
    def fpr_at_95(self) -> float:
        """Share of out images that score at least the threshold."""
        return self.passed / len(self.out)

    @property
    def above(self) -> tuple[Doubles, Doubles]:
        """ID and out images that score at least as much as each ID image, two arrays (n_id,)."""
        return (len(self.known) - self.known.below).astype(float), (len(self.out) - self.out_below).astype(float)

    @property
    def aupr_in(self) -> float:
        """Mean precision at the scores of the ID images."""
        known, out = self.above
        return float(np.mean(known / (known + out)))
