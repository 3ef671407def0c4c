"""What came of one item of work: its value, or why there is none, in a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What came of one item: its value, or the last line of its error."""

    name: str
    value: R | None = None
    error: str = ""


def last_line(error: BaseException) -> str:
    """Last line of an error, or of its cause on a worker, with its type where the text is no sentence of ours."""
    cause = getattr(error, "cause", None)
    error = cause if isinstance(cause, Exception) else error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else ""
    return text if isinstance(error, ValueError | LookupError) and " " in text else f"{type(error).__name__}: {text}"
