"""Drawing, in pieces for many workers: image sets, which stay, and training pictures, which go when they were used."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from engine.files import Folder
from engine.miniature import world
from engine.miniature.recipes import AMOUNTS
from engine.miniature.sources import Pairs, pairs

SEED = 0
FOLDER = ".pictures"


@dataclass(frozen=True, slots=True)
class Drawing:
    """A training source or an image set to draw, and the folder that the miniature is made in."""

    out: Path
    source: str = ""
    image_set: str = ""


def draw(drawing: Drawing) -> None:
    """Draw it, unless it is there."""
    if drawing.image_set:
        world.build_set(Folder.of(drawing.out / "images"), drawing.image_set)
    elif not (place := _place(drawing.out, drawing.source)).exists():
        found = pairs(drawing.source, AMOUNTS[drawing.source], SEED)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(".tmp.npz")
        np.savez(temporary, **{field.name: getattr(found, field.name) for field in fields(found)})
        temporary.rename(place)


def drawn(out: Path, source: str) -> Pairs:
    """The training pictures of a source, as they were drawn."""
    with np.load(_place(out, source)) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    return Pairs(**{**columns, "captions": tuple(columns["captions"].tolist())})


def discard(out: Path) -> None:
    """Throw the training pictures away."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def _place(out: Path, source: str) -> Path:
    return out / FOLDER / f"{source}.npz"
