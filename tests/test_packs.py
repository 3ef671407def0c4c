"""Packs, batch sizes and costs: arithmetic, met by published figures, and what a plan says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import small

from engine import image_sets, models, packs, passes, plan
from engine.account import Account, Measured, Spent, measured
from engine.files import Folder
from engine.packs import Machine

NOTHING = Measured({}, {})
H200 = Machine("NVIDIA H200", 1, 139 << 30, 16)
HERE = Machine("cpu", 1, 8 << 30, 2)


@pytest.fixture(scope="module")
def grid() -> dict[str, models.ModelSpec]:
    return {spec.name: spec for spec in models.read_grid(models.OUR_GRID)}


@pytest.mark.parametrize(
    ("arch", "giga"),  # multiply-adds of a picture as timm's own tables list them
    [("resnet50", 4.1), ("resnet101", 7.8), ("convnext_base", 15.4), ("vit_base_patch16_224", 17.6)],
)
def test_multiply_adds_are_right_within_a_factor_of_two(
    arch: str, giga: float, grid: dict[str, models.ModelSpec]
) -> None:
    found = [spec for spec in grid.values() if spec.arch == arch and spec.image_size == "224"]
    assert found
    for spec in found:
        assert giga / 2 < packs.multiply_adds(spec) / 1e9 < 2 * giga, spec.name


def test_the_whole_grid_needs_few_packs_and_every_pack_fits(grid: dict[str, models.ModelSpec]) -> None:
    specs = list(grid.values())
    for size, most in ((24, 12), (80, 3), (139, 2)):
        machine = Machine("a GPU", 1, size << 30, 16)
        found = packs.pack(specs, machine)
        assert len(found) <= most
        assert sorted(spec.name for each in found for spec in each) == sorted(grid)
        for each in found:
            work = max(packs.batch_size(spec, machine) * packs.activation_bytes(spec) for spec in each)
            assert sum(map(packs.weight_bytes, each)) + work <= packs.HEADROOM * machine.free_bytes


def test_a_batch_is_a_power_of_two_and_smaller_for_larger_pictures(grid: dict[str, models.ModelSpec]) -> None:
    small_card = Machine("a GPU", 1, 8 << 30, 8)
    sizes = {int(spec.image_size): packs.batch_size(spec, small_card) for spec in grid.values() if spec.image_size}
    assert all(size & (size - 1) == 0 and size >= 1 for size in sizes.values())
    assert [sizes[key] for key in sorted(sizes)] == sorted(sizes.values(), reverse=True)
    assert min(packs.batch_size(spec, H200) for spec in grid.values()) >= 128


def _account(device: str, seconds: float, batch: int) -> Account:
    account = Account(device, {"a.x": batch})
    account.add([Spent("forward", "a.x", seconds, 100), Spent("decode", "", 1.0, 100), Spent("wait", "", 9.0, 100)])
    return account


def test_what_was_measured_replaces_what_was_guessed(tmp_path: Path) -> None:
    results = Folder.of(tmp_path / "results")
    for device, seconds, batch, name in (
        ("cpu", 50.0, 32, "1"),
        ("cpu", 20.0, 16, "2"),
        ("NVIDIA H200", 0.1, 256, "3"),
    ):
        account = _account(device, seconds, batch)
        account.name = name
        account.commit(results)
    known = measured(results, "cpu")
    assert known.seconds["forward", "a.x"] == 0.2, "of this device, and of its last run"
    assert known.batches == {"a.x": 16}
    assert packs.decode_seconds(3, known) == 0.01
    (spec,) = models.read_grid(small.grid(tmp_path / "models.csv", {"a.x": "timm"}))
    assert packs.forward_seconds(spec, HERE, known) == 0.2
    assert packs.forward_seconds(spec, HERE, NOTHING) != 0.2


def test_what_holds_a_run_up_is_named() -> None:
    account = _account("cpu", 20.0, 32)
    assert account.bottleneck() == "forward"
    account.add([Spent("wait", "", 100.0, 100)])
    assert account.bottleneck() == "decode"
    account.add([Spent("read", "", 3.0, 100)])
    assert account.bottleneck() == "read"
    assert Account("cpu").bottleneck() == ""
    assert "forward 20.0 s" in account.summary()


def test_a_plan_says_what_it_costs(tmp_path: Path) -> None:
    small.world(tmp_path / "data")
    for name in ("a.x", "b.y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(name)
    specs = models.read_grid(small.grid(tmp_path / "models.csv", {"a.x": "timm", "b.y": "open_clip"}))
    prepared = list(image_sets.read_all(Folder.of(tmp_path / "data")))
    todo = plan.make(Folder.of(tmp_path / "results"), prepared, specs)
    (one,) = passes.passes(todo, HERE, NOTHING)
    assert (one.images, one.cells, len(one.needs)) == (46, 6, 7)
    stored = sum(file.stat().st_size for file in (tmp_path / "data").rglob("*.parquet"))
    assert 0.5 * stored < one.cost.bytes_in < 1.1 * stored
    said = passes.forecast(todo, HERE, NOTHING)
    assert "pack 1: 2 models of 0.8 GB, 6 cells, 46 images to decode" in said
    assert "0 of 2 models have been measured" in said
    assert "held up by: forward" in said
    known = Measured({("forward", "a.x"): 1e-6, ("forward", "b.y"): 1e-6, ("decode", ""): 1.0}, {})
    assert "held up by: decode" in passes.forecast(todo, HERE, known)
    assert "2 of 2 models have been measured" in passes.forecast(todo, HERE, known)


def test_a_local_checkpoint_counts_by_its_file_and_its_geometry(tmp_path: Path) -> None:
    small.save_timm(tmp_path / "resnet18.one", pixels=96)
    (spec,) = models.read_grid(small.grid(tmp_path / "models.csv", {"resnet18.one": "timm"}))
    file = tmp_path / "resnet18.one/model.safetensors"
    assert packs.weight_bytes(spec) == pytest.approx(file.stat().st_size)
    assert packs.activation_bytes(spec) == pytest.approx(packs.IMAGE_BYTES * (96 / 224) ** 2)
    assert packs.batch_size(spec, HERE) == 64
