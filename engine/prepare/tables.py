"""Hugging Face Parquet as a source: each row is a picture, with its path and perhaps its label.

The column ``image`` is a struct of ``bytes`` and ``path`` (the feature Image of the library datasets), or the bytes
themselves; ``label`` is a number or text. That library keeps no more of a path than its last part, so pictures of
different classes may have the same: these are then told apart by their label, as their folders did.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.files import Folder
from engine.image_sets import BadImageSet
from engine.prepare import names
from engine.prepare.sources import Listed, Member, whole

ROWS = 16  # pictures decoded at once
BUFFER = 8 << 20  # a column chunk, which may have 500 MB, is read in pieces of this
SPLIT = re.compile(r"(.*)-\d{5}-of-\d{5}\.parquet")
COLUMNS = "Give tables with a column 'image' of bytes, or of structs of bytes and path, to --from."


@dataclass(frozen=True, slots=True)
class Row:
    """One row before it has a name: the file it is in, its number there, what the table says of it."""

    stem: str
    number: int
    path: str | None
    label: str
    size: int
    place: tuple[int, int, int]


@dataclass(frozen=True)
class Tables(Listed):
    """Parquet files under one name space; a member's place is its file, its row group, its row in the group."""

    files: tuple[Folder, ...]

    @classmethod
    def of(cls, files: Sequence[Folder]) -> Tables:
        """The pictures in these files. The columns are read through once, for the sizes."""
        splits = {match[1] for at in files if (match := SPLIT.fullmatch(at.path))}
        if len(splits) > 1:
            raise BadImageSet(
                f"'{files[0]}' and the files beside it are of {len(splits)} splits "
                f"({', '.join(sorted(split.rsplit('/', 1)[-1] for split in splits))}). "
                "Give a folder with the files of one to --from."
            )
        rows = [row for number, at in enumerate(files) for row in _rows(number, at)]
        return cls(_named(str(files[0]), rows), tuple(files))

    def _listed(self) -> tuple[Member, ...]:
        return Tables.of(self.files).listing

    def read(self, members: Sequence[Member]) -> Iterator[bytes]:
        """Contents of these members, in the order in which they are given. Each row group is read once."""
        wanted: dict[tuple[int, ...], set[int]] = {}
        for member in members:
            wanted.setdefault(member.place[:2], set()).add(member.place[2])
        held: dict[tuple[int, ...], bytes] = {}
        for (number, group), rows in wanted.items():
            with _opened(self.files[number]) as table:
                held |= {(number, group, row): content for row, content in _contents(table, group, rows)}
        for member in members:
            yield whole(held[member.place], member, self.files[member.place[0]])


@contextmanager
def _opened(at: Folder) -> Iterator[pq.ParquetFile]:
    with (
        names.told(at),
        at.filesystem.open_input_file(at.path) as file,
        pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True) as table,
    ):
        yield table


def _column(at: Folder, table: pq.ParquetFile) -> str:
    """The column of the pictures' bytes, as Parquet names it."""
    schema = table.schema_arrow
    kind = schema.field("image").type if "image" in schema.names else pa.null()
    name = "image"
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        name, kind = "image.bytes", kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise BadImageSet(f"'{at}' has no pictures in its columns ({ascii(schema.names)[1:-1][:300]}). {COLUMNS}")
    groups = (table.metadata.row_group(number) for number in range(table.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    grown = sum(column.total_uncompressed_size for column in columns if column.path_in_schema == name)
    if grown > names.most_inflated(at.filesystem.get_file_info(at.path).size):
        raise BadImageSet(f"'{at}' inflates to {grown:,} bytes, as no pictures do. {names.AGAIN}")
    return name


def _rows(number: int, at: Folder) -> Iterator[Row]:
    stem, count = PurePosixPath(at.path).stem, 0
    with _opened(at) as table:
        columns = [_column(at, table)]
        columns += ["image.path"] if columns == ["image.bytes"] else []
        label_of = _labels(at, table.schema_arrow)
        columns += ["label"] if "label" in table.schema_arrow.names else []
        for group in range(table.num_row_groups):
            start = count
            for batch in table.iter_batches(ROWS, row_groups=[group], columns=columns):
                for path, size, label in zip(*_facts(batch), strict=True):
                    if size is None:
                        raise names.refusal(at, f"{stem}/{count:06d}", "a row without a picture's bytes")
                    names.refuse_size(at, f"{stem}/{count:06d}", size)
                    yield Row(stem, count, path, label_of(label), size, (number, group, count - start))
                    count += 1


def _facts(batch: pa.RecordBatch) -> tuple[list[Any], list[Any], list[Any]]:
    """Path, size and label of each row of a batch, none where there is none."""
    nothing = [None] * len(batch)
    column, paths = batch.column("image"), nothing
    if pa.types.is_struct(column.type):
        parts = dict(zip((part.name for part in column.type), column.flatten(), strict=True))
        column, paths = parts["bytes"], parts["path"].to_pylist() if "path" in parts else nothing
    labels = batch.column("label").to_pylist() if "label" in batch.schema.names else nothing
    return paths, pc.binary_length(column).to_pylist(), labels


def _labels(at: Folder, schema: pa.Schema) -> Callable[[Any], str]:
    """What a value of the column of labels means, as text. A number below 0 means nothing."""
    said: Any = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        said = json.loads(said)
    except (ValueError, RecursionError):
        raise BadImageSet(f"'{at}' has metadata of Hugging Face that are no JSON. {names.AGAIN}") from None
    for keys in ("info", "features", "label", "names"):
        said = said.get(keys, said if keys == "info" else None) if isinstance(said, dict) else None
    classes = said if isinstance(said, list) else None

    def text(label: Any) -> str:
        if label is None or (isinstance(label, int) and label < 0):
            return ""
        if isinstance(label, str) or (isinstance(label, int) and classes is None):
            return str(label)
        if not isinstance(label, int) or classes is None or label >= len(classes):
            many = "no" if classes is None else len(classes)
            raise BadImageSet(f"'{at}' has the label {ascii(label)[:100]}, but names {many} classes. {names.AGAIN}")
        return str(classes[label])

    return text


def _named(archive: str, rows: Sequence[Row]) -> tuple[Member, ...]:
    """A member for each row: named by its path; where that is not unique, by label and path; else by file and row."""
    by_row = [f"{row.stem}/{row.number:06d}" for row in rows]
    by_path = [row.path or place for row, place in zip(rows, by_row, strict=True)]
    by_label = [f"{row.label}/{path}" if row.label else path for row, path in zip(rows, by_path, strict=True)]
    for found in (by_path, by_label, by_row):
        checked = [names.checked(name, archive) for name in found]
        if len(set(checked)) == len(rows):
            break
    pairs = zip(checked, rows, strict=True)
    return names.listed(archive, (Member(name, row.size, row.place, row.label) for name, row in pairs))


def _contents(table: pq.ParquetFile, group: int, rows: set[int]) -> Iterator[tuple[int, bytes]]:
    column = "image.bytes" if pa.types.is_struct(table.schema_arrow.field("image").type) else "image"
    first, last = 0, max(rows)
    for batch in table.iter_batches(ROWS, row_groups=[group], columns=[column]):
        found = batch.column("image")
        found = found.field("bytes") if pa.types.is_struct(found.type) else found
        for row in range(first, min(first + len(batch), last + 1)):
            if row in rows:
                yield row, found[row - first].as_py()
        first += len(batch)
        if first > last:
            return
