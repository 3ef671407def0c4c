"""The benchmark of the engine itself: it runs, all ways say the same, and every figure is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import meter

ROOT = Path(__file__).parents[1]
MODELS, TIMM = 8, 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_benchmark_measures_every_way(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.benchmarks.grid", "--images", "48", "--out", str(out)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(out.read_text())
    assert {"engine", "plain loop", "timm's loop", "decoding alone", "forward alone", "floor"} <= set(report["figures"])
    for name, figure in report["figures"].items():
        assert min(figure["wall_seconds"], figure["cpu_seconds"], figure["peak_bytes"]) > 0, name
        assert name in ran.stdout
    assert all(0 <= drift <= 1e-4 for drift in report["drift"].values())
    assert all(ratio > 0 for ratio in report["ratios"].values())
    decodes = {name: figure["decodes_per_image"] for name, figure in report["figures"].items()}
    assert (decodes["engine"], decodes["plain loop"], decodes["timm's loop"]) == (1, MODELS, TIMM)


WORK = "import time; until = time.process_time() + 0.5\nwhile time.process_time() < until: pass"


def test_the_meter_counts_what_children_and_grandchildren_use(tmp_path: Path) -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORK!r}], check=True)"
    with meter.Meter(tmp_path / "decodes") as measured:
        subprocess.run([sys.executable, "-c", WORK], check=True)
        subprocess.run([sys.executable, "-c", child], check=True)
    assert 1.0 <= measured.figure.cpu_seconds < 2.0
    assert measured.figure.wall_seconds >= 1.0
    assert measured.figure.peak_bytes > 10e6
