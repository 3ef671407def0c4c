"""Halves of a clean set: stratified, seeded, and on record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from results_by_hand import clean_set, learned, out_set, show

from engine.predictions import Folder, write_images
from studies.halves import SEEDS, halve, record_halves


def test_halves_are_stratified_disjoint_seeded_and_whole() -> None:
    labels = np.repeat([0, 1, 2], [10, 7, 4])
    halves = [halve(labels, seed) for seed in (0, 0, 1)]
    for half in halves:
        assert sorted([*half.fit, *half.test]) == list(range(21))
        for label, n in enumerate((10, 7, 4)):
            assert abs((labels[half.fit] == label).sum() - n / 2) <= 0.5
    assert halves[0].fit.tolist() == halves[1].fit.tolist() != halves[2].fit.tolist()


def test_halves_on_record_are_those_that_studies_use_and_are_written_once(tmp_path: Path) -> None:
    results = Folder.of(tmp_path)
    learned(results, 3)
    labels = [0, 1, 2, 0, 1, 2, 0, 1, 2, 2]
    show(results, clean_set(3), np.eye(3)[labels].tolist(), labels)
    show(results, out_set("odd"), [[0.0, 0.0, 0.0]], None)
    record_halves(results)
    assert (results / "halves").files() == ("plain.parquet",)
    table = (results / "halves").read("plain.parquet").to_pandas()
    assert list(table.columns) == ["image_id", *(f"fits_{seed}" for seed in range(SEEDS))]
    assert table["image_id"].tolist() == [f"plain-{number}" for number in range(10)]
    for seed in range(SEEDS):
        assert table.index[table[f"fits_{seed}"]].tolist() == sorted(halve(np.array(labels), seed).fit)
    file = tmp_path / "halves" / "plain.parquet"
    written = file.stat().st_mtime_ns, file.read_bytes()
    record_halves(results)
    assert (file.stat().st_mtime_ns, file.read_bytes()) == written


def test_an_image_that_cannot_be_read_is_in_neither_half_and_a_changed_set_is_written_anew(tmp_path: Path) -> None:
    results = Folder.of(tmp_path)
    for errors in ([None] * 4, [None, "truncated", None, None]):
        images = {"image_id": list("abcd"), "label": pa.array([0, 0, 1, 1], pa.int32())}
        write_images(results, clean_set(2), pa.table({**images, "error": pa.array(errors, pa.string())}))
        record_halves(results)
        found: pd.DataFrame = (results / "halves").read("plain.parquet").to_pandas()
        assert found["image_id"].tolist() == [each for each, error in zip("abcd", errors, strict=True) if error is None]
