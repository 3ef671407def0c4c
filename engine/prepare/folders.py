"""Pictures in class folders: at which level these lie, and whether they are the ones that the set has.

The folders are recognised by their names, so a wrapper more or less does not matter. What would make their level or
their meaning doubtful is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from engine import classes
from engine.image_sets import BadImageSet
from engine.prepare.known import CLEAN, KNOWN
from engine.prepare.sources import Member


@dataclass(frozen=True, slots=True)
class Filed:
    """A picture in a class folder."""

    folder: str
    file: str
    member: Member


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the class folders of a set lie inside the source, and the pictures in them."""

    place: tuple[str, ...]
    pictures: tuple[Filed, ...]

    @property
    def found(self) -> set[str]:
        """Names of the class folders."""
        return {filed.folder for filed in self.pictures}


def is_wnid(part: str) -> bool:
    """Whether a folder is named as ImageNet's class folders are."""
    return re.fullmatch(r"n\d{8}", part) is not None


def moved(place: Sequence[str], published: str) -> tuple[str, ...]:
    """A sentence where a set's folders lie in another place than in what is published; their own root would do, too."""
    there = published.split("/")
    if list(place) == there[len(there) - len(place) :]:
        return ()
    return (f"The pictures were found in '{'/'.join(place)}'.",)


def shelve(name: str, pictures: Sequence[Member], is_class: Callable[[str], bool], example: str) -> Shelf:
    """Pictures of the set of that name by their class folders, which all lie in one place.

    Parameters
    ----------
    is_class : whether a folder of this name could be a class folder
    example : name of one

    Raises
    ------
    BadImageSet : where there are none, several places, class folders in class folders, or pictures outside of them
    """
    filed: list[Filed] = []
    strays: list[str] = []
    places: set[tuple[str, ...]] = set()
    for member in pictures:
        *parts, file = member.name.split("/")
        levels = [level for level, part in enumerate(parts) if is_class(part)]
        if not levels:
            strays.append(member.name)
            continue
        if levels[-1] != len(parts) - 1 or len(levels) > 1:
            raise _nested(name, member.name, "/".join(parts[: levels[0] + 1]))
        places.add(tuple(parts[:-1]))
        filed.append(Filed(parts[-1], file, member))
    if not filed:
        raise BadImageSet(
            f"No class folder of '{name}' was found: '{strays[0]}' lies in none that is named as a class, such as "
            f"'{example}'. Give the folder or archive that holds the class folders, one level up or down, to --from."
        )
    if len(places) > 1:
        one, other = sorted("/".join(place) or "." for place in places)[:2]
        raise BadImageSet(
            f"Class folders of '{name}' lie in {len(places)} places, such as '{one}' and '{other}'. "
            "Give the one that is meant to --from."
        )
    place = next(iter(places))
    if strays:
        raise _stray(name, strays[0], place, example)
    return Shelf(place, tuple(filed))


def _nested(name: str, path: str, folder: str) -> BadImageSet:
    return BadImageSet(
        f"'{path}' lies in a folder inside the class folder '{folder}'; pictures of '{name}' lie directly in their "
        "class folders. Put them there, or give the folder that holds the right ones to --from."
    )


def _stray(name: str, path: str, place: tuple[str, ...], example: str) -> BadImageSet:
    parts = path.split("/")
    if tuple(parts[: len(place)]) == place and len(parts) > len(place) + 1:
        folder = "/".join(parts[: len(place) + 1])
        return BadImageSet(
            f"'{folder}' is no class folder of '{name}', which are named as '{example}' is. "
            "Take it away, or name it as its class."
        )
    where = f"'{'/'.join(place)}'" if place else "the source"
    return BadImageSet(
        f"'{path}' lies outside the class folders of '{name}', which are in {where}. "
        "Give the folder or archive that holds only these to --from."
    )


def compare(name: str, found: Collection[str], expected: Sequence[str]) -> None:
    """Raise `BadImageSet` where the class folders found are not those expected of the set of that name."""
    unknown = sorted(set(found) - set(expected))
    lacking = [folder for folder in expected if folder not in found]
    if not unknown and not lacking:
        return
    other = _whose(set(found))
    if other:
        raise BadImageSet(
            f"These are the {len(found):,} classes of '{other}', not the {len(expected):,} of '{name}'. "
            f"Give the folder or archive of '{name}' to --from."
        )
    if unknown:
        raise BadImageSet(
            f"'{unknown[0]}' is no class of '{name}' ({len(unknown):,} such). Its {len(expected):,} class "
            f"folders are {', '.join(expected[:3])}, ... Take the others away, or give the right folder to --from."
        )
    raise BadImageSet(
        f"{len(lacking):,} of the {len(expected):,} classes of '{name}' are missing: {', '.join(lacking[:3])}"
        f"{', ...' if len(lacking) > 3 else ''}. Get the whole set again ({KNOWN[name].home})."
    )


def _whose(found: set[str]) -> str:
    """Name of the known set that has exactly these class folders; empty where none has."""
    named = (CLEAN, "imagenet-r", "imagenet-a", "imagenet-o", "textures", "ninco", "cue-conflict")
    return next((name for name in named if found == {each.folder for each in classes.folders(name)}), "")
