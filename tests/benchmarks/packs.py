"""Every model of the grid on this machine's device, pack by pack: ``python -m tests.benchmarks.packs [--images 512]``.

The models are built with random weights, which need no download and take the memory and time of trained ones, and are
shown random pixels at the batch size of the plan. Where that does not fit, the engine halves it, and the line says so.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import torch

from engine import packs, passes, towers
from engine.models import OUR_GRID, ModelSpec, read_grid
from engine.predictions import PRECISIONS
from engine.show import Pack, laid_out

GIGABYTE = 1e9


def main() -> None:
    """Show every pack its images; a line for each, and one for all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--images", type=int, default=512, help="512")
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    parser.add_argument("--at-most-m", type=float, help="leave out models of more parameters, in millions")
    asked = parser.parse_args()
    specs = [spec for spec in read_grid(OUR_GRID) if not asked.at_most_m or float(spec.params_m) <= asked.at_most_m]
    machine = passes.here()
    planned = packs.pack(specs, machine)
    print(f"{machine.device}, {machine.free_bytes / GIGABYTE:.0f} GB free: {len(specs)} models, {len(planned)} packs")
    halved = [name for models in planned for name in _shown(models, machine, asked.images, asked.precision)]
    print(
        f"{len(specs)} models were shown {asked.images} images each; batches too large: {', '.join(halved) or 'none'}"
    )


def _shown(models: Sequence[ModelSpec], machine: packs.Machine, images: int, precision: str) -> list[str]:
    """Build a pack and show it so many images; the models whose batch did not fit."""
    with tempfile.TemporaryDirectory() as results:
        pack = Pack(results, (), precision=precision)
        started = time.perf_counter()
        for spec in models:
            pack.towers[spec.name] = laid_out(towers.untrained(spec, pack.device), precision)
            pack.batches[spec.name] = packs.batch_size(spec, machine)
        built, planned = time.perf_counter(), dict(pack.batches)
        for name, tower in pack.towers.items():
            pixels = np.random.default_rng(0).integers(0, 256, (images, *tower.preprocess.crop, 3), dtype=np.uint8)
            features = pack.features(name, torch.from_numpy(pixels))
            if not np.isfinite(features).all():
                raise SystemExit(f"The features of '{name}' are not finite.")
        seconds = time.perf_counter() - built
        weights = sum(map(packs.weight_bytes, models)) / GIGABYTE
        line = (
            f"  {len(models)} models of {weights:.1f} GB, built in {built - started:.0f} s, shown {images} images each"
        )
        line += f" in {seconds:.1f} s, {images * len(models) / seconds:.0f} pictures a second"
        if pack.device.type == "cuda":
            line += f", at most {torch.cuda.max_memory_allocated() / GIGABYTE:.1f} GB of the device"
        print(line, flush=True)
        pack.drop()
        return [name for name, size in pack.batches.items() if size < planned[name]]


if __name__ == "__main__":
    main()
