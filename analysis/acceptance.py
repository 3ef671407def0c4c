"""Which models are what they say they are: top-1 against the published one, and the same weights under two names.

A model that differs is marked in every table and figure, and stays in every fit: it is real, whatever it is. A model
whose weights another one has too is left out of every fit and figure, for it is no second draw; tables keep it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

OK, DIFFERS, UNCHECKED = "ok", "differs", "not checked"
ROUNDING = 0.00005
"""Published accuracies and tolerances have four decimals, so a gap is only known to half of the last one."""


def checks(measurements: pd.DataFrame) -> pd.DataFrame:
    """Every comparison with a published accuracy, by model and image set: ``gap``, ``tolerance``, and if it ``fits``.

    Gaps are measured minus published, as fractions.
    """
    rows = measurements[measurements["study"] == "acceptance"]
    keys = ["model", "head", "image_set", "subset", "method"]
    gaps, tolerances = (
        rows.loc[rows["metric"] == metric, [*keys, "value"]].rename(columns={"value": name})
        for metric, name in (("top1_gap", "gap"), ("top1_gap_tolerance", "tolerance"))
    )
    made = gaps.merge(tolerances, on=keys).sort_values(keys, ignore_index=True)
    fits = made["gap"].abs() <= made["tolerance"] + ROUNDING
    return made[["model", "image_set", "gap", "tolerance"]].assign(fits=fits)


def marks(measurements: pd.DataFrame, names: pd.Index) -> pd.Series:
    """The mark of each of the models `names`: ``ok``, ``differs: imagenet +0.0213``, or ``not checked``."""
    said = {}
    for model, each in checks(measurements).groupby("model"):
        off = [f"{row.image_set} {row.gap:+.4f}" for row in each[~each["fits"]].itertuples()]
        said[model] = f"{DIFFERS}: {', '.join(off)}" if off else OK
    return pd.Series([said.get(name, UNCHECKED) for name in names], index=names, dtype=object)


def stands_for(duplicate_of: Mapping[str, str]) -> dict[str, str]:
    """The model that stands for each of those which only repeat its weights; `duplicate_of` names every model.

    A name that is not among the models counts for nothing. Where models name each other in a ring, the first by name
    stands for them.
    """
    found = {name: _last(name, duplicate_of) for name in duplicate_of}
    return {name: other for name, other in found.items() if other != name}


def _last(name: str, duplicate_of: Mapping[str, str]) -> str:
    path = [name]
    while (after := duplicate_of[path[-1]]) in duplicate_of:
        if after in path:
            return min(path[path.index(after) :])
        path.append(after)
    return path[-1]
