"""Error consistency of models that were shown the same conflict set."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_by_hand import IDENTITY, clean_set, show, table
from sklearn.metrics import cohen_kappa_score

from engine.predictions import Folder, Head, ImageSet, Record, write_head, write_models
from studies import shape

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
