"""What others say of the pictures of published sets, joined as annotation columns.

- imagenet: ``top_factor``, ``factors``, ``prototype`` (ImageNet-X), ``real_labels`` (ReaL: Beyer et al. 2020,
  arXiv:2006.07159)
- inaturalist, places, textures, imagenet-o, openimage-o: ``contains_known`` (NINCO)
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyarrow import fs

from engine.files import Folder
from engine.image_sets import BadImageSet
from engine.prepare import imagenet_x, ninco
from engine.prepare.columns import Text, add, refuse_few
from engine.prepare.entries import Arranged

LARGEST = 128 << 20
ENDINGS = {
    "top_factor.jsonl": "top",
    "top_factor.csv": "top",
    "multi_factor.jsonl": "multi",
    "multi_factor.csv": "multi",
    "prototypical_paths.csv": "prototypes",
    "real.json": "real",
    "real_labels.json": "real",
    "real_labels.jsonl": "real",
    ".csv": "ninco",
}
"""What a file of that name is; the first ending that fits."""
IN_FOLDER = (
    "imagenet_x_val_top_factor.jsonl", "imagenet_x_val_multi_factor.jsonl", "imagenet_x_val_top_factor.csv",
    "imagenet_x_val_multi_factor.csv", "prototypical_paths.csv", "real.json", "imagenet_real_labels.json",
    "imagenet_real_labels.jsonl",
)  # fmt: skip
"""What is looked for in a folder for ImageNet; the first of a kind is taken."""
REAL = "google-research/reassessed-imagenet"


def join(arranged: Arranged, paths: Sequence[str]) -> Arranged:
    """The set with what the files at these paths say of its pictures; null where they say nothing.

    Parameters
    ----------
    paths : of files, or of folders that hold them

    Raises
    ------
    BadImageSet : where a file is none that goes with the set, or does not fit it
    """
    if not paths:
        return arranged
    name, texts = arranged.image_set.name, dict[str, Text]()
    if name != "imagenet" and name not in ninco.FILES:
        raise BadImageSet(
            f"No annotations are known for '{name}'. ImageNet-X and ReaL go with 'imagenet', NINCO's annotations with "
            f"{', '.join(ninco.FILES)}. Leave --annotations out."
        )
    for path in paths:
        for kind, text in _read(name, path).items():
            if kind in texts:
                raise BadImageSet(f"{texts[kind].path} and {text.path} are of one kind. Give one of them.")
            texts[kind] = text
    return _join_imagenet(arranged, texts) if name == "imagenet" else ninco.join(arranged, texts["ninco"])


def _join_imagenet(arranged: Arranged, texts: dict[str, Text]) -> Arranged:
    if {"top", "multi", "prototypes"} & texts.keys():
        if not {"top", "multi"} <= texts.keys():
            lacking = "multi" if "top" in texts else "top"
            raise BadImageSet(
                f"ImageNet-X has two tables, and imagenet_x_val_{lacking}_factor.jsonl is missing. Give it too, or the "
                f"folder that holds all: {imagenet_x.PUBLISHER}."
            )
        arranged = imagenet_x.join(arranged, texts["top"], texts["multi"], texts.get("prototypes"))
    return _join_real(arranged, texts["real"]) if "real" in texts else arranged


def _join_real(arranged: Arranged, text: Text) -> Arranged:
    found, classes = text.parsed(1, text.content), len(arranged.image_set.class_names)
    if not isinstance(found, list) or len(found) != imagenet_x.IMAGES:
        raise text.bad(1, f"it must be a list of {imagenet_x.IMAGES:,} lists of labels, one for each image")
    for number, labels in enumerate(found, 1):
        if not isinstance(labels, list) or any(type(each) is not int or not 0 <= each < classes for each in labels):
            raise text.bad(1, f"image {number} has {str(labels)[:40]!r}; it must have a list of labels below {classes}")
    places = {number: place for number, place in imagenet_x.numbered(arranged).items() if 1 <= number <= len(found)}
    refuse_few(arranged, text, len(places), len(found))
    values = {place: {"real_labels": found[number - 1]} for number, place in places.items()}
    labelled = sum(bool(found[number - 1]) for number in places)
    note = f"ReaL gives labels to {labelled:,} of {len(arranged.entries):,} images."
    return add(arranged, {"real_labels": None}, values, note)


def _read(name: str, path: str) -> dict[str, Text]:
    """The files at a path that go with a set, by kind."""
    try:
        found = _found(name, path)
    except (OSError, pa.ArrowException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadImageSet(f"'{path}' cannot be read ({reason}). For '{name}', give {_would_do(name)}.") from error
    if not found:
        raise BadImageSet(f"'{path}' holds no annotations of '{name}'. Give {_would_do(name)}.")
    return found


def _found(name: str, path: str) -> dict[str, Text]:
    place = Folder.of(path)
    kind = place.filesystem.get_file_info(place.path).type
    if kind == fs.FileType.NotFound:
        raise BadImageSet(f"No file or folder '{path}'. For '{name}', give {_would_do(name)}.")
    if kind == fs.FileType.Directory:
        wanted = IN_FOLDER if name == "imagenet" else (ninco.FILES[name],)
        found: dict[str, Text] = {}
        for file in wanted:
            if _kind(file) not in found and place.exists(file):
                found[_kind(file)] = _text(place.filesystem, f"{place.path}/{file}", _kind(file))
        return found
    return {_kind(path): _text(place.filesystem, place.path, _kind(path))} if _fits(name, _kind(path)) else {}


def _kind(path: str) -> str:
    return next((kind for ending, kind in ENDINGS.items() if path.endswith(ending)), "")


def _fits(name: str, kind: str) -> bool:
    return kind != "" and (name == "imagenet") == (kind != "ninco")


def _would_do(name: str) -> str:
    if name != "imagenet":
        return f"{ninco.FILES[name]} or its folder ({ninco.PUBLISHER})"
    return (
        "imagenet_x_val_top_factor.jsonl, imagenet_x_val_multi_factor.jsonl and prototypical_paths.csv, or their "
        f"folder ({imagenet_x.PUBLISHER}), or real.json ({REAL})"
    )


def _text(filesystem: fs.FileSystem, path: str, kind: str) -> Text:
    publisher = {"ninco": ninco.PUBLISHER, "real": REAL}.get(kind, imagenet_x.PUBLISHER)
    with filesystem.open_input_file(path) as file:
        if file.size() > LARGEST:
            raise BadImageSet(f"{path} has {file.size():,} bytes: too many for annotations. Get it again: {publisher}.")
        content = file.read()
    try:
        return Text(path, content.decode("utf-8-sig"), publisher)
    except UnicodeDecodeError as error:
        raise BadImageSet(f"{path} is no text in UTF-8 ({error}). Get it again: {publisher}.") from error
