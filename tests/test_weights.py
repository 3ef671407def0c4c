"""Where weights are found, what they are known by, and what a store says when they are moved away."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import small
import torch
from huggingface_hub import constants, try_to_load_from_cache
from loopback import serving
from safetensors.torch import save_file

from engine import fetch, image_sets, ledger, models, plan, towers, weights
from engine.files import Folder
from engine.image_sets import ImageSet
from engine.ledger import Loaded
from engine.models import BadRequest, ModelSpec
from engine.weights import Source

ROOT = Path(__file__).parents[1]
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc", FIPS 180-2, appendix B.1
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home/hub"))


def _spec(checkpoint: str, *, name: str = "m.x", library: str = "timm", arch: str = "test_vit") -> ModelSpec:
    return ModelSpec(name, library, arch, checkpoint)


def _put(file: Path, content: bytes = b"abc") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def _cache(repository: str, file: str, content: bytes = b"abc") -> Path:
    """A file in the hub's cache, as the hub's client lays it out."""
    folder = Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")
    blob = _put(folder / "blobs" / hashlib.sha256(content).hexdigest(), content)
    _put(folder / "refs/main", COMMIT.encode())
    placed = folder / "snapshots" / COMMIT / file
    placed.parent.mkdir(parents=True, exist_ok=True)
    placed.symlink_to(os.path.relpath(blob, placed.parent))
    return placed


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            _spec("r160_in1k"),
            Source(repository="timm/test_vit.r160_in1k", files=("model.safetensors", "pytorch_model.bin")),
        ),
        (
            _spec("openai", library="open_clip", arch="ViT-B-32-quickgelu"),
            Source(
                repository="timm/vit_base_patch32_clip_224.openai",
                files=("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
            ),
        ),
        (_spec("hf://laion/scaling/a/b.pt"), Source(repository="laion/scaling", files=("a/b.pt",))),
        (_spec("local-dir:/w"), Source(folder=Path("/w"))),
    ],
)
def test_a_checkpoint_says_where_it_comes_from(spec: ModelSpec, expected: Source) -> None:
    assert weights.source(spec) == expected


@pytest.mark.parametrize("library", ["timm", "open_clip"])
def test_an_unknown_tag_gets_a_sentence(library: str) -> None:
    arch = {"timm": "test_vit", "open_clip": "ViT-B-32"}[library]
    with pytest.raises(BadRequest, match=f"{library} lists no weights 'nonsense' for {arch}[.] Check the arch"):
        weights.source(_spec("nonsense", library=library, arch=arch))
    with pytest.raises(BadRequest, match=r"names no file; write hf://OWNER/NAME/FILE"):
        weights.source(_spec("hf://nonsense", library=library, arch=arch))


def test_every_hub_checkpoint_of_our_grid_has_a_repository() -> None:
    sources = [weights.source(spec) for spec in models.read_grid(models.OUR_GRID) if spec.folder is None]
    assert all(source.repository.count("/") == 1 and source.files for source in sources)


def test_the_mirror_comes_before_the_cache_and_safetensors_before_a_pickle(tmp_path: Path) -> None:
    spec, mirror = _spec("r160_in1k"), tmp_path / "mirror"
    mirror.mkdir()
    assert weights.at_hand(spec, str(mirror)) is None
    cached = _cache("timm/test_vit.r160_in1k", "pytorch_model.bin")
    assert weights.find(weights.source(spec), "") == cached
    pickled = _put(mirror / "timm/test_vit.r160_in1k/pytorch_model.bin")
    assert weights.find(weights.source(spec), str(mirror)) == pickled
    safe = _put(mirror / "timm/test_vit.r160_in1k/model.safetensors")
    assert weights.find(weights.source(spec), str(mirror)) == safe
    assert weights.find(weights.source(spec), "") == cached
    assert try_to_load_from_cache("timm/test_vit.r160_in1k", "pytorch_model.bin") == str(cached)


def test_an_address_has_its_place_too(tmp_path: Path) -> None:
    origin = Source(url="https://x.net/a/w-1a2b3c4d.pth")
    assert weights.find(origin, str(tmp_path)) is None
    own = _put(tmp_path / "home/closerlook/x.net/a/w-1a2b3c4d.pth")
    assert weights.find(origin, str(tmp_path / "mirror")) == own
    mirrored = _put(tmp_path / "mirror/x.net/a/w-1a2b3c4d.pth")
    assert weights.find(origin, str(tmp_path / "mirror")) == mirrored


def test_a_file_is_known_by_its_sha256() -> None:
    cached = _cache("me/one", "w.pth")
    found = weights.at_hand(_spec("hf://me/one/w.pth"))
    assert found is not None
    assert (found.path, found.digest, found.weights) == (cached, ABC[:16], ABC[:16])


def test_a_folder_is_known_by_all_of_it_its_weights_by_themselves(tmp_path: Path) -> None:
    spec = _spec(f"local-dir:{tmp_path / 'w'}")
    with pytest.raises(BadRequest, match=r"The checkpoint of 'm.x' is not at hand: .* holds no files"):
        weights.at_hand(spec)
    _put(tmp_path / "w/config.json", b"{}")
    bare = weights.at_hand(spec)
    assert bare is not None
    assert bare.weights == "", "two folders without weights are no duplicates"
    _put(tmp_path / "w/model.safetensors")
    first = weights.at_hand(spec)
    assert first is not None
    assert first.weights == ABC[:16]
    _put(tmp_path / "w/config.json", b"{ }")
    other = weights.at_hand(spec)
    assert other is not None
    assert (other.weights, other.digest != first.digest) == (first.weights, True)
    _put(tmp_path / "w/model.safetensors", b"abd")
    changed = weights.at_hand(spec)
    assert changed is not None
    assert changed.weights != first.weights


def test_the_digest_of_a_large_file_is_remembered_until_it_changes(tmp_path: Path) -> None:
    large = tmp_path / "large.pth"
    with large.open("wb") as file:
        file.truncate(weights.REMEMBERED_BYTES + 1)
    digest = weights.file_digest(large)
    assert digest == hashlib.sha256(large.read_bytes()).hexdigest()
    memory = tmp_path / "home/closerlook/digests.json"
    (key,) = json.loads(memory.read_text())
    memory.write_text(json.dumps({key: "from memory"}))
    assert weights.file_digest(large) == "from memory"
    with large.open("r+b") as file:
        file.write(b"x")
    assert weights.file_digest(large) == hashlib.sha256(large.read_bytes()).hexdigest() != digest
    memory.write_text("no json")
    assert weights.file_digest(large) == hashlib.sha256(large.read_bytes()).hexdigest(), "a lost memory costs only time"


def test_a_missing_mirror_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"No folder of weights .*nowhere'. Give --weights one, or fill it: python"):
        weights.survey([_spec("r160_in1k")], str(tmp_path / "nowhere"))


def test_duplicates_name_the_first_of_the_grid() -> None:
    assert weights.duplicates({"b": "1", "a": "1", "c": "2", "d": "", "e": "", "f": "1"}) == {"a": "b", "f": "b"}


def test_duplicates_are_noted_in_the_grids_order_whoever_was_shown_first(tmp_path: Path) -> None:
    results, grid = Folder.of(tmp_path / "r"), [_spec("x", name=name) for name in ("z.one", "a.two", "b.three")]
    for number in (1, 0, 2):
        ledger.note_models(results, [grid[number]], [Loaded(grid[number].name, weights=f"{number // 2}")])
    assert ledger.refresh_models(results, grid) == (("a.two", "z.one"),)
    noted = pd.read_parquet(tmp_path / "r/models.parquet").set_index("name")["duplicate_of"]
    assert dict(noted) == {"z.one": "", "a.two": "z.one", "b.three": ""}


def test_a_tag_is_loaded_from_the_file_that_was_found_and_no_other(tmp_path: Path) -> None:
    import timm

    spec, mirror = _spec("r160_in1k"), tmp_path / "mirror"
    torch.manual_seed(0)
    model = timm.create_model("test_vit", pretrained=False).eval()
    (mirror / "timm/test_vit.r160_in1k").mkdir(parents=True)
    save_file(model.state_dict(), mirror / "timm/test_vit.r160_in1k/model.safetensors")
    _cache("timm/test_vit.r160_in1k", "model.safetensors", b"of another kind")
    found = fetch.obtain(spec, str(mirror))
    tower = towers.load(spec, torch.device("cpu"), found.path)
    batch = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        assert torch.equal(tower.module(batch), model(batch))
    hub_file = _spec("hf://me/one/w.pth")
    torch.save(model.state_dict(), _put(mirror / "me/one/w.pth"))
    again = towers.load(hub_file, torch.device("cpu"), fetch.obtain(hub_file, str(mirror)).path)
    with torch.inference_mode():
        assert torch.equal(again.module(batch), model(batch))


def _small_clip(folder: Path) -> str:
    """Name of an architecture that open_clip is told of, with weights in a mirror as ``hf://me/clip/w.pth``."""
    import open_clip
    from safetensors.torch import load_file

    small.save_open_clip(folder / "local")
    config = json.loads((folder / "local/open_clip_config.json").read_text())
    _put(folder / "Small-CLIP.json", json.dumps(config["model_cfg"]).encode())
    open_clip.add_model_config(folder / "Small-CLIP.json")
    state = load_file(folder / "local/open_clip_model.safetensors")
    torch.save({"state_dict": state}, _put(folder / "mirror/me/clip/w.pth"))
    return "Small-CLIP"


def test_a_hub_file_of_open_clip_is_the_same_model_as_its_folder(tmp_path: Path) -> None:
    spec = _spec("hf://me/clip/w.pth", library="open_clip", arch=_small_clip(tmp_path))
    tower = towers.load(spec, torch.device("cpu"), fetch.obtain(spec, str(tmp_path / "mirror")).path)
    local = towers.load(_spec(f"local-dir:{tmp_path}/local", library="open_clip"), torch.device("cpu"))
    batch = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(tower.embed(batch), local.embed(batch))


class _Harm:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("library", ["timm", "open_clip"])
def test_a_hub_file_with_code_in_it_is_refused(library: str, tmp_path: Path) -> None:
    arch = _small_clip(tmp_path) if library == "open_clip" else "test_vit"
    torch.save({"weight": _Harm(tmp_path / "owned")}, _put(tmp_path / "mirror/me/harm/w.pth"))
    spec = _spec("hf://me/harm/w.pth", library=library, arch=arch)
    found = fetch.obtain(spec, str(tmp_path / "mirror"))
    with pytest.raises(BadRequest, match=f"Model 'm.x' cannot be loaded from 'hf://me/harm/w.pth' by {library}: "):
        towers.load(spec, torch.device("cpu"), found.path)
    assert not (tmp_path / "owned").exists()


# The whole command: a tag from a mirror, the same weights in a folder under another name, and a file from the hub.


def _run(root: Path, *arguments: object, hub: str = "") -> subprocess.CompletedProcess[str]:
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    reach = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0"} if hub else {"HF_HUB_OFFLINE": "1"}
    environment = {**os.environ, **proxies, **reach, "HF_HOME": str(root / "home")}
    command = [sys.executable, "-m", "studies", *map(str, arguments), "--grid", str(root / "models.csv")]
    command += ["--data", str(root / "data"), "--results", str(root / "results")]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean set of 1,000 classes, and a grid of three names for two checkpoints, one of which only the hub has."""
    root = tmp_path_factory.mktemp("world")
    names = ("red", "green", "blue", *(f"shade {number}" for number in range(3, 1000)))
    clean = ImageSet("colours", "clean", "colours", names, tuple((number,) for number in range(1000)))
    image_sets.write(Folder.of(root / "data"), clean, small.rows(12, labels=(0, 1, 2), seed=1), shard_rows=8)
    small.save_timm(root / "twin", "test_vit", classes=1000, pixels=160)
    small.save_timm(root / "other", "test_vit", classes=1000, pixels=160, seed=1)
    mirror = root / "mirror/timm/test_vit.r160_in1k"
    mirror.mkdir(parents=True)
    shutil.copy(root / "twin/model.safetensors", mirror)
    rows = [("t.r160_in1k", "r160_in1k"), ("a.twin", "local-dir:twin"), ("a.hub", "hf://me/other/model.safetensors")]
    with (root / "models.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "library", "arch", "checkpoint", "params_m"])
        writer.writerows([name, "timm", "test_vit", checkpoint, "0.37"] for name, checkpoint in rows)
    return root


def test_a_run_with_a_mirror_and_one_without_anything(world: Path) -> None:
    planned = _run(world, "--plan")
    assert planned.returncode == 0
    assert "not at hand: 2 checkpoints, about 0.0 GB at 4 bytes a parameter" in planned.stderr
    assert "1 MB  t.r160_in1k: timm/test_vit.r160_in1k (model.safetensors or pytorch_model.bin)" in planned.stderr
    assert f"Fetch them first, into {world}/home/hub: python -m engine.fetch --grid GRID" in planned.stderr
    refused = _run(world, "shift", "--model", "t.r160_in1k")
    assert refused.returncode == 1
    assert "FAILED t.r160_in1k: The checkpoint of 't.r160_in1k' is not at hand" in refused.stderr
    assert "Traceback" not in refused.stderr
    with serving() as hub:
        hub.files["/me/other/resolve/main/model.safetensors"] = (world / "other/model.safetensors").read_bytes()
        done = _run(world, "all", "--weights", world / "mirror", hub=hub.url)
    assert done.returncode == 0, done.stderr
    assert "not at hand: 1 checkpoints" in done.stderr
    assert "They are fetched when their models are loaded; to have them before, into" in done.stderr
    assert (world / "home/hub/models--me--other/refs/main").exists(), "fetched where the model was loaded"
    assert not (world / "mirror/me").exists(), "a mirror is only read"
    assert "note: 'a.twin' has the same weights as 't.r160_in1k'" in done.stderr
    _check_what_was_written(world)
    for name in ("mirror", "twin", "home"):
        (world / name).rename(world / f"away-{name}")
    before = {file: file.stat().st_mtime_ns for file in (world / "results").rglob("*.parquet")}
    again = _run(world, "all")
    assert again.returncode == 0, again.stderr
    assert "nothing to show: all 3 cells (model, image set) are complete" in again.stderr
    assert "3 complete models are known by the digest noted when they were shown" in again.stderr
    assert "note: 'a.twin' has the same weights as 't.r160_in1k'" in again.stderr
    assert {file: file.stat().st_mtime_ns for file in (world / "results").rglob("*.parquet")} == before


def _check_what_was_written(world: Path) -> None:
    facts = pd.read_parquet(world / "results/models.parquet").set_index("name")
    sha = hashlib.sha256((world / "twin/model.safetensors").read_bytes()).hexdigest()[:16]
    assert facts.loc["t.r160_in1k", "digest"] == facts.loc["a.twin", "weights"] == sha
    assert dict(facts["duplicate_of"]) == {"a.twin": "t.r160_in1k", "a.hub": "", "t.r160_in1k": ""}
    for name in facts.index:
        shard = Folder.of(world / "results/features/colours" / name)
        assert shard.identity("00000.parquet")["checkpoint"] == facts.loc[name, "digest"]


def test_new_images_and_no_weights_cost_only_the_models_that_lack_them(tmp_path: Path) -> None:
    small.world(tmp_path / "data")
    small.save_timm(tmp_path / "resnet18.one")
    prepared = list(image_sets.read_all(Folder.of(tmp_path / "data")))
    grid = models.read_grid(small.grid(tmp_path / "models.csv", {"resnet18.one": "timm"}))
    away = (*grid, _spec("hf://me/one/w.pth", name="b.away"))
    todo = plan.make(Folder.of(tmp_path / "results"), prepared, away)
    assert [spec.name for spec in todo.specs] == ["resnet18.one"]
    assert [spec.name for spec in todo.absent] == ["b.away"]
    assert (todo.cells, todo.missing_cells) == (6, 6)
    assert all(need.models == ("resnet18.one",) for need in todo.needs)
    ((name, reason),) = todo.failed
    assert name == "b.away"
    assert "is not at hand: me/one (w.pth) is not in" in reason
    assert reason.endswith("and HF_HUB_OFFLINE is set. Where there is a network: python -m engine.fetch --model b.away")
