"""The sets of the small world that hold none of its digits, from textures (far) to near-digits (hardly to be told).

Letters, symbols and near-digits are brought to the form of a scan and drawn into the same scenes as digits are, so that
only what is drawn tells them apart. The photographs are cut from the halves that never stood behind a digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from engine.miniature import digits, textures
from engine.miniature.digits import SIDE as SCAN_SIDE
from engine.miniature.looks import any_factor, draw_factors, ordinary, with_factors
from engine.miniature.scenes import Pixels, draw
from engine.miniature.shifts import Drawn
from engine.miniature.sources import any_scan, any_texture

OUT_IMAGES = 450
# Left out are letters that are digits to the eye: B C D G I L O Q S Z.
LETTERS = "AEFHJKMNPRTUVWXY"
# Digits that no longer are digits in the mirror; zero, one and eight stay what they are.
MIRRORED = (2, 3, 4, 5, 6, 7, 9)
_CANVAS = 64
_ALIKE = 4
_LEAST_CONTRAST = 0.12  # else every third cut is empty sky

Floats = npt.NDArray[np.float32]
Points = list[tuple[float, float]]


def letters(rng: np.random.Generator) -> Iterator[Drawn]:
    """Printed capital letters in scenes like those of the digits."""
    for i in range(OUT_IMAGES):
        yield Drawn(_scene(rng, _letter(LETTERS[i % len(LETTERS)], stroke=int(rng.integers(1, 4))), i % 10, own=0.25))


def symbols(rng: np.random.Generator) -> Iterator[Drawn]:
    """Drawn signs, filled or in outline, in scenes like those of the digits."""
    names = tuple(SYMBOLS)
    for i in range(OUT_IMAGES):
        yield Drawn(_scene(rng, _symbol(SYMBOLS[names[i % len(names)]], filled=rng.uniform() < 0.5), i % 10, own=0.25))


def near_digits(rng: np.random.Generator) -> Iterator[Drawn]:
    """Digits in the mirror, and chimeras: the upper half of one digit on the lower half of one that ends alike."""
    for i in range(OUT_IMAGES):
        mirrored = i % 11 == 0
        label = MIRRORED[i // 11 % len(MIRRORED)] if mirrored else i % 10
        scan = _mirrored(rng, label) if mirrored else _chimera(rng, label)
        yield Drawn(_scene(rng, scan, label, own=0.75, plain=0.9))


def texture_cuts(rng: np.random.Generator) -> Iterator[Drawn]:
    """Small pieces of the photographs, mirrored and tinted: petals, tiles, leaves."""
    for _ in range(OUT_IMAGES):
        yield Drawn(_cut(rng, smallest=40, largest=80))


def other_scenes(rng: np.random.Generator) -> Iterator[Drawn]:
    """Large pieces of the photographs: roofs, water, trees, flowers."""
    for _ in range(OUT_IMAGES):
        yield Drawn(_cut(rng, smallest=140, largest=330))


def _cut(rng: np.random.Generator, *, smallest: int, largest: int) -> Pixels:
    picture = textures.photo("right", int(rng.integers(2**31)), smallest=smallest, largest=largest)
    while picture.std() < _LEAST_CONTRAST:
        picture = textures.photo("right", int(rng.integers(2**31)), smallest=smallest, largest=largest)
    if rng.uniform() < 0.5:
        picture = picture[:, ::-1]
    tinted = picture * rng.uniform(0.85, 1.15, 3)
    return np.ascontiguousarray(np.clip(tinted * 255 + 0.5, 0, 255).astype(np.uint8))


def _scene(rng: np.random.Generator, scan: Floats, label: int, own: float, plain: float = 0.0) -> Pixels:
    look = ordinary(rng, any_texture(rng, label, own=own, other=0.0))
    factors = () if rng.uniform() < plain else draw_factors(rng, any_factor(rng))
    return draw(scan, with_factors(look, factors, rng, label))


def _scan(canvas: Image.Image) -> Floats:
    """The ink of the canvas at the size and the softness of a scan."""
    tight = canvas.crop(canvas.getbbox())
    side = max(tight.size)
    square = Image.new("L", (side, side))
    square.paste(tight, ((side - tight.width) // 2, (side - tight.height) // 2))
    return textures.from_image(square.resize((SCAN_SIDE, SCAN_SIDE), Image.Resampling.BOX))


def _letter(letter: str, stroke: int) -> Floats:
    canvas = Image.new("L", (2 * _CANVAS, 2 * _CANVAS))
    font = ImageFont.load_default(_CANVAS)
    ImageDraw.Draw(canvas).text((_CANVAS // 2, _CANVAS // 4), letter, 255, font, stroke_width=stroke)
    return _scan(canvas)


def _symbol(points: Points, *, filled: bool) -> Floats:
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    corners = [(6 + x * (_CANVAS - 12), 6 + y * (_CANVAS - 12)) for x, y in points]
    if filled:
        ImageDraw.Draw(canvas).polygon(corners, fill=255)
    ImageDraw.Draw(canvas).line([*corners, corners[0], corners[1]], 255, width=9, joint="curve")
    return _scan(canvas)


def _mirrored(rng: np.random.Generator, label: int) -> Floats:
    return any_scan(rng, "test", label).image[:, ::-1]


def _chimera(rng: np.random.Generator, upper: int) -> Floats:
    lower = rng.choice(_alike_below(upper)[:_ALIKE])
    top, bottom = (any_scan(rng, "test", label).image for label in (upper, lower))
    return np.concatenate([top[: SCAN_SIDE // 2], bottom[SCAN_SIDE // 2 :]])


@cache
def _alike_below(digit: int) -> tuple[int, ...]:
    """The other digits, beginning with the one whose lower half is on average most like this one's."""
    scans = digits.scans("training")
    halves = np.stack([scans.images[scans.labels == i, SCAN_SIDE // 2 :].mean(axis=0) for i in range(10)])
    apart = np.abs(halves - halves[digit]).sum(axis=(1, 2))
    return tuple(np.argsort(apart, kind="stable")[1:].tolist())


def _round(n: int, radius: tuple[float, ...]) -> Points:
    """A closed line around the middle, its distance from it taken from `radius` in turn."""
    turns = [2 * np.pi * i / n - np.pi / 2 for i in range(n)]
    return [
        (0.5 + radius[i % len(radius)] * float(np.cos(turn)), 0.5 + radius[i % len(radius)] * float(np.sin(turn)))
        for i, turn in enumerate(turns)
    ]


SYMBOLS: dict[str, Points] = {
    "triangle": _round(3, (0.5,)),
    "square": [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)],
    "star": _round(10, (0.5, 0.2)),
    "cross": [
        (0.35, 0.0), (0.65, 0.0), (0.65, 0.35), (1.0, 0.35), (1.0, 0.65), (0.65, 0.65),
        (0.65, 1.0), (0.35, 1.0), (0.35, 0.65), (0.0, 0.65), (0.0, 0.35), (0.35, 0.35),
    ],
    "arrow": [(0.5, 0.0), (1.0, 0.5), (0.7, 0.5), (0.7, 1.0), (0.3, 1.0), (0.3, 0.5), (0.0, 0.5)],
    "heart": [(0.5, 1.0), (0.0, 0.35), (0.1, 0.08), (0.35, 0.05), (0.5, 0.25), (0.65, 0.05), (0.9, 0.08), (1.0, 0.35)],
    "moon": [(0.6, 0.0), (0.15, 0.2), (0.0, 0.5), (0.15, 0.8), (0.6, 1.0), (0.35, 0.7), (0.35, 0.3)],
    "bolt": [(0.6, 0.0), (0.1, 0.6), (0.45, 0.6), (0.35, 1.0), (0.9, 0.4), (0.55, 0.4)],
    "house": [(0.5, 0.0), (1.0, 0.45), (0.85, 0.45), (0.85, 1.0), (0.15, 1.0), (0.15, 0.45), (0.0, 0.45)],
    "hourglass": [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)],
}  # fmt: skip
