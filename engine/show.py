"""A pack: many model replicas on one device, loaded once, shown every shard, each writing what it saw.

One pack lives in one Ray actor, but nothing here knows of Ray. A model that fails, fails alone: the others go on, and
its reason is handed back with the receipt.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from engine import fetch, heads, towers
from engine.decode import Decoded
from engine.files import Folder
from engine.image_sets import Shard
from engine.ledger import Loaded
from engine.models import ModelSpec
from engine.outcomes import last_line
from engine.predictions import PRECISION, read_head, write_features, write_head
from engine.preprocess import Preprocess
from engine.state import has_head, head_names, head_source
from engine.stream import Receipt
from engine.towers import Tower

LIBRARIES = ("torch", "timm", "open_clip_torch", "pillow")


@dataclass
class Pack:
    """Models on one device.

    Attributes
    ----------
    results : URI of RESULTS
    class_names : names of the models' classes, from the clean image set
    mirror : folder of weights, looked into before the hub's cache and the hub; empty for none
    """

    results: str
    class_names: tuple[str, ...]
    mirror: str = ""
    towers: dict[str, Tower] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        torch.set_num_threads(os.cpu_count() or 1)  # Ray starts its workers with one
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.commit = commit()

    def free_bytes(self) -> int:
        """Memory that models may fill: of the device, or half of what this computer has to spare."""
        if self.device.type == "cuda":
            return int(torch.cuda.mem_get_info()[0])
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2

    def drop(self) -> None:
        """Forget every model."""
        self.towers.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def load(self, spec: ModelSpec) -> Loaded:
        """Load one model and write those of its heads that are not there."""
        try:
            found = fetch.obtain(spec, self.mirror)
            self.digests[spec.name] = found.digest
            tower = towers.load(spec, self.device, found.path)
            width = self._write_heads(tower)
        except Exception as error:
            return Loaded(spec.name, error=last_line(error))
        self.towers[spec.name], self.widths[spec.name] = tower, width
        params_m = towers.params_m(tower)
        return Loaded(spec.name, "", found.digest, found.weights, tower.preprocess, width, params_m)

    def _write_heads(self, tower: Tower) -> int:
        spec, results, width = tower.spec, Folder.of(self.results), 0
        for name in head_names(spec.library):
            source = head_source(self.digests[spec.name], name, self.class_names)
            if has_head(results, spec.name, name, source):
                head = read_head(results, spec.name, name)
            else:
                head = heads.build(tower, name, self.class_names)
                write_head(results, spec.name, head, {**self._identity(tower), "source": source})
            width = head.weight.shape[1]
        return width

    def _identity(self, tower: Tower) -> dict[str, object]:
        return {
            "model": tower.spec.name,
            "checkpoint": self.digests[tower.spec.name],
            "preprocess": str(tower.preprocess),
            "precision": PRECISION,
            "device": self.device.type,
            "versions": {name: version(name) for name in LIBRARIES},
            "commit": self.commit,
        }

    def show(self, shard: Shard, folder: str, geometries: Sequence[Preprocess], wanted: Sequence[str]) -> Receipt:
        """Show a decoded shard to the wanted models, and delete it."""
        decoded = Decoded(Path(folder))
        try:
            ids = decoded.ids()
            failed = []
            for name in wanted:
                try:
                    self._show(self.towers[name], shard, decoded, geometries, ids)
                except Exception as error:
                    failed.append((name, last_line(error)))
            return Receipt(len(ids), tuple(failed))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _show(
        self, tower: Tower, shard: Shard, decoded: Decoded, geometries: Sequence[Preprocess], ids: Sequence[str]
    ) -> None:
        pixels = decoded.pixels(list(geometries).index(tower.preprocess))
        # A shard of which no picture could be read is complete too: no rows, of the model's width.
        features = tower.features(pixels) if ids else np.empty((0, self.widths[tower.spec.name]), np.float32)
        identity = {**self._identity(tower), "image_set": shard.image_set, "shard": shard.digest}
        write_features(Folder.of(self.results), shard.image_set, tower.spec.name, shard.file, ids, features, identity)


def commit() -> str:
    """The commit of the code that runs: CLOSERLOOK_COMMIT where it is set, as on a cluster, else what git says."""
    if "CLOSERLOOK_COMMIT" in os.environ:
        return os.environ["CLOSERLOOK_COMMIT"]
    here = Path(__file__).parent
    asked = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
