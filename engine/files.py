"""Folders of Parquet files, on a disk or in an object store.

A file here is finished or absent: written under a hidden temporary name and moved, or put in one step. A killed process
leaves nothing that a reader could mistake for a result. A file carries its identity (what it was made from) as JSON in
its Parquet metadata; its path is only an index. An object store that does not answer is asked again for about half a
minute; what fails for good is a `BadStore`, a sentence for the user.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

IDENTITY = b"closerlook"
ATTEMPTS = 7  # of a request to S3, unless AWS_MAX_ATTEMPTS says otherwise; the waits between them are about 30 s in all
SILENCE = 10.0  # seconds without a byte that end an attempt; the SDK's 3 are few for a busy store
FOOTER_BYTES = 64 << 10  # at the end of a file, in which the footer of nearly all of ours lies
AT_ONCE = 16  # footers that are read together from an object store
HERE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]  # in the names of files that are being written
ONE_REQUEST = 10 << 20  # bytes below which Arrow sends a file in one request, if it may open it late

RESUME = "what is finished is kept, and the same command goes on"
DAMAGED = "If the file is damaged, delete it: the command that wrote it writes it again"
NEXT_STEPS = {
    "ENOSPC|EDQUOT|EFBIG": "Make room there",
    "ENOENT|EACCES|EPERM|EROFS|ENOTDIR|EEXIST|EISDIR": "Give a folder that you may use",
    "ACCESS_DENIED|ACCESS_KEY|SIGNATURE|TOKEN|HTTP status 40[013]": (
        "See that the AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of this environment are the store's"
    ),
    "NO_SUCH_BUCKET|Bucket .* not found": "Make the bucket, or give another",
    "NETWORK_CONNECTION|SLOW_DOWN|INTERNAL|UNAVAILABLE|HTTP status 5": (
        "See that the store can be reached from here, under AWS_ENDPOINT_URL where it is not Amazon's"
    ),
}
"""What would do, by what is found in the name of an error's number or in its text."""


class BadStore(OSError):
    """A folder or store that cannot be used: which, why, and the next step, in one sentence without secrets."""


class Unwritable(BadStore):
    """One that cannot be written to: nothing can go on."""


class Damaged(BadStore):
    """A file that is no Parquet file, or not a whole one, as after a power cut."""


@contextmanager
def _asking(place: object, done: str, otherwise: str = DAMAGED) -> Iterator[None]:
    """What fails inside is a `BadStore`: this place cannot be done so; `otherwise` is what to do where nothing fits."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        number = getattr(error, "errno", None) or 0
        text = f"{errno.errorcode.get(number, '')} {_without_secrets(str(error).partition(chr(10))[0])}"
        fits = (f"{step}; {RESUME}" for found, step in NEXT_STEPS.items() if re.search(found, text))
        reason = os.strerror(number) if number else text.rpartition("AWS Error ")[2].partition(" (Request ID")[0]
        kind = Unwritable if done == "written" else Damaged if isinstance(error, pa.ArrowInvalid) else BadStore
        raise kind(f"{place} cannot be {done}: {reason.strip(' .:')}. {next(fits, otherwise)}.") from error


def _without_secrets(text: str) -> str:
    return re.sub(r"(?<=//).*@|\?[^'\s]*", "", text)


def _patient(filesystem: pafs.FileSystem, *, late: bool = True) -> pafs.FileSystem:
    """The same file system; one of S3 made anew of its pickle, to ask again, and to open files late or not."""
    if filesystem.type_name != "s3":
        return filesystem
    told = os.environ.get("AWS_MAX_ATTEMPTS", "")
    retries = pafs.AwsStandardS3RetryStrategy(int(told) if told.isdecimal() else ATTEMPTS)
    limits = {"request_timeout": SILENCE, "connect_timeout": SILENCE, "retry_strategy": retries}
    return pafs.S3FileSystem(**{**filesystem.__reduce__()[1][0], **limits, "allow_delayed_open": late})


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself: rows, what it was made from (empty where it does not say); and how large it is."""

    rows: int
    identity: dict[str, object]
    bytes: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Folder:
    """A folder of Parquet files; `Folder.of` takes a path or a URI such as ``s3://bucket/results``."""

    filesystem: pafs.FileSystem
    path: str

    @classmethod
    def of(cls, uri: str | Path) -> Folder:
        """Open a path or URI; nothing is created."""
        text = str(uri)
        if "://" in text:
            with _asking(_without_secrets(text), "opened", "Give a folder, or a URI as in s3://bucket/path"):
                filesystem, path = pafs.FileSystem.from_uri(text)
            return cls(_patient(filesystem), path.rstrip("/"))
        return cls(pafs.LocalFileSystem(), str(Path(text).expanduser().resolve()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.filesystem, self.path)

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.filesystem, f"{self.path}/{name}")

    def __str__(self) -> str:
        return self.path if self.filesystem.type_name == "local" else f"{self.filesystem.type_name}://{self.path}"

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    def folders(self) -> tuple[str, ...]:
        """Names of the folders directly inside, sorted, hidden ones left out; none where the folder is absent."""
        return self._names(pafs.FileType.Directory)

    def files(self) -> tuple[str, ...]:
        """Names of the Parquet files directly inside, sorted, hidden ones left out; none where the folder is absent."""
        return tuple(name for name in self._names(pafs.FileType.File) if name.endswith(".parquet"))

    def _names(self, kind: pafs.FileType) -> tuple[str, ...]:
        with _asking(self, "listed"):
            entries = self.filesystem.get_file_info(pafs.FileSelector(self.path, allow_not_found=True))
        names = (entry.base_name for entry in entries if entry.type == kind)
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        with _asking(f"{self}/{name}", "looked for"):
            return bool(self.filesystem.get_file_info(f"{self.path}/{name}").type == pafs.FileType.File)

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One file as a table."""
        with self._opened(name) as file:
            return file.read(columns=None if columns is None else list(columns))

    @contextmanager
    def _opened(self, name: str) -> Iterator[pq.ParquetFile]:
        with _asking(f"{self}/{name}", "read"), self.filesystem.open_input_file(f"{self.path}/{name}") as file:
            # Else every column of every row group is a request of its own.
            yield pq.ParquetFile(file, pre_buffer=self.filesystem.type_name != "local")

    def footer(self, name: str) -> Footer:
        """What one file says of itself. Reads the footer only."""
        with self._opened(name) as file:
            told, facts = (file.schema_arrow.metadata or {}).get(IDENTITY, b"{}"), file.metadata
            size = sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))
            return Footer(int(facts.num_rows), json.loads(told), int(size))

    def footers(self) -> dict[str, Footer]:
        """The footer of every file, by its name, sorted; from an object store several at once."""
        names = self.files()
        with ThreadPoolExecutor(1 if self.filesystem.type_name == "local" else AT_ONCE) as threads:
            return dict(zip(names, threads.map(self.footer, names), strict=True))

    def identity(self, name: str) -> dict[str, object]:
        """What the file says that it was made from; empty where it says nothing. Reads the footer only."""
        found = _told(Path(self.path, name)) if self.filesystem.type_name == "local" else None
        return self.footer(name).identity if found is None else found

    def rows(self, name: str) -> int:
        """Number of rows, from the footer."""
        return self.footer(name).rows

    def commit(self, name: str, table: pa.Table, identity: Mapping[str, object], *, wait: bool = True) -> None:
        """Write a file whole, in one step; one that is there is replaced.

        On a disk it is waited for until a power cut cannot undo it; not so without `wait`, for what can be made again.
        """
        text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
        table = table.replace_schema_metadata({IDENTITY: text.encode()})
        with _asking(f"{self}/{name}", "written"):
            if self.filesystem.type_name == "local":
                self._move_in(name, table, wait)
                return
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, **_encoding(table.schema))
            # A stream that is left commits what it has: Ctrl-C, unseen by other threads, would leave half a file.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(self._put, name, sink.getvalue()).result()

    def _put(self, name: str, content: pa.Buffer) -> None:
        # Opened late, a large file whose upload cannot be started is committed empty when its stream is closed.
        filesystem = self.filesystem if content.size < ONE_REQUEST else _patient(self.filesystem, late=False)
        with filesystem.open_output_stream(f"{self.path}/{name}") as file:
            file.write(content)

    def _move_in(self, name: str, table: pa.Table, wait: bool) -> None:
        temporary = f"{self.path}/.{name}.{HERE}.{os.getpid()}.{uuid.uuid4().hex}.tmp"
        try:
            with self._made(temporary) as file:
                pq.write_table(table, file, **_encoding(table.schema))
            if wait:
                _wait_for(temporary)
            os.replace(temporary, f"{self.path}/{name}")  # noqa: PTH105 - a hundred thousand times
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _made(self, file: str) -> pa.OSFile:
        try:
            return pa.OSFile(file, "wb")
        except FileNotFoundError:
            self.filesystem.create_dir(self.path, recursive=True)
            return pa.OSFile(file, "wb")

    def sweep(self) -> None:
        """Delete what writers of this computer that were killed left half-written."""
        if self.filesystem.type_name == "local":
            for file in Path(self.path).glob(f".*.{HERE}.*.tmp"):
                if not is_running(int(file.name.split(".")[-3])):
                    file.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Delete one file."""
        with _asking(f"{self}/{name}", "deleted"):
            self.filesystem.delete_file(f"{self.path}/{name}")

    def clear(self) -> None:
        """Delete the folder with all that is in it."""
        with _asking(self, "deleted"):
            self.filesystem.delete_dir(self.path)


def _told(file: Path) -> dict[str, object] | None:
    """Identity as its text stands in the footer of a file on a disk, five times as fast as Arrow; None to ask Arrow.

    The footer is Thrift in its compact form: each text is headed by 0x18 and its length, seven bits a byte.
    """
    try:
        with file.open("rb", buffering=0) as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - FOOTER_BYTES))
            tail = opened.read()
    except OSError:
        return None
    if tail[-4:] != b"PAR1":
        return None
    _, key, rest = tail[-8 - int.from_bytes(tail[-8:-4], "little") : -8].rpartition(
        b"\x18" + bytes([len(IDENTITY)]) + IDENTITY + b"\x18"
    )
    size, shift = 0, 0
    for place, byte in enumerate(rest):
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            text = rest[place + 1 : place + 1 + size]
            return json.loads(text) if key and len(text) == size else None
        shift += 7
    return None


def is_running(process: int) -> bool:
    """Whether a process of this computer is at work."""
    try:
        os.kill(process, 0)
        # A killed one that nobody has waited for answers too.
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except ProcessLookupError:
        return False
    except OSError:  # another user's; or no /proc here
        return True


def _wait_for(file: str) -> None:
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unpickled(filesystem: pafs.FileSystem, path: str) -> Folder:
    # What pickles a file system of S3 forgets how long it asks.
    return Folder(_patient(filesystem), path)


def _encoding(schema: pa.Schema) -> dict[str, object]:
    """How a table is written: pictures and features as they are, for they hardly shrink; everything else compressed."""
    others = [field.name for field in schema if not (pa.types.is_binary(field.type) or pa.types.is_nested(field.type))]
    if any(map(pa.types.is_binary, schema.types)):
        return {"compression": "none", "use_dictionary": others, "write_statistics": others}
    return {"compression": dict.fromkeys(others, "zstd"), "use_dictionary": others, "write_statistics": others}


def content_digest(content: bytes) -> str:
    """Short name of a file's content: the first 16 hexadecimal digits of what ``sha256sum`` prints for it."""
    return hashlib.sha256(content).hexdigest()[:16]


def digest(*parts: bytes | str) -> str:
    """Short name of some content: the first 16 hexadecimal digits of the SHA-256 of the parts, each with its length."""
    sha = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        sha.update(len(content).to_bytes(8, "little"))
        sha.update(content)
    return sha.hexdigest()[:16]
