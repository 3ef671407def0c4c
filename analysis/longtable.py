r"""Tables for LaTeX: booktabs, longtable over pages, landscape and in parts where a table is too wide for a page.

A document that takes them in with ``\input`` needs ``\usepackage{array,booktabs,longtable,pdflscape}`` and nothing
else; ``report.tex`` beside them is one. Every sign that is not ASCII is written as a command, an accented letter as its
accent, and what LaTeX may not know (other scripts, emoji, marks of direction) as its number, as in U+202E; so any
engine and any encoding reads the same. Widths are for A4 with margins of 2 cm.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from analysis import display

SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"{\char36}", "&": r"\&", "#": r"\#", "_": r"\_",
    "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "*": "{*}", '"': r"{\char34}", "`": r"{\char96}",
    display.MINUS: r"$-$", "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}", "\N{EN DASH}": r"\textendash{}",
    "\N{NO-BREAK SPACE}": "~", "\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{MULTIPLICATION SIGN}": r"$\times$",
}  # fmt: skip
ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r", "\u0327": "c"}
LONGEST = 60
"""Longer texts are cut off in a cell: a name of 300 letters would push the table off its page."""
BREAKS, RUN = "_./-", 16
"""A cell may be broken after these signs, and after so many others in a row."""
PORTRAIT, LANDSCAPE, GAP = 60.5, 91.5, 0.76
"""Widths of a page, and of the space between columns, in em of the type that tables are set in."""
TEXT = (24.0, 17.0, 12.0)
"""Widest columns of texts: the first of these with which the table fits its page."""
NARROW, WIDE = " fijlrtIs.,:;'|!()[]-/", "mwMW@%+\N{MINUS SIGN}\N{HORIZONTAL ELLIPSIS}"


def escape(text: str) -> str:
    """The text as LaTeX that prints it; a sign that LaTeX may not know is printed as its number, as in U+202E."""
    return "".join(_sign(sign) for sign in text)


@cache
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
    """A text as a cell, with places to break it; cut off where it is too long for one."""
    printed, run = [], 0
    for sign in _cut(text):
        printed.append(_sign(sign))
        run = 0 if sign in BREAKS or sign.isspace() else run + len(_shown(sign))
        if sign in BREAKS or run >= RUN:
            printed.append(r"\allowbreak{}")
            run = 0
    return "".join(printed).removesuffix(r"\allowbreak{}")


def _shown(sign: str) -> str:
    """What of a sign is seen in print: itself, or its number."""
    made = _sign(sign)
    return made if made.startswith("U+") else sign


def _cut(text: str) -> str:
    if text.isascii() and len(text) <= LONGEST and text.isprintable():
        return text
    lengths = [len(_shown(sign)) for sign in text]
    if sum(lengths) <= LONGEST:
        return text
    kept = next(place for place in range(len(text) + 1) if sum(lengths[: place + 1]) >= LONGEST)
    return f"{text[:kept]}\N{HORIZONTAL ELLIPSIS}"


def _em(text: str) -> float:
    """Width in print, in em, rather too wide than too narrow."""
    shown = "".join(map(_shown, text))
    return sum(0.4 if sign in NARROW else 1.0 if sign in WIDE else 0.75 if sign.isupper() else 0.56 for sign in shown)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table: head, texts, and whether these are numbers, set flush right and never broken.

    Attributes
    ----------
    cells, word : widths of its widest text, and of the widest word of its head, in em
    """

    head: str
    texts: Sequence[str]
    numeric: bool
    cells: float = field(init=False)
    word: float = field(init=False)

    def __post_init__(self) -> None:
        words = re.findall(rf"[^ {BREAKS}]+[{BREAKS}]?", _cut(self.head))
        object.__setattr__(self, "word", max(map(_em, words), default=0.0))
        object.__setattr__(self, "cells", max((_em(_cut(text)) for text in set(self.texts)), default=0.0))

    def width(self, widest: float) -> float:
        """Width in em, at most `widest` for texts; a head is broken between its words."""
        return max(1.0, self.cells if self.numeric else min(self.cells, widest), min(self.word, widest))

    def cell(self, text: str) -> str:
        """One of its texts, for print."""
        return escape(text) if self.numeric else cell(text)


def longtable(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, label: str, numeric: Sequence[bool]
) -> str:
    """A table of texts; columns of numbers are set flush right.

    It stands upright where that is wide enough, else across; and in parts, each with the first column again, where it
    is too wide for that too.
    """
    texts = list(zip(*rows, strict=True)) or [()] * len(heads)
    columns = [
        _Column(head, [text.replace("-", display.MINUS) for text in column] if is_numeric else column, is_numeric)
        for head, column, is_numeric in zip(heads, texts, numeric, strict=True)
    ]
    page, widest = next(
        ((page, widest) for page in (PORTRAIT, LANDSCAPE) for widest in TEXT if _total(columns, widest) <= page),
        (LANDSCAPE, TEXT[1]),
    )
    parts = _parts(columns, page, widest)
    made = [
        _part(part, widest, f"{caption}{f' ({place} of {len(parts)})' if len(parts) > 1 else ''}",
              rf"\label{{{label}}}" if place == 1 else "")
        for place, part in enumerate(parts, start=1)
    ]  # fmt: skip
    around = (r"\begin{landscape}", r"\end{landscape}") if page == LANDSCAPE else (r"\begingroup", r"\endgroup")
    head = (r"% needs \usepackage{array,booktabs,longtable,pdflscape}", around[0])
    return "\n".join([*head, r"\scriptsize\setlength{\tabcolsep}{3pt}", *made, around[1], ""])


def _total(columns: Iterable[_Column], widest: float) -> float:
    return sum(each.width(widest) + GAP for each in columns)


def _parts(columns: Sequence[_Column], page: float, widest: float) -> list[list[_Column]]:
    """The columns in parts that fit the page, each with the first column."""
    first, *rest = columns
    parts = [[first]]
    for each in rest:
        if len(parts[-1]) > 1 and _total([*parts[-1], each], widest) > page:
            parts.append([first])
        parts[-1].append(each)
    return parts


def _part(columns: Sequence[_Column], widest: float, caption: str, label: str) -> str:
    kinds = "".join(
        rf">{{\ragged{'left' if each.numeric else 'right'}\arraybackslash}}p{{{each.width(widest):.1f}em}}"
        for each in columns
    )
    head = " & ".join(cell(each.head) for each in columns) + r" \\"
    body = [
        " & ".join(column.cell(text) for column, text in zip(columns, row, strict=True)) + r" \\"
        for row in zip(*(each.texts for each in columns), strict=True)
    ]
    return "\n".join(
        [
            rf"\begin{{longtable}}{{@{{}}{kinds}@{{}}}}",
            rf"\caption{{{escape(caption)}}}{label}\\",
            r"\toprule", head, r"\midrule", r"\endfirsthead",
            r"\toprule", head, r"\midrule", r"\endhead",
            r"\bottomrule", r"\endfoot",
            *body,
            r"\end{longtable}",
        ]
    )  # fmt: skip
