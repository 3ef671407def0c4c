"""Preparing against plain reading and hashing, in one run: ``python -m tests.benchmarks.prepare [--files 50000]``.

The same small JPEG files of one folder are read and hashed by a plain loop, and prepared from beginning to end: listed,
read, hashed, checked, written to the same disk. Times of one machine differ from run to run: read the ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.prepare.__main__ import main as prepare

ROUNDS, FOLDERS, CROPS = 3, 1000, 200
SIZE = (320, 240)  # some 20 kB each


def main() -> None:
    """Print megabytes, seconds, their ratio, and memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--files", type=int, default=50_000)
    with tempfile.TemporaryDirectory() as folder:
        plain, ours, bytes_read = measure(Path(folder), parser.parse_args().files)
    print(
        f"{bytes_read / 1e6:,.0f} MB, {os.cpu_count()} cores: read and hashed in {plain:.2f} s, prepared in {ours:.2f}"
    )
    print(f"prepared at {plain / ours:.2f} of the speed of plain reading and hashing")
    print(f"memory: {peak_bytes() / 1e6:,.0f} MB at most, all processes together")


def measure(root: Path, files: int) -> tuple[float, float, int]:
    """Seconds of plain reading and hashing, seconds of preparing (medians of alternate rounds), bytes read."""
    total = make(root / "files", files)
    os.sync()  # else the disk is busy with the files themselves while both are timed
    first, second = [], []
    for number in range(ROUNDS):
        first.append(clock(lambda: plain(root / "files")))
        second.append(clock(lambda: ours(root / "files", root / f"data-{number}")))  # noqa: B023 - called at once
        shutil.rmtree(root / f"data-{number}")
    return statistics.median(first), statistics.median(second), total


def make(folder: Path, files: int) -> int:
    """Write so many JPEG files, no two alike, in a thousand folders; their bytes."""
    # Not at the top: a worker imports what its parent's main module imports, and would be late.
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    crops, total = [], 0
    for number in range(CROPS):
        left, top = 13 * number % (640 - SIZE[0]), 7 * number % (427 - SIZE[1])
        out = io.BytesIO()
        photographs[number % 2].crop((left, top, left + SIZE[0], top + SIZE[1])).save(out, "JPEG", quality=85)
        crops.append(out.getvalue())
    for number in range(files):
        place = folder / f"class-{number % FOLDERS:04d}"
        place.mkdir(parents=True, exist_ok=True)
        comment = f"{number:08d}".encode()
        content = crops[number % CROPS][:2] + b"\xff\xfe\x00\x0a" + comment + crops[number % CROPS][2:]
        total += (place / f"{number:06d}.jpg").write_bytes(content)
    return total


def plain(folder: Path) -> None:
    """Read and hash every file."""
    for path, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            with open(os.path.join(path, name), "rb") as file:  # noqa: PTH118, PTH123 - as fast as it goes
                hashlib.sha256(file.read()).hexdigest()


def ours(folder: Path, data: Path) -> None:
    """Prepare the folder as a set."""
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        arguments = ["many", "--from", str(folder), "--data", str(data), "--role", "clean"]
        if prepare(arguments):
            raise RuntimeError(quiet.getvalue())


def clock(work: Callable[[], None]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_bytes() -> int:
    """Largest memory of the process, and as many times the largest of its children as there are workers."""
    from engine.prepare.writing import WORKERS

    own, other = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return 1024 * (own + WORKERS * other)


if __name__ == "__main__":
    main()
