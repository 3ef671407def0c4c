"""Work that begins here, and goes on with Ray once that pays."""

from __future__ import annotations

import os
import sys
import time

import pytest

from engine import grid


def _each() -> list[tuple[int, bool] | str]:
    """For each number, whether this process had it, or its error."""

    def where(number: int) -> tuple[int, int]:
        if number == 3:
            raise ValueError("3 is too many, give fewer")
        time.sleep(0.01)
        return number, os.getpid()

    numbers = [1, 2, 3, 4, 5]
    outcomes = grid.each(where, numbers, names=[str(number) for number in numbers], title="counting", starting=True)
    return [(each.value[0], each.value[1] == os.getpid()) if each.value else each.error for each in outcomes]


def test_little_work_is_done_here() -> None:
    assert _each() == [(1, True), (2, True), "3 is too many, give fewer", (4, True), (5, True)]


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core does all of it here")
def test_much_work_is_shared_with_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "STARTING_PAYS", 0.0)
    assert _each() == [(1, True), (2, False), "3 is too many, give fewer", (4, False), (5, False)]
    assert not sys.modules["ray"].is_initialized()


def test_without_ray_much_work_is_done_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "STARTING_PAYS", 0.0)
    monkeypatch.setattr(sys, "meta_path", [_NoRay(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    assert [each for each in _each() if each != "3 is too many, give fewer"] == [(n, True) for n in (1, 2, 4, 5)]


class _NoRay:
    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] == "ray":
            raise ModuleNotFoundError(name)
