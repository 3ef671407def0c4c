"""What something costs: wall seconds, CPU seconds, memory and decoded pictures of this process and all below it.

Read from ``/proc``, so on Linux only. Loads neither torch nor Ray, as every process that is counted imports this.
"""

from __future__ import annotations

import itertools
import os
import resource
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE_SECONDS = 0.2
SAMPLES_A_MEMORY = 15
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    """What something cost: seconds on the wall and of all cores, largest memory in bytes (PSS), pictures decoded."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    decodes: int


@dataclass(frozen=True, slots=True)
class Process:
    """A process below this one: its parent, and the CPU seconds that it has used itself."""

    parent: int
    seconds: float


Processes = dict[tuple[int, int], Process]  # by number and start, as numbers are given again


class Meter:
    """Measures what happens inside ``with``, then holds its `figure`."""

    def __init__(self, decodes: Path) -> None:
        self.file = decodes
        self.stop = threading.Event()
        self.peak_bytes = 0

    def __enter__(self) -> Meter:
        self.before = self.seen = below()
        self.decodes = _size(self.file)
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()
        self.seconds, self.started = _own_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        wall, own, alive = time.perf_counter() - self.started, _own_seconds() - self.seconds, below()
        self.stop.set()
        self.thread.join()
        self.seen = self.seen | alive
        cpu = own + sum(self._used(key) for key in self.seen if key in alive or self._is_unaccounted(key))
        self.figure = Figure(wall, cpu, self.peak_bytes, _size(self.file) - self.decodes)

    def _used(self, key: tuple[int, int]) -> float:
        return self.seen[key].seconds - (self.before[key].seconds if key in self.before else 0.0)

    def _is_unaccounted(self, key: tuple[int, int]) -> bool:
        # The seconds of a dead child are among our own (RUSAGE_CHILDREN); those of a dead grandchild are with nobody.
        return self.seen[key].parent != os.getpid()

    def _sample(self) -> None:
        for sample in itertools.count():
            found = below()
            self.seen = self.seen | found
            if sample % SAMPLES_A_MEMORY == 0:  # which takes a twentieth of a second
                numbers = [os.getpid(), *(number for number, _ in found)]
                self.peak_bytes = max(self.peak_bytes, sum(map(_pss_bytes, numbers)))
            if self.stop.wait(SAMPLE_SECONDS):
                return


def below() -> Processes:
    """Every process that grew from this one and is alive."""
    every: Processes = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            seconds = (int(fields[11]) + int(fields[12])) / TICKS
            every[int(entry.name), int(fields[19])] = Process(int(fields[1]), seconds)
    known, grown = {os.getpid()}, True
    while grown:
        found = {number for (number, _), process in every.items() if process.parent in known} - known
        known, grown = known | found, bool(found)
    return {key: process for key, process in every.items() if key[0] in known and key[0] != os.getpid()}


def _own_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _pss_bytes(number: int) -> int:
    """Memory of a process, what it shares divided by those that share it: sums of it count nothing twice."""
    try:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def count_decodes(folder: Path) -> Path:
    """File that grows by a byte with every picture that Pillow decodes, here and in what is started from here.

    Interpreters that start, as Ray's workers, are reached by a ``sitecustomize`` on their path.
    """
    file, root = folder / "decodes", Path(__file__).parents[2]
    hook = (
        f"import sys\nsys.path.append({str(root)!r})\nfrom tests.benchmarks import meter\nmeter.wrap({str(file)!r})\n"
    )
    (folder / "sitecustomize.py").write_text(hook)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    wrap(str(file))
    return file


def wrap(file: str) -> None:
    """Let Pillow note in the file whenever it decodes a picture."""
    from PIL.ImageFile import ImageFile

    target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    load = ImageFile.load

    def counted(image: Any) -> Any:
        if image.tile:  # else it is decoded already
            os.write(target, b".")
        return load(image)

    ImageFile.load = counted  # type: ignore[method-assign]


def machine() -> dict[str, object]:
    """What this runs on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].partition(":")[2].strip() if names else "unknown",
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "load_average_before": round(os.getloadavg()[0], 1),
        "python": sys.version.split()[0],
    }
