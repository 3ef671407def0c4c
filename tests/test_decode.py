"""A decoded shard: borders are cut off before any geometry, and what nothing is left of is unreadable."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photographs import PHOTOGRAPHS
from PIL import Image, ImageOps
from results_by_hand import clean_set

from engine import decode, image_sets, ledger
from engine.decode import Decoded, Decoder, new_stream, sweep
from engine.files import Folder
from engine.preprocess import Preprocess

GEOMETRIES = tuple(
    Preprocess((40, 40), (32, 32), fit, interpolation, rgb_first=first)  # type: ignore[arg-type]
    for fit, interpolation, first in itertools.product(
        ("shortest", "longest", "squash"), ("bicubic", "bilinear"), (True, False)
    )
)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def decoded(root: Path, pictures: dict[str, bytes], border: int) -> tuple[Decoded, dict[str, str | None]]:
    """The set of these pictures as a pack would read it, and why some of them could not be read."""
    rows = [{"image_id": name, "image": content, "label": 0} for name, content in pictures.items()]
    data, results = root / "data", root / "results"
    image_sets.write(Folder.of(data), replace(clean_set(2), border=border), rows)
    (shard,) = image_sets.read(Folder.of(data), "plain").shards
    assert shard.border == border
    folder, _ = Decoder(str(data), str(results), root.name, GEOMETRIES)(shard)
    index = (Folder.of(results) / "images" / "plain").read(shard.file)
    errors = dict(zip(index.column("image_id").to_pylist(), index.column("error").to_pylist(), strict=True))
    return Decoded(folder), errors


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode.tempfile, "tempdir", str(tmp_path))


def test_a_framed_picture_gives_the_pixels_of_the_picture_inside(tmp_path: Path) -> None:
    plain, framed = {}, {}
    for name in ("png", "tall", "tiny", "grey", "palette", "alpha"):
        image = Image.open(io.BytesIO(PHOTOGRAPHS[name]))
        plain[name] = png(image)
        colour = (255, 0, 0) if image.mode == "RGB" else 7 if image.mode in "PL" else (255, 0, 0, 255)
        framed[name] = png(ImageOps.expand(image, 2, colour))
    (bare, none), (cut, nothing) = decoded(tmp_path / "bare", plain, 0), decoded(tmp_path / "cut", framed, 2)
    left, _ = decoded(tmp_path / "left", framed, 0)
    assert bare.ids() == cut.ids() == list(plain)
    assert set(none.values()) == set(nothing.values()) == {None}
    for number in range(len(GEOMETRIES)):
        assert np.array_equal(bare.pixels(number), cut.pixels(number)), GEOMETRIES[number]
        assert not np.array_equal(left.pixels(number), cut.pixels(number)), "the frame would be seen"


def test_a_picture_that_is_all_border_is_unreadable(tmp_path: Path) -> None:
    sizes = {"4 high": (9, 4), "4 wide": (4, 9), "5 by 5": (5, 5)}
    pictures = {name: png(Image.new("RGB", size)) for name, size in sizes.items()}
    shown, errors = decoded(tmp_path / "all", pictures, 2)
    assert shown.ids() == ["5 by 5"]
    assert errors["4 high"] == "9 x 4 pixels are nothing without a border of 2 on every side"
    assert errors["4 wide"] == "4 x 9 pixels are nothing without a border of 2 on every side"
    assert errors["5 by 5"] is None


def test_annotations_that_a_shard_lacks_are_null_in_the_index_of_the_set(tmp_path: Path) -> None:
    content = PHOTOGRAPHS["tiny"]
    said = ({"factors": [], "prototype": None}, {"factors": ["pose"], "prototype": False})
    rows = [{"image_id": str(number), "image": content, "label": 0, **facts} for number, facts in enumerate(said)]
    data, results = Folder.of(tmp_path / "data"), Folder.of(tmp_path / "results")
    image_sets.write(data, clean_set(2), rows, shard_rows=1)
    prepared = image_sets.read(data, "plain")
    decoder = Decoder(data.path, results.path, "stream", GEOMETRIES[:1])
    for shard in prepared.shards:
        decoder(shard)
    ledger.finish_indices(results, [prepared])
    index = (results / "images").read("plain.parquet")
    assert index.column("factors").to_pylist() == [[], ["pose"]]
    assert index.column("prototype").to_pylist() == [None, False]


def test_the_scratch_of_dead_runs_is_swept_and_that_of_living_ones_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen(["true"]) as dead:
        pass
    mine, left = new_stream(), new_stream().replace(f".{os.getpid()}.", f".{dead.pid}.")
    elsewhere = "0" * 8 + new_stream()[8:]
    scratch = [Decoder("", "", name, ()).scratch for name in (mine, left, elsewhere)]
    for folder in scratch:
        folder.mkdir()
    sweep()
    assert [folder.exists() for folder in scratch] == [True, False, True]
    sweep(older_than=-1)
    assert not any(folder.exists() for folder in scratch)
