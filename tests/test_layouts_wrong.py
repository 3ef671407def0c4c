"""Every known set with something wrong about it: the mistake gets one sentence, with what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from published import build, plain, write

from engine.image_sets import BadImageSet
from engine.prepare import sources
from engine.prepare.known import KNOWN
from engine.prepare.layouts import arrange

Change = Callable[[Path], object]


def nothing(root: Path) -> None:
    """The set is right; the wrong folder of it is given."""


def without(folder: str) -> Change:
    return lambda root: shutil.rmtree(root / folder)


def renamed(before: str, after: str) -> Change:
    return lambda root: (root / before).rename(root / after)


def added(file: str, content: bytes | str | None = None) -> Change:
    return lambda root: write(root / file, plain(7) if content is None else content)


def copied(folder: str, to: str) -> Change:
    return lambda root: shutil.copytree(root / folder, root / to)


def edited(file: str, before: str, after: str) -> Change:
    return lambda root: write(root / file, (root / file).read_text().replace(before, after))


V2 = "imagenetv2-top-images-format-val"
VIDEOS = "imagenet_vid_ytbb_robust/imagenet-vid-robust"
LABELS = f"{VIDEOS}/metadata/labels.json"
MAPPINGS = "objectnet-1.0/mappings"
NINCO = "NINCO/NINCO_OOD_classes"
WRONG: dict[str, list[tuple[Change, str, str]]] = {
    # what is wrong, the folder that is given, a part of the sentence
    "imagenet": [
        (nothing, "val/n01440764", "Nothing tells the class"),
        (without("val/n01440764"), "", "1 of the 1,000 classes of 'imagenet' are missing: n01440764"),
        (added("val/n99999999/ILSVRC2012_val_00009999.JPEG"), "", "'n99999999' is no class of 'imagenet'"),
        (added("val/new/ILSVRC2012_val_00009999.JPEG"), "", "'val/new' is no class folder"),
        (added("val/n01440764/n01440764_10026.JPEG"), "", "is not named as a picture of 'imagenet'"),
        (added("train/n01440764/n01440764_10026.JPEG"), "", "lie in 2 places, such as 'train' and 'val'"),
        (added("val/n01440764/n01443537/ILSVRC2012_val_00009999.JPEG"), "", "inside the class folder"),
        (added("val/n01440764/ILSVRC2012_val_00000001.png"), "", "'ILSVRC2012_val_00000001.JPEG' twice"),
    ],
    "imagenet-v2-top-images": [
        (nothing, f"{V2}/7", "No class folder"),
        (without(f"{V2}/7"), "", "are missing: 7"),
        (added(f"{V2}/1000/a.jpeg"), "", "/1000' is no class folder"),
        (renamed(V2, "imagenetv2-threshold0.7-format-val"), "", "holds imagenet-v2-threshold-0.7, not"),
    ],
    "imagenet-a": [
        (nothing, "imagenet-a/n01498041", "No class folder of 'imagenet-a' was found"),
        (without("imagenet-a/n01498041"), "", "1 of the 200 classes of 'imagenet-a' are missing: n01498041"),
        (added("imagenet-a/n01440764/a.jpg"), "", "'n01440764' is no class of 'imagenet-a'"),
        (added("imagenet-a/new/a.jpg"), "", "'imagenet-a/new' is no class folder"),
        (added("imagenet-a/a.jpg"), "", "'imagenet-a/a.jpg' lies outside the class folders"),
        (copied("imagenet-a", "imagenet-a/imagenet-a"), "", "'imagenet-a' and 'imagenet-a/imagenet-a'"),
        (added("imagenet-a/n01498041/images/a.jpg"), "", "inside the class folder 'imagenet-a/n01498041'"),
    ],
    "imagenet-r": [
        (without("imagenet-r/n01443537"), "", "are missing: n01443537"),
        (added("imagenet-r/n01440764/art_0.jpg"), "", "'n01440764' is no class of 'imagenet-r'"),
    ],
    "imagenet-sketch": [
        (without("sketch/n01440764"), "", "are missing: n01440764"),
        (added("sketch/n01440764/ILSVRC2012_val_00000293.JPEG"), "", "ImageNet's own validation set"),
    ],
    "stylized-imagenet": [
        (added("val/n01440764/ILSVRC2012_val_00000293.JPEG"), "", "ImageNet's own validation set"),
    ],
    "imagenet-o": [
        (without("imagenet-o/n01443537"), "", "are missing: n01443537"),
        (added("imagenet-o/n01440764/a.JPEG"), "", "'n01440764' is no class of 'imagenet-o'"),
    ],
    "textures": [
        (nothing, "dtd/images/banded", "No class folder of 'textures'"),
        (without("dtd/images/banded"), "", "1 of the 47 classes of 'textures' are missing: banded"),
        (added("dtd/images/new/a.jpg"), "", "'dtd/images/new' is no class folder"),
    ],
    "ninco": [
        (nothing, "NINCO/NINCO_popular_datasets_subsamples", "No class folder of 'ninco'"),
        (without(f"{NINCO}/door"), "", "1 of the 64 classes of 'ninco' are missing: door"),
        (added(f"{NINCO}/new/a.jpg"), "", "NINCO_OOD_classes/new' is no class folder"),
    ],
    "objectnet": [
        (nothing, "objectnet-1.0/images/banana", "No class folder of 'objectnet'"),
        (without("objectnet-1.0/images/banana"), "", "1 of the 113 classes of 'objectnet' are missing: banana"),
        (added("objectnet-1.0/images/new/a.png"), "", "lies in no class folder of 'objectnet'"),
        (added("objectnet-1.0/images/a.png"), "", "lies in no class folder of 'objectnet'"),
        (copied("objectnet-1.0/images", "again"), "", "such as 'again' and 'objectnet-1.0/images'"),
        (edited(f"{MAPPINGS}/folder_to_objectnet_label.json", "Banana", "Orange"), "", "say that 'banana' is"),
        (edited(f"{MAPPINGS}/objectnet_to_imagenet_1k.json", '"banana"', '"lemon"'), "", "say that 'banana' is"),
        (added(f"{MAPPINGS}/pytorch_to_imagenet_2012_id.json", "[]"), "", "own mapping files cannot be read"),
    ],
    "imagenet-vid-robust": [
        (nothing, f"{VIDEOS}/val", "metadata/pmsets.json, was not found"),
        (without(f"{VIDEOS}/val/ILSVRC2015_val_00000003"), "", "1 of the 30 anchors"),
        (edited(LABELS, "[29]", "[30]"), "", "the labels [30]"),
        (edited(LABELS, "[29]", "[2]"), "", "have no anchor: zebra"),
        (added(LABELS, "{"), "", "is no JSON"),
        (edited(f"{VIDEOS}/misc/rev_wnid_map.json", "n02690373", "n02692877"), "", "are not the 30"),
        (copied(VIDEOS, "again"), "", "lies in 2 places"),
    ],
    "cue-conflict": [
        (nothing, "cue-conflict/cat", "No class folder of 'cue-conflict'"),
        (without("cue-conflict/cat"), "", "1 of the 16 classes of 'cue-conflict' are missing: cat"),
        (added("cue-conflict/new/new1-cat2.png"), "", "'cue-conflict/new' is no class folder"),
        (added("cue-conflict/cat/cat12.png"), "", "does not tell its texture"),
        (added("cue-conflict/cat/cat1-wall2.png"), "", "does not tell its texture"),
        (copied("cue-conflict", "edges"), "", "such as 'cue-conflict' and 'edges'"),
    ],
    "sun": [
        (added("Places/images/b_badlands_00000001.jpg"), "", "lie in 2 folders"),
        (added("SUN/images/deep/sun_aaa.jpg"), "", "lie in 2 folders, such as 'SUN/images' and 'SUN/images/deep'"),
        (added("SUN/images/b_badlands_00000001.jpg"), "", "is named as the pictures of 'places' are"),
    ],
    "inaturalist": [(added("iNaturalist/images/sun_aaa.jpg"), "", "is named as the pictures of 'sun' are")],
    "places": [
        (added("Places/images/0123456789abcdef.jpg"), "", "is named as the pictures of 'openimage-o' are"),
        (without("Places"), "", "No picture for 'places' was found among 1 files"),
    ],
    "openimage-o": [(added("openimage_o/images/new/0123456789abcdef.jpg"), "", "lie in 2 folders")],
}
CASES = [(name, *row) for name, rows in WRONG.items() for row in rows]


@pytest.mark.parametrize(("name", "change", "given", "sentence"), CASES, ids=[f"{row[0]}: {row[3]}" for row in CASES])
def test_a_mistake_gets_one_sentence(name: str, change: Change, given: str, sentence: str, tmp_path: Path) -> None:
    root = build(name, tmp_path).path
    change(root)
    with pytest.raises(BadImageSet) as caught:
        arrange(KNOWN[name], sources.find(str(root / given)))
    said = str(caught.value)
    assert sentence in said
    assert any(step in said for step in ("--from", "--labels", "again", "Take it away", "Take the others away"))
    assert "\n" not in said
    assert len(said) < 500


@pytest.mark.parametrize(
    ("given", "meant"),
    [("imagenet-r", "imagenet-a"), ("imagenet-a", "imagenet"), ("imagenet-o", "imagenet-sketch")],
)
def test_another_set_is_recognised_by_its_classes(given: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(BadImageSet, match=f"These are the [0-9]+ classes of '{given}', not the .* of '{meant}'"):
        arrange(KNOWN[meant], sources.find(str(build(given, tmp_path).path)))


def test_labels_where_none_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\n")
    for name in ("imagenet-a", "sun", "objectnet"):
        source = sources.find(str(build(name, tmp_path / name).path))
        with pytest.raises(BadImageSet, match="Leave --labels out"):
            arrange(KNOWN[name], source, str(tmp_path / "list.txt"))
