"""What would change a verdict: a sentence for every claim, made of its numbers."""

from __future__ import annotations

from analysis import display
from analysis.claims import Claim, Part, seen_with
from analysis.equivalence import lineages_needed
from analysis.findings import DIRECTED, LEVEL, Finding
from analysis.intervals import Estimate, TooLittle


def sentence(claim: Claim, claims: int) -> str:
    """What would change the verdict on one of so many claims; empty where nothing was tested."""
    if not claim.parts:
        return ""
    if claim.verdict == "contradicted":
        part = min(claim.parts, key=lambda part: part.p_against)
        return _alike(part) if part.finding.expected == "different" else _decided(part, claims)
    weakest = max(claim.parts, key=lambda part: part.p_for)
    return _decided(weakest, claims) if claim.verdict == "supported" else _undecided(weakest, claims)


def _alike(part: Part) -> str:
    """Numbers that should differ and all lie within the margin."""
    reach = _of(part.finding.margin or 0.0, part.finding)
    return display.sentence_case(
        f"{_name(part)}{display.count(part.tests, 'test')} within {reach} of no difference; one beyond would change it."
    )


def _decided(part: Part, claims: int) -> str:
    """What carries the verdict, and what without its strongest lineage is left of it."""
    finding, said = part.finding, []
    size = seen_with(part, claims)
    if size is not None:
        said.append(
            "it would be left undecided, more often than one time in five, were the true number below "
            f"{_of(size, finding)}"
        )
    if finding.without:
        name, value = max(finding.without, key=lambda each: abs(each[1] - finding.estimate))
        turned = (value > 0) != (finding.estimate > 0) and finding.expected in DIRECTED
        said.append(
            f"{'one lineage carries it: ' if turned else ''}without lineage '{name}' {_name(part)}"
            f"{_of(finding.estimate, finding)} becomes {_of(value, finding)}"
        )
    return display.sentence_case("; ".join(said)) + "." if said else ""


def _undecided(part: Part, claims: int) -> str:
    """How large a number this grid would have seen, and how many lineages it would take for the one it has."""
    finding = part.finding
    if finding.std_error is None:
        return finding.note
    if finding.expected not in DIRECTED:
        reach = _of(finding.margin or 0.0, finding)
        return display.sentence_case(
            f"{_name(part)}{display.words(finding.subject)} is {display.evidence(finding)}: the interval would have "
            f"to lie on one side of the margin of {reach}."
        )
    size = seen_with(part, claims)
    seen = f"this grid finds {_of(size, finding)} four times in five" if size is not None else ""
    return display.sentence_case(
        f"{_name(part)}{display.evidence(finding)}; {seen}, at Holm's strictest level of {LEVEL / claims:.2g}"
        f"{_needed(finding, claims)}."
    )


def _needed(finding: Finding, claims: int) -> str:
    if finding.expected != "different" and (finding.estimate > 0) != (finding.expected == "positive"):
        return "; the sign is not the expected one"
    made = Estimate(
        finding.estimate, finding.low, finding.high, finding.p, finding.n, finding.lineages, finding.method,
        finding.formula, std_error=finding.std_error, df=finding.df,
    )  # fmt: skip
    try:
        needed = lineages_needed(made, level=LEVEL / claims)
    except TooLittle:
        return ""
    return f"; a true number like the one found would take {needed:,} lineages like these {finding.lineages}"


def _of(value: float, finding: Finding) -> str:
    return display.amount(value, finding.unit) + display.unit_name(finding.unit)


def _name(part: Part) -> str:
    return f"{display.words(part.finding.part)}: " if part.finding.part else ""
