"""The small world on disk: fifteen prepared image sets with the roles, labels and annotations of the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
from PIL import Image

from engine import image_sets
from engine.files import Folder
from engine.image_sets import BadImageSet, ImageSet, Role
from engine.miniature import foreign, shifts
from engine.miniature.digits import CLASS_NAMES
from engine.miniature.scenes import Pixels
from engine.miniature.shifts import Drawn

CLEAN = "digits"
_ALL = tuple((i,) for i in range(len(CLASS_NAMES)))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a set is drawn, and which classes its labels mean; no classes where it is out of distribution."""

    role: Role
    drawn: Callable[[np.random.Generator], Iterator[Drawn]]
    classes: tuple[tuple[int, ...], ...] = _ALL


SETS: dict[str, Recipe] = {
    CLEAN: Recipe("clean", shifts.clean),
    "digits-v2-a": Recipe("shift", partial(shifts.replication, keep=1.0)),
    "digits-v2-b": Recipe("shift", partial(shifts.replication, keep=0.93)),
    "digits-v2-c": Recipe("shift", partial(shifts.replication, keep=0.86)),
    "digits-rendition": Recipe("shift", shifts.rendition, tuple((i,) for i in shifts.RENDITION_CLASSES)),
    "digits-sketch": Recipe("shift", shifts.sketch),
    "digits-hard": Recipe("shift", shifts.hard, tuple((i,) for i in shifts.HARD_CLASSES)),
    "digits-pose": Recipe("shift", shifts.pose, shifts.POSE_CLASSES),
    "digits-frames": Recipe("shift", shifts.frames),
    "letters": Recipe("out", foreign.letters, ()),
    "symbols": Recipe("out", foreign.symbols, ()),
    "textures": Recipe("out", foreign.texture_cuts, ()),
    "scenes": Recipe("out", foreign.other_scenes, ()),
    "near-digits": Recipe("out", foreign.near_digits, ()),
    "digits-conflict": Recipe("conflict", shifts.conflict),
}


def build(data: Folder) -> None:
    """Write every set of the small world into DATA; sets that are there whole are left as they are."""
    for name in SETS:
        build_set(data, name)


def build_set(data: Folder, name: str) -> None:
    """Write one set of the small world into DATA, unless it is there whole."""
    if not is_whole(data, name):
        recipe = SETS[name]
        names = tuple(" or ".join(CLASS_NAMES[i] for i in group) for group in recipe.classes)
        image_sets.write(data, ImageSet(name, recipe.role, CLEAN, names, recipe.classes), _rows(name, recipe))


def is_whole(data: Folder, name: str) -> bool:
    """Whether DATA holds the set, written to its end."""
    try:
        image_sets.read(data, name)
    except BadImageSet:
        return False
    return True


def _rows(name: str, recipe: Recipe) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng(list(name.encode()))
    for number, drawn in enumerate(recipe.drawn(rng)):
        row = {"image_id": f"{name}-{number:04d}", "image": _png(drawn.pixels), "label": drawn.label, **drawn.notes}
        yield row if drawn.scan is None else {**row, "scan": drawn.scan}


def _png(pixels: Pixels) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=4)
    return stream.getvalue()
