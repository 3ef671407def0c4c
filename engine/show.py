"""A pack: many model replicas on one device, loaded once, shown every shard, each writing what it saw.

One pack lives in one Ray actor, but nothing here knows of Ray. A model that fails, fails alone: the others go on, and
its reason is handed back with the receipt. A store that cannot be written to is no model's fault, and is raised.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any

import numpy as np
import torch

from engine import fetch, heads, towers
from engine.account import Spent, Stopwatch
from engine.decode import Decoded
from engine.files import Folder, Unwritable
from engine.image_sets import Shard
from engine.ledger import Loaded
from engine.models import ModelSpec
from engine.outcomes import last_line
from engine.passes import spare_bytes
from engine.predictions import PRECISIONS, Floats, read_head, write_features, write_head
from engine.preprocess import Pixels, Preprocess
from engine.state import OwnNames, lacking_heads, recipes
from engine.stream import Receipt
from engine.towers import Tower

LIBRARIES = ("torch", "timm", "open_clip_torch", "pillow")
FEW = 8  # images by which it is measured what a precision changes
WRITES_AHEAD = 8  # features that may wait for being written


@dataclass
class Pack:
    """Models on one device.

    One thread computes on a GPU, and on a CPU one per core, each with a model of its own; another writes, and whoever
    calls `show` brings pixels to the device meanwhile: two calls at once keep it busy. A batch for which its memory is
    too small is halved, and so are all later ones of that model.

    Attributes
    ----------
    results : URI of RESULTS
    class_names : names of the models' classes, from the clean image set
    mirror : folder of weights, looked into before the hub's cache and the hub; empty for none
    precision : of the forward pass; heads are always made in float32
    half : whether features are kept in half the bytes
    own_names : class names of the sets that zero-shot models are asked about by these
    batches : number of images that each model is shown at once
    """

    results: str
    class_names: tuple[str, ...]
    mirror: str = ""
    precision: str = PRECISIONS[0]
    half: bool = False
    own_names: OwnNames = ()
    towers: dict[str, Tower] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.copies: Any = torch.cuda.Stream() if self.device.type == "cuda" else None
        self.cores = os.cpu_count() or 1
        self.lanes = 1 if self.device.type == "cuda" else self.cores
        self.compute = ThreadPoolExecutor(self.lanes)
        self.writer = ThreadPoolExecutor(1)
        self.room = BoundedSemaphore(WRITES_AHEAD)
        self.store = Folder.of(self.results)
        self.lock = Lock()
        self.shards, self.ended = 0, 0.0
        self.code = {"versions": {name: version(name) for name in LIBRARIES}, "commit": commit()}

    def about(self) -> tuple[str, int]:
        """Name of the device, and the bytes that models may fill."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(), int(torch.cuda.mem_get_info()[0])
        return "cpu", spare_bytes()

    def drop(self) -> None:
        """Forget every model."""
        self.towers.clear()
        self.ended = 0.0
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def load(self, spec: ModelSpec, batch_size: int) -> Loaded:
        """Load one model, to be shown so many images at once, and write those of its heads that are not there."""
        with self.lock:  # libraries promise nothing for two at once
            return self.compute.submit(self._load, spec, batch_size).result()

    def _load(self, spec: ModelSpec, batch_size: int) -> Loaded:
        torch.set_num_threads(self.cores)
        try:
            found = fetch.obtain(spec, self.mirror)
            self.digests[spec.name] = found.digest
            tower = laid_out(towers.load(spec, self.device, found.path), self.precision)
            with _computing(PRECISIONS[0], self.device.type):
                width = self._write_heads(tower)
        except Unwritable:
            raise
        except Exception as error:
            return Loaded(spec.name, error=last_line(error))
        self.towers[spec.name], self.widths[spec.name], self.batches[spec.name] = tower, width, batch_size
        params_m = towers.params_m(tower)
        return Loaded(spec.name, "", found.digest, found.weights, tower.preprocess, width, params_m, self.precision)

    def _write_heads(self, tower: Tower) -> int:
        """Write the heads that are not there, and say how wide features are."""
        spec, digest, width = tower.spec, self.digests[tower.spec.name], 0
        names = self.class_names, self.own_names
        lacking = lacking_heads(self.store, spec, digest, *names)
        for _, group in groupby(lacking, lambda recipe: recipe.image_set):
            alike = tuple(group)
            made = heads.build(tower, [recipe.prompts for recipe in alike], alike[0].class_names)
            for recipe, head in zip(alike, made, strict=True):
                identity = {**self._identity(tower), "source": recipe.source(digest)}
                write_head(self.store, spec.name, replace(head, name=recipe.name), identity)
                width = head.weight.shape[1]
        return width or read_head(self.store, spec.name, recipes(spec.library, *names)[0].name).weight.shape[1]

    def _identity(self, tower: Tower) -> dict[str, object]:
        return {
            "model": tower.spec.name,
            "checkpoint": self.digests[tower.spec.name],
            "preprocess": str(tower.preprocess),
            "precision": self.precision,
            "device": self.device.type,
            **self.code,
        }

    def show(self, shard: Shard, folder: str, geometries: Sequence[Preprocess], wanted: Sequence[str]) -> Receipt:
        """Show a decoded shard to the wanted models, and delete it."""
        watch, before = Stopwatch(), dict(self.batches)
        decoded = Decoded(Path(folder))
        try:
            ids, views = decoded.ids(), []
            with watch.stage("copy", shard.rows):
                for number, geometry in enumerate(geometries):
                    if names := [name for name in wanted if self.towers[name].preprocess == geometry]:
                        views.append((names, self._on_device(decoded.pixels(number))))
            with self._without_waiting(watch, shard.rows):
                seen = {
                    name: self.compute.submit(self._see, shard, ids, name, pixels, watch)
                    for names, pixels in views
                    for name in names
                }
                errors = {name: each.exception() for name, each in seen.items()}
            with watch.stage("flush", shard.rows):
                watch.spent.extend(each.result().result() for name, each in seen.items() if not errors[name])
            failed = {name: last_line(error) for name, error in errors.items() if error}
            smaller = {name: size for name, size in self.batches.items() if size != before[name]}
            told = tuple(watch.spent), tuple(smaller.items()), tuple(self.drift.items())
            return Receipt(len(ids), tuple(failed.items()), *told)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _on_device(self, pixels: Pixels) -> torch.Tensor:
        found = torch.from_numpy(pixels)
        if self.copies is None:
            return found
        with torch.cuda.stream(self.copies):
            found = found.pin_memory().to(self.device, non_blocking=True)
        self.copies.synchronize()
        return found

    @contextmanager
    def _without_waiting(self, watch: Stopwatch, rows: int) -> Iterator[None]:
        """Count as waiting the time in which no shard was being shown."""
        with self.lock:
            self.shards += 1
            if self.shards == 1 and self.ended:
                watch.spent.append(Spent("wait", "", time.perf_counter() - self.ended, rows))
        try:
            yield
        finally:
            with self.lock:
                self.shards -= 1
                self.ended = time.perf_counter()

    def _see(
        self, shard: Shard, ids: Sequence[str], name: str, pixels: torch.Tensor, watch: Stopwatch
    ) -> Future[Spent]:
        """Show a shard to one model; what is being written."""
        # Threads that share an operation wait for each other at its end, the longer the more else the cores have to do.
        at_once = min(self.lanes, len(self.towers))
        torch.set_num_threads(self.cores // at_once)
        started = time.perf_counter()
        features = self.features(name, pixels)
        watch.spent.append(Spent("forward", name, (time.perf_counter() - started) / at_once, shard.rows))
        self._note_drift(name, pixels[:FEW], features[:FEW])
        self.room.acquire()
        return self.writer.submit(self._write, shard, name, ids, features)

    def features(self, name: str, pixels: torch.Tensor) -> Floats:
        """What one model makes of pixels on the device; see `Tower.features`."""
        if not len(pixels):  # a shard of which no picture could be read is complete too
            return np.empty((0, self.widths[name]), np.float32)
        while True:
            try:
                with _computing(self.precision, self.device.type):
                    return self.towers[name].features(pixels, batch_size=self.batches[name])
            except RuntimeError as error:
                if self.batches[name] == 1 or not _is_out_of_memory(error):
                    raise
            # Out here, where nothing holds on to the batch that failed.
            self.batches[name] //= 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _note_drift(self, name: str, pixels: torch.Tensor, features: Floats) -> None:
        """What the precision changes, as a part of the largest feature; seen once for each model."""
        if self.precision != PRECISIONS[0] and name not in self.drift and len(pixels):
            with _computing(PRECISIONS[0], self.device.type):
                exact = self.towers[name].features(pixels)
            self.drift[name] = float(np.abs(features - exact).max() / np.abs(exact).max())

    def _write(self, shard: Shard, name: str, ids: Sequence[str], features: Floats) -> Spent:
        started = time.perf_counter()
        identity = {**self._identity(self.towers[name]), "image_set": shard.image_set, "shard": shard.digest}
        try:
            write_features(self.store, shard.image_set, name, shard.file, ids, features, identity, half=self.half)
        finally:
            self.room.release()
        return Spent("write", "", time.perf_counter() - started, len(ids))


def laid_out(tower: Tower, precision: str) -> Tower:
    """The tower in the layout that is fastest: on a GPU, float32 without tensor cores wants its library's own."""
    return tower.channels_last() if tower.device.type == "cpu" or precision != PRECISIONS[0] else tower


@contextmanager
def _computing(precision: str, device: str) -> Iterator[None]:
    # TF32 is on by default in cuDNN, and is no float32.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
        yield


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def commit() -> str:
    """The commit of the code that runs: CLOSERLOOK_COMMIT where it is set, as on a cluster, else what git says."""
    if "CLOSERLOOK_COMMIT" in os.environ:
        return os.environ["CLOSERLOOK_COMMIT"]
    here = Path(__file__).parent
    asked = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
