"""The tables of the report: wide, one row per model, for a reader to sort and for a spreadsheet.

A table is a set of picks, each a column; the cards of single models are made of the same picks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from analysis import evidence
from analysis.display import words
from analysis.results import NotMeasured, Pick, Results, pick

FACTS = ("group", "train_source", "acceptance")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the report: file name, title, what it picks, and which facts of the grid stand behind the picks."""

    name: str
    title: str
    picks: Callable[[Results], dict[str, Pick]]
    more: tuple[str, ...] = ()

    def make(self, results: Results) -> pd.DataFrame:
        """One row per model that has any of the picks. Shares are fractions; missing means not measured."""
        there = tuple(name for name in self.more if name in results.models and any(results.models[name]))
        return _wide(results, self.picks(results), there)


def models(results: Results) -> dict[str, Pick]:
    """The headline numbers of every model."""
    picks: dict[str, Pick] = {}
    for clean in results.sets("clean"):
        subset = "test-half"
        picks[f"{clean.name} top1"] = evidence.clean_top1(clean.name)
        for method in ("raw", "scaled"):
            picks[f"{clean.name} ece15 {method}"] = pick(
                "ece15", clean.name, study="calibration", subset=subset, method=method
            )
    for conflict in results.sets("conflict"):
        picks[f"{conflict.name} shape bias"] = pick("shape_bias", conflict.name, study="shape", method=("mapped", ""))
    return picks


def ood(results: Results) -> dict[str, Pick]:
    """AUROC of each model at each out set, by MCM for zero-shot heads and the maximum softmax otherwise.

    Beside a set, the images of it that annotators found to show no known class, where they were measured (``cleaned``).
    """
    picks = {}
    for each in results.sets("out"):
        picks[each.name] = pick("auroc", each.name, study="ood", method=evidence.RULE)
        picks[f"{each.name} cleaned"] = pick("auroc", each.name, study="ood", subset="cleaned", method=evidence.RULE)
    return picks


def shift(results: Results) -> dict[str, Pick]:
    """Top-1 of each model at each shift set, over the classes of the set."""
    sets = results.sets("shift")
    method = ("masked", "full")
    return {each.name: pick("top1", each.name, study="shift", method=method) for each in sets}


def factors(results: Results) -> dict[str, Pick]:
    """Top-1 of each model on the images of each visual factor."""
    picks = {}
    for clean in results.sets("clean"):
        for factor in ("annotated", *evidence.factor_names(results, clean.name)):
            label = factor if len(results.sets("clean")) == 1 else f"{clean.name} {factor}"
            picks[label] = pick("top1", clean.name, study="factors", subset=factor, method=("top", ""))
    return picks


def calibration(results: Results) -> dict[str, Pick]:
    """ECE of each model at each clean and shift set, before and after temperature scaling."""
    picks = {}
    for image_set in (*results.sets("clean"), *results.sets("shift")):
        subset = "test-half" if image_set.role == "clean" else "all"
        for method in ("raw", "scaled"):
            wanted = pick("ece15", image_set.name, study="calibration", subset=subset, method=method)
            picks[f"{image_set.name} {method}"] = wanted
    return picks


TABLES = (
    Table("models", "Models", models, ("encoder", "image_size", "params_m", "parent", "duplicate_of")),
    Table("ood", "OOD detection: AUROC by out-of-distribution set", ood),
    Table("shift", "Top-1 by shift set", shift),
    Table("factors", "Top-1 by visual factor", factors),
    Table("calibration", "ECE by image set, before and after temperature scaling", calibration),
)


def heading(column: str) -> str:
    """A column's name in print."""
    return " ".join(words(part) for part in column.split(" ")).replace("_", " ")


def _wide(results: Results, picks: dict[str, Pick], more: tuple[str, ...] = ()) -> pd.DataFrame:
    """One row per model that has any of the picks: facts, picks, lineage, more facts."""
    columns = {}
    for name, wanted in picks.items():
        try:
            columns[name] = results.picked(wanted)["value"]
        except NotMeasured:
            continue
    if not columns:
        raise NotMeasured("None of this was measured.")
    wide = results.models[list(FACTS)].join(pd.DataFrame(columns), how="left").join(results.models[["lineage", *more]])
    return wide.dropna(subset=list(columns), how="all").rename_axis("model").reset_index()
