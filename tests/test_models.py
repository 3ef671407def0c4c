"""The grid CSV: what is read, and what a user is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models import BadRequest, checkpoint_digest, read_grid, select

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


def test_a_checkpoint_is_known_by_its_content(tmp_path: Path) -> None:
    (spec,) = read_grid(_grid(tmp_path, "a,timm,resnet18,local-dir:w,,,,,,"))
    with pytest.raises(BadRequest, match="The checkpoint of 'a' is not at hand"):
        checkpoint_digest(spec)
    weights = tmp_path / "w" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"one")
    first = checkpoint_digest(spec)
    assert checkpoint_digest(spec) == first
    weights.write_bytes(b"two")
    assert checkpoint_digest(spec) != first
