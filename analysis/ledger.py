"""The claims ledger: every question asked of one RESULTS, its findings judged together, and what was left out."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.findings import Finding, LeftOut, decide
from analysis.questions import QUESTIONS, Question
from analysis.results import Results

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every answer: findings with their verdicts, in the order of the questions, and what was left out."""

    findings: tuple[Finding, ...]
    left_out: tuple[LeftOut, ...]

    def of(self, question: str) -> list[Finding]:
        """The findings of one question."""
        return [finding for finding in self.findings if finding.question == question]


def claim(question: Question) -> str:
    """The expectation of a question: the first paragraph of its docstring."""
    return " ".join((inspect.getdoc(question) or "").split("\n\n")[0].split())


def origin(question: Question) -> str:
    """Where the expectation comes from: the rest of the docstring."""
    return " ".join(" ".join((inspect.getdoc(question) or "").split("\n\n")[1:]).split())


def ask(results: Results, questions: Sequence[Question] = QUESTIONS) -> Ledger:
    """The answers to the questions; p values are Holm-adjusted over all of them."""
    findings: list[Finding] = []
    left_out: list[LeftOut] = []
    for question in questions:
        name, said = question.__name__, claim(question)
        given = list(question(results)) or [LeftOut("", "", "The results hold no image set or group that it is about.")]
        for answer in given:
            if isinstance(answer, Finding):
                findings.append(replace(answer, question=name, claim=said))
            else:
                left_out.append(replace(answer, question=name))
                log.info("%s: %s left out: %s", name, answer.subject or "all", answer.reason)
    return Ledger(tuple(decide(findings)), tuple(left_out))
