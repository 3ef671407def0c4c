"""The small zoo: checkpoints that the libraries load by themselves, the grid, and the criteria of `--check`."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open_clip
import pandas as pd
import pytest
import timm
import torch
from PIL import Image

from engine.files import Folder
from engine.image_sets import ImageSet, write
from engine.miniature import pool, world, zoo
from engine.miniature.__main__ import main
from engine.miniature.checkpoints import accuracy, tower_of
from engine.miniature.digits import CLASS_NAMES
from engine.miniature.recipes import AMOUNTS, CLIPS, PLAIN, TUNED, ZOO, Recipe
from engine.miniature.sources import pairs
from engine.miniature.train import train

STEPS = 3
SAME = 1e-5  # float32, through other kernels


def short(recipe: Recipe) -> Recipe:
    """The recipe, and its parent's, with few steps."""
    stages = tuple(dataclasses.replace(stage, steps=STEPS) for stage in recipe.stages)
    return dataclasses.replace(recipe, stages=stages, parent=short(recipe.parent) if recipe.parent else None)


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """An encoded picture."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


RECIPES = (
    short(CLIPS["ViT-XXS-8.laion_mini_l"]),
    short(CLIPS["resnet_xs.laion_mini_l"]),
    short(CLIPS["RN-XXS.wit_mini"]),
    short(next(recipe for recipe in PLAIN if recipe.name == "resnet_xxs.digits_21_ft_digits_1k")),
    short(next(recipe for recipe in TUNED if recipe.name.startswith("vit") and recipe.geometry.size == 40)),
    short(next(recipe for recipe in TUNED if recipe.encoder == "cnn" and recipe.route == "intermediate")),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature with a clean set of 60 pictures, 300 training pictures a source, and a short recipe of each kind."""
    out = tmp_path_factory.mktemp("miniature")
    shown = pairs("Digits-1K", 60, 7)
    rows = [
        {"image_id": f"{number}", "image": png(pixels), "label": int(label)}
        for number, (pixels, label) in enumerate(zip(shown.pixels, shown.labels, strict=True))
    ]
    clean = ImageSet(world.CLEAN, "clean", world.CLEAN, CLASS_NAMES, tuple((number,) for number in range(10)))
    write(Folder.of(out / "images"), clean, rows)
    patch = pytest.MonkeyPatch()
    patch.setattr(pool, "AMOUNTS", dict.fromkeys(AMOUNTS, 300))
    for source in AMOUNTS:
        pool.draw(pool.Drawing(out, source))
    patch.undo()
    for job in zoo.jobs(out, RECIPES):
        train(job)
    zoo.write_grid(out, RECIPES)
    return out


def test_every_checkpoint_does_what_its_facts_say(made: Path) -> None:
    for job in zoo.jobs(made, RECIPES):
        facts = job.facts()
        assert facts is not None
        assert facts.clean == accuracy(job.place, job.recipe, Folder.of(made / "images"))


def test_clip_folder_carries_its_preprocessing_and_its_tokens(made: Path) -> None:
    folder = made / "checkpoints" / "resnet_xs.laion_mini_l"
    model = open_clip.create_model_and_transforms(f"local-dir:{folder}")[0]
    assert model.visual.preprocess_cfg["resize_mode"] == "squash"
    assert tuple(model.visual.preprocess_cfg["mean"]) == (0.5, 0.5, 0.5)
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a photo of a three.", "a photo of a seven."])
    assert tokens.shape == (2, 16)
    with torch.no_grad():
        three, seven = model.eval().encode_text(tokens)
    assert not torch.allclose(three, seven, atol=1e-3)


def test_words_that_no_caption_had_share_one_embedding(made: Path) -> None:
    model = open_clip.create_model(f"local-dir:{made / 'checkpoints' / 'RN-XXS.wit_mini'}")
    words = open_clip.SimpleTokenizer()(["zebra bottle three"])[0, 1:4]
    zebra, bottle, three = model.token_embedding(words)
    assert torch.equal(zebra, bottle)
    assert not torch.equal(zebra, three)


@pytest.mark.parametrize("parent", ["ViT-XXS-8.laion_mini_l", "resnet_xs.laion_mini_l"])
def test_timm_tower_sees_what_its_clip_parent_saw(made: Path, parent: str) -> None:
    recipe = next(r for r in TUNED if r.parent and r.parent.name == parent and r.geometry.size == 32)
    folder = made / "checkpoints" / parent
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32))
    clip = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.no_grad():
        gap = (tower_of(folder, recipe)(pixels) - clip.encode_image(pixels)).abs().max()
    assert float(gap) < SAME


def test_timm_folders_load_by_themselves(made: Path) -> None:
    for recipe in RECIPES[3:]:
        model = timm.create_model(f"local-dir:{made / 'checkpoints' / recipe.name}", pretrained=True)
        config = timm.data.resolve_data_config(model=model)
        assert model.num_classes == 10
        assert tuple(config["input_size"]) == (3, recipe.geometry.size, recipe.geometry.size)
        assert (config["crop_pct"], config["crop_mode"]) == (recipe.geometry.crop, recipe.geometry.mode)


def test_same_recipe_trains_the_same_weights(made: Path) -> None:
    job = zoo.jobs(made, RECIPES)[2]
    weights = job.place / "open_clip_model.safetensors"
    before = weights.read_bytes()
    train(job)
    assert weights.read_bytes() == before


def test_another_recipe_or_another_clean_set_is_trained_again(made: Path, tmp_path: Path) -> None:
    assert zoo.missing(made, RECIPES) == []
    longer = dataclasses.replace(RECIPES[2], seed=RECIPES[2].seed + 1000)
    assert [job.recipe.name for job in zoo.missing(made, (longer,))] == [longer.name]
    images = tmp_path / "images"
    row = {"image_id": "a", "image": b"x", "label": 0}
    write(Folder.of(images), ImageSet(world.CLEAN, "clean", world.CLEAN, ("zero",), ((0,),)), [row])
    (tmp_path / "checkpoints").symlink_to(made / "checkpoints")
    assert len(zoo.missing(tmp_path, RECIPES)) == len(RECIPES)


def test_grid_names_a_folder_and_an_accuracy_for_each(made: Path) -> None:
    rows = list(csv.DictReader((made / "models.csv").open(newline="")))
    assert [row["name"] for row in rows] == [recipe.name for recipe in RECIPES]
    for row in rows:
        assert (made / row["checkpoint"].removeprefix("local-dir:")).is_dir()
        assert 0 <= float(row["published_digits"]) <= 1
    assert rows[4]["parent"] == "ViT-XXS-8.laion_mini_l"
    assert rows[4]["lineage"] == rows[0]["lineage"]


def test_zoo_holds_what_a_study_needs() -> None:
    families = Counter(recipe.family for recipe in ZOO)
    assert families["zero_shot_clip"] >= 11
    assert families["finetuned_clip"] >= 6
    assert families["classifier"] >= 9
    assert len({recipe.train_source for recipe in CLIPS.values()}) >= 3
    assert len({recipe.parent.name for recipe in TUNED if recipe.parent}) >= 3
    assert {recipe.route for recipe in TUNED} == {"direct", "intermediate"}
    assert {recipe.group for recipe in PLAIN} == {"standard", "more_data"}
    assert len({recipe.builder for recipe in PLAIN}) >= 4
    geometries = {(g.size, g.interpolation, g.mode, g.crop) for g in (recipe.geometry for recipe in ZOO)}
    assert len(geometries) >= 3
    names = [recipe.name for recipe in ZOO]
    assert len(set(names)) == len(names)
    assert all(recipe.parent.name in names for recipe in TUNED if recipe.parent)


def test_pool_gives_back_what_was_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AMOUNTS, "WIT-mini", 20)
    pool.draw(pool.Drawing(tmp_path, "WIT-mini"))
    again, fresh = pool.drawn(tmp_path, "WIT-mini"), pairs("WIT-mini", 20, pool.SEED)
    assert again.captions == fresh.captions
    np.testing.assert_array_equal(again.pixels, fresh.pixels)
    pool.discard(tmp_path)
    assert list(tmp_path.iterdir()) == []


GROUPS = {"a": "zero_shot_clip", "b": "zero_shot_clip", "c": "standard", "d": "standard"}


def results(place: Path, **changed: float) -> Path:
    """A results folder of four models that passes every criterion, but for what is changed."""
    numbers = {"best": 0.8, "worst": 0.4, "cost": 0.1, "far": 0.9, "near": 0.6, "shape": 0.7, "texture": 0.4, **changed}
    rows = []
    for model, clean in (("a", numbers["best"]), ("b", 0.55), ("c", 0.6), ("d", numbers["worst"])):
        zero_shot = GROUPS[model] == "zero_shot_clip"
        score = "mcm" if zero_shot else "msp"
        rows += [
            ("shift", model, "digits", "all", "top1", "full", clean),
            ("shift", model, "digits", "classes:odd", "top1", "masked", clean + 0.05),
            ("shift", model, "odd", "all", "top1", "masked", clean + 0.05 - numbers["cost"]),
            ("shift", model, "odd", "all", "top1", "full", 0.0),
            ("ood", model, "far", "all", "auroc", score, numbers["far"]),
            ("ood", model, "near", "all", "auroc", score, numbers["near"]),
            ("ood", model, "far", "all", "auroc", "energy", 0.5),
            ("shape", model, "odd", "all", "shape_bias", "mapped", numbers["shape" if zero_shot else "texture"]),
            ("shape", model, "odd", "three", "shape_bias", "mapped", 0.0),
        ]
    columns = ["study", "model", "image_set", "subset", "metric", "method", "value"]
    (place / "measurements").mkdir(parents=True)
    pd.DataFrame(rows, columns=columns).to_parquet(place / "measurements" / "all.parquet")
    models = pd.DataFrame({"name": list(GROUPS), "group": list(GROUPS.values())})
    models["family"] = models["group"].replace("standard", "classifier")
    models.to_parquet(place / "models.parquet")
    return place


def test_check_passes_where_every_criterion_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--results", str(results(tmp_path))]) == 0
    said = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok") for line in said)
    assert "ok     clean accuracies of 4 models spread over 40.0 points (at least 30)" in said
    assert "ok     odd costs the median model 10.0 points (above 0)" in said
    assert "ok     shape bias differs between groups by 0.30 (at least 0.2): standard 0.40, zero_shot_clip 0.70" in said


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"worst": 0.55}, "clean accuracies"),
        ({"best": 0.7, "worst": 0.3}, "the best zero-shot CLIP"),
        ({"cost": -0.01}, "odd costs"),
        ({"near": 0.76}, "median AUROC"),
        ({"texture": 0.51}, "shape bias"),
    ],
)
def test_check_fails_where_a_criterion_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, float], line: str
) -> None:
    assert main(["--check", "--results", str(results(tmp_path, **change))]) == 1
    failed = [said for said in capsys.readouterr().out.splitlines() if said.startswith("FAILED")]
    assert len(failed) == 1
    assert failed[0].startswith(f"FAILED {line}")


@pytest.mark.parametrize("arguments", [[], ["--check"], ["--out", "x", "--check"], ["--check", "--results", "nowhere"]])
def test_bad_request_exits_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_facts_of_a_killed_run_are_absent(tmp_path: Path, made: Path) -> None:
    job = dataclasses.replace(zoo.jobs(made, RECIPES)[2], out=tmp_path)
    hidden = job.place.with_name(f".{job.recipe.name}.tmp")
    hidden.mkdir(parents=True)
    (hidden / "facts.json").write_text(json.dumps({"identity": job.identity, "params_m": 1.0, "clean": 1.0}))
    assert job.facts() is None
