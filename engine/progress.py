"""One line that says how far long work is: redrawn on a terminal, a new line every few seconds in a log."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

WIDTH = 24
TERMINAL_SECONDS, LOG_SECONDS = 0.25, 5.0


class Progress:
    """Use as ``with Progress("training", 26, "models") as progress: ... progress.advance(note="ViT-B-32")``.

    A thread of its own redraws the line, so that it moves while a single step takes long.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self.note = 0, ""
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True)

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Count finished steps; the note names what was finished last."""
        self.done += steps
        self.note = note or self.note

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
        seconds = time.monotonic() - self._started
        left = seconds / self.done * (self.total - self.done) if self.done else 0.0
        filled = WIDTH * self.done // max(self.total, 1)
        clock = f"{_clock(seconds)}" + (f", {_clock(left)} left" if 0 < self.done < self.total else "")
        line = f"{self.title:<10} {'█' * filled}{'·' * (WIDTH - filled)} {self.done}/{self.total} {self.unit}  {clock}"
        if self.note and self.done < self.total:
            line += f"  {self.note}"
        sys.stderr.write(f"\r\x1b[2K{line[:118]}" if self._terminal else f"{line}\n")
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
