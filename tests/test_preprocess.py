"""Geometry, held bit for bit against the evaluation transforms of timm and open_clip."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import timm.data
from open_clip.transform import image_transform
from PIL import Image
from sklearn.datasets import load_sample_images

from engine.preprocess import Preprocess, Unreadable, decode, of_open_clip, of_timm


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format=form, **options)
    return out.getvalue()


def _photographs() -> dict[str, bytes]:
    """Real photographs in the shapes and colour modes that image sets have."""
    china, flower = (Image.fromarray(pixels) for pixels in load_sample_images().images)
    turned = china.getexif()
    turned[0x0112] = 6
    return {
        "jpeg": _encoded(china, "JPEG", quality=90),
        "png": _encoded(flower.crop((10, 20, 400, 333)), "PNG"),
        "tall": _encoded(flower.crop((100, 0, 237, 427)), "JPEG"),
        "tiny": _encoded(flower.resize((31, 17)), "PNG"),
        "grey": _encoded(china.convert("L"), "JPEG"),
        "palette": _encoded(flower.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        "alpha": _encoded(Image.merge("RGBA", (*flower.split(), flower.convert("L"))), "PNG"),
        "cmyk": _encoded(china.convert("CMYK"), "JPEG"),
        "exif": _encoded(china, "JPEG", exif=turned),
    }


PHOTOGRAPHS = _photographs()

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


def _pixels(transform: Callable[[Image.Image], Any], image: Image.Image) -> npt.NDArray[np.uint8]:
    """What a library's transform makes before mean and std: its last steps make a tensor in 0..1 and normalise it."""
    transform.transforms.pop()  # type: ignore[attr-defined]
    tensor = transform(image)
    return np.round(tensor.numpy().transpose(1, 2, 0) * 255).astype(np.uint8)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("config", TIMM)
def test_pixels_are_timms(name: str, config: str) -> None:
    settings: Any = TIMM[config]
    mean = (0.48, 0.45, 0.41)
    theirs = timm.data.create_transform(**settings, mean=mean, std=(0.2, 0.2, 0.2), is_training=False)
    # timm's own datasets make a picture RGB before their transform sees it.
    expected = _pixels(theirs, Image.open(io.BytesIO(PHOTOGRAPHS[name])).convert("RGB"))
    ours = of_timm(**settings, mean=mean)
    np.testing.assert_array_equal(ours(decode(PHOTOGRAPHS[name])), expected)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("config", OPEN_CLIP)
def test_pixels_are_open_clips(name: str, config: str) -> None:
    settings: Any = OPEN_CLIP[config]
    size, rest = settings["size"], {key: value for key, value in settings.items() if key != "size"}
    expected = _pixels(image_transform(size, is_train=False, **rest), Image.open(io.BytesIO(PHOTOGRAPHS[name])))
    ours = of_open_clip(**settings)
    np.testing.assert_array_equal(ours(decode(PHOTOGRAPHS[name])), expected)


def test_rgb_first_and_last_differ_where_it_matters() -> None:
    image = decode(PHOTOGRAPHS["palette"])
    first = Preprocess((64, 64), (64, 64), "shortest", "bicubic", rgb_first=True)
    last = Preprocess((64, 64), (64, 64), "shortest", "bicubic", rgb_first=False)
    assert (first(image) != last(image)).any()


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
