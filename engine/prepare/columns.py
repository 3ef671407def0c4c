"""Annotation columns: text files read with an eye on every line, and values put beside the pictures of a set."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.image_sets import BadImageSet
from engine.prepare.entries import Arranged

NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class Text:
    """A text file of others, which is not trusted.

    Attributes
    ----------
    path : what it is called in sentences
    content : all of it
    publisher : where it can be had again
    """

    path: str
    content: str
    publisher: str

    def bad(self, line: int, why: str) -> BadImageSet:
        """What is wrong with a line, and where to get the file again."""
        return BadImageSet(f"{self.path}, line {line}: {why}. Get the file again: {self.publisher}.")

    def lines(self) -> Iterator[tuple[int, str]]:
        """Lines that are not empty, with their numbers."""
        for number, line in enumerate(self.content.split("\n"), 1):
            if line.strip():
                yield number, line

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
        """Rows of a CSV file, with their line numbers; it must have at least these columns."""
        reader = csv.DictReader(io.StringIO(self.content, newline=""), strict=True)
        try:
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            if lacking:
                raise self.bad(1, f"it has no column '{lacking[0]}'; it must have {', '.join(columns)}")
            for row in reader:
                if None in row or None in row.values():
                    raise self.bad(reader.line_num, "it has more or fewer fields than the first line")
                yield reader.line_num, row
        except csv.Error as error:
            raise self.bad(reader.line_num, f"it is no line of a CSV file ({error})") from error

    def parsed(self, line: int, content: str) -> object:
        """What a piece of JSON says, which begins on that line."""
        try:
            found: object = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self.bad(line, f"it is no JSON ({error})") from error
        return found


def add(
    arranged: Arranged, blank: Mapping[str, object], values: Mapping[int, Mapping[str, object]], note: str
) -> Arranged:
    """The same set with further annotation columns, and a note about them.

    Parameters
    ----------
    blank : the columns, with what stands in them where nothing is said
    values : what is said, by the place of the entry
    """
    entries = (
        entry._replace(annotations={**entry.annotations, **blank, **values.get(place, {})})
        for place, entry in enumerate(arranged.entries)
    )
    return replace(arranged, entries=tuple(entries), notes=(*arranged.notes, note))


def refuse_few(arranged: Arranged, text: Text, found: int, listed: int) -> None:
    """Raise `BadImageSet` where the set has none of the images that a file is about, or is whole and has too few."""
    images = len(arranged.entries)
    whole = arranged.published and images >= NEARLY_ALL * arranged.published
    if not found or (whole and found < listed / 2):
        raise BadImageSet(
            f"{text.path} is about {listed:,} images; {found:,} of them are among the {images:,} of "
            f"'{arranged.image_set.name}', so it is of another set, or their names were changed. Give the file that "
            f"belongs to this set ({text.publisher}), or prepare the set from its published archive."
        )
