"""The engine against the usual loops and its floor: ``python -m tests.benchmarks.grid [--models tiny|real|h200]``.

The same JPEG pictures, models, geometries and precision go through the engine, a plain loop, timm's own loader and
clip-benchmark's evaluation, in one run, and it is checked that all say the same. A rehearsal on few pictures checks
that first, and writes the heads, which the loops do not make: they are not counted. The floor is the forward passes
alone plus the decoding alone. Times of one machine differ from run to run: read the ratios.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import grid, image_sets, plan, towers
from engine.files import Folder
from engine.models import ModelSpec
from engine.predictions import PRECISIONS, Record
from engine.show import laid_out
from tests.benchmarks import loops, meter, zoo
from tests.benchmarks.loops import Features
from tests.benchmarks.meter import Figure, Meter
from tests.benchmarks.zoo import World

REHEARSAL = 16
DRIFT = 1e-4  # of the largest absolute feature
LIBRARIES = ("torch", "timm", "open_clip_torch", "ray", "pillow", "numpy", "clip-benchmark")
WITHOUT = "clip-benchmark is not installed: pip install --no-deps clip-benchmark. It is left out."
RATIOS = {  # name: (what is above, what is below)
    "plain loop / engine": ("plain loop", "engine"),
    "timm's loop / engine, timm only": ("timm's loop", "engine, timm only"),
    "clip-benchmark / engine, CLIP only": ("clip-benchmark", "engine, CLIP only"),
    "engine / floor": ("engine", "floor"),
}


@dataclass
class Bench:
    """One run: what it is made of, and what it found.

    Attributes
    ----------
    root : where everything is written
    decodes : the file that counts decoded pictures
    figures : cost by name
    drift : largest difference of features from the engine's, as a part of the largest absolute one, by name of the way
    """

    root: Path
    specs: tuple[ModelSpec, ...]
    decodes: Path
    figures: dict[str, Figure] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=dict)

    def of(self, library: str) -> tuple[ModelSpec, ...]:
        """The models of one library."""
        return tuple(spec for spec in self.specs if spec.library == library)

    def engine(self, name: str, world: World, specs: tuple[ModelSpec, ...]) -> Features:
        """Features by the engine in a session of its own; its plan is counted, Ray's start apart."""
        results = world.root / name
        if (heads := self.root / "heads").exists():
            shutil.copytree(heads, results / "heads")
        with Meter(self.decodes) as start:
            session = grid.session()
            session.__enter__()
        try:
            with Meter(self.decodes) as meter:
                prepared = tuple(image_sets.read_all(Folder.of(world.data)))
                todo = plan.make(Folder.of(results), prepared, specs)
                outcomes = grid.show(todo, prepared, str(world.data), str(results))
        finally:
            session.__exit__(None, None, None)
        if reasons := [f"{each.name}: {each.error}" for each in outcomes if each.error]:
            raise SystemExit(f"The engine failed: {'; '.join(reasons)}")
        self.figures |= {f"{name}: Ray's start": start.figure, name: meter.figure}
        if not heads.exists():
            shutil.copytree(results / "heads", heads)
        return {spec.name: Record.of(Folder.of(results), spec.name).predictions(zoo.SET).features for spec in specs}

    def loops(self, world: World, held: Features) -> None:
        """Measure every loop, and hold its features against the engine's."""
        self._loop("plain loop", loops.plain, world, self.specs, held)
        self._loop("timm's loop", loops.timm_loop, world, self.of("timm"), held)
        if loops.has_clip_benchmark():
            self._loop("clip-benchmark", loops.clip_benchmark, world, self.of("open_clip"), held)

    def _loop(self, name: str, loop: loops.Loop, world: World, specs: tuple[ModelSpec, ...], held: Features) -> None:
        with Meter(self.decodes) as meter:
            found = loop(world, specs)
        self.figures[name] = meter.figure
        drifts = {model: float(np.abs(found[model] - held[model]).max() / np.abs(held[model]).max()) for model in found}
        worst = max(drifts, key=lambda model: drifts[model])
        if not drifts[worst] <= DRIFT:
            raise SystemExit(
                f"{name} and the engine differ by {drifts[worst]:.1e} of the largest feature of '{worst}', more than "
                f"{DRIFT:.0e}: their costs cannot be compared."
            )
        self.drift[name] = max(drifts[worst], self.drift.get(name, 0.0))

    def floor(self, world: World) -> list[str]:
        """Decoding alone, then forward passes alone; the geometries."""
        loaded = [laid_out(towers.load(spec, loops.DEVICE), PRECISIONS[0]) for spec in self.specs]
        geometries = list(dict.fromkeys(tower.preprocess for tower in loaded))
        with loops.decoders(world, geometries) as decode_all, Meter(self.decodes) as decoding:
            decode_all()
        pixels = loops.some_pixels(world, geometries)
        loops.forward_alone(loaded, pixels, 1)
        with Meter(self.decodes) as forward:
            loops.forward_alone(loaded, pixels, world.count)
        both = decoding.figure, forward.figure
        wall, cpu = sum(each.wall_seconds for each in both), sum(each.cpu_seconds for each in both)
        floor = Figure(wall, cpu, max(each.peak_bytes for each in both), decoding.figure.decodes)
        self.figures |= {"decoding alone": both[0], "forward alone": both[1], "floor": floor}
        return [str(each) for each in geometries]


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--models", choices=sorted(zoo.IMAGES), default="tiny")
    parser.add_argument("--images", type=int, help="2,000; 20,000 of h200")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    asked = parser.parse_args()
    count = asked.images or zoo.IMAGES[asked.models]
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), asked.models, count)
    print(text(report))
    if asked.out:
        asked.out.write_text(json.dumps(report, indent=1))


def measure(root: Path, which: str, count: int) -> dict[str, Any]:
    """Everything that is known after a run, as it is written to the file."""
    facts = {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), **meter.machine()}
    facts["cpu_threads"] = torch.get_num_threads()
    facts["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    bench = Bench(root, zoo.make_models(root / "models", which), meter.count_decodes(root))
    few, world = zoo.make_world(root / "few", min(count, REHEARSAL)), zoo.make_world(root / "all", count)
    bench.loops(few, bench.engine("engine", few, bench.specs))
    bench.figures.clear()
    held = bench.engine("engine", world, bench.specs)
    bench.engine("engine, timm only", world, bench.of("timm"))
    bench.engine("engine, CLIP only", world, bench.of("open_clip"))
    bench.loops(world, held)
    geometries = bench.floor(world)
    seconds = {name: figure.wall_seconds for name, figure in bench.figures.items()}
    ratios = {
        name: seconds[above] / seconds[below]
        for name, (above, below) in RATIOS.items()
        if above in seconds and below in seconds
    }
    return {
        "machine": facts,
        "versions": {name: _version(name) for name in LIBRARIES},
        "models": [spec.name for spec in bench.specs],
        "geometries": geometries,
        "images": count,
        "bytes_per_image": round(sum(path.stat().st_size for path in world.paths()) / count),
        "figures": {
            name: {**asdict(figure), "decodes_per_image": figure.decodes / count}
            for name, figure in bench.figures.items()
        },
        "drift": bench.drift,
        "ratios": ratios,
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except ImportError:
        return None


def text(report: dict[str, Any]) -> str:
    """The report as a table, and what was compared with what."""
    machine, count = report["machine"], report["images"]
    models, geometries = len(report["models"]), len(report["geometries"])
    gpu = machine["gpu"] or "no GPU"
    lines = [
        f"{count} images of {report['bytes_per_image'] / 1000:.0f} kB, {models} models, {geometries} geometries",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['cpu_threads']} CPU threads, {gpu}",
        f"{'':30}{'wall s':>10}{'CPU s':>10}{'peak MB':>10}{'decodes/image':>16}",
    ]
    for name, each in report["figures"].items():
        costs = f"{each['wall_seconds']:10.2f}{each['cpu_seconds']:10.2f}{each['peak_bytes'] / 1e6:10,.0f}"
        lines.append(f"{name:30}{costs}{each['decodes_per_image']:16.2f}")
    lines += [f"largest drift of {name}: {drift:.1e}" for name, drift in report["drift"].items()]
    lines += [f"{name} = {ratio:.2f}" for name, ratio in report["ratios"].items()]
    lines.append("timm's loop and clip-benchmark are held against runs of the engine with their models only")
    return "\n".join(lines if "clip-benchmark" in report["figures"] else [*lines, WITHOUT])


if __name__ == "__main__":
    main()
