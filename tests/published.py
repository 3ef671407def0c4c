"""Small image sets in the layouts in which they are published: true names, true folders, few and real pictures.

Picture number c shows ImageNet's class c in every set: it is one crop of scikit-learn's two photographs. A set has all
of its classes and a picture or more of each; out sets show any. `packed` has ImageNet's other layouts, and archives.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from sklearn.datasets import load_sample_images

from engine import classes
from engine.prepare.known import KNOWN
from engine.prepare.validation import FIRST

SIDE = 48
FILES = {
    "imagenet-r": "art_{}.jpg",
    "imagenet-a": "0.00{}_digital clock _ digital clock_0.86.jpg",
    "imagenet-sketch": "sketch_{}.JPEG",
    "imagenet-o": "benthos_0.999{}.JPEG",
    "textures": "{folder}_{:04d}.jpg",
    "ninco": "{folder}_{:03d}_10045958.jpeg",
}
FLAT = {"inaturalist": "{:032x}.jpg", "places": "b_badlands_{:08d}.jpg", "openimage-o": "{:016x}.jpg"}


@dataclass(frozen=True)
class Published:
    """A set in its published layout.

    Attributes
    ----------
    path : folder that holds what the published archive holds
    labels : label of each image id; None where the role is out
    shown : class of ImageNet's whose picture each image id shows
    """

    path: Path
    labels: Mapping[str, int | None]
    shown: Mapping[str, int]


@cache
def _crops() -> tuple[npt.NDArray[np.uint8], ...]:
    """1,000 distinct crops: those of the two photographs that have most in them."""
    found = [
        photograph[top : top + SIDE, left : left + SIDE]
        for photograph in load_sample_images().images
        for top in range(0, photograph.shape[0] - SIDE, 16)
        for left in range(0, photograph.shape[1] - SIDE, 16)
    ]
    order = np.argsort([-crop.std() for crop in found], kind="stable")
    return tuple(found[place] for place in order[:1000])


@cache
def picture(c: int, take: int = 0) -> bytes:
    """The picture of class c as a JPEG of about 1 KB; another take has the same pixels and other bytes."""
    out = io.BytesIO()
    Image.fromarray(_crops()[c]).save(out, format="JPEG", quality=80, comment=f"take {take}".encode())
    return out.getvalue()


@cache
def plain(c: int, take: int = 0, *, border: int = 0) -> bytes:
    """The same pixels as a PNG, with a red border of so many pixels added around them."""
    out, text = io.BytesIO(), PngInfo()
    text.add_text("take", str(take))
    pixels = ImageOps.expand(Image.open(io.BytesIO(picture(c))), border, fill=(255, 0, 0))
    pixels.save(out, format="PNG", compress_level=1, pnginfo=text)
    return out.getvalue()


def build(name: str, root: Path, *, each: int = 1) -> Published:
    """The set of that name below `root`, with so many pictures of each class."""
    makers = {"validation": _validation, "objectnet": _objectnet, "videos": _videos, "conflict": _conflict}
    write(root / "README.txt", f"{KNOWN[name].title}\n")
    return {**makers, "flat": _flat, "class folders": _folders}[KNOWN[name].layout](name, root, each)


def write(path: Path, content: bytes | str) -> None:
    """Write a file, and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _validation(name: str, root: Path, each: int) -> Published:
    first = [classes.ids()[wnid] for wnid in FIRST.values()]
    rest = [c for c in range(1000) if c not in first]
    random.Random(0).shuffle(rest)  # noqa: S311
    shown = {}
    for number, c in enumerate([*first, *rest] * each):
        image_id = f"ILSVRC2012_val_{number + 1:08d}.JPEG"
        write(root / "val" / classes.wnids()[c] / image_id, picture(c, number // 1000))
        shown[image_id] = c
    return Published(root, shown, shown)


def _folders(name: str, root: Path, each: int) -> Published:
    labels: dict[str, int | None] = {}
    shown = {}
    stylized = name == "stylized-imagenet"
    for label, kind in enumerate(classes.folders(name)):
        c = kind.classes[0] if kind.classes else label
        for take in range(each):
            file = FILES.get(name, "{:040x}.jpeg").format(take, folder=kind.folder)
            image_id = (
                f"{kind.folder}/ILSVRC2012_val_{1 + label * each + take:08d}.png"
                if stylized
                else f"{kind.folder}/{file}"
            )
            write(root / KNOWN[name].folder / image_id, plain(c, take) if stylized else picture(c, take))
            labels[image_id], shown[image_id] = None if KNOWN[name].role == "out" else label, c
    if name == "ninco":
        write(root / "NINCO" / "NINCO_OOD_unit_tests" / "uni" / "uni_000_uni_00112.png", plain(0))
        write(root / "NINCO" / "NINCO_popular_datasets_subsamples" / "SUN" / "SUN_000_sun_aaa.jpg", picture(1))
    return Published(root, labels, shown)


def _flat(name: str, root: Path, each: int) -> Published:
    shown = {}
    for c in range(20 * each):
        letters = "".join(chr(ord("a") + int(digit)) for digit in f"{c:016d}")
        image_id = FLAT.get(name, f"sun_{letters}.jpg").format(c)
        write(root / KNOWN[name].folder / image_id, picture(c))
        shown[image_id] = c
    return Published(root, dict.fromkeys(shown), shown)


def _objectnet(name: str, root: Path, each: int) -> Published:
    labels, shown = {}, {}
    kinds = classes.folders(name)
    for label, kind in enumerate(kinds):
        for take in range(each):
            c = kind.classes[take % len(kind.classes)]
            image_id = f"{kind.folder}/{label:08x}{take:07x}.png"
            write(root / KNOWN[name].folder / image_id, plain(c, take, border=2))
            labels[image_id], shown[image_id] = label, c
    write(root / KNOWN[name].folder / "squeegee" / "0123456789abcde.png", plain(0, border=2))
    mappings, long, order = root / "objectnet-1.0" / "mappings", words(), shuffled()
    named = {**{kind.folder: kind.name for kind in kinds}, "squeegee": "Squeegee"}
    write(mappings / "folder_to_objectnet_label.json", json.dumps(named))
    meant = {kind.name: "; ".join(long[c] for c in kind.classes) for kind in kinds}
    write(mappings / "objectnet_to_imagenet_1k.json", json.dumps(meant))
    write(mappings / "imagenet_to_label_2012_v2", "".join(f"{long[c]}\n" for c in order))
    write(mappings / "pytorch_to_imagenet_2012_id.json", json.dumps({str(c): line for line, c in enumerate(order)}))
    return Published(root, labels, shown)


def words() -> list[str]:
    """ImageNet's own, long names of its classes; two of them are cranes."""
    return ["crane" if name == "crane2" else name for name in classes.hub_names()]


def shuffled() -> list[int]:
    """Classes in an order that is not the wnids', as that of ILSVRC2012_ID is not."""
    order = list(range(1000))
    random.Random(1).shuffle(order)  # noqa: S311
    return order


def _videos(name: str, root: Path, each: int) -> Published:
    kinds, top = classes.folders(name), root / KNOWN[name].folder
    labels, anchors, shown = {}, {}, {}
    for number in range(len(kinds) * each):
        label = number % len(kinds)
        frames = [f"val/ILSVRC2015_val_{number:08d}/{frame:06d}.JPEG" for frame in (10, 11, 12)]
        anchors[frames[1]] = [frames[0], frames[2]]
        labels |= dict.fromkeys(frames, [label, 0] if label == 5 else [label])
        shown[frames[1]] = kinds[label].classes[0]
        for take, frame in enumerate(frames):
            write(top / frame, picture(kinds[label].classes[0], 3 * number + take))
    write(top / "metadata" / "pmsets.json", json.dumps(anchors))
    write(top / "metadata" / "labels.json", json.dumps(labels))
    ids = {str(c): [wnid, "name"] for c, wnid in enumerate(classes.wnids())}
    write(top / "misc" / "imagenet_class_index.json", json.dumps(ids))
    own = {str(label): [kind.folder, kind.name] for label, kind in enumerate(kinds)}
    write(top / "misc" / "imagenet_vid_class_index.json", json.dumps(own))
    meant = {kind.folder: [classes.wnids()[c] for c in kind.classes] for kind in kinds}
    write(top / "misc" / "rev_wnid_map.json", json.dumps(meant))
    write(root / "imagenet_vid_ytbb_robust" / "ytbb-robust" / "metadata" / "pmsets.json", "{}")
    return Published(root, {path: labels[path][0] for path in anchors}, shown)


def _conflict(name: str, root: Path, each: int) -> Published:
    kinds = classes.folders(name)
    labels, shown = {}, {}
    for label, kind in enumerate(kinds):
        for take in range(each):
            texture = kinds[(label + take) % len(kinds)].folder
            image_id = f"{kind.folder}/{kind.folder}{take + 1}-{texture}{take % 3 + 1}.png"
            c = kind.classes[take % len(kind.classes)]
            write(root / KNOWN[name].folder / image_id, plain(c, take))
            labels[image_id], shown[image_id] = label, c
    return Published(root, labels, shown)
