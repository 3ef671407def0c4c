"""The parts of the report's page as HTML. Every text from outside is escaped; every number comes from a finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import pandas as pd

from analysis import display, tables
from analysis.acceptance import DIFFERS
from analysis.compare import DEFAULT
from analysis.forest import again, chip, table
from analysis.ledger import Ledger, claim, origin
from analysis.markup import cell, element
from analysis.prose import VERDICTS, gist
from analysis.questions import Question


def tally(ledger: Ledger) -> str:
    """How many claims came out how, and on how many tests that rests."""
    verdicts = [each.verdict for each in ledger.claims]
    counts = [(len(verdicts), "claims"), *((verdicts.count(name), name) for name in VERDICTS)]
    open_ones = verdicts.count("")
    counts += [(open_ones, "not tested")] if open_ones else []
    items = [element("li", element("b", str(number)) + name) for number, name in counts]
    tests = sum(bool(finding.verdict) for finding in ledger.findings)
    items.append(element("li", f"by {display.count(tests, 'test')}", class_="tests"))
    return element("ul", "".join(items), class_="tally")


def ledger_entry(question: Question, ledger: Ledger) -> str:
    """One question with its verdict, folded; its findings inside."""
    findings = ledger.of(question.__name__)
    left_out = [each for each in ledger.left_out if each.question == question.__name__]
    head = chip(ledger.verdict(question.__name__), otherwise="described" if findings else "not answered")
    words = element("span", escape(claim(question)), class_="claim")
    change = ledger.claim(question.__name__).change
    said = [(gist(findings, left_out), "gist"), (change and f"What would change it: {change}", "gist turning")]
    words += "".join(element("span", escape(text), class_=kind) for text, kind in said if text)
    words = element("span", words)
    inside = element("p", escape(origin(question)), class_="note")
    if findings:
        inside += element("div", table(findings), class_="scroll")
    ways = ledger.ways(question.__name__)
    if ways:
        inside += again(findings, ways, [each for each in ledger.not_otherwise if each.question == question.__name__])
    if left_out:
        missing = "; ".join(
            f"{display.words(each.subject)}: {each.reason}" if each.subject else each.reason for each in left_out
        )
        inside += element("p", escape("Left out. " + missing), class_="note")
    body = element("summary", head + words) + element("div", inside, class_="inside")
    return element("details", body, class_="question", id=f"question-{question.__name__}")


def figure(name: str, title: str, reading: str, questions: Sequence[Question], ledger: Ledger) -> str:
    """A place for a chart, with how to read it above, and below what its questions came to."""
    chart = element("div", "", class_="chart", id=f"chart-{name}", role="img", aria_label=title)
    caption = element("figcaption", element("ul", "".join(_said(each, ledger) for each in questions), class_="said"))
    return (
        element("h3", escape(title))
        + element("p", escape(reading), class_="reading")
        + element("figure", chart + caption)
    )


def _said(question: Question, ledger: Ledger) -> str:
    findings = ledger.of(question.__name__)
    left_out = [each for each in ledger.left_out if each.question == question.__name__]
    mark = chip(ledger.verdict(question.__name__), otherwise="described" if findings else "not answered")
    words = element("a", escape(claim(question)), href=f"#question-{question.__name__}")
    return element("li", mark + element("span", f"{words} {escape(gist(findings, left_out))}"))


def sortable(frame: pd.DataFrame, facts: set[str]) -> str:
    """A table whose columns sort; columns that are no facts of the grid are fractions, printed in percent."""
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    heads = [element("button", escape(tables.heading(column)), type="button") for column in frame.columns]
    head = "".join(cell("th", text, number) for text, number in zip(heads, numeric, strict=True))
    rows = []
    for values in frame.itertuples(index=False, name=None):
        cells = [
            _value(column, value, column not in facts) for column, value in zip(frame.columns, values, strict=True)
        ]
        rows.append(element("tr", "".join(cells)))
    return element("table", element("thead", element("tr", head)) + element("tbody", "".join(rows)), class_="sortable")


def search(label: str) -> str:
    """A box to filter the table behind it."""
    box = f'<input type="search" class="filter" placeholder="Filter" aria-label="{escape(label)}">'
    return element("p", box + element("span", "", class_="rows", role="status"), class_="screen")


def changed(row: Any) -> tuple[str, ...]:
    """A row of the measurements of a comparison, in print: numbers as they are, to four digits."""
    parts = (row.metric, row.method, row.image_set, row.subset, "" if row.head == DEFAULT else row.head)
    about = ", ".join(display.words(part) for part in parts if part not in ("", "all"))
    numbers = [display.number(value, 4) for value in (row.before, row.now, row.change)]
    span = "" if pd.isna(row.low) else f"{display.number(row.low, 4)} to {display.number(row.high, 4)}"
    return (about, *numbers, span, display.p_value(row.p_adjusted), str(row.n), str(row.lineages))


def _value(column: str, value: object, share: bool) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if pd.isna(value):
            return cell("td", "", True, data_value="")
        text = display.number(100 * value, 1) if share else f"{value:,g}"
        return cell("td", text, True, data_value=f"{value:.6g}")
    text = "" if value is None or value != value else str(value)
    if column == "model":
        return element("td", element("a", escape(text), href=f"#model={quote(text)}"), class_="text", title=text)
    kind = "text differs" if column == "acceptance" and text.startswith(DIFFERS) else "text"
    return element("td", escape(display.words(text) if column == "group" else text), class_=kind, title=text)


def plain(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    head = element("tr", "".join(element("th", escape(text)) for text in heads))
    body = "".join(
        element("tr", "".join(cell("td", escape(text), False, wrap=len(text) > 40) for text in row)) for row in rows
    )
    return element("div", element("table", element("thead", head) + element("tbody", body)), class_="scroll")
