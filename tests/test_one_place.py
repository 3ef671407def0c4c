"""What takes one tuple or one function to add, added to a copy of the code: no image is shown again for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small

from studies import measurements
from studies.measurements import Folder

ROOT = Path(__file__).parents[1]


def _run(code: Path, *arguments: object) -> str:
    command = [sys.executable, "-m", "studies", *map(str, arguments)]
    surroundings = {**os.environ, "PYTHONPATH": str(code)}
    done = subprocess.run(command, cwd=code, env=surroundings, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def _times(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*.parquet")}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, and results that it made."""
    root = tmp_path_factory.mktemp("one")
    for room in ("engine", "studies"):
        shutil.copytree(ROOT / room, root / "code" / room, ignore=shutil.ignore_patterns("__pycache__"))
    small.world(root / "data")
    small.save_open_clip(root / "ViT.two")
    small.grid(root / "models.csv", {"ViT.two": "open_clip"})
    _run(root / "code", "all", "--grid", root / "models.csv", "--data", root / "data", "--results", root / "results")
    return root


def test_a_prompt_set_is_one_tuple(shown: Path) -> None:
    prompts = shown / "code/engine/prompts.py"
    text = prompts.read_text()
    assert text.endswith("}\n")
    prompts.write_text(text[:-2] + '    "mine": ("my {}",),\n}\n')
    before = _times(shown / "results/features")
    given = ("--grid", shown / "models.csv", "--data", shown / "data", "--results", shown / "results")
    said = _run(shown / "code", "all", *given)
    assert "0 images in 0 shards to decode" in said
    assert _times(shown / "results/features") == before
    rows = measurements.read(Folder.of(shown / "results"))
    mine = rows[(rows["study"] == "prompts") & (rows["head"] == "mine")]
    assert {"top1", "top1_difference", "auroc", "ece15"} <= set(mine["metric"])


def test_an_ood_score_is_one_function_and_its_study_one_file(shown: Path) -> None:
    scores = shown / "code/studies/scores.py"
    mine = (
        "\n\ndef second(predictions: Predictions) -> Doubles:\n"
        "    return np.sort(predictions.logits.astype(np.float64), axis=1)[:, -2]\n\n\nSCORES['second'] = second\n"
    )
    scores.write_text(scores.read_text() + mine)
    before = _times(shown / "results")
    _run(shown / "code", "ood", "--results", shown / "results")
    after = _times(shown / "results")
    assert [file.name for file in after if after[file] != before.get(file)] == ["ood.parquet"]
    assert after.keys() == before.keys()
    rows = measurements.read(Folder.of(shown / "results"))
    assert "second" in set(rows["method"][rows["study"] == "ood"])
