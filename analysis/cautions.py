"""What a reader of an estimate should beware of, as sentences that become its note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.intervals import Estimate, column
from analysis.resampling import slope

FEW = 10
NEAR_END = 0.02
SATURATED = 0.25
"""Where more than this share of models lies so close to 0 or 1, an axis has no room left to tell them apart."""


def of_lineages(made: Estimate) -> Estimate:
    """The estimate with what its lineages say in its note: that they are few, or that one of them carries it."""
    return _noted(made, [*_few(made), *_carried(made)])


def of_models(made: Estimate, frame: pd.DataFrame, x: str, y: str, *, groups: str | None = None) -> Estimate:
    """The estimate with what its models say in its note: Simpson's paradox, models there twice, saturated axes."""
    said = [*_twice(frame, (x, y)), *_saturated(frame, (x, y))]
    return _noted(made, said + (_simpson(frame, x, y, groups) if groups else []))


def _noted(made: Estimate, said: Sequence[str]) -> Estimate:
    return replace(made, note=" ".join([*([made.note] if made.note else []), *said]))


def _few(made: Estimate) -> list[str]:
    if made.low is None or made.lineages >= FEW:
        return []
    return [f"Only {made.lineages} lineages: the interval leans on the normal distribution."]


def _carried(made: Estimate) -> list[str]:
    """One lineage without which the sign turns, or the number leaves its own interval."""
    if made.low is None or made.high is None or not made.without:
        return []
    name, value = max(made.without, key=lambda each: abs(each[1] - made.estimate))
    if made.low <= value <= made.high and (value > 0) == (made.estimate > 0):
        return []
    return [f"Lineage '{name}' carries it: {made.estimate:.3g} becomes {value:.3g} without it."]


def _simpson(frame: pd.DataFrame, x: str, y: str, groups: str) -> list[str]:
    """Pooled and common within-group slopes of different sign."""
    kept = frame[frame.groupby(groups)[x].transform("size") > 1]
    if kept[groups].nunique() < 2:
        return []
    a, b, ones = column(kept, x), column(kept, y), np.ones((1, len(kept)))
    member = pd.factorize(kept[groups])[0].astype(np.int64)
    pooled, within = float(slope(a, b, ones)[0]), float(slope(a, b, ones, member)[0])
    if not pooled * within < 0:
        return []
    return [f"The slope is {within:.3g} within '{groups}' and {pooled:.3g} over all: their signs disagree (Simpson)."]


def _twice(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Models that agree in every digit, as only copies do."""
    same = frame.duplicated(list(columns), keep=False)
    if not same.any():
        return []
    names = sorted(map(str, frame.index[same]))
    named = ", ".join(f"'{name}'" for name in names[:4]) + ("" if len(names) <= 4 else f" and {len(names) - 4} more")
    return [f"{named} agree in every digit: are they copies?"]


def _saturated(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    said = []
    for name in columns:
        values = column(frame, name)
        share = float(((values < NEAR_END) | (values > 1 - NEAR_END)).mean())
        if values.min() >= 0 and values.max() <= 1 and share > SATURATED:
            said.append(f"'{name}' is saturated: {100 * share:.0f} % of models lie within 2 points of 0 or 1.")
    return said
