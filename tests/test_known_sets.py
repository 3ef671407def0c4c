"""Every known set, from its published archive to scores: prepared, read back, seen by a model whose answers are known.

The model knows each of the 1,000 pictures and takes it for its class, but for some pairs of classes, which it confuses.
So every accuracy can be counted from the published names alone.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import published
import pytest
import small
import timm
import torch
from packed import devkit, flat, pack
from PIL import Image
from published import Published
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from engine import classes, image_sets
from engine.files import Folder
from engine.image_sets import PreparedSet
from engine.predictions import Record
from engine.prepare.__main__ import main as prepare
from engine.prepare.known import KNOWN
from studies import measurements
from studies.__main__ import main as studies

ENDINGS = {name: Path(known.archive).suffix for name, known in KNOWN.items() if " " not in known.archive}
SIDE = published.SIDE
CUES = {c for kind in classes.folders("cue-conflict") for c in kind.classes}


def answer(c: int) -> int:
    """The class that the model takes picture c for: it confuses every fifth pair, but no class of the cue conflict."""
    confused = c // 2 % 5 == 0 and not {c, c ^ 1} & CUES
    return c ^ 1 if confused else c


class World:
    """All sets as published, and prepared."""

    def __init__(self, root: Path) -> None:
        self.root, self.data = root, Folder.of(root / "data")
        self.sets: dict[str, Published] = {}
        self.archives: dict[str, Path] = {}
        self.labels: dict[str, list[str]] = {}
        for name in KNOWN:
            self.sets[name] = published.build(name, root / name, each=3 if name == "cue-conflict" else 1)
            self.archives[name] = self._archive(name)

    def _archive(self, name: str) -> Path:
        """The set packed as it is published, or its folder where people make it themselves."""
        if name == "imagenet":
            self.labels[name] = ["--labels", str(devkit(self.sets[name], self.root / "devkit"))]
            return pack(flat(self.sets[name], self.root / "flat"), self.root / "ILSVRC2012_img_val.tar")
        if name not in ENDINGS:
            return self.sets[name].path
        return pack(self.sets[name].path, self.root / f"{name}.archive{ENDINGS[name]}")

    def prepare(self, name: str, source: Path, *more: str, data: Path | None = None) -> int:
        """Exit status of preparing a set with as many pictures as there are."""
        count = ["--allow-count", str(len(self.sets[name].labels))]
        place = ["--data", str(data or self.data.path)]
        return prepare([name, "--from", str(source), *place, *self.labels.get(name, []), *(more or count)])

    def rows(self, name: str) -> tuple[PreparedSet, pd.DataFrame]:
        """A prepared set and its rows."""
        prepared = image_sets.read(self.data, name)
        tables = [(self.data / name).read(shard.file).to_pandas() for shard in prepared.shards]
        return prepared, pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("published"))
    for name in KNOWN:
        assert made.prepare(name, made.archives[name]) == 0, name
    return made


@pytest.mark.parametrize("name", KNOWN)
def test_a_published_set_is_read_back_as_it_was(name: str, world: World) -> None:
    prepared, rows = world.rows(name)
    expected = world.sets[name]
    assert prepared.image_set.role == KNOWN[name].role
    assert list(rows["image_id"]) == sorted(expected.labels)
    assert [None if pd.isna(label) else int(label) for label in rows["label"]] == [
        expected.labels[image_id] for image_id in rows["image_id"]
    ]
    files = {hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in expected.path.rglob("*") if file.is_file()}
    assert set(rows["digest"]) <= files
    assert all(
        hashlib.sha256(image).hexdigest()[:16] == name
        for image, name in zip(rows["image"], rows["digest"], strict=True)
    )
    assert (
        f"{len(rows):,} readable images accepted where {KNOWN[name].images:,} are expected" in prepared.image_set.note
    )


def _model(root: Path) -> Path:
    """A checkpoint that takes each picture for the class that `answer` says; the grid that holds it."""
    small.save_timm(root / "resnet18.known", classes=1000, pixels=SIDE)
    file = root / "resnet18.known" / "model.safetensors"
    weights = load_file(file)
    model = timm.create_model("resnet18", num_classes=1000)
    model.load_state_dict(weights)
    transform = timm.data.create_transform(
        (3, SIDE, SIDE), crop_pct=0.9, interpolation="bicubic", mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3)
    )
    pictures = [Image.open(io.BytesIO(published.picture(c))).convert("RGB") for c in range(1000)]
    with torch.no_grad():
        maps = model.eval().forward_features(torch.stack([transform(picture) for picture in pictures]))
        features = model.forward_head(maps, pre_logits=True).double()
    middle = features.mean(dim=0)
    features = features - middle
    sharpness = 60 / torch.cdist(features, features).fill_diagonal_(torch.inf).min() ** 2
    # A class's logit falls with the distance from its picture; the runner-up has e^-30 of the winner's probability.
    order = [answer(c) for c in range(1000)]
    weights["fc.weight"] = (sharpness * features[order]).float().contiguous()
    weights["fc.bias"] = (-sharpness * ((features**2).sum(dim=1) / 2 + features @ middle)).float()[order].contiguous()
    save_file(weights, file)
    return small.grid(root / "models.csv", {"resnet18.known": "timm"})


@pytest.fixture(scope="module")
def results(world: World) -> Folder:
    place = Folder.of(world.root / "results")
    asked = [
        "shift",
        "ood",
        "shape",
        "--grid",
        str(_model(world.root)),
        "--data",
        world.data.path,
        "--results",
        place.path,
    ]
    assert studies(asked) == 0
    return place


def _value(results: Folder, study: str, metric: str, name: str, method: str) -> float:
    found = measurements.read(results)
    rows = (found["study"] == study) & (found["metric"] == metric) & (found["image_set"] == name)
    return float(found.loc[rows & (found["method"] == method) & (found["subset"] == "all"), "value"].item())


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if known.role in {"clean", "shift"}])
def test_accuracy_is_what_the_published_names_say(name: str, world: World, results: Folder) -> None:
    prepared, rows = world.rows(name)
    right = []
    for row in rows.to_dict("records"):
        labels = row.get("labels", [row["label"]])
        meant = {c for label in labels for c in prepared.image_set.classes[int(label)]}
        right.append(answer(world.sets[name].shown[row["image_id"]]) in meant)
    assert 0.5 < np.mean(right) < 1
    assert _value(results, "shift", "top1", name, "full") == pytest.approx(np.mean(right), abs=1e-12)


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if known.role == "out"])
def test_auroc_is_that_of_the_pictures_shown(name: str, world: World, results: Folder) -> None:
    clean = Record.of(results, "resnet18.known").predictions("imagenet")
    score = {
        world.sets["imagenet"].shown[i]: row.max()
        for i, row in zip(clean.images["image_id"], clean.logits, strict=True)
    }
    out = [score[c] for c in world.sets[name].shown.values()]
    expected = roc_auc_score([1] * len(score) + [0] * len(out), [*score.values(), *out])
    assert _value(results, "ood", "auroc", name, "max_logit") == pytest.approx(expected, abs=1e-3)


def test_every_decision_on_a_cue_conflict_is_its_shape(world: World, results: Folder) -> None:
    assert len(world.sets["cue-conflict"].shown) == 48
    assert _value(results, "shape", "shape_bias", "cue-conflict", "mapped") == 1
    assert _value(results, "shape", "cue_accuracy", "cue-conflict", "mapped") == 1


def _refused(world: World, name: str, source: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """The sentence with which a source is refused."""
    data = world.root / "refused"
    shutil.rmtree(data, ignore_errors=True)
    capsys.readouterr()
    assert world.prepare(name, source, *more, data=data) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    with pytest.raises(image_sets.BadImageSet):
        image_sets.read(Folder.of(data), name)
    return said[0]


PACKED = [name for name in KNOWN if name in ENDINGS]


@pytest.mark.parametrize("name", PACKED)
def test_a_truncated_archive_is_refused(name: str, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    content = world.archives[name].read_bytes()
    cut = world.root / f"cut{ENDINGS[name]}"
    cut.write_bytes(content[: int(0.7 * len(content)) + 100])
    said = _refused(world, name, cut, capsys)
    assert str(cut) in said
    assert "Get it again" in said


@pytest.mark.parametrize("name", KNOWN)
def test_fewer_pictures_than_published_are_refused(name: str, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused(world, name, world.archives[name], capsys, "--data", str(world.root / "refused"))
    count = len(world.sets[name].labels)
    assert f"'{name}' has {KNOWN[name].images:,} images as published; {count:,} were found" in said
    assert f"--allow-count {count}" in said


@pytest.mark.parametrize("name", KNOWN)
def test_a_damaged_picture_is_named(name: str, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    image_id = min(world.sets[name].shown)
    copy = world.root / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(world.sets[name].path, copy)
    file = next(path for path in copy.rglob(image_id.split("/")[-1]) if path.as_posix().endswith(image_id))
    file.write_bytes(file.read_bytes()[:-40])
    kept = world.labels.pop(name, [])
    said = _refused(world, name, copy, capsys)
    world.labels |= {name: kept} if kept else {}
    assert image_id in said
    assert "cannot be read" in said


def test_a_tar_that_leads_elsewhere_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    archive = world.root / "evil.tar"
    shutil.copy(world.archives["imagenet-r"], archive)
    with tarfile.open(archive, "a") as tar:
        tar.addfile(tarfile.TarInfo("../outside.jpg"), io.BytesIO(b""))
    assert "../outside.jpg" in _refused(world, "imagenet-r", archive, capsys)
    assert not (world.root.parent / "outside.jpg").exists()
