"""Towers and heads, held against the models' own libraries: what features @ head gives is what the library computes."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image
from small import CLASS_NAMES, grid, picture, save_open_clip, save_timm
from torch import nn

from engine import heads, models, towers
from engine.models import BadRequest
from engine.prompts import PROMPTS

CPU = torch.device("cpu")
TOLERANCE = 1e-5  # relative to the largest logit, float32
HARMS = ("truncated", "absent", "other architecture", "missing keys", "other shapes", "no weights inside")

TIMM = {
    "resnet18": {},
    "resnetv2_50": {"layers": (1, 1, 1, 1), "channels": (16, 16, 32, 32), "stem_chs": 16},
    "vit_tiny_patch16_224": {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3},
    "vit_base_patch16_clip_224": {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3},
    "deit_tiny_distilled_patch16_224": {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3},
    "convnext_tiny": {"depths": (1, 1, 1, 1), "dims": (16, 24, 32, 40), "patch_size": 2},
    "mixer_s32_224": {"img_size": 64},
    "mobilenetv3_small_050": {},
    "efficientnet_b0": {},
    "densenet121": {"growth_rate": 8, "block_config": (2, 2, 2, 2)},
    "vgg11": {},
}


def _spec(folder: Path, name: str, library: str) -> models.ModelSpec:
    return models.read_grid(grid(folder / "models.csv", {name: library}))[0]


def _pictures() -> list[bytes]:
    return [picture((40 * number, 90, 200 - 30 * number), seed=number, size=(45, 37)) for number in range(5)]


def _shown(tower: towers.Tower, contents: list[bytes]) -> Any:
    pixels = np.stack([tower.preprocess(Image.open(io.BytesIO(content))) for content in contents])
    return tower.features(pixels, batch_size=2)


def _distance(ours: Any, theirs: torch.Tensor) -> float:
    expected = theirs.numpy()
    return float(np.abs(ours - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("arch", TIMM)
def test_features_at_head_are_the_models_own_output(arch: str, tmp_path: Path) -> None:
    name = f"{arch}.test"
    save_timm(tmp_path / name, arch, **TIMM[arch])
    tower = towers.load(_spec(tmp_path, name, "timm"), CPU)
    (head,) = heads.build(tower, ["learned"], CLASS_NAMES)
    model = timm.create_model(f"local-dir:{tmp_path / name}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    batch = torch.stack([transform(Image.open(io.BytesIO(content)).convert("RGB")) for content in _pictures()])
    with torch.inference_mode():
        expected = model(batch)
    assert _distance(head.logits(_shown(tower, _pictures())), expected) < TOLERANCE
    assert _distance(head.logits(_shown(tower.channels_last(), _pictures())), expected) < TOLERANCE


@pytest.mark.parametrize("arch", ["resnet18", "deit_tiny_distilled_patch16_224"])
def test_a_model_may_be_shown_pictures_by_several_threads(arch: str, tmp_path: Path) -> None:
    save_timm(tmp_path / f"{arch}.test", arch, **TIMM[arch])
    tower = towers.load(_spec(tmp_path, f"{arch}.test", "timm"), CPU)
    alone = [_shown(tower, _pictures()[:count]) for count in range(1, 6)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda count: _shown(tower, _pictures()[: 1 + count % 5]), range(40)))
    for number, features in enumerate(together):
        np.testing.assert_allclose(features, alone[number % 5], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("logit_bias", [None, -4.5])
@pytest.mark.parametrize("prompts", sorted(PROMPTS))
def test_zero_shot_logits_are_open_clips_own(prompts: str, logit_bias: float | None, tmp_path: Path) -> None:
    save_open_clip(tmp_path / "ViT.test", logit_bias=logit_bias)
    tower = towers.load(_spec(tmp_path, "ViT.test", "open_clip"), CPU)
    (head,) = heads.build(tower, [prompts], CLASS_NAMES)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'ViT.test'}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'ViT.test'}")
    classifier = open_clip.build_zero_shot_classifier(
        model, tokenizer, CLASS_NAMES, [template.format for template in PROMPTS[prompts]]
    )
    batch = torch.stack([transform(Image.open(io.BytesIO(content))) for content in _pictures()])
    with torch.inference_mode():
        expected = model.logit_scale.exp() * model.encode_image(batch, normalize=True) @ classifier
        expected = expected + (model.logit_bias if logit_bias is not None else 0.0)
    ours = head.logits(_shown(tower, _pictures()))
    assert _distance(ours, expected) < TOLERANCE
    assert _distance(head.logits(_shown(tower.channels_last(), _pictures())), expected) < TOLERANCE
    assert head.scale == pytest.approx(model.logit_scale.detach().exp().item())


def test_prompt_sets_are_open_clips() -> None:
    assert PROMPTS["openai80"] == tuple(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES)
    assert PROMPTS["openai7"] == tuple(template("{}") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES)


def test_a_head_that_is_not_linear_is_refused(tmp_path: Path) -> None:
    save_timm(tmp_path / "resnet18.test")
    tower = towers.load(_spec(tmp_path, "resnet18.test", "timm"), CPU)
    tower.module.fc = nn.Identity()
    with pytest.raises(BadRequest, match=r"Model 'resnet18.test' ends in Identity, no linear layer"):
        heads.build(tower, ["learned"], CLASS_NAMES)


def test_a_model_that_goes_on_after_its_last_layer_is_refused(tmp_path: Path) -> None:
    save_timm(tmp_path / "resnet18.test")
    tower = towers.load(_spec(tmp_path, "resnet18.test", "timm"), CPU)
    tower.module.register_forward_hook(lambda _module, _given, logits: logits.tanh())
    with pytest.raises(BadRequest, match="does not end with its last linear layer: its logits are not features @ head"):
        heads.build(tower, ["learned"], CLASS_NAMES)


def test_a_head_of_other_classes_is_refused(tmp_path: Path) -> None:
    save_timm(tmp_path / "resnet18.test", classes=7)
    tower = towers.load(_spec(tmp_path, "resnet18.test", "timm"), CPU)
    with pytest.raises(BadRequest, match="has 7 classes, but the clean image set 3"):
        heads.build(tower, ["learned"], CLASS_NAMES)


@pytest.mark.parametrize("library", ["timm", "open_clip"])
@pytest.mark.parametrize("harm", [*HARMS, "pickle"])
def test_a_wrong_checkpoint_is_refused_in_one_sentence(library: str, harm: str, tmp_path: Path) -> None:
    folder = tmp_path / "resnet18.test"
    save_timm(folder) if library == "timm" else save_open_clip(folder)
    _spoil(folder, harm)
    with pytest.raises(BadRequest, match=f"Model 'resnet18.test' cannot be loaded from .* by {library}: ") as raised:
        towers.load(_spec(tmp_path, "resnet18.test", library), CPU)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "owned").exists()


def test_a_head_of_ten_classes_is_refused_where_the_folder_says_three(tmp_path: Path) -> None:
    folder = tmp_path / "resnet18.test"
    save_timm(folder, classes=10)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_classes": 3}))
    with pytest.raises(BadRequest, match=r"'resnet18.test' cannot be loaded from .* by timm: .*size mismatch"):
        towers.load(_spec(tmp_path, "resnet18.test", "timm"), CPU)


@pytest.mark.parametrize("library", ["timm", "open_clip"])
def test_a_folder_of_another_kind_is_refused(library: str, tmp_path: Path) -> None:
    folder = tmp_path / "resnet18.test"
    save_open_clip(folder) if library == "timm" else save_timm(folder)
    with pytest.raises(BadRequest, match=f"Model 'resnet18.test' cannot be loaded from .* by {library}: "):
        towers.load(_spec(tmp_path, "resnet18.test", library), CPU)


def _spoil(folder: Path, harm: str) -> None:
    from safetensors.torch import load_file, save_file

    weights = next(folder.glob("*.safetensors"))
    if harm == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif harm == "absent":
        weights.unlink()
    elif harm == "pickle":
        weights.unlink()
        torch.save({"weight": _Harm(folder.parent / "owned")}, folder / "pytorch_model.bin")
    elif harm == "missing keys":
        kept = dict(list(load_file(weights).items())[:-3])
        save_file(kept, weights)
    elif harm == "other shapes":
        first, *rest = load_file(weights).items()
        save_file({first[0]: torch.zeros(3), **dict(rest)}, weights)
    elif harm == "no weights inside":
        weights.write_bytes(b"<!doctype html>" + bytes(500))
    else:
        save_file({"conv.weight": torch.zeros(3)}, weights)


class _Harm:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (self.target,))
