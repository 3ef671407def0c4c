"""What is missing, found from the files alone; packs by memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import small

from engine import image_sets, models, packs, plan, state
from engine.files import Folder
from engine.image_sets import BadImageSet
from engine.models import BadRequest
from engine.packs import Machine
from engine.prepare import known


@pytest.fixture
def world(tmp_path: Path) -> Path:
    small.world(tmp_path / "data")
    for name in ("a.x", "b.y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(name)
    small.grid(tmp_path / "models.csv", {"a.x": "timm", "b.y": "open_clip"})
    return tmp_path


def _plan(root: Path) -> plan.Plan:
    prepared = list(image_sets.read_all(Folder.of(root / "data")))
    return plan.make(Folder.of(root / "results"), prepared, models.read_grid(root / "models.csv"))


def test_everything_is_missing_at_first(world: Path) -> None:
    todo = _plan(world)
    assert [spec.name for spec in todo.specs] == ["a.x", "b.y"]
    assert (todo.cells, todo.missing_cells, todo.images) == (6, 6, 24 + 12 + 10)
    assert all(need.models == ("a.x", "b.y") for need in todo.needs)
    assert "2 models to load, 46 images in 7 shards to decode, 92 times" in todo.summary()


def test_an_absent_checkpoint_costs_only_its_model(world: Path) -> None:
    (world / "a.x" / "weights").unlink()
    todo = _plan(world)
    assert [spec.name for spec in todo.specs] == ["b.y"]
    assert "The checkpoint of 'a.x' is not at hand" in todo.summary()


def test_an_empty_data_folder_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadImageSet, match=r"No prepared image set in .*python -m engine.miniature"):
        list(image_sets.read_all(Folder.of(tmp_path)))


def test_a_set_that_was_not_finished_gets_a_sentence(world: Path) -> None:
    (world / "data/colours/00002.parquet").unlink()
    with pytest.raises(BadImageSet, match=r"'colours' in .* was not written to its end"):
        _plan(world)


def test_a_folder_of_something_else_gets_a_sentence(tmp_path: Path) -> None:
    import pandas as pd

    (tmp_path / "tables").mkdir()
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "tables/a.parquet")
    with pytest.raises(BadImageSet, match=r"a.parquet is no shard of a prepared image set"):
        list(image_sets.read_all(Folder.of(tmp_path)))


def test_known_sets_that_are_not_prepared_are_named_where_the_clean_set_is_imagenet(world: Path) -> None:
    assert _plan(world).notes() == ()
    small.prepared(world / "imagenet", "imagenet", "clean", small.rows(4, labels=(0, 1)), clean="imagenet")
    small.prepared(world / "imagenet", "imagenet-r", "shift", small.rows(4, labels=(0, 1)), clean="imagenet")
    prepared = list(image_sets.read_all(Folder.of(world / "imagenet")))
    todo = plan.make(Folder.of(world / "results"), prepared, models.read_grid(world / "models.csv"))
    (note,) = todo.notes()
    assert note == known.missing(["imagenet", "imagenet-r"])
    assert "imagenet-a" in note
    assert "imagenet-r," not in note


def test_data_without_a_clean_set_gets_a_sentence(tmp_path: Path) -> None:
    small.prepared(tmp_path / "data", "greys", "out", small.rows(4, labels=(None,)))
    prepared = list(image_sets.read_all(Folder.of(tmp_path / "data")))
    with pytest.raises(BadImageSet, match="it holds: none"):
        plan.clean_set(prepared)


def _specs(folder: Path, sizes: dict[str, tuple[int, float]]) -> tuple[models.ModelSpec, ...]:
    lines = ["name,library,arch,checkpoint,image_size,params_m"]
    lines += [f"{name},timm,a,b,{pixels},{params}" for name, (pixels, params) in sizes.items()]
    (folder / "sizes.csv").write_text("\n".join(lines))
    return models.read_grid(folder / "sizes.csv")


def test_packs_are_few_and_fit(tmp_path: Path) -> None:
    specs = _specs(tmp_path, {"a": (224, 80), "b": (384, 300), "c": (224, 90), "d": (384, 60), "e": (224, 20)})
    machine = Machine("cpu", 1, int(2.5e9), 2)
    found = packs.pack(specs, machine)
    assert [[spec.name for spec in each] for each in found] == [["c", "a", "e", "d"], ["b"]]
    for each in found:
        work = max(packs.batch_size(spec, machine) * packs.activation_bytes(spec) for spec in each)
        assert sum(map(packs.weight_bytes, each)) + work <= packs.HEADROOM * machine.free_bytes
    assert sorted(
        spec.name for each in packs.pack(specs, replace(machine, free_bytes=10**12)) for spec in each
    ) == list("abcde")
    assert len(packs.pack(specs, replace(machine, free_bytes=10**12))) == 1


def test_other_results_and_other_images_are_refused(world: Path) -> None:
    import pandas as pd

    from engine import predictions

    results = Folder.of(world / "results")
    predictions.write_models(results, pd.DataFrame({"name": ["somebody.else"], "digest": ["0"]}))
    with pytest.raises(BadRequest, match=r"results of another grid \(1 models, 'somebody.else' among them\)"):
        _plan(world)
    predictions.write_models(results, pd.DataFrame({"name": ["a.x"], "digest": ["0"]}))
    (colours, *_) = list(image_sets.read_all(Folder.of(world / "data")))
    import pyarrow as pa

    predictions.write_images(results, colours.image_set, pa.table({"image_id": ["1"]}))
    assert _plan(world).missing_cells == 6
    small.prepared(world / "data", "colours", "clean", small.rows(24, labels=(0, 1, 2), seed=9))
    with pytest.raises(BadRequest, match="was made from another 'colours'"):
        _plan(world)


def test_a_damaged_file_counts_as_not_there(tmp_path: Path) -> None:
    import numpy as np

    from engine.predictions import write_features

    small.prepared(tmp_path / "data", "colours", "clean", small.rows(8, labels=(0, 1)))
    (prepared,) = image_sets.read_all(Folder.of(tmp_path / "data"))
    (shard,), results = prepared.shards, Folder.of(tmp_path / "results")
    made_of = {"checkpoint": "c", "shard": shard.digest, "precision": "float32"}
    write_features(results, "colours", "a.x", shard.file, ["1"], np.ones((1, 4), np.float32), dict(made_of))
    assert not state.lacks(results, shard, "a.x", "c", "float32")
    assert state.lacks(results, shard, "a.x", "c", "bfloat16")
    assert state.lacks(results, shard, "a.x", "another", "float32")
    file = tmp_path / "results/features/colours/a.x" / shard.file
    for content in (file.read_bytes()[:-20], b""):  # as a power cut may leave it
        file.write_bytes(content)
        assert state.lacks(results, shard, "a.x", "c", "float32")
