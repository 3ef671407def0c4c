"""Which answers are right: counted by hand, and against the rule that several published scorers use."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from results_by_hand import clean_set, learned, record, show, table, zero_shot
from timm.data import RealLabelsImagenet

from engine.predictions import Floats, Folder, Head, ImageSet, Ints, Predictions
from studies import acceptance, calibration, factors, metrics, prompts, shift
from studies.right import best_right

GROUPS = ImageSet("film", "shift", "plain", ("ape", "bee", "cat"), ((0, 1), (4,), (6, 2)))


def predictions(logits: Floats, labels: Ints, image_set: ImageSet, /, **annotations: object) -> Predictions:
    head = Head("learned", "learned", np.eye(1, dtype=np.float32), np.zeros(1, np.float32), 1.0)
    images = pd.DataFrame({"image_id": [str(number) for number in range(len(labels))], **annotations})
    return Predictions(image_set, head, images, logits[:, :1], logits, labels)


def test_the_own_label_is_right_where_nothing_else_is() -> None:
    shown = predictions(np.eye(3, dtype=np.float32), np.array([2, 1, 0]), clean_set(3))
    assert best_right(shown) is shown.labels
    none = predictions(np.zeros((0, 7), np.float32), np.array([], dtype=np.int64), GROUPS)
    assert best_right(none, GROUPS.classes).tolist() == []


def test_by_hand() -> None:
    logits = np.array([[3, 9, 0, 0, 5, 0, 7], [0, 0, 0, 9, 5, 0, 0], [1, 1, 2, 0, 2, 0, 2]], dtype=np.float32)
    shown = predictions(logits, np.array([0, 1, 1]), GROUPS, labels=[[0, 2], [1], [1, 2]])
    assert best_right(shown, GROUPS.classes).tolist() == [1, 4, 2], "of equal ones the first"
    assert best_right(shown.on(GROUPS.classes)).tolist() == [0, 1, 1]
    untold = predictions(logits, np.array([0, 1, 1]), GROUPS, labels=[None, [], [2]])
    assert best_right(untold, GROUPS.classes).tolist() == [1, 4, 2], "nothing said: the own label"


@pytest.mark.parametrize("seed", range(5))
def test_hits_are_those_of_the_published_rule(seed: int) -> None:
    """Right when the largest logit's column is in the list of right ones (Shankar et al. 2019; Taori et al. 2020)."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(0, 6, (200, 7)).astype(np.float32)  # with many ties
    several = [sorted(rng.choice(3, rng.integers(1, 3), replace=False).tolist()) for _ in range(200)]
    shown = predictions(logits, np.array([each[0] for each in several]), GROUPS, labels=several)
    columns = [{column for label in each for column in GROUPS.classes[label]} for each in several]
    ranked = np.argsort(-logits, axis=1, kind="stable")
    for k in (1, 5):
        expected = [bool(right & set(order[:k].tolist())) for right, order in zip(columns, ranked, strict=True)]
        assert metrics.hits(logits, best_right(shown, GROUPS.classes), k=k).tolist() == expected
    among = shown.on(GROUPS.classes)
    decided = among.logits.argmax(axis=1)
    expected = [choice in right for choice, right in zip(decided.tolist(), several, strict=True)]
    assert metrics.hits(among.logits, best_right(among)).tolist() == expected


def test_classes_of_another_set_keep_several_labels_in_step() -> None:
    plain = predictions(
        np.eye(6, dtype=np.float32), np.arange(6), clean_set(6), labels=[[0, 5], [1], [2], [3], [4, 1], [5]]
    )
    among = plain.on(((4,), (0, 1)))
    assert among.labels.tolist() == [1, 1, 0]
    assert among.images["labels"].tolist() == [[1], [1], [0, 1]]


RIGHT = [[0], [0], [0], [1, 0], [1, 2], [2]]
"""Of six images that are all taken for class 0: three are right by their own label, one more by another."""
OWN = [each[0] for each in RIGHT]


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    """A clean set and a shift set with these right labels, and logits (2, 0, 0) everywhere."""
    folder = Folder.of(tmp_path)
    learned(folder, 3, published_film=0.5)
    film = ImageSet("film", "shift", "plain", ("a", "b", "c"), ((0,), (1,), (2,)))
    for image_set in (clean_set(3), film):
        show(folder, image_set, [[2, 0, 0]] * 6, OWN, labels=RIGHT)
    return folder


def test_calibration_counts_any_and_weighs_the_own(results: Folder) -> None:
    found = table(calibration.measure(record(results)))
    first, other = np.exp(2) / (np.exp(2) + 2), 1 / (np.exp(2) + 2)
    assert found["film", "all", "ece15", "raw"].value == pytest.approx(first - 4 / 6)
    assert found["film", "all", "ece15_equal_mass", "raw"].value > 0
    assert found["film", "all", "nll", "raw"].value == pytest.approx(-(np.log(first) + np.log(other)) / 2)
    right, wrong = (1 - first) ** 2 + 2 * other**2, first**2 + (1 - other) ** 2 + other**2
    assert found["film", "all", "brier", "raw"].value == pytest.approx((right + wrong) / 2)


def test_acceptance_and_shift_count_any(results: Folder) -> None:
    gap = table(acceptance.measure(record(results)))["film", "all", "top1_gap", ""]
    assert gap.value == pytest.approx(4 / 6 - 0.5)
    found = table(shift.measure(record(results)))
    for key in (("plain", "all", "full"), ("plain", "classes:film", "masked"), ("film", "all", "masked")):
        assert found[*key[:2], "top1", key[2]].value == pytest.approx(4 / 6)


def test_prompts_and_factors_count_any(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path)
    zero_shot(folder, {"openai80": np.eye(3).tolist()}, scale=1.0)
    marks = {"top_factor": ["pose"] * 60, "factors": [["pose"]] * 60, "prototype": [False] * 60}
    show(folder, clean_set(3), [[2, 0, 0]] * 60, OWN * 10, labels=RIGHT * 10, **marks)
    found = table(prompts.measure(record(folder)))
    assert found["plain", "all", "top1", "shift:full"].value == pytest.approx(4 / 6)
    calibrated = table(calibration.measure(record(folder)))["plain", "test-half", "ece15", "raw"]
    assert found["plain", "test-half", "ece15", "calibration:raw"].value == calibrated.value
    assert found["plain", "annotated", "mean_factor_top1", "factors:top"].value == pytest.approx(4 / 6)
    assert table(factors.measure(record(folder)))["plain", "pose", "top1", "multi"].value == pytest.approx(4 / 6)


def test_real_labels_are_counted_as_timm_counts_them(tmp_path: Path) -> None:
    """Beyer et al. 2020: any of the labels is right, and pictures without one are left out."""
    rng = np.random.default_rng(0)
    real = [rng.choice(9, rng.integers(0, 4), replace=False).tolist() for _ in range(300)]
    own, logits = rng.integers(0, 9, 300), rng.normal(size=(300, 9)).astype(np.float32)
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 301)]
    (tmp_path / "real.json").write_text(json.dumps(real))
    theirs = RealLabelsImagenet(names, real_json=str(tmp_path / "real.json"), topk=(1, 5))
    theirs.add_result(torch.tensor(logits))
    folder = Folder.of(tmp_path / "results")
    learned(folder, 9)
    show(folder, clean_set(9), logits.tolist(), own.tolist(), real_labels=real)
    found = table(shift.measure(record(folder)))
    labelled = np.array([bool(labels) for labels in real])
    for metric, percent in theirs.get_accuracy().items():
        row = found["plain", "real", f"top{metric}", "real"]
        assert (row.value, row.n) == (pytest.approx(percent / 100), labelled.sum())
    beside = found["plain", "real", "top1", "full"]
    assert (beside.value, beside.n) == (np.mean((logits.argmax(axis=1) == own)[labelled]), labelled.sum())
    assert found["plain", "all", "top1", "full"].n == 300


def test_without_a_real_label_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = Folder.of(tmp_path)
    learned(folder, 2)
    show(folder, clean_set(2), [[1, 0]] * 2, [0, 1], real_labels=[[], None])
    with caplog.at_level(logging.INFO):
        assert {key[1] for key in table(shift.measure(record(folder)))} == {"all"}
    assert "No image of 'plain' has a ReaL label" in caplog.text
