"""Prepared image sets: pictures as encoded bytes with their labels, and what they are for.

A set is a folder ``DATA/<name>`` of Parquet shards with the columns ``image_id``, ``image`` (the bytes of the
original file, never re-encoded), ``digest`` (of these bytes), ``label`` and any further columns, which are annotations.
The identity in each shard says what the set is. The last shard says that it is the last, so a set that was not written
to its end is not mistaken for a small one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, get_args

import pyarrow as pa

from engine.files import Folder, content_digest, digest

Role = Literal["clean", "shift", "out", "conflict"]
ROLES: tuple[str, ...] = get_args(Role)
SHARD_ROWS = 512
COLUMNS = {"image_id": pa.string(), "image": pa.binary(), "digest": pa.string(), "label": pa.int32()}
"""Columns that every shard has, in this order; those behind them are annotations."""


class BadImageSet(ValueError):
    """A set that cannot be used, with the reason and the next step in one sentence."""


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Pictures and what they are for.

    Attributes
    ----------
    name : the folder's name, as in ``imagenet-r``
    role : clean (the set that the models were made for), shift (the same classes, seen otherwise), out (other classes),
        conflict (shape of one class, texture of another)
    clean : name of the clean set to compare with; its own name where the role is clean
    class_names : names of the set's own labels; for the clean set, of the models' classes; empty where the role is out
    classes : ``classes[label]`` are the ids of the models' classes that mean this label; empty where the role is out
    digest : of every id, picture, label and annotation
    n_images : number of rows, unreadable pictures included
    border : pixels that are cut off every side of every picture before anything else (ObjectNet's red frame)
    note : how the set departs from the published one, in sentences; empty where it does not
    """

    name: str
    role: Role
    clean: str
    class_names: tuple[str, ...]
    classes: tuple[tuple[int, ...], ...]
    digest: str = ""
    n_images: int = 0
    border: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise BadImageSet(
                f"Image set '{self.name}' has the role '{self.role}'; it must be one of {', '.join(ROLES)}."
            )
        if len(self.classes) != len(self.class_names):
            raise BadImageSet(
                f"Image set '{self.name}' names {len(self.class_names)} labels but maps {len(self.classes)} to classes."
            )

    @classmethod
    def of(cls, identity: Mapping[str, object]) -> ImageSet:
        """Rebuild from what a file's identity says (the inverse of `dataclasses.asdict`, through JSON)."""
        facts = {name: identity[name] for name in cls.__slots__ if name in identity}
        facts["class_names"] = tuple(facts["class_names"])  # type: ignore[arg-type]
        facts["classes"] = tuple(tuple(ids) for ids in facts["classes"])  # type: ignore[attr-defined]
        return cls(**facts)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file of a prepared set; `border` is the set's, `bytes` its size."""

    image_set: str
    file: str
    rows: int
    digest: str
    border: int = 0
    bytes: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PreparedSet:
    """An image set as it lies in DATA: what it is, and its shards in order."""

    image_set: ImageSet
    shards: tuple[Shard, ...]


def write(
    data: Folder, image_set: ImageSet, rows: Iterable[Mapping[str, object]], *, shard_rows: int = SHARD_ROWS
) -> None:
    """Write a prepared set; a row has ``image_id``, ``image``, ``label`` (None where the role is out) and annotations.

    The order of the rows is kept. Ids must be unique.
    """
    folder = data / image_set.name
    seen: set[str] = set()
    stream = iter(rows)
    chunk = list(islice(stream, shard_rows))
    for number in range(10**5):
        following = list(islice(stream, shard_rows))
        if not chunk:
            raise BadImageSet(f"Image set '{image_set.name}' has no images. Give it a source that has some.")
        table = shard_table({name: [row[name] for row in chunk] for name in chunk[0]}, {})
        ids = table.column("image_id").to_pylist()
        if len(seen) + len(ids) != len(seen.union(ids)):
            raise BadImageSet(
                f"Image set '{image_set.name}' has an image id twice in shard {number}; ids must be unique."
            )
        seen.update(ids)
        commit(folder, number, table, image_set, last=not following)
        chunk = following
        if not following:
            return


def shard_table(columns: dict[str, Sequence[object]], types: Mapping[str, pa.DataType]) -> pa.Table:
    """Rows as they lie in a shard, with the digest of every picture.

    Parameters
    ----------
    columns : ``image_id``, ``image``, ``label`` and the annotations, (n,) each
    types : of the annotations; those of the other columns are known
    """
    digests = {"digest": [content_digest(content) for content in columns["image"]]}  # type: ignore[arg-type]
    ordered = {name: (columns | digests)[name] for name in (*COLUMNS, *columns)}
    return pa.table({name: pa.array(values, {**COLUMNS, **types}.get(name)) for name, values in ordered.items()})


def shard_name(number: int) -> str:
    """File of the shard of that number, from 0."""
    return f"{number:05d}.parquet"


def commit(folder: Folder, number: int, table: pa.Table, image_set: ImageSet, *, last: bool, **facts: object) -> None:
    """Write one shard of a set, in one step; `facts` are told beside the set's own in its identity."""
    told = {
        name: getattr(image_set, name) for name in ImageSet.__slots__
    }  # asdict copies a thousand names for each shard
    identity = {**told, **facts, "digest": shard_digest(table, image_set.border), "last": last}
    folder.commit(shard_name(number), table, identity, wait=last)


def shard_digest(table: pa.Table, border: int) -> str:
    """Digest of the rows of one shard: every column, every value, in order, and what is cut off the pictures."""
    names = sorted(set(table.column_names) - {"image"})
    return digest(str(border), *(part for name in names for part in (name, repr(table.column(name).to_pylist()))))


def read(data: Folder, name: str) -> PreparedSet:
    """The set in ``DATA/<name>``, from the footers of its shards.

    Raises
    ------
    BadImageSet : where the folder is no prepared set, or one that was not written to its end
    """
    folder = data / name
    footers = folder.footers()
    if not footers:
        raise BadImageSet(f"No prepared image set '{name}' in {data}. Prepare it with: python -m engine.prepare")
    shards, identity = [], dict[str, object]()
    for file, footer in footers.items():
        identity = footer.identity
        if not {"role", "classes", "digest", "last"} <= identity.keys():
            raise BadImageSet(
                f"{folder}/{file} is no shard of a prepared image set. Prepare the set with: python -m engine.prepare"
            )
        border = int(str(identity.get("border", 0)))
        shards.append(Shard(name, file, footer.rows, str(identity["digest"]), border, footer.bytes))
    if not identity.get("last"):
        raise BadImageSet(
            f"Image set '{name}' in {data} was not written to its end. Delete {folder} and prepare it again."
        )
    whole = digest(*(shard.digest for shard in shards))
    facts = {**identity, "name": name, "digest": whole, "n_images": sum(shard.rows for shard in shards)}
    return PreparedSet(ImageSet.of(facts), tuple(shards))


def read_all(data: Folder) -> Iterator[PreparedSet]:
    """Every prepared set of DATA, in the order of their names.

    Raises
    ------
    BadImageSet : where there is none, or one is damaged
    """
    names = data.folders()
    if not names:
        raise BadImageSet(
            f"No prepared image set in {data}. Prepare one with: python -m engine.prepare, "
            "or make the miniature: python -m engine.miniature --out miniature (its sets are in miniature/images)."
        )
    for name in names:
        yield read(data, name)


def without_pictures(table: pa.Table) -> pa.Table:
    """A shard without its pictures: ids, labels, annotations, and the digest of each picture, which comes last."""
    kept = [name for name in table.column_names if name not in ("image", "digest")]
    return table.select([*kept, "digest"])
