"""The compiled resizing, held bit for bit against Pillow's own."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from engine.pixels import FILTERS, MACHINES, Line, Resampler, is_pillows, resampler

GRID_SIZES = (176, 192, 201, 213, 224, 235, 240, 248, 256, 269, 284, 288, 292, 320, 336, 341, 384, 404, 448, 488, 632)


@pytest.fixture(scope="module")
def compiled() -> Resampler:
    if platform.machine() not in MACHINES:
        pytest.skip("Pillow resizes on machines of this kind")
    made = resampler()
    assert made is not None, "numba is missing, or this Pillow resizes in a new way"
    return made


def noise(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def held(compiled: Resampler, image: Image.Image, across: Line, down: Line) -> None:
    for interpolation in FILTERS:
        resized = image.resize((across.size, down.size), Image.Resampling[interpolation.upper()])
        right, bottom = across.first + across.count, down.first + down.count
        expected = np.asarray(resized.crop((across.first, down.first, right, bottom)))
        ours = compiled.cut(compiled.picture(image), across, down, interpolation)
        np.testing.assert_array_equal(ours, expected, f"{image.size} {across} {down} {interpolation}")


def whole(length: int, size: int) -> Line:
    return Line(length, size, 0, size)


def part(rng: np.random.Generator, length: int, size: int) -> Line:
    first = int(rng.integers(0, size))
    return Line(length, size, first, int(rng.integers(1, size - first + 1)))


@pytest.mark.parametrize("seed", range(8))
def test_any_part_of_any_size_is_pillows(compiled: Resampler, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(100):
        height, width = (int(2**power) for power in rng.uniform(0, 8, 2))
        down, across = (part(rng, length, int(2 ** rng.uniform(0, 8))) for length in (height, width))
        held(compiled, noise(rng, height, width), across, down)


@pytest.mark.parametrize("size", GRID_SIZES)
def test_every_weight_of_the_sizes_of_the_grid_is_pillows(compiled: Resampler, size: int) -> None:
    rng = np.random.default_rng(size)
    for length in (*rng.integers(1, 1300, 25), 375, 500):
        held(compiled, noise(rng, 3, int(length)), whole(int(length), size), whole(3, 3))


@pytest.mark.parametrize(("width", "height"), [(3000, 40), (40, 3000), (1, 1), (1, 700), (700, 1)])
def test_long_and_small_pictures_are_pillows(compiled: Resampler, width: int, height: int) -> None:
    image = noise(np.random.default_rng(0), height, width)
    held(compiled, image, whole(width, 30), whole(height, 50))
    held(compiled, image, Line(width, 2 * width, width // 2, width), Line(height, 2 * height, height // 2, height))


@pytest.mark.parametrize("shrink", range(18, 23))
def test_pillows_order_of_directions_is_kept(compiled: Resampler, shrink: int) -> None:
    """Pillow 13 turns it where the height shrinks by more than twice what the width does: 2 x 10 here."""
    image = noise(np.random.default_rng(0), 90, 60)
    held(compiled, image, whole(60, 50), whole(90, 90 - shrink))


@pytest.mark.parametrize("period", [1, 2, 3])
def test_overshoot_is_clipped_as_pillow_clips_it(compiled: Resampler, period: int) -> None:
    stripes: npt.NDArray[np.uint8] = np.where(np.arange(240) // period % 2, 255, 0).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to((stripes[:, None] ^ stripes)[..., None], (240, 240, 3)).copy())
    for size in (101, 239, 240, 400):
        held(compiled, image, whole(240, size), whole(240, size))


def test_resizing_that_is_not_pillows_is_found_out(compiled: Resampler) -> None:
    assert is_pillows(compiled)
    assert not is_pillows(replace(compiled, weights=lambda *line: compiled.weights(*line[:-1], False)))
    assert not is_pillows(replace(compiled, blend=lambda *lines: np.minimum(compiled.blend(*lines), 254)))


def test_without_numba_pillow_does_it() -> None:
    program = """
        import sys
        sys.modules["numba"] = None
        import numpy as np
        from PIL import Image
        from engine.pixels import resampler
        from engine.preprocess import Preprocess, all_pixels

        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8))
        geometries = [Preprocess((64, 64), (crop, crop), "shortest", "bicubic") for crop in (32, 56, 64, 80)]
        assert resampler() is None
        for ours, geometry in zip(all_pixels(image, geometries), geometries, strict=True):
            assert np.array_equal(ours, geometry(image))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
