"""The headers of a tar, read strictly: names, sizes and offsets of its files, or the sentence why not.

Not `tarfile`: it takes a damaged header for the end of the archive and says nothing, so that a set would be smaller
without anyone's notice; and it reads extended headers of any length whole, in some versions with patterns that take
hours on hostile ones (CVE-2024-6232). Formats: POSIX ustar and pax (IEEE Std 1003.1, "pax"), GNU (the manual of GNU
tar, "Basic Tar Format"), and the old one of Version 7.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from engine.image_sets import BadImageSet
from engine.prepare import names

BLOCK = 512
LONGEST_EXTENSION = 1 << 20  # of an extended header, which holds a path and some attributes
AFTER = 1 << 20  # bytes looked at after the end mark; archivers pad with zeros, by 10 KiB or so
DIRECTORY, EXTENDED = b"5", (b"x", b"X", b"g", b"L", b"K")
KNOWN = (DIRECTORY, b"0", b"\0", b"7")
REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a FIFO",
    b"S": "a sparse file",
}


class Readable(Protocol):
    """A file, or a stream that goes forward only."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, fewer at the end."""

    def seek(self, position: int, /) -> int:
        """Go there, or to the end where that comes first; where it is then."""


@dataclass(frozen=True, slots=True)
class Header:
    """What one block says: a name as bytes, a size in bytes, the kind of the member."""

    name: bytes
    size: int
    kind: bytes


def begins(block: bytes) -> bool:
    """Whether a block is a header: whether its sum is what it says."""
    off = sum(block) - sum(block[148:156]) + 8 * ord(" ") - (_number(block[148:156]) or 0)
    if off == 0:
        return True
    high = sum(byte > 127 for byte in block[:148] + block[156:])
    return off == 256 * high  # some old archivers summed signed bytes


def files(file: Readable, archive: object, total: float = math.inf) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of every file of a tar, in its order.

    Parameters
    ----------
    archive : what to call it in a sentence
    total : bytes of the tar, where they are known before the end

    Raises
    ------
    BadImageSet : where it is damaged or cut off, or holds what no image set holds
    """
    at, name, end = 0, "", 0
    said: dict[str, bytes] = {}
    while True:
        reached = min(file.seek(at), total)
        if reached < end:
            raise names.refusal(archive, name, f"cut off {end - reached:,} bytes before its end")
        block = file.read(BLOCK)
        if not block.strip(b"\0"):
            break
        header = _header(block, archive, name)
        at += BLOCK
        if header.kind in EXTENDED:
            said |= _extension(file, header, archive, name)
            at += _padded(header.size)
            continue
        name, size = _judged(header, said, archive)
        said, end = {}, at
        if size is not None:
            yield name, at, size
            end, at = at + size, at + _padded(size)
    if said:
        raise _damaged(archive, name)
    if file.read(AFTER).strip(b"\0"):
        raise names.refusal(archive, name, "the last file before its end mark, but there is more after that")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _header(block: bytes, archive: object, before: str) -> Header:
    name, size = _text(block[:100]), _number(block[124:136])
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    if len(block) < BLOCK or size is None or not name or not begins(block):
        raise _damaged(archive, before)
    return Header(name, size, block[156:157])


def _damaged(archive: object, before: str) -> BadImageSet:
    if not before:
        return BadImageSet(f"'{archive}' does not begin as a tar does. {names.AGAIN}")
    return names.refusal(archive, before, "and after it a header that is damaged or cut off")


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _number(field: bytes) -> int | None:
    if field[:1] == b"\x80":  # GNU's way for numbers that do not fit
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0") or b"0"
    return int(digits, 8) if digits.isdigit() and b"8" not in digits and b"9" not in digits else None


def _extension(file: Readable, header: Header, archive: object, before: str) -> dict[str, bytes]:
    if header.size > LONGEST_EXTENSION:
        raise names.refusal(archive, header.name, f"an extended header of {header.size:,} bytes")
    content = file.read(header.size)
    if len(content) < header.size:
        raise _damaged(archive, before)
    if header.kind in {b"L", b"K"}:
        return {"path": content.rstrip(b"\0")} if header.kind == b"L" else {}
    records = _records(content)
    if records is None:
        raise _damaged(archive, before)
    said = {key: value for key, value in records.items() if key in {"path", "size"}}
    if any(key.startswith("GNU.sparse.") for key in records):
        said |= {"sparse": b"", "path": records.get("GNU.sparse.name", said.get("path", b""))}
    if header.kind == b"g" and said:
        raise names.refusal(archive, header.name, "one name or size for all that follows", names.UNPACK)
    return said


def _records(content: bytes) -> dict[str, bytes] | None:
    """The records of a pax header, lines of ``length key=value``; none where it is damaged."""
    found: dict[str, bytes] = {}
    at, end = 0, len(content.rstrip(b"\0"))
    while at < end:
        digits = content[at : at + 8].split(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = content[at : at + length]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if len(record) != length or not record.endswith(b"\n") or not equals:
            return None
        found[key.decode(errors="replace")] = value
        at += length
    return found


def _judged(header: Header, said: dict[str, bytes], archive: object) -> tuple[str, int | None]:
    """Name and size of a member; no size where it is a folder."""
    raw = said.get("path") or header.name
    name = names.checked(raw, archive)
    kind = b"S" if "sparse" in said else header.kind
    if kind in REFUSED:
        step = "Pack the files themselves (tar --dereference --hard-dereference), or give the folder to --from."
        raise names.refusal(archive, name, REFUSED[kind], step)
    if kind not in KNOWN:
        raise names.refusal(archive, name, f"of an unknown kind, {kind!a}", names.UNPACK)
    size = header.size
    if "size" in said:
        size = int(said["size"]) if said["size"].isdigit() and len(said["size"]) < 20 else -1
    if kind == DIRECTORY or (raw.endswith(b"/") and size == 0):
        return name, None
    if size < 0 or not name or raw.endswith(b"/"):
        raise names.refusal(archive, name or raw, "with a damaged header")
    names.refuse_size(archive, name, size)
    return name, size
