"""Correlations, lines and contrasts across models, with intervals that cluster on lineage.

Every function takes a frame of one row per model (columns of numbers, and ``lineage``) and gives an `Estimate` over the
models that have all of its columns; how its interval is made is left to `analysis.intervals`, and what it answers to
`analysis.questions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special, stats

from analysis.intervals import (
    SEED,
    Estimate,
    Posed,
    TooLittle,
    bootstrapped,
    clustered,
    column,
    known,
    need_spread,
    too_few,
)
from analysis.resampling import Floats, Ints, bootstrap, kendall, lineage_codes, pearson, spearman
from analysis.resampling import slope as weighted_slope
from analysis.robust import huber_line

__all__ = [
    "AXES", "FROM_AXIS", "SEED", "Estimate", "TooLittle", "benjamini_hochberg", "contrast", "correlation", "fisher",
    "holm", "huber_slope", "mean", "on_axis", "pooled_minus_within", "slope", "slope_difference", "too_few",
]  # fmt: skip

Axis = Callable[[Floats], Floats]
AXES: dict[str, Axis] = {"fraction": np.positive, "logit": special.logit, "probit": special.ndtri}
FROM_AXIS: dict[str, Axis] = {"fraction": np.positive, "logit": special.expit, "probit": special.ndtr}
KINDS = {"pearson": pearson, "spearman": spearman, "kendall": kendall}


def on_axis(frame: pd.DataFrame, columns: Sequence[str], axis: str) -> pd.DataFrame:
    """The models that have all of these columns, with these on another axis.

    Models with a 0 or a 1 in them are left out of logit and probit. A number beyond that is no share, and is refused.
    """
    frame = known(frame, *columns)
    if axis == "fraction":
        return frame
    for name in columns:
        if len(frame) and not frame[name].between(0, 1).all():
            far = frame.loc[~frame[name].between(0, 1), name].iloc[0]
            raise ValueError(
                f"'{name}' is {far:g} somewhere, and a {axis} takes shares from 0 to 1: divide percent by 100."
            )
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

    `kind` is pearson, spearman or kendall (tau-b). `within` takes the deviations from the means of the groups of that
    column (groups of one model are left out). The p value is that of the least-squares slope (of the ranks, where not
    Pearson).
    """
    if kind not in KINDS:
        raise ValueError(f"No correlation '{kind}'. Take one of: {', '.join(KINDS)}.")
    if kind != "pearson" and within is not None:
        raise ValueError(f"{kind.capitalize()} within groups is not defined here; take Pearson.")
    frame = known(frame, x, y, within)
    if within is not None:
        frame = frame[frame.groupby(within)[x].transform("size") > 1]
    need_spread(column(frame, x), 3)
    need_spread(column(frame, y), 3)
    groups = None if within is None else pd.factorize(frame[within])[0].astype(np.int64)
    if kind != "pearson":
        frame = frame.assign(**{x: frame[x].rank(), y: frame[y].rank()})
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)

    def statistic(weights: Floats) -> Floats:
        return pearson(a, b, weights, groups) if kind == "pearson" else KINDS[kind](a, b, weights)

    found = bootstrap(statistic, codes, seed=seed)
    if not np.isfinite(found.estimate):
        raise TooLittle("The models do not differ within their groups.")
    formula = f"{kind}({x}, {y})" + (f" within {within}" if within else "")
    made = bootstrapped(found, frame, formula, seed, p=clustered(_design(a, groups), b, frame, "").p)
    return replace(made, posed=Posed("correlation", frame, x, y, within)) if kind == "pearson" else made


def huber_slope(frame: pd.DataFrame, x: str, y: str, *, axis: str = "fraction", seed: int = SEED) -> Estimate:
    """Slope of the robust line of y on x (y's unit per unit of x), with a bootstrap over lineages.

    Huber's weights at 1.345 times the scale, as in `analysis.robust.huber_line`.
    """
    frame = on_axis(frame, (x, y), axis)
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)
    need_spread(a, 3)
    found = bootstrap(lambda weights: huber_line(a, b, weights)[0], codes, seed=seed)
    return bootstrapped(found, frame, f"Huber: {_on(axis, x, y)}", seed)


def _on(axis: str, x: str, y: str) -> str:
    return f"{axis}({y}) ~ {axis}({x})" if axis != "fraction" else f"{y} ~ {x}"


def slope(
    frame: pd.DataFrame, x: str, y: str, *, within: str | None = None, given: str | None = None, axis: str = "fraction"
) -> Estimate:
    """Least-squares slope of y on x (y's unit per unit of x), or the common slope of parallel lines `within` groups.

    At equal `given`, a column, where one is named.
    """
    frame = on_axis(known(frame, within, given), (x, y), axis)
    a, b = column(frame, x), column(frame, y)
    need_spread(a, 3)
    groups = None if within is None else pd.factorize(frame[within])[0].astype(np.int64)
    more = [] if given is None else [column(frame, given)]
    formula = " + ".join(filter(None, (_on(axis, x, y), within, given)))
    design = np.column_stack([_design(a, groups), *more])
    made = clustered(design, b, frame, formula)
    if axis != "fraction":
        return made
    kind: Literal["line", "least squares"] = "line" if within is None and given is None else "least squares"
    return replace(made, posed=Posed(kind, frame, x, y, within, design))


def slope_difference(frame: pd.DataFrame, x: str, y: str, *, by: str, first: str, second: str) -> Estimate:
    """Slope in the `first` group minus slope in the `second`, in one model with a line for each (ANCOVA)."""
    frame = known(frame[frame[by].isin([first, second])], x, y)
    of_first = (frame[by] == first).to_numpy()
    a, b = column(frame, x), column(frame, y)
    for member in (of_first, ~of_first):
        need_spread(a[member], 3)
    design = np.column_stack([a * of_first, a, np.ones(len(a)), of_first])
    sides = (np.flatnonzero(of_first), np.flatnonzero(~of_first))
    made = clustered(design, b, frame, f"{y} ~ {x} * {by}: {first} - {second}", every=sides)
    return replace(made, posed=Posed("least squares", frame, x, y, design=design, first=of_first))


def pooled_minus_within(frame: pd.DataFrame, x: str, y: str, *, groups: str, seed: int = SEED) -> Estimate:
    """Slope of y on x through all models minus the common slope within groups, with a bootstrap over lineages."""
    frame = known(frame, x, y, groups)
    frame = frame[frame.groupby(groups)[x].transform("size") > 1]
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)
    need_spread(a, 3)
    member = pd.factorize(frame[groups])[0].astype(np.int64)

    def statistic(weights: Floats) -> Floats:
        return weighted_slope(a, b, weights) - weighted_slope(a, b, weights, member)

    found = bootstrap(statistic, codes, seed=seed)
    if not np.isfinite(found.estimate):
        raise TooLittle("The models do not differ within their groups.")
    return bootstrapped(found, frame, f"slope({y} ~ {x}) - slope({y} ~ {x} + {groups})", seed)


def contrast(frame: pd.DataFrame, y: str, is_first: pd.Series, *, given: str | None = None) -> Estimate:
    """Mean of y over the models of `is_first` minus that over the others, in y's unit; at equal `given` where named."""
    frame = known(frame, y, given)
    first = is_first[frame.index].to_numpy(dtype=bool)
    if min(first.sum(), (~first).sum()) < 2:
        raise TooLittle(f"A contrast needs two models on each side; there are {first.sum()} and {(~first).sum()}.")
    columns = [first, np.ones(len(first))] + ([] if given is None else [column(frame, given)])
    design = np.column_stack(columns)
    posed = Posed("contrast", frame, given or "", y, design=design, first=first)
    formula = f"{y} ~ group" + (f" + {given}" if given else "")
    made = clustered(design, column(frame, y), frame, formula, every=posed.sides, contrast=True)
    return replace(made, posed=posed)


def mean(frame: pd.DataFrame, name: str, *, formula: str) -> Estimate:
    """Mean of a column, as of differences within pairs, in its unit."""
    frame = known(frame, name)
    values = column(frame, name)
    if len(values) < 2:
        raise TooLittle(f"A mean with an interval needs two pairs or models; there is {len(values)}.")
    return clustered(np.ones((len(values), 1)), values, frame, formula)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979) of the p values of one family, in their order."""
    order = np.argsort(p_values)
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini & Hochberg's adjustment (1995): the false discovery rate at which each would be called, in order."""
    return [float(value) for value in stats.false_discovery_control(p_values)] if len(p_values) else []


def _design(a: Floats, groups: Ints | None) -> Floats:
    groups = np.zeros(len(a), dtype=np.int64) if groups is None else groups
    return np.column_stack([a, np.eye(int(groups.max()) + 1)[groups]])
