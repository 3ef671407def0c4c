"""Small real things for tests: pictures, prepared image sets, and checkpoints in the libraries' own folder formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine import image_sets
from engine.files import Folder
from engine.image_sets import ImageSet, Role

CLASS_NAMES = ("red", "green", "blue")


def picture(
    shade: tuple[int, int, int], *, size: tuple[int, int] = (40, 32), seed: int = 0, form: str = "PNG"
) -> bytes:
    """An encoded picture of one colour with a little noise."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-12, 13, (size[1], size[0], 3))
    pixels = np.clip(np.array(shade) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format=form)
    return out.getvalue()


def rows(count: int, *, labels: Sequence[int | None], seed: int = 0) -> list[dict[str, object]]:
    """Rows of a prepared set: pictures in the colour of their label, grey where they have none."""
    shades = {0: (200, 40, 40), 1: (40, 200, 40), 2: (40, 40, 200), None: (120, 120, 120)}
    return [
        {
            "image_id": f"{seed}/{number:04d}",
            "image": picture(shades[labels[number % len(labels)]], seed=seed * 1000 + number),
            "label": labels[number % len(labels)],
        }
        for number in range(count)
    ]


def prepared(
    data: Path,
    name: str,
    role: Role,
    content: Sequence[Mapping[str, object]],
    *,
    shard_rows: int = 8,
    clean: str = "colours",
) -> None:
    """Write a prepared set of the three colours."""
    names = () if role == "out" else CLASS_NAMES
    image_set = ImageSet(name, role, clean, names, tuple((number,) for number in range(len(names))))
    image_sets.write(Folder.of(data), image_set, content, shard_rows=shard_rows)


def world(data: Path) -> None:
    """Three small prepared sets: clean, shifted, out."""
    prepared(data, "colours", "clean", rows(24, labels=(0, 1, 2), seed=1))
    prepared(data, "colours-shift", "shift", rows(12, labels=(2, 0, 1), seed=2))
    prepared(data, "greys", "out", rows(10, labels=(None,), seed=3))


def save_timm(
    folder: Path, arch: str = "resnet18", *, classes: int = 3, seed: int = 0, pixels: int = 32, **model_args: Any
) -> None:
    """A timm model with random weights, as a folder that timm loads."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = timm.create_model(arch, pretrained=False, num_classes=classes, **model_args)
    for value in model.state_dict().values():
        if value.is_floating_point() and not value.any():
            value.normal_(std=0.1)  # some architectures start with a head of zeros, which would show nothing
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    size = model_args.get("img_size", pixels)
    config = {
        "architecture": arch,
        "num_classes": classes,
        "model_args": model_args,
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "interpolation": "bicubic",
            "crop_pct": 0.9,
            "mean": [0.4, 0.5, 0.6],
            "std": [0.2, 0.25, 0.3],
            "num_classes": classes,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))


def save_open_clip(folder: Path, *, seed: int = 0, size: int = 32, logit_bias: float | None = None) -> None:
    """A small CLIP with random weights, as a folder that open_clip loads."""
    model_cfg: dict[str, Any] = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": size, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    if logit_bias is not None:
        model_cfg["init_logit_bias"] = logit_bias
    save_clip(folder, model_cfg, seed=seed)


def save_clip(folder: Path, model_cfg: dict[str, Any], *, seed: int = 0) -> None:
    """A CLIP of one of open_clip's model configurations, with random weights, as a folder that open_clip loads."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = open_clip.CLIP(**model_cfg)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.3, 0.3, 0.3],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    size = model_cfg["vision_cfg"]["image_size"]
    config = {"model_cfg": model_cfg, "preprocess_cfg": {"size": size, "mode": "RGB", **preprocess}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def grid(path: Path, models: Mapping[str, str], **facts: str) -> Path:
    """A grid CSV; `models` maps a name to its library, its checkpoint is the folder of that name beside the CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["name", "library", "arch", "checkpoint", *facts])
        writer.writeheader()
        for name, library in models.items():
            row = {"name": name, "library": library, "arch": name.split(".")[0], "checkpoint": f"local-dir:{name}"}
            writer.writerow({**row, **facts})
    return path
