"""The verdict on a claim, by a rule that was written down before anyone looked, and what would change it.

A claim is made of parts that must all hold. Within a part, tests that expect a direction are averaged, with their
expected signs, and the mean is tested once, with the jackknife over all their lineages; where the claim is that numbers
differ somewhere, or lie within a margin everywhere, see `part_of`. A claim is as strong as its weakest part (the
intersection-union test: Berger 1982, doi:10.1080/00401706.1982.10487790), and against it speaks its most contrary part,
corrected for their number. The p values of all claims are Holm-adjusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from analysis.equivalence import detectable
from analysis.findings import DIRECTED, LEVEL, Finding, Verdict, decide
from analysis.fits import holm
from analysis.intervals import by_student
from analysis.resampling import spread


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a claim: the number that stands for it, and how strongly it speaks for and against the claim.

    Attributes
    ----------
    finding : the number, with interval; its estimate is turned so that positive is as expected where it is a mean
    p_for, p_against : one-sided; 1 where nothing can be said
    tests : how many findings stand behind it
    """

    finding: Finding
    p_for: float
    p_against: float
    tests: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim with its verdict.

    Attributes
    ----------
    question : name of the function in `analysis.questions.QUESTIONS` that asked
    text, origin : the expectation, and where it comes from
    verdict : supported, contradicted, undecided; empty where nothing was tested
    p, p_adjusted : two-sided, of the better supported of the two directions; Holm-adjusted over all claims
    parts : see `Part`
    change : what would change the verdict
    """

    question: str
    text: str
    origin: str
    verdict: Verdict = ""
    p: float | None = None
    p_adjusted: float | None = None
    parts: tuple[Part, ...] = ()
    change: str = ""


def parts_of(findings: Sequence[Finding]) -> tuple[Part, ...]:
    """The parts of one claim, in the order of their first tests; what nothing was expected of counts for none."""
    tests = [finding for finding in findings if finding.expected]
    names = dict.fromkeys(each.part for each in tests)
    return tuple(part_of([each for each in tests if each.part == name]) for name in names)


def part_of(tests: Sequence[Finding]) -> Part:
    """One part of a claim.

    Where a direction was expected: the mean of the tests, turned so that positive is as expected. Where they should be
    "different": the test with the smallest p, times their number (Bonferroni); against it, that every one lies within
    the margin. Where they should lie within a margin: the test that does so least clearly. Tests without an interval
    count for nothing; where none has one, nothing can be said.
    """
    known = [each for each in tests if each.std_error is not None and each.df is not None and each.without]
    if not known:
        return Part(tests[0], 1.0, 1.0, len(tests))
    if all(each.expected in ("positive", "negative") for each in known):
        return _mean(known)
    if known[0].expected == "different":
        first = min(known, key=lambda each: each.p or 0.0)
        alike = max(_beyond(each, inside=True) for each in known) if first.margin else 1.0
        return Part(first, min(1.0, len(known) * (first.p or 0.0) / 2), alike, len(known))
    weakest = max(known, key=lambda each: _beyond(each, inside=True))
    against = min(1.0, len(known) * min(_beyond(each, inside=False) for each in known))
    return Part(weakest, _beyond(weakest, inside=True), against, len(known))


def _mean(known: Sequence[Finding]) -> Part:
    signs = [1.0 if each.expected == "positive" else -1.0 for each in known]
    value = float(np.mean([sign * each.estimate for sign, each in zip(signs, known, strict=True)]))
    names = sorted({name for each in known for name, _ in each.without})
    kept = [dict(each.without) for each in known]
    without = np.array(
        [
            np.mean([sign * rest.get(name, each.estimate) for sign, each, rest in zip(signs, known, kept, strict=True)])
            for name in names
        ]
    )
    error, df = spread(value, without), min(each.df or 1.0 for each in known)
    method, formula = f"mean of {len(known)} tests, jackknife over lineages", "; ".join(each.formula for each in known)
    made = by_student(
        value, error, df, n=max(each.n for each in known), method=method, formula=formula,
        without=tuple(zip(names, map(float, without), strict=True)),
    )  # fmt: skip
    first, t = known[0], value / max(error, 1e-300)
    mean = replace(
        Finding.of(first.part or "all tests", made, unit=first.unit, expected="positive", part=first.part),
        question=first.question,
        claim=first.claim,
        lineages=min(each.lineages for each in known),
    )
    return Part(mean, float(stats.t.sf(t, df)), float(stats.t.cdf(t, df)), len(known))


def _beyond(finding: Finding, *, inside: bool) -> float:
    """P that a number lies within its margin on the expected side or sides, or that it lies outside."""
    reach, error, df = finding.margin or 0.0, max(finding.std_error or 0.0, 1e-300), finding.df or 1.0
    above, below = ((finding.estimate - bound) / error for bound in (-reach, reach))
    sides = [] if finding.expected == "not above" else [float((stats.t.sf if inside else stats.t.cdf)(above, df))]
    sides += [] if finding.expected == "not below" else [float((stats.t.cdf if inside else stats.t.sf)(below, df))]
    return max(sides) if inside else min(1.0, len(sides) * min(sides))


def settle(claims: Sequence[Claim]) -> list[Claim]:
    """The claims with their p values, Holm-adjusted over all that could be tested, and without verdicts as yet."""
    asked = [place for place, claim in enumerate(claims) if claim.parts]
    both = {place: _two(claims[place].parts) for place in asked}
    p_values = [min(both[place]) for place in asked]
    adjusted = dict(zip(asked, holm(p_values), strict=True))
    return [
        replace(claim, p=min(both[place]), p_adjusted=adjusted[place]) if place in adjusted else claim
        for place, claim in enumerate(claims)
    ]


def _two(parts: Sequence[Part]) -> tuple[float, float]:
    """Two-sided p for and against a claim of these parts."""
    return (
        min(1.0, 2 * max(part.p_for for part in parts)),
        min(1.0, 2 * len(parts) * min(part.p_against for part in parts)),
    )


def judged(claim: Claim, findings: Sequence[Finding]) -> tuple[Claim, list[Finding]]:
    """A settled claim with its verdict, and its findings with theirs.

    *supported*: the adjusted p is below 0.05 and speaks for the claim, most of its tests in every part point the
    expected way, and none is contradicted by itself. *contradicted*: the adjusted p is below 0.05 and speaks against
    it. Else *undecided*.
    """
    decided = decide(findings, claim.p_adjusted or 0.0)
    if not claim.parts or claim.p_adjusted is None:
        return claim, decided
    p_for, p_against = _two(claim.parts)
    verdict: Verdict = "undecided"
    if claim.p_adjusted < LEVEL and p_against < p_for:
        verdict = "contradicted"
    elif claim.p_adjusted < LEVEL and all(each.verdict != "contradicted" for each in decided) and _most(decided):
        verdict = "supported"
    return replace(claim, verdict=verdict), decided


def _most(findings: Sequence[Finding]) -> bool:
    """Whether more than half of the directed tests of every part point the expected way."""
    for name in {each.part for each in findings if each.expected in ("positive", "negative")}:
        part = [each for each in findings if each.part == name and each.expected in ("positive", "negative")]
        if 2 * sum((each.expected == "positive") == (each.estimate > 0) for each in part) <= len(part):
            return False
    return True


def seen_with(part: Part, claims: int) -> float | None:
    """The smallest true size of a part that would be found with 80 % power at Holm's strictest level; None if unknown.

    In the part's unit, at its own standard error.
    """
    made = part.finding
    if made.std_error is None or made.df is None or made.expected not in DIRECTED:
        return None
    tests = part.tests if made.expected == "different" else 1
    return detectable(made.std_error, made.df, level=LEVEL / claims / tests)
