"""Shape by a conflict set's own class names; error consistency of models that were shown the same conflict set."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_by_hand import IDENTITY, NET, clean_set, record, show, table, zero_shot
from sklearn.metrics import cohen_kappa_score

from engine.predictions import Folder, Head, ImageSet, Record, write_head, write_models
from studies import prompts, shape

CUES = ImageSet("cues", "conflict", "plain", ("cat", "car", "cup"), ((0, 1), (2,), (3,)))
NAMES = ("a.net", "b.net", "c.net")


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    """Three models with random logits on sixty images; the last has not been shown them."""
    folder, rng = Folder.of(tmp_path), np.random.default_rng(0)
    shapes, textures = rng.integers(0, 3, (2, 60))
    easy = np.eye(4)[np.array([0, 2, 3])[shapes]] * rng.choice([0, 3], (60, 1))
    for name in NAMES:
        write_head(
            folder,
            name,
            Head("learned", "learned", np.eye(4, dtype=np.float32), np.zeros(4, np.float32), 1.0),
            IDENTITY,
        )
        show(folder, clean_set(4), np.eye(4).tolist(), [0, 1, 2, 3], model=name)
        if name != "c.net":
            logits = (easy + rng.normal(size=(60, 4))).tolist()
            show(folder, CUES, logits, shapes.tolist(), model=name, texture=textures.tolist())
    write_models(folder, pd.DataFrame([{"name": name, "digest": name} for name in NAMES]))
    return folder


def test_consistency_is_cohens_kappa_of_being_right_and_each_pair_stands_once(
    results: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        rows = list(shape.measure(Record.of(results, "a.net")))
    found = table(rows)["cues", "all", "error_consistency", "mapped:b.net"]
    right = []
    for name in NAMES[:2]:
        shown = Record.of(results, name).predictions("cues")
        right.append(shape.decide(shown) == shown.labels)
    assert found.value == pytest.approx(cohen_kappa_score(*right))
    assert found.value > 0.1
    assert (found.n, found.std_error is None) == (60, False)
    assert "error_consistency with c.net is left out" in caplog.text
    assert [row.method for row in rows if row.metric == "error_consistency"] == ["mapped:b.net"]
    assert not [row for row in shape.measure(Record.of(results, "b.net")) if row.metric == "error_consistency"]


@pytest.fixture
def asked(tmp_path: Path) -> Folder:
    """A zero-shot model whose answers among 4 classes differ from those among the 3 names of the conflict set."""
    folder = Folder.of(tmp_path / "asked")
    own = [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]  # the third direction is cat, the first car, the fourth cup
    zero_shot(folder, {"openai80": np.eye(4).tolist(), "openai80@cues": own, "photo": np.eye(4).tolist()}, scale=10.0)
    show(folder, clean_set(4), np.eye(4).tolist(), [0, 1, 2, 3])
    seen = np.eye(4)[[2, 2, 0, 3, 3]].tolist()  # car, car, cat, cup, cup by class; cat, cat, car, cup, cup by name
    show(folder, CUES, seen, [0, 0, 0, 1, 2], texture=[1, 2, 1, 2, 2])
    return folder


def test_a_zero_shot_model_is_also_asked_with_the_sets_own_names(asked: Folder) -> None:
    rows = list(shape.measure(record(asked)))
    assert {(row.head, row.method) for row in rows} == {("openai80", "mapped"), ("openai80@cues", "zero_shot")}
    found = table(rows)
    # Of the four images whose cues differ, by class: texture, neither, shape, texture; by name: shape, shape, texture,
    # texture.
    assert [found["cues", "all", "shape_bias", method].value for method in ("mapped", "zero_shot")] == [1 / 3, 1 / 2]
    assert [found["cues", "all", "cue_accuracy", method].value for method in ("mapped", "zero_shot")] == [3 / 4, 1]
    assert [found["cues", "cat", "shape_bias", method].value for method in ("mapped", "zero_shot")] == [1 / 2, 2 / 3]
    assert found["cues", "car", "shape_bias", "zero_shot"].value == 0


def test_the_head_of_own_names_is_no_prompt_set(asked: Folder) -> None:
    shown = record(asked)
    assert (shown.heads, dict(shown.own_heads)) == (("openai80", "photo"), {"cues": "openai80@cues"})
    assert {row.head for row in prompts.measure(shown)} == {"openai80", "photo"}
    assert {row.method for row in shape.measure(shown.under("photo"))} == {"mapped"}


def test_without_that_head_the_log_says_how_to_get_it(asked: Folder, caplog: pytest.LogCaptureFixture) -> None:
    (asked / "heads" / NET).remove("openai80@cues.parquet")
    with caplog.at_level(logging.INFO):
        assert {row.method for row in shape.measure(record(asked))} == {"mapped"}
    assert f"shape by the own names of 'cues' is left out for {NET}: there is no head of them" in caplog.text
    assert f"--results {asked}" in caplog.text
