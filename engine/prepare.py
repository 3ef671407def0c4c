"""Prepare an image set: ``python -m engine.prepare NAME --from FOLDER --data DATA --role ROLE``.

A clean, shift or conflict set has one folder per class, named as the class; an out set is any folder of pictures. The
classes of a shift set are found by name among those of its clean set, which is prepared first. Pictures keep their
bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine import image_sets
from engine.files import Folder
from engine.image_sets import ROLES, BadImageSet, ImageSet

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare one set; 0, or 2 where the source cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m engine.prepare", description=(__doc__ or "").split(":")[0] + ".")
    parser.add_argument("name", help="what the set is to be called, as in imagenet-r")
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="FOLDER", help="the pictures")
    parser.add_argument("--data", required=True, metavar="DATA", help="folder or URI of the prepared sets")
    parser.add_argument("--role", choices=ROLES, default="clean")
    parser.add_argument("--clean", metavar="NAME", help="the clean set to compare with, where the role is another")
    asked = parser.parse_args(arguments)
    try:
        image_set = describe(asked.name, asked.source, Folder.of(asked.data), role=asked.role, clean=asked.clean)
        image_sets.write(Folder.of(asked.data), image_set, rows(image_set, asked.source))
    except BadImageSet as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    prepared = image_sets.read(Folder.of(asked.data), asked.name).image_set
    print(f"{prepared.n_images} images of {len(prepared.classes)} labels: {Folder.of(asked.data) / asked.name}")
    return 0


def describe(name: str, source: Path, data: Folder, *, role: image_sets.Role, clean: str | None) -> ImageSet:
    """What the pictures of a folder are: their labels, and the classes of the clean set that these mean."""
    if not source.is_dir():
        raise BadImageSet(f"No folder '{source}'. Give the folder that holds the pictures to --from.")
    if role == "clean":
        labels = _labels(source)
        return ImageSet(name, role, name, labels, tuple((number,) for number in range(len(labels))))
    if not clean:
        raise BadImageSet(f"A set of role {role} is compared with a clean set: give its name to --clean.")
    known = image_sets.read(data, clean).image_set.class_names
    if role == "out":
        return ImageSet(name, role, clean, (), ())
    labels = _labels(source)
    foreign = [label for label in labels if label not in known]
    if foreign:
        raise BadImageSet(
            f"'{source / foreign[0]}' is not named as a class of '{clean}' ({known[0]}, {known[1]}, ...). "
            "Name each folder as its class, or give the folder one level up or down to --from."
        )
    return ImageSet(name, role, clean, labels, tuple((known.index(label),) for label in labels))


def _labels(source: Path) -> tuple[str, ...]:
    labels = tuple(sorted(entry.name for entry in source.iterdir() if entry.is_dir()))
    if len(labels) < 2:
        raise BadImageSet(f"'{source}' holds {len(labels)} folders; it must hold one folder per class, at least two.")
    return labels


def rows(image_set: ImageSet, source: Path) -> Iterator[dict[str, object]]:
    """Every picture below a folder, in the order of its path; the path is its id. Links are not followed."""
    for file in sorted(source.rglob("*")):
        if file.is_symlink() or not file.is_file() or file.suffix.lower() not in PICTURES:
            continue
        path = file.relative_to(source)
        label = None if image_set.role == "out" else image_set.class_names.index(path.parts[0])
        yield {"image_id": path.as_posix(), "image": file.read_bytes(), "label": label}


if __name__ == "__main__":
    sys.exit(main())
