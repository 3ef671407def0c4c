"""One driver at a time: the second says who the first is; one that was killed does not stand in the way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import lock
from engine.files import Folder
from engine.models import BadRequest


def test_a_second_driver_is_refused_by_name(tmp_path: Path) -> None:
    results = Folder.of(tmp_path)
    said = rf"is being written to by another run \(process {os.getpid()} on {socket.gethostname()}\)"
    with lock.alone(results), pytest.raises(BadRequest, match=said), lock.alone(results):
        pytest.fail("the second went on")
    assert list(tmp_path.iterdir()) == []
    with lock.alone(results):
        pass


def test_of_two_at_once_one_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom engine import lock\nfrom engine.files import Folder\n"
        "with lock.alone(Folder.of(sys.argv[1])):\n    print('alone', flush=True)\n    time.sleep(4)\n"
    )
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    answers = [driver.communicate(timeout=60) for driver in drivers]
    assert sorted(said for said, _ in answers) == ["", "", "alone\n"]
    assert sum("is being written to by another run" in error for _, error in answers) == 2


def _mark(results: Folder, **change: object) -> None:
    lock._mark(results, {"host": socket.gethostname(), "process": os.getpid(), "token": "theirs", **change})


def test_a_killed_driver_does_not_stand_in_the_way(tmp_path: Path) -> None:
    results = Folder.of(tmp_path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    _mark(results, process=gone.pid)
    with lock.alone(results):
        pass
    _mark(results, host="elsewhere", process=1)
    with pytest.raises(BadRequest, match="process 1 on elsewhere"), lock.alone(results):
        pytest.fail("it went on")


def test_a_mark_of_another_computer_counts_no_more_when_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Folder.of(tmp_path)
    _mark(results, host="elsewhere", process=1)
    later = time.time() + lock.STALE + 1
    monkeypatch.setattr(lock.time, "time", lambda: later)
    with lock.alone(results):
        pass


def test_a_mark_is_renewed_while_it_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEWED", 0.05)
    results = Folder.of(tmp_path)
    with lock.alone(results):
        first = results.identity(lock.MARK)["at"]
        time.sleep(0.5)
        assert float(str(results.identity(lock.MARK)["at"])) > float(str(first))


def test_the_mark_of_a_killed_driver_is_cleared_and_that_of_a_living_one_kept(tmp_path: Path) -> None:
    results = Folder.of(tmp_path)
    lock.clear(results)
    _mark(results, host="elsewhere", process=1)
    lock.clear(results)
    assert results.exists(lock.MARK)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    _mark(results, process=gone.pid)
    lock.clear(results)
    assert list(tmp_path.iterdir()) == []
