"""The command line as a user meets it: sentences for mistakes, a clean stop, and reruns that show no image again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small

from studies import measurements
from studies.measurements import Folder

ROOT = Path(__file__).parents[1]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "studies", *(str(argument) for argument in arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world with one broken picture, two models, and results of a whole run."""
    root = tmp_path_factory.mktemp("world")
    small.world(root / "data")
    broken = small.rows(12, labels=(2, 0, 1), seed=2)
    broken[4]["image"] = b"no picture"
    small.prepared(root / "data", "colours-shift", "shift", broken)
    small.save_timm(root / "resnet18.one")
    small.save_open_clip(root / "ViT.two")
    small.grid(root / "models.csv", {"resnet18.one": "timm", "ViT.two": "open_clip"})
    done = run("all", "--grid", root / "models.csv", "--data", root / "data", "--results", root / "results")
    assert done.returncode == 0, done.stderr
    (root / "said").write_text(done.stderr)
    return root


def test_a_run_is_quiet_and_says_what_it_left_out(world: Path) -> None:
    said = (world / "said").read_text()
    assert "1 of 12 images of 'colours-shift' could not be read and are left out for every model" in said
    assert "2/0004 (UnidentifiedImageError" in said
    for chatter in ("INFO", "WARNING", "raylet", "Dataset", "Traceback"):
        assert chatter not in said


def test_a_second_run_shows_and_measures_nothing(world: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in (world / "results").rglob("*.parquet")}
    started = time.monotonic()
    again = run("all", "--grid", world / "models.csv", "--data", world / "data", "--results", world / "results")
    assert again.returncode == 0
    assert "nothing to show: all 6 cells (model, image set) are complete" in again.stderr
    assert "are up to date" in again.stderr
    assert time.monotonic() - started < 30
    assert {file: file.stat().st_mtime_ns for file in (world / "results").rglob("*.parquet")} == before


def test_one_study_is_rerun_byte_for_byte_without_images_and_checkpoints(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "results", tmp_path / "results")
    shutil.copy(world / "models.csv", tmp_path)
    before = {file: file.read_bytes() for file in (tmp_path / "results").rglob("*.parquet")}
    times = {file: file.stat().st_mtime_ns for file in before}
    done = run("calibration", "--grid", tmp_path / "models.csv", "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert {file: file.read_bytes() for file in (tmp_path / "results").rglob("*.parquet")} == before
    rewritten = [file.name for file in before if file.stat().st_mtime_ns != times[file]]
    assert rewritten == ["calibration.parquet"]


BASE_ALONE = """
import runpy, sys

ENGINE = ("ray", "torch", "torchvision", "timm", "open_clip", "PIL", "sklearn", "safetensors", "huggingface_hub")

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ENGINE:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
runpy.run_module("studies", run_name="__main__", alter_sys=True)
"""


def test_a_study_is_rerun_with_the_base_dependencies_alone(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "results", tmp_path / "results")
    before = (tmp_path / "results/measurements/ood.parquet").read_bytes()
    command = [sys.executable, "-c", BASE_ALONE, "ood", "--results", str(tmp_path / "results")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/measurements/ood.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["all", "--data", "DATA", "--grid", "GRID", "--results", "R", "--model", "resnet81.one"], "'resnet18.one'"),
        (["callibration", "--results", "R"], "No study 'callibration'. Nearest: 'calibration'"),
        (["all"], "No --results"),
        (["all", "--results", "NOWHERE"], "no model has been shown anything there"),
        (["all", "--data", "EMPTY", "--grid", "GRID", "--results", "R"], "No prepared image set in"),
        (["all", "--data", "NOWHERE", "--grid", "GRID", "--results", "R"], "No prepared image set in"),
        (["all", "--data", "DATA", "--grid", "NOWHERE", "--results", "R"], "No grid '"),
        (["all", "--data", "DATA", "--grid", "OTHER", "--results", "R"], "holds the results of another grid (2 models"),
        (["ood", "--grid", "OTHER", "--results", "R"], "holds the results of another grid (2 models"),
        (["--plan", "--results", "R", "--grid", "GRID"], "No --data"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments: list[str], sentence: str, world: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    places = {
        "DATA": world / "data",
        "GRID": world / "models.csv",
        "R": world / "results",
        "EMPTY": tmp_path / "empty",
        "NOWHERE": tmp_path / "nowhere",
        "OTHER": small.grid(tmp_path / "other.csv", {"other.model": "timm"}),
    }
    done = run(*[places.get(argument, argument) for argument in arguments])
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1, "one sentence, no traceback"


def test_a_plan_shows_nothing(world: Path, tmp_path: Path) -> None:
    done = run("--plan", "--grid", world / "models.csv", "--data", world / "data", "--results", tmp_path / "r")
    assert done.returncode == 0
    assert "6 of 6 cells (model, image set) are incomplete: 2 models to load, 46 images in 7 shards" in done.stderr
    assert not (tmp_path / "r").exists()


def test_a_list_names_studies_sets_and_models(world: Path) -> None:
    done = run("--list", "--grid", world / "models.csv", "--data", world / "data", "--results", world / "results")
    assert done.returncode == 0
    for name in ("calibration", "colours-shift", "resnet18.one", "shown 3 sets"):
        assert name in done.stdout


def _predictions(file: Path, data: Path, name: str) -> Path:
    """Decisions on a prepared set, all for the first class with a confidence of a half."""
    folder = Folder.of(data) / name
    ids = [each for shard in folder.files() for each in folder.read(shard, ["image_id"]).column(0).to_pylist()]
    file.write_text("image_id,prediction,confidence\n" + "".join(f"{each},red,0.5\n" for each in ids))
    return file


def test_predictions_of_ones_own_are_imported_and_measured(world: Path, tmp_path: Path) -> None:
    data, results = world / "data", tmp_path / "results"
    for name in ("colours-shift", "colours"):
        file = _predictions(tmp_path / "mine.csv", data, name)
        given = ("--from", file, "--results", results, "--name", "mine.v1", "--image-set", name, "--data", data)
        done = run("import", *given)
        assert done.returncode == 0, done.stderr
        # The broken picture is left out for every model alike.
        count = 24 if name == "colours" else 11
        assert f"imported decisions of 'mine.v1' on {count} images of '{name}'" in done.stderr
    done = run("all", "--results", results)
    assert done.returncode == 0, done.stderr
    assert "note: calibration of mine.v1, decisions alone: temperature, NLL" in done.stderr
    rows = measurements.read(Folder.of(results)).set_index(["study", "image_set", "subset", "method", "metric"])
    assert rows.loc[("shift", "colours", "all", "full", "top1"), "value"] == pytest.approx(1 / 3)
    # The broken picture is a red one.
    assert rows.loc[("shift", "colours-shift", "all", "full", "top1"), "value"] == pytest.approx(3 / 11)
    listed = run("--list", "--grid", world / "models.csv", "--results", results).stdout
    assert "decisions on colours, colours-shift" in listed
    planned = run("--plan", "--grid", world / "models.csv", "--data", data, "--results", results)
    assert planned.returncode == 0, planned.stderr
    assert "6 of 6 cells (model, image set) are incomplete: 2 models to load" in planned.stderr


def test_an_import_stays_when_models_are_shown_images(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "results", tmp_path / "results")
    file = _predictions(tmp_path / "mine.csv", world / "data", "colours")
    given = ("--from", file, "--results", tmp_path / "results", "--name", "mine.v1", "--image-set", "colours")
    assert run("import", *given, "--facts", "group=standard").returncode == 0
    before = (tmp_path / "results/models.parquet").read_bytes()
    given = ("--grid", world / "models.csv", "--data", world / "data", "--results", tmp_path / "results")
    done = run("shift", *given)
    assert done.returncode == 0, done.stderr
    assert "nothing to show: all 6 cells (model, image set) are complete" in done.stderr
    assert "of 3 models in shift" in done.stderr
    assert (tmp_path / "results/models.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--from", "AWAY", "--name", "m", "--image-set", "colours"], "No file"),
        (["--from", "MINE", "--name", "m", "--image-set", "colors"], "No image set 'colors'"),
        (["--from", "MINE", "--name", "resnet18.one", "--image-set", "colours"], "Give another name to --name"),
        (["--from", "MINE", "--name", "m", "--image-set", "greys"], "24 images that are not of 'greys'"),
        (["--from", "MINE", "--name", "m", "--image-set", "colours", "--facts", "x=1"], "'x' is no fact"),
        (["--from", "MINE", "--name", "m", "--image-set", "colours", "--facts", "x"], "as in group=standard"),
    ],
)
def test_a_mistake_in_an_import_gets_one_sentence(
    arguments: list[str], sentence: str, world: Path, tmp_path: Path
) -> None:
    places = {"MINE": _predictions(tmp_path / "m.csv", world / "data", "colours"), "AWAY": tmp_path / "away.csv"}
    before = {file: file.stat().st_mtime_ns for file in (world / "results").rglob("*")}
    done = run("import", *[places.get(each, each) for each in arguments], "--results", world / "results")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1, "one sentence, no traceback"
    assert {file: file.stat().st_mtime_ns for file in (world / "results").rglob("*")} == before


def test_a_failed_model_is_named_and_the_exit_status_is_one(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "w")
    (tmp_path / "w/resnet18.one/model.safetensors").write_bytes(b"nonsense")
    names = {"resnet18.one": "timm", "ViT.two": "open_clip", "gone.three": "timm"}
    grid = small.grid(tmp_path / "w/models.csv", names)
    done = run("shift", "--grid", grid, "--data", tmp_path / "w/data", "--results", tmp_path / "r")
    assert done.returncode == 1
    assert "FAILED resnet18.one: Model 'resnet18.one' cannot be loaded from" in done.stderr
    assert "FAILED gone.three: The checkpoint of 'gone.three' is not at hand" in done.stderr
    assert "of 1 models in shift" in done.stderr


def test_ctrl_c_loses_nothing(world: Path, tmp_path: Path) -> None:
    for name in ("resnet18.one", "ViT.two"):
        shutil.copytree(world / name, tmp_path / name)
    small.prepared(tmp_path / "data", "colours", "clean", small.rows(400, labels=(0, 1, 2), seed=1))
    grid = small.grid(tmp_path / "models.csv", {"resnet18.one": "timm", "ViT.two": "open_clip"})
    arguments = ("shift", "--grid", grid, "--data", tmp_path / "data", "--results", tmp_path / "r")
    process = subprocess.Popen(command(*arguments), cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    shards = tmp_path / "r/features/colours/ViT.two"
    until = time.monotonic() + 120
    while len(list(shards.glob("0*.parquet"))) < 5 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Interrupted. What was finished is kept; the same command goes on from there." in said
    assert "Traceback" not in said
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "r/features").rglob("0*.parquet")}
    assert 5 <= len(kept) < 100, "stopped half-way"
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert {file: file.stat().st_mtime_ns for file in kept} == kept, "nothing was done twice"
    assert len(list((tmp_path / "r/features").rglob("0*.parquet"))) == 100
