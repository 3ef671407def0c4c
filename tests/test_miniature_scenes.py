"""Scans, training scenes and looks of the small world: what a name promises can be measured in what is drawn."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from engine.miniature import captions, digits, looks, sources, textures
from engine.miniature.scenes import Look, coverage, draw

SPLITS: tuple[digits.Split, ...] = ("training", "validation", "test")
BAR = np.zeros((8, 8), dtype=np.float32)
BAR[:, 3:5] = 1


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
