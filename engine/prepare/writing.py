"""From an arranged set to its shards in DATA: read in parallel, resumed where it stopped, judged before it counts.

A shard that is there and was made of the same entries is not made again. The last shard, without which a set does not
count, is committed when all others are there and the set was found to be what it should be.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from typing import Any

import pyarrow as pa

from engine import image_sets
from engine.files import Folder, digest
from engine.image_sets import SHARD_ROWS, BadImageSet, ImageSet, PreparedSet
from engine.prepare import judging
from engine.prepare.layouts import Arranged, Entry
from engine.prepare.pictures import fault
from engine.prepare.sources import Source
from engine.progress import Progress

SHARD_BYTES = 100 << 20
WORKERS = min(3, os.cpu_count() or 1)  # each holds a shard's pictures at most twice: 600 MiB together
KEEP_MEMORY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}
"""Else a worker gives its memory back after each shard, and waits for the pages of the next one half of its time."""
FEW = 8  # shards, for which starting workers would take longer


@dataclass(frozen=True)
class Part:
    """One shard to be: its number, its entries, and a digest that says whether a stored one was made of the same."""

    number: int
    entries: tuple[Entry, ...]
    origin: str

    @property
    def file(self) -> str:
        """Name of its file."""
        return image_sets.shard_name(self.number)


@dataclass(frozen=True)
class Shaper:
    """Makes a shard of a part; can be sent to another machine."""

    folder: Folder
    image_set: ImageSet
    source: Source
    types: dict[str, Any]

    def table(self, part: Part) -> tuple[pa.Table, list[tuple[str, str]]]:
        """The rows of a part, and its unreadable pictures, each with the reason."""
        entries = part.entries
        contents = list(self.source.read([entry.member for entry in entries]))
        columns: dict[str, Sequence[object]] = {
            "image_id": [entry.image_id for entry in entries],
            "image": contents,
            "label": [entry.label for entry in entries],
        }
        columns |= {name: [entry.annotations[name] for entry in entries] for name in self.types}
        faults = [(entry.image_id, fault(content)) for entry, content in zip(entries, contents, strict=True)]
        return image_sets.shard_table(columns, self.types), [each for each in faults if each[1]]

    def __call__(self, part: Part) -> int:
        """Commit the shard of a part that is not the last; number of its images."""
        table, faults = self.table(part)
        facts = {"origin": part.origin, "unreadable": faults}
        image_sets.commit(self.folder, part.number, table, self.image_set, last=False, **facts)
        return len(part.entries)


def write(
    data: Folder,
    arranged: Arranged,
    source: Source,
    *,
    allow_count: int | None = None,
    processes: Executor | None = None,
) -> PreparedSet:
    """Prepare an arranged set in ``DATA/<name>``; what is there of it already is kept.

    Parameters
    ----------
    processes : `workers` that share the work; without them this process does it, or the cluster that RAY_ADDRESS names
    allow_count : number of readable images to accept in place of the published one

    Raises
    ------
    BadImageSet : where the set is not what it should be, or another one is there under its name
    """
    judging.count(arranged, allow_count)
    parts = cut(arranged)
    folder = data / arranged.image_set.name
    if judging.is_there(folder, [part.origin for part in parts]):
        return image_sets.read(data, folder.name)
    values = {name: [entry.annotations[name] for entry in arranged.entries] for name in arranged.entries[0].annotations}
    types = {name: pa.array(column).type for name, column in values.items()}
    shaper = Shaper(folder, arranged.image_set, source, types)
    folder.sweep()
    made = judging.origins(folder)
    _make(shaper, [part for part in parts[:-1] if made.get(part.file) != part.origin], processes)
    table, faults = shaper.table(parts[-1])
    found = judging.gather(folder, [part.file for part in parts[:-1]], table, faults)
    note = judging.verdict(arranged, found, allow_count)
    for file in folder.files()[len(parts) :]:
        folder.remove(file)
    facts = {"origin": parts[-1].origin, "unreadable": faults}
    noted = replace(arranged.image_set, note=note)
    image_sets.commit(folder, parts[-1].number, table, noted, last=True, **facts)
    return image_sets.read(data, folder.name)


def cut(arranged: Arranged) -> tuple[Part, ...]:
    """The parts of a set: so many rows each, fewer where pictures are large."""
    chunks: list[list[Entry]] = [[]]
    size = 0
    for entry in arranged.entries:
        size += entry.member.size
        if chunks[-1] and (len(chunks[-1]) == SHARD_ROWS or size > SHARD_BYTES):
            chunks.append([])
            size = entry.member.size
        chunks[-1].append(entry)
    return tuple(Part(number, tuple(chunk), _origin(arranged.image_set, chunk)) for number, chunk in enumerate(chunks))


def _origin(image_set: ImageSet, entries: Sequence[Entry]) -> str:
    rows = [(entry.image_id, entry.member.size, entry.label, dict(entry.annotations)) for entry in entries]
    return digest(repr(image_set), repr(rows))


def warm_up() -> None:
    """Start what the workers grow from, so that it is there when the source has been listed."""
    multiprocessing.set_forkserver_preload([__name__, "pandas"])  # which pyarrow loads with its first array
    before = dict(os.environ)
    os.environ.update(KEEP_MEMORY)
    forkserver.ensure_running()
    os.environ.clear()
    os.environ.update(before)


@contextmanager
def workers(images: int) -> Iterator[Executor | None]:
    """Processes that prepare so many images together, None where this one or a cluster does; started at once."""
    if images < FEW * SHARD_ROWS or _on_a_cluster():
        yield None
        return
    warm_up()
    start = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(WORKERS, mp_context=start, initializer=_be_a_worker) as found:
        for _ in range(WORKERS):
            found.submit(os.getpid)
        try:
            yield found
        finally:
            found.shutdown(cancel_futures=True)  # on Ctrl-C those in hand are finished first


def _on_a_cluster() -> bool:
    return "RAY_ADDRESS" in os.environ


def _make(shaper: Shaper, parts: Sequence[Part], processes: Executor | None) -> None:
    if parts and _on_a_cluster():
        _on_ray(shaper, parts)
    elif parts:
        with Progress("preparing", sum(len(part.entries) for part in parts), "images") as progress:
            for images in _done(shaper, parts, processes):
                progress.advance(images)


def _done(shaper: Shaper, parts: Sequence[Part], processes: Executor | None) -> Iterator[int]:
    if processes is None:
        return map(shaper, parts)
    waiting = [processes.submit(shaper, part) for part in parts]
    return (done.result() for done in as_completed(waiting))


def _be_a_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the shard in hand is finished
    parent = multiprocessing.parent_process()
    if parent is not None:  # whose death would otherwise leave this process waiting for ever
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _on_ray(shaper: Shaper, parts: Sequence[Part]) -> None:
    from engine import grid  # pandas comes with it, which small work need not wait for

    with grid.session():
        outcomes = grid.each(shaper, parts, names=[part.file for part in parts], title="preparing")
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if errors:
        raise BadImageSet(errors[0])
