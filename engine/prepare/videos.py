"""ImageNet-Vid-Robust: the anchor frames of video snippets, each with the labels of what it shows.

Shankar et al. 2021 (arXiv:1906.02168). ``metadata/pmsets.json`` names the anchors and the frames around them,
``metadata/labels.json`` gives every frame its labels among 30 classes, often more than one. The first is the label
here, all of them are the annotation ``labels``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine import classes
from engine.image_sets import BadImageSet
from engine.prepare.entries import Arranged, Entry, ordered, pictures
from engine.prepare.folders import moved
from engine.prepare.known import KnownSet
from engine.prepare.sources import Member, Source

ANCHORS, LABELS = "metadata/pmsets.json", "metadata/labels.json"
CLASSES, MEANINGS, IDS = (
    "misc/imagenet_vid_class_index.json",
    "misc/rev_wnid_map.json",
    "misc/imagenet_class_index.json",
)
LARGEST = 64 << 20


def arrange(known: KnownSet, source: Source, members: Sequence[Member]) -> Arranged:
    """The anchors; their ids are the paths in the metadata. Other frames are left out."""
    kinds = classes.folders(known.name)
    files = {member.name: member for member in members}
    place = _place(known, list(files))
    inside = {name.removeprefix(place): member for name, member in files.items() if name.startswith(place)}
    _check_own_map(known, source, inside, kinds)
    anchors, labels = (_table(known, source, inside, name) for name in (ANCHORS, LABELS))
    chosen = {path: _labels(known, path, labels.get(path), len(kinds)) for path in anchors}
    _refuse_gaps(known, inside, chosen, [kind.name for kind in kinds])
    entries = [Entry(path, inside[path], found[0], {"labels": found}) for path, found in chosen.items()]
    left = len(pictures(known.name, members)) - len(entries)
    notes = [f"{left:,} frames that are no anchors are left out."] if left else []
    notes += moved(place.split("/")[:-1], known.folder)
    return Arranged(known.image_set(kinds), ordered(known.name, entries), known.images, tuple(notes))


def _place(known: KnownSet, names: Sequence[str]) -> str:
    """Folder that holds metadata and frames, with a slash behind it; empty where it is the source itself."""
    places = [name.removesuffix(ANCHORS) for name in names if f"/{name}".endswith(f"/{ANCHORS}")]
    places = [place for place in places if not place.endswith("ytbb-robust/")]
    if len(places) == 1:
        return places[0]
    said = f"lies in {len(places)} places" if places else "was not found"
    raise BadImageSet(
        f"The list of anchors of '{known.name}', {ANCHORS}, {said}. Give the folder that holds metadata and val, or "
        f"{known.archive}, to --from."
    )


def _table(known: KnownSet, source: Source, inside: Mapping[str, Member], name: str) -> dict[str, Any]:
    member = inside.get(name)
    if member is None or member.size > LARGEST:
        why = "is missing" if member is None else f"has {member.size:,} bytes"
        raise BadImageSet(f"'{name}' of '{known.name}' {why}. Get the set again ({known.home}).")
    try:
        found = json.loads(next(source.read([member])))
    except (ValueError, RecursionError) as error:
        raise BadImageSet(f"'{member.name}' is no JSON ({error}). Get the set again ({known.home}).") from error
    if not isinstance(found, dict):
        raise BadImageSet(f"'{member.name}' holds no names. Get the set again ({known.home}).")
    return found


def _labels(known: KnownSet, path: str, found: object, count: int) -> list[int]:
    if not isinstance(found, list) or not found or not all(type(each) is int and 0 <= each < count for each in found):
        raise BadImageSet(
            f"{LABELS} of '{known.name}' gives '{path}' the labels {str(found)[:40]}, not numbers below {count}. "
            f"Get the set again ({known.home})."
        )
    return found


def _refuse_gaps(
    known: KnownSet, inside: Mapping[str, Member], chosen: Mapping[str, list[int]], names: Sequence[str]
) -> None:
    absent = [path for path in chosen if path not in inside]
    if absent:
        raise BadImageSet(
            f"{len(absent):,} of the {len(chosen):,} anchors of '{known.name}' are missing, the first: '{absent[0]}'. "
            f"Get the whole set again ({known.home})."
        )
    shown = {label for found in chosen.values() for label in found}
    lacking = [name for number, name in enumerate(names) if number not in shown]
    if lacking:
        raise BadImageSet(
            f"{len(lacking)} of the {len(names)} classes of '{known.name}' have no anchor: {', '.join(lacking[:3])}. "
            f"Get the whole set again ({known.home})."
        )


def _check_own_map(
    known: KnownSet, source: Source, inside: Mapping[str, Member], kinds: Sequence[classes.ClassFolder]
) -> None:
    """Raise `BadImageSet` where the set's own map of its classes is there and is not ours."""
    if not {CLASSES, MEANINGS, IDS} <= inside.keys():
        return
    order, meant, ids = (_table(known, source, inside, name) for name in (CLASSES, MEANINGS, IDS))
    try:
        number = {wnid: int(key) for key, (wnid, _) in ids.items()}
        own = [order[str(place)][0] for place in range(len(order))]
        theirs = [(wnid, tuple(sorted(number[each] for each in meant[wnid]))) for wnid in own]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BadImageSet(f"The map of classes in misc cannot be read ({error!r}). Get the set again.") from error
    ours = [(kind.folder, kind.classes) for kind in kinds]
    if theirs != ours:
        raise BadImageSet(
            f"The classes in {CLASSES} and {MEANINGS} are not the {len(ours)} published ones of '{known.name}'. "
            f"Get the set again ({known.home})."
        )
