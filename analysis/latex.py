"""The report's tables for LaTeX, and a document of them all; how a table is set is in `analysis.longtable`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis import display
from analysis.findings import Finding
from analysis.longtable import longtable

LARGE = 1000
"""Tables of more rows are named in the document but not printed."""


def of_frame(frame: pd.DataFrame, heads: Sequence[str], facts: set[str], *, caption: str, label: str) -> str:
    """A table of the report; columns that are no `facts` of the grid are shares, printed in percent."""
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    shares = [number and column not in facts for number, column in zip(numeric, frame.columns, strict=True)]
    rows = [
        [_value(value, share) for value, share in zip(row, shares, strict=True)]
        for row in frame.itertuples(index=False, name=None)
    ]
    return longtable(heads, rows, caption=f"{caption}. Shares in percent.", label=label, numeric=numeric)


def _value(value: object, share: bool) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, (int, float)):
        return display.number(100 * value, 1) if share else f"{value:,g}"
    return str(value)


def plain_frame(frame: pd.DataFrame, *, caption: str, label: str) -> str:
    """A table as it is: names of columns as they are, numbers to six digits."""
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    rows = [
        ["" if pd.isna(value) else _digits(value) for value in row] for row in frame.itertuples(index=False, name=None)
    ]
    return longtable([str(column) for column in frame.columns], rows, caption=caption, label=label, numeric=numeric)


def _digits(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def of_changes(frame: pd.DataFrame) -> str:
    """The findings of two studies: estimates of both, the change with its interval and adjusted p, verdicts of both."""
    heads = ("Question", "About", "Before", "Now", "Change", "95 % interval", "p (Holm)", "Lineages", "Verdict before",
             "Verdict now")  # fmt: skip
    rows = [_changed(row) for row in frame.itertuples()]
    numeric = (False, False, True, True, True, True, True, True, False, False)
    return longtable(heads, rows, caption="Findings of two studies", label="tab:compared-findings", numeric=numeric)


def _changed(row: Any) -> tuple[str, ...]:
    ends = (row.estimate_before, row.estimate_now, row.change, row.change_low, row.change_high)
    was, now, change, low, high = ("" if pd.isna(value) else display.amount(value, row.unit) for value in ends)
    change += display.unit_name(row.unit) if change else ""
    p = "" if pd.isna(row.change_p_adjusted) else display.p_value(row.change_p_adjusted)
    lineages = "" if pd.isna(row.change_lineages) else str(row.change_lineages)
    verdicts = ("" if pd.isna(each) else each or "described" for each in (row.verdict_before, row.verdict_now))
    about = (row.question.replace("_", " "), display.words(row.subject))
    return (*about, was, now, change, low and f"{low} to {high}", p, lineages, *verdicts)


def of_findings(findings: Sequence[Finding]) -> str:
    """Every finding: what about, estimate, interval, adjusted p, n, lineages, verdict."""
    heads = ("Question", "About", "Estimate", "95 % interval", "p (Holm)", "n", "Lineages", "Verdict")
    rows = [
        (
            each.question.replace("_", " "), display.about(each),
            display.amount(each.estimate, each.unit) + display.unit_name(each.unit), display.interval(each),
            display.p_value(each.p_adjusted), str(each.n), str(each.lineages), each.verdict or "described",
        )
        for each in findings
    ]  # fmt: skip
    numeric = (False, False, True, True, True, True, True, False)
    return longtable(heads, rows, caption="Findings", label="tab:findings", numeric=numeric)


def document(tables: Sequence[tuple[str, int]]) -> str:
    """A document of all tables: paths below the report without their ending, and rows; see `LARGE`."""
    lines = [
        r"% pdflatex report.tex, twice: longtable finds its widths on the second run.",
        r"\documentclass[a4paper]{article}",
        r"\usepackage[margin=2cm]{geometry}",
        r"\usepackage{array,booktabs,longtable,pdflscape}",
        r"\begin{document}",
        r"\listoftables",
        *(rf"\input{{{path}}}" if rows <= LARGE else rf"% \input{{{path}}} % {rows:,} rows" for path, rows in tables),
        r"\end{document}",
    ]
    return "\n".join([*lines, ""])
