"""Real photographs in the shapes and colour modes that image sets have, and what a library's transform makes of one."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_sample_images


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format=form, **options)
    return out.getvalue()


def _photographs() -> dict[str, bytes]:
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


def pixels_before_mean(transform: Callable[[Image.Image], Any], image: Image.Image) -> npt.NDArray[np.uint8]:
    """What a library's transform makes before mean and std: its last steps make a tensor in 0..1 and normalise it."""
    transform.transforms.pop()  # type: ignore[attr-defined]
    tensor = transform(image)
    return np.round(tensor.numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
