"""The same files in every layout that users have them in, and archives made by hand, so that they can be wrong."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BLOCK = 512


def contents(count: int = 24, *, seed: int = 0) -> dict[str, bytes]:
    """Files of a set by name: noise of many lengths, names long, empty-looking and with accents, and a mapping."""
    rng = np.random.default_rng(seed)
    sizes = [0, 1, 511, 512, 513, 40_000, *rng.integers(1, 20_000, count)]
    found = {f"set/class {n % 3}/{n:04d}.JPEG": rng.bytes(size) for n, size in enumerate(sizes)}
    found["set/" + "long" * 30 + "/" + "name" * 40 + ".png"] = rng.bytes(700)
    found["set/\u00e9t\u00e9/na\u00efve.jpg"] = rng.bytes(900)
    return found | {"set/labels.json": b'{"class 0": 1}'}


def folder(root: Path, files: Mapping[str, bytes]) -> Path:
    """A folder per folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def tar(path: Path, files: Mapping[str, bytes], *, form: int = tarfile.GNU_FORMAT, mode: str = "w") -> Path:
    """A tar as Python writes it; ``w:gz`` compresses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=form) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip as Python writes it."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def table(path: Path, rows: Sequence[Mapping[str, object]], *, group: int = 7, **metadata: str) -> Path:
    """A Parquet file of these rows, with this metadata of its schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pa.Table.from_pylist([dict(row) for row in rows])
    content = content.replace_schema_metadata({key.encode(): value.encode() for key, value in metadata.items()})
    pq.write_table(content, path, row_group_size=group)
    return path


def entry(
    name: bytes, content: bytes = b"", *, kind: bytes = b"0", size: int | None = None, target: bytes = b""
) -> bytes:
    """One member of a tar: its header, whatever it says, and its content up to a whole block."""
    length = len(content) if size is None else size
    octal = b"%011o\0" % length if length < 8**11 else b"\x80" + length.to_bytes(11, "big")
    head = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + octal + b"00000000000\0"
    head += b" " * 8 + kind + target.ljust(100, b"\0") + b"ustar\x0000" + b"\0" * 247
    head = head[:148] + b"%06o\0 " % sum(head) + head[156:]
    return head + content + b"\0" * (-len(content) % BLOCK)


def pax(kind: bytes = b"x", **said: bytes) -> bytes:
    """An extended header; dots in its keys are written as two underscores."""
    records = b""
    for key, value in said.items():
        rest = b" " + key.replace("__", ".").encode() + b"=" + value + b"\n"
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length += 1
        records += str(length).encode() + rest
    return entry(b"PaxHeaders/x", records, kind=kind)


def ended(*entries: bytes) -> bytes:
    """A tar of these members, with its end mark."""
    return b"".join(entries) + b"\0" * 2 * BLOCK


def written(path: Path, content: bytes, *, compressed: bool = False) -> Path:
    """A file, for archives made by hand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if compressed else content)
    return path


def zip_entry(
    name: bytes,
    content: bytes = b"picture",
    *,
    local: bytes | None = None,
    flags: int = 0x800,
    method: int = 0,
    mode: int = 0o100644,
    size: int | None = None,
    crc: int | None = None,
    offset: int | None = None,
    packed: bytes | None = None,
) -> dict[str, object]:
    """What `zip_bytes` writes for one member; whatever is given in place of the truth stands in the directory."""
    return {
        "name": name,
        "local": name if local is None else local,
        "packed": content if packed is None else packed,
        "flags": flags,
        "method": method,
        "mode": mode,
        "size": len(content) if size is None else size,
        "crc": zlib.crc32(content) if crc is None else crc,
        "offset": offset,
    }


def zip_bytes(*entries: Mapping[str, object]) -> bytes:
    """A zip of these members, made by hand (APPNOTE.TXT 4.3)."""
    body, directory = b"", b""
    for each in entries:
        name, local, packed = each["name"], each["local"], each["packed"]
        assert isinstance(name, bytes)
        assert isinstance(local, bytes)
        assert isinstance(packed, bytes)
        at = len(body) if each["offset"] is None else each["offset"]
        facts = (each["flags"], each["method"], 0, 0x21, each["crc"], len(packed), each["size"])
        body += struct.pack("<4s5H3L2H", b"PK\3\4", 20, *facts, len(local), 0) + local + packed
        mode = int(str(each["mode"])) << 16
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 3 << 8 | 20, 20, *facts, len(name), 0, 0, 0, 0, mode, at)
        directory += name
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return body + directory + end


def encrypted(content: bytes, password: bytes) -> bytes:
    """The traditional encryption of PKWARE (APPNOTE.TXT 6.1), with a header of its own twelve bytes."""
    keys = [0x12345678, 0x23456789, 0x34567890]

    def mix(byte: int) -> None:
        keys[0] = ~zlib.crc32(bytes([byte]), ~keys[0] & 0xFFFFFFFF) & 0xFFFFFFFF
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = ~zlib.crc32(bytes([keys[1] >> 24]), ~keys[2] & 0xFFFFFFFF) & 0xFFFFFFFF

    for byte in password:
        mix(byte)
    found = bytearray()
    check = zlib.crc32(content) >> 24
    for byte in bytes(range(11)) + bytes([check]) + content:
        pad = (keys[2] | 2) & 0xFFFF
        found.append(byte ^ (pad * (pad ^ 1) >> 8 & 0xFF))
        mix(byte)
    return bytes(found)
