"""ImageNet's 1,000 classes, and what the classes of other sets mean among them.

Which they are is read from what is installed: wnids and the subsets of ImageNet-A and -R from timm's lists, names from
open_clip's, without importing either library. The other maps lie in ``engine/class_maps.csv``, as their authors
published them: ObjectNet's folders in its own mapping files; the 30 classes of ImageNet-Vid-Robust in
modestyachts/imagenet-testbed; the 16 of the cue-conflict images in bethgelab/model-vs-human; ImageNet-O's folders in
LAION-AI/CLIP_benchmark; the folders of DTD and NINCO as the sets have them. Nothing here knows where pictures lie.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.image_sets import BadImageSet

CLASS_MAPS = Path(__file__).with_name("class_maps.csv")


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """A folder of a set's pictures and what it means.

    Attributes
    ----------
    folder : its name
    name : of the class, for people and prompts
    classes : ids of ImageNet's classes that mean it, ascending; none where none does
    """

    folder: str
    name: str
    classes: tuple[int, ...]


@cache
def wnids() -> tuple[str, ...]:
    """ImageNet's 1,000 wnids in the order of the class ids, which is alphabetical."""
    return _lines("imagenet_synsets.txt", 1000)


@cache
def names() -> tuple[str, ...]:
    """Names of the 1,000 classes as CLIP is asked for them (open_clip's list); two names stand for two classes each."""
    spec = importlib.util.spec_from_file_location("names", _installed("open_clip", "zero_shot_metadata.py"))
    if spec is None or spec.loader is None:
        raise BadImageSet(
            "open_clip's list of class names cannot be loaded. Install it anew: pip install -e '.[engine]'"
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # a file of text alone: it imports nothing
    found: Sequence[str] = module.IMAGENET_CLASSNAMES
    return tuple(found)


@cache
def ids() -> dict[str, int]:
    """Class id of each wnid."""
    return {wnid: number for number, wnid in enumerate(wnids())}


@cache
def hub_names() -> dict[str, int]:
    """Class id of each name in imagenet-1k on the Hugging Face hub: WordNet's words; the second crane is ``crane2``."""
    lines = _installed("timm", "data", "_info", "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    words = dict(line.split("\t", 1) for line in lines)
    found: dict[str, int] = {}
    for number, wnid in enumerate(wnids()):
        found[words[wnid] if words[wnid] not in found else words[wnid] + "2"] = number
    return found


@cache
def folders(image_set: str) -> tuple[ClassFolder, ...]:
    """Class folders that a known set has, in the order of its labels.

    Sets of ImageNet's classes have one per wnid, ImageNetV2 one per id. ObjectNet's are the 113 that ImageNet knows.
    """
    if image_set in ("imagenet", "imagenet-sketch", "stylized-imagenet"):
        return _of_wnids(wnids())
    if image_set.startswith("imagenet-v2-"):
        return tuple(ClassFolder(str(number), name, (number,)) for number, name in enumerate(names()))
    if image_set in ("imagenet-a", "imagenet-r"):
        return _of_wnids(_lines(f"{image_set.replace('-', '_')}_synsets.txt", 200))
    return _mapped()[image_set]


def _of_wnids(chosen: Sequence[str]) -> tuple[ClassFolder, ...]:
    numbers = sorted(ids()[wnid] for wnid in chosen)
    return tuple(ClassFolder(wnids()[number], names()[number], (number,)) for number in numbers)


@cache
def _mapped() -> dict[str, tuple[ClassFolder, ...]]:
    found: dict[str, list[ClassFolder]] = {}
    with CLASS_MAPS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            folder = ClassFolder(row["folder"], row["name"], tuple(_numbers(row["classes"])))
            found.setdefault(row["image_set"], []).append(folder)
    return {image_set: tuple(rows) for image_set, rows in found.items()}


def _numbers(text: str) -> list[int]:
    """``7-9 80`` is 7, 8, 9, 80."""
    spans = (span.split("-") for span in text.split())
    return [number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)]


def _lines(file: str, count: int) -> tuple[str, ...]:
    path = _installed("timm", "data", "_info", file)
    found = tuple(path.read_text(encoding="utf-8").split())
    if len(found) != count:
        raise BadImageSet(
            f"{path} lists {len(found)} classes, not {count}. Install timm anew: pip install -e '.[engine]'"
        )
    return found


def _installed(package: str, *path: str) -> Path:
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    file = Path(next(iter(places or ("",))), *path)
    if not places or not file.is_file():
        raise BadImageSet(
            f"ImageNet's classes are read from {package} ({'/'.join(path)}), which is not installed here. "
            "Install it: pip install -e '.[engine]'"
        )
    return file
