"""ImageNet-X joins the clean set: the real tables count as published, a wrong line is told with its number."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from arranged_by_hand import REFERENCE, column, imagenet, val

from engine.image_sets import BadImageSet
from engine.predictions import Head, Predictions
from engine.prepare import annotations, imagenet_x
from engine.prepare.columns import Text
from studies import factors

needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"no reference data in {REFERENCE}; set REFERENCE_DATA to its folder"
)
TOP, MULTI = "imagenet_x_val_top_factor.jsonl", "imagenet_x_val_multi_factor.jsonl"


def line(number: int, class_id: int, *shown: str, **other: object) -> str:
    """One line as it is published."""
    marks = {name: int(name in shown) for name in imagenet_x.FACTORS}
    facts = {"file_name": val(number), "class": class_id, **marks, "justification": "it\u2028is", "one_word": "so"}
    return json.dumps({**facts, **other}, ensure_ascii=False)


def tables(folder: Path, top: Sequence[str], multi: Sequence[str], prototypes: Sequence[str] = ()) -> str:
    """A folder with the two tables and the list of prototypes, under their published names."""
    folder.mkdir(exist_ok=True)
    for name, lines in ((TOP, top), (MULTI, multi), ("prototypical_paths.csv", ["file_name", *prototypes])):
        (folder / name).write_text("\n".join([*lines, ""]))
    return str(folder)


def test_imagenet_x_by_hand(tmp_path: Path) -> None:
    arranged = imagenet({val(1): 7, val(2): 8, f"n01440764/{val(3)}": 0, val(4): 9})
    top = [line(1, 7, "pose"), line(2, 8, "color"), line(3, 0), line(40, 5, "pose")]
    multi = [line(40, 5, "pose"), line(1, 7, "style", "pose"), line(2, 8, "color"), line(3, 0)]
    path = tables(tmp_path / "tables", top, multi, [val(2), val(9)])
    made = annotations.join(arranged, [path])
    assert list(column(made, "top_factor").values()) == ["pose", "color", None, None]
    assert list(column(made, "factors").values()) == [["pose", "style"], ["color"], None, []]
    assert list(column(made, "prototype").values()) == [False, True, None, False]
    assert made.notes == ("ImageNet-X annotates 3 of 4 images, 1 of them as prototypes.",)
    files = [str(Path(path, name)) for name in ("prototypical_paths.csv", MULTI, TOP)]
    assert annotations.join(arranged, files) == made
    assert annotations.join(arranged, []) is arranged


GOOD = line(1, 7, "pose")
WRONG: dict[str, tuple[list[str], list[str], str]] = {
    "not JSON": ([GOOD, "{]"], [GOOD], f"{TOP}, line 2: it is no JSON (Expecting"),
    "too deep": (["[" * 100_000], [GOOD], f"{TOP}, line 1: it is no JSON ("),
    "no object": (["[1]"], [GOOD], "line 1: it is no JSON object"),
    "no name": ([line(1, 7, file_name=None)], [GOOD], "None is no image of ImageNet's validation set"),
    "of training": ([line(1, 7, file_name="n01440764_18.JPEG")], [GOOD], "'n01440764_18.JPEG' is no image of"),
    "too high": ([GOOD, line(50_001, 7, "pose")], [GOOD], "line 2: 'ILSVRC2012_val_00050001.JPEG' is no image of"),
    "twice": ([GOOD, GOOD], [GOOD], f"line 2: {val(1)} stands on line 1 already"),
    "class no number": ([line(1, 7, "pose", **{"class": "7"})], [GOOD], "line 1: its class is '7'; it must be"),
    "other class": ([GOOD], [line(1, 8)], f"{MULTI}, line 1: its class is 8, but {val(1)} has the label 7 here"),
    "no mark": ([line(1, 7, pose=2)], [GOOD], "line 1: 'pose' is 2; it must be 0 or 1"),
    "not 1 but true": ([line(1, 7, pose=True)], [GOOD], "'pose' is True; it must be 0 or 1"),
    "mark missing": ([json.dumps({"file_name": val(1), "class": 7})], [GOOD], "'pose' is None"),
    "two on top": ([line(1, 7, "pose", "color")], [GOOD], "line 1: pose and color apply; here, no more than one"),
    "only in top": ([GOOD, line(2, 8)], [GOOD], f"{TOP}, line 2: "),
    "only in multi": ([GOOD], [line(2, 8), GOOD], f"{MULTI}, line 1: "),
    "nothing of the set": ([line(5, 1)], [line(5, 1)], "is about 1 images; 0 of them are among the 2 of 'imagenet'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_table_is_told_with_its_line(case: str, tmp_path: Path) -> None:
    top, multi, sentence = WRONG[case]
    with pytest.raises(BadImageSet) as caught:
        annotations.join(imagenet({val(1): 7, val(2): 8}), [tables(tmp_path / "x", top, multi)])
    assert sentence in str(caught.value)
    assert "facebookresearch/imagenetx" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tables_as_csv_may_mark_prototypes_themselves(tmp_path: Path) -> None:
    head = ["file_name", "class", *imagenet_x.FACTORS, "is_prototype"]
    for name in ("top", "multi"):
        rows = [[val(1), 7, 1, *[0] * 15, 0], [val(2), 8, *[0] * 16, 1]]
        with Path(tmp_path, f"imagenet_x_val_{name}_factor.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head, *rows])
    arranged = imagenet({val(1): 7, val(2): 8})
    made = annotations.join(arranged, [str(tmp_path)])
    assert list(column(made, "prototype").values()) == [False, True]
    assert list(column(made, "factors").values()) == [["pose"], []]
    path = tmp_path / "imagenet_x_val_top_factor.csv"
    content = path.read_text()
    path.write_text(content.replace("is_prototype", "other"))
    with pytest.raises(BadImageSet, match=r"list of prototypes, prototypical_paths.csv, is missing"):
        annotations.join(arranged, [str(tmp_path)])
    path.write_text(content.replace(",1\n", "\n").replace(",1\r\n", "\r\n"))
    with pytest.raises(BadImageSet, match=r"top_factor.csv, line 3: it has more or fewer fields"):
        annotations.join(arranged, [str(tmp_path)])
    path.write_text(content.replace("pose", "posed"))
    with pytest.raises(BadImageSet, match="line 1: it has no column 'pose'; it must have file_name, class, pose"):
        annotations.join(arranged, [str(tmp_path)])


def test_one_table_of_two_is_not_enough(tmp_path: Path) -> None:
    path = tables(tmp_path / "x", [GOOD], [GOOD])
    with pytest.raises(BadImageSet, match=r"imagenet_x_val_multi_factor.jsonl is missing\. Give it too"):
        annotations.join(imagenet({val(1): 7}), [f"{path}/{TOP}"])
    with pytest.raises(BadImageSet, match=r"are of one kind\. Give one of them"):
        annotations.join(imagenet({val(1): 7}), [path, f"{path}/{TOP}"])


@pytest.fixture(scope="module")
def published() -> dict[str, int]:
    """Names of the validation set's images, each with its class."""
    table = pd.read_csv(REFERENCE / "imagenetx" / "filename_label.csv")
    return dict(zip(table["file_name"], table["label"].tolist(), strict=True))


@needs_reference
@pytest.mark.parametrize("name", ["top", "multi"])
def test_the_published_lines_parse(name: str, published: dict[str, int]) -> None:
    path = REFERENCE / "imagenetx" / f"sample300_imagenet_x_val_{name}_factor.jsonl"
    rows = imagenet_x.table(Text(path.name, path.read_text(), "nowhere"))
    assert len(rows) == 300
    whole = pd.read_csv(REFERENCE / "imagenetx" / f"imagenet_x_val_{name}_factor.csv").set_index("file_name")
    for number, row in rows.items():
        facts = whole.loc[val(number)]
        assert row.class_id == facts["class"] == published[val(number)]
        assert row.factors == tuple(factor for factor in imagenet_x.FACTORS if facts[factor])


@needs_reference
def test_the_published_lines_join(published: dict[str, int]) -> None:
    folder = REFERENCE / "imagenetx"
    files = [f"sample300_{TOP}", f"sample300_{MULTI}", "prototypical_paths.csv"]
    made = annotations.join(imagenet(published, published=50_000), [str(folder / file) for file in files])
    assert sum(value is not None for value in column(made, "prototype").values()) == 300


TOP_COUNTS = {
    "pose": 15064, "background": 14751, "pattern": 5972, "color": 6150, "smaller": 1450, "shape": 679,
    "partial_view": 638, "subcategory": 585, "texture": 282, "larger": 150,
}  # fmt: skip
MULTI_COUNTS = {
    "pose": 39974, "background": 35537, "pattern": 15478, "color": 13034, "smaller": 2873, "shape": 1891,
    "partial_view": 1500, "subcategory": 3604, "texture": 879, "larger": 390,
}  # fmt: skip
REST = {  # (top, multi)
    "darker": (122, 512), "object_blocking": (78, 217), "person_blocking": (60, 105), "brighter": (44, 94),
    "style": (43, 586), "multiple_objects": (40, 1828),
}  # fmt: skip


@needs_reference
def test_the_full_tables_count_as_published(published: dict[str, int]) -> None:
    made = annotations.join(imagenet(published, published=50_000), [str(REFERENCE / "imagenetx")])
    prototype = column(made, "prototype")
    assert sum(value is not None for value in prototype.values()) == 48_868
    assert sum(value is False for value in prototype.values()) == 46_110
    assert made.notes == ("ImageNet-X annotates 48,868 of 50,000 images, 2,758 of them as prototypes.",)
    images = pd.DataFrame([dict(entry.annotations) for entry in made.entries])
    labels = np.array([entry.label for entry in made.entries])
    head = Head("learned", "learned", np.eye(1, dtype=np.float32), np.zeros(1, np.float32), 1.0)
    right = np.zeros((len(labels), 1000), dtype=np.float32)
    right[np.arange(len(labels)), labels] = 1
    found = factors.annotated(Predictions(made.image_set, head, images, right[:, :1], right, labels))
    assert len(found.correct) == 46_110
    top = TOP_COUNTS | {name: top for name, (top, _) in REST.items()}
    multi = MULTI_COUNTS | {name: multi for name, (_, multi) in REST.items()}
    assert {name: int(rows.sum()) for name, rows in found.top.items()} == top
    assert {name: int(rows.sum()) for name, rows in found.multi.items()} == multi
