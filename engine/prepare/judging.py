"""Whether what was found is the set that it should be: its count, its unreadable pictures, its duplicates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from engine.files import Folder
from engine.image_sets import BadImageSet
from engine.prepare.layouts import Arranged


@dataclass(frozen=True)
class Found:
    """What the pictures of a set turned out to be.

    Attributes
    ----------
    images : number of pictures
    unreadable : (id, reason) of those that are none
    twice : groups of ids whose bytes are the same; each id with its label
    """

    images: int
    unreadable: tuple[tuple[str, str], ...]
    twice: tuple[tuple[tuple[str, int | None], ...], ...]

    @property
    def readable(self) -> int:
        """Number of pictures that a model can be shown."""
        return self.images - len(self.unreadable)


def count(arranged: Arranged, allow_count: int | None) -> None:
    """Raise `BadImageSet` where there are no pictures, or not as many as there should be, before any is read."""
    name, images = arranged.image_set.name, len(arranged.entries)
    if not images:
        raise BadImageSet(f"No picture for '{name}' was found. Give the folder or archive that holds them to --from.")
    if arranged.published and images != arranged.published and allow_count is None:
        raise BadImageSet(
            f"'{name}' has {arranged.published:,} images as published; {images:,} were found. Get the whole set again, "
            f"or accept what is there with --allow-count {images}, which the report will say."
        )
    if allow_count is not None and allow_count > images:
        raise BadImageSet(
            f"--allow-count {allow_count} is more than the {images:,} images of '{name}' that were found. "
            f"Accept what is there with --allow-count {images}."
        )


def origins(folder: Folder) -> dict[str, str]:
    """What each stored shard was made of, by its file."""
    return {file: str(footer.identity.get("origin", "")) for file, footer in folder.footers().items()}


def is_there(folder: Folder, expected: Sequence[str]) -> bool:
    """Whether the set is there, whole; `BadImageSet` where another one is there under its name."""
    footers = folder.footers()
    if not footers or not list(footers.values())[-1].identity.get("last"):
        return False
    if [footer.identity.get("origin") for footer in footers.values()] == list(expected):
        return True
    raise BadImageSet(
        f"{folder} holds a prepared set of {sum(footer.rows for footer in footers.values()):,} images, made from other "
        "pictures, labels or annotations. Delete that folder to prepare it anew (results made from it will not be "
        "mixed with new ones), or give another --data."
    )


def gather(folder: Folder, stored: Sequence[str], last: pa.Table, faults: Sequence[tuple[str, str]]) -> Found:
    """What the stored shards of the folder hold, and the rows of the last one."""
    columns = ["image_id", "digest", "label"]
    tables = [*(folder.read(file, columns) for file in stored), last.select(columns)]
    told = (folder.identity(file)["unreadable"] for file in stored)
    unreadable = [(name, reason) for each in [*told, faults] for name, reason in each]  # type: ignore[attr-defined]
    rows = pa.concat_tables(tables)
    seen = Counter(rows.column("digest").to_pylist())
    same: dict[str, list[tuple[str, int | None]]] = defaultdict(list)
    if len(seen) < rows.num_rows:
        for name, digest, label in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if seen[digest] > 1:
                same[digest].append((name, label))
    return Found(rows.num_rows, tuple(sorted(unreadable)), tuple(map(tuple, same.values())))


def verdict(arranged: Arranged, found: Found, allow_count: int | None) -> str:
    """How the set departs from what is published, in sentences for the report; `BadImageSet` where it may not."""
    name, published = arranged.image_set.name, arranged.published or found.images
    expected = published if allow_count is None else allow_count
    if found.readable != expected:
        first, reason = found.unreadable[0] if found.unreadable else ("", "")
        why = f" {len(found.unreadable):,} cannot be read (the first: '{first}', {reason})." if first else ""
        raise BadImageSet(
            f"'{name}' has {found.readable:,} readable images, and {expected:,} are expected.{why} Get these files "
            f"again, or accept what is there with --allow-count {found.readable}: the others are left out for every "
            "model, and the report says so."
        )
    said = []
    if found.readable != published:
        said.append(f"{found.readable:,} readable images accepted where {published:,} are expected.")
    if found.twice:
        said.append(duplicates(found))
    return " ".join(said)


def duplicates(found: Found) -> str:
    """A sentence about pictures that are there more than once, byte for byte."""
    extra = sum(len(group) - 1 for group in found.twice)
    (first, _), (second, _) = found.twice[0][:2]
    torn = sum(len({label for _, label in group}) > 1 for group in found.twice)
    labels = f", {torn} of them under different labels" if torn else ""
    return f"{extra:,} images repeat another one byte for byte{labels} (the first: '{second}' is '{first}')."
