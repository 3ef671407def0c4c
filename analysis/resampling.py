"""Bootstrap and jackknife over lineages: what a number would have been, had other lineages been there.

Models of one lineage are not independent, so a draw takes whole lineages, with replacement. A draw is kept as a row of
weights (how often each model occurs), which lets every statistic here be computed for all draws at once. The statistics
of the data as they are come from a single row of ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Statistic = Callable[[Floats], Floats]
"""Weights (draws, n) to values (draws,); NaN where a draw leaves the value undefined."""

DRAWS = 4000
MIN_LINEAGES = 3
UNSURE = 1e-5
"""Smallest eigenvalue, of 1, at which sums of products determine coefficients to ten digits."""
MIN_DRAWN = 6
"""With fewer lineages in all, 95 % intervals of the bootstrap cover as little as 75 %; the jackknife's do not."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A statistic, its 95 % interval and standard error, and its value without each lineage; None where draws fail."""

    estimate: float
    low: float | None = None
    high: float | None = None
    std_error: float | None = None
    df: float | None = None
    without: Floats | None = None


@dataclass(frozen=True, slots=True)
class Jackknife:
    """Least-squares coefficients (k,), their covariance (k, k), and the coefficients without each lineage (l, k)."""

    coefficients: Floats
    covariance: Floats
    without: Floats


def lineage_codes(frame: pd.DataFrame) -> Ints:
    """Number of the lineage of each row, from 0. Every model occurs once and belongs to exactly one lineage."""
    if "lineage" not in frame:
        raise ValueError(
            "No column 'lineage', which says which models are not independent of each other. Where all are, let each "
            "be its own: frame.assign(lineage=frame.index.astype(str))"
        )
    if frame.index.has_duplicates:
        raise ValueError(
            f"Model '{frame.index[frame.index.duplicated()][0]}' occurs twice: models must nest in lineages."
        )
    if frame["lineage"].isna().any():
        raise ValueError(f"Model '{frame.index[frame['lineage'].isna()][0]}' has no lineage.")
    return np.unique(frame["lineage"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)


def draw(codes: Ints, *, seed: int, draws: int = DRAWS) -> Floats:
    """Weights (draws, n): how often each model occurs when as many lineages as there are are drawn with replacement."""
    lineages = int(codes.max()) + 1
    counts = np.random.default_rng(seed).multinomial(lineages, np.full(lineages, 1 / lineages), size=draws)
    return counts[:, codes].astype(float)


def bootstrap(
    statistic: Statistic, codes: Ints, *, seed: int, draws: int = DRAWS, level: float = 0.95, every: Iterable[Ints] = ()
) -> Bootstrap:
    """A statistic with its expanded percentile interval over lineages.

    Hesterberg 2015 (doi:10.1080/00031305.2015.1089789), section 5: the percentiles are taken further out, as Student's
    t with lineages - 1 degrees of freedom is wider than the normal distribution. There is no interval where there are
    fewer than `MIN_DRAWN` lineages, or fewer than `MIN_LINEAGES` in one of the groups of rows in `every`, or where a
    tenth of the draws leave the statistic undefined. With groups in `every`, t is that of the one with fewest lineages.
    """
    estimate = float(statistic(np.ones((1, len(codes))))[0])
    sides = [len(np.unique(codes[rows])) for rows in every]
    if len(np.unique(codes)) < MIN_DRAWN or any(side < MIN_LINEAGES for side in sides):
        return Bootstrap(estimate)
    values = statistic(draw(codes, seed=seed, draws=draws))
    values = values[np.isfinite(values)]
    if len(values) < 0.9 * draws:
        return Bootstrap(estimate)
    lineages = min([int(codes.max()) + 1, *sides])
    reach = np.sqrt(lineages / (lineages - 1)) * stats.t.ppf(0.5 + level / 2, lineages - 1)
    low, high = np.quantile(values, [stats.norm.cdf(-reach), stats.norm.cdf(reach)])
    without = statistic(leave_out(codes))
    return Bootstrap(estimate, float(low), float(high), float(values.std(ddof=1)), lineages - 1, without)


def leave_out(codes: Ints) -> Floats:
    """Weights (lineages, n) that leave out one lineage at a time."""
    weights: Floats = (np.arange(int(codes.max()) + 1)[:, None] != codes).astype(float)
    return weights


def spread(whole: float, without: Floats) -> float:
    """Standard error of a number from its values without each lineage: the jackknife around the number itself (CV3)."""
    return float(np.sqrt((len(without) - 1) / len(without) * ((without - whole) ** 2).sum()))


def jackknife(design: Floats, y: Floats, codes: Ints) -> Jackknife:
    """Least-squares coefficients and their covariance, by leaving out one lineage at a time.

    The cluster jackknife CV3 (MacKinnon, Nielsen & Webb 2023, doi:10.1016/j.jeconom.2022.04.001), to be used with
    Student's t at lineages - 1 degrees of freedom. Its intervals hold their level with few lineages, where those of the
    more usual sandwich (CV1) are too narrow.
    """
    whole = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)
    without = _without(design, y, codes)
    away = without - whole
    covariance: Floats = (len(without) - 1) / len(without) * away.T @ away
    return Jackknife(whole, covariance, without)


def _without(design: Floats, y: Floats, codes: Ints) -> Floats:
    """Coefficients without each lineage (l, k), from sums of products over an orthonormal basis of the design.

    Where these leave a coefficient nearly undetermined, as without the only lineage of a group, by a fit of their own.
    """
    lineages, member = np.unique(codes, return_inverse=True)
    basis, upper = np.linalg.qr(design)
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(len(lineages)))
    products, sides = basis[:, :, None] * basis[:, None, :], basis * y[:, None]
    inner = np.eye(basis.shape[1]) - np.add.reduceat(products[order], starts, axis=0)
    right = sides.sum(axis=0) - np.add.reduceat(sides[order], starts, axis=0)
    steep = np.abs(np.diag(upper))
    sure = np.linalg.eigvalsh(inner)[:, 0] > UNSURE
    if len(design) < design.shape[1] or steep.min() < UNSURE * steep.max():
        sure[:] = False
    without = np.empty((len(lineages), design.shape[1]))
    if sure.any():
        without[sure] = np.linalg.solve(upper, np.linalg.solve(inner[sure], right[sure, :, None])[:, :, 0].T).T
    for place in np.flatnonzero(~sure):
        rows = member != place
        without[place] = np.linalg.lstsq(design[rows], y[rows], rcond=None)[0]
    return without


def satterthwaite(design: Floats, codes: Ints) -> float:
    """Degrees of freedom of the first coefficient's jackknife, for errors of which the lineage shares half.

    Bell & McCaffrey 2002; Imbens & Kolesar 2016 (doi:10.1162/REST_a_00552). They are lineages - 1 for the mean of
    equally large lineages, and close to those of the smaller side where a contrast has few lineages on one side:
    lineages - 1 would make such intervals too narrow.
    """
    lineages = np.unique(codes)
    whole = np.linalg.pinv(design)[0]
    away = np.zeros((len(lineages), len(whole)))
    for place, code in enumerate(lineages):
        away[place, codes != code] = np.linalg.pinv(design[codes != code])[0]
    away -= whole
    shared = away @ (codes[:, None] == lineages)
    products = away @ away.T + shared @ shared.T
    return float(np.trace(products) ** 2 / max((products**2).sum(), 1e-300))


def _centred(values: Floats, weights: Floats, groups: Ints | None) -> Floats:
    if groups is None:
        total = weights @ values if values.ndim == 1 else (weights * values).sum(axis=1)
        means: Floats = (total / weights.sum(axis=1))[:, None]
    else:
        member = np.eye(int(groups.max()) + 1)[groups]
        totals = weights @ member
        means = ((weights * values) @ member / np.where(totals == 0, 1, totals))[:, groups]
    centred: Floats = values - means
    return centred


def _ratio(top: Floats, bottom: Floats) -> Floats:
    tiny = bottom <= 1e-18
    ratio: Floats = np.where(tiny, np.nan, top / np.where(tiny, 1, bottom))
    return ratio


def pearson(x: Floats, y: Floats, weights: Floats, groups: Ints | None = None) -> Floats:
    """Pearson correlation of each draw (draws,); with groups, of the deviations from the group means.

    x and y are the same for all draws (n,), or each draw has its own (draws, n).
    """
    dx, dy = _centred(x, weights, groups), _centred(y, weights, groups)
    squares = (weights * dx**2).sum(axis=1) * (weights * dy**2).sum(axis=1)
    return np.clip(_ratio((weights * dx * dy).sum(axis=1), np.sqrt(squares)), -1, 1)


def slope(x: Floats, y: Floats, weights: Floats, groups: Ints | None = None) -> Floats:
    """Least-squares slope of each draw (draws,); with groups, the common slope of parallel lines. See `pearson`."""
    dx = _centred(x, weights, groups)
    return _ratio((weights * dx * y).sum(axis=1), (weights * dx**2).sum(axis=1))


def _ranks(values: Floats, weights: Floats) -> Floats:
    order = np.argsort(values, kind="stable")
    _, starts, place = np.unique(values[order], return_index=True, return_inverse=True)
    at = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = at.cumsum(axis=1) - at / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = middle[:, place]
    return ranks


def spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman correlation of each draw (draws,): Pearson of the mid-ranks within the draw."""
    ranks = [_ranks(values, weights) for values in (x, y)]
    total = weights.sum(axis=1, keepdims=True)
    dx, dy = (rank - (weights * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
    squares = (weights * dx**2).sum(axis=1) * (weights * dy**2).sum(axis=1)
    return np.clip(_ratio((weights * dx * dy).sum(axis=1), np.sqrt(squares)), -1, 1)


def kendall(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Kendall's tau-b of each draw (draws,); a model that was drawn twice is tied with itself."""
    up, right = (np.sign(values[:, None] - values) for values in (y, x))

    def pairs(signs: Floats) -> Floats:
        total: Floats = ((weights @ signs) * weights).sum(axis=1)
        return total

    return np.clip(_ratio(pairs(up * right), np.sqrt(pairs(up**2) * pairs(right**2))), -1, 1)
