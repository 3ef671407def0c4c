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


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    """A Ray session on this computer, for the tests of one module."""
    from engine import grid

    with grid.session():
        yield
