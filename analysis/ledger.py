"""The claims ledger: every question asked of one RESULTS, its findings judged together, and what was left out."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis import change
from analysis.claims import Claim, judged, parts_of, settle
from analysis.findings import Finding, LeftOut, Verdict, with_rates
from analysis.questions import QUESTIONS, Question
from analysis.results import Results

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every answer: findings and claims with their verdicts, in the order of the questions, and what was left out.

    ``otherwise`` and ``not_otherwise`` are the same for the findings asked in other ways, once they were; see
    `analysis.otherwise`.
    """

    findings: tuple[Finding, ...]
    left_out: tuple[LeftOut, ...]
    claims: tuple[Claim, ...] = ()
    otherwise: tuple[Finding, ...] = ()
    not_otherwise: tuple[LeftOut, ...] = ()

    def of(self, question: str) -> list[Finding]:
        """The findings of one question."""
        return [finding for finding in self.findings if finding.question == question]

    def ways(self, question: str) -> list[Finding]:
        """The findings of one question asked in other ways."""
        return [finding for finding in self.otherwise if finding.question == question]

    def claim(self, question: str) -> Claim:
        """The claim of one question, with its verdict."""
        return next(claim for claim in self.claims if claim.question == question)

    def verdict(self, question: str) -> Verdict:
        """The verdict on one question; empty where nothing was tested."""
        return self.claim(question).verdict


def claim(question: Question) -> str:
    """The expectation of a question: the first paragraph of its docstring."""
    return " ".join((inspect.getdoc(question) or "").split("\n\n")[0].split())


def origin(question: Question) -> str:
    """Where the expectation comes from: the rest of the docstring."""
    return " ".join(" ".join((inspect.getdoc(question) or "").split("\n\n")[1:]).split())


def ask(results: Results, questions: Sequence[Question] = QUESTIONS) -> Ledger:
    """The answers to the questions, and the verdicts on their claims by the rule of `analysis.claims`."""
    left_out: list[LeftOut] = []
    answered: dict[str, list[Finding]] = {}
    for question in questions:
        name, said = question.__name__, claim(question)
        answered[name] = []
        given = list(question(results)) or [LeftOut("", "", "The results hold no image set or group that it is about.")]
        for answer in given:
            if isinstance(answer, Finding):
                answered[name].append(replace(answer, question=name, claim=said))
            else:
                left_out.append(replace(answer, question=name))
                log.info("%s: %s left out: %s", name, answer.subject or "all", answer.reason)
    asked = [
        Claim(each.__name__, claim(each), origin(each), parts=parts_of(answered[each.__name__])) for each in questions
    ]
    findings, claims = _judge(asked, answered)
    return Ledger(tuple(with_rates(findings)), tuple(left_out), tuple(claims))


def _judge(asked: Sequence[Claim], answered: dict[str, list[Finding]]) -> tuple[list[Finding], list[Claim]]:
    """Every finding and every claim with its verdict, and with what would change it."""
    findings: list[Finding] = []
    claims: list[Claim] = []
    tested = sum(bool(each.parts) for each in asked)
    for settled in settle(asked):
        made, decided = judged(settled, answered[settled.question])
        findings += decided
        claims.append(replace(made, change=change.sentence(made, tested)))
    return findings, claims
