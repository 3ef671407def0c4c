"""One zip as a source: its central directory is the list, its members are inflated in memory.

The list comes from Python's `zipfile`. The members do not: `zipfile` parses the whole directory whenever it opens the
file, which for each of a hundred shards takes longer than to inflate the pictures of one.
"""

from __future__ import annotations

import functools
import stat
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from engine.files import Folder
from engine.prepare import names
from engine.prepare.sources import Listed, Member, in_parallel, is_local

OBJECTNET = b"objectnetisatestset"  # of its one zip; https://objectnet.dev publishes it with the download
ENCRYPTED, STRONGLY, UTF8 = 0x1, 0x40, 0x800  # bits of the flags (APPNOTE.TXT 4.4.4)
LOCAL = struct.Struct("<4s5H3L2H")  # the header before each member (APPNOTE.TXT 4.3.7)
NAME_AND_EXTRA = names.LONGEST + 512  # bytes read for these with the member, to ask but once
CIPHER_HEADER = 12
CRC = np.array([zlib.crc32(bytes([byte ^ 0xFF])) ^ 0xFF000000 for byte in range(256)], np.int64)


@dataclass(frozen=True)
class Zip(Listed):
    """A zip; a member's place is its offset, its compressed size, its sum, its method, and whether it is encrypted."""

    at: Folder

    @classmethod
    def of(cls, at: Folder) -> Zip:
        """The files of a zip."""
        with names.told(at), at.filesystem.open_input_file(at.path) as file:
            return cls(names.listed(at, _members(at, file)), at)

    def _listed(self) -> tuple[Member, ...]:
        return Zip.of(self.at).listing

    def read(self, members: Sequence[Member]) -> Iterator[bytes]:
        """Contents of these members, in the order in which they are given."""
        with names.told(self.at), self.at.filesystem.open_input_file(self.at.path) as file:
            yield from in_parallel(
                lambda member: _content(self.at, file, member), members, remote=not is_local(self.at)
            )


def _members(at: Folder, file: Any) -> Iterator[Member]:
    try:
        directory = ZipFile(file)
    except UnicodeDecodeError as error:
        raise names.refusal(at, error.object, "a name that is not UTF-8") from None
    grown, most, locked = 0, names.most_inflated(file.size()), []
    for info in directory.infolist():
        name = _judged(at, info)
        if info.orig_filename.endswith("/") or names.hidden(name):
            continue
        grown += info.file_size
        if grown > most:
            raise names.refusal(at, name, f"and with it inflates to {grown:,} bytes or more, as no pictures do")
        encrypted = info.flag_bits & ENCRYPTED
        place = (info.header_offset, info.compress_size, info.CRC, info.compress_type, encrypted)
        member = Member(name, info.file_size, place)
        locked += [member] if encrypted else []
        yield member
    _refuse_overlap(at, directory)
    if locked:
        _content(at, file, min(locked, key=lambda member: member.place[1]))  # whether the password opens it


def _judged(at: Folder, info: ZipInfo) -> str:
    raw: str | bytes = info.orig_filename
    if not info.flag_bits & UTF8:
        raw = info.orig_filename.encode("cp437")  # what `zipfile` decoded; most who leave the flag out write UTF-8
    name = names.checked(raw, at)
    form = stat.S_IFMT(info.external_attr >> 16)
    if form not in {0, stat.S_IFREG, stat.S_IFDIR} or not name:
        fault = "a symbolic link" if stat.S_ISLNK(form) else "a device, a FIFO, or something without a name"
        raise names.refusal(at, raw, fault, "Pack the files themselves, or give the folder to --from.")
    if info.compress_type not in {ZIP_STORED, ZIP_DEFLATED} or info.flag_bits & STRONGLY:
        fault = f"packed or encrypted in a way that is not read here (method {info.compress_type})"
        raise names.refusal(at, name, fault, names.UNPACK)
    names.refuse_size(at, name, max(info.file_size, info.compress_size))
    return name


def _refuse_overlap(at: Folder, directory: ZipFile) -> None:
    entries = sorted(directory.infolist(), key=lambda info: info.header_offset)
    ends = [info.header_offset + LOCAL.size + len(info.orig_filename) + info.compress_size for info in entries]
    starts = [info.header_offset for info in entries[1:]] + [directory.start_dir]
    for info, end, start in zip(entries, ends, starts, strict=True):
        if end > start:
            raise names.refusal(at, info.orig_filename, "which overlaps with what follows, as in a bomb")


def _content(at: Folder, file: Any, member: Member) -> bytes:
    _, _, crc, method, encrypted = member.place
    content = _packed(at, file, member)
    if encrypted:
        content = _decrypted(content, OBJECTNET)[CIPHER_HEADER:]
    if method == ZIP_DEFLATED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, member.size + 1)
        except zlib.error:
            content = b""
    if len(content) == member.size and zlib.crc32(content) == crc:
        return bytes(content)
    if encrypted:
        fault = "encrypted, and the password of ObjectNet does not open it, or it is damaged"
        raise names.refusal(at, member.name, fault, names.UNPACK)
    raise names.refusal(at, member.name, "whose content does not have its size or sum")


def _packed(at: Folder, file: Any, member: Member) -> bytes:
    offset, size = member.place[:2]
    head = file.read_at(LOCAL.size + NAME_AND_EXTRA + size, offset)
    if len(head) >= LOCAL.size and head.startswith(b"PK\3\4"):
        *_, name, extra = LOCAL.unpack_from(head)
        if names.checked(head[LOCAL.size :][:name], at) == member.name:
            start = LOCAL.size + name + extra
            packed: bytes = head[start:][:size]
            return packed if len(packed) == size else bytes(file.read_at(size, offset + start))
    raise names.refusal(at, member.name, "which is not where the directory says")


def _decrypted(content: bytes, password: bytes) -> bytes:
    plain = np.empty(len(content), np.uint8)
    _cipher()(np.frombuffer(password, np.uint8), np.frombuffer(content, np.uint8), CRC, plain)
    return plain.tobytes()


@functools.cache
def _cipher() -> Callable[..., None]:
    """Each byte depends on all before: some 1 MB a second in Python, 80 MB where numba is there to compile it."""
    try:
        import numba
    except ImportError:
        return lambda *arrays: _unlock(*(memoryview(array) for array in arrays))
    compiled: Callable[..., None] = numba.njit(_unlock, nogil=True)
    return compiled


def _unlock(password: Any, content: Any, crc: Any, plain: Any) -> None:
    """Take the traditional cipher of PKWARE (APPNOTE.TXT 6.1) off the content."""
    first, second, third = 0x12345678, 0x23456789, 0x34567890
    for number in range(len(password) + len(content)):
        if number < len(password):
            byte = int(password[number])
        else:
            pad = (third | 2) & 0xFFFF
            byte = int(content[number - len(password)]) ^ ((pad * (pad ^ 1) >> 8) & 0xFF)
            plain[number - len(password)] = byte
        first = (first >> 8) ^ crc[(first ^ byte) & 0xFF]
        second = ((second + (first & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        third = (third >> 8) ^ crc[(third ^ (second >> 24)) & 0xFF]
