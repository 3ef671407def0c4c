"""Pillow's bilinear and bicubic resizing with a crop, bit for bit, in a fraction of its time: compiled by numba.

Pillow turns its filter into whole numbers of 22 bits after the point, applies them across every row, rounds to uint8,
and does the same down every column (`src/libImaging/Resample.c`). Whole numbers sum to the same in any order, so this
works on many neighbouring pixels at once, and makes only those that the crop leaves. The filter itself is floating
point: compilers for x86-64 round it alike, others may fuse a product and a sum. `resampler` gives nothing on those,
nothing without numba, and nothing where this Pillow turns out to resize otherwise (12 does); Pillow resizes then.
"""

from __future__ import annotations

import functools
import itertools
import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]

FILTERS = ("bilinear", "bicubic")
MACHINES = ("x86_64", "AMD64")
BITS = 22
HALF = np.int32(1 << (BITS - 1))
BLACK, WHITE = np.int32(0), np.int32(255)
RUN, TILE = 2048, 32  # pixel values that stay in the innermost cache


def weights(length: int, size: int, first: int, count: int, cubic: bool) -> tuple[Ints, Ints, Ints]:
    """Start (count,), number (count,) and weights (count, most) of the source pixels of some pixels of a resized line.

    Parameters
    ----------
    length, size : pixels of the line before and after
    first, count : which pixels of the resized line are wanted
    cubic : bicubic, else bilinear
    """
    scale = length / size
    wide = max(scale, 1.0)
    support, inverse = (2.0 if cubic else 1.0) * wide, 1.0 / wide
    most = math.ceil(support) * 2 + 1
    starts, numbers = np.zeros(count, np.int32), np.zeros(count, np.int32)
    whole, exact = np.zeros((count, most), np.int32), np.zeros(most)
    for line in range(count):
        centre = (first + line + 0.5) * scale
        start = max(int(centre - support + 0.5), 0)
        number = min(int(centre + support + 0.5), length) - start
        total = 0.0
        for tap in range(number):
            x = abs((tap + start - centre + 0.5) * inverse)
            if not cubic:
                value = 1.0 - x if x < 1.0 else 0.0
            elif x < 1.0:
                value = ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1
            else:
                value = (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2.0 else 0.0
            exact[tap] = value
            total += value
        for tap in range(number):
            value = exact[tap] / total * (1 << BITS)
            whole[line, tap] = int(value - 0.5) if value < 0 else int(value + 0.5)
        starts[line], numbers[line] = start, number
    return starts, numbers, whole


def blend(lines: Bytes, begin: int, end: int, starts: Ints, numbers: Ints, whole: Ints) -> Bytes:
    """Weighted sums (count, end - begin) of lines (n, m), between two places of each."""
    made = np.empty((len(starts), end - begin), np.uint8)
    sums = np.empty(RUN, np.int32)
    for left in range(0, end - begin, RUN):
        span = min(RUN, end - begin - left)
        for line in range(len(starts)):
            target = made[line, left : left + span]
            for place in range(span):
                sums[place] = HALF
            for tap in range(numbers[line]):
                weight = whole[line, tap]
                source = lines[starts[line] + tap, begin + left : begin + left + span]
                for place in range(span):
                    sums[place] += np.int32(source[place]) * weight
            for place in range(span):
                target[place] = min(max(sums[place] >> BITS, BLACK), WHITE)
    return made


def turned(lines: Bytes) -> Bytes:
    """Columns (m, 3 n) of a picture of lines (n, 3 m)."""
    height, width = lines.shape[0], lines.shape[1] // 3
    made = np.empty((width, 3 * height), np.uint8)
    for top in range(0, height, TILE):
        for column in range(width):
            for line in range(top, min(top + TILE, height)):
                made[column, 3 * line] = lines[line, 3 * column]
                made[column, 3 * line + 1] = lines[line, 3 * column + 1]
                made[column, 3 * line + 2] = lines[line, 3 * column + 2]
    return made


@dataclass(frozen=True, slots=True)
class Line:
    """One direction of a resize: `length` pixels become `size`, of which `count` from `first` on are wanted."""

    length: int
    size: int
    first: int
    count: int


@dataclass(frozen=True)
class Picture:
    """The values of an RGB picture, line by line (height, 3 width) and column by column (width, 3 height)."""

    lines: Bytes
    columns: Bytes

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return len(self.lines), len(self.columns)


@dataclass(frozen=True, slots=True)
class Resampler:
    """The three functions above, compiled."""

    weights: Callable[..., tuple[Ints, Ints, Ints]]
    blend: Callable[..., Bytes]
    turned: Callable[..., Bytes]

    def picture(self, image: Image.Image) -> Picture:
        """An RGB picture as `cut` takes it."""
        lines = np.array(image).reshape(image.height, -1)
        return Picture(lines, self.turned(lines))

    def cut(self, picture: Picture, across: Line, down: Line, interpolation: str) -> Bytes:
        """Pixels (height, width, 3) of a part of the resized picture."""
        # Pillow 13 goes down the columns first where the height shrinks by more than twice what the width does.
        tall = down.length - down.size > max(2 * (across.length - across.size), 0)
        first, second = (down, across) if tall else (across, down)
        starts, numbers, whole = self._weights(second, interpolation)
        begin, end = int(starts[0]), int(starts[-1] + numbers[-1])
        source = picture.lines if tall else picture.columns
        half = self.turned(self.blend(source, 3 * begin, 3 * end, *self._weights(first, interpolation)))
        made = self.blend(half, 0, 3 * first.count, starts - np.int32(begin), numbers, whole)
        return (self.turned(made) if tall else made).reshape(down.count, across.count, 3)

    def _weights(self, line: Line, interpolation: str) -> tuple[Ints, Ints, Ints]:
        return self.weights(line.length, line.size, line.first, line.count, interpolation == "bicubic")


@functools.cache
def resampler() -> Resampler | None:
    """The compiled resizing of this process; None where it would not be certain to be Pillow's."""
    if platform.machine() not in MACHINES:
        return None
    try:
        import numba
    except ImportError:
        return None
    compiled = _compiled(numba.njit)
    return compiled if is_pillows(compiled) else None


def _compiled(njit: Any) -> Resampler:
    try:
        return Resampler(*(njit(function, cache=True) for function in (weights, blend, turned)))
    except RuntimeError:  # no folder that it could be kept in
        return Resampler(*(njit(function) for function in (weights, blend, turned)))


def is_pillows(compiled: Resampler) -> bool:
    """Whether noise of 97 x 131 comes out as this Pillow makes it: larger, smaller, in either order of directions."""
    from PIL import Image

    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (131, 97, 3), np.uint8))
    picture = compiled.picture(image)
    for interpolation, width, height in itertools.product(FILTERS, (20, 77, 97, 110), (30, 90, 91, 92, 131, 150)):
        expected = np.asarray(image.resize((width, height), Image.Resampling[interpolation.upper()]))
        across, down = Line(97, width, 0, width), Line(131, height, 0, height)
        if not np.array_equal(compiled.cut(picture, across, down, interpolation), expected):
            return False
    return True
