"""The grid CSV: what is read, and what a user is told."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from engine import ledger, predictions, towers
from engine.files import Folder
from engine.ledger import Loaded
from engine.models import OUR_GRID, BadRequest, ModelSpec, read_grid, select

HEADER = "name,library,arch,checkpoint,family,pretrain_images,samples_seen,params_m,published_imagenet,lineage\n"


def _grid(folder: Path, *lines: str, header: str = HEADER) -> Path:
    file = folder / "models.csv"
    file.write_text(header + "".join(f"{line}\n" for line in lines))
    return file


def test_a_row_becomes_a_model(tmp_path: Path) -> None:
    file = _grid(tmp_path, "ViT-B-32.openai,open_clip,ViT-B-32,openai,zero_shot_clip,400000000,12.8B,151.3,0.6332,")
    (spec,) = read_grid(file)
    facts = spec.facts()
    assert (spec.name, spec.library, spec.folder) == ("ViT-B-32.openai", "open_clip", None)
    assert (facts["pretrain_images"], facts["samples_seen"], facts["params_m"]) == (4e8, 12.8e9, 151.3)
    assert facts["published_imagenet"] == 0.6332
    assert facts["lineage"] == "ViT-B-32.openai", "a model without a lineage is its own"


def test_four_columns_are_enough(tmp_path: Path) -> None:
    file = _grid(tmp_path, "mine,timm,resnet18,local-dir:weights", header="name,library,arch,checkpoint\n")
    (spec,) = read_grid(file)
    assert spec.folder == tmp_path / "weights", "a folder is relative to the CSV"
    assert spec.facts()["params_m"] is None


def test_facts_that_a_grid_leaves_out_are_the_librarys(tmp_path: Path) -> None:
    (spec,) = read_grid(_grid(tmp_path, "mine,timm,resnet18,tv_in1k", header="name,library,arch,checkpoint\n"))
    found = towers.describe(spec)
    results = Folder.of(tmp_path / "results")
    ledger.note_models(results, [spec], [Loaded("mine", preprocess=found.preprocess, params_m=found.params_m)])
    ledger.refresh_models(results, [spec])
    facts = predictions.models(results).loc["mine"]
    assert (facts["image_size"], facts["params_m"]) == (224, 11.69)


@pytest.mark.parametrize(
    ("lines", "header", "sentence"),
    [
        ((), HEADER, "has no models"),
        (("a,timm,b,c",), "name,library,arch,weights\n", "lacks the column checkpoint"),
        (("a,keras,b,c,,,,,,",), HEADER, r"line 2: library 'keras' is not one of open_clip, timm"),
        (("a,timm,b,,,,,,,",), HEADER, "line 2: checkpoint is empty"),
        (("../a,timm,b,c,,,,,,",), HEADER, r"'\.\./a' cannot be a file's name"),
        (("a,timm,b,c,,,,,,", "a,timm,d,e,,,,,,"), HEADER, "names 'a' more than once"),
        (("a,timm,b,c,,,,,63.3,",), HEADER, "published_imagenet is '63.3'; give the top-1 accuracy as a fraction"),
    ],
)
def test_a_bad_grid_gets_a_sentence(lines: tuple[str, ...], header: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=sentence):
        read_grid(_grid(tmp_path, *lines, header=header))


def test_a_grid_that_is_not_there_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"No grid .*models.csv"):
        read_grid(tmp_path / "models.csv")


def test_a_misspelt_model_gets_its_nearest(tmp_path: Path) -> None:
    specs = read_grid(_grid(tmp_path, "ViT-B-32.openai,open_clip,a,b,,,,,,", "resnet50.a1,timm,a,b,,,,,,"))
    with pytest.raises(BadRequest, match=r"No model 'ViT-B-23.openai' in the grid. Nearest: 'ViT-B-32.openai'"):
        select(specs, ["ViT-B-23.openai"])
    assert [spec.name for spec in select(specs, ["resnet50.a1"])] == ["resnet50.a1"]
    assert select(specs, []) == specs


OURS = read_grid(OUR_GRID)
BY_NAME = {spec.name: spec for spec in OURS}
CLIP_TOWERS = {"RN": "rn", "convnext": "convnext", "ViT": "vit"}


def _backbone(arch: str) -> str:
    """Family of a timm architecture: its first word without who ported it, how wide and how deep it is."""
    word = re.sub("^(tf|dm|eca|wide)_", "", arch).split("_")[0]
    if word == "deit3":
        return word  # DeiT III is another recipe, not a size
    return {"resnext": "resnet"}.get(family := re.sub(r"(?<!v)\d+[a-z]*$", "", word), family)


def _lineage(spec: ModelSpec) -> str:
    """The rule of `engine.models`, written down once more."""
    if spec.family == "finetuned_clip":
        return _lineage(BY_NAME[spec.parent])
    if spec.family == "zero_shot_clip":
        tower = next(kind for start, kind in CLIP_TOWERS.items() if spec.arch.startswith(start))
        return f"clip-{tower}.{spec.train_source.lower()}"
    return f"{_backbone(spec.arch)}.{spec.checkpoint.split('_ft_')[0]}"


@pytest.mark.parametrize("spec", OURS, ids=lambda spec: spec.name)
def test_every_lineage_is_by_the_rule(spec: ModelSpec) -> None:
    assert spec.lineage == _lineage(spec)


def test_our_grid_is_the_papers_in_number_and_says_so() -> None:
    counts = Counter(spec.family for spec in OURS)
    assert counts == {"zero_shot_clip": 51, "finetuned_clip": 32, "classifier": 127}
    assert {spec.evidence for spec in OURS} == {"reconstructed"}
    assert all(spec.published and spec.published_source for spec in OURS)
    assert len({(spec.arch, spec.checkpoint) for spec in OURS}) == len(OURS), "no checkpoint stands in it twice"


def test_a_fine_tuned_clip_shares_what_its_parent_is() -> None:
    for spec in OURS:
        if spec.family != "finetuned_clip":
            assert not spec.parent
            continue
        parent = BY_NAME[spec.parent]
        assert (parent.family, parent.lineage, parent.train_source) == (
            "zero_shot_clip",
            spec.lineage,
            spec.train_source,
        )
        assert (parent.encoder, parent.pretrain_images) == (spec.encoder, spec.pretrain_images)


def test_a_lineage_has_one_train_source_but_where_it_grew_from_one_checkpoint() -> None:
    sources: dict[str, set[str]] = {}
    for spec in OURS:
        sources.setdefault(spec.lineage, set()).add(spec.train_source)
    assert {lineage for lineage, found in sources.items() if len(found) > 1} == {"convnextv2.fcmae", "beitv2.in1k"}


def test_every_fact_of_our_grid_is_there() -> None:
    for spec in OURS:
        facts = spec.facts()
        given = ("pretrain_images", "image_size", "params_m", "lineage", "encoder", "group", "train_source")
        assert all(facts[name] for name in given), spec.name
        assert (spec.finetune_route != "") == (spec.family == "finetuned_clip")
        assert (spec.samples_seen != "") == (spec.family == "zero_shot_clip")


def _check(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.models", "--check", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_check_names_every_row_that_is_wrong(tmp_path: Path) -> None:
    header = "name,library,arch,checkpoint,image_size,params_m\n"
    file = _grid(
        tmp_path,
        "good,timm,resnet18,tv_in1k,224,11.69",
        "few,open_clip,ViT-B-32-quickgelu,openai,,",
        "tag,timm,resnet18,tv_in2k,224,11.69",
        "size,timm,resnet18,tv_in1k,288,25.6",
        "none,timm,resnet18x,tv_in1k,,",
        header=header,
    )
    answer = _check("--grid", str(file))
    assert answer.returncode == 1, answer.stderr
    failed = [line for line in answer.stdout.splitlines() if line.startswith("FAILED")]
    assert [line.split(":")[0] for line in failed] == ["FAILED tag", "FAILED size", "FAILED size", "FAILED none"]
    assert "image_size is 288, timm has 224" in answer.stdout
    assert "params_m is 25.6, timm has 11.69" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "2 of 5"
    assert "width  512  1000 classes" in answer.stdout


def test_check_of_no_grid_is_a_bad_request(tmp_path: Path) -> None:
    answer = _check("--grid", str(tmp_path / "none.csv"))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "No grid" in answer.stderr


@pytest.mark.slow
def test_every_row_of_our_grid_is_what_its_library_says() -> None:
    answer = _check()
    assert answer.returncode == 0, answer.stdout
    assert answer.stdout.splitlines()[-1] == "210 of 210"
