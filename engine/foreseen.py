"""What a checkpoint's own folder announces before it is loaded: its geometry, its image size, how large it is.

So pictures are decoded while models are being loaded, and packs are planned. Only the library that loads a model knows
its geometry for sure: what is foreseen is compared with that, and pictures decoded for another one are thrown away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.models import ModelSpec
from engine.preprocess import Preprocess, of_open_clip, of_timm
from engine.weights import SUFFIXES

BYTES_PER_PARAMETER = 4
TIMM, OPEN_CLIP = "config.json", "open_clip_config.json"
OTHERWISE: dict[str, Any] = {
    "crop_pct": 0.875,
    "crop_mode": "center",
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
}


def geometries(specs: Iterable[ModelSpec]) -> tuple[Preprocess, ...]:
    """The geometries of the models, each once; none at all where that of any model cannot be foreseen."""
    found = dict.fromkeys(geometry(spec) for spec in specs)
    return tuple(each for each in found if each is not None) if None not in found else ()


def geometry(spec: ModelSpec) -> Preprocess | None:
    """The geometry that a model will have; None where its checkpoint is no local folder that says so."""
    if spec.folder is None:
        return None
    try:
        if spec.library == "timm":
            return _timm(_read(spec.folder / TIMM)["pretrained_cfg"])
        return _open_clip(_read(spec.folder / OPEN_CLIP))
    except (OSError, LookupError, TypeError, ValueError):
        return None  # loading the model will say what is wrong with it


@lru_cache(maxsize=4096)
def image_size(spec: ModelSpec) -> float | None:
    """Height of the pixels that a model will see."""
    found = geometry(spec)
    return float(found.crop[0]) if found else None


@lru_cache(maxsize=4096)
def params_m(spec: ModelSpec) -> float | None:
    """Parameters in millions, were the largest file of weights in float32."""
    files = [file for file in spec.folder.glob("*") if file.suffix in SUFFIXES] if spec.folder else []
    return max(file.stat().st_size for file in files) / BYTES_PER_PARAMETER / 1e6 if files else None


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _timm(config: Mapping[str, Any]) -> Preprocess:
    said = OTHERWISE | {name: value for name, value in config.items() if value}
    size, part = said.get("test_input_size") or said["input_size"], said.get("test_crop_pct") or said["crop_pct"]
    return of_timm(size, part, said["crop_mode"], said["interpolation"], said["mean"])


def _open_clip(config: Mapping[str, Any]) -> Preprocess:
    said = {name: value for name, value in config["preprocess_cfg"].items() if value}
    size = said.get("size") or config["model_cfg"]["vision_cfg"]["image_size"]
    chosen = said.get("interpolation", "bicubic"), said.get("resize_mode", "shortest"), said.get("fill_color", 0)
    return of_open_clip(size, *chosen)
