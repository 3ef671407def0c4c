"""Surroundings of every test: quiet, offline, and away from the user's home."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = tempfile.mkdtemp(prefix="closerlook-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
TOKEN = Path(HOME, "ray_token")
TOKEN.touch(mode=0o600)
TOKEN.write_text(secrets.token_hex(32))
os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(TOKEN))
os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray reads it once, when it is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # pytest-xdist's workers ignore it, and so would what they start
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

LONGEST = (
    "test_grid_exact", "test_ray_job", "test_command_line", "test_failing_store", "test_broken_images", "test_chaos",
    "test_object_store", "test_miniature_study", "test_cluster", "test_grid", "test_end_to_end", "test_scale",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first: begun last, one of them would keep a single core busy at the end.

    It takes ``--no-loadscope-reorder``: pytest-xdist by itself begins with the files of most tests.
    """
    place = {f"{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    """A Ray session on this computer, for the tests of one module."""
    from engine import grid

    with grid.session():
        yield
