"""The line of progress: redrawn on a terminal, lines in a log, and moving while a single step takes long."""

from __future__ import annotations

import os
import pty
import sys
import time

import pytest

from engine import progress
from engine.progress import Progress


def test_a_log_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("showing", 4, "images") as line:
        line.advance(2, note="letters")
        line.advance(2)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("showing")
    assert "0/4 images" in first
    assert "4/4 images" in last
    assert "\r" not in first + last


def test_a_log_gets_lines_while_one_step_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert progress.LOG_SECONDS < 10, "never silent for longer"
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.05)
    with Progress("training", 1, "models"):
        time.sleep(0.4)
    assert len(capsys.readouterr().err.splitlines()) > 4


def test_a_terminal_gets_one_line_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with Progress("showing", 3, "images") as line:
            line.advance(3)
        said = ""
        while "\n" not in said:
            said += os.read(ours, 4096).decode()
    os.close(ours)
    assert said.count("\n") == 1, "one line, ended at the end"
    assert said.count("\r\x1b[2K") >= 2
    assert "3/3 images" in said


def test_the_time_left_is_that_of_the_work_left_at_the_pace_of_what_was_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = Progress("showing", 40, "images")
    line.work = 100.0
    assert (line.left(), line.rate()) == (0, 0)
    now[0] += 60  # of loading
    line.begin()
    for _ in range(2):
        now[0] += 10
        line.advance(4, work=10.0)
    assert line.left() == pytest.approx(80)
    assert line.rate() == pytest.approx(0.4)
    now[0] += 5
    assert line.left() == pytest.approx(75), "it goes down while a step is at work"
    now[0] += 25
    line.begin()
    assert line.left() == pytest.approx(80), "what went by was loading"
    now[0] += 1000
    assert line.left() == 0


def test_a_slow_beginning_does_not_make_the_time_left_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = Progress("showing", 100, "images")
    for seconds in [3.0] * 4 + [1.0] * 6:
        now[0] += seconds
        line.advance()
    assert line.left() == pytest.approx(90)
    assert line.rate() == pytest.approx(10 / 18)
