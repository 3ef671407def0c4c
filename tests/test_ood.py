"""The study of OOD detection with scores that are fitted, and with a score of one's own."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_by_hand import IDENTITY, NET, clean_set, out_set, record, show, table

from engine.predictions import Folder, Head, write_head, write_models
from studies import fitted, measurements, ood, scores
from studies.__main__ import main
from studies.blocks import Block, Score, score
from studies.fitted import FITTED_SCORES
from studies.fitting import Fitting, some
from studies.halves import halve
from studies.metrics import Doubles

CLASSES, WIDTH, N_KNOWN, N_OUT = 4, 6, 81, 40


def world(results: Folder, kind: str = "learned") -> Folder:
    """One model that has been shown a clean and an out set; its activations are not negative where it is learned."""
    rng = np.random.default_rng(0)
    labels = np.arange(N_KNOWN) % CLASSES
    known, out = rng.uniform(size=(N_KNOWN, WIDTH)), rng.uniform(size=(N_OUT, WIDTH))
    known += 4 * np.eye(CLASSES, WIDTH)[labels]
    if kind == "zero_shot":
        known, out = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (known, out))
    name, weight = "learned" if kind == "learned" else "openai80", np.eye(CLASSES, WIDTH, dtype=np.float32)
    scale = 1.0 if kind == "learned" else 50.0
    write_head(results, NET, Head(name, kind, weight, np.zeros(CLASSES, np.float32), scale), IDENTITY)
    write_models(results, pd.DataFrame([{"name": NET, "digest": "aaaa"}]))
    show(results, clean_set(CLASSES), known.tolist(), labels.tolist())
    show(results, out_set("odd"), out.tolist(), None)
    return results


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    return Folder.of(tmp_path / "results")


@pytest.mark.parametrize(("kind", "absent"), [("learned", {"mcm"}), ("zero_shot", {"ash", "react", "she"})])
def test_every_score_that_a_head_allows_is_measured(results: Folder, kind: str, absent: set[str]) -> None:
    found = table(ood.measure(record(world(results, kind))))
    every = scores.SCORES.keys() | scores.COSINE_SCORES.keys() | FITTED_SCORES.keys()
    assert {key[3] for key in found} == every - absent
    for (_, _, metric, method), row in found.items():
        # What is fitted is tested on the other half of the clean set, 40 of its 81 images.
        assert row.n == (N_KNOWN // 2 if method in FITTED_SCORES else N_KNOWN) + N_OUT, (metric, method)


def test_what_fits_is_seed_0_of_the_halves_on_record_and_is_never_scored(results: Folder) -> None:
    world(results)
    found = table(ood.measure(record(results)))
    known, out = record(results).predictions("plain"), record(results).predictions("odd")
    half = halve(known.labels, 0)
    knn = fitted.knn(Fitting.of(known, half.fit))
    of_known, of_out = score(some(known, half.test), knn), score(out, knn)
    want = (of_known[:, None] > of_out).mean() + 0.5 * (of_known[:, None] == of_out).mean()
    assert found["odd", "all", "auroc", "knn"].value == pytest.approx(want, abs=1e-12)
    assert not set(half.fit) & set(half.test)


def test_a_score_that_is_undefined_is_left_out_and_logged(results: Folder, caplog: pytest.LogCaptureFixture) -> None:
    world(results)
    show(results, clean_set(CLASSES), (np.eye(CLASSES, WIDTH) - 0.5).tolist(), list(range(CLASSES)))
    with caplog.at_level(logging.INFO):
        found = table(ood.measure(record(results)))
    assert {"msp", "react"} <= {key[3] for key in found}
    assert not {"ash", "knn"} & {key[3] for key in found}
    assert f"score ash is undefined and left out for {NET} on plain: ASH needs activations that are not" in caplog.text
    assert f"score knn is undefined and left out for {NET} on plain: kNN looks at 10 neighbours; only 2" in caplog.text


def sum_of_logits(block: Block) -> Doubles:
    return block.logits.sum(axis=1, dtype=np.float64)


def far_from_mean(fitting: Fitting) -> Score:
    mean = fitting.features.mean(axis=0)
    return lambda block: -np.linalg.norm(block.features - mean, axis=1).astype(np.float64)


@pytest.mark.parametrize("kind", ["learned", "zero_shot"])
def test_a_score_of_each_kind_is_one_function_in_one_dict_and_shows_no_image_again(
    kind: str, results: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    world(results, kind)
    assert main(["ood", "--results", results.path]) == 0
    before = measurements.read(results)
    files = sorted(path for path in Path(results.path).rglob("*.parquet") if "measurements" not in path.parts)
    shown = [(path, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest()) for path in files]
    monkeypatch.setitem(scores.SCORES, "mine", sum_of_logits)
    monkeypatch.setitem(scores.COSINE_SCORES, "my_cosines", sum_of_logits)
    monkeypatch.setitem(FITTED_SCORES, "my_mean", far_from_mean)
    assert main(["ood", "--results", results.path]) == 0
    after = measurements.read(results)
    mine = {"mine", "my_mean"} | ({"my_cosines"} if kind == "zero_shot" else set())
    assert set(after["method"]) == set(before["method"]) | mine
    assert after[after["method"].isin(before["method"])].reset_index(drop=True).equals(before)
    left = sorted(path for path in Path(results.path).rglob("*.parquet") if "measurements" not in path.parts)
    assert [(path, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest()) for path in left] == shown
