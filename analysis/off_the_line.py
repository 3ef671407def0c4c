"""Effective robustness by other lines and intervals than the report's own, which are in `analysis.lines`.

All lines are fitted on logits, and distances are taken back to accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from analysis.errors_in_variables import york
from analysis.intervals import Estimate, Posed, TooLittle, by_student, column, lineages_without, need_spread, too_few
from analysis.resampling import MIN_LINEAGES, Bools, Floats, lineage_codes, slope, spread
from analysis.robust import huber_line

Fit = Callable[[Floats, Floats, Floats, Floats], tuple[float, float]]
"""X, y and their standard errors (n,), NaN where there are none, to slope and intercept."""


def robust(x: Floats, y: Floats, _: Floats, __: Floats) -> tuple[float, float]:
    """Slope and intercept of Huber's line."""
    slopes, intercepts = huber_line(x, y, np.ones((1, len(x))))
    return float(slopes[0]), float(intercepts[0])


def least_squares(x: Floats, y: Floats, _: Floats, __: Floats) -> tuple[float, float]:
    """Slope and intercept of least squares."""
    tilt = float(slope(x, y, np.ones((1, len(x))))[0])
    return tilt, float(y.mean() - tilt * x.mean())


def errors_in_both(x: Floats, y: Floats, x_error: Floats, y_error: Floats) -> tuple[float, float]:
    """Slope and intercept of York's line."""
    if np.isnan(x_error + y_error).any():
        raise TooLittle("Not every model of the line has standard errors over images.")
    return york(x, y, x_error, y_error)


def on_logits(posed: Posed) -> pd.DataFrame:
    """The models of a question with x and y on logits, and their standard errors by the delta method."""
    moved: dict[str, Floats] = {}
    for name in (posed.x, posed.y):
        value, error = column(posed.frame, name), f"{name}_std_error"
        there = column(posed.frame, error) if error in posed.frame else np.full(len(value), np.nan)
        moved |= {name: logit(value), error: there / (value * (1 - value))}
    return posed.frame.assign(**moved)


def above(fit: Fit, posed: Posed) -> Estimate:
    """How far the first side lies above a line through the other, on average, in y's unit; jackknife over lineages.

    Student's t has as many degrees of freedom as there are lineages on the side that has fewest, less 1.
    """
    first = np.zeros(len(posed.frame), dtype=bool) if posed.first is None else posed.first
    frame, codes = on_logits(posed), lineage_codes(posed.frame)
    columns = [column(frame, name) for name in (posed.x, posed.y, f"{posed.x}_std_error", f"{posed.y}_std_error")]

    def distance(kept: Bools) -> float:
        line, members = kept & ~first, kept & first
        need_spread(columns[0][line], 3)
        tilt, start = fit(*(each[line] for each in columns))
        return float((expit(columns[1][members]) - expit(tilt * columns[0][members] + start)).mean())

    value, n, lineages = distance(codes >= 0), int(first.sum()), len(np.unique(codes[first]))
    formula = f"{posed.y} - line({posed.x}), {fit.__name__} on logit"
    fewest = min(len(np.unique(codes[rows])) for rows in posed.sides)
    if fewest < MIN_LINEAGES:
        return Estimate(value, None, None, None, n, lineages, "no interval", formula, note=too_few(lineages, fewest))
    without = np.array([distance(codes != code) for code in range(int(codes.max()) + 1)])
    made = by_student(
        value, spread(value, without), fewest - 1, n=n, method="jackknife over lineages", formula=formula,
        without=lineages_without(frame, without),
    )  # fmt: skip
    return replace(made, lineages=lineages)


def of_draws(x: Floats, y: Floats, weights: Floats, first: Bools) -> Floats:
    """Mean distance above the least-squares line, as in `above`, for each draw of x, y and weights (draws,)."""
    line, members = weights * ~first, weights * first
    tilt = slope(x, y, line)
    start = ((line * y).sum(axis=1) - tilt * (line * x).sum(axis=1)) / line.sum(axis=1)
    distances = expit(y) - expit(tilt[:, None] * x + start[:, None])
    mean: Floats = (members * distances).sum(axis=1) / members.sum(axis=1)
    return mean
