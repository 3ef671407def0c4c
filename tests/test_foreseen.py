"""Geometries foreseen from a checkpoint's folder, held against those of the library that loads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
import torch

from engine import foreseen, image_sets, models, towers
from engine.account import Account
from engine.decode import Decoded, Decoder
from engine.decoding import Decoding
from engine.files import Folder
from engine.models import ModelSpec

CPU = torch.device("cpu")
TIMM: dict[str, dict[str, Any]] = {
    "plain": {},
    "test size": {"test_input_size": [3, 48, 40], "test_crop_pct": 1.0},
    "squashed": {"crop_mode": "squash", "interpolation": "bilinear"},
    "bordered": {"crop_mode": "border", "crop_pct": 0.8},
    "left out": {"crop_pct": None, "interpolation": "", "mean": None},
}
OPEN_CLIP: dict[str, dict[str, Any]] = {
    "plain": {},
    "squashed": {"resize_mode": "squash", "interpolation": "bilinear"},
    "filled": {"resize_mode": "longest", "fill_color": 7},
    "left out": {"size": None, "interpolation": None, "resize_mode": None},
}


def _spec(root: Path, library: str) -> ModelSpec:
    return models.read_grid(small.grid(root / "models.csv", {"resnet18.one": library}))[0]


def _change(file: Path, part: str, changes: Mapping[str, Any]) -> None:
    config = json.loads(file.read_text())
    config[part] = {name: value for name, value in {**config[part], **changes}.items() if value is not None}
    file.write_text(json.dumps(config))


@pytest.mark.parametrize("name", TIMM)
def test_timm_geometries_are_those_that_timm_finds(name: str, tmp_path: Path) -> None:
    small.save_timm(tmp_path / "resnet18.one")
    _change(tmp_path / "resnet18.one" / foreseen.TIMM, "pretrained_cfg", TIMM[name])
    spec = _spec(tmp_path, "timm")
    assert foreseen.geometry(spec) == towers.load(spec, CPU).preprocess


@pytest.mark.parametrize("name", OPEN_CLIP)
def test_open_clip_geometries_are_those_that_open_clip_finds(name: str, tmp_path: Path) -> None:
    small.save_open_clip(tmp_path / "resnet18.one")
    _change(tmp_path / "resnet18.one" / foreseen.OPEN_CLIP, "preprocess_cfg", OPEN_CLIP[name])
    spec = _spec(tmp_path, "open_clip")
    assert foreseen.geometry(spec) == towers.load(spec, CPU).preprocess


def test_nothing_is_foreseen_of_a_tag_or_a_broken_folder(tmp_path: Path) -> None:
    small.save_timm(tmp_path / "resnet18.one")
    local = _spec(tmp_path, "timm")
    assert len(foreseen.geometries([local, local])) == 1
    assert foreseen.geometries([local, replace(local, checkpoint="a1_in1k")]) == ()
    (tmp_path / "resnet18.one" / foreseen.TIMM).write_text("{")
    assert foreseen.geometries([local]) == ()


@pytest.mark.usefixtures("ray_session")
def test_pictures_of_a_geometry_wrongly_foreseen_are_made_again(tmp_path: Path) -> None:
    small.world(tmp_path / "data")
    shards = [shard for each in image_sets.read_all(Folder.of(tmp_path / "data")) for shard in each.shards]
    small.save_timm(tmp_path / "resnet18.one")
    wrong = foreseen.geometries([_spec(tmp_path, "timm")])
    right = (replace(wrong[0], crop=(24, 16)),)
    decoding = Decoding(Decoder(str(tmp_path / "data"), str(tmp_path / "results"), "foreseen", wrong), Account())
    decoding.begin(shards)
    decoding.turn_to(wrong)
    assert decoding.begun is not None, "what was foreseen rightly goes on"
    decoding.turn_to(right)
    arrivals = list(decoding(shards))
    assert sorted(each.place for each in arrivals) == list(range(len(shards)))
    assert {Decoded(Path(each.folder)).pixels(0).shape[1:] for each in arrivals} == {(24, 16, 3)}
    decoding.close()
    assert not decoding.decoder.scratch.exists()
