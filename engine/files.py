"""Folders of Parquet files, on a disk or in an object store.

A file here is finished or absent: it is written under a hidden temporary name and moved, or put in one request. A
killed process therefore leaves nothing that a reader could mistake for a result. A file carries its identity (what it
was made from) as JSON in its Parquet metadata; its path is only an index.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

IDENTITY = b"closerlook"


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
            filesystem, path = pafs.FileSystem.from_uri(text)
            return cls(filesystem, path.rstrip("/"))
        return cls(pafs.LocalFileSystem(), str(Path(text).expanduser().resolve()))

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.filesystem, f"{self.path}/{name}")

    def __str__(self) -> str:
        return self.path

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
        entries = self.filesystem.get_file_info(pafs.FileSelector(self.path, allow_not_found=True))
        names = (entry.base_name for entry in entries if entry.type == kind)
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return bool(self.filesystem.get_file_info(f"{self.path}/{name}").type == pafs.FileType.File)

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One file as a table."""
        with self.filesystem.open_input_file(f"{self.path}/{name}") as file:
            return pq.ParquetFile(file).read(columns=None if columns is None else list(columns))

    def identity(self, name: str) -> dict[str, object]:
        """What the file says that it was made from; empty where it says nothing. Reads the footer only."""
        with self.filesystem.open_input_file(f"{self.path}/{name}") as file:
            metadata = pq.ParquetFile(file).schema_arrow.metadata or {}
        found: dict[str, object] = json.loads(metadata.get(IDENTITY, b"{}"))
        return found

    def rows(self, name: str) -> int:
        """Number of rows, from the footer."""
        with self.filesystem.open_input_file(f"{self.path}/{name}") as file:
            return int(pq.ParquetFile(file).metadata.num_rows)

    def commit(self, name: str, table: pa.Table, identity: Mapping[str, object]) -> None:
        """Write a file whole, in one step; one that is there is replaced."""
        text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({IDENTITY: text.encode()}), sink, compression="zstd")
        self._put(name, sink.getvalue())

    def _put(self, name: str, content: pa.Buffer) -> None:
        self.filesystem.create_dir(self.path, recursive=True)
        if not isinstance(self.filesystem, pafs.LocalFileSystem):
            # Object stores: one PUT is all or nothing, a rename would be a copy and a delete.
            with self.filesystem.open_output_stream(f"{self.path}/{name}") as file:
                file.write(content)
            return
        temporary = Path(self.path, f".{name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(Path(self.path, name))
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Delete one file."""
        self.filesystem.delete_file(f"{self.path}/{name}")


def digest(*parts: bytes | str) -> str:
    """Short name of some content: the first 16 hexadecimal digits of the SHA-256 of the parts, each with its length."""
    sha = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        sha.update(len(content).to_bytes(8, "little"))
        sha.update(content)
    return sha.hexdigest()[:16]
