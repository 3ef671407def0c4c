"""Checkpoints on disk in the libraries' own local formats, and how well they do by the libraries' own means.

A folder holds weights as safetensors beside the JSON that `open_clip.create_model_and_transforms("local-dir:...")` or
`timm.create_model("local-dir:...")` wants. Accuracy is taken from the saved folder with the library's own loader,
transform and prompts, so that it is an outside value for the engine.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from timm.models.vision_transformer import checkpoint_filter_fn

from engine import image_sets
from engine.files import Folder
from engine.miniature.recipes import Geometry, Recipe, Shape

EMBED_DIM = 48
VOCABULARY = 49408  # of open_clip's SimpleTokenizer
TEXT: Shape = {"context_length": 16, "vocab_size": VOCABULARY, "width": 48, "heads": 3, "layers": 1}
OPEN_CLIP_WEIGHTS = "open_clip_model.safetensors"
TIMM_WEIGHTS = "model.safetensors"
SAME_FEATURES = 1e-4

Tensors = dict[str, torch.Tensor]


def clip_config(recipe: Recipe) -> dict[str, object]:
    """open_clip's model configuration of a recipe."""
    return {
        "embed_dim": EMBED_DIM,
        "vision_cfg": {**recipe.shape, "image_size": recipe.geometry.size},
        "text_cfg": dict(TEXT),
    }


def save_clip(folder: Path, recipe: Recipe, weights: Tensors) -> None:
    """Write a CLIP as open_clip reads it."""
    geometry = recipe.geometry
    preprocess = {
        "mean": geometry.mean,
        "std": geometry.std,
        "interpolation": geometry.interpolation,
        "resize_mode": "squash" if geometry.mode == "squash" else "shortest",
    }
    config = {"model_cfg": clip_config(recipe), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2))
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / OPEN_CLIP_WEIGHTS)


def save_timm(folder: Path, recipe: Recipe, model: torch.nn.Module) -> None:
    """Write a classifier as timm reads it."""
    geometry = recipe.geometry
    classes, width = int(model.num_classes), int(model.num_features)  # type: ignore[arg-type]
    pretrained = {
        "architecture": recipe.builder,
        "input_size": [3, geometry.size, geometry.size],
        "interpolation": geometry.interpolation,
        "crop_pct": geometry.crop,
        "crop_mode": geometry.mode,
        "mean": geometry.mean,
        "std": geometry.std,
        "num_classes": classes,
    }
    config = {
        "architecture": recipe.builder,
        "num_classes": classes,
        "num_features": width,
        "model_args": dict(recipe.shape),
        "pretrained_cfg": pretrained,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / TIMM_WEIGHTS)


def tower_of(folder: Path, recipe: Recipe) -> Any:
    """The image tower of a saved CLIP as a timm model, in the recipe's size; its last layer is CLIP's projection.

    Raises
    ------
    ValueError : where timm's tower does not see what CLIP's saw
    """
    parent = open_clip.create_model(f"local-dir:{folder}").eval()
    size = int(parent.visual.image_size[0])
    shape = {**recipe.shape, "img_size": size} if "img_size" in recipe.shape else recipe.shape
    tower: Any = timm.create_model(recipe.builder, num_classes=EMBED_DIM, **shape).eval()
    tower.load_state_dict(_converted(load_file(folder / OPEN_CLIP_WEIGHTS), tower))
    with torch.no_grad():
        pixels = torch.randn(8, 3, size, size)
        gap = float((tower(pixels) - parent.encode_image(pixels)).abs().max())
    if gap > SAME_FEATURES:
        raise ValueError(f"The timm tower of '{recipe.name}' differs from its CLIP parent in {folder} by {gap:.2g}.")
    if recipe.geometry.size != size:
        tower.set_input_size(img_size=recipe.geometry.size)
    return tower


def _converted(weights: Tensors, tower: Any) -> Tensors:
    trunk = "visual.trunk."
    if f"{trunk}conv1.0.weight" not in weights:
        return checkpoint_filter_fn(weights, tower)
    projection = weights["visual.head.proj.weight"]
    kept = {name.removeprefix(trunk): tensor for name, tensor in weights.items() if name.startswith(trunk)}
    return {**kept, "fc.weight": projection, "fc.bias": torch.zeros(len(projection))}


@torch.no_grad()
def accuracy(folder: Path, recipe: Recipe, data: Folder, name: str = "digits") -> float:
    """Top-1 of a saved checkpoint on a prepared set, a fraction, by its library's own loader, transform and prompts."""
    shown = image_sets.read(data, name)
    classes = shown.image_set.class_names
    transform, scores = _clip_scores(folder, classes) if recipe.library == "open_clip" else _timm_scores(folder)
    right = 0
    for shard in shown.shards:
        table = (data / name).read(shard.file, columns=["image", "label"])
        pictures = [Image.open(io.BytesIO(content)) for content in table.column("image").to_pylist()]
        said = scores(torch.stack([transform(picture) for picture in pictures])).argmax(dim=1)
        right += int((said == torch.tensor(table.column("label").to_pylist())).sum())
    return right / shown.image_set.n_images


Scores = tuple[Callable[[Image.Image], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]


def _clip_scores(folder: Path, classes: tuple[str, ...]) -> Scores:
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    head = open_clip.build_zero_shot_classifier(
        model, open_clip.get_tokenizer(f"local-dir:{folder}"), classes, open_clip.OPENAI_IMAGENET_TEMPLATES
    )
    return transform, lambda pixels: model.logit_scale.exp() * model.encode_image(pixels, normalize=True) @ head


def _timm_scores(folder: Path) -> Scores:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    return create_transform(**resolve_data_config(model=model)), model  # type: ignore[no-untyped-call]


def resized_edge(geometry: Geometry) -> int:
    """Edge in pixels to which a square picture is resized before the centre crop."""
    return int(geometry.size / geometry.crop)
