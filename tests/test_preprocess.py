"""Geometry, held bit for bit against the evaluation transforms of timm and open_clip."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import timm.data
from open_clip.transform import image_transform
from photographs import PHOTOGRAPHS, pixels_before_mean
from PIL import Image

from engine.preprocess import Preprocess, Unreadable, all_pixels, decode, of_open_clip, of_timm

TIMM = {
    "vit": {"input_size": (3, 224, 224), "crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic"},
    "resnet": {"input_size": (3, 288, 288), "crop_pct": 0.95, "crop_mode": "center", "interpolation": "bilinear"},
    "whole": {"input_size": (3, 336, 336), "crop_pct": 1.0, "crop_mode": "center", "interpolation": "bicubic"},
    "squash": {"input_size": (3, 384, 384), "crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bicubic"},
    "border": {"input_size": (3, 256, 256), "crop_pct": 0.95, "crop_mode": "border", "interpolation": "bicubic"},
    "wide": {"input_size": (3, 192, 256), "crop_pct": 0.875, "crop_mode": "center", "interpolation": "bilinear"},
    "lanczos": {"input_size": (3, 300, 300), "crop_pct": 0.904, "crop_mode": "center", "interpolation": "lanczos"},
}
OPEN_CLIP = {
    "openai": {"size": 224, "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0},
    "bilinear": {"size": 240, "interpolation": "bilinear", "resize_mode": "shortest", "fill_color": 0},
    "siglip": {"size": 256, "interpolation": "bicubic", "resize_mode": "squash", "fill_color": 0},
    "longest": {"size": 288, "interpolation": "bicubic", "resize_mode": "longest", "fill_color": 0},
}


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("config", TIMM)
def test_pixels_are_timms(name: str, config: str) -> None:
    settings: Any = TIMM[config]
    mean = (0.48, 0.45, 0.41)
    theirs = timm.data.create_transform(**settings, mean=mean, std=(0.2, 0.2, 0.2), is_training=False)
    # timm's own datasets make a picture RGB before their transform sees it.
    expected = pixels_before_mean(theirs, Image.open(io.BytesIO(PHOTOGRAPHS[name])).convert("RGB"))
    ours = of_timm(**settings, mean=mean)
    np.testing.assert_array_equal(ours(decode(PHOTOGRAPHS[name])), expected)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("config", OPEN_CLIP)
def test_pixels_are_open_clips(name: str, config: str) -> None:
    settings: Any = OPEN_CLIP[config]
    size, rest = settings["size"], {key: value for key, value in settings.items() if key != "size"}
    expected = pixels_before_mean(
        image_transform(size, is_train=False, **rest), Image.open(io.BytesIO(PHOTOGRAPHS[name]))
    )
    ours = of_open_clip(**settings)
    np.testing.assert_array_equal(ours(decode(PHOTOGRAPHS[name])), expected)


def test_rgb_first_and_last_differ_where_it_matters() -> None:
    image = decode(PHOTOGRAPHS["palette"])
    first = Preprocess((64, 64), (64, 64), "shortest", "bicubic", rgb_first=True)
    last = Preprocess((64, 64), (64, 64), "shortest", "bicubic", rgb_first=False)
    assert (first(image) != last(image)).any()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_all_geometries_at_once_give_the_pixels_of_each(name: str) -> None:
    made = [of_timm(**settings, mean=(0.48, 0.45, 0.41)) for settings in TIMM.values()]
    made += [of_open_clip(**settings) for settings in OPEN_CLIP.values()]
    made += [replace(each, fill=(7, 200, 90), rgb_first=not each.rgb_first) for each in made]
    made += [Preprocess((50, 90), (120, 60), "squash", each, (1, 2, 3)) for each in ("nearest", "box", "bicubic")]
    image = decode(PHOTOGRAPHS[name])
    for ours, geometry in zip(all_pixels(image, made), made, strict=True):
        np.testing.assert_array_equal(ours, geometry(image), str(geometry))


def test_geometries_that_say_the_same_of_a_picture_are_made_once() -> None:
    first = Preprocess((64, 64), (64, 64), "shortest", "bicubic", rgb_first=True)
    both = first, replace(first, rgb_first=False)
    for name, same in {"jpeg": True, "grey": True, "palette": False, "cmyk": False}.items():
        one, other = all_pixels(decode(PHOTOGRAPHS[name]), both)
        assert (one is other) == same


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot identify"),
        (b"no picture", "cannot identify"),
        (PHOTOGRAPHS["jpeg"][:3000], "truncated"),
        (PHOTOGRAPHS["png"][:3000], "truncated"),
    ],
)
def test_an_unreadable_picture_says_why(content: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        decode(content)


def test_geometries_are_told_apart_by_their_text() -> None:
    made = [of_timm(**settings, mean=(0.5, 0.5, 0.5)) for settings in TIMM.values()]
    made += [of_open_clip(**settings) for settings in OPEN_CLIP.values()]
    assert len({str(each) for each in made}) == len(made)
