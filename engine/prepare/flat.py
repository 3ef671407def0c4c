"""Out sets whose pictures lie in one folder: Huang and Li's choice from iNaturalist, SUN and Places; OpenImage-O.

Their ids are the file names. OpenImage-O is a part of Open Images' test folder, named by a list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.image_sets import BadImageSet
from engine.prepare import labels
from engine.prepare.entries import Arranged, Entry, ordered, pictures
from engine.prepare.folders import moved
from engine.prepare.known import KnownSet
from engine.prepare.sources import Member

FILES = {
    "inaturalist": r"[0-9a-f]{32}\.jpg",
    "sun": r"sun_[a-z]+\.jpg",
    "places": r"[a-z]_\w+_\d{8}\.jpg",
    "openimage-o": r"[0-9a-f]{16}\.jpg",
}
"""How the files of each set are named."""


def arrange(known: KnownSet, members: Sequence[Member], listed: str | None) -> Arranged:
    """A known out set; of OpenImage-O only the pictures that the list at `listed` names, where one is given."""
    found = pictures(known.name, members)
    place = _place(known, found)
    _refuse_others(known, found)
    entries = ordered(known.name, (Entry(member.name.rpartition("/")[2], member, None) for member in found))
    notes = moved(place.split("/") if place else (), known.folder)
    if listed is not None:
        entries, note = _listed(known, entries, listed)
        notes += note
    return Arranged(known.image_set(), entries, known.images, notes)


def _place(known: KnownSet, found: Sequence[Member]) -> str:
    places = sorted({member.name.rpartition("/")[0] for member in found})
    if len(places) > 1:
        raise BadImageSet(
            f"Pictures lie in {len(places):,} folders, such as '{places[0] or '.'}' and '{places[1]}'; those of "
            f"'{known.name}' lie in one ({known.folder}). Give that one to --from."
        )
    return places[0]


def _refuse_others(known: KnownSet, found: Sequence[Member]) -> None:
    for member in found:
        file = member.name.rpartition("/")[2]
        other = next((name for name, pattern in FILES.items() if re.fullmatch(pattern, file)), known.name)
        if other != known.name:
            raise BadImageSet(
                f"'{member.name}' is named as the pictures of '{other}' are, not those of '{known.name}'. "
                f"Give the folder or archive of '{known.name}' to --from."
            )


def _listed(known: KnownSet, entries: tuple[Entry, ...], path: str) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    if known.name != "openimage-o":
        raise BadImageSet(f"Pictures of '{known.name}' have no labels and no list. Leave --labels out.")
    names = {line.split()[0].rpartition("/")[2] for line in labels.lines(path)}
    kept = tuple(entry for entry in entries if entry.image_id in names)
    lacking = sorted(names - {entry.image_id for entry in kept})
    if lacking:
        raise BadImageSet(
            f"{len(lacking):,} of the {len(names):,} pictures that '{path}' lists are missing, the first: "
            f"'{lacking[0]}'. Give the folder that holds them all to --from."
        )
    left = len(entries) - len(kept)
    return kept, (f"{left:,} pictures that '{path}' does not list are left out.",) if left else ()
