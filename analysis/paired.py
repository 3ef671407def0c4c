"""Numbers about models at equal size and training, and about the same model before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.fits import mean
from analysis.intervals import Estimate, TooLittle, by_student, column, lineages_without, need_spread, too_few
from analysis.resampling import MIN_LINEAGES, Floats, lineage_codes, spread


def change(frame: pd.DataFrame, before: str, after: str) -> Estimate:
    """Mean of `after` minus `before` over models, in their unit; the same model and images on both sides."""
    moved = frame.assign(difference=frame[after] - frame[before])
    return mean(moved, "difference", formula=f"{after} - {before}, same model")


def wins(frame: pd.DataFrame, before: str, after: str) -> Estimate:
    """Share of models for which `after` is larger than `before`, minus one half; a tie counts as half a win."""
    sign = np.sign(column(frame, after) - column(frame, before)) / 2
    return mean(frame.assign(sign=sign), "sign", formula=f"share({after} > {before}) - 1/2, same model")


def partial_correlation(frame: pd.DataFrame, x: str, y: str, *, given: Sequence[str]) -> Estimate:
    """Pearson correlation of x and y, -1 to 1, at equal `given` columns (numbers, or names as groups).

    What a least-squares fit of each on `given` leaves over is correlated. The jackknife over lineages is on Fisher's z
    and Student's t has lineages - 1 degrees of freedom.
    """
    frame = frame.dropna(subset=[x, y, *given])
    numbers = [pd.api.types.is_numeric_dtype(frame[name]) for name in given]
    kept = {
        name: frame[name] if number else frame[name].astype(str) for name, number in zip(given, numbers, strict=True)
    }
    design = pd.get_dummies(pd.DataFrame(kept), dtype=float).assign(one=1.0).to_numpy(dtype=float)
    a, b, codes = column(frame, x), column(frame, y), lineage_codes(frame)
    if len(frame) < 3 + np.linalg.matrix_rank(design):
        raise TooLittle(f"{len(frame)} models are too few for a correlation at equal {', '.join(given)}.")

    def of(rows: Floats) -> float:
        here = rows.astype(bool)
        left = [each[here] - design[here] @ np.linalg.lstsq(design[here], each[here], rcond=None)[0] for each in (a, b)]
        for each, whole in zip(left, (a, b), strict=True):
            need_spread(np.where(np.abs(each) < 1e-12 * max(1.0, np.abs(whole).max()), 0.0, each), 3)
        return float(np.arctanh(np.clip(np.corrcoef(*left)[0, 1], -1 + 1e-15, 1 - 1e-15)))

    z, lineages = of(np.ones(len(a))), len(np.unique(codes))
    formula = f"pearson({x}, {y} | {', '.join(given)})"
    if lineages < MIN_LINEAGES:
        note = too_few(lineages, lineages)
        return Estimate(float(np.tanh(z)), None, None, None, len(a), lineages, "no interval", formula, note=note)
    without = np.array([of(codes != code) for code in range(lineages)])
    made = by_student(
        z, spread(z, without), lineages - 1, n=len(a), method="Fisher's z, jackknife over lineages", formula=formula,
        without=lineages_without(frame, np.tanh(without)),
    )  # fmt: skip
    return _back(made)


def _back(made: Estimate) -> Estimate:
    """An estimate on Fisher's z as one of the correlation."""
    r = float(np.tanh(made.estimate))
    low, high = (None if each is None else float(np.tanh(each)) for each in (made.low, made.high))
    error = None if made.std_error is None else made.std_error * (1 - r**2)
    return Estimate(
        r, low, high, made.p, made.n, made.lineages, made.method, made.formula, std_error=error, df=made.df,
        without=made.without,
    )  # fmt: skip
