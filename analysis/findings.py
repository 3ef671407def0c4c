"""The table of findings: one claim each, with estimate, interval, p, n, lineages, method and verdict.

``RESULTS/report/findings.csv`` has the columns of `Finding`. Empty means there is none: no interval where too few
lineages stand behind a number, no verdict where nothing was expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import pandas as pd

from analysis.fits import benjamini_hochberg, holm
from analysis.intervals import Estimate, Posed, Without

Verdict = Literal["supported", "contradicted", "undecided", ""]
Expected = Literal["positive", "negative", "different", "near zero", "not below", "not above", ""]
Unit = Literal["correlation", "slope", "fraction"]
LEVEL = 0.05
DIRECTED = ("positive", "negative", "different")


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
    p, p_adjusted : against zero, two-sided; Holm-adjusted over the findings of its claim whose direction was expected,
        and never below that of the claim itself
    n, lineages : models, and lineages among them
    expected : the direction that was expected; empty where the number is only described
    margin : how far from zero still counts as near
    verdict : see `judge`
    method, formula, seed, note : how it was made; why there is no interval, and what to beware of
    part : which part of the claim it is evidence for; empty where the claim has only one
    std_error, df : standard error over lineages, and degrees of freedom of its Student's t
    way : in which other way the question of the same subject was asked; empty where by the rule of the report
    q : p adjusted by Benjamini & Hochberg over every finding of the report whose direction was expected
    without, posed : the number without each lineage, and what it was asked of; not in the table
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
    part: str = ""
    std_error: float | None = None
    df: float | None = None
    q: float | None = None
    way: str = ""
    without: Without = field(default=(), repr=False)
    posed: Posed | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        subject: str,
        made: Estimate,
        *,
        unit: Unit,
        expected: Expected = "",
        margin: float | None = None,
        part: str = "",
    ) -> Finding:
        """An estimate with what it is about; question, claim and verdict follow when all are in."""
        return cls(
            question="", claim="", subject=subject, estimate=made.estimate, low=made.low, high=made.high, unit=unit,
            p=made.p, p_adjusted=None, n=made.n, lineages=made.lineages, expected=expected, margin=margin, verdict="",
            method=made.method, formula=made.formula, seed=made.seed, note=made.note, part=part,
            std_error=made.std_error, df=made.df, without=made.without, posed=made.posed,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that could not be answered (in another `way`, where one is named), and the reason."""

    question: str
    subject: str
    reason: str
    way: str = ""


def judge(finding: Finding) -> Verdict:
    """The verdict on one finding.

    *supported*: the adjusted p is below 0.05, the 95 % interval leaves out zero, and the sign is the expected one (any
    sign where "different" was expected). *contradicted*: the same, with the other sign. Where "near zero", "not below"
    or "not above" was expected: supported if the whole interval lies within the margin on that side, contradicted if
    all of it lies outside. Else *undecided*.
    """
    if not finding.expected:
        return ""
    if finding.low is None or finding.high is None:
        return "undecided"
    if finding.expected not in DIRECTED:
        return _within_margin(finding, finding.low, finding.high)
    if finding.p_adjusted is None or finding.p_adjusted >= LEVEL or finding.low <= 0 <= finding.high:
        return "undecided"
    agrees = finding.expected == "different" or (finding.expected == "positive") == (finding.estimate > 0)
    return "supported" if agrees else "contradicted"


def _within_margin(finding: Finding, low: float, high: float) -> Verdict:
    reach = finding.margin or 0.0
    floor = -float("inf") if finding.expected == "not above" else -reach
    ceiling = float("inf") if finding.expected == "not below" else reach
    if floor <= low and high <= ceiling:
        return "supported"
    return "contradicted" if low > ceiling or high < floor else "undecided"


def decide(findings: Sequence[Finding], floor: float = 0.0) -> list[Finding]:
    """The findings of one claim with their verdicts.

    P values are Holm-adjusted over those whose direction was expected, and not below `floor`, the adjusted p of the
    claim: a test is decided only where its claim is.
    """
    asked = [place for place, each in enumerate(findings) if each.expected in DIRECTED and each.p is not None]
    adjusted = dict(zip(asked, holm([findings[place].p or 0.0 for place in asked]), strict=True))
    whole = [
        replace(finding, p_adjusted=max(adjusted[place], floor) if place in adjusted else None)
        for place, finding in enumerate(findings)
    ]
    return [replace(finding, verdict=judge(finding)) for finding in whole]


def with_rates(findings: Sequence[Finding]) -> list[Finding]:
    """The findings of a whole report with their false discovery rates, over all whose direction was expected."""
    asked = [place for place, each in enumerate(findings) if each.expected in DIRECTED and each.p is not None]
    rates = dict(zip(asked, benjamini_hochberg([findings[place].p or 0.0 for place in asked]), strict=True))
    return [replace(finding, q=rates.get(place)) for place, finding in enumerate(findings)]


def table(findings: Sequence[Finding]) -> pd.DataFrame:
    """The findings as a table, a column per field; missing where there is none."""
    names = [each.name for each in fields(Finding) if each.name not in ("without", "posed")]
    rows = [[getattr(finding, name) for name in names] for finding in findings]
    return pd.DataFrame(rows, columns=names).astype(
        dict.fromkeys(("low", "high", "p", "p_adjusted", "margin", "std_error", "df", "q"), "Float64")
        | {"seed": "Int64"}
    )
