"""ObjectNet: 313 class folders, of which the 113 that ImageNet knows are kept (Barbu et al. 2019).

The set carries its own mapping: folder to label, label to ImageNet's class names, a list of these names, and which
line of it is which class id. It is read where it is there, and must say what our map says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from engine import classes
from engine.image_sets import BadImageSet
from engine.prepare.entries import Arranged, Entry, ordered, pictures
from engine.prepare.folders import compare, moved, shelve
from engine.prepare.known import KnownSet
from engine.prepare.sources import Member, Source

FOLDERS, MEANINGS = "folder_to_objectnet_label.json", "objectnet_to_imagenet_1k.json"
NUMBERS, NAMES = "pytorch_to_imagenet_2012_id.json", "imagenet_to_label_2012_v2"
LARGEST = 1 << 20


def arrange(known: KnownSet, source: Source, members: Sequence[Member]) -> Arranged:
    """The pictures of the 113 classes; the others are left out, and a note says how many."""
    kinds = classes.folders(known.name)
    folders = [kind.folder for kind in kinds]
    own = _own_labels(source, members, kinds)
    found, kept = pictures(known.name, members), frozenset(folders)
    chosen = [member for member in found if kept.intersection(member.name.split("/")[:-1])]
    others = sorted(set(found).difference(chosen), key=lambda member: member.name)
    shelf = shelve(known.name, chosen or found, kept.__contains__, folders[0])
    compare(known.name, shelf.found, folders)
    notes = _left_out(known, others, shelf.place, own) + moved(shelf.place, known.folder)
    label = {folder: number for number, folder in enumerate(folders)}
    entries = [Entry(f"{each.folder}/{each.file}", each.member, label[each.folder]) for each in shelf.pictures]
    return Arranged(known.image_set(kinds), ordered(known.name, entries), known.images, notes)


def _left_out(
    known: KnownSet, others: Sequence[Member], place: tuple[str, ...], own: Mapping[str, str]
) -> tuple[str, ...]:
    for member in others:
        parts = member.name.split("/")[:-1]
        if not parts or tuple(parts[:-1]) != place or (own and parts[-1] not in own):
            raise BadImageSet(
                f"'{member.name}' lies in no class folder of '{known.name}'. Take it away, or give the folder that "
                f"holds {known.folder} to --from."
            )
    notes = () if own else ("The set's own mapping files were not there; the published mapping was used.",)
    if not others:
        return notes
    return (
        f"{len(others):,} pictures of ObjectNet's other classes, which ImageNet does not know, are left out.",
        *notes,
    )


def _own_labels(source: Source, members: Sequence[Member], kinds: Sequence[classes.ClassFolder]) -> dict[str, str]:
    """ObjectNet's label of each folder, from the set's own files, which must agree with ours; empty without them."""
    files = {member.name.rpartition("/")[2]: member for member in members if "mappings/" in member.name}
    wanted = [files[name] for name in (FOLDERS, MEANINGS, NUMBERS, NAMES) if name in files]
    if len(wanted) < 4:
        return {}
    large = next((member for member in wanted if member.size > LARGEST), None)
    if large:
        raise BadImageSet(f"'{large.name}' has {large.size:,} bytes: it is no mapping of ObjectNet. Get the set again.")
    try:
        labels, meant = _read(*source.read(wanted))
    except (ValueError, KeyError, AttributeError, TypeError, IndexError, RecursionError) as error:
        raise BadImageSet(f"ObjectNet's own mapping files cannot be read ({error!r}). Get the set again.") from error
    ours = {kind.folder: (kind.name, kind.classes) for kind in kinds}
    theirs = {folder: (name, meant[name]) for folder, name in labels.items() if name in meant}
    for folder in sorted(ours.keys() | theirs.keys()):
        if ours.get(folder) != theirs.get(folder):
            raise BadImageSet(
                f"ObjectNet's own mapping files say that '{folder}' is {theirs.get(folder)}; as published it is "
                f"{ours.get(folder)}. Get the set again (https://objectnet.dev)."
            )
    return labels


def _read(
    folders: bytes, meanings: bytes, numbers: bytes, names: bytes
) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Label of each folder, and class ids of each label that ImageNet knows."""
    class_ids = {int(line): int(number) for number, line in json.loads(numbers).items()}
    of_name = {name.strip(): class_ids[line] for line, name in enumerate(names.decode().strip().split("\n"))}
    meant = {
        label: tuple(sorted(of_name[name] for name in text.split("; "))) for label, text in json.loads(meanings).items()
    }
    return {str(folder): str(label) for folder, label in json.loads(folders).items()}, meant
