"""Whether what was found is the set that it should be: its count, its unreadable pictures, its duplicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from engine.files import Folder
from engine.image_sets import BadImageSet, shard_name
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


def origin(folder: Folder, number: int) -> str:
    """What a stored shard was made of; empty where there is none."""
    file = shard_name(number)
    return str(folder.identity(file).get("origin", "")) if folder.exists(file) else ""


def is_there(folder: Folder, origins: Sequence[str]) -> bool:
    """Whether the set is there, whole; `BadImageSet` where another one is there under its name."""
    files = folder.files()
    if not files or not folder.identity(files[-1]).get("last"):
        return False
    if [origin(folder, number) for number in range(len(files))] == list(origins):
        return True
    images = sum(folder.rows(file) for file in files)
    raise BadImageSet(
        f"{folder} holds a prepared set of {images:,} images, made from other pictures, labels or annotations. Delete "
        "that folder to prepare it anew (results made from it will not be mixed with new ones), or give another --data."
    )


def gather(folder: Folder, stored: int, last: pa.Table, faults: Sequence[tuple[str, str]]) -> Found:
    """What the first so many shards of the folder hold, and the rows of the last one."""
    columns = ["image_id", "digest", "label"]
    unreadable = list(faults)
    same: dict[str, list[tuple[str, int | None]]] = defaultdict(list)
    for number in range(stored + 1):
        table = last if number == stored else folder.read(shard_name(number), columns)
        if number < stored:
            told = folder.identity(shard_name(number))["unreadable"]
            unreadable += [(name, reason) for name, reason in told]  # type: ignore[attr-defined]
        for name, digest, label in zip(*(table.column(column).to_pylist() for column in columns), strict=True):
            same[digest].append((name, label))
    images = sum(map(len, same.values()))
    twice = tuple(tuple(group) for group in same.values() if len(group) > 1)
    return Found(images, tuple(sorted(unreadable)), twice)


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
