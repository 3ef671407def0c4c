"""Lines where x is measured with an error too, and numbers under other draws of the images.

Least squares take x as known, and an error in it pulls the slope towards zero by the share of x's variance that is
error. With 50,000 images that share is a few thousandths; with a thousand it matters. There are two remedies, for two
beliefs. `york_slope` takes the standard errors as all the scatter there is about the line. `corrected_slope` lets
models lie off the line by more than that, as models do, and only takes the errors' share out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.fits import on_axis
from analysis.intervals import SEED, Estimate, TooLittle, by_student, column, lineages_without, need_spread, too_few
from analysis.resampling import MIN_LINEAGES, Floats, draw, lineage_codes, spread

Line = Callable[[Floats, Floats, Floats, Floats], float]


def york(x: Floats, y: Floats, x_error: Floats, y_error: Floats) -> tuple[float, float]:
    """Slope and intercept of the line that is nearest in units of the errors in both axes (n,).

    York et al. 2004 (doi:10.1119/1.1632486), eqs. 13; with equal errors it is Deming's regression. Errors of x and y
    are independent of each other.
    """
    if min(x_error.min(), y_error.min()) <= 0:
        raise TooLittle("A line by York takes a standard error above 0 for every x and y.")
    slope = float(np.polyfit(x, y, 1)[0])
    for _ in range(500):
        weight = 1 / (y_error**2 + slope**2 * x_error**2)
        dx, dy = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
        pulled = weight * (dx * y_error**2 + slope * dy * x_error**2)
        before, slope = slope, float((weight * pulled * dy).sum() / (weight * pulled * dx).sum())
        if abs(slope - before) <= 1e-14 * max(1, abs(slope)):
            break
    weight = 1 / (y_error**2 + slope**2 * x_error**2)
    return slope, float(np.average(y, weights=weight) - slope * np.average(x, weights=weight))


def york_slope(frame: pd.DataFrame, x: str, y: str) -> Estimate:
    """Slope of York's line (y's unit per unit of x), errors being ``<column>_std_error``; jackknife over lineages."""

    def line(a: Floats, b: Floats, a_error: Floats, b_error: Floats) -> float:
        return york(a, b, a_error, b_error)[0]

    return _left_out(frame, x, y, line, "York's line, errors in both axes")


def corrected_slope(frame: pd.DataFrame, x: str, y: str) -> Estimate:
    """Least-squares slope with the errors' share taken out of the variance of x; jackknife over lineages.

    Fuller 1987, eq. 1.2.3 with known error variances; Akritas & Bershady 1996 (doi:10.1086/177901), BCES(Y|X). Errors
    of x and y are independent of each other.
    """

    def line(a: Floats, b: Floats, a_error: Floats, b_error: Floats) -> float:  # noqa: ARG001
        left = float(np.var(a, ddof=1) - (a_error**2).mean())
        if left <= 0:
            raise TooLittle(f"The models differ in '{x}' by no more than its standard errors.")
        return float(np.cov(a, b)[0, 1]) / left

    return _left_out(frame, x, y, line, "least squares corrected for the error of x")


def _left_out(frame: pd.DataFrame, x: str, y: str, line: Line, method: str) -> Estimate:
    names = (x, y, f"{x}_std_error", f"{y}_std_error")
    frame = frame.dropna(subset=list(names))
    columns = [column(frame, name) for name in names]
    need_spread(columns[0], 3)
    codes, formula = lineage_codes(frame), f"{y} ~ {x}, standard errors in both"
    lineages = len(np.unique(codes))
    value = line(*columns)
    if lineages < MIN_LINEAGES:
        note = too_few(lineages, lineages)
        return Estimate(value, None, None, None, len(frame), lineages, method, formula, note=note)
    for code in range(lineages):
        need_spread(columns[0][codes != code], 2)
    without = np.array([line(*(each[codes != code] for each in columns)) for code in range(lineages)])
    return by_student(
        value, spread(value, without), lineages - 1, n=len(frame), method=f"{method}, jackknife over lineages",
        formula=formula, without=lineages_without(frame, without),
    )  # fmt: skip


def over(
    frame: pd.DataFrame,
    x: str,
    y: str,
    statistic: Callable[[Floats, Floats, Floats], Floats],
    *,
    draws_of: str = "both",
    seed: int = SEED,
    draws: int = 4000,
) -> Estimate:
    """A statistic of x, y and weights with its percentile interval over other ``lineages``, ``images``, or ``both``.

    X and y are (n,) or, moved by other images, (draws, n); weights are (draws, n), the statistic (draws,).

    Other images move every measurement by its standard error, each by itself: images that are hard for all models alike
    move a line less than this says. Percentiles are plain; with few lineages those of `analysis.fits` are the honest
    ones, and the use of these is to see which of the two draws an interval's width comes from.
    """
    if draws_of not in ("lineages", "images", "both"):
        raise ValueError(f"No draws of '{draws_of}'. Take lineages, images or both.")
    frame = on_axis(frame.dropna(subset=[f"{x}_std_error", f"{y}_std_error"]), (x, y), "fraction")
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)
    rng = np.random.default_rng([seed, 1])
    weights = np.ones((draws, len(a))) if draws_of == "images" else draw(codes, seed=seed, draws=draws)
    moved = [
        each if draws_of == "lineages" else each + column(frame, f"{name}_std_error") * rng.normal(size=weights.shape)
        for each, name in ((a, x), (b, y))
    ]
    # A draw without one of two sides leaves a number undefined.
    with np.errstate(invalid="ignore", divide="ignore"):
        values = statistic(moved[0], moved[1], weights)
    values = values[np.isfinite(values)]
    if len(values) < 0.9 * draws:
        raise TooLittle("Too many draws leave the number undefined.")
    low, high = np.quantile(values, [0.025, 0.975])
    estimate = float(statistic(a, b, np.ones((1, len(a))))[0])
    name = f"bootstrap over {'lineages and images' if draws_of == 'both' else draws_of}, percentiles"
    return Estimate(
        estimate, float(low), float(high), None, len(a), len(np.unique(codes)), name, f"{y}, {x}", seed,
        std_error=float(values.std(ddof=1)),
    )  # fmt: skip
