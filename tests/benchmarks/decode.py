"""Pixels through Pillow and through the engine, in one run: ``python -m tests.benchmarks.decode [--images 200]``.

The same JPEG pictures of ImageNet's size are decoded and brought into one geometry and into five, by Pillow for each
geometry apart and by `engine.preprocess.all_pixels`, on one core. It is checked that both make the same pixels. Times
of one machine differ from run to run: read the ratio.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Sequence

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from engine.pixels import resampler
from engine.preprocess import Pixels, Preprocess, all_pixels, decode

GEOMETRIES = (
    Preprocess((256, 256), (224, 224), "shortest", "bicubic"),
    Preprocess((224, 224), (224, 224), "shortest", "bicubic", rgb_first=False),
    Preprocess((248, 248), (224, 224), "shortest", "bicubic"),
    Preprocess((256, 256), (224, 224), "shortest", "bilinear"),
    Preprocess((384, 384), (384, 384), "squash", "bicubic"),
)


def main() -> None:
    """Print milliseconds per picture and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--images", type=int, default=200)
    files = pictures(parser.parse_args().images)
    print(f"{len(files)} pictures of {statistics.mean(map(len, files)) / 1000:,.0f} kB, medians of one core")
    print(f"resized by {'engine.pixels' if resampler() else 'Pillow: numba is missing, or the machine is no x86-64'}")
    print(f"{'':14}{'Pillow':>12}{'engine':>12}{'ratio':>8}")
    for count in (1, len(GEOMETRIES)):
        report(f"{count} geometr{'y' if count == 1 else 'ies'}", files, GEOMETRIES[:count])


def report(what: str, files: Sequence[bytes], geometries: Sequence[Preprocess]) -> None:
    """Print one line of figures."""
    times = [(clock(content, geometries, at_once=False), clock(content, geometries, at_once=True)) for content in files]
    pillow, engine = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    print(f"{what:14}{pillow:>9.2f} ms{engine:>9.2f} ms{pillow / engine:>8.2f}")
    for content in files[:10]:
        for made, each in zip(all_pixels(decode(content), geometries), geometries, strict=True):
            np.testing.assert_array_equal(made, each(decode(content)))


def clock(content: bytes, geometries: Sequence[Preprocess], *, at_once: bool) -> float:
    """Seconds from one file to its pixels in every geometry."""
    started = time.perf_counter()
    image = decode(content)
    made: list[Pixels] = all_pixels(image, geometries) if at_once else [geometry(image) for geometry in geometries]
    assert len(made) == len(geometries)
    return time.perf_counter() - started


def pictures(count: int) -> list[bytes]:
    """JPEG files of 500 x 375: enlarged parts of two photographs, with grain."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    files = []
    for number in range(count):
        left, top = (int(rng.integers(0, room)) for room in (640 - 400, 427 - 300))
        part = photographs[number % 2].crop((left, top, left + 400, top + 300)).resize((500, 375))
        grainy = np.asarray(part) + rng.normal(0, 6, (375, 500, 1))
        out = io.BytesIO()
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=95)
        files.append(out.getvalue())
    return files


if __name__ == "__main__":
    main()
