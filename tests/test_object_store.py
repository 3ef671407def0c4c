"""DATA and RESULTS in an object store, through the command lines: as on a disk, killed half-way too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pytest
import small
from loopback import Gate, object_store

from engine.files import Folder

ROOT = Path(__file__).parents[1]
DATA = "s3://bucket/deep/images"


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with object_store("bucket") as opened:
        yield opened


@pytest.fixture(scope="module")
def world(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models and three image sets, on a disk; the sets in the store too."""
    root = tmp_path_factory.mktemp("world")
    small.world(root / "images")
    small.save_timm(root / "resnet18.one")
    small.save_timm(root / "resnet18.two", seed=1)
    small.grid(root / "models.csv", {"resnet18.one": "timm", "resnet18.two": "timm"})
    store = Folder.of(DATA)
    pafs.copy_files(str(root / "images"), store.path, destination_filesystem=store.filesystem)
    return root


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *(str(argument) for argument in arguments)]
    env = {**os.environ, "CLOSERLOOK_COMMIT": "one for all"}
    return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


def show(world: Path, data: object, results: object) -> subprocess.Popen[str]:
    return start("studies", "all", "--grid", world / "models.csv", "--data", data, "--results", results)


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said


@pytest.fixture(scope="module")
def both(world: Path) -> tuple[str, Path]:
    """RESULTS in the store, and on a disk."""
    places = "s3://bucket/results", world / "results"
    end(show(world, DATA, places[0]), show(world, world / "images", places[1]))
    return places


def contents(results: object, *folders: str) -> dict[str, tuple[pa.Table, dict[str, object]]]:
    """Every file of these folders of RESULTS: its table, and its identity."""
    places = [Folder.of(str(results)) / name for name in folders]
    return {
        f"{place.name}/{file}": (place.read(file), place.identity(file)) for place in places for file in place.files()
    }


FOLDERS = ("measurements", "images", "features/colours/resnet18.one", "heads/resnet18.two")


def test_results_are_those_of_a_disk(both: tuple[str, Path]) -> None:
    in_store, on_disk = (contents(place, *FOLDERS) for place in both)
    assert len(on_disk) > 10
    assert in_store == on_disk


def test_nothing_but_finished_files_lies_in_the_store(both: tuple[str, Path]) -> None:
    results = Folder.of(both[0])
    found = results.filesystem.get_file_info(pafs.FileSelector(results.path, recursive=True))
    assert {info.extension for info in found if info.type == pafs.FileType.File} == {"parquet"}
    assert (results / "images").folders() == (), "the parts of the indices are joined"


def test_one_study_is_rerun_in_the_store(both: tuple[str, Path], gate: Gate) -> None:
    before = contents(both[0], "measurements")
    gate.asked.clear()
    end(start("studies", "ood", "--results", both[0]))
    assert contents(both[0], "measurements") == before
    assert [asked for asked in gate.asked if asked.startswith("PUT")] == [
        "PUT /bucket/results/measurements/ood.parquet"
    ]


def test_the_report_is_that_of_a_disk(both: tuple[str, Path], tmp_path: Path) -> None:
    reports = tmp_path / "of store", tmp_path / "of disk"
    end(*(start("analysis", "--results", place, "--out", out) for place, out in zip(both, reports, strict=True)))
    written = [json.loads((report / "manifest.json").read_text())["written"] for report in reports]
    assert sum(name.endswith(".csv") for name in written[0]) > 3
    assert written[0] == written[1], "the digest of every file"


@pytest.mark.slow
def test_a_run_killed_half_way_goes_on_in_the_store(world: Path, both: tuple[str, Path], gate: Gate) -> None:
    uri = "s3://bucket/killed"
    gate.asked.clear()
    killed = show(world, DATA, uri)
    until = time.monotonic() + 120
    while sum(asked.startswith("PUT /bucket/killed/features/") for asked in [*gate.asked]) < 4:
        assert time.monotonic() < until
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    time.sleep(5)  # its workers end when they miss it
    kept = {f"PUT /{info.path}" for info in _objects(uri)}
    gate.asked.clear()
    end(show(world, DATA, uri))
    assert 4 <= len([name for name in kept if "/features/" in name]) < 14, "stopped half-way"
    assert not [asked for asked in gate.asked if "/features/" in asked and asked in kept], "nothing was done twice"
    assert contents(uri, *FOLDERS) == contents(both[1], *FOLDERS)


def _objects(uri: str) -> list[pafs.FileInfo]:
    folder = Folder.of(uri)
    found = folder.filesystem.get_file_info(pafs.FileSelector(folder.path, recursive=True))
    return [info for info in found if info.type == pafs.FileType.File]
