r"""Tables for LaTeX: booktabs, and longtable where a table may be longer than a page.

A document that takes them in with ``\input`` needs ``\usepackage{booktabs,longtable}`` and nothing else: every sign
that is not ASCII is written as a command, so that any engine and any encoding reads the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pandas as pd

from analysis import display
from analysis.findings import Finding

SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\char34}", "`": r"{\char96}",
    display.MINUS: r"$-$", "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}", "\N{EN DASH}": "--", "\N{NO-BREAK SPACE}": "~",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{MULTIPLICATION SIGN}": r"$\times$",
}  # fmt: skip
ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r", "\u0327": "c"}
LONGEST = 60
"""Longer texts are cut off in a cell: a name of 300 letters would push the table off its page."""


def escape(text: str) -> str:
    """The text as LaTeX that prints it; a sign that LaTeX may not know is printed as its number, as in U+202E."""
    return "".join(_sign(sign) for sign in text)


def _sign(sign: str) -> str:
    if sign in SIGNS:
        return SIGNS[sign]
    if sign.isascii() and (sign.isprintable() or sign.isspace()):
        return " " if sign.isspace() else sign
    parts = list(unicodedata.normalize("NFD", sign))
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in ACCENTS:
        dotless = parts[0] in "ij" and ACCENTS[parts[1]] != "c"
        return rf"\{ACCENTS[parts[1]]}{{{chr(92) * dotless}{parts[0]}}}"
    return f"U+{ord(sign):04X}"


def cell(text: str) -> str:
    """A text as a cell, cut off where it is too long for one."""
    return escape(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}")


def longtable(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, label: str, numeric: Sequence[bool]
) -> str:
    """A table of texts; columns of numbers are set flush right."""
    columns = "".join("r" if number else "l" for number in numeric)
    head = " & ".join(cell(text) for text in heads) + r" \\"
    body = [" & ".join(cell(text) for text in row) + r" \\" for row in rows]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,longtable}",
            rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
            rf"\caption{{{escape(caption)}}}\label{{{label}}}\\",
            r"\toprule", head, r"\midrule", r"\endfirsthead",
            r"\toprule", head, r"\midrule", r"\endhead",
            r"\bottomrule", r"\endfoot",
            *body,
            r"\end{longtable}",
            "",
        ]
    )  # fmt: skip


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
