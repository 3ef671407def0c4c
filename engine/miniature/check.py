"""Whether the miniature shows something: five criteria on its results, without which a study of it would be of equals.

Reads the tables of RESULTS as anyone could, with pandas alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

CLEAN = "digits"
ACCURACY_SPREAD = 0.30
BEST_ZERO_SHOT = 0.70
AUROC_SPREAD = 0.15
SHAPE_BIAS_SPREAD = 0.20


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something that must hold, and the number that decides it."""

    text: str
    holds: bool


def check(results: Path) -> bool:
    """Whether every criterion holds; each is printed with its number."""
    models = pd.read_parquet(results / "models.parquet").set_index("name")
    rows = pd.concat([pd.read_parquet(file) for file in sorted((results / "measurements").glob("*.parquet"))])
    criteria = list(_criteria(rows.join(models[["family", "group"]], on="model")))
    for criterion in criteria:
        print(f"{'ok    ' if criterion.holds else 'FAILED'} {criterion.text}")
    return all(criterion.holds for criterion in criteria)


def _criteria(rows: pd.DataFrame) -> Iterator[Criterion]:
    top1 = rows[(rows["study"] == "shift") & (rows["metric"] == "top1")]
    clean = top1[(top1["image_set"] == CLEAN) & (top1["subset"] == "all")]
    spread = float(clean["value"].max() - clean["value"].min())
    yield Criterion(
        f"clean accuracies of {clean['model'].nunique()} models spread over {100 * spread:.1f} points (at least 30)",
        spread >= ACCURACY_SPREAD,
    )
    best = float(clean.loc[clean["family"] == "zero_shot_clip", "value"].max())
    yield Criterion(f"the best zero-shot CLIP has {100 * best:.1f} % (above 70)", best > BEST_ZERO_SHOT)
    yield from _costs(top1[top1["method"] == "masked"])
    yield _out_sets(rows[(rows["study"] == "ood") & (rows["metric"] == "auroc")])
    yield _shape_bias(rows[(rows["study"] == "shape") & (rows["metric"] == "shape_bias")])


def _costs(masked: pd.DataFrame) -> Iterator[Criterion]:
    shifted = masked[masked["subset"] == "all"]
    if shifted.empty:
        yield Criterion("no shift set was measured (every shift must cost the median model accuracy)", holds=False)
    for name, values in shifted.groupby("image_set"):
        before = masked.loc[masked["subset"] == f"classes:{name}", ["model", "value"]]
        pairs = values[["model", "value"]].merge(before, on="model", suffixes=("", "_clean"))
        cost = float((pairs["value_clean"] - pairs["value"]).median())
        yield Criterion(f"{name} costs the median model {100 * cost:.1f} points (above 0)", cost > 0)


def _out_sets(aurocs: pd.DataFrame) -> Criterion:
    method = aurocs["family"].map(lambda family: "mcm" if family == "zero_shot_clip" else "msp")
    medians = aurocs[aurocs["method"] == method].groupby("image_set")["value"].median().sort_values()
    spread = float(medians.max() - medians.min())
    each = ", ".join(f"{name} {100 * value:.1f}" for name, value in medians.items())
    return Criterion(
        f"median AUROC differs between out sets by {100 * spread:.1f} points (at least 15): {each}",
        spread >= AUROC_SPREAD,
    )


def _shape_bias(biases: pd.DataFrame) -> Criterion:
    chosen = biases[(biases["subset"] == "all") & (biases["method"] == "mapped")]
    medians = chosen.groupby("group")["value"].median().sort_values()
    spread = float(medians.max() - medians.min())
    each = ", ".join(f"{name} {value:.2f}" for name, value in medians.items())
    return Criterion(
        f"shape bias differs between groups by {spread:.2f} (at least 0.2): {each}", spread >= SHAPE_BIAS_SPREAD
    )
