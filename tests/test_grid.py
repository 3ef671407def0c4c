"""Ray for real: work handed out, shards streamed to a pack, and what happens to what is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import small

from engine import grid, image_sets, models, plan
from engine.files import Folder
from engine.image_sets import PreparedSet
from engine.predictions import IncompleteRecord, Record
from engine.prompts import PROMPTS

pytestmark = pytest.mark.usefixtures("ray_session")


def test_each_keeps_order_and_reports_what_failed() -> None:
    def half(number: int) -> float:
        if number % 2:
            raise ValueError(f"{number} is odd, give an even number")
        return number / 2

    outcomes = grid.each(half, [4, 3, 8], names=["four", "three", "eight"], title="halving")
    assert [(each.name, each.value, each.error) for each in outcomes] == [
        ("four", 2.0, ""),
        ("three", None, "3 is odd, give an even number"),
        ("eight", 4.0, ""),
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    small.world(root / "data")
    small.save_timm(root / "resnet18.one")
    small.save_open_clip(root / "ViT.two", size=24)
    small.save_timm(root / "resnet18.bad")
    (root / "resnet18.bad/model.safetensors").write_bytes(b"nonsense")
    return root


def _show(root: Path, results: Path, names: dict[str, str]) -> tuple[plan.Plan, dict[str, str]]:
    specs = models.read_grid(small.grid(root / "models.csv", names))
    prepared: tuple[PreparedSet, ...] = tuple(image_sets.read_all(Folder.of(root / "data")))
    todo = plan.make(Folder.of(results), prepared, specs)
    outcomes = grid.show(todo, prepared, str(root / "data"), str(results)) if todo.specs else []
    return todo, {each.name: each.error for each in outcomes}


def test_what_is_shown_is_there_once_and_a_second_run_does_nothing(world: Path, tmp_path: Path) -> None:
    names = {"resnet18.one": "timm", "ViT.two": "open_clip"}
    _, errors = _show(world, tmp_path, names)
    assert errors == {"resnet18.one": "", "ViT.two": ""}
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.parquet")}
    assert len(before) == 1 + 3 + (1 + len(PROMPTS)) + 2 * 7 + 1, (
        "models, indices, heads, shards, and where the time went"
    )
    for name in names:
        record = Record.of(Folder.of(tmp_path), name)
        assert [len(record.predictions(each.name)) for each in record.image_sets] == [24, 12, 10]
    todo, _ = _show(world, tmp_path, names)
    assert todo.specs == ()
    assert todo.summary() == "nothing to show: all 6 cells (model, image set) are complete"
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.parquet")} == before


def test_a_later_model_is_shown_alone_and_a_lost_shard_again(world: Path, tmp_path: Path) -> None:
    _show(world, tmp_path, {"resnet18.one": "timm"})
    lost = tmp_path / "features/greys/resnet18.one/00001.parquet"
    content = lost.read_bytes()
    lost.unlink()
    todo, _ = _show(world, tmp_path, {"resnet18.one": "timm", "ViT.two": "open_clip"})
    per_model = {name: sum(name in need.models for need in todo.needs) for name in ("resnet18.one", "ViT.two")}
    assert per_model == {"resnet18.one": 1, "ViT.two": 7}
    assert lost.read_bytes() == content
    assert not (tmp_path / "images/greys").exists(), "parts of an index are joined or not kept"


def test_a_changed_checkpoint_is_shown_anew_and_said(world: Path, tmp_path: Path) -> None:
    _show(world, tmp_path / "r", {"resnet18.one": "timm"})
    old = Record.of(Folder.of(tmp_path / "r"), "resnet18.one").predictions("colours").logits
    other = tmp_path / "other"
    shutil.copytree(world / "data", other / "data")
    small.save_timm(other / "resnet18.one", seed=5)
    todo, _ = _show(other, tmp_path / "r", {"resnet18.one": "timm"})
    assert todo.stale == (
        "7 stored shards of 'resnet18.one' are of another checkpoint, precision or images, or damaged; shown anew.",
    )
    new = Record.of(Folder.of(tmp_path / "r"), "resnet18.one").predictions("colours").logits
    assert np.abs(new - old).max() > 0.01


def test_a_broken_model_is_named_and_the_others_are_done(world: Path, tmp_path: Path) -> None:
    _, errors = _show(world, tmp_path, {"resnet18.bad": "timm", "ViT.two": "open_clip"})
    assert errors["ViT.two"] == ""
    assert "Model 'resnet18.bad' cannot be loaded from" in errors["resnet18.bad"]
    assert len(Record.of(Folder.of(tmp_path), "ViT.two").predictions("colours")) == 24


def test_a_broken_image_is_left_out_for_every_model_with_its_reason(world: Path, tmp_path: Path) -> None:
    content = small.rows(12, labels=(0, 1, 2), seed=1)
    content[3]["image"] = b"no picture"
    content[7]["image"] = bytes(content[7]["image"])[:200]  # type: ignore[arg-type]
    for row in content[8:]:
        row["image"] = b""  # the whole of the second shard
    root = tmp_path / "root"
    small.prepared(root / "data", "colours", "clean", content)
    for name in ("resnet18.one", "ViT.two"):
        shutil.copytree(world / name, root / name)
    _, errors = _show(root, tmp_path / "r", {"resnet18.one": "timm", "ViT.two": "open_clip"})
    assert set(errors.values()) == {""}
    index = (Folder.of(tmp_path / "r") / "images").read("colours.parquet").to_pandas().set_index("image_id")
    assert index["error"].dropna().index.tolist() == ["1/0003", *(f"1/{number:04d}" for number in range(7, 12))]
    assert "cannot identify" in index.loc["1/0003", "error"]
    for name in ("resnet18.one", "ViT.two"):
        shown = Record.of(Folder.of(tmp_path / "r"), name).predictions("colours")
        assert len(shown) == 6
        assert not {"1/0003", "1/0007"} & set(shown.images["image_id"])


def test_a_broken_shard_is_tried_three_times_and_named(world: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(world, root)
    shard = root / "data/colours/00001.parquet"
    prepared = tuple(image_sets.read_all(Folder.of(root / "data")))
    specs = models.read_grid(small.grid(root / "models.csv", {"ViT.two": "open_clip"}))
    todo = plan.make(Folder.of(tmp_path / "r"), prepared, specs)
    shard.write_bytes(shard.read_bytes()[:500])
    (outcome,) = grid.show(todo, prepared, str(root / "data"), str(tmp_path / "r"))
    assert outcome.error.startswith("colours/00001.parquet failed 3 times: ")
    assert outcome.value == 46 - 8, "all but the broken shard was shown"
    record = Record.of(Folder.of(tmp_path / "r"), "ViT.two")
    assert [each.name for each in record.image_sets] == ["colours-shift", "greys"]
    with pytest.raises(IncompleteRecord, match="No image set 'colours'"):
        record.predictions("colours")


def test_what_was_killed_before_its_indices_were_joined_is_finished(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studies.__main__ import main

    names = {"resnet18.one": "timm"}
    with monkeypatch.context() as killed:
        killed.setattr(grid.ledger, "finish_indices", lambda *_: _interrupt())
        with pytest.raises(KeyboardInterrupt):
            _show(world, tmp_path, names)
    assert (Folder.of(tmp_path) / "images").folders() == ("colours", "colours-shift", "greys")
    command = ["shift", "--grid", str(world / "models.csv"), "--data", str(world / "data"), "--results", str(tmp_path)]
    assert main(command) == 0
    assert (Folder.of(tmp_path) / "images").folders() == ()
    assert len(Record.of(Folder.of(tmp_path), "resnet18.one").predictions("colours")) == 24
    left = tmp_path / "images/greys"
    left.mkdir()
    shutil.copy(tmp_path / "images/greys.parquet", left / "00001.parquet")  # as when it was killed clearing them away
    assert main(command) == 0
    assert not left.exists()


def _interrupt() -> None:
    raise KeyboardInterrupt
