"""From the members of a source to the pictures of a known set: which they are, in which order, with which labels.

The layouts are those in which the sets are published, and for ImageNet those in which people keep it. Ids are as
published, relative to the set's own root, so they are the same whatever the layout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine import classes
from engine.image_sets import BadImageSet
from engine.prepare import conflict, flat, objectnet, validation, videos
from engine.prepare.entries import Arranged, Entry, ordered, pictures
from engine.prepare.folders import Shelf, compare, is_wnid, moved, shelve
from engine.prepare.known import KnownSet
from engine.prepare.sources import Member, Source

__all__ = ["Arranged", "Entry", "arrange"]

IMAGENETS_OWN = re.compile(r"ILSVRC2012_val_\d{8}(_n\d{8})?\.jpe?g", re.IGNORECASE)
V2_WORDS = {"matched": "matched-frequency", "threshold": "threshold-0.7", "top": "top-images"}


def arrange(known: KnownSet, source: Source, labels: str | None = None) -> Arranged:
    """A known set before its pictures are read.

    The number of pictures is not judged here, only their classes and the levels of their folders.

    Parameters
    ----------
    labels : path or URI of a list: ImageNet's devkit or a list of labels where its pictures lie flat, the list of
        images for OpenImage-O

    Raises
    ------
    BadImageSet : where the source does not hold the set, or more than one could be meant
    """
    members = source.members()
    if known.layout == "validation":
        return validation.arrange(known, source, members, labels)
    if known.layout == "flat":
        return flat.arrange(known, members, labels)
    if labels is not None:
        raise BadImageSet(f"'{known.name}' says itself of which class its pictures are. Leave --labels out.")
    if known.layout == "objectnet":
        return objectnet.arrange(known, source, members)
    if known.layout == "videos":
        return videos.arrange(known, source, members)
    if known.layout == "conflict":
        return conflict.arrange(known, members)
    return _class_folders(known, members)


def _class_folders(known: KnownSet, members: Sequence[Member]) -> Arranged:
    kinds = classes.folders(known.name)
    folders = [kind.folder for kind in kinds]
    chosen, notes = _chosen(known, pictures(known.name, members))
    is_class = is_wnid if is_wnid(folders[0]) else frozenset(folders).__contains__
    shelf = shelve(known.name, chosen, is_class, folders[0])
    compare(known.name, shelf.found, folders)
    notes += _checked(known, shelf) + moved(shelf.place, known.folder)
    label = {folder: number for number, folder in enumerate(folders)} if known.role != "out" else {}
    entries = [Entry(f"{each.folder}/{each.file}", each.member, label.get(each.folder)) for each in shelf.pictures]
    image_set = known.image_set(kinds if label else ())
    return Arranged(image_set, ordered(known.name, entries), known.images, notes)


def _chosen(known: KnownSet, found: tuple[Member, ...]) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """Of NINCO's archive the OOD classes only, and a note on the rest; of any other set all."""
    top = known.folder.split("/")[-1]
    inside = tuple(member for member in found if f"/{top}/" in f"/{member.name}")
    if known.name != "ninco" or len(inside) in (0, len(found)):
        return found, ()
    return inside, (f"{len(found) - len(inside):,} pictures outside {top} are left out.",)


def _checked(known: KnownSet, shelf: Shelf) -> tuple[str, ...]:
    """Notes on what could not be checked; `BadImageSet` where the pictures are plainly another set's."""
    own = next((filed for filed in shelf.pictures if IMAGENETS_OWN.fullmatch(filed.file)), None)
    if own:
        raise BadImageSet(
            f"'{own.member.name}' is named as a picture of ImageNet's own validation set, not of '{known.name}'. "
            f"Give the folder or archive of '{known.name}' to --from."
        )
    if known.folder.startswith("imagenetv2-"):
        return _checked_v2(known, shelf.place[-1] if shelf.place else "")
    return ()


def _checked_v2(known: KnownSet, top: str) -> tuple[str, ...]:
    """The three sets of ImageNetV2 look alike inside; only the top folder of the archive tells which it is."""
    said = next((name for word, name in V2_WORDS.items() if top.startswith("imagenetv2") and word in top), "")
    if said and known.name != f"imagenet-v2-{said}":
        raise BadImageSet(
            f"'{top}' holds imagenet-v2-{said}, not '{known.name}'. Give {known.archive} to --from, "
            f"or prepare it as: python -m engine.prepare imagenet-v2-{said}"
        )
    if said:
        return ()
    return (f"That this is {known.title} could not be checked: the folder {known.folder} was not given.",)
