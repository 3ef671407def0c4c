"""What the benchmark runs on: models with random weights, and JPEG files of ImageNet's size, as files and prepared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import image_sets, models
from engine.files import Folder
from engine.image_sets import ImageSet
from tests import small
from tests.benchmarks.decode import pictures

SET = "pictures"
CLASSES = ("dog", "cat", "tree", "car")
DISTINCT = 100

TIMM: dict[str, dict[str, dict[str, Any]]] = {  # arguments of small.save_timm
    "tiny": {
        "test_byobnet": {"pixels": 160},
        "test_vit": {"img_size": 160},
        "test_convnext": {"pixels": 128},
        "test_efficientnet": {"pixels": 128},
    },
    "real": {
        "resnet18": {"pixels": 224},
        "mobilenetv3_small_100": {"pixels": 224},
        "vit_tiny_patch16_224": {"pixels": 224},
    },
    "h200": {
        "resnet50": {"pixels": 224},
        "resnet152": {"pixels": 224},
        "efficientnet_b0": {"pixels": 224},
        "mobilenetv3_large_100": {"pixels": 224},
        "vit_small_patch16_224": {"pixels": 224},
        "convnext_base": {"pixels": 288},
        "vit_base_patch16_384": {"pixels": 384},
    },
}
TINY_CLIP: dict[str, dict[str, Any]] = {  # how they see; what they read with hardly matters
    "tiny-vit-2": {"layers": 2, "width": 128, "head_width": 32, "patch_size": 16},
    "tiny-vit-4": {"layers": 4, "width": 128, "head_width": 32, "patch_size": 16},
    "tiny-vit-6": {"layers": 6, "width": 128, "head_width": 32, "patch_size": 16},
    "tiny-resnet": {"layers": [1, 1, 1, 1], "width": 16, "head_width": 32},
}
CLIP: dict[str, tuple[str, ...]] = {  # of tiny ones, the above; else open_clip's configurations
    "tiny": tuple(TINY_CLIP),
    "real": ("ViT-B-32",),
    "h200": ("RN50", "ViT-B-32", "ViT-B-16", "ViT-L-14", "RN101"),
}
IMAGES = {"tiny": 2000, "real": 2000, "h200": 20_000}


@dataclass(frozen=True, slots=True)
class World:
    """The same pictures as JPEG files in a folder per class, and as a prepared set.

    Attributes
    ----------
    count : number of pictures; their sorted paths are in the order of the prepared set
    """

    root: Path
    count: int

    @property
    def files(self) -> Path:
        """Folder of the JPEG files."""
        return self.root / "files"

    @property
    def data(self) -> Path:
        """DATA with the prepared set."""
        return self.root / "data"

    def paths(self) -> list[Path]:
        """The JPEG files in order."""
        return sorted(self.files.rglob("*.jpg"))


def make_world(root: Path, count: int) -> World:
    """So many JPEG files, no two alike, and the same prepared."""
    world = World(root, count)
    image_set = ImageSet(SET, "clean", SET, CLASSES, tuple((number,) for number in range(len(CLASSES))))
    image_sets.write(Folder.of(world.data), image_set, _rows(world))
    return world


def _rows(world: World) -> Iterator[dict[str, object]]:
    """Rows of the prepared set; each is written as a file on the way."""
    distinct = pictures(min(world.count, DISTINCT))
    for number in range(world.count):
        plain = distinct[number % len(distinct)]
        content = plain[:2] + b"\xff\xfe\x00\x0a" + f"{number:08d}".encode() + plain[2:]  # a comment of its own
        label = number * len(CLASSES) // world.count
        file = world.files / str(label) / f"{number:06d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        yield {"image_id": f"{number:06d}", "image": content, "label": label}


def make_models(root: Path, which: str) -> tuple[models.ModelSpec, ...]:
    """Checkpoints with random weights, and the grid that lists them."""
    root.mkdir()
    for arch, arguments in TIMM[which].items():
        small.save_timm(root / f"{arch}.random", arch, classes=len(CLASSES), **arguments)
    for arch in CLIP[which]:
        small.save_clip(root / f"{arch}.random", _configuration(arch))
    libraries = dict.fromkeys(TIMM[which], "timm") | dict.fromkeys(CLIP[which], "open_clip")
    grid = small.grid(root / "models.csv", {f"{arch}.random": library for arch, library in libraries.items()})
    return models.read_grid(grid)


def _configuration(arch: str) -> dict[str, Any]:
    import open_clip

    if arch in TINY_CLIP:
        reads = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
        return {"embed_dim": 24, "vision_cfg": {"image_size": 128, **TINY_CLIP[arch]}, "text_cfg": reads}
    found: dict[str, Any] = open_clip.get_model_config(arch)
    return found
