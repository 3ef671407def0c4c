"""The engine against a plain loop, in one run: ``python -m tests.benchmarks.grid [--images 600]``.

The same JPEG pictures, models, geometry and precision go through the engine (each picture decoded once for all
models) and through one torch DataLoader per model with as many workers as there are cores. It is checked first that
both say the same. Ray's start is shown apart. Times of one machine differ from run to run: read the ratio.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from engine import grid, image_sets, models, plan, towers
from engine.files import Folder
from engine.image_sets import ImageSet
from engine.predictions import Record
from tests import small

ARCHS = ("test_resnet", "test_convnext", "test_efficientnet", "test_vit")
CLASSES = tuple(f"class {number}" for number in range(10))


def main() -> None:
    """Print seconds and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--images", type=int, default=600)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        specs = _make(root, count)
        with Clock("Ray's start"):
            session = grid.session()
            session.__enter__()
        engine = _engine(root, specs)
        session.__exit__(None, None, None)
        loop = _loop(root, specs)
    print(f"{count} images, {len(specs)} models, {os.cpu_count()} cores")
    print(f"plain loop / engine = {loop / engine:.2f}")


class Clock:
    """Prints how long something took."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> Clock:
        self.started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.started
        print(f"{self.what:<14} {self.seconds:8.2f} s", flush=True)


def _make(root: Path, count: int) -> tuple[models.ModelSpec, ...]:
    for arch in ARCHS:
        small.save_timm(root / f"{arch}.random", arch, classes=len(CLASSES), pixels=160)
    image_set = ImageSet("noise", "clean", "noise", CLASSES, tuple((number,) for number in range(len(CLASSES))))
    image_sets.write(Folder.of(root / "data"), image_set, (_row(number) for number in range(count)), shard_rows=128)
    return models.read_grid(small.grid(root / "models.csv", {f"{arch}.random": "timm" for arch in ARCHS}))


def _row(number: int) -> dict[str, object]:
    """A JPEG of the size of an ImageNet picture: smooth colours, so that it is about as large as a photograph."""
    coarse = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(out, format="JPEG", quality=95)
    return {"image_id": f"{number:06d}", "image": out.getvalue(), "label": number % len(CLASSES)}


def _engine(root: Path, specs: tuple[models.ModelSpec, ...]) -> float:
    prepared = tuple(image_sets.read_all(Folder.of(root / "data")))
    todo = plan.make(Folder.of(root / "results"), prepared, specs)
    with Clock("engine") as clock:
        outcomes = grid.show(todo, prepared, str(root / "data"), str(root / "results"))
    assert not any(outcome.error for outcome in outcomes), outcomes
    return clock.seconds


class _Pictures(Dataset[np.ndarray]):
    def __init__(self, contents: list[bytes], geometry: object) -> None:
        self.contents, self.geometry = contents, geometry

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, number: int) -> np.ndarray:
        return np.array(self.geometry(Image.open(io.BytesIO(self.contents[number]))))  # type: ignore[operator]


def _loop(root: Path, specs: tuple[models.ModelSpec, ...]) -> float:
    data = Folder.of(root / "data") / "noise"
    with Clock("plain loop") as clock:
        contents = [row for file in data.files() for row in data.read(file).column("image").to_pylist()]
        found = {}
        for spec in specs:
            tower = towers.load(spec, torch.device("cpu"))
            loader = DataLoader(_Pictures(contents, tower.preprocess), batch_size=64, num_workers=os.cpu_count() or 1)
            found[spec.name] = np.concatenate([tower.features(batch.numpy()) for batch in loader])
    for name, features in found.items():
        ours = Record.of(Folder.of(root / "results"), name).predictions("noise").features
        assert np.abs(ours - features).max() < 1e-4, f"{name}: the two do not say the same"
    return clock.seconds


if __name__ == "__main__":
    main()
