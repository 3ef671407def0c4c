"""The small world: splits never mix, it is drawn the same twice, and what it says of a picture can be seen there."""

from __future__ import annotations

import itertools
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from engine.files import Folder
from engine.image_sets import read, read_all
from engine.miniature import captions, digits, looks, shifts, sources, textures, world
from engine.miniature.scenes import Look, coverage, draw

SPLITS: tuple[digits.Split, ...] = ("training", "validation", "test")
SHIFT = {f"digits-{kind}" for kind in ("v2-a", "v2-b", "v2-c", "rendition", "sketch", "hard", "pose", "frames")}
OUT = {"letters", "symbols", "textures", "scenes", "near-digits"}
BAR = np.zeros((8, 8), dtype=np.float32)
BAR[:, 3:5] = 1


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


# Scans


def test_the_splits_hold_every_scan_once_and_share_none_even_by_content() -> None:
    numbers = np.concatenate([digits.scans(split).numbers for split in SPLITS])
    assert sorted(numbers) == list(range(1797))
    contents = [{scan.tobytes() for scan in digits.scans(split).images} for split in SPLITS]
    assert not any(one & other for one, other in itertools.combinations(contents, 2))


def test_every_split_has_every_digit_in_every_style() -> None:
    for split in SPLITS:
        scans = digits.scans(split)
        assert len(set(zip(scans.labels.tolist(), scans.styles.tolist(), strict=True))) == 40
    training = digits.scans("training")
    for digit in range(10):
        counts = np.bincount(training.styles[training.labels == digit], minlength=4)
        assert list(counts) == sorted(counts, reverse=True)


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


# Training data


def test_pairs_are_the_same_twice_and_a_longer_draw_begins_with_the_shorter() -> None:
    short, long = sources.pairs("LAION-mini-S", 30, seed=5), sources.pairs("LAION-mini-S", 60, seed=5)
    np.testing.assert_array_equal(short.pixels, long.pixels[:30])
    assert short.captions == long.captions[:30]
    assert not np.array_equal(short.pixels, sources.pairs("LAION-mini-S", 30, seed=6).pixels)


def test_the_three_sizes_of_one_source_are_one_distribution() -> None:
    small, large = sources.pairs("LAION-mini-S", 30, seed=5), sources.pairs("LAION-mini-L", 30, seed=5)
    np.testing.assert_array_equal(small.pixels, large.pixels)


def test_fine_classes_lie_within_their_digits() -> None:
    pairs = sources.pairs("Digits-21", 400, seed=2)
    np.testing.assert_array_equal(pairs.fine // digits.STYLES, pairs.labels)
    assert len(set(pairs.fine)) > 30


def test_captions_name_the_digit_and_only_noisy_sources_err() -> None:
    def named(source: str) -> float:
        pairs = sources.pairs(source, 400, seed=3)
        hits = [digits.CLASS_NAMES[label] in text for label, text in zip(pairs.labels, pairs.captions, strict=True)]
        return float(np.mean(hits))

    assert named("WIT-mini") == 1.0
    noise = sources.SOURCES["LAION-mini-M"]
    assert named("LAION-mini-M") == pytest.approx(1 - noise.vague - noise.wrong, abs=0.05)


def test_captions_fit_what_the_picture_shows() -> None:
    rng = np.random.default_rng(0)
    texts = {captions.caption(rng, 3, Look(size=18), vague=0, wrong=0) for _ in range(200)}
    assert "a photo of a small three." in texts
    assert not any("large" in text for text in texts)


def test_an_unknown_source_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"No training source 'WIT-400M'.*There are: WIT-mini, LAION-mini-S"):
        sources.pairs("WIT-400M", 1, seed=0)


# Factors, seen in looks


def plain(seed: int) -> Look:
    return looks.ordinary(np.random.default_rng(seed), -1)


def factored(name: str, seed: int, texture: int = -1) -> Look:
    look = replace(plain(seed), texture=texture)
    return looks.with_factors(look, (name,), np.random.default_rng(seed), label=4)


def tilt(look: Look) -> float:
    """Angle between an upright bar as drawn and the vertical, in degrees, from the moments of its pixels."""
    bare = replace(look, ink=(0, 0, 0), ground=(1, 1, 1), backdrop="flat", noise=0.0, light=1.0)
    ink = 255 - draw(BAR, bare).mean(axis=2)
    rows, columns = (
        np.mgrid[0:48, 0:48] - np.average(np.mgrid[0:48, 0:48], axis=(1, 2), weights=[ink, ink])[:, None, None]
    )
    covariance = np.array([[(ink * a * b).sum() for a in (rows, columns)] for b in (rows, columns)])
    axis = np.linalg.eigh(covariance)[1][:, -1]
    return float(np.degrees(np.arctan2(abs(axis[1]), abs(axis[0]))))


def test_pose_tilts_and_a_plain_scene_does_not() -> None:
    assert all(tilt(plain(seed)) < 15 for seed in range(30))
    assert all(tilt(factored("pose", seed)) > 15 for seed in range(30))


@pytest.mark.parametrize(("name", "low", "high"), [("smaller", 0.2, 0.75), ("larger", 1.15, 3.5)])
def test_size_changes_the_area_of_the_stroke(name: str, low: float, high: float) -> None:
    ratios = [coverage(BAR, factored(name, seed)) / coverage(BAR, plain(seed)) for seed in range(30)]
    assert low < min(ratios)
    assert max(ratios) < high


def test_partial_view_hides_some_of_the_stroke() -> None:
    scans = digits.scans("test")
    for seed in range(60):
        scan, look = scans[seed].image, factored("partial_view", seed)
        cut = coverage(scan, look) < 0.97 * coverage(scan, plain(seed))
        assert cut or (look.bar is not None and _behind(scan, look) > 0.05)


def _behind(scan: npt.NDArray[np.float32], look: Look) -> float:
    """Share of the stroke that stands behind the bar, 0 to 1."""
    bare = replace(look, ink=(0, 0, 0), ground=(1, 1, 1), bar_colour=(1, 1, 1), backdrop="flat", noise=0.0, light=1.0)
    seen, whole = (float((255 - draw(scan, shown)).sum()) for shown in (bare, replace(bare, bar=None)))
    return 1 - seen / whole


def test_shape_bends_the_stroke() -> None:
    scan = digits.scans("test")[0].image
    for seed in range(20):
        bent = factored("shape", seed)
        assert np.abs(draw(scan, bent).astype(int) - draw(scan, replace(bent, wobble=0.0))).mean() > 2


def test_color_is_light_ink_on_dark_ground_and_usual_ink_is_dark() -> None:
    for seed in range(30):
        usual, unusual = plain(seed), factored("color", seed)
        assert max(usual.ink) < min(max(usual.ground), 0.4)
        assert max(unusual.ink) > max(unusual.ground) + 0.4


def test_pattern_shows_in_the_stroke() -> None:
    scan = np.ones((8, 8), dtype=np.float32)
    for seed in range(20):
        spotted, even = (
            draw(scan, look)[14:34, 14:34].std(axis=(0, 1)).max() for look in (factored("pattern", seed), plain(seed))
        )
        assert spotted > 3 * even


def test_texture_is_that_of_another_class() -> None:
    assert all(factored("texture", seed, texture=4).texture not in (-1, 4) for seed in range(30))


def test_the_ten_textures_differ() -> None:
    banks = [textures.texture(kind, 0) for kind in range(10)]
    for one, other in itertools.combinations(banks, 2):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.7


# The sets


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
