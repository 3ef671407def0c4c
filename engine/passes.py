"""What a plan will run: one pass over the shards for each pack of models, and what that will cost, before it is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from engine import packs
from engine.account import Measured
from engine.foreseen import BYTES_PER_PARAMETER
from engine.models import ModelSpec
from engine.packs import Cost, Machine
from engine.plan import Need, Plan

GPU_SIZES = 24, 80, 141  # GB, for which a plan says how many packs there would be


@dataclass(frozen=True)
class Pass:
    """A pack of models, and the shards that some of them lack.

    Attributes
    ----------
    models : the pack, in the order of loading
    needs : its shards, each with the models that must be shown it, in the order of DATA
    prices : what each need costs
    """

    models: tuple[ModelSpec, ...]
    needs: tuple[Need, ...]
    prices: tuple[Cost, ...]

    @property
    def cost(self) -> Cost:
        """Of all needs together."""
        return _sum(self.prices)

    @property
    def images(self) -> int:
        """Number of images to decode."""
        return sum(need.shard.rows for need in self.needs)

    @property
    def cells(self) -> int:
        """Number of (model, image set) pairs that it works on."""
        return len({(need.shard.image_set, name) for need in self.needs for name in need.models})


def passes(todo: Plan, machine: Machine, known: Measured) -> tuple[Pass, ...]:
    """One pass for each pack that the machine's devices hold."""
    found = []
    for models in packs.pack(todo.specs, machine):
        names = {spec.name for spec in models}
        needs = tuple(need for each in todo.needs if (need := each.of(names)).models)
        decode = packs.decode_seconds(len({(spec.library, spec.image_size) for spec in models}), known)
        forward = {spec.name: packs.forward_seconds(spec, machine, known) for spec in models}
        found.append(Pass(models, needs, tuple(_price(need, decode, forward) for need in needs)))
    return tuple(found)


def _price(need: Need, decode: float, forward: dict[str, float]) -> Cost:
    rows = need.shard.rows
    written = rows * len(need.models) * packs.UNKNOWN_WIDTH * BYTES_PER_PARAMETER
    return Cost(rows * sum(forward[name] for name in need.models), rows * decode, need.shard.bytes, written)


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(
        sum(each.forward for each in costs),
        sum(each.decode for each in costs),
        sum(each.bytes_in for each in costs),
        sum(each.bytes_out for each in costs),
    )


def forecast(todo: Plan, machine: Machine, known: Measured) -> str:
    """What would run on this machine, pass by pass; empty where nothing would."""
    found = passes(todo, machine, known)
    if not found:
        return ""
    lines = [f"on {_named(machine)}:"]
    for number, each in enumerate(found, start=1):
        cost, weights = each.cost, sum(map(packs.weight_bytes, each.models)) / 1e9
        lines.append(
            f"  pack {number}: {len(each.models)} models of {weights:.1f} GB, {each.cells} cells, {each.images} images "
            f"to decode; {cost.bytes_in / 1e9:.1f} GB in, about {cost.bytes_out / 1e9:.1f} GB out; "
            f"{_hours(cost.forward)} of {_device(machine)}, {_hours(cost.decode)} of a core for decoding, "
            f"held up by: {cost.bottleneck(machine)}"
        )
    total, measured = (
        _sum([each.cost for each in found]),
        sum(("forward", spec.name) in known.seconds for spec in todo.specs),
    )
    lines.append(
        f"about {_hours(total.seconds(machine))} in all; {measured} of {len(todo.specs)} models have been measured on "
        "this device, the others are guessed from their size and may be wrong by a factor of three"
    )
    counts = [len(packs.pack(todo.specs, Machine("a GPU", 1, int(size * 1e9), machine.cores))) for size in GPU_SIZES]
    listed = ", ".join(f"{count} on {size} GB" for count, size in zip(counts, GPU_SIZES, strict=True))
    return "\n".join([*lines, f"packs, and so decodes of each image, on a GPU of: {listed}"])


def here() -> Machine:
    """What a pack would find on this computer; known without loading a model."""
    asked = ["nvidia-smi", "--query-gpu=name,memory.free", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        lines = []
    cores = os.cpu_count() or 1
    if not lines:
        return Machine("cpu", 1, spare_bytes(), cores)
    free = min(int(line.rpartition(",")[2]) for line in lines)
    return Machine(lines[0].rpartition(",")[0], len(lines), free << 20, cores)


def spare_bytes() -> int:
    """Memory that models may fill where there is no GPU: half of what this computer has free."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _named(machine: Machine) -> str:
    memory = f"{machine.free_bytes / 1e9:.0f} GB free"
    return (
        f"{machine.cores} cores, {memory}"
        if machine.kind == "cpu"
        else f"{machine.devices} x {machine.device}, {memory}"
    )


def _device(machine: Machine) -> str:
    return "the cores" if machine.kind == "cpu" else "a GPU"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
