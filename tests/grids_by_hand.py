"""Frames of models whose true slopes and correlations are known: 30 lineages, three sources, errors of measurement."""

from __future__ import annotations

import numpy as np
import pandas as pd

SLOPES = {"a": 0.9, "b": 0.5, "c": 0.5}
AMONG, WITHIN = 0.08, 0.05  # standard deviation of accuracy among lineages, and within one
SHARED, OWN = 0.04, 0.03  # the same of the distance from the line
MEASURED = 0.004  # standard error of an accuracy of 0.8 over 10,000 images


def true_correlation() -> float:
    """Of x and y within sources, over all sources."""
    slopes, of_x = np.array(list(SLOPES.values())), AMONG**2 + WITHIN**2
    of_y = (slopes**2).mean() * of_x + SHARED**2 + OWN**2
    return float(slopes.mean() * np.sqrt(of_x / of_y))


def grid(seed: int, *, lineages: int = 30, per_lineage: int = 4, measured: float = MEASURED) -> pd.DataFrame:
    """One row per model: x and y as measured, their standard errors, source, lineage."""
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(lineages), per_lineage)
    source = np.array(list(SLOPES))[member % len(SLOPES)]
    true_x = 0.7 + AMONG * rng.normal(size=lineages)[member] + WITHIN * rng.normal(size=len(member))
    off = SHARED * rng.normal(size=lineages)[member] + OWN * rng.normal(size=len(member))
    level = pd.Series(source).map({"a": 0.1, "b": 0.3, "c": 0.5}).to_numpy()
    true_y = level + pd.Series(source).map(SLOPES).to_numpy() * true_x + off
    columns = {
        "x": true_x + measured * rng.normal(size=len(member)),
        "y": true_y + measured * rng.normal(size=len(member)),
        "x_std_error": measured,
        "y_std_error": measured,
        "source": source,
        "lineage": [f"l{number}" for number in member],
    }
    return pd.DataFrame(columns, index=[f"m{number}" for number in range(len(member))])
