"""The whole miniature, as `make study` runs it: made twice, measured, checked, and held against the libraries."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image

from engine import models, towers
from engine.files import Folder
from engine.models import ModelSpec
from engine.predictions import Record
from engine.preprocess import decode

ROOT = Path(__file__).parents[1]
FIRST, SECOND = 480.0, 90.0  # seconds, on two cores
OUTPUT = 1e-4
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def _study(root: Path) -> float:
    started = time.monotonic()
    for arguments in (
        ("engine.miniature", "--out", root / "miniature"),
        ("studies", "all", "--grid", root / "miniature/models.csv", "--data", root / "miniature/images",
         "--results", root / "results"),
        ("engine.miniature", "--check", "--results", root / "results"),
        ("analysis", "--results", root / "results", "--out", root / "report"),
    ):  # fmt: skip
        command = [sys.executable, "-m", *(str(argument) for argument in arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - started


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    (root / "seconds").write_text(str(_study(root)))
    return root


def test_the_first_run_is_short(study: Path) -> None:
    assert float((study / "seconds").read_text()) < FIRST


def test_a_second_run_does_nothing_again(study: Path) -> None:
    kept = {file: file.stat().st_mtime_ns for place in ("miniature", "results") for file in _files(study / place)}
    assert _study(study) < SECOND
    again = {file: file.stat().st_mtime_ns for place in ("miniature", "results") for file in _files(study / place)}
    assert {file for file in kept if again[file] != kept[file]} <= {study / "miniature/models.csv"}
    assert again.keys() == kept.keys()


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def test_every_model_of_the_zoo_says_what_its_library_says(study: Path) -> None:
    specs = models.read_grid(study / "miniature/models.csv")
    assert len(specs) >= 24
    contents = _pictures(study, "digits-v2-a")
    for spec in specs:
        shown = Record.of(Folder.of(study / "results"), spec.name).predictions("digits-v2-a")
        gap = np.abs(shown.logits - _by_library(spec, contents)).max()
        assert gap < OUTPUT, f"{spec.name} differs by {gap}"


def test_every_model_of_the_zoo_sees_the_pixels_of_its_library(study: Path) -> None:
    contents = _pictures(study, "digits-pose")[:40]
    for spec in models.read_grid(study / "miniature/models.csv"):
        geometry = towers.load(spec, torch.device("cpu")).preprocess
        transform = _transform(spec)
        transform.transforms.pop()  # mean and standard deviation
        for content in contents:
            theirs = transform(Image.open(io.BytesIO(content)).convert("RGB")).numpy().transpose(1, 2, 0)
            np.testing.assert_array_equal(geometry(decode(content)), np.round(255 * theirs).astype(np.uint8))


def _transform(spec: ModelSpec) -> Any:
    if spec.library == "open_clip":
        return open_clip.create_model_and_transforms(spec.checkpoint)[2]
    model = timm.create_model(spec.checkpoint, pretrained=True)
    return timm.data.create_transform(**timm.data.resolve_model_data_config(model))


def _pictures(study: Path, name: str) -> list[bytes]:
    folder = Folder.of(study / "miniature/images") / name
    return [content for file in folder.files() for content in folder.read(file).column("image").to_pylist()]


def _by_library(spec: ModelSpec, contents: list[bytes]) -> np.ndarray:
    with torch.inference_mode():
        if spec.library == "timm":
            model = timm.create_model(spec.checkpoint, pretrained=True).eval()
            transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
            pictures = (Image.open(io.BytesIO(content)).convert("RGB") for content in contents)
            return model(torch.stack([transform(picture) for picture in pictures])).numpy()
        model, _, transform = open_clip.create_model_and_transforms(spec.checkpoint)
        names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
        tokenizer = open_clip.get_tokenizer(spec.checkpoint)
        head = open_clip.build_zero_shot_classifier(model.eval(), tokenizer, names, open_clip.OPENAI_IMAGENET_TEMPLATES)
        batch = torch.stack([transform(Image.open(io.BytesIO(content))) for content in contents])
        return (model.logit_scale.exp() * model.encode_image(batch, normalize=True) @ head).numpy()
