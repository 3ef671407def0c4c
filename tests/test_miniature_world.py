"""The small world: splits never mix, it is drawn the same twice, and what it says of a picture can be seen there."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from engine.files import Folder
from engine.image_sets import read, read_all
from engine.miniature import digits, looks, shifts, sources, world

SPLITS: tuple[digits.Split, ...] = ("training", "validation", "test")
SHIFT = {f"digits-{kind}" for kind in ("v2-a", "v2-b", "v2-c", "rendition", "sketch", "hard", "pose", "frames")}
OUT = {"letters", "symbols", "textures", "scenes", "near-digits"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder.of(tmp_path_factory.mktemp("world"))
    world.build(folder)
    return folder


@pytest.fixture(scope="module")
def clean(data: Folder) -> pd.DataFrame:
    return table(data, "digits")


def table(data: Folder, name: str) -> pd.DataFrame:
    shards = [(data / name).read(shard.file).to_pandas() for shard in read(data, name).shards]
    return pd.concat(shards, ignore_index=True)


def pixels(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    return np.stack([np.asarray(Image.open(BytesIO(content)), dtype=float) for content in frame.image])


def border(pictures: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The outermost three pixels all around, (n, k, 3)."""
    inner = np.zeros(pictures.shape[1:3], dtype=bool)
    inner[3:-3, 3:-3] = True
    return pictures[:, ~inner]


def with_factor(frame: pd.DataFrame, factor: str) -> pd.DataFrame:
    return frame[frame.factors.map(lambda factors: list(factors) == [factor])]


# The sets


def test_sources_draw_training_scans_and_the_world_draws_test_scans(data: Folder) -> None:
    training, test = set(digits.scans("training").numbers), set(digits.scans("test").numbers)
    for source in sources.SOURCES:
        assert set(sources.pairs(source, 200, seed=1).scans) <= training
    for prepared in read_all(data):
        if prepared.image_set.role != "out":
            assert set(table(data, prepared.image_set.name).scan) <= test


def test_the_replications_show_other_scans_than_the_clean_set(data: Folder, clean: pd.DataFrame) -> None:
    for name in ("digits-v2-a", "digits-v2-b", "digits-v2-c"):
        assert not set(table(data, name).scan) & set(clean.scan)


def test_every_set_reads_back_with_its_role_and_classes(data: Folder) -> None:
    sets = {prepared.image_set.name: prepared.image_set for prepared in read_all(data)}
    roles = {name: found.role for name, found in sets.items()}
    expected = {"digits": "clean", "digits-conflict": "conflict", **dict.fromkeys(SHIFT, "shift")}
    assert roles == {**expected, **dict.fromkeys(OUT, "out")}
    assert sets["digits"].class_names == digits.CLASS_NAMES
    for found in sets.values():
        labels = table(data, found.name).label
        assert found.clean == "digits"
        if found.role == "out":
            assert labels.isna().all()
            assert found.classes == ()
        else:
            assert set(labels) == set(range(len(found.classes)))
            assert {i for group in found.classes for i in group} <= set(range(10))


def test_subset_labels_mean_the_digit_that_is_drawn(data: Folder) -> None:
    table_of = {number: label for split in SPLITS for number, label in zip(*_numbered(split), strict=True)}
    for name in SHIFT:
        frame, classes = table(data, name), read(data, name).image_set.classes
        assert all(table_of[scan] in classes[label] for scan, label in zip(frame.scan, frame.label, strict=True))
    assert read(data, "digits-pose").image_set.class_names[6] == "six or nine"


def _numbered(split: digits.Split) -> tuple[list[int], list[int]]:
    return digits.scans(split).numbers.tolist(), digits.scans(split).labels.tolist()


def test_pictures_are_48_pixels_square_and_none_occurs_twice(data: Folder) -> None:
    for prepared in read_all(data):
        frame = table(data, prepared.image_set.name)
        assert pixels(frame).shape == (len(frame), 48, 48, 3)
        assert frame.image.is_unique


def test_shares_of_the_factors_are_those_of_the_table(clean: pd.DataFrame) -> None:
    counts = clean.top_factor.value_counts().to_dict()
    assert counts == {name: round(share * len(clean)) for name, share in looks.SHARES.items()}
    assert min(counts, key=lambda name: counts[name]) == "larger"
    assert counts["larger"] >= 30
    assert 0.05 < clean.prototype.mean() < 0.07


def test_the_top_factor_is_one_of_the_factors_and_prototypes_have_none(clean: pd.DataFrame) -> None:
    assert (clean.top_factor.isna() == clean.prototype).all()
    for top, factors in zip(clean.top_factor, clean.factors, strict=True):
        assert list(factors[:1]) == ([] if pd.isna(top) else [top])
        assert len(set(factors)) == len(factors)
    assert clean.factors.map(len).isin([2, 3]).mean() > 0.1


def test_subcategory_is_the_rare_style_and_nothing_else_is(clean: pd.DataFrame) -> None:
    scans = digits.scans("test")
    style = dict(zip(scans.numbers.tolist(), scans.styles.tolist(), strict=True))
    rare = clean.scan.map(style) == digits.RARE_STYLE
    assert (rare == clean.factors.map(lambda factors: "subcategory" in factors)).all()


def test_factors_can_be_measured_in_the_written_pictures(clean: pd.DataFrame) -> None:
    def restless(frame: pd.DataFrame) -> float:
        return float(np.median(border(pixels(frame)).std(axis=1).mean(axis=1)))

    def bright(frame: pd.DataFrame) -> float:
        return float(border(pixels(frame)).mean())

    def figure(frame: pd.DataFrame) -> float:
        pictures = pixels(frame)
        ground = np.median(border(pictures), axis=1)[:, None, None]
        return float((np.abs(pictures - ground).max(axis=3) > 60).mean())

    prototypes = clean[clean.prototype]
    assert restless(with_factor(clean, "background")) > 1.5 * restless(prototypes)
    assert bright(with_factor(clean, "color")) < 0.6 * bright(prototypes)
    assert figure(with_factor(clean, "smaller")) < 0.7 * figure(prototypes)
    assert figure(with_factor(clean, "larger")) > 1.2 * figure(prototypes)


def test_the_conflict_set_holds_every_pair_and_some_equal_cues(data: Folder) -> None:
    frame = table(data, "digits-conflict")
    pairs = frame.groupby(["label", "texture"]).size()
    assert len(pairs) == 100
    assert set(pairs) == {shifts.CONFLICT_REPEATS}


def test_sequences_are_whole_and_begin_unperturbed(data: Folder) -> None:
    frame = table(data, "digits-frames")
    assert frame.groupby("sequence").frame.agg(list).map(lambda found: found == list(range(shifts.FRAMES))).all()
    assert len(frame[["sequence", "label"]].drop_duplicates()) == shifts.SEQUENCES
    pictures = pixels(frame).reshape(shifts.SEQUENCES, shifts.FRAMES, -1)
    near, far = (np.abs(pictures[:, k] - pictures[:, 0]).mean() for k in (1, shifts.FRAMES - 1))
    assert far > 2 * near


# The build


def test_two_builds_are_byte_identical(data: Folder, tmp_path: Path) -> None:
    again = Folder.of(tmp_path)
    for name in ("digits-v2-c", "digits-frames", "symbols"):
        world.build_set(again, name)
        for shard in read(data, name).shards:
            assert (again / name).read(shard.file).equals((data / name).read(shard.file))


def test_sets_that_are_whole_are_left_and_a_damaged_one_is_written_again(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path)
    world.build_set(folder, "digits-conflict")
    before = read(folder, "digits-conflict")
    assert len(before.shards) == 2
    kept = (folder / "digits-conflict").filesystem.get_file_info(f"{folder}/digits-conflict/00000.parquet").mtime_ns
    world.build_set(folder, "digits-conflict")
    info = (folder / "digits-conflict").filesystem.get_file_info(f"{folder}/digits-conflict/00000.parquet")
    assert info.mtime_ns == kept
    (folder / "digits-conflict").remove("00001.parquet")
    world.build_set(folder, "digits-conflict")
    assert read(folder, "digits-conflict") == before
