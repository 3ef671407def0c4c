"""Tables of findings, each with its estimate and interval drawn on one axis: what is called a forest plot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from analysis import display
from analysis.findings import Finding, LeftOut, Verdict
from analysis.markup import cell, element
from analysis.prose import firmness, missing

WIDTH, HEIGHT, MARGIN = 190, 16, 7
NUMERIC = (1, 4, 5, 6)


def chip(verdict: Verdict, *, otherwise: str = "described") -> str:
    """A verdict as a small mark and a word; filled, square or empty, so that colour is not needed."""
    return element("span", verdict or otherwise, class_=f"verdict {verdict or 'described'}")


def table(findings: Sequence[Finding]) -> str:
    """The findings of a question, a row each; those of one unit share an axis."""
    heads = ("About", "Estimate", "", "95 % interval", "p (Holm)", "n", "Lineages", "Verdict")
    domains = {
        unit: _domain([each for each in findings if each.unit == unit]) for unit in {each.unit for each in findings}
    }
    rows = [element("tr", "".join(_evidence_cells(each, domains[each.unit]))) for each in findings]
    head = element("tr", "".join(cell("th", text, place in NUMERIC) for place, text in enumerate(heads)))
    return element("table", element("thead", head) + element("tbody", "".join(rows)), class_="evidence")


def _evidence_cells(finding: Finding, domain: tuple[float, float]) -> list[str]:
    cells = (
        escape(display.about(finding)),
        _amount(finding),
        _span(finding, domain),
        display.interval(finding) or escape(finding.note),
        escape(display.p_value(finding.p_adjusted)),
        str(finding.n),
        str(finding.lineages),
        chip(finding.verdict),
    )
    return [cell("td", each, place in NUMERIC, wrap=place == 0) for place, each in enumerate(cells)]


def _domain(findings: Iterable[Finding]) -> tuple[float, float]:
    values = [0.0]
    for each in findings:
        values += [value for value in (each.low, each.high, each.estimate) if value is not None]
    return min(values), max(values)


def _span(finding: Finding, domain: tuple[float, float]) -> str:
    low, high = domain
    scale = (WIDTH - 2 * MARGIN) / ((high - low) or 1)

    def at(value: float) -> str:
        return f"{MARGIN + (value - low) * scale:.1f}"

    middle = HEIGHT // 2
    parts = [f'<line x1="{at(0)}" x2="{at(0)}" y1="0" y2="{HEIGHT}" stroke="#b9b9be"/>']
    if finding.low is not None and finding.high is not None:
        ends = f'x1="{at(finding.low)}" x2="{at(finding.high)}" y1="{middle}" y2="{middle}"'
        parts.append(f'<line {ends} stroke="#1d1d1f" stroke-width="1.4"/>')
    fill = "#1d1d1f" if finding.low is not None else "#fff"
    parts.append(f'<circle cx="{at(finding.estimate)}" cy="{middle}" r="3.2" fill="{fill}" stroke="#1d1d1f"/>')
    box = {"class_": "span", "width": str(WIDTH), "height": str(HEIGHT), "viewBox": f"0 0 {WIDTH} {HEIGHT}"}
    return element("svg", "".join(parts), role="img", aria_label="estimate and interval", **box)


def again(findings: Sequence[Finding], ways: Sequence[Finding], left_out: Sequence[LeftOut]) -> str:
    """The findings of a question asked in other ways, folded; each beside what the rule of the report makes of it."""
    heads = ("In which way", "Estimate", "", "95 % interval", "p", "n", "Lineages or runs")
    head = element("tr", "".join(cell("th", text, place in NUMERIC) for place, text in enumerate(heads)))
    rows = []
    for first in findings:
        group = [each for each in ways if (each.subject, each.unit) == (first.subject, first.unit)]
        rows.append(_beside(first, group, len(heads)) if group else "")
    said = f"Intervals that leave out zero: {firmness(findings, ways)}"
    summary = element("summary", "The same, asked in other ways " + element("span", escape(said), class_="gist"))
    made = element("table", element("thead", head) + "".join(rows), class_="evidence ways")
    note = element("p", escape(f"Not to be had: {missing(left_out)}"), class_="note") if left_out else ""
    return element("details", summary + element("div", made, class_="scroll") + note, class_="again")


def _beside(first: Finding, group: Sequence[Finding], columns: int) -> str:
    """A finding and what other ways make of it, on one axis."""
    about = element("tr", element("th", escape(display.about(first)), colspan=str(columns), scope="rowgroup"))
    domain = _domain([first, *group])
    return element("tbody", about + "".join(element("tr", _way_cells(each, domain)) for each in (first, *group)))


def _way_cells(finding: Finding, domain: tuple[float, float]) -> str:
    cells = (
        escape(display.way(finding.way)),
        _amount(finding),
        _span(finding, domain),
        display.interval(finding) or escape(finding.note),
        display.p_value(finding.p).replace("<", "&lt;"),
        str(finding.n),
        str(finding.lineages),
    )
    return "".join(cell("td", each, place in NUMERIC, wrap=place == 0) for place, each in enumerate(cells))


def _amount(finding: Finding) -> str:
    return display.amount(finding.estimate, finding.unit) + (" pt" if finding.unit == "fraction" else "")
