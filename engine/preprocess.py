"""Geometry from an encoded file to uint8 pixels, as each checkpoint's own library does it, bit for bit.

timm turns a picture into RGB first and then resizes it; open_clip resizes and crops first and turns it into RGB last,
which differs for palettes and alpha. Both make grey three equal channels, turn CMYK into RGB as Pillow does, drop alpha
without a background, and leave a picture as it is stored where EXIF says that it is turned. Mean and standard deviation
are no part of this: the tower applies them on its device. Needs Pillow and numpy only, so that the workers that decode
never load torch; Pillow when a picture is decoded, so that studies run where none is. What a geometry is stands in
`Preprocess.__call__`; `all_pixels` makes the same of one picture for many geometries, faster.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from engine.pixels import FILTERS, Line, Picture, Resampler, resampler

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
Fit = Literal["shortest", "longest", "squash"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Resize, then crop or pad about the centre.

    Attributes
    ----------
    resize : (height, width) that the picture is resized to fit
    crop : (height, width) of the result
    fit : shortest (shorter edge fits, the rest is cropped), longest (longer edge fits, the rest is filled), squash
    interpolation : name of a Pillow resampling filter
    fill : colour of what is added around the picture
    rgb_first : whether it is made RGB before (timm) or after (open_clip) it is resized
    """

    resize: tuple[int, int]
    crop: tuple[int, int]
    fit: Fit
    interpolation: str
    fill: tuple[int, int, int] = (0, 0, 0)
    rgb_first: bool = True

    def __str__(self) -> str:
        height, width = self.crop
        order = "rgb first" if self.rgb_first else "rgb last"
        text = f"{height}x{width} of {self.resize[0]}x{self.resize[1]}, {self.fit}, {self.interpolation}, {order}"
        return text if self.fit != "longest" else f"{text}, fill {self.fill}"

    def __call__(self, image: Image.Image) -> Pixels:
        """Pixels (height, width, 3) of a decoded picture."""
        if self.rgb_first:
            image = image.convert("RGB")
        return self.centre(_resized(image, self.resized(image.height, image.width), self.interpolation))

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that a picture of this height and width is resized to."""
        if self.fit == "squash":
            return self.resize
        if self.fit == "shortest" and self.resize[0] == self.resize[1]:
            # torchvision truncates the longer edge here; the ratio-keeping resizes of timm and open_clip round both.
            short = self.resize[0]
            return (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
        ratios = height / self.resize[0], width / self.resize[1]
        ratio = max(ratios) if self.fit == "longest" else min(ratios)
        return round(height / ratio), round(width / ratio)

    def centre(self, image: Image.Image) -> Pixels:
        """Pixels of a picture that is resized already."""
        from PIL import ImageOps

        height, width = self.crop
        down, right = max(height - image.height, 0), max(width - image.width, 0)
        if down or right:
            border = (right // 2, down // 2, (right + 1) // 2, (down + 1) // 2)
            image = ImageOps.expand(image, border, fill=self.fill if image.mode == "RGB" else self.fill[0])
        top, left = round((image.height - height) / 2), round((image.width - width) / 2)
        return np.asarray(image.crop((left, top, left + width, top + height)).convert("RGB"))

    def cut(self, picture: Picture, resample: Resampler) -> Pixels:
        """Pixels of an RGB picture, as `__call__` makes them, without those that the crop would take away."""
        down, across = map(_line, picture.size, self.resized(*picture.size), self.crop)
        made = resample.cut(picture, across, down, self.interpolation)
        if made.shape[:2] == self.crop:
            return made
        framed = np.empty((*self.crop, 3), np.uint8)
        framed[:] = self.fill
        top, left = (self.crop[0] - made.shape[0]) // 2, (self.crop[1] - made.shape[1]) // 2
        framed[top : top + made.shape[0], left : left + made.shape[1]] = made
        return framed

    def of_rgb(self, mode: str) -> Preprocess | None:
        """The geometry that makes the same of the picture in RGB as this one does in its mode, where there is one."""
        if self.rgb_first or mode == "RGB":
            return replace(self, rgb_first=True)
        return replace(self, fill=(self.fill[0],) * 3, rgb_first=True) if mode == "L" else None


def _resized(image: Image.Image, size: tuple[int, int], interpolation: str) -> Image.Image:
    from PIL.Image import Resampling

    height, width = size
    return image if (width, height) == image.size else image.resize((width, height), Resampling[interpolation.upper()])


def _line(length: int, size: int, crop: int) -> Line:
    return Line(length, size, first=round((size - crop) / 2) if size > crop else 0, count=min(size, crop))


def all_pixels(image: Image.Image, geometries: Sequence[Preprocess]) -> list[Pixels]:
    """`[geometry(image) for geometry in geometries]` of a decoded picture, bit for bit, what they share done once."""
    for geometry in geometries:
        if min(geometry.resized(image.height, image.width)) < 1:
            raise Unreadable(f"{image.width} x {image.height} pixels are too narrow to be resized to {geometry}")
    shared = _Shared(image)
    return [shared.pixels(geometry) for geometry in geometries]


class _Shared:
    """One picture, and what several geometries make of it."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.picture: Picture | None = None
        self.made: dict[Preprocess, Pixels] = {}
        self.resized: dict[tuple[tuple[int, int], str], Image.Image] = {}

    @cached_property
    def rgb(self) -> Image.Image:
        return self.image if self.image.mode == "RGB" else self.image.convert("RGB")

    def pixels(self, geometry: Preprocess) -> Pixels:
        plain = geometry.of_rgb(self.image.mode)
        if plain is None:
            return geometry(self.image)
        if plain not in self.made:
            self.made[plain] = self._make(plain)
        return self.made[plain]

    def _make(self, geometry: Preprocess) -> Pixels:
        size = geometry.resized(self.rgb.height, self.rgb.width)
        resample = resampler()
        if resample and geometry.interpolation in FILTERS and min(size) > 0:
            if self.picture is None:
                self.picture = resample.picture(self.rgb)
            return geometry.cut(self.picture, resample)
        key = size, geometry.interpolation
        if key not in self.resized:
            self.resized[key] = _resized(self.rgb, *key)
        return geometry.centre(self.resized[key])


def of_timm(
    input_size: Sequence[int],
    crop_pct: float,
    crop_mode: str,
    interpolation: str,
    mean: Sequence[float],
) -> Preprocess:
    """Geometry of timm's evaluation transform (`timm.data.create_transform`, not training) for a data configuration."""
    crop = (int(input_size[-2]), int(input_size[-1]))
    resize = (math.floor(crop[0] / crop_pct), math.floor(crop[1] / crop_pct))
    fits: dict[str, Fit] = {"squash": "squash", "border": "longest"}
    red, green, blue = (round(255 * value) if crop_mode == "border" else 0 for value in mean)
    return Preprocess(resize, crop, fits.get(crop_mode, "shortest"), interpolation, (red, green, blue), rgb_first=True)


def of_open_clip(size: int | Sequence[int], interpolation: str, resize_mode: str, fill_color: int) -> Preprocess:
    """Geometry of open_clip's evaluation transform (`open_clip.transform.image_transform`) for a preprocess config."""
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    fits: dict[str, Fit] = {"squash": "squash", "longest": "longest"}
    chosen = "bilinear" if interpolation == "bilinear" else "bicubic"
    fill = (fill_color, fill_color, fill_color)
    return Preprocess(
        (height, width), (height, width), fits.get(resize_mode, "shortest"), chosen, fill, rgb_first=False
    )


class Unreadable(ValueError):
    """A picture that cannot be decoded, with the reason."""


def decode(content: bytes) -> Image.Image:
    """The decoded picture of an encoded file; `Unreadable` with Pillow's reason where it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except UnidentifiedImageError as error:  # whose text has an address in memory
        raise Unreadable("UnidentifiedImageError: cannot identify image file") from error
    except MemoryError:
        raise
    except Exception as error:  # what its decoders raise is listed nowhere: RuntimeError for AVIF
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise Unreadable(f"{type(error).__name__}: {reason}") from error
    return image
