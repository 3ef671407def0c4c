"""One tar or several, plain or compressed with gzip, as one source; nothing is unpacked to a disk.

A plain tar is read once through its headers, then at offsets. A gzip has no offsets: `indexed_gzip` notes the state of
the inflation every few MiB, so that a member is later read from the nearest of these points, also on another
computer. The list before that is made with Python's own `gzip`, because `indexed_gzip` takes a file that is cut off
for one that ends, and would not stop at a bomb.
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import indexed_gzip

from engine.files import Folder
from engine.prepare import names, tar_headers
from engine.prepare.sources import Listed, Member, in_parallel, is_local, kind, whole

PIECE = 4 << 20  # bytes read at once where a file is read through
SPACING = 1 << 20  # bytes between two points of an index, at least; each takes 32 KiB
POINTS = 512  # in the index of a large file, which so takes 16 MiB
RUN = 32 << 20  # bytes inflated at once; each time costs half the spacing more


@dataclass(frozen=True)
class Tars(Listed):
    """Tars under one name space.

    Attributes
    ----------
    archives : where they are
    indexes : of each, what `indexed_gzip` exported; empty where it is not compressed
    """

    archives: tuple[Folder, ...]
    indexes: tuple[bytes, ...]

    @classmethod
    def of(cls, archives: Sequence[Folder]) -> Tars:
        """The files in these tars; each is inflated twice where it is compressed: for the list, and for the index."""
        packed = [kind(at) == "gzip" for at in archives]
        listing = _list(archives, packed)
        lengths = [0] * len(archives)
        for member in listing:
            lengths[member.place[0]] = member.place[1] + member.size
        pairs = zip(archives, packed, lengths, strict=True)
        indexes = (_index(at, length) if compressed else b"" for at, compressed, length in pairs)
        return cls(listing, tuple(archives), tuple(indexes))

    def _listed(self) -> tuple[Member, ...]:
        return _list(self.archives, [bool(index) for index in self.indexes])

    def read(self, members: Sequence[Member]) -> Iterator[bytes]:
        """Contents of these members, in the order in which they are given. Those out of a gzip are held together."""
        held: dict[Member, bytes] = {}
        with names.told(_called(self.archives)), ExitStack() as opened:
            files: dict[int, Any] = {}
            for number in {member.place[0] for member in members}:
                at = self.archives[number]
                if self.indexes[number]:
                    held |= self._inflated(number, members)
                else:
                    files[number] = opened.enter_context(at.filesystem.open_input_file(at.path))

            def content(member: Member) -> bytes:
                number, offset = member.place
                return held[member] if number not in files else files[number].read_at(member.size, offset)

            remote = not all(is_local(self.archives[number]) for number in files)
            for member, found in zip(members, in_parallel(content, members, remote=remote), strict=True):
                yield whole(found, member, self.archives[member.place[0]])

    def _inflated(self, number: int, members: Sequence[Member]) -> dict[Member, bytes]:
        mine = sorted({member for member in members if member.place[0] == number}, key=lambda member: member.place)
        held = {}
        with _seekable(self.archives[number], index=self.indexes[number]) as file:
            for run in _runs(mine):
                start = run[0].place[1]
                file.seek(start)
                content = memoryview(file.read(run[-1].place[1] + run[-1].size - start))
                for member in run:
                    held[member] = bytes(content[member.place[1] - start :][: member.size])
        return held


def _runs(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Members, in the order of their place, in runs that are best inflated in one go."""
    run: list[Member] = []
    for member in members:
        end = member.place[1] + member.size
        if run and (member.place[1] - run[-1].place[1] - run[-1].size > SPACING or end - run[0].place[1] > RUN):
            yield run
            run = []
        run.append(member)
    if run:
        yield run


def _list(archives: Sequence[Folder], packed: Sequence[bool]) -> tuple[Member, ...]:
    pairs = enumerate(zip(archives, packed, strict=True))
    lists = (_members(number, at, compressed=compressed) for number, (at, compressed) in pairs)
    return names.listed(_called(archives), chain.from_iterable(lists))


def _called(archives: Sequence[Folder]) -> str:
    return f"{archives[0]}" + (f" and {len(archives) - 1} more" if len(archives) > 1 else "")


def _members(number: int, at: Folder, *, compressed: bool) -> Iterator[Member]:
    name = ""
    with names.told(at), _forward(at, compressed=compressed) as file:
        total = math.inf if compressed else at.filesystem.get_file_info(at.path).size
        try:
            for name, offset, size in tar_headers.files(file, at, total):
                if not names.hidden(name):
                    yield Member(name, size, (number, offset))
            while compressed and file.read(PIECE):  # its sum is at its end
                pass
        except names.BROKEN as error:
            if not name:
                raise
            raise names.refusal(at, name, f"and in it or after it damage ({names.reason(error)})") from error


def _index(at: Folder, inflated: int) -> bytes:
    """An index of a gzip that inflates to so many bytes, and was found to be whole."""
    with names.told(at), _seekable(at, spacing=max(SPACING, inflated // POINTS)) as file:
        file.build_full_index()
        exported = io.BytesIO()
        file.export_index(fileobj=exported)
    return exported.getvalue()


@contextmanager
def _seekable(at: Folder, *, index: bytes = b"", spacing: int = SPACING) -> Iterator[Any]:
    with (
        at.filesystem.open_input_file(at.path) as file,
        indexed_gzip.IndexedGzipFile(fileobj=file, spacing=spacing, readbuf_size=SPACING, buffer_size=1) as inflated,
    ):
        if index:
            inflated.import_index(fileobj=io.BytesIO(index))
        # Not the buffered file: every read begins at a point of the index, so a buffer would double the work.
        yield inflated.raw


@dataclass
class Forward:
    """A stream that goes forward only, and not beyond the most that pictures inflate to."""

    stream: Any
    most: float = math.inf
    at: int = 0

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end."""
        content: bytes = self.stream.read(size)
        self.at += len(content)
        if self.at > self.most:
            raise OSError(f"it inflates to more than {self.most:,} bytes, as no pictures do")
        return content

    def seek(self, position: int) -> int:
        """Go there by reading, or to the end where that comes first; where it is then."""
        while self.at < position and self.read(min(PIECE, position - self.at)):
            pass
        return self.at


@contextmanager
def _forward(at: Folder, *, compressed: bool) -> Iterator[tar_headers.Readable]:
    if is_local(at) and not compressed:
        with open(at.path, "rb", buffering=0) as file:  # noqa: PTH123
            yield file
        return
    with at.filesystem.open_input_stream(at.path, compression=None, buffer_size=PIECE) as stream:
        if not compressed:
            yield Forward(stream)
            return
        packed = at.filesystem.get_file_info(at.path).size
        with gzip.GzipFile(fileobj=stream) as inflated:
            yield Forward(inflated, names.most_inflated(packed))
