"""One line that says how far long work is: redrawn on a terminal, a new line every few seconds in a log."""

from __future__ import annotations

import sys
import threading
import time
from bisect import bisect_right
from math import inf
from types import TracebackType

WIDTH = 24
TERMINAL_SECONDS, LOG_SECONDS = 0.25, 5.0


class Progress:
    """Use as ``with Progress("training", 26, "models") as progress: ... progress.advance(note="ViT-B-32")``.

    A thread of its own redraws the line, so that it moves while a single step takes long. The time left is that of the
    work left, at the pace of the later half of the work that is done: beginnings are slow.

    Attributes
    ----------
    work : of all steps; set it where they are not alike, in any unit, the one of `advance`
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self.note = 0, ""
        self.work, self.worked = float(total), 0.0
        self._terminal = sys.stderr.isatty()
        self._started = self._since = self._last = time.monotonic()
        self._marks = [(0.0, 0.0)]  # work done, and seconds of work it took
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True)

    def begin(self) -> None:
        """What went by since the last step was no work, as when models are loaded: it tells nothing of the rest."""
        now = time.monotonic()
        self._since, self._last = self._since + now - self._last, now

    def advance(self, steps: int = 1, *, note: str = "", work: float = 0.0) -> None:
        """Count finished steps, and the work that was in them; the note says what was finished last."""
        self.done += steps
        self.worked += work or steps
        self.note = note or self.note
        self._last = time.monotonic()
        self._marks.append((self.worked, self._last - self._since))

    def left(self) -> float:
        """Seconds until the end, 0 while that cannot be told."""
        if not self.worked:
            return 0.0
        work, seconds = self._marks[bisect_right(self._marks, (self.worked / 2, inf)) - 1]
        pace = (self._last - self._since - seconds) / (self.worked - work)
        return max(pace * (self.work - self.worked) - (time.monotonic() - self._last), 0.0)

    def rate(self) -> float:
        """Steps a second, 0 while that cannot be told."""
        return self.done / (self._last - self._since) if self._last > self._since else 0.0

    def __enter__(self) -> Progress:
        self._draw()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._draw()
        if self._terminal:
            sys.stderr.write("\n")

    def _redraw(self) -> None:
        while not self._stop.wait(TERMINAL_SECONDS if self._terminal else LOG_SECONDS):
            self._draw()

    def _draw(self) -> None:
        filled = WIDTH * self.done // max(self.total, 1)
        open_ended = 0 < self.done < self.total
        clock = _clock(time.monotonic() - self._started) + (f", {_clock(self.left())} left" if open_ended else "")
        line = f"{self.title:<10} {'█' * filled}{'·' * (WIDTH - filled)} {self.done}/{self.total} {self.unit}  {clock}"
        if self.note and self.done < self.total:
            line += f"  {self.note}"
        sys.stderr.write(f"\r\x1b[2K{line[:150]}" if self._terminal else f"{line}\n")
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
