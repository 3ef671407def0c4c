"""Correlations, lines and contrasts across models, with intervals that cluster on lineage.

Every function takes a frame of one row per model (columns of numbers, and ``lineage``) and gives an `Estimate`. Least
squares go with the jackknife over lineages and Student's t at lineages - 1 degrees of freedom, correlations with a
bootstrap over lineages. Where too few lineages stand behind a number there is no interval, and the note says so. What
the estimates answer is left to `analysis.questions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special, stats

from analysis.resampling import (
    MIN_DRAWN,
    MIN_LINEAGES,
    Bootstrap,
    Floats,
    Ints,
    bootstrap,
    jackknife,
    lineage_codes,
    pearson,
    spearman,
)
from analysis.resampling import slope as weighted_slope

Axis = Callable[[Floats], Floats]
AXES: dict[str, Axis] = {"fraction": np.positive, "logit": special.logit, "probit": special.ndtri}
FROM_AXIS: dict[str, Axis] = {"fraction": np.positive, "logit": special.expit, "probit": special.ndtr}
SEED = 0


class TooLittle(ValueError):
    """Too few models, or no spread among them, for the number that was asked for."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and how far it can be trusted.

    Attributes
    ----------
    estimate, low, high : the number and its 95 % interval; None where too few lineages stand behind it
    p : of the hypothesis that it is zero, two-sided; None as above
    n, lineages : models, and lineages among them
    method, formula : how the interval was made; what was fitted
    seed : of the draws; None where nothing was drawn
    note : why there is no interval; empty where there is one
    """

    estimate: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    lineages: int
    method: str
    formula: str
    seed: int | None = None
    note: str = ""


def on_axis(frame: pd.DataFrame, columns: Sequence[str], axis: str) -> pd.DataFrame:
    """The frame with these columns on another axis; rows with a 0 or a 1 in them are left out of logit and probit."""
    if axis == "fraction":
        return frame
    inside = ((frame[list(columns)] > 0) & (frame[list(columns)] < 1)).all(axis=1)
    return frame[inside].assign(**{name: AXES[axis](frame.loc[inside, name].to_numpy(dtype=float)) for name in columns})


def fisher(correlation: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a Pearson correlation by Fisher's z, as if the n models were independent."""
    if n < 4:
        raise TooLittle(f"Fisher's z needs 4 models; there are {n}.")
    reach = stats.norm.ppf(0.5 + level / 2) / np.sqrt(n - 3)
    with np.errstate(divide="ignore"):
        low, high = np.tanh(np.arctanh(correlation) + np.array([-reach, reach]))
    return float(low), float(high)


def correlation(
    frame: pd.DataFrame, x: str, y: str, *, kind: str = "pearson", within: str | None = None, seed: int = SEED
) -> Estimate:
    """Correlation of two columns, -1 to 1, with a bootstrap over lineages.

    `within` takes the deviations from the means of the groups of that column (groups of one model are left out). The
    p value is that of the least-squares slope (of the ranks, where Spearman).
    """
    if within is not None:
        frame = frame[frame.groupby(within)[x].transform("size") > 1]
    need_spread(column(frame, x), 3)
    need_spread(column(frame, y), 3)
    groups = None if within is None else pd.factorize(frame[within])[0].astype(np.int64)
    if kind == "spearman" and within is not None:
        raise ValueError("Spearman within groups is not defined here; take Pearson.")
    if kind == "spearman":
        frame = frame.assign(**{x: frame[x].rank(), y: frame[y].rank()})
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)

    def statistic(weights: Floats) -> Floats:
        return spearman(a, b, weights) if kind == "spearman" else pearson(a, b, weights, groups)

    found = bootstrap(statistic, codes, seed=seed)
    if not np.isfinite(found.estimate):
        raise TooLittle("The models do not differ within their groups.")
    formula = f"{kind}({x}, {y})" + (f" within {within}" if within else "")
    return bootstrapped(found, codes, formula, seed, p=clustered(_design(a, groups), b, codes, "").p)


def slope(frame: pd.DataFrame, x: str, y: str, *, within: str | None = None, axis: str = "fraction") -> Estimate:
    """Least-squares slope of y on x (y's unit per unit of x), or the common slope of parallel lines `within` groups."""
    frame = on_axis(frame, (x, y), axis)
    a, b = column(frame, x), column(frame, y)
    need_spread(a, 3)
    groups = None if within is None else pd.factorize(frame[within])[0].astype(np.int64)
    both = f"{axis}({y}) ~ {axis}({x})" if axis != "fraction" else f"{y} ~ {x}"
    return clustered(_design(a, groups), b, lineage_codes(frame), both + (f" + {within}" if within else ""))


def slope_difference(frame: pd.DataFrame, x: str, y: str, *, by: str, first: str, second: str) -> Estimate:
    """Slope in the `first` group minus slope in the `second`, in one model with a line for each (ANCOVA)."""
    frame = frame[frame[by].isin([first, second])]
    of_first = (frame[by] == first).to_numpy()
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)
    for member in (of_first, ~of_first):
        need_spread(a[member], 3)
    design = np.column_stack([a * of_first, a, np.ones(len(a)), of_first])
    sides = (np.flatnonzero(of_first), np.flatnonzero(~of_first))
    return clustered(design, b, codes, f"{y} ~ {x} * {by}: {first} - {second}", every=sides)


def pooled_minus_within(frame: pd.DataFrame, x: str, y: str, *, groups: str, seed: int = SEED) -> Estimate:
    """Slope of y on x through all models minus the common slope within groups, with a bootstrap over lineages."""
    frame = frame[frame.groupby(groups)[x].transform("size") > 1]
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)
    need_spread(a, 3)
    member = pd.factorize(frame[groups])[0].astype(np.int64)

    def statistic(weights: Floats) -> Floats:
        return weighted_slope(a, b, weights) - weighted_slope(a, b, weights, member)

    found = bootstrap(statistic, codes, seed=seed)
    if not np.isfinite(found.estimate):
        raise TooLittle("The models do not differ within their groups.")
    return bootstrapped(found, codes, f"slope({y} ~ {x}) - slope({y} ~ {x} + {groups})", seed)


def contrast(frame: pd.DataFrame, y: str, is_first: pd.Series, *, given: str | None = None) -> Estimate:
    """Mean of y over the models of `is_first` minus that over the others, in y's unit; at equal `given` where named."""
    first = is_first.to_numpy(dtype=bool)
    if min(first.sum(), (~first).sum()) < 2:
        raise TooLittle(f"A contrast needs two models on each side; there are {first.sum()} and {(~first).sum()}.")
    columns = [first, np.ones(len(first))] + ([] if given is None else [column(frame, given)])
    sides = (np.flatnonzero(first), np.flatnonzero(~first))
    formula = f"{y} ~ group" + (f" + {given}" if given else "")
    return clustered(np.column_stack(columns), column(frame, y), lineage_codes(frame), formula, every=sides)


def mean(frame: pd.DataFrame, name: str, *, formula: str) -> Estimate:
    """Mean of a column, as of differences within pairs, in its unit."""
    values = column(frame, name)
    if len(values) < 2:
        raise TooLittle(f"A mean with an interval needs two pairs or models; there is {len(values)}.")
    codes = np.unique(frame["lineage"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)
    return clustered(np.ones((len(values), 1)), values, codes, formula)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979) of the p values of one family, in their order."""
    order = np.argsort(p_values)
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return [float(value) for value in adjusted]


def column(frame: pd.DataFrame, name: str) -> Floats:
    """One column as numbers."""
    return frame[name].to_numpy(dtype=float)


def need_spread(values: Floats, least: int) -> None:
    """`TooLittle` where there are fewer than `least` values, or they are all the same."""
    if len(values) < least or float(np.ptp(values)) == 0:
        raise TooLittle(
            f"It takes {least} models that differ; there are {len(values)}, with {len(np.unique(values))} values."
        )


def bootstrapped(
    found: Bootstrap, codes: Ints, formula: str, seed: int, *, p: float | None = None, rows: Ints | None = None
) -> Estimate:
    """A bootstrap as an estimate; without a p value of its own, that of estimate / standard error by Student's t.

    Where only some `rows` are what the number is about, n and lineages are theirs.
    """
    about = codes if rows is None else codes[rows]
    lineages = len(np.unique(about))
    if found.low is None or found.std_error is None:
        drawn = len(np.unique(codes))
        note = too_few(drawn, drawn, MIN_DRAWN) if drawn < MIN_DRAWN else "No interval: too few lineages on one side."
        return Estimate(found.estimate, None, None, None, len(about), lineages, "no interval", formula, note=note)
    if p is None:
        t = abs(found.estimate) / max(found.std_error, 1e-300)
        p = float(2 * stats.t.sf(t, codes.max()))
    method = "bootstrap over lineages, expanded percentiles"
    return Estimate(found.estimate, found.low, found.high, p, len(about), lineages, method, formula, seed)


def clustered(design: Floats, y: Floats, codes: Ints, formula: str, *, every: Sequence[Ints] = ()) -> Estimate:
    """The first coefficient of least squares, with the jackknife over lineages.

    There is no interval where all rows, or one of the groups of rows in `every`, come from too few lineages: without
    its only lineage a group is not there.
    """
    lineages = len(np.unique(codes))
    values, covariance = jackknife(design, y, codes)
    value, error = float(values[0]), float(np.sqrt(covariance[0, 0]))
    fewest = min([lineages, *(len(np.unique(codes[rows])) for rows in every)])
    if fewest < MIN_LINEAGES or len(y) <= design.shape[1]:
        return Estimate(value, None, None, None, len(y), lineages, "OLS", formula, note=too_few(lineages, fewest))
    reach = float(stats.t.ppf(0.975, lineages - 1)) * error
    p = float(2 * stats.t.sf(abs(value) / max(error, 1e-300), lineages - 1))
    method = f"OLS, jackknife over lineages (CV3), t with {lineages - 1} df"
    return Estimate(value, value - reach, value + reach, p, len(y), lineages, method, formula)


def too_few(lineages: int, fewest: int, needed: int = MIN_LINEAGES) -> str:
    """Why there is no interval: of all lineages, or of those on the side that has fewest."""
    if fewest < needed:
        where = "" if fewest == lineages else " on one side"
        return f"No interval: {fewest} {'lineage' if fewest == 1 else 'lineages'}{where}, and it takes {needed}."
    return "No interval: too few models."


def _design(a: Floats, groups: Ints | None) -> Floats:
    groups = np.zeros(len(a), dtype=np.int64) if groups is None else groups
    return np.column_stack([a, np.eye(int(groups.max()) + 1)[groups]])
