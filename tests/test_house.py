"""The rooms of the house and who may import whom, held on the syntax trees."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("engine", "studies", "analysis", "cluster")
MODELS = ("torch", "torchvision", "timm", "open_clip")
WHERE_RAY_MAY_BE = ("engine/grid.py", "engine/crew.py", "engine/decoding.py", "cluster/")
WHERE_MODELS_MAY_BE = ("engine/towers.py", "engine/heads.py", "engine/show.py", "engine/miniature/")
TABLES = {"studies": "engine.predictions", "analysis": "studies.measurements"}
THE_JOINT = "studies/__main__.py"


def imports(source: str) -> Iterator[str]:
    """Full names of everything that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def offences(file: str, source: str) -> list[str]:
    """What a module of the house imports against its rules."""
    return [f"{file} imports {name}" for name in imports(source) if not _may(file, name)]


def _may(file: str, name: str) -> bool:
    room, package = file.split("/")[0], name.split(".")[0]
    if package == "ray":
        return file.startswith(WHERE_RAY_MAY_BE)
    if package in MODELS:
        return file.startswith(WHERE_MODELS_MAY_BE)
    if package not in ROOMS or package == room:
        return True
    if file == THE_JOINT:
        return package == "engine"
    return name.startswith(TABLES.get(room, "nothing") + ".") or name == TABLES.get(room)


def files() -> list[str]:
    """Every Python file of the four rooms."""
    return [str(file.relative_to(ROOT)) for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("file", files())
def test_imports_keep_to_their_room(file: str) -> None:
    assert offences(file, (ROOT / file).read_text()) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("engine/plan.py", "import studies.shift"),
        ("engine/plan.py", "from analysis import fits"),
        ("engine/plan.py", "import cluster.check"),
        ("engine/plan.py", "import ray"),
        ("engine/predictions.py", "from torch import nn"),
        ("studies/ood.py", "import torch"),
        ("studies/ood.py", "import ray.data"),
        ("studies/ood.py", "from engine import grid"),
        ("studies/ood.py", "from engine.plan import packs"),
        ("studies/ood.py", "from analysis import findings"),
        ("studies/__main__.py", "import analysis"),
        ("studies/__main__.py", "import ray"),
        ("analysis/fits.py", "import engine.predictions"),
        ("analysis/fits.py", "from studies import metrics"),
        ("analysis/fits.py", "def late():\n    import ray"),
        ("cluster/submit.py", "import engine.models"),
    ],
)
def test_a_broken_rule_is_seen(file: str, line: str) -> None:
    assert offences(file, textwrap.dedent(line)) != []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("engine/grid.py", "import ray"),
        ("engine/towers.py", "import timm"),
        ("studies/ood.py", "from engine.predictions import Record"),
        ("studies/__main__.py", "from engine import grid"),
        ("analysis/results.py", "from studies.measurements import read"),
        ("cluster/check.py", "import ray"),
    ],
)
def test_what_is_allowed_is_allowed(file: str, line: str) -> None:
    assert offences(file, line) == []


@pytest.mark.parametrize("room", ["engine", "studies"])
def test_packages_are_empty(room: str) -> None:
    assert (ROOT / room / "__init__.py").read_text() == ""


def test_every_module_opens_with_a_paragraph() -> None:
    silent = [file for file in files() if not file.endswith("__init__.py") and not _docstring(file)]
    assert silent == []


def _docstring(file: str) -> str | None:
    return ast.get_docstring(ast.parse((ROOT / file).read_text()))
