"""A pack at work without Ray: batches that do not fit, models that fail, and stores that cannot be written to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small
import torch

from engine import image_sets, models, predictions
from engine.decode import Decoder
from engine.files import Folder, Unwritable
from engine.image_sets import Shard
from engine.show import Pack


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    small.prepared(root / "data", "colours", "clean", small.rows(24, labels=(0, 1, 2), seed=1), shard_rows=24)
    small.save_timm(root / "resnet18.one")
    small.save_open_clip(root / "ViT.two", size=24)
    small.grid(root / "models.csv", {"resnet18.one": "timm", "ViT.two": "open_clip"})
    return root


def _pack(root: Path, results: Path, batch_size: int = 8) -> Pack:
    pack = Pack(str(results), small.CLASS_NAMES)
    for spec in models.read_grid(root / "models.csv"):
        assert pack.load(spec, batch_size).error == ""
    return pack


def _decoded(root: Path, results: Path, pack: Pack) -> tuple[Shard, Path, Decoder]:
    (prepared,) = image_sets.read_all(Folder.of(root / "data"))
    geometries = tuple(tower.preprocess for tower in pack.towers.values())
    decoder = Decoder(str(root / "data"), str(results), results.name, geometries)
    (shard,) = prepared.shards
    return shard, decoder(shard)[0], decoder


def _shown(results: Path, model: str) -> np.ndarray:
    table = (Folder.of(results) / "features/colours" / model).read("00000.parquet")
    return predictions._features(table)


def test_a_batch_that_does_not_fit_is_halved_and_remembered(world: Path, tmp_path: Path) -> None:
    pack = _pack(world, tmp_path / "r")
    whole, seen = pack.towers["resnet18.one"], []

    def narrow(batch: torch.Tensor) -> torch.Tensor:
        seen.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole.embed(batch)

    pack.towers["resnet18.one"] = replace(whole, embed=narrow)
    shard, folder, decoder = _decoded(world, tmp_path / "r", pack)
    receipt = pack.show(shard, str(folder), decoder.geometries, ["resnet18.one", "ViT.two"])
    assert (receipt.images, receipt.failed, receipt.batches) == (24, (), (("resnet18.one", 2),))
    assert seen == [8, 4, *[2] * 12]
    narrowed = _shown(tmp_path / "r", "resnet18.one")
    _, folder, _ = _decoded(world, tmp_path / "r", pack)
    assert pack.show(shard, str(folder), decoder.geometries, ["resnet18.one"]).batches == ()
    assert seen[14:] == [2] * 12, "remembered"
    again = _pack(world, tmp_path / "whole")
    _, folder, _ = _decoded(world, tmp_path / "whole", again)
    again.show(shard, str(folder), decoder.geometries, ["resnet18.one"])
    np.testing.assert_allclose(narrowed, _shown(tmp_path / "whole", "resnet18.one"), rtol=1e-5, atol=1e-6)


def test_a_model_that_fails_fails_alone_and_the_time_is_told(world: Path, tmp_path: Path) -> None:
    pack = _pack(world, tmp_path / "r")

    def broken(batch: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(f"no kernel for {len(batch)} images")

    pack.towers["resnet18.one"] = replace(pack.towers["resnet18.one"], embed=broken)
    shard, folder, decoder = _decoded(world, tmp_path / "r", pack)
    receipt = pack.show(shard, str(folder), decoder.geometries, ["resnet18.one", "ViT.two"])
    assert receipt.failed == (("resnet18.one", "RuntimeError: no kernel for 8 images"),)
    assert _shown(tmp_path / "r", "ViT.two").shape == (24, 24)
    assert {(each.stage, each.model) for each in receipt.spent} == {
        ("copy", ""), ("forward", "ViT.two"), ("write", ""), ("flush", ""),
    }  # fmt: skip
    assert not folder.exists()


def test_a_store_that_cannot_be_written_to_is_no_models_fault(world: Path, tmp_path: Path) -> None:
    pack = _pack(world, tmp_path / "r")
    shard, folder, decoder = _decoded(world, tmp_path / "r", pack)
    (tmp_path / "r/features").write_text("a file where a folder should be")
    with pytest.raises(Unwritable, match=r"features/colours/.* cannot be written: .*what is finished is kept"):
        pack.show(shard, str(folder), decoder.geometries, ["resnet18.one", "ViT.two"])


@pytest.mark.parametrize(("precision", "half"), [("bfloat16", False), ("float32", True), ("bfloat16", True)])
def test_a_chosen_precision_is_told_with_what_it_changes(
    world: Path, tmp_path: Path, precision: str, half: bool
) -> None:
    shown = {}
    for name, chosen in (("exact", ("float32", False)), ("chosen", (precision, half))):
        pack = Pack(str(tmp_path / name), small.CLASS_NAMES, "", *chosen)
        for spec in models.read_grid(world / "models.csv"):
            assert pack.load(spec, 8).error == ""
        shard, folder, decoder = _decoded(world, tmp_path / name, pack)
        receipt = pack.show(shard, str(folder), decoder.geometries, ["resnet18.one", "ViT.two"])
        shown[name] = {model: _shown(tmp_path / name, model) for model in ("resnet18.one", "ViT.two")}
        shown[name]["head"] = predictions.read_head(Folder.of(tmp_path / name), "ViT.two", "openai80").weight
    assert np.array_equal(shown["exact"].pop("head"), shown["chosen"].pop("head")), "heads are always float32"
    for model, exact in shown["exact"].items():
        change = np.abs(shown["chosen"][model] - exact).max() / np.abs(exact).max()
        assert 1e-6 < change < 0.03
        if not half:
            assert 0 < dict(receipt.drift)[model] < 2 * change
    folder = Folder.of(tmp_path / "chosen") / "features/colours/ViT.two"
    assert folder.identity("00000.parquet")["precision"] == precision
    assert ("centre" in folder.read("00000.parquet").column_names) is half
    assert bool(receipt.drift) is (precision != "float32")
