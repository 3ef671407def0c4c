"""What would change a verdict: a sentence or two for every claim, made of its numbers."""

from __future__ import annotations

import math

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
    reach, tests = _size(part.finding.margin or 0.0, part.finding), "tests lie" if part.tests > 1 else "test lies"
    return f"{_about(part)}{part.tests} {tests} within {reach} of no difference; one beyond would change it."


def _decided(part: Part, claims: int) -> str:
    """What carries the verdict, and what without its strongest lineage is left of it."""
    finding, said = part.finding, []
    size = seen_with(part, claims)
    if size is not None:
        said.append(
            f"{_about(part)}a true {_kind(finding)} below {_size(size, finding)} would be left undecided more often "
            "than one time in five."
        )
    if finding.without:
        name, value = max(finding.without, key=lambda each: abs(each[1] - finding.estimate))
        turned = (value > 0) != (finding.estimate > 0) and finding.expected in DIRECTED
        before, after = (_signed(each, finding) for each in (finding.estimate, value))
        said.append(
            f"No lineage carries it: without any one of them the number stays at {before}."
            if before == after
            else f"{'One lineage carries it: ' if turned else ''}Without lineage '{name}', which moves it most, "
            f"{before} would be {after}{_as_expected(part)}."
        )
    return " ".join(map(display.sentence_case, said))


def _undecided(part: Part, claims: int) -> str:
    """How large a number this grid would have seen, and how many lineages it would take for the one it has."""
    finding = part.finding
    if finding.std_error is None:
        return finding.note
    if finding.expected not in DIRECTED:
        reach = _size(finding.margin or 0.0, finding)
        return (
            f"The least clear test, {display.words(finding.subject)}, is {display.evidence(finding)}: its interval "
            f"would have to lie wholly on one side of the margin of {reach}."
        )
    one = f"the clearest of its tests, {display.words(finding.subject)}," if finding.expected == "different" else ""
    found = one or (f"the mean of its {part.tests} tests" if part.tests > 1 else "its one test")
    said = display.sentence_case(f"{_about(part)}{found} is {display.evidence(finding)}{_as_expected(part)}.")
    return f"{said} {_seen(part, claims)}{_needed(part, claims)}."


def _seen(part: Part, claims: int) -> str:
    """How large a number would be found by lineages like these."""
    finding, level = part.finding, f"at Holm's strictest level of {LEVEL / claims:.2g}"
    these = f"{display.count(finding.lineages, 'lineage')} like these"
    size = seen_with(part, claims)
    if size is None or (finding.unit != "slope" and size >= 1):
        return f"No {_kind(finding)} is so large that {these} would find it four times in five, {level}"
    return f"Four times in five, {these} find a {_kind(finding)} of {_size(size, finding)}, {level}"


def _needed(part: Part, claims: int) -> str:
    finding = part.finding
    if finding.expected != "different" and (finding.estimate > 0) != (finding.expected == "positive"):
        return "; this one does not have the expected sign"
    made = Estimate(
        finding.estimate, finding.low, finding.high, finding.p, finding.n, finding.lineages, finding.method,
        finding.formula, std_error=finding.std_error, df=finding.df,
    )  # fmt: skip
    try:
        needed = lineages_needed(made, level=LEVEL / claims / (part.tests if finding.expected == "different" else 1))
    except TooLittle:
        return ""
    # Where one side of a contrast has few lineages, its degrees of freedom are fewer than there are lineages.
    needed = math.ceil(needed * finding.lineages / ((finding.df or 0) + 1))
    return f"; were the one found the true one, it would take {needed:,} of them"


def _kind(finding: Finding) -> str:
    return "difference" if finding.unit == "fraction" else finding.unit


def _signed(value: float, finding: Finding) -> str:
    return display.amount(value, finding.unit) + display.unit_name(finding.unit)


def _size(value: float, finding: Finding) -> str:
    return _signed(value, finding).removeprefix("+")


def _as_expected(part: Part) -> str:
    """How to read the sign of a mean, in which tests of either direction are turned to one."""
    return ", where plus is as expected" if part.finding.expected == "positive" else ""


def _about(part: Part) -> str:
    return f"{display.words(part.finding.part)}: " if part.finding.part else ""
