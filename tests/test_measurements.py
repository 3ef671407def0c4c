"""The table of measurements: what goes in comes out, once, and nothing undefined."""

from __future__ import annotations

import math
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from studies import measurements
from studies.measurements import KEY, Folder, IncompleteRecord, Measurement

ONE = Measurement("ood", "a.x", "openai80", "letters", "all", "auroc", "mcm", 0.75, 0.01, 300)


def rows() -> list[Measurement]:
    return [ONE, replace(ONE, method="msp"), replace(ONE, model="b.x", std_error=None), replace(ONE, metric="fpr95")]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    results = Folder.of(tmp_path)
    assert measurements.write(results, "ood", rows(), {"inputs": "x"}) == 4
    assert measurements.write(results, "shift", [replace(ONE, study="shift")], {}) == 1
    table = measurements.read(results)
    assert len(table) == 5
    assert tuple(table.columns[: len(KEY)]) == KEY
    assert (results / "measurements").identity("ood.parquet") == {"inputs": "x"}
    found = table.set_index(list(KEY)).loc[astuple(ONE)[: len(KEY)]]
    assert (found["value"], found["std_error"], found["n"]) == (0.75, 0.01, 300)
    assert table["std_error"].isna().sum() == 1


def test_equal_measurements_make_equal_bytes_in_whatever_order(tmp_path: Path) -> None:
    measurements.write(Folder.of(tmp_path / "a"), "ood", rows(), {"inputs": "x"})
    measurements.write(Folder.of(tmp_path / "b"), "ood", reversed(rows()), {"inputs": "x"})
    first, second = (tmp_path / name / "measurements" / "ood.parquet" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_nothing_is_measured_twice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"measured twice: .*method='msp'"):
        measurements.write(Folder.of(tmp_path), "ood", [*rows(), replace(ONE, method="msp", value=0.5)], {})
    assert not (tmp_path / "measurements").exists()


@pytest.mark.parametrize("change", [{"value": math.nan}, {"value": math.inf}, {"std_error": math.nan}])
def test_undefined_values_cannot_be_made(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="leave it out, and log why"):
        replace(ONE, **change)  # type: ignore[arg-type]


def test_an_empty_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(IncompleteRecord, match="python -m studies all"):
        measurements.read(Folder.of(tmp_path))
