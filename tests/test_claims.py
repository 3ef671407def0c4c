"""Verdicts on claims: by hand, and over simulated ledgers whose claims are planted true or false."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import change, fits
from analysis.claims import Claim, judged, part_of, parts_of, seen_with, settle
from analysis.findings import Finding
from analysis.intervals import by_student

CLAIMS, SETS, LINEAGES, PAIRS = 20, 4, 30, 3
NAMES = [f"l{number}" for number in range(6)]


def finding(
    value: float, away: list[float], expected: str = "positive", *, part: str = "", margin: float | None = None
) -> Finding:
    """A test whose value without each of six lineages is off by `away`."""
    without = tuple((name, value + each) for name, each in zip(NAMES, away, strict=True))
    error = float(np.sqrt(5 / 6 * np.square(away).sum()))
    made = by_student(value, error, 5, n=12, method="by hand", formula="y", without=without)
    return Finding.of("subject", made, unit="fraction", expected=expected, part=part, margin=margin)  # type: ignore[arg-type]


def verdict(findings: list[Finding], others: int = 0) -> Claim:
    """The claim of these findings, beside `others` that nothing speaks for."""
    idle = parts_of([finding(0.0, [0.1, -0.1] * 3)])
    claims = settle([Claim("q", "", "", parts=parts_of(findings)), *[Claim("idle", "", "", parts=idle)] * others])
    return judged(claims[0], findings)[0]


def test_a_part_is_the_mean_of_its_tests_turned_as_expected_and_left_out_together() -> None:
    first, second = (
        finding(0.3, [0.01, -0.01, 0.02, 0, 0, -0.02]),
        finding(-0.1, [0.01, 0.03, 0, 0, 0, -0.04], "negative"),
    )
    part = part_of([first, second])
    away = (np.array([0.01, -0.01, 0.02, 0, 0, -0.02]) - np.array([0.01, 0.03, 0, 0, 0, -0.04])) / 2
    error = np.sqrt(5 / 6 * np.square(away).sum())
    assert part.finding.estimate == pytest.approx(0.2)
    assert part.finding.std_error == pytest.approx(error)
    assert part.p_for == pytest.approx(stats.t.sf(0.2 / error, 5))
    assert part.p_for + part.p_against == pytest.approx(1)
    assert part.tests == 2


def test_a_claim_is_as_strong_as_its_weakest_part() -> None:
    strong, weak = finding(0.5, [0.01, -0.01] * 3, part="a"), finding(0.01, [0.1, -0.1] * 3, part="b")
    made = verdict([strong, weak])
    assert made.p == pytest.approx(2 * part_of([weak]).p_for)
    assert made.verdict == "undecided"
    assert verdict([strong]).verdict == "supported"
    against = replace(strong, estimate=-0.5, without=tuple((name, -0.5 + 0.01) for name in NAMES), part="b")
    assert verdict([strong, against]).verdict == "contradicted"


def test_a_part_without_an_interval_leaves_its_claim_undecided() -> None:
    strong = finding(0.5, [0.01, -0.01] * 3, part="a")
    none = replace(
        strong, low=None, high=None, p=None, std_error=None, df=None, without=(), part="b", note="No interval."
    )
    made = verdict([strong, none])
    assert (made.p, made.verdict) == (1, "undecided")
    assert change.sentence(made, 1) == "No interval."
    assert verdict([replace(none, part="a"), strong]).verdict == "supported"  # the same part has another test


def test_somewhere_different_is_corrected_for_the_number_of_places() -> None:
    places = [finding(value, [0.02, -0.02] * 3, "different", margin=0.01) for value in (0.2, 0.001, -0.001)]
    part = part_of(places)
    assert part.finding is places[0]
    assert 2 * part.p_for == pytest.approx(3 * places[0].p)
    assert verdict(places).verdict == "supported"
    alike = [finding(0.0, [0.0005, -0.0005] * 3, "different", margin=0.01)] * 2
    assert verdict(alike).verdict == "contradicted"  # both lie within the margin
    said = "2 tests lie within 1.0 points of no difference; one beyond would change it."
    assert change.sentence(verdict(alike), 1) == said


def test_within_a_margin_must_hold_everywhere() -> None:
    near, far = (finding(value, [0.001, -0.001] * 3, "near zero", margin=0.05) for value in (0.0, 0.2))
    assert verdict([near, near]).verdict == "supported"
    assert verdict([near, far]).verdict == "contradicted"
    assert verdict([replace(far, expected="not below")]).verdict == "supported"
    assert verdict([replace(far, expected="not above")]).verdict == "contradicted"
    wide = finding(0.0, [0.05, -0.05] * 3, "near zero", margin=0.05)
    assert verdict([near, wide]).verdict == "undecided"


def test_a_mean_that_most_tests_do_not_share_supports_nothing() -> None:
    one, two = finding(2.0, [0.001, -0.001] * 3), finding(-0.01, [0.05, -0.05] * 3)
    assert verdict([one, two, two]).p < 0.001
    assert verdict([one, two, two]).verdict == "undecided"
    assert verdict([one, one, two]).verdict == "supported"
    no = finding(-0.5, [0.001, -0.001] * 3)
    assert verdict([one, one, no]).verdict == "undecided"  # one test says the contrary by itself


def test_what_would_change_a_verdict_is_made_of_its_numbers() -> None:
    carried = finding(0.05, [-0.06, 0.01, 0.01, 0.01, 0.01, 0.02])
    undecided = verdict([carried], others=4)
    said = change.sentence(undecided, 5)
    assert said.startswith("Its one test is +5.0 points [")
    assert "], where plus is as expected." in said
    size = seen_with(undecided.parts[0], 5)
    assert f"Four times in five, 6 lineages like these find a difference of {100 * size:.1f} points" in said
    assert "0.01" in said
    supported = verdict([finding(0.5, [0.03, -0.01, -0.01, 0, 0, -0.01])])
    assert "Without lineage 'l0', which moves it most, +50.0 points would be +53.0 points" in change.sentence(
        supported, 1
    )
    other = verdict([finding(-0.05, [0.06, -0.06] * 3)], others=4)
    assert "this one does not have the expected sign" in change.sentence(other, 5)


def ledger(seed: int, effects: np.ndarray) -> list[Claim]:
    """A ledger of claims about pairs of models of 30 lineages, on four sets each, with these true effects."""
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(LINEAGES), PAIRS)
    claims, answered = [], []
    for effect in effects:
        among = rng.normal(size=(LINEAGES, 1)) + 0.5 * rng.normal(size=(LINEAGES, SETS))
        values = effect + among[member] + 0.5 * rng.normal(size=(len(member), SETS))
        frame = pd.DataFrame(values, columns=list("abcd")).assign(lineage=[f"l{number}" for number in member])
        tests = [
            Finding.of(name, fits.mean(frame, name, formula=name), unit="fraction", expected="positive")
            for name in "abcd"
        ]
        claims.append(Claim("q", "", "", parts=parts_of(tests)))
        answered.append(tests)
    return [judged(claim, tests)[0] for claim, tests in zip(settle(claims), answered, strict=True)]


def rates(ledgers: int) -> tuple[float, float]:
    """Share of true claims that are supported, at the effect that power promises; of ledgers with a false one."""
    pilot = ledger(10_000, np.zeros(CLAIMS))
    promised = float(np.mean([seen_with(claim.parts[0], CLAIMS) for claim in pilot]))
    true = np.arange(CLAIMS) % 2 == 0
    found, wrong = 0, 0
    for seed in range(ledgers):
        verdicts = np.array([claim.verdict == "supported" for claim in ledger(seed, promised * true)])
        found += int(verdicts[true].sum())
        wrong += bool(verdicts[~true].any())
    return found / (ledgers * true.sum()), wrong / ledgers


def test_true_claims_are_found_as_often_as_promised_and_false_ones_are_rare() -> None:
    found, wrong = rates(12)
    assert found >= 0.8, found
    assert wrong <= 2 / 12, wrong


@pytest.mark.slow
def test_error_rates_of_the_ledger() -> None:
    """Of 500 ledgers: true claims are supported in at least 80 %, a false one in at most 5 % of ledgers."""
    found, wrong = rates(500)
    assert found >= 0.8, found
    assert wrong <= 0.05, wrong
