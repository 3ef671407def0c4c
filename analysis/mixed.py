"""Least squares with a random intercept for each lineage: the usual other way to say that relatives are alike.

The jackknife of `analysis.intervals` asks nothing of the errors; this model takes them as normal, with one variance
among lineages and one within, and is the more exact where that holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from analysis.intervals import Estimate, TooLittle, column, known, need_spread, too_few, two_sided
from analysis.resampling import MIN_LINEAGES, Floats, Ints, lineage_codes, satterthwaite


@dataclass(frozen=True, slots=True)
class Mixed:
    """Fixed effects (k,), their covariance (k, k), and the variances among and within lineages (y's unit squared)."""

    coefficients: Floats
    covariance: Floats
    among: float
    within: float


def random_intercept(design: Floats, y: Floats, codes: Ints) -> Mixed:
    """Restricted maximum likelihood of y = design b + u[lineage] + e.

    Laird & Ware 1982 (doi:10.2307/2529876). The likelihood is profiled over the ratio of the two variances; a ratio of
    exactly 0, where lineages share nothing, is among the answers.
    """
    member = codes[:, None] == np.unique(codes)

    def profile(ratio: float) -> tuple[float, Floats, Floats, float]:
        shrink = ratio / (1 + ratio * member.sum(axis=0))
        weighted = design - member @ (shrink[:, None] * (member.T @ design))
        inner = design.T @ weighted
        values = np.linalg.solve(inner, weighted.T @ y)
        left = y - design @ values
        total = left @ left - shrink @ (member.T @ left) ** 2
        variance = total / (len(y) - design.shape[1])
        logs = np.log1p(ratio * member.sum(axis=0)).sum() + np.linalg.slogdet(inner)[1]
        return (len(y) - design.shape[1]) * np.log(max(variance, 1e-300)) + logs, values, inner, variance

    found = optimize.minimize_scalar(
        lambda power: profile(np.exp(power))[0], bounds=(-20, 15), method="bounded", options={"xatol": 1e-10}
    )
    ratio = float(np.exp(found.x)) if found.fun < profile(0.0)[0] else 0.0
    _, values, inner, variance = profile(ratio)
    covariance = np.asarray(variance * np.linalg.inv(inner), dtype=np.float64)
    return Mixed(values, covariance, float(ratio * variance), float(variance))


def mixed_slope(frame: pd.DataFrame, x: str, y: str) -> Estimate:
    """Slope of y on x (y's unit per unit of x) with a random intercept for each lineage; see `mixed`."""
    frame = known(frame, x, y)
    a = column(frame, x)
    need_spread(a, 3)
    return mixed(np.column_stack([a, np.ones(len(a))]), column(frame, y), frame, f"{y} ~ {x}")


def mixed(
    design: Floats, y: Floats, frame: pd.DataFrame, formula: str, *, every: Sequence[Ints] = (), contrast: bool = False
) -> Estimate:
    """The first coefficient of y on the design, in y's unit, with a random intercept for each lineage, by REML.

    Student's t has lineages - 1 degrees of freedom, or those of Satterthwaite where the coefficient is a `contrast`
    between groups; `every` as in `analysis.intervals.clustered`. The note says which share of the variance that the
    design leaves over the lineages hold.
    """
    codes = lineage_codes(frame)
    lineages, formula = len(np.unique(codes)), f"{formula} + (1 | lineage)"
    fewest = min([lineages, *(len(np.unique(codes[rows])) for rows in every)])
    if fewest < MIN_LINEAGES or len(y) <= max(lineages, design.shape[1]):
        note = too_few(lineages, fewest) if fewest < MIN_LINEAGES else "No interval: a lineage for each model."
        value = float(np.linalg.lstsq(design, y, rcond=None)[0][0])
        return Estimate(value, None, None, None, len(y), lineages, "OLS", formula, note=note)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise TooLittle("The models do not tell apart what the line holds equal.")
    fit = random_intercept(design, y, codes)
    value, error = float(fit.coefficients[0]), float(np.sqrt(fit.covariance[0, 0]))
    df = satterthwaite(design, codes) if contrast else lineages - 1
    reach = float(stats.t.ppf(0.975, df)) * error
    note = f"Lineages hold {100 * fit.among / (fit.among + fit.within):.0f} % of the variance around the line."
    return Estimate(
        value, value - reach, value + reach, two_sided(value, error, df), len(y), lineages,
        f"mixed model, REML, t with {df:.3g} df", formula, note=note, std_error=error, df=df,
    )  # fmt: skip
