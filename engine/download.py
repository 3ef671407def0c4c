"""One file from one address, resumed where it stopped, checked, and moved into place in one step.

What has arrived waits in ``.<name>.<mark>.part`` beside its place; the mark is of this content, so that a file which
changed meanwhile begins anew. The hub's own client throws away what it has when it is killed: with checkpoints of ten
gigabytes that is too much.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

CHUNK_BYTES = 1 << 20
SECONDS_WITHOUT_DATA = 30.0
ATTEMPTS = 5  # in a row that bring nothing; one that brings something starts the count anew
PAUSE_SECONDS = 1.0
PARTIAL = 206  # HTTP: the answer begins where it was asked to
RANGE_IS_EMPTY = 416  # HTTP: everything that there is has arrived before
ROOM_TO_SPARE = 1 << 28  # bytes of the disk that are never filled


class BadDownload(ValueError):
    """A file that could not be had; the sentence says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file elsewhere.

    Attributes
    ----------
    url : http or https
    size : in bytes, 0 where the server does not say
    mark : what the server calls this content (its ETag), empty where it does not
    sha256 : what the content's SHA-256 begins with, empty where nobody says
    headers : to ask with, as for a repository that needs a token
    """

    url: str
    size: int = 0
    mark: str = ""
    sha256: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def checksum_in(url: str) -> str:
    """What the SHA-256 begins with, where an address carries it: ``-1a2b3c4d.pth`` or a folder of 64 digits; else ''.

    Eight digits without a letter are taken for a date.
    """
    *folders, name = urlsplit(url).path.split("/")
    whole = [folder for folder in folders if re.fullmatch(r"[0-9a-f]{64}", folder)]
    ending = re.search(r"-(?=[0-9]*[a-f])([0-9a-f]{8,64})\.[a-z.]+$", name)
    return whole[-1] if whole else ending.group(1) if ending else ""


def ask(url: str) -> Remote:
    """What a server says of the file at an address, without its content."""
    with _open(Remote(url), method="HEAD") as answer:
        size, mark = answer.headers.get("Content-Length"), answer.headers.get("ETag") or ""
    return Remote(url, int(size or 0), mark, checksum_in(url))


def download(remote: Remote, target: Path, tick: Callable[[int], None]) -> None:
    """Bring a file to its place; nothing is done where it is there.

    Parameters
    ----------
    tick : told the number of bytes that have arrived, those of an earlier attempt included

    Raises
    ------
    BadDownload : where the server stops sending, the disk is too small, or the content is not what it should be
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(f"{remote.url if not remote.mark else remote.mark}:{remote.size}".encode()).hexdigest()[:8]
    part = target.with_name(f".{target.name}.{mark}.part")
    with _alone(target.with_name(f".{target.name}.lock")):
        if target.is_file():
            return
        for old in target.parent.glob(f".{target.name}.*.part"):
            if old != part:
                old.unlink()
        _refuse_full_disk(remote, part)
        _fill(remote, part, tick)
        _verify(remote, part)
        part.replace(target)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time, as where every GPU of a node loads the same model."""
    while True:
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not lock.exists() or os.fstat(file.fileno()).st_ino != lock.stat().st_ino:
                continue  # whoever had it took the file away
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _refuse_full_disk(remote: Remote, part: Path) -> None:
    free = shutil.disk_usage(part.parent).free
    if remote.size - _size(part) > free - ROOM_TO_SPARE:
        raise BadDownload(
            f"{part.parent} has {free / 1e9:.1f} GB free, and {remote.url} is {remote.size / 1e9:.1f} GB. "
            "Make room, or give another folder to --weights."
        )


def _fill(remote: Remote, part: Path, tick: Callable[[int], None]) -> None:
    left, reason = ATTEMPTS, ""
    while not remote.size or _size(part) < remote.size:
        before = _size(part)
        try:
            total = _more(remote, part, tick)
            if _size(part) == total:
                return
            reason = f"it closed the connection after {_size(part)} of {total} bytes"
        except (OSError, HTTPException) as error:
            if before and isinstance(error, urllib.error.HTTPError) and error.code == RANGE_IS_EMPTY:
                return
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise BadDownload(f"{remote.url} is refused by its server: {error.code} {error.reason}.") from error
            reason = f"{type(error).__name__}: {error}"
        left = ATTEMPTS if _size(part) > before else left - 1
        if not left:
            raise BadDownload(f"{remote.url} stopped coming ({reason}). The same command goes on from there.")
        time.sleep(PAUSE_SECONDS)


def _more(remote: Remote, part: Path, tick: Callable[[int], None]) -> int:
    """Append what is still missing; the size that the whole should have, in bytes."""
    start = _size(part)
    with _open(remote, start=start) as answer:
        have = start if answer.status == PARTIAL else 0  # some servers send everything, whatever they were asked
        coming = answer.headers.get("Content-Length")
        total = remote.size or (have + int(coming) if coming else 0)
        with part.open("ab" if have else "wb") as file:
            while chunk := answer.read(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                tick(have)
        return total or have


def _open(remote: Remote, *, method: str = "GET", start: int = 0) -> HTTPResponse:
    if urlsplit(remote.url).scheme not in ("http", "https"):
        raise BadDownload(f"'{remote.url}' is no address of weights; it must begin with https://.")
    headers = {**remote.headers, "Accept-Encoding": "identity", "User-Agent": "closerlook"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(remote.url, headers=headers, method=method)  # noqa: S310 - scheme is checked
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=SECONDS_WITHOUT_DATA)  # noqa: S310
    return answer


def _verify(remote: Remote, part: Path) -> None:
    again = "What came was deleted. Run the same command once more; if it happens again, ask whoever keeps the file."
    with part.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if remote.size and _size(part) != remote.size:
        problem = f"{remote.url} has {_size(part)} bytes, and should have {remote.size}."
    elif remote.sha256 and not found.startswith(remote.sha256):
        problem = f"{remote.url} has the checksum {found[:16]}, and should have {remote.sha256[:16]}."
    else:
        return
    part.unlink()
    raise BadDownload(f"{problem} {again}")
