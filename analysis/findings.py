"""The table of findings: one claim each, with estimate, interval, p, n, lineages, method and verdict.

``RESULTS/report/findings.csv`` has the columns of `Finding`. Empty means there is none: no interval where too few
lineages stand behind a number, no verdict where nothing was expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Literal

import pandas as pd

from analysis.fits import Estimate, holm

Verdict = Literal["supported", "contradicted", "undecided", ""]
Expected = Literal["positive", "negative", "different", "near zero", ""]
Unit = Literal["correlation", "slope", "fraction"]
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim about one subject, with its evidence.

    Attributes
    ----------
    question : name of the function in `analysis.questions.QUESTIONS` that asked
    claim : what was expected, as written down before anyone looked
    subject : which models or image sets this finding is about
    estimate, low, high : the number and its 95 % interval, in `unit`
    unit : correlation, slope (y per x), fraction (a difference of shares)
    p, p_adjusted : against zero, two-sided; Holm-adjusted over every finding of the report whose direction was expected
    n, lineages : models, and lineages among them
    expected : the direction that was expected; empty where the number is only described
    margin : how far from zero still counts as near
    verdict : see `judge`
    method, formula, seed, note : how it was made; why there is no interval
    """

    question: str
    claim: str
    subject: str
    estimate: float
    low: float | None
    high: float | None
    unit: Unit
    p: float | None
    p_adjusted: float | None
    n: int
    lineages: int
    expected: Expected
    margin: float | None
    verdict: Verdict
    method: str
    formula: str
    seed: int | None
    note: str

    @classmethod
    def of(
        cls, subject: str, made: Estimate, *, unit: Unit, expected: Expected = "", margin: float | None = None
    ) -> Finding:
        """An estimate with what it is about; question, claim and verdict follow when all are in."""
        return cls(
            question="", claim="", subject=subject, estimate=made.estimate, low=made.low, high=made.high, unit=unit,
            p=made.p, p_adjusted=None, n=made.n, lineages=made.lineages, expected=expected, margin=margin, verdict="",
            method=made.method, formula=made.formula, seed=made.seed, note=made.note,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that could not be answered, and the reason."""

    question: str
    subject: str
    reason: str


def judge(finding: Finding) -> Verdict:
    """The verdict on one finding.

    *supported*: the Holm-adjusted p is below 0.05, the 95 % interval leaves out zero, and the sign is the expected one
    (any sign where "different" was expected). *contradicted*: the same, with the other sign. Where "near zero" was
    expected: supported if the whole interval lies within the margin, contradicted if all of it lies outside. Else
    *undecided*.
    """
    if not finding.expected:
        return ""
    if finding.low is None or finding.high is None:
        return "undecided"
    if finding.expected == "near zero":
        reach = finding.margin or 0.0
        if -reach <= finding.low and finding.high <= reach:
            return "supported"
        return "contradicted" if finding.low > reach or finding.high < -reach else "undecided"
    if finding.p_adjusted is None or finding.p_adjusted >= LEVEL or finding.low <= 0 <= finding.high:
        return "undecided"
    agrees = finding.expected == "different" or (finding.expected == "positive") == (finding.estimate > 0)
    return "supported" if agrees else "contradicted"


def decide(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with Holm-adjusted p values, over all whose direction was expected, and their verdicts."""
    directed = ("positive", "negative", "different")
    asked = [place for place, each in enumerate(findings) if each.expected in directed and each.p is not None]
    adjusted = dict(zip(asked, holm([findings[place].p or 0.0 for place in asked]), strict=True))
    whole = [replace(finding, p_adjusted=adjusted.get(place)) for place, finding in enumerate(findings)]
    return [replace(finding, verdict=judge(finding)) for finding in whole]


def overall(findings: Sequence[Finding]) -> Verdict:
    """The verdict on a question; empty where nothing was tested.

    *supported* where more than half of its tests are, and none is contradicted; *contradicted* the other way round;
    else *undecided*.
    """
    verdicts: list[Verdict] = [finding.verdict for finding in findings if finding.verdict]
    counts = {verdict: verdicts.count(verdict) for verdict in ("supported", "contradicted")}
    if counts["supported"] * 2 > len(verdicts) and not counts["contradicted"]:
        return "supported"
    if counts["contradicted"] * 2 > len(verdicts) and not counts["supported"]:
        return "contradicted"
    return "undecided" if verdicts else ""


def table(findings: Sequence[Finding]) -> pd.DataFrame:
    """The findings as a table, a column per field; missing where there is none."""
    names = [field.name for field in fields(Finding)]
    return pd.DataFrame([astuple(finding) for finding in findings], columns=names).astype(
        dict.fromkeys(("low", "high", "p", "p_adjusted", "margin"), "Float64") | {"seed": "Int64"}
    )
