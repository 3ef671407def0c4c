"""One shard of a prepared image set, decoded once and resized once per geometry, on node-local scratch.

A decoded shard is a folder: ``ids.npy`` and one uint8 array (n, h, w, 3) per geometry, written under a temporary name
and renamed. A set's border is cut off before any geometry. A picture that cannot be read is left out for every model
alike; its reason goes into the index of the set. Nothing here loads torch.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from engine.account import Spent, Stopwatch
from engine.files import HERE, Folder, is_running
from engine.image_sets import Shard, without_pictures
from engine.pixels import resampler
from engine.preprocess import Pixels, Preprocess, Unreadable, all_pixels, decode

if TYPE_CHECKING:
    from PIL import Image

SCRATCH_BYTES = 4 << 30
PATIENCE = 600.0
STAGES = ("hold", "read", "decode")  # what a task spends its time on: waiting for room on the scratch, and so on


@dataclass(frozen=True)
class Decoder:
    """What every decoding task of one stream is told.

    Attributes
    ----------
    data, results : URIs of DATA and RESULTS
    stream : name of this stream; its scratch folder is called so
    geometries : geometries to make
    """

    data: str
    results: str
    stream: str
    geometries: tuple[Preprocess, ...]

    @property
    def scratch(self) -> Path:
        """Where this node keeps the decoded shards of the stream."""
        return _scratch_of_user() / self.stream

    def __call__(self, shard: Shard) -> tuple[Path, tuple[Spent, ...]]:
        """Folder of the decoded shard, and what it took."""
        watch = Stopwatch()
        with watch.stage("hold", shard.rows):
            self._wait_for_room()
        with watch.stage("read", shard.rows):
            table = (Folder.of(self.data) / shard.image_set).read(shard.file)
        with watch.stage("decode", shard.rows):
            folder = self._decode(shard, table)
        return folder, tuple(watch.spent)

    def _decode(self, shard: Shard, table: pa.Table) -> Path:
        pixels, errors = self._pixels(table.column("image").to_pylist(), shard.border)
        self._commit_index(shard, table, errors)
        ids = [name for name, error in zip(table.column("image_id").to_pylist(), errors, strict=True) if error is None]
        return self._keep(f"{shard.image_set}-{shard.file.removesuffix('.parquet')}", ids, pixels)

    def _pixels(self, contents: Sequence[bytes], border: int) -> tuple[list[list[Pixels]], list[str | None]]:
        pixels: list[list[Pixels]] = [[] for _ in self.geometries]
        errors: list[str | None] = []
        for content in contents:
            try:
                image = without_border(decode(content), border)
                made = all_pixels(image, self.geometries)
            except Unreadable as error:
                errors.append(str(error))
                continue
            errors.append(None)
            for one, rows in zip(made, pixels, strict=True):
                rows.append(one)
        return pixels, errors

    def _commit_index(self, shard: Shard, table: pa.Table, errors: list[str | None]) -> None:
        if (Folder.of(self.results) / "images").exists(f"{shard.image_set}.parquet"):
            return
        index = without_pictures(table).append_column("error", pa.array(errors, pa.string()))
        parts = Folder.of(self.results) / "images" / shard.image_set
        parts.commit(shard.file, index, {"digest": shard.digest})

    def _keep(self, name: str, ids: list[str], pixels: list[list[Pixels]]) -> Path:
        temporary = self.scratch / f".{uuid.uuid4().hex}"
        temporary.mkdir(parents=True)
        np.save(temporary / "ids.npy", np.array(ids, dtype=np.str_))
        for number, (geometry, rows) in enumerate(zip(self.geometries, pixels, strict=True)):
            np.save(temporary / f"{number}.npy", np.stack(rows) if rows else np.empty((0, *geometry.crop, 3), np.uint8))
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        return temporary.rename(folder)

    def _wait_for_room(self) -> None:
        """Hold back while this node's scratch is full; the packs empty it."""
        until = time.monotonic() + PATIENCE
        while _bytes_below(self.scratch) > SCRATCH_BYTES and time.monotonic() < until:
            time.sleep(0.2)


def warm_up() -> None:
    """Make this process ready to decode: what is imported and compiled for it takes seconds.

    It gives way to the one that loads models and computes, which all shards wait for.
    """
    resampler()
    os.nice(10)


def without_border(image: Image.Image, border: int) -> Image.Image:
    """A picture less so many pixels on every side; `Unreadable` where nothing would be left."""
    if not border:
        return image
    width, height = image.size
    if min(width, height) <= 2 * border:
        raise Unreadable(f"{width} x {height} pixels are nothing without a border of {border} on every side")
    return image.crop((border, border, width - border, height - border))


def _scratch_of_user() -> Path:
    folder = Path(tempfile.gettempdir(), f"closerlook-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def new_stream() -> str:
    """A name for a stream of this process, by which its scratch is known to be left over when the process is gone."""
    return f"{HERE}.{os.getpid()}.{uuid.uuid4().hex}"


def sweep(older_than: float = 86400.0) -> None:
    """Delete what dead processes of this computer, and others more than so many seconds ago, left in the scratch."""
    for folder in _scratch_of_user().iterdir():
        host, _, rest = folder.name.partition(".")
        left_over = host == HERE and not is_running(int(rest.partition(".")[0]))
        if left_over or time.time() - folder.stat().st_mtime > older_than:
            shutil.rmtree(folder, ignore_errors=True)


def _bytes_below(folder: Path) -> int:
    total = 0
    for file in folder.glob("*/*.npy"):
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue  # a pack has just finished with it
    return total


@dataclass(frozen=True)
class Decoded:
    """A decoded shard as a pack reads it."""

    folder: Path

    def ids(self) -> list[str]:
        """Ids of its readable images, in order."""
        names: list[str] = np.load(self.folder / "ids.npy").tolist()
        return names

    def pixels(self, geometry: int) -> Pixels:
        """Pixels (n, h, w, 3) of the geometry of that number, mapped, not read."""
        mapped: Pixels = np.load(self.folder / f"{geometry}.npy", mmap_mode="c")  # torch wants what could be written to
        return mapped


def take_away(folder: str) -> dict[str, npt.NDArray[Any]]:
    """Contents of a decoded shard, which is deleted here: it goes to another node."""
    arrays = {file.name: np.load(file) for file in Path(folder).iterdir()}
    shutil.rmtree(folder)
    return arrays


def put_down(folder: str, arrays: dict[str, npt.NDArray[Any]]) -> str:
    """Write the contents of a decoded shard that came from another node; its folder."""
    Path(folder).mkdir(parents=True)
    for name, array in arrays.items():
        np.save(Path(folder, name), array)
    return folder
