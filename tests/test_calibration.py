"""Calibration on numbers worked out by hand: two logits whose best temperature is a ratio of logarithms."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from results_by_hand import clean_set, learned, overconfident, record, show, table

from engine.predictions import Folder
from studies import calibration, estimates, metrics, outcomes
from studies.estimates import Estimate
from studies.halves import halve


@pytest.fixture
def empty(tmp_path: Path) -> Folder:
    return Folder.of(tmp_path / "results")


@pytest.fixture
def results(empty: Folder) -> Folder:
    """Logits (2, 0) on every image, three of four right; half right under shift."""
    overconfident(empty)
    return empty


def test_calibration_before_and_after_on_the_same_half(results: Folder) -> None:
    found = table(calibration.measure(record(results)))
    fitted = found["plain", "fit-half", "temperature", ""]
    assert (fitted.value, fitted.n) == (pytest.approx(2 / np.log(3), abs=1e-8), 8)
    confidence = 1 / (1 + np.exp(-2))
    raw = found["plain", "test-half", "ece15", "raw"]
    assert (raw.value, raw.n) == (pytest.approx(confidence - 0.75), 8)
    # An image moves the mean by its gap, less the mean gap, as often as it is in the half that tests.
    labels = np.array([0] * 12 + [1] * 4)
    times = np.sum([np.isin(np.arange(16), halve(labels, seed).test) for seed in range(10)], axis=0)
    assert raw.std_error == pytest.approx(np.std(times / 10 * 2 * ((labels == 0) - 0.75), ddof=1) / 4)
    assert found["plain", "test-half", "ece15", "scaled"].value == pytest.approx(0, abs=1e-8)
    assert found["plain", "test-half", "nll", "raw"].value == pytest.approx(
        -0.75 * np.log(confidence) - 0.25 * np.log(1 - confidence)
    )
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert found["plain", "test-half", "nll", "scaled"].value == pytest.approx(entropy)
    assert found["plain", "test-half", "brier", "scaled"].value == pytest.approx(0.375)
    assert found["plain", "test-half", "ece15_equal_mass", "raw"].value > 0
    assert found["plain", "test-half", "mce15", "raw"].value == pytest.approx(confidence - 0.75)
    assert found["plain", "test-half", "mce15", "raw"].std_error is None
    assert found["plain", "test-half", "smooth_ece", "raw"].value == pytest.approx(confidence - 0.75, abs=1e-6)
    # Six of eight are right: the sample variance is 1.5 / 7, of which an eighth is what chance adds.
    square = (confidence - 0.75) ** 2 - 1.5 / 7 / 8
    assert found["plain", "test-half", "ece15_squared_debiased", "raw"].value == pytest.approx(square)
    assert found["plain", "test-half", "aurc", "raw"].value == pytest.approx(0.25), "all are tied"


def test_reliability_curves_are_measurements(results: Folder) -> None:
    found = table(calibration.measure(record(results)))
    curve = {key: row for key, row in found.items() if "/bin-" in key[1]}
    # 0.88 is in (13/15, 14/15], 0.75 in (11/15, 12/15]; the shift set has the same confidences.
    raw, scaled = "bin-14", "bin-12"
    assert {key[:2] for key in curve} == {
        *((("plain", f"test-half/{name}")) for name in (raw, scaled)),
        *((("hard", f"all/{name}")) for name in (raw, scaled)),
    }
    accuracy, confidence = (
        curve["plain", f"test-half/{raw}", f"bin_{kind}", "raw"] for kind in ("accuracy", "confidence")
    )
    assert (accuracy.value, accuracy.n) == (pytest.approx(0.75), 8)
    assert confidence.value == pytest.approx(1 / (1 + np.exp(-2)))
    assert curve["hard", f"all/{scaled}", "bin_accuracy", "scaled"].value == 0.5


def test_calibration_on_a_shift_uses_the_clean_temperature(results: Folder) -> None:
    found = table(calibration.measure(record(results)))
    assert found["hard", "all", "ece15", "raw"].value == pytest.approx(1 / (1 + np.exp(-2)) - 0.5)
    scaled = found["hard", "all", "ece15", "scaled"]
    assert (scaled.value, scaled.n) == (pytest.approx(0.25, abs=1e-8), 8)
    assert ("hard", "all", "temperature", "") not in found


def test_calibration_never_tests_on_the_images_that_fitted(empty: Folder) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(scale=3, size=(41, 3)), rng.integers(0, 3, 41)
    labels[:30] = logits[:30].argmax(axis=1)
    learned(empty, 3)
    show(empty, clean_set(3), logits.tolist(), labels.tolist())
    found = table(calibration.measure(record(empty)))
    assert found["plain", "fit-half", "temperature", ""].n == 21
    assert found["plain", "test-half", "nll", "scaled"].n == 20
    halves = [halve(labels, seed) for seed in range(10)]
    least = [estimates.temperature(logits[half.test], labels[half.test]).value for half in halves]
    pairs = zip(halves, least, strict=True)
    best = [metrics.nll(metrics.log_softmax(logits[half.test], temperature=t), labels[half.test]) for half, t in pairs]
    # Fitted on the test half itself, the likelihood would be the best that any temperature gives there.
    assert found["plain", "test-half", "nll", "scaled"].value > np.mean(best) + 0.01


def test_calibration_of_a_perfect_model_has_no_temperature(empty: Folder, caplog: pytest.LogCaptureFixture) -> None:
    learned(empty, 2)
    show(empty, clean_set(2), [[2, 0], [0, 2]] * 8, [0, 1] * 8)
    with caplog.at_level(logging.INFO):
        found = table(calibration.measure(record(empty)))
    assert {key[3] for key in found} == {"raw"}
    assert "nothing is scaled, since No temperature" in caplog.text


def test_the_error_of_a_mean_over_seeds_is_that_of_the_mean() -> None:
    """Of 600 drawn sets, the interval covers the true share in 93 to 97 of 100; so do differences of heads."""
    n, inside, spread = 200, {"share": 0, "difference": 0}, []
    for draw in range(600):
        rng = np.random.default_rng(draw)
        labels, first = rng.integers(0, 5, n), rng.uniform(size=n) < 0.7
        second = np.where(rng.uniform(size=n) < 0.8, first, rng.uniform(size=n) < 0.6)
        rows = [halve(labels, seed).test for seed in range(10)]
        means = [
            calibration.mean_over_seeds([estimates.share(right[test]) for test in rows], rows, n)
            for right in (first, second)
        ]
        for name, found, truth in (("share", means[0], 0.7), ("difference", means[0] - means[1], 0.02)):
            inside[name] += abs(found.value - truth) < 1.96 * (found.std_error or 0.0)
        assert (means[0].n, len(means[0].influences[0])) == (100, n)
        spread.append((means[0].value, means[0].std_error))
    assert all(0.93 <= covered / 600 <= 0.97 for covered in inside.values()), inside
    values, errors = np.array(spread, dtype=float).T
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.1)


def test_a_mean_over_seeds_without_influences_has_no_error() -> None:
    rows = [np.array([0, 1]), np.array([1, 2])]
    found = calibration.mean_over_seeds([Estimate(0.1, None, 2), Estimate(0.3, None, 2)], rows, 3)
    assert (found.value, found.std_error, found.n) == (pytest.approx(0.2), None, 2)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_outcomes_in_blocks_are_those_of_the_whole(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(scale=5, size=(300, 7)).astype(np.float32), rng.integers(0, 7, 300)
    found = outcomes.outcomes(logits, labels, temperature=temperature)
    logs = metrics.log_softmax(logits, temperature=temperature)
    assert found.confidence == pytest.approx(np.exp(logs).max(axis=1), abs=1e-15)
    assert found.correct.tolist() == (logits.argmax(axis=1) == labels).tolist()
    assert outcomes.nll(found).value == pytest.approx(metrics.nll(logs, labels), abs=1e-12)
    assert outcomes.brier(found).value == pytest.approx(metrics.brier(np.exp(logs), labels), abs=1e-12)
