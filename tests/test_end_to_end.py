"""Two models and three image sets through real Ray, to a line of the report whose numbers were worked out by hand.

The first model sees colours: its one patch averages each channel, and its head scores red, green and blue by them.
The second is blind: whatever it is shown, it says red. Both are real timm vision transformers, saved and loaded as
any checkpoint is.

==============  ======================================  ===========  =====
set             pictures                                sees colour  blind
==============  ======================================  ===========  =====
colours         3 red, 2 green, 1 blue, and 2 with the  6 of 8       5 of 8
                label red that are drawn green
colours-shift   1 red, 1 blue, 2 blue drawn red         2 of 4       1 of 4
others          3 greys (below every colour), 1 in the  (3 + 1/2)    all tie:
                red of the set (a tie with all), 1 in   of 5 = 0.7   0.5
                a purer red (above all)
==============  ======================================  ===========  =====
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import small
from PIL import Image

ROOT = Path(__file__).parents[1]
RED, GREEN, BLUE = (200, 40, 40), (40, 200, 40), (40, 40, 200)
GREY, PURE = (90, 90, 90), (255, 0, 0)

CLEAN = [(RED, 0)] * 3 + [(GREEN, 1)] * 2 + [(BLUE, 2)] + [(GREEN, 0)] * 2
SHIFT = [(RED, 0), (BLUE, 2), (RED, 2), (RED, 2)]
OTHERS = [(GREY, None)] * 3 + [(RED, None), (PURE, None)]


def _rows(pictures: list[tuple[tuple[int, int, int], int | None]]) -> list[dict[str, object]]:
    made = []
    for number, (shade, label) in enumerate(pictures):
        out = io.BytesIO()
        Image.new("RGB", (48, 40), shade).save(out, format="PNG")
        made.append({"image_id": f"{number:02d}", "image": out.getvalue(), "label": label})
    return made


def _save_model(folder: Path, *, blind: bool) -> None:
    """A vision transformer of one patch, no blocks and three features, with weights set by hand."""
    import timm
    import torch
    from safetensors.torch import save_file

    size = {"img_size": 32, "patch_size": 32, "embed_dim": 3, "depth": 0, "num_heads": 1}
    shape = {**size, "class_token": False, "global_pool": "avg", "final_norm": False}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, **shape)
    weights = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    for channel in range(3):
        weights["patch_embed.proj.weight"][channel, channel] = 1 / 32**2
    weights["head.weight"] = torch.zeros(3, 3) if blind else 5 * torch.eye(3)
    weights["head.bias"] = torch.tensor([2.0, 0.0, 0.0]) if blind else torch.zeros(3)
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    plain = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "crop_pct": 1.0, "interpolation": "bicubic"}
    config = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 3,
        "model_args": shape,
        "pretrained_cfg": {"input_size": [3, 32, 32], "num_classes": 3, **plain},
    }
    (folder / "config.json").write_text(json.dumps(config))


def _run(*arguments: object) -> str:
    command = [sys.executable, "-m", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    small.prepared(root / "data", "colours", "clean", _rows(CLEAN), shard_rows=3)
    small.prepared(root / "data", "colours-shift", "shift", _rows(SHIFT), shard_rows=3)
    small.prepared(root / "data", "others", "out", _rows(OTHERS), shard_rows=3)
    _save_model(root / "vit.eye", blind=False)
    _save_model(root / "vit.blind", blind=True)
    facts = {"family": "classifier", "group": "standard", "train_source": "by hand"}
    grid = small.grid(root / "models.csv", {"vit.eye": "timm", "vit.blind": "timm"}, **facts)
    _run("studies", "all", "--grid", grid, "--data", root / "data", "--results", root / "results")
    said = _run("analysis", "--results", root / "results", "--out", root / "report")
    assert said.strip().endswith("index.html")
    return root / "report"


def _table(report: Path, name: str) -> dict[str, dict[str, str]]:
    with (report / "tables" / f"{name}.csv").open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("table", "column", "eye", "blind"),
    [
        ("models", "colours top1", 6 / 8, 5 / 8),
        ("shift", "colours-shift", 2 / 4, 1 / 4),
        ("ood", "others", 3.5 / 5, 0.5),
    ],
)
def test_the_tables_say_what_was_worked_out(table: str, column: str, eye: float, blind: float, report: Path) -> None:
    rows = _table(report, table)
    assert float(rows["vit.eye"][column]) == pytest.approx(eye, abs=1e-9)
    assert float(rows["vit.blind"][column]) == pytest.approx(blind, abs=1e-9)


def test_the_page_says_it_too(report: Path) -> None:
    page = (report / "index.html").read_text()
    assert "vit.eye" in page
    assert "75.0" in page
