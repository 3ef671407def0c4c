"""What a set is before its pictures are read: its entries, and which files of a source they can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from engine.image_sets import BadImageSet, ImageSet
from engine.prepare.names import is_picture
from engine.prepare.sources import Member


class Entry(NamedTuple):
    """One picture to be.

    Attributes
    ----------
    image_id : stable across machines and layouts
    member : where its bytes are
    label : index into the set's class names; None where the role is out
    annotations : further columns; every entry of a set has the same ones
    """

    image_id: str
    member: Member
    label: int | None
    annotations: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Arranged:
    """A set before its pictures are read: what it is, and its entries in the order of their ids.

    Attributes
    ----------
    image_set : with no digest and no number of images yet
    entries : in the order of their ids
    published : number of images that the set has as published; 0 where nothing is published
    notes : sentences for the user about what was found, none of them a reason to stop
    """

    image_set: ImageSet
    entries: tuple[Entry, ...]
    published: int = 0
    notes: tuple[str, ...] = ()


def ordered(name: str, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Entries of the set of that name in the order of their ids.

    Raises
    ------
    BadImageSet : where two have the same id
    """
    found = tuple(sorted(entries, key=lambda entry: entry.image_id))
    for one, other in pairwise(found):
        if one.image_id == other.image_id:
            raise BadImageSet(
                f"'{name}' has the picture '{one.image_id}' twice: '{one.member.name}' and '{other.member.name}'. "
                "Give the folder or archive that holds the set once to --from."
            )
    return found


def pictures(name: str, members: Sequence[Member]) -> tuple[Member, ...]:
    """Files of a source that should be pictures by their names.

    Raises
    ------
    BadImageSet : where there are none
    """
    found = tuple(member for member in members if is_picture(member.name))
    if not found:
        raise BadImageSet(
            f"No picture for '{name}' was found among {len(members):,} files. Give the folder or archive that holds "
            "the pictures to --from."
        )
    return found
