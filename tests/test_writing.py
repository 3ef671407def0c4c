"""Prepared sets on disk: bytes kept, resumed after any end, judged before they count."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from benchmarks.prepare import make
from photographs import PHOTOGRAPHS
from PIL import Image
from small import picture

from engine import image_sets
from engine.files import Folder
from engine.image_sets import BadImageSet
from engine.prepare import own, pictures, sources, writing
from engine.prepare.__main__ import main
from engine.prepare.layouts import Arranged

IMAGES = 12 * image_sets.SHARD_ROWS + 7  # more shards than one process would do alone


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small pictures in many class folders."""
    root = tmp_path_factory.mktemp("many")
    make(root, IMAGES)
    return root


def _prepared(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def _command(source: Path, data: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "engine.prepare",
        "many",
        "--from",
        str(source),
        "--data",
        str(data),
        "--role",
        "clean",
    ]


def test_interrupted_twice_and_resumed_is_the_same_as_never_interrupted(many: Path, tmp_path: Path) -> None:
    subprocess.run(_command(many, tmp_path / "whole"), check=True, capture_output=True)
    first = tmp_path / "again" / "many"
    for end, status in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        before = len(list(first.glob("*.parquet")))
        process = subprocess.Popen(_command(many, tmp_path / "again"), stderr=subprocess.PIPE, start_new_session=True)
        while len(list(first.glob("*.parquet"))) < before + 2:
            assert process.poll() is None, "it ended before it could be interrupted"
            time.sleep(0.002)
        process.send_signal(end)
        assert process.wait(60) == status
        with pytest.raises(BadImageSet, match="not written to its end"):
            image_sets.read(Folder.of(tmp_path / "again"), "many")
    kept = {file.name: file.stat().st_mtime_ns for file in first.glob("*.parquet")}
    assert len(kept) >= 4
    done = subprocess.run(_command(many, tmp_path / "again"), check=True, capture_output=True, text=True)
    assert f"{IMAGES:,} images of 1,000 labels" in done.stdout
    assert _prepared(first) == _prepared(tmp_path / "whole" / "many")
    assert all((first / name).stat().st_mtime_ns == time_ns for name, time_ns in kept.items())


def test_workers_do_not_outlive_a_killed_command(many: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(_command(many, tmp_path), stderr=subprocess.DEVNULL, start_new_session=True)
    while not list((tmp_path / "many").glob("*.parquet")):
        time.sleep(0.002)
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while _alive(process.pid):
        assert time.monotonic() < until, "a worker is left"
        time.sleep(0.05)


def _alive(session: int) -> list[str]:
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(session)], capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_every_picture_keeps_its_bytes_and_its_digest_is_that_of_the_file(tmp_path: Path) -> None:
    for name, content in PHOTOGRAPHS.items():
        (tmp_path / "files" / name).mkdir(parents=True)
        (tmp_path / "files" / name / "0.jpg").write_bytes(content)
    prepared = writing.write(Folder.of(tmp_path), *_arranged(tmp_path / "files"))
    rows = (Folder.of(tmp_path) / "set").read(prepared.shards[0].file).to_pylist()
    assert {row["image_id"].split("/")[0]: row["image"] for row in rows} == PHOTOGRAPHS
    assert all(hashlib.sha256(row["image"]).hexdigest().startswith(row["digest"]) for row in rows)


def _arranged(folder: Path) -> tuple[Arranged, sources.Source]:
    source = sources.find(str(folder))
    return own.arrange("set", "clean", None, source), source


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        (tmp_path / "files" / label).mkdir(parents=True)
        for number in range(3):
            content = picture((90, 80, 70), seed=number + 10 * len(label) * (label == "cat"), form="JPEG")
            (tmp_path / "files" / label / f"{number}.jpg").write_bytes(content)
    return tmp_path


def _run(root: Path, *more: str) -> int:
    return main(["set", "--from", str(root / "files"), "--data", str(root / "data"), "--role", "clean", *more])


HEADER = b"IHDR" + (60_000).to_bytes(4) * 2 + PHOTOGRAPHS["png"][24:29]
BOMB = PHOTOGRAPHS["png"][:12] + HEADER + zlib.crc32(HEADER).to_bytes(4) + PHOTOGRAPHS["png"][33:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not a picture", "cannot identify image file"),
        (PHOTOGRAPHS["jpeg"][:-2000], "truncated"),
        (PHOTOGRAPHS["png"][:-2000], "truncated"),
        (PHOTOGRAPHS["png"][:5000] + b"x" + PHOTOGRAPHS["png"][5001:], "broken"),
        (BOMB, "DecompressionBomb"),
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "changed png", "bomb"],
)
def test_an_unreadable_picture_is_named_and_accepted_only_knowingly(
    content: bytes, reason: str, two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (two_classes / "files" / "dog" / "1.jpg").write_bytes(content)
    assert _run(two_classes) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "'dog/1.jpg'" in said
    assert reason in said
    assert "--allow-count 5" in said
    assert _run(two_classes, "--allow-count", "4") == 2
    assert _run(two_classes, "--allow-count", "5") == 0
    prepared = image_sets.read(Folder.of(two_classes / "data"), "set").image_set
    assert prepared.n_images == 6
    assert prepared.note.startswith("5 readable images accepted where 6 are expected.")


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_whole_picture_has_no_fault(name: str) -> None:
    assert pictures.fault(PHOTOGRAPHS[name]) == ""


def test_a_picture_that_is_there_twice_is_told(two_classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (two_classes / "files" / "dog" / "7.jpg").write_bytes((two_classes / "files" / "cat" / "0.jpg").read_bytes())
    assert _run(two_classes) == 0
    told = (
        "1 images repeat another one byte for byte, 1 of them under different labels (the first: 'dog/7.jpg' is 'cat/0"
    )
    assert told in capsys.readouterr().err
    assert told in image_sets.read(Folder.of(two_classes / "data"), "set").image_set.note


def test_prepared_again_nothing_is_written_and_another_set_is_not_overwritten(
    two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(two_classes) == 0
    file = two_classes / "data" / "set" / "00000.parquet"
    stamp = file.stat().st_mtime_ns
    assert _run(two_classes) == 0
    assert file.stat().st_mtime_ns == stamp
    (two_classes / "files" / "dog" / "0.jpg").write_bytes(picture((1, 2, 3), size=(50, 60), form="JPEG"))
    assert _run(two_classes) == 2
    assert "Delete that folder to prepare it anew" in capsys.readouterr().err
    assert file.stat().st_mtime_ns == stamp


def test_a_plan_writes_nothing(two_classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(two_classes, "--plan") == 0
    assert "6 images" in capsys.readouterr().out
    assert not (two_classes / "data").exists()


def test_on_ray_the_files_are_the_same(many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arranged, source = _arranged(many)
    writing.write(Folder.of(tmp_path / "here"), arranged, source)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    writing.write(Folder.of(tmp_path / "ray"), arranged, source)
    assert _prepared(tmp_path / "ray" / "set") == _prepared(tmp_path / "here" / "set")


@pytest.mark.slow
def test_speed_and_memory_with_fifty_thousand_small_files() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.prepare"], check=True, capture_output=True, text=True
    )
    speed, memory = re.search(r"prepared at ([\d.]+) ", done.stdout), re.search(r"memory: ([\d,]+) MB", done.stdout)
    assert speed is not None, done.stdout
    assert memory is not None, done.stdout
    assert float(speed[1]) >= 0.6
    assert int(memory[1].replace(",", "")) < 1 << 10


@pytest.mark.slow
def test_memory_with_large_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(80):
        (tmp_path / "files" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (2000, 3000, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "files" / str(number % 2) / f"{number}.bmp")
    code = "import sys; from engine.prepare.__main__ import main; from tests.benchmarks.prepare import peak_bytes"
    code += f"; main({_command(tmp_path / 'files', tmp_path / 'data')[3:]}); print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout.splitlines()[-1]) < 1 << 30
