"""The usual ways of showing pictures to models, one model after the other, and the two floors under every way.

Each loop is as its library has it: its transform, its loader, its batch size. All read the same JPEG files with a
worker per core, compute in float32, and hand back what the engine keeps: the features of every model.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from engine import packs, passes, towers
from engine.models import ModelSpec
from engine.preprocess import Pixels, Preprocess, all_pixels, decode
from engine.towers import Tower
from tests.benchmarks.zoo import World

Features = dict[str, npt.NDArray[np.float32]]  # by name of the model; (n, d) in the order of the files
Loop = Callable[[World, Sequence[ModelSpec]], Features]

WORKERS = os.cpu_count() or 1
PLAIN_BATCH = CLIP_BATCH = 64  # clip-benchmark's own default
TIMM_BATCH = 256  # that of timm's validate.py
FEW = 256  # decoded pictures that the forward passes are shown again and again
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def plain(world: World, specs: Sequence[ModelSpec]) -> Features:
    """A loop as one would write it: torch's DataLoader with the library's transform."""
    return {spec.name: _plain(world, towers.load(spec, DEVICE)) for spec in specs}


def _plain(world: World, tower: Tower) -> npt.NDArray[np.float32]:
    pictures = ImageFolder(str(world.files), transform=_transform(tower))
    loader = DataLoader(pictures, PLAIN_BATCH, num_workers=WORKERS, pin_memory=DEVICE.type == "cuda")
    with torch.inference_mode():
        return _joined(tower.embed(batch.to(DEVICE, non_blocking=True)) for batch, _ in loader)


def _transform(tower: Tower) -> Callable[[Any], torch.Tensor]:
    transform: Callable[[Any], torch.Tensor]
    if tower.spec.library == "timm":
        import timm.data

        config = timm.data.resolve_model_data_config(tower.module, use_test_size=True)
        transform = timm.data.create_transform(**config, is_training=False)
    else:
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        config = open_clip.get_model_preprocess_cfg(tower.module)
        transform = image_transform_v2(PreprocessCfg(**config), is_train=False)
    return transform


def _joined(parts: Iterator[torch.Tensor]) -> npt.NDArray[np.float32]:
    features: npt.NDArray[np.float32] = torch.cat([part.float().cpu() for part in parts]).numpy()
    return features


def timm_loop(world: World, specs: Sequence[ModelSpec]) -> Features:
    """The loop of timm's validate.py: its dataset, loader and prefetcher, which normalises whole batches."""
    import timm.data

    found = {}
    for spec in specs:
        tower = towers.load(spec, DEVICE)
        config = timm.data.resolve_model_data_config(tower.module, use_test_size=True)
        loader = timm.data.create_loader(
            timm.data.ImageDataset(str(world.files)),
            **config,
            batch_size=TIMM_BATCH,
            use_prefetcher=True,
            num_workers=WORKERS,
            device=DEVICE,
            pin_memory=DEVICE.type == "cuda",
        )
        with torch.inference_mode():
            found[spec.name] = _joined(tower.embed(batch) for batch, _ in loader)
    return found


def has_clip_benchmark() -> bool:
    """Whether clip-benchmark can be imported."""
    try:
        from clip_benchmark.metrics import zeroshot_classification  # noqa: F401
    except ImportError:
        return False
    return True


def clip_benchmark(world: World, specs: Sequence[ModelSpec]) -> Features:
    """The zero-shot evaluation of clip-benchmark, with its loader; its models and transforms are open_clip's.

    The classifier is the identity, so that its logits are a hundred times the features.
    """
    import open_clip
    from clip_benchmark.metrics.zeroshot_classification import run_classification

    found = {}
    for spec in specs:
        model, _, transform = open_clip.create_model_and_transforms(spec.checkpoint)
        model = model.to(DEVICE).eval()
        pictures = ImageFolder(str(world.files), transform=transform)
        loader = DataLoader(pictures, batch_size=CLIP_BATCH, shuffle=False, num_workers=WORKERS)
        classifier = torch.eye(model.text_projection.shape[1], device=DEVICE)
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            logits, _ = run_classification(model, classifier, loader, DEVICE.type, amp=False)
        found[spec.name] = (logits / 100).numpy()
    return found


def forward_alone(loaded: Sequence[Tower], pixels: dict[Preprocess, Pixels], count: int) -> None:
    """Show so many pictures to every model, the decoded ones again and again."""
    machine = passes.here()
    for tower in loaded:
        few, size = pixels[tower.preprocess], packs.batch_size(tower.spec, machine)  # that of the engine
        for start in range(0, count, len(few)):
            tower.features(few[: count - start], batch_size=size)


@contextmanager
def decoders(world: World, geometries: Sequence[Preprocess]) -> Iterator[Callable[[], int]]:
    """What decodes every picture once, into every geometry, on all cores; its processes are started and warm."""
    work = partial(_decode, geometries=tuple(geometries))
    paths = world.paths()
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("fork")) as pool:
        _each(pool, work, paths[: 4 * WORKERS], 1)
        yield partial(_each, pool, work, paths, 16)


def _each(pool: Executor, work: Callable[[Path], int], paths: Sequence[Path], chunk: int) -> int:
    return sum(pool.map(work, paths, chunksize=chunk))


def _decode(path: Path, geometries: Sequence[Preprocess]) -> int:
    return len(all_pixels(decode(path.read_bytes()), geometries))


def some_pixels(world: World, geometries: Sequence[Preprocess]) -> dict[Preprocess, Pixels]:
    """The pictures of one batch in every geometry."""
    made = [all_pixels(decode(path.read_bytes()), geometries) for path in world.paths()[:FEW]]
    return {each: np.stack([row[place] for row in made]) for place, each in enumerate(geometries)}
