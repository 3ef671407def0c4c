"""The recipes of the zoo: which small models are trained, on what, for how long.

Models differ in quality on purpose: in architecture, in the pictures they see, and in how long they look at them. A
study of equals shows nothing. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Family = Literal["zero_shot_clip", "finetuned_clip", "classifier"]
Target = Literal["captions", "label", "fine"]
Triple = tuple[float, float, float]
Shape = Mapping[str, Any]

BATCH = 128
AMOUNTS = {
    "WIT-mini": 6000,
    "LAION-mini-S": 2000,
    "LAION-mini-M": 6000,
    "LAION-mini-L": 12000,
    "Digits-1K": 4000,
    "Digits-21": 8000,
}
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a model wants of a picture, in the words of its library.

    Attributes
    ----------
    size : edge of the square input, in pixels
    mode : ``center`` or ``squash`` (timm's crop_mode); open_clip calls the first ``shortest``
    crop : part of the resized edge that the centre crop keeps; open_clip has only 1
    """

    size: int = 32
    interpolation: str = "bicubic"
    mode: str = "center"
    crop: float = 1.0
    mean: Triple = OPENAI_MEAN
    std: Triple = OPENAI_STD


@dataclass(frozen=True, slots=True)
class Stage:
    """One course of training: pictures of a source, what is to be told of them, how many steps of `BATCH` pictures."""

    source: str
    target: Target
    steps: int
    rate: float = 4e-3
    smoothing: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model of the zoo is made.

    Attributes
    ----------
    name : ``arch.pretrained``
    lineage : same recipe and backbone family, or one grown from the other
    builder : timm architecture; ``CLIP`` for `open_clip.CLIP`
    shape : arguments of the builder; of the image tower for CLIP
    stages : what it is trained on, in order; every stage of a classifier starts a new last layer
    parent : the recipe that it is grown from
    """

    name: str
    family: Family
    group: str
    encoder: str
    lineage: str
    builder: str
    shape: Shape
    stages: tuple[Stage, ...]
    seed: int
    geometry: Geometry = field(default_factory=Geometry)
    route: str = ""
    parent: Recipe | None = None

    @property
    def library(self) -> str:
        """Name of the library that loads it."""
        return "open_clip" if self.family == "zero_shot_clip" else "timm"

    @property
    def train_source(self) -> str:
        """What it, or the parent that it is grown from, was trained on first."""
        return (self.parent or self).stages[0].source

    @property
    def samples_seen(self) -> int:
        """Number of pictures it was trained with, repeats and its parent's included."""
        before = self.parent.samples_seen if self.parent else 0
        return before + BATCH * sum(stage.steps for stage in self.stages)


# What the CLIPs are made of: encoder, backbone family, arguments of open_clip's image tower.
BACKBONES: dict[str, tuple[str, str, Shape]] = {
    "ViT-XXS-8": ("vit", "vit", {"patch_size": 8, "width": 48, "layers": 3, "head_width": 16}),
    "RN-XXS": ("cnn", "rn", {"layers": [1, 1, 1, 1], "width": 8, "head_width": 32}),
    "RN-XS": ("cnn", "rn", {"layers": [1, 1, 1, 1], "width": 12, "head_width": 48}),
    "resnet_xs": ("cnn", "resnet", {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}),
    "regnet_xxs": ("cnn", "regnet", {"timm_model_name": "test_byobnet", "timm_pool": "avg", "timm_proj": "linear"}),
}
SQUASHED = Geometry(mode="squash", mean=HALF, std=HALF)


def _clip(arch: str, source: str, steps: int, seed: int, geometry: Geometry | None = None) -> Recipe:
    encoder, backbone, shape = BACKBONES[arch]
    return Recipe(
        name=f"{arch}.{source.lower().replace('-', '_')}",
        family="zero_shot_clip",
        group="zero_shot_clip",
        encoder=encoder,
        lineage=f"clip-{source.lower()}-{backbone}",
        builder="CLIP",
        shape=shape,
        stages=(Stage(source, "captions", steps),),
        seed=seed,
        geometry=geometry or Geometry(),
    )


CLIPS = {
    recipe.name: recipe
    for recipe in (
        _clip("resnet_xs", "LAION-mini-L", 320, 11, SQUASHED),
        _clip("RN-XS", "WIT-mini", 280, 12),
        _clip("resnet_xs", "WIT-mini", 240, 13, SQUASHED),
        _clip("RN-XS", "LAION-mini-M", 330, 14),
        _clip("ViT-XXS-8", "LAION-mini-L", 360, 15),
        _clip("RN-XXS", "LAION-mini-L", 400, 16),
        _clip("ViT-XXS-8", "WIT-mini", 320, 17),
        _clip("RN-XXS", "WIT-mini", 220, 19),
        _clip("regnet_xxs", "LAION-mini-M", 320, 20),
        _clip("resnet_xs", "LAION-mini-M", 220, 18, SQUASHED),
        _clip("resnet_xs", "LAION-mini-S", 150, 21, SQUASHED),
        _clip("RN-XXS", "LAION-mini-S", 180, 22),
    )
}

VIT: Shape = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 3}
LARGER_VIT: Shape = {**VIT, "img_size": 40}


def _tuned(parent: Recipe, route: str, seed: int, *, steps: int = 120, larger: bool = False) -> Recipe:
    vit = parent.encoder == "vit"
    arch = f"vit_xxs_patch8_clip_{40 if larger else 32}" if vit else "resnet_xs_clip"
    first = (Stage("Digits-1K", "fine", steps // 2, 2e-3),) if route == "intermediate" else ()
    tag = "ft_fine_digits" if first else "ft_digits"
    geometry = Geometry(size=40, interpolation="bilinear", crop=0.9) if larger else parent.geometry
    return Recipe(
        name=f"{arch}.{parent.name.split('.')[1]}_{tag}",
        family="finetuned_clip",
        group="clip_ft",
        encoder=parent.encoder,
        lineage=parent.lineage,
        builder="vit_base_patch16_clip_224" if vit else "test_resnet",
        shape=(LARGER_VIT if larger else VIT) if vit else {},
        stages=(*first, Stage("Digits-1K", "label", steps - steps // 2 if first else steps, 2e-3)),
        seed=seed,
        geometry=geometry,
        route=route,
        parent=parent,
    )


TUNED = (
    _tuned(CLIPS["resnet_xs.laion_mini_l"], "direct", 31, steps=70),
    _tuned(CLIPS["resnet_xs.laion_mini_l"], "intermediate", 32, steps=90),
    _tuned(CLIPS["ViT-XXS-8.laion_mini_l"], "direct", 33, larger=True),
    _tuned(CLIPS["ViT-XXS-8.laion_mini_l"], "intermediate", 34, steps=140),
    _tuned(CLIPS["ViT-XXS-8.wit_mini"], "direct", 35),
    _tuned(CLIPS["ViT-XXS-8.wit_mini"], "intermediate", 36, steps=140),
    _tuned(CLIPS["resnet_xs.wit_mini"], "direct", 37, steps=60),
)

CROPPED = Geometry(interpolation="bilinear", crop=0.9, mean=IMAGENET_MEAN, std=IMAGENET_STD)
WHOLE = Geometry(mean=IMAGENET_MEAN, std=IMAGENET_STD)
# What the classifiers are made of: encoder, timm architecture, its arguments, geometry.
CLASSIFIERS: dict[str, tuple[str, str, Shape, Geometry]] = {
    "vit_xxs_patch8_32": ("vit", "vit_tiny_patch16_224", {**VIT, "embed_dim": 64, "num_heads": 4}, WHOLE),
    "resnet_xxs": ("cnn", "resnet10t", {"channels": [16, 32, 48, 64], "stem_width": 8}, CROPPED),
    "resnet_xs": ("cnn", "test_resnet", {}, WHOLE),
    "convnext_xxs": (
        "cnn",
        "convnext_atto",
        {"dims": [16, 32, 64, 96], "depths": [1, 1, 2, 1], "patch_size": 2},
        SQUASHED,
    ),
    "efficientnet_xxs": ("cnn", "test_efficientnet", {}, CROPPED),
}


def _classifier(arch: str, seed: int, *, before: int = 0, steps: int, smoothing: float = 0.0) -> Recipe:
    encoder, builder, shape, geometry = CLASSIFIERS[arch]
    first = (Stage("Digits-21", "fine", before),) if before else ()
    return Recipe(
        name=f"{arch}.digits_21_ft_digits_1k" if before else f"{arch}.digits_1k",
        family="classifier",
        group="more_data" if before else "standard",
        encoder=encoder,
        lineage=f"{'digits-21' if before else 'digits-1k'}-{arch.split('_')[0]}",
        builder=builder,
        shape=shape,
        stages=(*first, Stage("Digits-1K", "label", steps, 2e-3 if before else 4e-3, smoothing)),
        seed=seed,
        geometry=geometry,
    )


PLAIN = (
    _classifier("resnet_xs", 51, before=150, steps=110),
    _classifier("vit_xxs_patch8_32", 52, before=200, steps=60),
    _classifier("resnet_xxs", 53, before=220, steps=160, smoothing=0.1),
    _classifier("convnext_xxs", 54, before=180, steps=120),
    _classifier("efficientnet_xxs", 55, before=160, steps=110),
    _classifier("resnet_xs", 56, steps=110),
    _classifier("vit_xxs_patch8_32", 57, steps=180, smoothing=0.1),
    _classifier("resnet_xxs", 58, steps=200),
    _classifier("convnext_xxs", 59, steps=180),
    _classifier("efficientnet_xxs", 60, steps=120, smoothing=0.1),
)

ZOO = (*CLIPS.values(), *PLAIN, *TUNED)
