"""What fills the surfaces of the small world: ten class textures, blotches, grain, and crops of two photographs.

Everything is drawn or loaded once and then cut at an offset, because drawing a scene must take a fraction of a
millisecond. The photographs are scikit-learn's; their left halves are the backgrounds of scenes, their right halves
belong to the out-of-distribution sets, so no such picture was seen behind a digit.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_images

Floats = npt.NDArray[np.float32]
Half = Literal["left", "right"]

SIDE = 48
TEXTURE_NAMES = (
    "horizontal stripes",
    "vertical stripes",
    "rising stripes",
    "falling stripes",
    "checks",
    "dots",
    "rings",
    "zigzag",
    "bricks",
    "grid",
)
PERIODS = (6, 7, 8)
ROWS, COLUMNS = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + np.float32(0.5)
_BANK = 144
_SPLIT = {"china.jpg": 210, "flower.jpg": 305}


def unit(array: npt.NDArray[np.floating]) -> Floats:
    """The array as float32, cut to 0 to 1."""
    cut: Floats = np.clip(array, 0, 1).astype(np.float32, copy=False)
    return cut


def from_image(image: Image.Image) -> Floats:
    """The values of an image, 0 to 1."""
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def texture(kind: int, grain: int) -> Floats:
    """One class texture, (48, 48), 0 to 1; `grain` picks its period and where it is cut."""
    return _cut(_textures()[kind][grain % len(PERIODS)], grain)


def blotches(grain: int) -> Floats:
    """Random spots, (48, 48), 0 to 1: a pattern that belongs to no class."""
    return _cut(_blotches(), grain)


def clouds(grain: int) -> Floats:
    """Soft light and shade, (3, 48, 48), about -1 to 1, each colour a little apart."""
    return _cut(_noise(6.0), grain)


def speckle(grain: int) -> Floats:
    """Noise of single pixels, (3, 48, 48), standard deviation 1."""
    return _cut(_noise(0.0), grain)


def smears(grain: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns to read from so that a picture looks brushed, each (48, 48)."""
    shift = _cut(_noise(1.6), grain) * 1.1
    rows, columns = (np.clip(np.floor(grid + shift[i]), 0, SIDE - 1) for i, grid in enumerate((ROWS, COLUMNS)))
    return rows.astype(np.intp), columns.astype(np.intp)


def photo(half: Half, grain: int, *, smallest: int = 60, largest: int = 200) -> Floats:
    """A square crop of a photograph, (48, 48, 3), 0 to 1; its side there is `smallest` to `largest` pixels."""
    picture = _photos(half)[grain % 2]
    side = smallest + (grain >> 1) % (largest - smallest + 1)
    left = (grain >> 9) % max(picture.width - side, 1)
    top = (grain >> 18) % max(picture.height - side, 1)
    crop = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (left, top, left + side, top + side), reducing_gap=2)
    return from_image(crop)


def _cut(bank: Floats, grain: int) -> Floats:
    room = _BANK - SIDE
    top, left = (grain >> 3) % room, (grain >> 11) % room
    return bank[..., top : top + SIDE, left : left + SIDE]


@cache
def _textures() -> tuple[tuple[Floats, ...], ...]:
    return tuple(tuple(_texture(kind, period) for period in PERIODS) for kind in range(len(TEXTURE_NAMES)))


def _texture(kind: int, period: int) -> Floats:
    y, x = np.mgrid[0:_BANK, 0:_BANK].astype(np.float64) / period
    if kind == 6:
        u, v = (x / 2) % 1 - 0.5, (y / 2) % 1 - 0.5
        wave = np.cos(2 * np.pi * 2 * np.hypot(u, v))
    elif kind == 8:
        along = (x / 2 + np.floor(y) / 2) % 1
        wave = 3 * (0.32 - np.maximum(np.abs(along - 0.5), np.abs(y % 1 - 0.5)))
    else:
        wave = {
            0: lambda: np.cos(2 * np.pi * y),
            1: lambda: np.cos(2 * np.pi * x),
            2: lambda: np.cos(2 * np.pi * (x + y) / 1.4),
            3: lambda: np.cos(2 * np.pi * (x - y) / 1.4),
            4: lambda: 2 * np.sin(np.pi * x) * np.sin(np.pi * y),
            5: lambda: 3 * (0.32 - np.hypot((x + np.floor(y) / 2) % 1 - 0.5, y % 1 - 0.5)),
            7: lambda: np.cos(2 * np.pi * (y + 0.9 * np.abs((x / 2) % 1 - 0.5) * 2)),
            9: lambda: 3 * (np.maximum(np.abs(x % 1 - 0.5), np.abs(y % 1 - 0.5)) - 0.34),
        }[kind]()
    return unit(0.5 + 1.2 * wave)


@cache
def _blotches() -> Floats:
    field = gaussian_filter(np.random.default_rng(41).standard_normal((_BANK, _BANK)), 1.7, mode="wrap")
    return unit(0.5 + 2.5 * field / field.std())


@cache
def _noise(blur: float) -> Floats:
    field = np.random.default_rng(42).standard_normal((_BANK, _BANK, 3))
    field += 1.2 * field.mean(axis=2, keepdims=True) if blur else 0.0
    field = gaussian_filter(field, (blur, blur, 0), mode="wrap")
    scaled: Floats = (field / field.std()).astype(np.float32).transpose(2, 0, 1)
    return np.ascontiguousarray(scaled)


@cache
def _photos(half: Half) -> tuple[Image.Image, ...]:
    bunch = load_sample_images()
    pictures = {Path(name).name: image for name, image in zip(bunch.filenames, bunch.images, strict=True)}
    halves = (pictures[name][:, :at] if half == "left" else pictures[name][:, at:] for name, at in _SPLIT.items())
    return tuple(Image.fromarray(np.ascontiguousarray(part)) for part in halves)
