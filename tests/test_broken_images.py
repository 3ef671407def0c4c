"""One picture in a hundred is broken, each in a way of its own: it is named, and left out for every model alike."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import small

from engine import image_sets
from engine.decode import Decoded, Decoder
from engine.files import Folder
from engine.predictions import Record, models
from engine.preprocess import of_open_clip

ROOT = Path(__file__).parents[1]
MODELS = {"test_vit.a": "timm", "test_resnet.b": "timm"}


def name(number: int) -> str:
    return f"1/{number:04d}"


def jpeg() -> bytes:
    return small.picture((200, 40, 40), size=(64, 48), form="JPEG")


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, and which has none."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"\0" * 64)) + png_chunk(b"IEND", b"")


def damaged_png() -> bytes:
    """A PNG with a flipped bit in the middle of its pixels."""
    content = bytearray(small.picture((40, 200, 40)))
    content[len(content) // 2] ^= 0x10
    return bytes(content)


BROKEN = {
    50: (jpeg()[:-200], "truncated"),
    150: (b"", "UnidentifiedImageError"),
    250: (b"this is a letter to the editor, not a picture", "UnidentifiedImageError"),
    350: (damaged_png(), "broken PNG|CRC|Truncated|decompress|broken data"),
    450: (png_of_size(40_000, 40_000), "DecompressionBombError"),
    550: (png_of_size(0, 20), "UnidentifiedImageError|size|dimension"),
}
"""By number of the picture: its bytes, and what its reason tells."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """RESULTS of a run over a set of 600 pictures of which six are broken, and how the run ended."""
    root = tmp_path_factory.mktemp("broken")
    content = small.rows(600, labels=(0, 1, 2), seed=1)
    for number, (broken, _) in BROKEN.items():
        content[number]["image"] = broken
    small.prepared(root / "images", "colours", "clean", content, shard_rows=100)
    small.prepared(root / "images", "greys", "out", small.rows(30, labels=(None,), seed=3), shard_rows=30)
    for name in MODELS:
        small.save_timm(root / name, name.partition(".")[0])
    small.grid(root / "models.csv", MODELS)
    command = [sys.executable, "-m", "studies", "all", "--grid", str(root / "models.csv")]
    command += ["--data", str(root / "images"), "--results", str(root / "results")]
    environment = {**os.environ, "CLOSERLOOK_COMMIT": "one for all"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    return root / "results", done


def damaged_avif() -> bytes:
    """An AVIF whose pixels are missing."""
    content = small.picture((40, 200, 40), form="AVIF")
    start = content.index(b"mdat") + 4
    return content[:start] + b"\xff" * (len(content) - start)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(damaged_avif(), "decode"), (small.picture((40, 40, 200), size=(5000, 1)), "5000")],
    ids=["AVIF without pixels", "a line of pixels"],
)
def test_one_picture_does_not_end_its_shard(broken: bytes, reason: str, tmp_path: Path) -> None:
    content = small.rows(5, labels=(0, 1, 2), seed=1)
    content[2]["image"] = broken
    small.prepared(tmp_path / "images", "colours", "clean", content)
    (shard,) = image_sets.read(Folder.of(tmp_path / "images"), "colours").shards
    fits = of_open_clip(32, "bicubic", "longest", 0), of_open_clip(32, "bicubic", "shortest", 0)
    decoder = Decoder(str(tmp_path / "images"), str(tmp_path / "results"), f"test-{os.getpid()}", fits)
    try:
        assert Decoded(decoder(shard)[0]).ids() == [name(number) for number in (0, 1, 3, 4)]
    finally:
        shutil.rmtree(decoder.scratch, ignore_errors=True)
    errors = Folder.of(tmp_path / "results/images/colours").read(shard.file).column("error").to_pylist()
    assert [error is None for error in errors] == [True, True, False, True, True]
    assert reason in errors[2]


def test_the_run_ends_well_and_says_how_many(ended: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = ended
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1, notes
    assert "6 of 600 images of 'colours' could not be read and are left out for every model" in notes[0]
    assert name(50) in notes[0]
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_the_index_lists_exactly_the_broken_with_reasons(
    ended: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    results, _ = ended
    index = pq.read_table(results / "images" / "colours.parquet").to_pandas().set_index("image_id")
    assert len(index) == 600
    errors = index["error"].dropna()
    assert errors.index.tolist() == [name(number) for number in BROKEN]
    for number, (_, reason) in BROKEN.items():
        found = str(errors[name(number)])
        assert pd.Series([found]).str.contains(reason).all(), f"{number}: {found}"
        assert "0x" not in found, "a reason is the same in every run"


def test_every_model_lacks_the_same(ended: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    results, _ = ended
    expected = {name(number) for number in range(600)} - {name(number) for number in BROKEN}
    assert set(models(Folder.of(results)).index) == set(MODELS)
    for model in MODELS:
        shown = Record.of(Folder.of(results), model).predictions("colours")
        assert len(shown) == 594
        assert set(shown.images["image_id"]) == expected


def test_what_is_measured_rests_on_the_readable(ended: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    results, _ = ended
    rows = pd.concat([pd.read_parquet(file) for file in (results / "measurements").glob("*.parquet")])
    whole = rows[(rows["image_set"] == "colours") & (rows["metric"] == "top1") & (rows["subset"] == "all")]
    assert set(whole["model"]) == set(MODELS)
    assert set(whole["n"]) == {594}
    assert not (rows["n"] == 600).any()
