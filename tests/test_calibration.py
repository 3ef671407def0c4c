"""Calibration on numbers worked out by hand: two logits whose best temperature is a ratio of logarithms."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from results_by_hand import clean_set, learned, overconfident, record, show, table

from engine.predictions import Folder
from studies import calibration, estimates, metrics
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
    # The gap of an image is correct - confidence; correct is 6 of 8.
    assert raw.std_error == pytest.approx(np.sqrt(0.75 * 0.25 / 7))
    assert found["plain", "test-half", "ece15", "scaled"].value == pytest.approx(0, abs=1e-8)
    assert found["plain", "test-half", "nll", "raw"].value == pytest.approx(
        -0.75 * np.log(confidence) - 0.25 * np.log(1 - confidence)
    )
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert found["plain", "test-half", "nll", "scaled"].value == pytest.approx(entropy)
    assert found["plain", "test-half", "brier", "scaled"].value == pytest.approx(0.375)
    assert found["plain", "test-half", "ece15_equal_mass", "raw"].value > 0


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
