"""Captions of the small world: OpenAI's zero-shot wording, chosen to fit what the picture shows."""

from __future__ import annotations

import numpy as np

from engine.miniature.digits import CLASS_NAMES
from engine.miniature.scenes import Look

_PHOTO = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of one {}.",
    "a photo of my {}.",
    "a good photo of a {}.",
    "a good photo of the {}.",
    "itap of a {}.",
    "itap of the {}.",
    "a photo of a nice {}.",
    "a photo of the cool {}.",
)
_STYLED = {
    "sketch": (
        "a sketch of a {}.",
        "a sketch of the {}.",
        "a drawing of a {}.",
        "a doodle of the {}.",
        "a tattoo of a {}.",
    ),
    "cartoon": ("a cartoon {}.", "the cartoon {}.", "a toy {}.", "a plastic {}.", "a rendering of a {}."),
    "painted": (
        "a painting of a {}.",
        "a painting of the {}.",
        "art of the {}.",
        "a rendition of the {}.",
        "graffiti of a {}.",
    ),
    "pixel": (
        "a pixelated photo of a {}.",
        "a {} in a video game.",
        "a low resolution photo of the {}.",
        "a rendition of a {}.",
    ),
}
_SMALL = ("a photo of a small {}.", "a photo of the small {}.", "a photo of the hard to see {}.")
_LARGE = ("a photo of a large {}.", "a photo of the large {}.", "a close-up photo of a {}.")
_PART = ("a cropped photo of the {}.", "a cropped photo of a {}.", "a photo of a hard to see {}.")
_TURNED = ("a photo of the weird {}.", "a photo of a weird {}.", "a bad photo of a {}.")
_LIGHT = ("a dark photo of the {}.", "a dark photo of a {}.", "a bright photo of the {}.")
_BUSY = ("a photo of a dirty {}.", "a photo of the dirty {}.", "a bad photo of the {}.")
_THINGS = ("thing", "number", "picture")


def caption(rng: np.random.Generator, label: int, look: Look, *, vague: float, wrong: float) -> str:
    """One sentence about the picture; with probability `vague` it names no class, with `wrong` another class."""
    wordings = _fitting(look)
    template = wordings[rng.integers(len(wordings))]
    chance = rng.uniform()
    if chance < vague:
        return template.format(_THINGS[rng.integers(len(_THINGS))])
    if chance < vague + wrong:
        label = int((label + rng.integers(1, len(CLASS_NAMES))) % len(CLASS_NAMES))
    return template.format(CLASS_NAMES[label])


def _fitting(look: Look) -> tuple[str, ...]:
    if look.style != "photo":
        return _STYLED[look.style]
    signs = (
        (look.size < 25, _SMALL),
        (look.size > 40, _LARGE),
        (look.bar is not None or max(abs(look.x - 24), abs(look.y - 24)) > 10, _PART),
        (abs(look.angle) > 15 or look.wobble > 0, _TURNED),
        (sum(look.ink) > sum(look.ground), _LIGHT),
        (look.backdrop == "photo", _BUSY),
    )
    return _PHOTO + tuple(wording for seen, wordings in signs if seen for wording in wordings)
