"""RESULTS that cannot be written to half-way: one sentence, nothing lost, and the same command goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
import small
from loopback import Gate, object_store

ROOT = Path(__file__).parents[1]
MODELS = {"test_vit.a": "timm", "test_resnet.b": "timm"}
MOUNTS = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
TWICE = """
import json, os, pathlib, subprocess, sys

results, later, *command = sys.argv[1:]


def files():
    found = {}
    for file in set(pathlib.Path(results).rglob("[!.]*.parquet")) - set(pathlib.Path(results, "runs").rglob("*")):
        found[str(file.relative_to(results))] = [file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes().hex()]
    return found


def run():
    done = subprocess.run(command, capture_output=True, text=True)
    hidden = [str(file) for file in pathlib.Path(results).rglob(".*")]
    return {"status": done.returncode, "said": done.stdout + done.stderr, "files": files(), "hidden": hidden}


first = run()
subprocess.run(["mount", "-o", f"remount,{later}", results], check=True)
print(json.dumps([first, run()]))
"""
"""Inside a mount: the command, a changed mount, the command again; what came of both."""


@dataclass(frozen=True)
class World:
    """A grid with its image sets, and the rows of a run that nothing happened to."""

    root: Path
    rows: dict[str, pa.Table]

    def command(self, results: object) -> list[str]:
        """The command that shows and measures everything."""
        command = [sys.executable, "-m", "studies", "all", "--grid", str(self.root / "models.csv")]
        return [*command, "--data", str(self.root / "images"), "--results", str(results)]

    def run(self, results: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        told = {**os.environ, "CLOSERLOOK_COMMIT": "one for all", **environment}
        return subprocess.run(
            self.command(results), cwd=ROOT, env=told, capture_output=True, text=True, timeout=200, check=False
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    small.world(root / "images")
    for name in MODELS:
        small.save_timm(root / name, name.partition(".")[0])
    small.grid(root / "models.csv", MODELS)
    return World(root, {})


@pytest.fixture(scope="module")
def whole(world: World) -> dict[str, pa.Table]:
    """The rows of a run that nothing happened to, by file."""
    done = world.run(world.root / "whole")
    assert done.returncode == 0, done.stderr
    return rows_of(pafs.LocalFileSystem(), str(world.root / "whole"))


def rows_of(filesystem: pafs.FileSystem, results: str) -> dict[str, pa.Table]:
    """The rows of every file of RESULTS; all of them are Parquet."""
    found = filesystem.get_file_info(pafs.FileSelector(results, recursive=True))
    paths = [info.path for info in found if info.type == pafs.FileType.File]
    return {
        path.removeprefix(f"{results}/"): pq.read_table(path, filesystem=filesystem).replace_schema_metadata()
        for path in paths
        if "/runs/" not in path  # where the time went
    }


def assert_told(said: str, place: object, *parts: str) -> None:
    """One line says what is wrong with the place and what to do; nothing else is said of it."""
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if parts[0] in line]
    assert len(lines) == 1, said
    assert str(place) in lines[0]
    for part in parts:
        assert part in lines[0]


def mounted(world: World, results: Path, options: str, later: str) -> list[dict[str, Any]]:
    """What came of a run with RESULTS on a file system with these options, and of a second with others."""
    results.mkdir()
    mount = f"mount -t tmpfs -o {options} none '{results}'"
    if subprocess.run([*MOUNTS, mount], capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    command = [*MOUNTS, f'{mount} && exec "$0" "$@"', sys.executable, "-c", TWICE, str(results), later]
    done = subprocess.run(
        [*command, *world.command(results)],
        cwd=ROOT,
        env={**os.environ, "CLOSERLOOK_COMMIT": "one for all"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def shown(run: dict[str, Any]) -> dict[str, object]:
    """The shown shards that a run left."""
    return {name: stamp for name, stamp in run["files"].items() if name.startswith("features/")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "later", "reason", "step"),
    [
        ("size=8k", "size=10m", "No space left on device", "Make room there"),
        ("size=64k", "size=10m", "No space left on device", "Make room there"),
        ("size=96k", "size=10m", "No space left on device", "Make room there"),
        ("ro", "rw", "Read-only file system", "Give a folder that you may use"),
    ],
    ids=["full at once", "full half-way", "full at the end", "read-only"],
)
def test_a_disk_that_fails_is_told_once_and_the_same_command_goes_on(
    world: World, whole: dict[str, pa.Table], tmp_path: Path, options: str, later: str, reason: str, step: str
) -> None:
    results = tmp_path / "results"
    first, second = mounted(world, results, options, later)
    print(first["status"], first["said"], len(kept := shown(first)), first["hidden"], sep="\n")
    assert second["status"] == 0, second["said"]
    assert second["files"].keys() == whole.keys()
    assert {name: second["files"][name] for name in kept} == kept, "nothing is lost, and nothing shown twice"
    assert bool(kept) == (options in ("size=64k", "size=96k"))
    assert first["hidden"] == [], "nothing half-written is left"
    assert first["status"] in (1, 2)
    assert_told(str(first["said"]), results, reason, step, "the same command goes on")


def test_results_below_a_file_are_refused_in_a_sentence(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = world.run(tmp_path / "file" / "results")
    assert done.returncode == 1, done.stderr
    assert_told(done.stderr, tmp_path / "file" / "results", "Not a directory", "Give a folder that you may use")


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with object_store("bucket") as opened:
        yield opened


PASS = Gate.refuses


@pytest.mark.slow
def test_a_store_that_is_away_for_seconds_is_not_noticed(world: World, whole: dict[str, pa.Table], gate: Gate) -> None:
    shut: list[float] = []

    def refuses(request: str) -> bool:
        if request.startswith("PUT /bucket/away/features") and not shut:
            shut.append(time.monotonic())
        return bool(shut) and time.monotonic() - shut[0] < 3

    gate.refuses = refuses
    try:
        done = world.run("s3://bucket/away")
    finally:
        gate.refuses = PASS
    assert done.returncode == 0, done.stderr
    assert shut
    store = pafs.FileSystem.from_uri("s3://bucket/away")[0]
    found = rows_of(store, "bucket/away")
    assert found.keys() == whole.keys()
    assert all(found[name].equals(rows) for name, rows in whole.items())


@pytest.mark.slow
def test_a_store_that_stays_away_is_told_once_and_the_same_command_goes_on(
    world: World, whole: dict[str, pa.Table], gate: Gate
) -> None:
    written: list[str] = []

    def refuses(request: str) -> bool:
        if request.startswith("PUT /bucket/gone/features"):
            written.append(request)
        return len(written) > 4

    gate.refuses = refuses
    try:
        first = world.run("s3://bucket/gone", AWS_MAX_ATTEMPTS="2")
    finally:
        gate.refuses = PASS
    print(first.returncode, first.stderr)
    gate.asked.clear()
    second = world.run("s3://bucket/gone")
    assert second.returncode == 0, second.stderr
    store = pafs.FileSystem.from_uri("s3://bucket/gone")[0]
    found = rows_of(store, "bucket/gone")
    assert found.keys() == whole.keys()
    assert all(found[name].equals(rows) for name, rows in whole.items())
    assert not set(written[:4]) & set(gate.asked), "nothing is shown twice"
    assert first.returncode in (1, 2)
    assert_told(first.stdout + first.stderr, "s3://bucket/gone", "See that the store can be reached")
