"""An estimate and its interval: how numbers about models are held against the lineages that they come from.

Least squares go with the jackknife over lineages and Student's t, correlations and robust lines with a bootstrap over
lineages. Either keeps what the number would be without each lineage, so that several of them can be judged together.
Where too few lineages stand behind a number there is no interval, and the note says so. Which number answers what is
left to `analysis.fits` and its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from analysis.resampling import (
    MIN_DRAWN,
    MIN_LINEAGES,
    Bools,
    Bootstrap,
    Floats,
    Ints,
    jackknife,
    lineage_codes,
    satterthwaite,
)

SEED = 0
Without = tuple[tuple[str, float], ...]
"""Name of a lineage, and what the number would be without it."""


class TooLittle(ValueError):
    """Too few models, or no spread among them, for the number that was asked for."""


@dataclass(frozen=True, slots=True)
class Posed:
    """What a number was asked of, so that it can be asked in another way; see `analysis.otherwise`.

    Attributes
    ----------
    kind : which number it is
    frame : the models, a row each
    x, y : columns, as fractions; x is empty where y goes without one
    within : column of the groups within which x and y are held together
    design : columns (n, k) of the least squares whose first coefficient it is, y being the column `y`
    first : (n,) the models of the first side, where two are compared
    """

    kind: Literal["correlation", "line", "contrast", "least squares", "above the line"]
    frame: pd.DataFrame
    x: str
    y: str
    within: str | None = None
    design: Floats | None = None
    first: Bools | None = None

    @property
    def sides(self) -> tuple[Ints, ...]:
        """Rows of either side; none where no two are compared."""
        return () if self.first is None else (np.flatnonzero(self.first), np.flatnonzero(~self.first))


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
    note : why there is no interval, and what a reader should beware of; empty where there is nothing to say
    std_error, df : standard error over lineages, and the degrees of freedom of its Student's t; None as above
    without : the number without each lineage in turn; empty as above
    posed : what it was asked of; None where there is no other way to ask
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
    std_error: float | None = None
    df: float | None = None
    without: Without = field(default=(), repr=False)
    posed: Posed | None = field(default=None, repr=False, compare=False)


def column(frame: pd.DataFrame, name: str) -> Floats:
    """One column as numbers."""
    return frame[name].to_numpy(dtype=float)


def known(frame: pd.DataFrame, *columns: str | None) -> pd.DataFrame:
    """The models of which none of these columns is missing; None names no column."""
    return frame.dropna(subset=[name for name in columns if name is not None])


def need_spread(values: Floats, least: int) -> None:
    """`TooLittle` where there are fewer than `least` values, or they are all the same."""
    if len(values) < least or float(np.ptp(values)) == 0:
        raise TooLittle(
            f"It takes {least} models that differ; there are {len(values)}, with {len(np.unique(values))} values."
        )


def lineages_without(frame: pd.DataFrame, values: Floats) -> Without:
    """Each lineage of the frame, sorted, with the value that was found without it."""
    names = sorted(set(frame["lineage"].astype(str)))
    return tuple((name, float(value)) for name, value in zip(names, values, strict=True))


def two_sided(value: float, std_error: float, df: float) -> float:
    """P value of a number against zero by Student's t, two-sided."""
    return float(2 * stats.t.sf(abs(value) / max(std_error, 1e-300), df))


def bootstrapped(
    found: Bootstrap, frame: pd.DataFrame, formula: str, seed: int, *, p: float | None = None, rows: Ints | None = None
) -> Estimate:
    """A bootstrap as an estimate; without a p value of its own, that of estimate / standard error by Student's t.

    Where only some `rows` are what the number is about, n and lineages are theirs.
    """
    codes = lineage_codes(frame)
    about = codes if rows is None else codes[rows]
    n, lineages = len(about), len(np.unique(about))
    if found.low is None or found.std_error is None or found.without is None or found.df is None:
        drawn = len(np.unique(codes))
        note = too_few(drawn, drawn, MIN_DRAWN) if drawn < MIN_DRAWN else "No interval: too few lineages on one side."
        return Estimate(found.estimate, None, None, None, n, lineages, "no interval", formula, note=note)
    p = two_sided(found.estimate, found.std_error, found.df) if p is None else p
    kept = lineages_without(frame, found.without) if np.isfinite(found.without).all() else ()
    return Estimate(
        found.estimate, found.low, found.high, p, n, lineages, "bootstrap over lineages, expanded percentiles", formula,
        seed, std_error=found.std_error, df=found.df, without=kept,
    )  # fmt: skip


def clustered(
    design: Floats, y: Floats, frame: pd.DataFrame, formula: str, *, every: Sequence[Ints] = (), contrast: bool = False
) -> Estimate:
    """The first coefficient of least squares, with the jackknife over the lineages of the frame's rows.

    There is no interval where all rows, or one of the groups of rows in `every`, come from too few lineages: without
    its only lineage a group is not there. Student's t has lineages - 1 degrees of freedom, or those of Satterthwaite
    where the coefficient is a `contrast` between groups.
    """
    codes = lineage_codes(frame)
    lineages = len(np.unique(codes))
    fit = jackknife(design, y, codes)
    fewest = min([lineages, *(len(np.unique(codes[rows])) for rows in every)])
    value, error = float(fit.coefficients[0]), float(np.sqrt(fit.covariance[0, 0]))
    if fewest < MIN_LINEAGES or len(y) <= design.shape[1]:
        return Estimate(value, None, None, None, len(y), lineages, "OLS", formula, note=too_few(lineages, fewest))
    method = "OLS, jackknife over lineages (CV3)"
    kept = lineages_without(frame, fit.without[:, 0])
    df = satterthwaite(design, codes) if contrast else lineages - 1
    return by_student(value, error, df, n=len(y), method=method, formula=formula, without=kept)


def by_student(
    value: float, std_error: float, df: float, *, n: int, method: str, formula: str, without: Without
) -> Estimate:
    """A number with its jackknife as an estimate: 95 % interval and p by Student's t."""
    reach = float(stats.t.ppf(0.975, df)) * std_error
    p = two_sided(value, std_error, df)
    return Estimate(
        value, value - reach, value + reach, p, n, len(without), f"{method}, t with {df:.3g} df", formula,
        std_error=std_error, df=df, without=without,
    )  # fmt: skip


def too_few(lineages: int, fewest: int, needed: int = MIN_LINEAGES) -> str:
    """Why there is no interval: of all lineages, or of those on the side that has fewest."""
    if fewest < needed:
        where = "" if fewest == lineages else " on one side"
        return f"No interval: {fewest} {'lineage' if fewest == 1 else 'lineages'}{where}, and it takes {needed}."
    return "No interval: too few models."
