"""Annotations of published sets join their pictures: ReaL's labels, NINCO's decisions, and paths that are neither."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from arranged_by_hand import REFERENCE, column, imagenet, out_set, val

from engine.image_sets import BadImageSet
from engine.prepare import annotations, imagenet_x, ninco

needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"no reference data in {REFERENCE}; set REFERENCE_DATA to its folder"
)
SAMPLES = REFERENCE / "ninco" / "annotations_subsampled_datasets"


# --- ReaL ------------------------------------------------------------------------------------------------------------


def test_real_labels_go_by_the_number_of_the_image(tmp_path: Path) -> None:
    labels: list[object] = [[] for _ in range(50_000)]
    labels[0], labels[2] = [970, 795], [3]
    path = tmp_path / "real.json"
    path.write_text(json.dumps(labels))
    made = annotations.join(imagenet({val(1): 0, val(2): 0, val(3): 3}), [str(tmp_path)])
    assert list(column(made, "real_labels").values()) == [[970, 795], [], [3]]
    assert made.notes == ("ReaL gives labels to 2 of 3 images.",)
    labels[5] = [1000]
    for wrong in (labels, labels[:-1], {"1": [2]}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(BadImageSet, match=r"(image 6 has '\[1000\]'; it must have|it must be a list of 50,000)"):
            annotations.join(imagenet({val(1): 0}), [str(path)])


def test_the_real_labels_that_timm_ships_are_of_that_shape() -> None:
    spec = importlib.util.find_spec("timm")
    assert spec is not None
    path = Path(next(iter(spec.submodule_search_locations or ())), "data/_info/imagenet_real_labels.json")
    made = annotations.join(imagenet({val(1): 65, val(2): 970, val(50_000): 355}), [str(path)])
    assert list(column(made, "real_labels").values()) == [[], [970, 795], [355]]


def test_all_of_imagenet_joins_from_one_folder(tmp_path: Path) -> None:
    facts = {"file_name": val(1), "class": 7, **{name: int(name == "pose") for name in imagenet_x.FACTORS}}
    for name in ("top", "multi"):
        (tmp_path / f"imagenet_x_val_{name}_factor.jsonl").write_text(json.dumps(facts))
    (tmp_path / "prototypical_paths.csv").write_text("file_name\n")
    (tmp_path / "imagenet_real_labels.jsonl").write_text(json.dumps([[1]] * 50_000))
    made = annotations.join(imagenet({val(1): 7}), [str(tmp_path)])
    expected = {"top_factor": "pose", "factors": ["pose"], "prototype": False, "real_labels": [1]}
    assert made.entries[0].annotations == expected


# --- NINCO -----------------------------------------------------------------------------------------------------------

PUBLISHED: dict[str, Callable[[str], str]] = {
    "inaturalist": lambda place: place.split("OOD_iNaturalist_MOS/")[1],
    "places": lambda place: "images/" + "_".join(place.split("OOD_Places_MOS/")[1].split("/")),
    "textures": lambda place: place.split("textures/images/")[1],
    "imagenet-o": lambda place: place.split("imagenet-o/")[1],
    "openimage-o": lambda place: place.split("/")[-1],
}
"""The names in each published archive, from the locations that NINCO gives."""
COUNTS = {  # images, those that show a class of ImageNet, those that do not
    "inaturalist": (400, 10, 383),
    "places": (405, 225, 152),  # 410 rows with 227 and 156; five images twice: 1 i, 3 o, and 1 with both decisions
    "textures": (400, 99, 288),
    "imagenet-o": (400, 78, 309),
    "openimage-o": (400, 19, 368),
}


@needs_reference
@pytest.mark.parametrize("name", PUBLISHED)
def test_ninco_marks_what_its_annotators_saw(name: str) -> None:
    table = pd.read_csv(SAMPLES / ninco.FILES[name])
    ids = [PUBLISHED[name](place) for place in table["image_location"]]
    once = sorted(set(ids))
    others = [f"images/n09999999/{number}.jpg" for number in range(100)]
    made = annotations.join(out_set(name, [*once, *others], published=len(once) + 100), [str(SAMPLES)])
    said = column(made, "contains_known")
    shows = {"i": True, "o": False}
    for each, decision in zip(ids, table["decision"], strict=True):
        assert said[each] is (None if each.endswith("i_ice_floe_00000212.jpg") else shows.get(decision))
    assert {said[each] for each in others} == {None}
    images, known, unknown = COUNTS[name]
    (note,) = made.notes
    assert f"looked at {images} images of this set, {images} of which are here: {known} show a class of" in note
    assert note.endswith(f"ImageNet, {unknown} do not.")
    assert annotations.join(out_set(name, once), [str(SAMPLES / ninco.FILES[name])]).notes == made.notes


def sample(folder: Path, *lines: str) -> str:
    path = folder / "OOD_Places_MOS.csv"
    path.write_text("\n".join(["index,image_location,decision", *lines, ""]))
    return str(path)


def test_a_whole_set_must_have_half_of_the_images_that_were_looked_at(tmp_path: Path) -> None:
    lines = [f"{number},datasets/OOD_Places_MOS/p_pond/{number:08d}.jpg,o" for number in range(10)]
    path = sample(tmp_path, *lines)
    ids = [f"p_pond_{number:08d}.jpg" for number in range(5)]
    made = annotations.join(out_set("places", ids, published=5), [path])
    assert sum(value is False for value in column(made, "contains_known").values()) == 5
    renamed = [*ids[:4], "elsewhere.jpg"]
    with pytest.raises(BadImageSet, match="is about 10 images; 4 of them are among the 5 of 'places'"):
        annotations.join(out_set("places", renamed, published=5), [path])
    made = annotations.join(out_set("places", renamed, published=50), [path])
    assert "10 images of this set, 4 of which are here" in made.notes[0]
    with pytest.raises(BadImageSet, match="0 of them are among the 1 of 'places'"):
        annotations.join(out_set("places", renamed[-1:], published=50), [path])


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["1,a/b/1.jpg,x"], "line 2: the decision is 'x'; it must be one of i, o, u, q, b. Get the file again: j-cb"),
        (["1,a/b/1.jpg"], "line 2: it has more or fewer fields than the first line"),
        (['1,"a/b/1.jpg'], "it is no line of a CSV file"),
    ],
)
def test_a_wrong_decision_is_told_with_its_line(lines: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadImageSet) as caught:
        annotations.join(out_set("places", ["b_1.jpg"]), [sample(tmp_path, *lines)])
    assert sentence in str(caught.value)


# --- paths -----------------------------------------------------------------------------------------------------------


def test_a_path_that_is_nothing_known_is_told_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    sets = {"imagenet": imagenet({val(1): 7}), "places": out_set("places", ["b_1.jpg"])}
    would_do = {"imagenet": r"Give imagenet_x_val_top_factor.jsonl, .* or real.json", "places": r"OOD_Places_MOS.csv"}
    for name, arranged in sets.items():
        for path in (tmp_path, tmp_path / "notes.txt"):
            with pytest.raises(BadImageSet, match=rf"holds no annotations of '{name}'\. .*{would_do[name]}"):
                annotations.join(arranged, [str(path)])
        with pytest.raises(BadImageSet, match=f"No file or folder 'nowhere'. For '{name}', give "):
            annotations.join(arranged, ["nowhere"])
        with pytest.raises(BadImageSet, match=f"'odd://real.json' cannot be read .* For '{name}', give "):
            annotations.join(arranged, ["odd://real.json"])
    with pytest.raises(BadImageSet, match="No annotations are known for 'sun'"):
        annotations.join(out_set("sun", ["1.jpg"]), [str(tmp_path)])
    (tmp_path / "real.json").write_text("[]")
    with pytest.raises(BadImageSet, match="holds no annotations of 'places'"):
        annotations.join(sets["places"], [str(tmp_path / "real.json")])


def test_what_is_no_text_or_too_much_of_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "real.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadImageSet, match="is no text in UTF-8"):
        annotations.join(imagenet({val(1): 7}), [str(path)])
    with path.open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(BadImageSet, match="has 10,737,418,240 bytes: too many for annotations"):
        annotations.join(imagenet({val(1): 7}), [str(path)])
