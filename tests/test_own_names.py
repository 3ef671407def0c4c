"""Zero-shot heads among a conflict set's own class names: held against open_clip, and made where a store lacks them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import small
import torch
from loopback import object_store

from engine import grid, heads, image_sets, models, plan, towers
from engine.files import Folder
from engine.image_sets import ImageSet, PreparedSet
from engine.predictions import Head, Record, own_head, read_head, write_head
from engine.prompts import PROMPTS
from engine.show import Pack
from studies import shape

OWN = ("airplane", "bear", "knife", "truck")
CUES = ImageSet("cues", "conflict", "colours", OWN, ((0,), (1,), (2,), (0, 2)))
CLIP, NET = "ViT.two", "resnet18.one"
TOLERANCE = 1e-6  # entries of unit rows, float32


def _world(root: Path) -> Path:
    small.prepared(root / "data", "colours", "clean", small.rows(6, labels=(0, 1, 2), seed=1))
    small.save_timm(root / NET)
    small.save_open_clip(root / CLIP, size=24)
    small.grid(root / "models.csv", {NET: "timm", CLIP: "open_clip"})
    return root


def _add_cues(root: Path) -> None:
    rows = [row | {"texture": (number + 1) % 4} for number, row in enumerate(small.rows(8, labels=(0, 1, 2), seed=2))]
    image_sets.write(Folder.of(root / "data"), CUES, rows)


def _plan(root: Path, results: Path) -> tuple[plan.Plan, tuple[PreparedSet, ...]]:
    prepared = tuple(image_sets.read_all(Folder.of(root / "data")))
    return plan.make(Folder.of(results), prepared, models.read_grid(root / "models.csv")), prepared


def _show(root: Path, results: Path) -> plan.Plan:
    todo, prepared = _plan(root, results)
    outcomes = grid.show(todo, prepared, str(root / "data"), str(results))
    assert [each.error for each in outcomes] == [""] * len(todo.specs)
    return todo


def _open_clips(root: Path, names: tuple[str, ...], prompts: str) -> np.ndarray:
    model = open_clip.create_model(f"local-dir:{root / CLIP}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{root / CLIP}")
    templates = [template.format for template in PROMPTS[prompts]]
    return open_clip.build_zero_shot_classifier(model, tokenizer, names, templates).T.numpy()


def test_a_pack_makes_the_head_of_own_names_as_open_clip_does(tmp_path: Path) -> None:
    root, results = _world(tmp_path), Folder.of(tmp_path / "results")
    pack = Pack(str(tmp_path / "results"), small.CLASS_NAMES, own_names=(("cues", OWN),))
    for spec in models.read_grid(root / "models.csv"):
        assert pack.load(spec, 4).error == ""
    own = read_head(results, CLIP, "openai80@cues")
    np.testing.assert_allclose(own.weight, _open_clips(root, OWN, "openai80"), atol=TOLERANCE)
    common = read_head(results, CLIP, "openai80")
    assert (own.kind, own.scale, own.bias.tolist()) == (common.kind, common.scale, [common.bias[0]] * 4)
    assert (results / "heads" / NET).files() == ("learned.parquet",)
    assert set((results / "heads" / CLIP).files()) == {f"{name}.parquet" for name in (*PROMPTS, "openai80@cues")}


def test_sentences_that_heads_share_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, names = _world(tmp_path), tuple(f"kind {number}" for number in range(13))  # no whole number of batches
    spec = models.read_grid(root / "models.csv")[1]
    tower, shown = towers.load(spec, torch.device("cpu")), 0
    encode = tower.module.encode_text

    def counted(texts: torch.Tensor, **options: bool) -> torch.Tensor:
        nonlocal shown
        shown += len(texts)
        return encode(texts, **options)

    monkeypatch.setattr(tower.module, "encode_text", counted)
    found: tuple[Head, ...] = heads.build(tower, sorted(PROMPTS), names)
    assert shown == 13 * len({template for templates in PROMPTS.values() for template in templates})
    for head in found:
        np.testing.assert_allclose(head.weight, _open_clips(root, names, head.name), atol=TOLERANCE)


def test_its_name_is_a_files_name_in_an_object_store_too() -> None:
    head = Head(own_head("cues"), "zero_shot", np.eye(4, dtype=np.float32), np.zeros(4, np.float32), 20.0)
    with object_store("bucket"):
        results = Folder.of("s3://bucket/results")
        write_head(results, CLIP, head, {"source": "this"})
        assert (results / "heads" / CLIP).files() == ("openai80@cues.parquet",)
        found = read_head(results, CLIP, "openai80@cues")
        assert (found.name, found.scale) == ("openai80@cues", 20.0)
        np.testing.assert_array_equal(found.weight, head.weight)


def test_a_plan_counts_heads(tmp_path: Path) -> None:
    root = _world(tmp_path)
    assert _plan(root, tmp_path / "results")[0].heads == 1 + len(PROMPTS)
    _add_cues(root)
    todo, _ = _plan(root, tmp_path / "results")
    assert todo.heads == 1 + len(PROMPTS) + 1
    assert todo.summary().endswith(f", {1 + len(PROMPTS) + 1} heads to make")


@pytest.mark.usefixtures("ray_session")
def test_an_older_store_gets_the_head_and_no_image_is_shown_again(tmp_path: Path) -> None:
    root, results = _world(tmp_path), tmp_path / "results"
    _add_cues(root)
    _show(root, results)
    new = results / f"heads/{CLIP}/openai80@cues.parquet"
    content = new.read_bytes()
    new.unlink()
    before = {file: file.stat().st_mtime_ns for file in _kept(results)}
    older = Record.of(Folder.of(results), CLIP)
    assert (older.own_heads, {row.method for row in shape.measure(older)} & {"zero_shot"}) == ({}, set())
    todo = _show(root, results)
    assert ([spec.name for spec in todo.specs], todo.needs, todo.heads) == ([CLIP], (), 1)
    assert new.read_bytes() == content
    assert {file: file.stat().st_mtime_ns for file in _kept(results)} == before | {new: new.stat().st_mtime_ns}
    record = Record.of(Folder.of(results), CLIP)
    assert record.heads == tuple(sorted(PROMPTS))
    rows = [row for row in shape.measure(record) if row.method == "zero_shot"]
    assert {row.head for row in rows} == {"openai80@cues"}
    assert _plan(root, results)[0].specs == ()
    for file in (root / "data/cues").iterdir():
        file.unlink()
    (root / "data/cues").rmdir()
    assert _plan(root, results)[0].specs == (), "what is not in DATA any more is not missed"
    again = shape.measure(Record.of(Folder.of(results), CLIP))
    assert [row for row in again if row.method == "zero_shot"] == rows


def _kept(results: Path) -> list[Path]:
    return [file for place in ("features", "heads", "images") for file in (results / place).rglob("*.parquet")]
