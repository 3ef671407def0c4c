"""Visual factors on a small annotated set, worked out by hand."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from results_by_hand import clean_set, learned, one_hot, record, show, table

from engine.predictions import Folder
from studies import factors


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    return Folder.of(tmp_path / "results")


@pytest.fixture
def annotated(results: Folder) -> Folder:
    """40 pose (30 right), 30 texture (15 right, all also pose), 5 rare, 10 prototypes, 20 without annotation."""
    learned(results, 2)
    right = [1] * 30 + [0] * 10 + [1] * 15 + [0] * 15 + [1] * 5 + [0] * 10 + [0] * 20
    show(
        results,
        clean_set(2),
        one_hot([1 - each for each in right], 2),
        [0] * 105,
        top_factor=["pose"] * 40 + ["texture"] * 30 + ["rare"] * 5 + [None] * 30,
        factors=[["pose"]] * 40 + [["pose", "texture"]] * 30 + [["rare"]] * 5 + [[]] * 10 + [None] * 20,
        prototype=[False] * 75 + [True] * 10 + [None] * 20,
    )
    return results


def test_factors_by_hand(annotated: Folder) -> None:
    found = table(factors.measure(record(annotated)))
    for method in ("top", "multi"):
        overall = found["plain", "annotated", "top1", method]
        assert (overall.value, overall.n) == (pytest.approx(50 / 75), 75)
    assert found["plain", "pose", "top1", "top"].value == 0.75
    assert found["plain", "pose", "error_ratio", "top"].value == pytest.approx(0.25 / (25 / 75))
    assert found["plain", "texture", "error_ratio", "top"].value == pytest.approx(0.5 / (25 / 75))
    assert found["plain", "texture", "error_ratio", "top"].n == 30
    assert found["plain", "pose", "top1", "multi"].value == pytest.approx(45 / 70)
    assert found["plain", "pose", "top1", "multi"].n == 70


def test_factors_with_prototypes_are_another_method(annotated: Folder) -> None:
    found = table(factors.measure(record(annotated)))
    # The ten prototypes are wrong, and show no factor: only the overall accuracy falls.
    for method in ("top+prototypes", "multi+prototypes"):
        overall = found["plain", "annotated", "top1", method]
        assert (overall.value, overall.n) == (pytest.approx(50 / 85), 85)
    assert found["plain", "pose", "top1", "top+prototypes"].value == 0.75
    assert found["plain", "pose", "error_ratio", "top+prototypes"].value == pytest.approx(0.25 / (35 / 85))


def test_calibration_under_a_factor_where_it_has_a_hundred_images(results: Folder) -> None:
    learned(results, 2)
    marks = {"top_factor": ["pose"] * 100 + ["dark"] * 99, "factors": [["pose"]] * 199, "prototype": [False] * 199}
    show(results, clean_set(2), [[2, 0]] * 199, [0] * 75 + [1] * 25 + [0] * 99, **marks)
    found = table(factors.measure(record(results)))
    confidence = 1 / (1 + np.exp(-2))
    gap = found["plain", "pose", "ece15", "top"]
    assert (gap.value, gap.n) == (pytest.approx(confidence - 0.75), 100)
    debiased = found["plain", "pose", "ece15_squared_debiased", "top"]
    assert debiased.value == pytest.approx((confidence - 0.75) ** 2 - 0.75 * 0.25 / 99)
    assert found["plain", "pose", "ece15", "multi"].value == pytest.approx(abs(confidence - 174 / 199))
    assert found["plain", "annotated", "ece15", "top"].n == 199
    assert ("plain", "dark", "top1", "top") in found
    assert ("plain", "dark", "ece15", "top") not in found
    assert ("plain", "annotated", "top1", "top+prototypes") not in found, "no prototypes to put back"


def test_factors_with_few_images_are_left_out_and_named(annotated: Folder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = table(factors.measure(record(annotated)))
    assert {key[1] for key in found} == {"annotated", "pose", "texture"}
    assert "fewer than 30 images: rare" in caplog.text


def test_factors_need_annotations(results: Folder) -> None:
    learned(results, 2)
    show(results, clean_set(2), [[1, 0]], [0])
    assert list(factors.measure(record(results))) == []
