"""The grid's own models with random weights, saved and loaded as local checkpoints, held against their library.

Features @ head must be what the library's model gives for what the library's transform makes of a photograph. 60 models
stand for every backbone family and every geometry of timm in every run; all further ones of 400M or less are shown in
the slow one. The pixels of every geometry are compared in every run.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from photographs import PHOTOGRAPHS, pixels_before_mean
from PIL import Image
from safetensors.torch import save_file
from small import CLASS_NAMES, grid
from timm.data import create_transform, resolve_data_config
from timm.models import save_for_hf

from engine import heads, towers
from engine.models import OUR_GRID, ModelSpec, read_grid
from engine.prompts import PROMPTS

CPU = torch.device("cpu")
TOLERANCE = 1e-5  # relative to the largest logit, float32
SHOWN = ("tall", "palette")
GRID = read_grid(OUR_GRID)
TIMM = [spec for spec in GRID if spec.library == "timm"]
LARGEST_M, AT_LEAST = 400, 60


def _family(spec: ModelSpec) -> str:
    return spec.lineage.split(".")[0]


def _config(spec: ModelSpec) -> dict[str, Any]:
    """What timm's list says of a row's pixels."""
    listed = timm.get_pretrained_cfg(f"{spec.arch}.{spec.checkpoint}")
    return resolve_data_config(pretrained_cfg=listed.to_dict(), use_test_size=True)


def _geometry(spec: ModelSpec) -> str:
    config = _config(spec)
    return str([config[key] for key in ("input_size", "crop_pct", "crop_mode", "interpolation")])


def _cost(spec: ModelSpec) -> float:
    return float(spec.params_m) * (float(spec.image_size) / 224) ** 2


def _chosen() -> list[ModelSpec]:
    """The cheapest model of every family and of every geometry, and the next cheapest up to 60."""
    cheap = sorted(TIMM, key=_cost)
    chosen: dict[str, ModelSpec] = {}
    for key in (_family, _geometry):
        held = {key(spec) for spec in chosen.values()}
        for spec in cheap:
            if key(spec) not in held:
                held.add(key(spec))
                chosen[spec.name] = spec
    rest = [spec for spec in cheap if spec.name not in chosen][: max(0, AT_LEAST - len(chosen))]
    return [*chosen.values(), *rest]


CHOSEN = _chosen()
OTHERS = [spec for spec in TIMM if spec not in CHOSEN and float(spec.params_m) <= LARGEST_M]


def _saved(spec: ModelSpec, folder: Path) -> Any:
    """The row's model with random weights, also saved as timm saves."""
    torch.manual_seed(0)
    model: Any = timm.create_model(f"{spec.arch}.{spec.checkpoint}", pretrained=False)
    _wake(model, _config(spec)["input_size"])
    save_for_hf(model.eval(), folder, safe_serialization=True)
    return model


def _wake(model: Any, size: tuple[int, int, int]) -> None:
    """Make an untrained model answer to what it sees: some start with zeros or fade, layer by layer."""
    for value in model.state_dict().values():
        if value.is_floating_point() and value.abs().max() < 1e-3:
            value.normal_(std=0.1)
    norms = [module for module in model.modules() if getattr(module, "running_var", None) is not None]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            model.train()(torch.randn(2, *size))
        for value in model.state_dict().values():
            assert not value.is_floating_point() or value.isfinite().all()


def _loaded(folder: Path, library: str) -> towers.Tower:
    spec = read_grid(grid(folder.parent / "models.csv", {folder.name: library}))[0]
    tower = towers.load(spec, CPU)
    shutil.rmtree(folder)
    return tower


def _shown(tower: towers.Tower) -> Any:
    pictures = [Image.open(io.BytesIO(PHOTOGRAPHS[name])) for name in SHOWN]
    return tower.features(np.stack([tower.preprocess(picture) for picture in pictures]))


def _apart(ours: Any, theirs: torch.Tensor) -> float:
    expected = theirs.numpy()
    assert np.isfinite(expected).all()
    spread = np.abs(expected[0] - expected[1]).max() / np.abs(expected).max()
    assert spread > 100 * TOLERANCE, "two photographs must look different, or nothing is compared"
    return float(np.abs(ours - expected).max() / np.abs(expected).max())


def _exact(spec: ModelSpec, folder: Path) -> float:
    theirs = _saved(spec, folder / spec.name)
    tower = _loaded(folder / spec.name, "timm")
    head = heads.learned(tower)
    transform = create_transform(**_config(spec), is_training=False)
    batch = torch.stack([transform(Image.open(io.BytesIO(PHOTOGRAPHS[name])).convert("RGB")) for name in SHOWN])
    with torch.inference_mode():
        expected = theirs(batch)
    assert head.weight.shape[0] == expected.shape[1] == 1000
    return _apart(head.logits(_shown(tower)), expected)


@pytest.mark.parametrize("spec", CHOSEN, ids=lambda spec: spec.name)
def test_features_at_head_are_timms_logits(spec: ModelSpec, tmp_path: Path) -> None:
    assert _exact(spec, tmp_path) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("spec", OTHERS, ids=lambda spec: spec.name)
def test_features_at_head_are_timms_logits_for_all(spec: ModelSpec, tmp_path: Path) -> None:
    assert _exact(spec, tmp_path) < TOLERANCE


CLIPS = [spec for spec in GRID if spec.library == "open_clip"]
ZERO_SHOT = ("RN50-quickgelu", "ViT-B-32", "convnext_base", "ViT-B-16-SigLIP", "coca_ViT-B-32", "EVA02-B-16")
SLOW_CLIPS = {spec.arch: spec for spec in CLIPS if float(spec.params_m) <= LARGEST_M}


def _clip_config(spec: ModelSpec) -> dict[str, Any]:
    """What open_clip's list says of a row's pixels, or its defaults for a file that it does not list."""
    size = open_clip.get_model_config(spec.arch)["vision_cfg"]["image_size"]
    listed = open_clip.get_pretrained_cfg(spec.arch, spec.checkpoint)
    return {**merge_preprocess_dict(PreprocessCfg(), listed), "size": size}


def _thin(config: dict[str, Any]) -> None:
    """Two layers in place of many, and open_clip's own tokenizer in place of one that a hub has."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "layers" in vision:
        vision["layers"] = [1, 1, 1, 1] if isinstance(vision["layers"], list) else 2
    text["layers"] = 2
    if text.pop("hf_tokenizer_name", None):
        text["vocab_size"] = 49408
        text.pop("tokenizer_kwargs", None)


def _saved_clip(arch: str, pixels: dict[str, Any], folder: Path, *, thin: bool) -> Any:
    config = open_clip.get_model_config(arch)
    if thin:
        _thin(config)
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": pixels}))
    torch.manual_seed(0)
    model: Any = open_clip.create_model(f"local-dir:{folder}")
    _wake(model, (3, pixels["size"], pixels["size"]))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return model.eval()


def _clip_exact(arch: str, pixels: dict[str, Any], folder: Path, prompts: str, *, thin: bool) -> float:
    theirs = _saved_clip(arch, pixels, folder, thin=thin)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    spec = read_grid(grid(folder.parent / "models.csv", {folder.name: "open_clip"}))[0]
    tower = towers.load(spec, CPU)
    (head,) = heads.build(tower, [prompts], CLASS_NAMES)
    shutil.rmtree(folder)
    transform = image_transform_v2(PreprocessCfg(**pixels), is_train=False)
    batch = torch.stack([transform(Image.open(io.BytesIO(PHOTOGRAPHS[name]))) for name in SHOWN])
    templates = [template.format for template in PROMPTS[prompts]]
    classifier = open_clip.build_zero_shot_classifier(theirs, tokenizer, CLASS_NAMES, templates)
    with torch.inference_mode():
        expected = theirs.logit_scale.exp() * theirs.encode_image(batch, normalize=True) @ classifier
        expected = expected + (0 if theirs.logit_bias is None else theirs.logit_bias)
    return _apart(head.logits(_shown(tower)), expected)


@pytest.mark.parametrize("arch", ZERO_SHOT)
def test_zero_shot_logits_are_open_clips(arch: str, tmp_path: Path) -> None:
    tag = open_clip.list_pretrained_tags_by_model(arch)[0]
    pixels = _clip_config(ModelSpec(arch, "open_clip", arch, tag))
    assert _clip_exact(arch, pixels, tmp_path / arch, "openai80", thin=True) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("spec", SLOW_CLIPS.values(), ids=lambda spec: spec.name)
def test_zero_shot_logits_are_open_clips_for_all(spec: ModelSpec, tmp_path: Path) -> None:
    assert _clip_exact(spec.arch, _clip_config(spec), tmp_path / spec.name, "name", thin=False) < TOLERANCE


def _geometries() -> dict[str, ModelSpec]:
    """The smallest model of every geometry of the grid."""
    found: dict[str, ModelSpec] = {}
    for spec in sorted(GRID, key=lambda spec: float(spec.params_m)):
        config = _geometry(spec) if spec.library == "timm" else str(_clip_config(spec))
        found.setdefault(f"{spec.library} {config}", spec)
    return found


@pytest.mark.parametrize("spec", _geometries().values(), ids=lambda spec: spec.name)
def test_pixels_are_the_librarys(spec: ModelSpec) -> None:
    found = towers.describe(spec)
    theirs = _config(spec) if spec.library == "timm" else _clip_config(spec)
    assert (found.mean, found.std) == (tuple(theirs["mean"]), tuple(theirs["std"]))
    for content in PHOTOGRAPHS.values():
        picture = Image.open(io.BytesIO(content))
        if spec.library == "timm":  # its own image sets make a picture RGB first
            transform, picture = create_transform(**theirs, is_training=False), picture.convert("RGB")
        else:
            transform = image_transform_v2(PreprocessCfg(**theirs), is_train=False)
        expected = pixels_before_mean(transform, picture)
        np.testing.assert_array_equal(found.preprocess(Image.open(io.BytesIO(content))), expected)


def test_every_geometry_and_family_is_among_the_chosen() -> None:
    assert len(CHOSEN) >= AT_LEAST
    assert all(float(spec.params_m) <= LARGEST_M for spec in CHOSEN)
    assert {_family(spec) for spec in CHOSEN} == {_family(spec) for spec in TIMM}
    assert {_geometry(spec) for spec in CHOSEN} == {_geometry(spec) for spec in TIMM}
    assert len({str(towers.describe(spec).preprocess) for spec in _geometries().values()}) == 33


def test_a_tag_has_the_pixels_that_its_library_lists() -> None:
    half = next(spec for spec in GRID if spec.name == "ViT-L-14.laion2b_s32b_b82k")
    assert towers.describe(half).mean == towers.describe(half).std == (0.5, 0.5, 0.5)
