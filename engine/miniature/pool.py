"""The pictures that the zoo is trained on, drawn once and shared by all that train; they are thrown away afterwards."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.miniature.recipes import AMOUNTS
from engine.miniature.sources import Pairs, pairs

SEED = 0
FOLDER = ".pictures"


@dataclass(frozen=True, slots=True)
class Draw:
    """A source to draw, and the folder that the miniature is made in."""

    out: Path
    source: str


def draw(job: Draw) -> None:
    """Draw the pictures of a source, unless they are there."""
    place = _place(job.out, job.source)
    if not place.exists():
        drawn = pairs(job.source, AMOUNTS[job.source], SEED)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(".tmp.npz")
        np.savez(
            temporary, pixels=drawn.pixels, labels=drawn.labels, fine=drawn.fine, captions=drawn.captions, scans=drawn.scans
        )
        temporary.rename(place)


def drawn(out: Path, source: str) -> Pairs:
    """The pictures of a source, as they were drawn."""
    with np.load(_place(out, source)) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    return Pairs(**{**columns, "captions": tuple(columns["captions"].tolist())})


def discard(out: Path) -> None:
    """Throw every drawn picture away."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def _place(out: Path, source: str) -> Path:
    return out / FOLDER / f"{source}.npz"
