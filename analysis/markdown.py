"""The report as Markdown: the summary, the claims with their evidence, the figures, and where the tables are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis import display
from analysis.findings import Finding
from analysis.ledger import Ledger, claim, origin
from analysis.prose import firmness, gist
from analysis.questions import QUESTIONS, Question

SPECIAL = re.compile(r"([\\`*_\[\]|~>]|^[-+#])")
HEADS = ("About", "Estimate", "95 % interval", "p (Holm)", "n", "Lineages", "Verdict")
AGAIN = ("About, and in which way", "Estimate", "95 % interval", "p", "n", "Lineages or runs")


def escape(text: str) -> str:
    """The text as Markdown that shows it, in one line; markup of HTML is shown too, and does nothing."""
    shown = SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return shown.replace("&", "&amp;").replace("<", "&lt;")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    lines = [heads, ["---"] * len(heads), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(
    summary: str,
    ledger: Ledger,
    figures: Sequence[tuple[str, str, str]],
    tables: Sequence[tuple[str, str]],
    changes: Sequence[str] = (),
) -> str:
    """The whole report.

    Parameters
    ----------
    summary : what was studied, in sentences
    figures : file name, title and how to read it, of each that was drawn
    tables : file name and title of each that was made
    changes : what changed against another study, in sentences, the first about all; empty where none is
    """
    parts = ["# How far can these image classifiers be trusted?", escape(summary), "## The claims"]
    rows = [(_verdict(question, ledger), claim(question), _said(question, ledger)) for question in QUESTIONS]
    parts.append(table(("Verdict", "Claim", "Evidence"), rows))
    for question in QUESTIONS:
        parts += _of_question(question, ledger)
    if changes:
        parts += ["## What changed", escape(changes[0]), "\n".join(f"- {escape(each)}" for each in changes[1:])]
    parts.append("## Figures")
    for name, title, reading in figures:
        parts += [f"### {escape(title)}", escape(reading), f"![{escape(title)}](figures/{name}.png)"]
    parts.append("## Tables")
    parts.append("\n".join(f"- [{escape(title)}](tables/{name}.csv)" for name, title in tables))
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(question: Question, ledger: Ledger) -> str:
    findings = ledger.of(question.__name__)
    return ledger.verdict(question.__name__) or ("described" if findings else "not answered")


def _said(question: Question, ledger: Ledger) -> str:
    findings = ledger.of(question.__name__)
    return gist(findings, [each for each in ledger.left_out if each.question == question.__name__])


def _of_question(question: Question, ledger: Ledger) -> list[str]:
    findings = ledger.of(question.__name__)
    change = ledger.claim(question.__name__).change
    parts = [f"### {escape(claim(question))}", escape(origin(question))]
    parts += [escape(f"What would change it: {change}")] if change else []
    parts += [table(HEADS, [_row(finding) for finding in findings])] if findings else []
    ways = ledger.ways(question.__name__)
    if not ways:
        return parts
    intro = f"The same asked in other ways; intervals that leave out zero: {firmness(findings, ways)}"
    return [*parts, escape(intro), table(AGAIN, [(*_row(each)[:3], *_plain(each)) for each in ways])]


def _plain(finding: Finding) -> tuple[str, str, str]:
    return display.p_value(finding.p), str(finding.n), str(finding.lineages)


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        display.about(finding),
        display.amount(finding.estimate, finding.unit) + display.unit_name(finding.unit),
        display.interval(finding) or finding.note,
        display.p_value(finding.p_adjusted),
        str(finding.n),
        str(finding.lineages),
        finding.verdict or "described",
    )
