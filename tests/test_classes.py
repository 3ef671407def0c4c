"""ImageNet's classes and every map into them, against the lists that others published."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import classes
from engine.image_sets import BadImageSet
from engine.prepare.known import KNOWN, missing, table

REFERENCE = Path(os.environ.get("REFERENCE_DATA", Path(__file__).parents[2] / "shared/reference/data"))
reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"no reference data in {REFERENCE}; set REFERENCE_DATA to its folder"
)


def _subsets() -> dict[str, Any]:
    return json.loads((REFERENCE / "class-subsets/class_subsets.json").read_text())


def _groups(name: str) -> dict[str, tuple[int, ...]]:
    return {kind.name: kind.classes for kind in classes.folders(name)}


@reference
def test_the_thousand_wnids() -> None:
    assert list(classes.wnids()) == _subsets()["imagenet_wnids_sorted_1000"]
    assert list(classes.wnids()) == sorted(classes.wnids())


def test_names_are_those_that_clip_is_asked_for() -> None:
    import open_clip

    assert list(classes.names()) == list(open_clip.IMAGENET_CLASSNAMES)
    assert (classes.names()[134], classes.names()[517]) == ("crane bird", "construction crane")


@reference
def test_names_on_the_hub_are_imagenets_own() -> None:
    own = json.loads((REFERENCE / "imagenet-testbed/imagenet_to_labels.json").read_text())
    assert {name: str(number) for name, number in classes.hub_names().items()} == {
        **{name: number for number, name in own.items()},
        "crane": "134",
        "crane2": "517",
    }


@reference
@pytest.mark.parametrize("letter", ["a", "r", "o"])
def test_the_two_hundred_classes(letter: str) -> None:
    found = classes.folders(f"imagenet-{letter}")
    assert [kind.classes for kind in found] == [(n,) for n in _subsets()[f"imagenet_{letter}_200_indices"]]
    assert [kind.folder for kind in found] == [classes.wnids()[kind.classes[0]] for kind in found]
    assert [kind.name for kind in found] == [classes.names()[kind.classes[0]] for kind in found]


@reference
def test_objectnets_113_classes() -> None:
    published = _subsets()["objectnet_113_to_imagenet_indices"]
    assert _groups("objectnet") == {name: tuple(sorted(ids)) for name, ids in published.items()}
    label_of = json.loads((REFERENCE / "imagenet-testbed/folder_to_objectnet_label.json").read_text())
    assert all(label_of[kind.folder] == kind.name for kind in classes.folders("objectnet"))
    meant = json.loads((REFERENCE / "imagenet-testbed/objectnet_to_imagenet_1k.json").read_text())
    names = json.loads((REFERENCE / "imagenet-testbed/imagenet_to_labels.json").read_text())
    for name, ids in _groups("objectnet").items():
        assert sorted(meant[name].split("; ")) == sorted(names[str(number)] for number in ids)


@reference
def test_the_annotators_of_imagenet_o_and_ninco_name_these_folders() -> None:
    import csv

    with (REFERENCE / "ninco/annotations_subsampled_datasets/imagenet_o.csv").open() as file:
        seen = {row["image_location"].split("/")[-2] for row in csv.DictReader(file)}
    assert seen <= {kind.folder for kind in classes.folders("imagenet-o")}
    with (REFERENCE / "ninco/annotations_subsampled_datasets/textures.csv").open() as file:
        seen = {row["image_location"].split("/")[-2] for row in csv.DictReader(file)}
    assert seen <= {kind.folder for kind in classes.folders("textures")}
    with (REFERENCE / "ninco/NINCO_class_names.csv").open() as file:
        listed = {row["filename"] for row in csv.DictReader(file) if row["benchmark status"] in ("1", "2")}
    assert {kind.folder for kind in classes.folders("ninco")} == listed


def test_the_video_classes_as_counted_by_their_authors() -> None:
    groups = _groups("imagenet-vid-robust")
    members = [number for ids in groups.values() for number in ids]
    assert (len(groups), len(members), len(set(members))) == (30, 288, 288)  # modestyachts/imagenet-testbed
    assert [len(groups[name]) for name in ("bird", "dog", "snake", "watercraft")] == [59, 118, 17, 15]
    assert {classes.names()[number] for number in groups["bear"]} == {
        "brown bear", "American black bear", "polar bear", "sloth bear",
    }  # fmt: skip


def test_the_cue_conflict_classes_as_counted_by_their_authors() -> None:
    counts = {name: len(ids) for name, ids in _groups("cue-conflict").items()}
    assert counts == {
        "airplane": 1, "bear": 4, "bicycle": 2, "bird": 49, "boat": 5, "bottle": 7, "car": 3, "cat": 6, "chair": 4,
        "clock": 3, "dog": 109, "elephant": 2, "keyboard": 2, "knife": 1, "oven": 1, "truck": 8,
    }  # fmt: skip
    members = [number for ids in _groups("cue-conflict").values() for number in ids]
    assert len(set(members)) == len(members) == 207


@reference
def test_the_cue_conflict_classes_are_those_of_the_published_decisions() -> None:
    import csv

    with (REFERENCE / "cue-conflict/style-transfer-512-nomask-experiment_resnet50_session-1.csv").open() as file:
        assert {row["category"] for row in csv.DictReader(file)} == set(_groups("cue-conflict"))


def test_every_known_set_has_the_classes_that_it_says() -> None:
    for known in KNOWN.values():
        if known.classes:
            folders = classes.folders(known.name)
            assert (len(folders), len({kind.folder for kind in folders})) == (known.classes, known.classes), known.name
    assert {known.name: known.images for known in KNOWN.values()} == {
        "imagenet": 50000, "imagenet-v2-matched-frequency": 10000, "imagenet-v2-threshold-0.7": 10000,
        "imagenet-v2-top-images": 10000, "imagenet-r": 30000, "imagenet-a": 7500, "imagenet-sketch": 50889,
        "objectnet": 18574, "imagenet-vid-robust": 1109, "stylized-imagenet": 50000, "cue-conflict": 1280,
        "inaturalist": 10000, "sun": 10000, "places": 10000, "textures": 5640, "imagenet-o": 2000, "ninco": 5879,
        "openimage-o": 17632,
    }  # fmt: skip


def test_the_list_of_known_sets_can_be_read() -> None:
    lines = table().splitlines()
    assert max(map(len, lines)) <= 120
    for known in KNOWN.values():
        assert sum(line.split()[0] == known.name for line in lines) == 1
        assert any(known.home in line for line in lines)
        assert any(known.paper in line for line in lines)
    assert missing(KNOWN) == ""
    assert missing([name for name in KNOWN if name != "sun"]).startswith("1 of the 18 known image sets")


def test_no_library_of_models_is_imported() -> None:
    code = (
        "import sys; from engine import classes; classes.names(); classes.wnids(); classes.folders('imagenet-a'); "
        "print([name for name in ('torch', 'timm', 'open_clip') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_what_is_not_installed_gets_a_sentence() -> None:
    with pytest.raises(BadImageSet, match="which is not installed here"):
        classes._installed("no_such_package", "list.txt")
    with pytest.raises(BadImageSet, match=r"timm \(data/no_such_list.txt\)"):
        classes._installed("timm", "data", "no_such_list.txt")
