"""Shards decoded once each by Ray Data, which streams descriptors of what lies on node-local scratch."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import pyarrow as pa

from engine.account import Account, Spent
from engine.decode import STAGES, Decoder, new_stream
from engine.files import Unwritable
from engine.image_sets import Shard
from engine.outcomes import last_line
from engine.preprocess import Preprocess
from engine.stream import Arrival

_Stream = Generator[Arrival, None, None]
_Begun = tuple[list[Shard], _Stream, Future[Arrival | None]]


class Decoding:
    """Shards on their way for one pack; it may begin before anyone asks for them, while models are being loaded."""

    def __init__(self, decoder: Decoder, account: Account) -> None:
        self.decoder, self.account = decoder, account
        self.begun: _Begun | None = None

    def begin(self, shards: Sequence[Shard]) -> _Begun:
        """Decode these now; as many as the scratch has room for wait there."""
        self._end()
        arrivals = self._stream(shards)
        with_first = ThreadPoolExecutor(1)
        self.begun = list(shards), arrivals, with_first.submit(next, arrivals, None)
        with_first.shutdown(wait=False)
        return self.begun

    def __call__(self, shards: Sequence[Shard]) -> Iterator[Arrival]:
        """The shards as they come.

        Raises
        ------
        Unwritable : where RESULTS cannot be written to
        """
        _, rest, waiting = self.begun if self.begun and self.begun[0] == list(shards) else self.begin(shards)
        self.begun = [], rest, waiting  # to be closed: after Ctrl-C a traceback would keep it alive until Ray is gone
        first = waiting.result()
        if first:
            yield first
        yield from rest

    def turn_to(self, geometries: tuple[Preprocess, ...]) -> None:
        """Make these geometries; where others are being made, that was in vain."""
        if not set(geometries) <= set(self.decoder.geometries):
            self.close()
            self.decoder = replace(self.decoder, stream=new_stream(), geometries=geometries)

    def close(self) -> None:
        """Stop, and empty the scratch."""
        self._end()
        shutil.rmtree(self.decoder.scratch, ignore_errors=True)

    def _end(self) -> None:
        if self.begun is not None:
            (_, rest, waiting), self.begun = self.begun, None
            wait([waiting])  # a generator that is at work cannot be closed
            rest.close()

    def _stream(self, shards: Sequence[Shard]) -> _Stream:
        import ray.data

        decoder = self.decoder

        def decode(row: dict[str, Any]) -> dict[str, Any]:
            found = {"place": row["place"], "folder": "", "error": "", "unwritable": "", **dict.fromkeys(STAGES, 0.0)}
            found["node"] = ray.get_runtime_context().get_node_id()
            try:
                folder, spent = decoder(shards[int(row["place"])])
                return {**found, "folder": str(folder), **{each.stage: each.seconds for each in spent}}
            except Unwritable as error:
                return {**found, "unwritable": str(error)}
            except Exception as error:
                return {**found, "error": last_line(error)}

        tables = [pa.table({"place": [place]}) for place in range(len(shards))]
        # Without prefetching: with it a shard is handed over when the next one is decoded too.
        found: Any = ray.data.from_arrow(tables).map(decode, num_cpus=1)
        batches: Any = iter(found.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"))
        try:
            for row in (row for batch in batches for row in batch.to_pylist()):
                if row["unwritable"]:
                    raise Unwritable(row["unwritable"])
                images = shards[int(row["place"])].rows
                self.account.add(Spent(stage, "", float(row[stage]), images) for stage in STAGES if row["folder"])
                yield Arrival(int(row["place"]), str(row["folder"]), str(row["node"]), str(row["error"]))
        finally:
            batches.close()  # else Ray Data goes on, and with it the process ends when Ray does
