"""What changed between two studies: verdicts and estimates of the findings, and measurements on average over models.

Change is now minus before. Where the studies share models a change is the mean of the differences within models (paired
by model), with the interval over lineages; where they share none it is the difference of two means of other models
(independent). P values are Holm-adjusted over every change of a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import fits
from analysis.findings import LEVEL, table
from analysis.fits import TooLittle, holm
from analysis.ledger import Ledger
from analysis.results import Results

KEYS = ["study", "head", "image_set", "subset", "metric", "method"]
NUMBERS = ["before", "now", "change", "low", "high", "p", "p_adjusted", "n", "lineages"]
SAME, MOVED, TURNED, ONLY_NOW, ONLY_BEFORE = "same", "estimate moved", "verdict changed", "only now", "only before"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two studies held against each other.

    Attributes
    ----------
    design : paired by model, or independent
    shared, only_now, only_before : names of models
    findings : a row per finding of either: estimates, intervals and verdicts of both, and what came of it
    measurements : a row per measurement: means of both, change with interval and p, n models, lineages
    """

    design: str
    shared: tuple[str, ...]
    only_now: tuple[str, ...]
    only_before: tuple[str, ...]
    findings: pd.DataFrame
    measurements: pd.DataFrame

    @property
    def changed(self) -> pd.DataFrame:
        """The measurements that changed beyond chance, the surest first."""
        there = self.measurements[(self.measurements["p_adjusted"] < LEVEL).fillna(False)]
        return there.sort_values(["p_adjusted", *KEYS], ignore_index=True)


def compare(now: Results, before: Results, ledgers: tuple[Ledger, Ledger]) -> Comparison:
    """Hold the study `now` against the one `before`; `ledgers` are the answers of both, in this order."""
    here, there = set(now.distinct.index), set(before.distinct.index)
    shared = tuple(sorted(here & there))
    changes = _paired(now, before, shared) if shared else _independent(now, before)
    return Comparison(
        "paired by model" if shared else "independent",
        shared,
        tuple(sorted(here - there)),
        tuple(sorted(there - here)),
        findings(*ledgers),
        _adjusted(changes),
    )


def findings(now: Ledger, before: Ledger) -> pd.DataFrame:
    """Every finding of either study, with the estimates, intervals and verdicts of both, and ``outcome``."""
    keys, told = ["question", "subject", "unit"], ["estimate", "low", "high", "verdict"]
    first, second = (table(each.findings)[[*keys, *told]] for each in (before, now))
    both = first.merge(second, on=keys, how="outer", suffixes=("_before", "_now"), indicator="where")
    both["change"] = both["estimate_now"] - both["estimate_before"]
    both["outcome"] = np.select(
        [both["where"] == "left_only", both["where"] == "right_only", both["verdict_before"] != both["verdict_now"],
         both["change"] != 0],
        [ONLY_BEFORE, ONLY_NOW, TURNED, MOVED],
        default=SAME,
    )  # fmt: skip
    return both.drop(columns="where").sort_values(keys, ignore_index=True)


def _tall(results: Results) -> pd.DataFrame:
    """Measurements of distinct models by model and key; the default head of each model under one name."""
    rows = results.measurements
    curves = rows["metric"].str.startswith("bin_") | rows["metric"].str.endswith("_tolerance")
    rows = rows[rows["model"].isin(results.distinct.index) & ~curves]
    usual = rows["head"] == rows["model"].map(results.default_heads)
    rows = rows.assign(head=rows["head"].mask(usual, DEFAULT), lineage=rows["model"].map(results.models["lineage"]))
    return rows[["model", "lineage", *KEYS, "value"]]


def _paired(now: Results, before: Results, shared: tuple[str, ...]) -> pd.DataFrame:
    both = _tall(now).merge(_tall(before).drop(columns="lineage"), on=["model", *KEYS], suffixes=("_now", "_before"))
    both = both[both["model"].isin(shared)]
    both = both.assign(difference=both["value_now"] - both["value_before"])
    rows = []
    for key, each in both.groupby(KEYS):
        try:
            made = fits.mean(each, "difference", formula="now - before, same model")
        except TooLittle:
            continue
        rows.append((*key, each["value_before"].mean(), each["value_now"].mean(), *_numbers(made)))
    return pd.DataFrame(rows, columns=[*KEYS, *NUMBERS, "note"])


def _independent(now: Results, before: Results) -> pd.DataFrame:
    sides = [_tall(results).assign(is_now=is_now) for results, is_now in ((now, True), (before, False))]
    rows = []
    for key, each in pd.concat(sides).groupby(KEYS):
        frame = each.set_index("model")
        try:
            made = fits.contrast(frame, "value", frame["is_now"])
        except TooLittle:
            continue
        means = frame.groupby("is_now")["value"].mean()
        rows.append((*key, means[False], means[True], *_numbers(made)))
    return pd.DataFrame(rows, columns=[*KEYS, *NUMBERS, "note"])


def _numbers(made: fits.Estimate) -> tuple[object, ...]:
    return made.estimate, made.low, made.high, made.p, None, made.n, made.lineages, made.note


def _adjusted(changes: pd.DataFrame) -> pd.DataFrame:
    whole = changes.astype(dict.fromkeys(("low", "high", "p", "p_adjusted"), "Float64"))
    known = whole["p"].notna()
    whole.loc[known, "p_adjusted"] = holm(whole.loc[known, "p"].astype(float).tolist())
    return whole
