"""Straight lines through models, and how far models lie off them.

Effective robustness is the distance of some models above the robust line of others: what they gain beyond what their
accuracy lets one expect.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from analysis.fits import AXES, FROM_AXIS, on_axis
from analysis.intervals import SEED, Estimate, Posed, TooLittle, bootstrapped, column, known, need_spread
from analysis.resampling import MIN_LINEAGES, Floats, bootstrap, jackknife, lineage_codes
from analysis.robust import huber_line


def effective_robustness(
    frame: pd.DataFrame,
    x: str,
    y: str,
    *,
    members: pd.Series,
    baseline: pd.Series,
    axis: str = "logit",
    seed: int = SEED,
) -> Estimate:
    """How far the `members` lie above the `baseline` models' robust line of y on x, on average, in y's unit.

    Taori et al. 2020 (arXiv:2007.00644). The line is fitted on the axis; the distance is taken back on the fraction.
    The draws are over the lineages of both, and the line is fitted anew in each.
    """
    both = frame[members | baseline]
    frame = on_axis(both, (x, y), axis)
    inside, line = members[frame.index].to_numpy(dtype=bool), baseline[frame.index].to_numpy(dtype=bool)
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)
    need_spread(a[line], 3)
    if not inside.any():
        raise TooLittle("No model of the group has both accuracies away from 0 and 1.")
    back = FROM_AXIS[axis]

    def statistic(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            different, which = np.unique(weights[:, line], axis=0, return_inverse=True)
            slopes, intercepts = (each[which] for each in huber_line(a[line], b[line], different))
            above = back(b) - back(slopes[:, None] * a + intercepts[:, None])
            share = weights * inside
            mean_above: Floats = (above * share).sum(axis=1) / share.sum(axis=1)
        return mean_above

    found = bootstrap(statistic, codes, seed=seed, every=(np.flatnonzero(inside), np.flatnonzero(line)))
    formula = f"{y} - line({x}), Huber on {axis}, {int(line.sum())} baseline models"
    made = bootstrapped(found, frame, formula, seed, rows=np.flatnonzero(inside))
    return replace(made, posed=Posed("above the line", both.loc[frame.index], x, y, first=inside))


def residuals(frame: pd.DataFrame, x: str, y: str, *, baseline: pd.Series, axis: str = "logit") -> pd.Series:
    """Distance of each model above the baseline's robust line, in y's unit; as in `effective_robustness`."""
    moved = on_axis(frame, (x, y), axis)
    inside = frame.loc[moved.index]
    line = robust_line(frame[baseline], x, y, column(inside, x), axis=axis)
    return inside[y] - line


def band(frame: pd.DataFrame, x: str, y: str, at: Floats) -> pd.DataFrame:
    """The least-squares line of y on x at the places `at`, with a 95 % band over lineages where lineages allow one."""
    frame = known(frame, x, y)
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)
    need_spread(a, 3)
    places = np.column_stack([np.ones(len(at)), at])
    fit = jackknife(np.column_stack([np.ones(len(a)), a]), b, codes)
    line = pd.DataFrame({x: at, y: places @ fit.coefficients})
    if len(np.unique(codes)) < MIN_LINEAGES:
        return line.assign(low=np.nan, high=np.nan)
    errors = np.sqrt(np.einsum("ij,jk,ik->i", places, fit.covariance, places))
    reach = stats.t.ppf(0.975, codes.max()) * errors
    return line.assign(low=line[y] - reach, high=line[y] + reach)


def robust_line(frame: pd.DataFrame, x: str, y: str, at: Floats, *, axis: str = "logit") -> Floats:
    """The robust line of y on x, fitted on the axis, at the places `at`; y's unit."""
    moved = on_axis(frame, (x, y), axis)
    a, b = column(moved, x), column(moved, y)
    need_spread(a, 3)
    slopes, intercepts = huber_line(a, b, np.ones((1, len(a))))
    return FROM_AXIS[axis](slopes[0] * AXES[axis](at) + intercepts[0])
