"""Pictures of a user's own: a folder per class, or any pictures where they show no class of the clean set.

A wrapper around all pictures is left out of the ids, so a folder and its tar give the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine import classes
from engine.image_sets import BadImageSet, ImageSet, Role
from engine.prepare.conflict import textured
from engine.prepare.entries import Arranged, Entry, ordered, pictures
from engine.prepare.folders import shelve
from engine.prepare.sources import Member, Source


def arrange(name: str, role: Role, clean: ImageSet | None, source: Source) -> Arranged:
    """A set of the user's own before its pictures are read.

    Parameters
    ----------
    name : what it is to be called
    clean : the clean set to compare with; it gives the classes of a shift or conflict set. None where the role is clean

    Raises
    ------
    BadImageSet : where the folders are not named as classes, or lie on different levels
    """
    found = pictures(name, source.members())
    if role == "clean":
        return _clean(name, found)
    if clean is None:
        raise BadImageSet(f"A set of role {role} is compared with a clean set: give its name to --clean.")
    if role == "out":
        entries = [Entry("/".join(parts), member, None) for parts, member in _below(found)]
        return Arranged(ImageSet(name, role, clean.name, (), ()), ordered(name, entries))
    return _of_clean(name, role, clean, found)


def _below(found: Sequence[Member]) -> list[tuple[list[str], Member]]:
    """Path of each picture, in parts, below the last folder that holds all of them."""
    paths = [member.name.split("/") for member in found]
    shared = next((level for level, parts in enumerate(zip(*paths, strict=False)) if len(set(parts)) > 1), 0)
    shared = min(shared, *(len(path) - 1 for path in paths))
    return [(path[shared:], member) for path, member in zip(paths, found, strict=True)]


def _clean(name: str, found: Sequence[Member]) -> Arranged:
    paths = _below(found)
    labels = tuple(sorted({parts[0] for parts, _ in paths if len(parts) > 1}))
    if len(labels) < 2:
        raise BadImageSet(
            f"The source of '{name}' holds {len(labels)} folders; it must hold one folder per class, at least two."
        )
    for parts, member in paths:
        if len(parts) != 2:
            where = "in no class folder" if len(parts) == 1 else f"deeper than in its class folder '{parts[0]}'"
            raise BadImageSet(
                f"'{member.name}' lies {where}; '{name}' must hold one folder per class, and nothing beside them. "
                "Give the folder that holds the class folders to --from."
            )
    label = {name: number for number, name in enumerate(labels)}
    entries = [Entry("/".join(parts), member, label[parts[0]]) for parts, member in paths]
    image_set = ImageSet(name, "clean", name, labels, tuple((number,) for number in range(len(labels))))
    return Arranged(image_set, ordered(name, entries))


def _of_clean(name: str, role: Role, clean: ImageSet, found: Sequence[Member]) -> Arranged:
    class_of = _classes(clean)
    for member in found:
        folder = member.name.rpartition("/")[0]
        if folder.rpartition("/")[2] not in class_of:
            raise BadImageSet(
                f"'{folder or '.'}' is not named as a class of '{clean.name}' ({', '.join(clean.class_names[:2])}, "
                "...). Name each folder as its class, or give the folder one level up or down to --from."
            )
    shelf = shelve(name, found, class_of.__contains__, clean.class_names[0])
    if role == "conflict":
        groups = tuple((number,) for number in range(len(clean.class_names)))
        image_set = ImageSet(name, role, clean.name, clean.class_names, groups)
        return Arranged(image_set, ordered(name, textured(name, shelf.pictures, clean.class_names)))
    folders = sorted(shelf.found, key=class_of.__getitem__)
    shown = [class_of[folder] for folder in folders]
    for number in shown:
        if shown.count(number) > 1:
            raise BadImageSet(
                f"Two folders of '{name}' mean the class '{clean.class_names[number]}'. Put their pictures into one."
            )
    image_set = ImageSet(
        name, role, clean.name, tuple(clean.class_names[number] for number in shown), tuple((n,) for n in shown)
    )
    label = {folder: number for number, folder in enumerate(folders)}
    entries = [Entry(f"{each.folder}/{each.file}", each.member, label[each.folder]) for each in shelf.pictures]
    return Arranged(image_set, ordered(name, entries))


def _classes(clean: ImageSet) -> dict[str, int]:
    """Class id of each name that a folder may have: of a class where only one has it, and for ImageNet's its wnid."""
    names = clean.class_names
    found = {name: number for number, name in enumerate(names) if names.count(name) == 1}
    if len(names) == 1000 and names == classes.names():
        found.update(classes.ids())
    return found
