"""The whole grid's shape at no cost: 210 models, 17 sets, 260,000 tiny pictures; what the engine itself takes.

The towers are real timm models so small that they take next to nothing, and what they take is told by the engine's own
account and is left out of what is measured.
"""

from __future__ import annotations

import io
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from PIL import Image

from engine import grid, image_sets, models, plan, towers
from engine.account import measured
from engine.files import Folder
from engine.image_sets import ImageSet

MODELS, SETS, IMAGES = 210, 17, 260_000
TINY = {"img_size": 8, "patch_size": 8, "depth": 1, "embed_dim": 8, "num_heads": 1, "mlp_ratio": 1}


def _pictures(count: int) -> list[bytes]:
    rng, made = np.random.default_rng(0), []
    for _ in range(count):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(out, "PNG")
        made.append(out.getvalue())
    return made


def _world(root: Path) -> None:
    pictures, each = _pictures(1000), IMAGES // SETS
    for number in range(SETS):
        role = "shift" if number else "clean"
        image_set = ImageSet(f"set-{number:02d}", role, "set-00", small.CLASS_NAMES, ((0,), (1,), (2,)))
        rows = (
            {"image_id": f"{number:02d}/{row:05d}", "image": pictures[row % 1000], "label": row % 3}
            for row in range(each)
        )
        image_sets.write(Folder.of(root / "data"), image_set, rows)
    small.save_timm(root / "tiny.000", "vit_tiny_patch16_224", pixels=8, **TINY)
    names = [f"tiny.{number:03d}" for number in range(MODELS)]
    for name in names[1:]:
        shutil.copytree(root / "tiny.000", root / name)
        (root / name / "note.txt").write_text(name)  # a checkpoint is known by all its files
    lines = [f"{name},timm,tiny,local-dir:{name},8,0.01" for name in names]
    (root / "models.csv").write_text("\n".join(["name,library,arch,checkpoint,image_size,params_m", *lines]))


def _forward_alone(spec: models.ModelSpec) -> float:
    """Seconds of one shard's forward pass with nothing beside it."""
    tower = towers.load(spec, torch.device("cpu"))
    pixels = torch.zeros((512, 8, 8, 3), dtype=torch.uint8)
    started = time.perf_counter()
    for _ in range(200):
        tower.features(pixels, batch_size=512)
    return (time.perf_counter() - started) / 200


def _written_alone(results: Folder, plain: Path) -> float:
    """Seconds in which the bytes of one committed file are written to a file of its own, encoded already."""
    folder = results / "features/set-00/tiny.000"
    content = Path(folder.path, folder.files()[0]).read_bytes()
    plain.mkdir()
    started = time.perf_counter()
    for number in range(500):
        (plain / f"{number}.parquet").write_bytes(content)
    return (time.perf_counter() - started) / 500


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_engine_itself_takes_under_a_millisecond_for_a_model_and_a_shard(tmp_path: Path) -> None:
    _world(tmp_path)
    specs, results = models.read_grid(tmp_path / "models.csv"), Folder.of(tmp_path / "results")
    prepared = tuple(image_sets.read_all(Folder.of(tmp_path / "data")))
    todo = plan.make(results, prepared, specs)
    shards = len(todo.needs)
    assert (len(specs), todo.cells, todo.images) == (MODELS, MODELS * SETS, IMAGES // SETS * SETS)
    with grid.session():
        started = time.perf_counter()
        outcomes = grid.show(todo, prepared, str(tmp_path / "data"), str(tmp_path / "results"))
        wall = time.perf_counter() - started
    assert {each.error for each in outcomes} == {""}
    (account,) = (results / "runs").files()
    spent = (results / "runs").read(account).to_pandas().groupby("stage")["seconds"].sum()
    alone = _forward_alone(specs[0]) + _written_alone(results, tmp_path / "plain")
    cells = MODELS * shards
    # Decoding is left in: beside the forward passes it takes as long as they let it, which is no cost of its own.
    overhead = (wall - spent["load"]) / cells - alone
    started = time.perf_counter()
    done = plan.make(results, prepared, specs)
    recognised = time.perf_counter() - started
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\n{MODELS} models, {SETS} sets, {todo.images} images, {shards} shards in {wall:.0f} s")
    print(f"{1000 * wall / cells:.2f} ms for a (model, shard), {1000 * alone:.2f} ms of them forward and bytes alone")
    print(f"{1000 * overhead:.2f} ms the engine's own; complete recognised in {recognised:.1f} s")
    print(f"driver {memory / 1e9:.2f} GB; {spent.round(1).to_dict()}")
    assert done.specs == ()
    assert len(measured(results, "cpu").batches) == MODELS
    assert overhead < 1e-3
    assert recognised < 10
    assert memory < 1.5 * 2**30
