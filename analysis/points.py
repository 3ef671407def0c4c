"""The rows that figures draw: models as points, lines and bands through them.

A row of a model holds its name, its series and its place; its other facts are in one table that all figures share
(`facts`), so that a page of many figures holds them once.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import evidence, lines
from analysis.display import words
from analysis.evidence import BASELINE, ZERO_SHOT
from analysis.fits import TooLittle
from analysis.results import Results

LOOKED_UP = ("about", "lineage", "acceptance")
INTERVAL = 1.959963984540054
WIDEST = 0.5
"""Bands that take up a larger share of a panel hide it, and say no more than that little is known."""


def facts(results: Results) -> list[dict[str, str]]:
    """What a figure tells of a model besides its place: ``model``, ``about``, ``lineage``, ``acceptance``."""
    models = results.distinct
    also = models["also_named"].map(lambda names: f"; also named {names}" if names else "")
    about = models["group"].map(words) + ", " + models["train_source"] + also
    rows = zip(models.index, about, models["lineage"], models["acceptance"], strict=True)
    return [dict(zip(("model", *LOOKED_UP), map(str, row), strict=True)) for row in rows]


def by_source(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with ``series``: the training source of a zero-shot model, the group of any other."""
    is_zero_shot = frame["family"] == ZERO_SHOT
    return frame.assign(series=frame["train_source"].where(is_zero_shot, frame["group"].map(words)))


def by_group(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with ``series``: the group of each model."""
    return frame.assign(series=frame["group"].map(words))


def placed(frame: pd.DataFrame) -> pd.DataFrame:
    """``model`` and ``series`` of each row; what else is known of a model, a chart looks up."""
    return pd.DataFrame({"model": frame.index, "series": frame["series"].to_numpy()}, index=frame.index)


def points(frame: pd.DataFrame, x: str, y: str, panel: str) -> pd.DataFrame:
    """A point for each model, with the ends of its 95 % interval over images (``low``, ``high``) where it has one."""
    rows = placed(frame).assign(kind="model", panel=panel, x=frame[x].round(5), y=frame[y].round(5))
    reach = INTERVAL * frame[f"{y}_std_error"] if f"{y}_std_error" in frame else pd.Series(np.nan, index=frame.index)
    return rows.assign(low=(frame[y] - reach).round(5), high=(frame[y] + reach).round(5))


def bands(frame: pd.DataFrame, x: str, y: str, panel: str) -> pd.DataFrame:
    """The least-squares line of each training source of the zero-shot models, with its 95 % band over lineages."""
    parts = []
    for source, members in evidence.sources(evidence.zero_shot(frame)):
        at = np.linspace(members[x].min(), members[x].max(), 16)
        try:
            band = lines.band(members, x, y, at)
        except TooLittle:
            continue
        band = pd.DataFrame({"x": at, "y": band[y], "low": band["low"].clip(0, 1), "high": band["high"].clip(0, 1)})
        parts.append(band.round(5).assign(kind="line", panel=panel, series=source))
    return pd.concat(parts) if parts else pd.DataFrame()


def without_wide_bands(data: pd.DataFrame) -> pd.DataFrame:
    """The rows without those bands that would hide a panel; their lines stay."""
    models, line = data["kind"] == "model", data["kind"] == "line"
    room = data.loc[models, "y"].max() - data.loc[models, "y"].min()
    widest = (data["high"] - data["low"]).where(line).groupby([data["panel"], data["series"]]).transform("max")
    kept = ~(line & (widest > WIDEST * room))
    return data.assign(low=data["low"].where(kept), high=data["high"].where(kept))


def baseline(frame: pd.DataFrame, x: str, y: str, panel: str) -> pd.DataFrame:
    """The standard models' robust line, fitted on logits; nothing where there are too few of them."""
    at = np.linspace(max(frame[x].min(), 0.005), min(frame[x].max(), 0.995), 24)
    try:
        line = lines.robust_line(frame[frame["group"] == BASELINE], x, y, at)
    except TooLittle:
        return pd.DataFrame()
    return pd.DataFrame(
        {"x": at.round(5), "y": line.round(5), "kind": "line", "panel": panel, "series": words(BASELINE)}
    )
