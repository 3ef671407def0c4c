"""What changed between two studies: verdicts and estimates of the findings, and measurements on average over models.

Change is now minus before. Where the studies share models a change is the mean of the differences within models (paired
by model), with the interval over lineages; where they share none it is the difference of two means of other models
(independent). The change of a finding has an interval of its own, see `change_of`. P values are Holm-adjusted over
every change of a measurement, and over every change of a finding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import fits
from analysis.findings import LEVEL, Finding, table
from analysis.fits import TooLittle, holm
from analysis.intervals import Estimate, Without, by_student
from analysis.ledger import Ledger
from analysis.resampling import spread
from analysis.results import Results

KEYS = ["study", "head", "image_set", "subset", "metric", "method"]
NUMBERS = ["before", "now", "change", "low", "high", "p", "p_adjusted", "n", "lineages"]
SAME, MOVED, TURNED, ONLY_NOW, ONLY_BEFORE = "same", "estimate moved", "verdict changed", "only now", "only before"
DEFAULT = "default"
ROUNDING = 1e-9
"""Changes no larger than this are the computer's, not the models'."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two studies held against each other.

    Attributes
    ----------
    design : paired by model, or independent
    shared, only_now, only_before : names of models
    findings : a row per finding of either: estimates, intervals and verdicts of both, the change with interval and p,
        and what came of it
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

    @property
    def told(self) -> pd.DataFrame:
        """The findings whose verdict changed, or whose estimate changed beyond chance; the surest first."""
        turned = self.findings["outcome"] == TURNED
        beyond = (self.findings["change_p_adjusted"] < LEVEL).fillna(False)
        there = self.findings[turned | beyond]
        return there.sort_values("change_p_adjusted", kind="stable", na_position="last", ignore_index=True)


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
    """Every finding of either study: estimates, intervals and verdicts of both, the change, and ``outcome``."""
    keys, told = ["question", "part", "subject", "unit"], ["estimate", "low", "high", "verdict"]
    first, second = (table(each.findings)[[*keys, *told]] for each in (before, now))
    both = first.merge(second, on=keys, how="outer", suffixes=("_before", "_now"), indicator="where")
    both = both.merge(_changes(now, before), on=keys, how="left")
    both["outcome"] = np.select(
        [both["where"] == "left_only", both["where"] == "right_only", both["verdict_before"] != both["verdict_now"],
         both["change"] != 0],
        [ONLY_BEFORE, ONLY_NOW, TURNED, MOVED],
        default=SAME,
    )  # fmt: skip
    return both.drop(columns="where").sort_values(keys, ignore_index=True)


def _changes(now: Ledger, before: Ledger) -> pd.DataFrame:
    """The changes of the findings of both studies, with p values adjusted over all of them."""
    there = {_key(each): each for each in before.findings}
    numbers = ["", "_low", "_high", "_p", "_p_adjusted", "_lineages", "_method", "_note"]
    rows = []
    for finding in now.findings:
        if _key(finding) in there:
            made = change_of(finding, there[_key(finding)])
            told = (made.estimate, made.low, made.high, made.p, None, made.lineages, made.method, made.note)
            rows.append((*_key(finding), *told))
    names = ["question", "part", "subject", "unit", *(f"change{number}" for number in numbers)]
    return _adjusted(pd.DataFrame(rows, columns=names), "change_").astype({"change": float, "change_lineages": "Int64"})


def _key(finding: Finding) -> tuple[str, str, str, str]:
    return finding.question, finding.part, finding.subject, finding.unit


def change_of(now: Finding, before: Finding) -> Estimate:
    """The estimate `now` minus the one `before`, in their unit, with a 95 % interval and p.

    Where the studies share lineages, both numbers are computed again without each lineage of either, and the jackknife
    is that of their difference: what a lineage does to both cancels, and a lineage of one study alone moves that one
    only. Student's t has the fewer degrees of freedom of the two numbers (lineages - 1, fewer for contrasts of groups).
    Where one study has lineages that the other lacks, the standard error is right on average but grows with the change,
    since both are how far those lineages lie from the others: with 12 and 4 more the interval holds 99 %, too many.
    Where they share none the variances add, with the degrees of freedom of Welch and Satterthwaite. There is no
    interval where one of the two has none.
    """
    value = now.estimate - before.estimate
    about = (max(now.n, before.n), f"{now.formula}, now - before")
    for name, each in (("Now", now), ("Before", before)):
        if each.std_error is None or each.df is None or not each.without:
            note = f"No interval of the change. {name}: {each.note}"
            return Estimate(value, None, None, None, about[0], each.lineages, "no interval", about[1], note=note)
    without = _without(now, before)
    moved = max(abs(value), *(abs(rest) for _, rest in without))
    if moved <= ROUNDING:
        value, without = 0.0, tuple((name, 0.0) for name, _ in without)
    if {name for name, _ in now.without} & {name for name, _ in before.without}:
        error = spread(value, np.array([rest for _, rest in without]))
        df, method = min(now.df or 1.0, before.df or 1.0), "jackknife of the difference over lineages"
    else:
        error, df = _welch(now, before)
        method = "independent lineages, variances added"
    return by_student(value, error, df, n=about[0], method=method, formula=about[1], without=without)


def _without(now: Finding, before: Finding) -> Without:
    """The change without each lineage of either study; without one that it has not, a study's number stays."""
    here, there = dict(now.without), dict(before.without)
    names = sorted({*here, *there})
    return tuple((name, here.get(name, now.estimate) - there.get(name, before.estimate)) for name in names)


def _welch(now: Finding, before: Finding) -> tuple[float, float]:
    """Standard error and degrees of freedom of the difference of two independent numbers (Welch 1947)."""
    parts = [((each.std_error or 0.0) ** 2, each.df or 1.0) for each in (now, before)]
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / df for variance, df in parts)
    return float(np.sqrt(total)), total**2 / below if below > 0 else min(df for _, df in parts)


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
    difference = both["value_now"] - both["value_before"]
    both = both.assign(difference=difference.mask(difference.abs() <= ROUNDING, 0.0))
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


def _adjusted(changes: pd.DataFrame, prefix: str = "") -> pd.DataFrame:
    """The changes with p values adjusted over all that have one."""
    p, adjusted = f"{prefix}p", f"{prefix}p_adjusted"
    whole = changes.astype(dict.fromkeys((f"{prefix}low", f"{prefix}high", p, adjusted), "Float64"))
    known = whole[p].notna()
    whole.loc[known, adjusted] = holm(whole.loc[known, p].astype(float).tolist())
    return whole
