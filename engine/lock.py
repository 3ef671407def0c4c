"""One driver at a time: a mark in RESULTS says who is showing images there, and is renewed while that lasts."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pyarrow as pa

from engine.files import BadStore, Folder, is_running
from engine.models import BadRequest

MARK = "showing.parquet"
RENEWED, STALE = 10.0, 60.0  # seconds: a mark is made anew, a mark counts no more
SETTLED = 0.3  # seconds after which of two marks made at once the later one is seen by both


@contextmanager
def alone(results: Folder) -> Iterator[None]:
    """Be the only driver that shows images for this RESULTS.

    Raises
    ------
    BadRequest : where another one is at it; one that was killed on this computer does not count, one that was killed
        elsewhere not after a minute
    """
    mine = {"host": socket.gethostname(), "process": os.getpid(), "token": uuid.uuid4().hex}
    _refuse(_holder(results), results)
    _mark(results, mine)
    time.sleep(SETTLED)
    holder = _holder(results)
    if holder.get("token") != mine["token"]:
        _refuse(holder, results)
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(results, mine, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(BadStore):
            results.remove(MARK)


def _holder(results: Folder) -> dict[str, object]:
    return results.identity(MARK) if results.exists(MARK) else {}


def clear(results: Folder) -> None:
    """Take away the mark of a driver that was killed, where there is nothing left to show."""
    if (holder := _holder(results)) and not _is_at_work(holder):
        results.remove(MARK)


def _refuse(holder: dict[str, object], results: Folder) -> None:
    if _is_at_work(holder):
        raise BadRequest(
            f"{results} is being written to by another run (process {holder['process']} on {holder['host']}). Wait for "
            "it, or give another folder to --results. If it was killed, try again in a minute."
        )


def _is_at_work(holder: dict[str, object]) -> bool:
    here = holder.get("host") == socket.gethostname()
    fresh = time.time() - float(str(holder.get("at", 0))) < STALE
    return fresh and (is_running(int(str(holder["process"]))) if here else True)


def _mark(results: Folder, mine: dict[str, object]) -> None:
    results.commit(MARK, pa.table({"host": [str(mine["host"])]}), {**mine, "at": time.time()}, wait=False)


def _renew(results: Folder, mine: dict[str, object], ended: threading.Event) -> None:
    while not ended.wait(RENEWED):
        with suppress(BadStore):  # what writes the results meets it too, and says so
            _mark(results, mine)
