"""The recipes of the zoo: which small models are trained, on what, for how long.

Models differ in quality on purpose: in width, in the number of images they see, and in how long they look at them. A study
of equals shows nothing. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

Family = Literal["zero_shot_clip", "finetuned_clip", "classifier"]
Target = Literal["captions", "label", "fine"]
Shape = Mapping[str, object]

BATCH = 128
FINE_CLASSES = 40
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
    crop : part of the resized edge that the centre crop keeps
    """

    size: int = 32
    interpolation: str = "bicubic"
    mode: str = "center"
    crop: float = 1.0
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD


@dataclass(frozen=True, slots=True)
class Stage:
    """One course of training: pictures of a source, what is to be told of them, how many steps of `BATCH` pictures."""

    source: str
    target: Target
    images: int
    steps: int
    rate: float = 2e-3
    smoothing: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model of the zoo is made.

    Attributes
    ----------
    name : ``arch.pretrained``
    builder : timm architecture; ``CLIP`` for `open_clip.CLIP`
    shape : arguments of the builder; of the image tower for CLIP
    stages : what it is trained on, in order; every stage but captions starts a new last layer
    lineage : same recipe and backbone family, or one grown from the other
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

    def row(self) -> dict[str, object]:
        """The row of the grid, but for what is known only after training."""
        first = (self.parent or self).stages[0]
        steps = sum(stage.steps for stage in (*(self.parent.stages if self.parent else ()), *self.stages))
        return {
            "name": self.name,
            "library": self.library,
            "arch": self.name.split(".")[0],
            "checkpoint": f"local-dir:checkpoints/{self.name}",
            "family": self.family,
            "group": self.group,
            "train_source": first.source,
            "pretrain_images": first.images,
            "samples_seen": steps * BATCH,
            "finetune_route": self.route,
            "encoder": self.encoder,
            "image_size": self.geometry.size,
            "lineage": self.lineage,
            "parent": self.parent.name if self.parent else "",
            "evidence": "trained here, from fixed seeds",
        }

    def facts(self) -> dict[str, object]:
        """Everything that decides the weights, its parent's included."""
        return asdict(self)


VITS: dict[str, Shape] = {
    "ViT-XXS-8": {"patch_size": 8, "width": 48, "layers": 3, "head_width": 16},
    "ViT-XS-8": {"patch_size": 8, "width": 80, "layers": 4, "head_width": 16},
    "ViT-XXS-4": {"patch_size": 4, "width": 48, "layers": 2, "head_width": 16},
}
CNNS: dict[str, Shape] = {
    "RN-XXS": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 32},
    "RN-XS": {"layers": [1, 1, 1, 1], "width": 12, "head_width": 48},
    "convnext_xxs": {"timm_model_name": "test_convnext", "timm_pool": "avg", "timm_proj": "linear"},
}


def _clip(arch: str, source: str, images: int, steps: int, seed: int, geometry: Geometry | None = None) -> Recipe:
    shape, encoder = (VITS[arch], "vit") if arch in VITS else (CNNS[arch], "cnn")
    backbone = {"V": "vit", "R": "rn", "c": "convnext"}[arch[0]]
    return Recipe(
        name=f"{arch}.{source.lower().replace('-', '_')}",
        family="zero_shot_clip",
        group="zero_shot_clip",
        encoder=encoder,
        lineage=f"clip-{source.lower()}-{backbone}",
        builder="CLIP",
        shape=shape,
        stages=(Stage(source, "captions", images, steps),),
        seed=seed,
        geometry=geometry or Geometry(),
    )


CLIPS = (
    _clip("ViT-XXS-4", "LAION-mini-L", 10_000, 250, 11),
    _clip("ViT-XS-8", "LAION-mini-L", 10_000, 400, 12),
    _clip("ViT-XS-8", "WIT-mini", 8_000, 400, 13),
    _clip("RN-XS", "WIT-mini", 8_000, 300, 14),
    _clip("RN-XS", "LAION-mini-M", 6_000, 300, 15),
    _clip("ViT-XXS-8", "LAION-mini-L", 10_000, 500, 16),
    _clip("ViT-XXS-8", "LAION-mini-M", 6_000, 500, 17),
    _clip("ViT-XXS-8", "LAION-mini-S", 3_000, 400, 18),
    _clip("ViT-XXS-8", "WIT-mini", 8_000, 500, 19),
    _clip("RN-XXS", "LAION-mini-L", 10_000, 400, 20),
    _clip("RN-XXS", "LAION-mini-S", 3_000, 250, 21),
    _clip("RN-XXS", "WIT-mini", 8_000, 350, 22),
    _clip("convnext_xxs", "LAION-mini-M", 6_000, 400, 23, Geometry(mode="squash", mean=HALF, std=HALF)),
)
