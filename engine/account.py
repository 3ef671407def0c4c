"""Where the time of a run went: seconds and images of every stage, kept in RESULTS/runs and read by the next plan.

::

    RESULTS/runs/<start>-<id>.parquet    device, stage, model, seconds, images, batch_size, drift; one a pack and run

Stages of a node's decoding tasks: ``read``, ``decode`` (with every resize), ``hold`` (scratch was full). Stages of an
actor: ``load``, ``wait`` (nothing was decoded yet), ``copy`` (pixels to the device), ``forward``, ``write`` (commits,
beside the forward), ``flush`` (the shard's last commits were waited for). Load and forward are per model.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from engine.files import Folder

DECODING = ("read", "decode")
SHOWING = ("copy", "forward", "flush")
WAITED_TOO_LONG = 0.5  # share of an actor's time without pixels, from which decoding is what holds it up


class Spent(NamedTuple):
    """Seconds of one stage for so many images; `model` is empty where all models share it."""

    stage: str
    model: str
    seconds: float
    images: int


class Stopwatch:
    """Collects what one piece of work spent."""

    def __init__(self) -> None:
        self.spent: list[Spent] = []

    @contextmanager
    def stage(self, name: str, images: int, model: str = "") -> Iterator[None]:
        """Time what is inside."""
        started = time.perf_counter()
        yield
        self.spent.append(Spent(name, model, time.perf_counter() - started, images))


@dataclass
class Account:
    """What a pass has spent so far, on all its nodes.

    Attributes
    ----------
    device : name of the devices that hold the pack
    batches : images at once that each model was shown in the end
    drift : what the precision changed, as a part of a model's largest feature, where it was not float32
    """

    device: str = ""
    batches: dict[str, int] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=dict)
    seconds: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    images: Counter[tuple[str, str]] = field(default_factory=Counter)
    name: str = field(default_factory=lambda: f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}")

    def add(self, spent: Iterable[Spent]) -> None:
        """Count what was spent."""
        for stage, model, seconds, images in spent:
            self.seconds[stage, model] += seconds
            self.images[stage, model] += images

    def total(self, *stages: str) -> float:
        """Seconds of some stages, all models together."""
        return sum(seconds for (stage, _), seconds in self.seconds.items() if stage in stages)

    def bottleneck(self) -> str:
        """The stage that holds up all others; empty before anything was shown."""
        waited, shown = self.total("wait"), self.total(*SHOWING)
        if not shown:
            return ""
        among = DECODING if waited > WAITED_TOO_LONG * (waited + shown) else SHOWING
        slowest = max(among, key=self.total)
        return "write" if slowest == "flush" else slowest

    def summary(self) -> str:
        """Where the time went, in a line."""
        shares = [f"{stage} {self.total(stage):.1f} s" for stage in ("load", *DECODING, "wait", *SHOWING)]
        text = f"{', '.join(shares)}; held up by: {self.bottleneck() or 'nothing'}"
        if self.drift:
            most = max(self.drift, key=lambda name: self.drift[name])
            text += f"; the precision changed features by at most {self.drift[most]:.1e} of the largest, in '{most}'"
        return text

    def commit(self, results: Folder) -> None:
        """Keep it in RESULTS, where anything was spent."""
        rows = [
            {
                "device": self.device,
                "stage": stage,
                "model": model,
                "seconds": seconds,
                "images": self.images[stage, model],
                "batch_size": self.batches.get(model) if stage == "forward" else None,
                "drift": self.drift.get(model) if stage == "forward" else None,
            }
            for (stage, model), seconds in sorted(self.seconds.items())
        ]
        if rows:
            (results / "runs").commit(f"{self.name}.parquet", pa.Table.from_pylist(rows, SCHEMA), {})


SCHEMA = pa.schema({
    "device": pa.string(), "stage": pa.string(), "model": pa.string(),
    "seconds": pa.float64(), "images": pa.int64(), "batch_size": pa.int64(), "drift": pa.float64(),
})  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What earlier runs took on one kind of device.

    Attributes
    ----------
    seconds : of one image, by (stage, model); ``decode`` and ``read`` under the model ""
    batches : images at once that each model was shown last
    """

    seconds: Mapping[tuple[str, str], float]
    batches: Mapping[str, int]


def measured(results: Folder, device: str) -> Measured:
    """What RESULTS says of this device; where a model was shown several times, the last run counts."""
    seconds: dict[tuple[str, str], float] = {}
    batches: dict[str, int] = {}
    runs = results / "runs"
    for file in runs.files():
        for row in runs.read(file).to_pylist():
            shared = row["stage"] in DECODING
            if row["images"] and (shared or row["device"] == device):
                seconds[row["stage"], row["model"]] = row["seconds"] / row["images"]
            if row["batch_size"] and row["device"] == device:
                batches[row["model"]] = int(row["batch_size"])
    return Measured(seconds, batches)
