"""ImageNet-X: what sets an image of ImageNet's validation set apart from its prototypes (Idrissi et al. 2022).

Two tables say, for 48,868 images, which of 16 factors apply: the one that applies most ("top"), and all ("multi"). They
are published as JSON lines, and read as CSV with the same columns too. The images that annotators compared with are
listed in ``prototypical_paths.csv``; a CSV table may mark them itself (``is_prototype``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.image_sets import BadImageSet
from engine.prepare.columns import Text, add, refuse_few
from engine.prepare.entries import Arranged, Entry

FACTORS = (
    "pose", "background", "pattern", "color", "smaller", "shape", "partial_view", "subcategory", "texture", "larger",
    "darker", "object_blocking", "person_blocking", "style", "brighter", "multiple_objects",
)  # fmt: skip
IMAGES = 50_000
NAME = re.compile(r"ILSVRC2012_val_(\d{8})(?!\d)", re.ASCII)
WHOLE_NUMBER = re.compile(r"\d{1,5}", re.ASCII)
PUBLISHER = "facebookresearch/imagenetx, folder imagenet_x/annotations"


@dataclass(frozen=True, slots=True)
class Row:
    """What one line of a table says of one image; no prototype is known where the table has no such column."""

    line: int
    class_id: int
    factors: tuple[str, ...]
    prototype: bool | None


def join(arranged: Arranged, top: Text, multi: Text, prototypes: Text | None) -> Arranged:
    """The set with the columns ``top_factor``, ``factors`` and ``prototype``, null where an image is not annotated."""
    most, every = table(top), table(multi)
    for row in most.values():
        if len(row.factors) > 1:
            raise top.bad(row.line, f"{' and '.join(row.factors[:2])} apply; here, no more than one factor may")
    for has, rows, lacks, others in ((top, most, multi, every), (multi, every, top, most)):
        for number, row in rows.items():
            if number not in others:
                raise has.bad(row.line, f"{lacks.path} lacks this image; both tables must be about the same ones")
    shown = _prototypes(most, prototypes)
    places = {number: place for number, place in numbered(arranged).items() if number in most}
    for number, place in places.items():
        _refuse_other_class(arranged.entries[place], top, most[number])
        _refuse_other_class(arranged.entries[place], multi, every[number])
    refuse_few(arranged, top, len(places), len(most))
    values = {
        place: {
            "top_factor": next(iter(most[number].factors), None),
            "factors": list(every[number].factors),
            "prototype": number in shown,
        }
        for number, place in places.items()
    }
    note = (
        f"ImageNet-X annotates {len(places):,} of {len(arranged.entries):,} images, "
        f"{sum(number in shown for number in places):,} of them as prototypes."
    )
    return add(arranged, dict.fromkeys(("top_factor", "factors", "prototype")), values, note)


def numbered(arranged: Arranged) -> dict[int, int]:
    """Place of each entry by the number in its image's name, as in ``ILSVRC2012_val_00000293.JPEG``."""
    found = ((NAME.search(entry.image_id), place) for place, entry in enumerate(arranged.entries))
    return {int(match[1]): place for match, place in found if match}


def table(text: Text) -> dict[int, Row]:
    """One of the two tables, by the number of the image."""
    found: dict[int, Row] = {}
    for line, facts in _facts(text):
        number = _number(text, line, facts.get("file_name"))
        if number in found:
            raise text.bad(line, f"{facts['file_name']} stands on line {found[number].line} already")
        class_id = facts.get("class")
        if type(class_id) is not int:
            raise text.bad(line, f"its class is {class_id!r}; it must be a number")
        marks = {name: _mark(text, line, name, facts.get(name)) for name in FACTORS}
        prototype = _mark(text, line, "is_prototype", facts["is_prototype"]) if "is_prototype" in facts else None
        found[number] = Row(line, class_id, tuple(name for name in FACTORS if marks[name]), prototype)
    return found


def _facts(text: Text) -> Iterator[tuple[int, Mapping[str, object]]]:
    if text.path.endswith(".csv"):
        for line, row in text.rows(("file_name", "class", *FACTORS)):
            yield line, {name: int(value) if WHOLE_NUMBER.fullmatch(value) else value for name, value in row.items()}
        return
    for line, content in text.lines():
        facts = text.parsed(line, content)
        if not isinstance(facts, dict):
            raise text.bad(line, "it is no JSON object with the facts of an image")
        yield line, facts


def _number(text: Text, line: int, name: object) -> int:
    stem = name.removesuffix(".JPEG") if isinstance(name, str) else ""
    match = NAME.fullmatch(stem)
    if match is None or not 1 <= int(match[1]) <= IMAGES:
        raise text.bad(line, f"{name!r} is no image of ImageNet's validation set (as ILSVRC2012_val_00000293.JPEG is)")
    return int(match[1])


def _mark(text: Text, line: int, name: str, value: object) -> bool:
    if type(value) is not int or value not in (0, 1):
        raise text.bad(line, f"'{name}' is {value!r}; it must be 0 or 1")
    return value == 1


def _prototypes(most: Mapping[int, Row], listed: Text | None) -> set[int]:
    if listed is not None:
        return {_number(listed, line, row["file_name"]) for line, row in listed.rows(("file_name",))}
    if any(row.prototype is None for row in most.values()):
        raise BadImageSet(
            f"ImageNet-X's list of prototypes, prototypical_paths.csv, is missing. Give it too: {PUBLISHER}."
        )
    return {number for number, row in most.items() if row.prototype}


def _refuse_other_class(entry: Entry, text: Text, row: Row) -> None:
    if entry.label != row.class_id:
        here = f"{entry.image_id} has the label {entry.label} here"
        raise text.bad(row.line, f"its class is {row.class_id}, but {here}; check what labels the set is prepared with")
