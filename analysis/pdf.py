"""PDF files whose bytes are decided by what they show.

The library that draws them writes resources and fonts in the order of a hash with a random seed. Here the resources of
a list are sorted, objects are numbered anew in the order in which they are first referred to from the root, and the
table of objects is made anew. What a page shows is not touched: every stream stays as it is.
"""

from __future__ import annotations

import re
from itertools import pairwise

RESOURCES = re.compile(rb"(?:^ +/\w+ \d+ 0 R\n){2,}", re.MULTILINE)
REFERENCE = re.compile(rb"\b(\d+) 0 R\b")
OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)(stream\n.*)?endobj\s*", re.DOTALL)
Objects = dict[int, tuple[bytes, bytes]]


def canonical(pdf: bytes) -> bytes:
    """The same PDF, with its resources sorted and its objects in the order of their use.

    Raises
    ------
    ValueError : where the table of objects is not of the plain kind that ends such a file
    """
    found = re.search(rb"startxref\n(\d+)\n%%EOF\s*$", pdf)
    if found is None or not pdf.startswith(b"xref", int(found[1])):
        raise ValueError("This PDF has no plain table of objects at its end; draw it with vl-convert.")
    table = int(found[1])
    starts = sorted(int(offset) for offset in re.findall(rb"(\d{10}) \d{5} n", pdf[table:]))
    objects = _objects(pdf, [*starts, table])
    trailer = pdf[pdf.index(b"trailer", table) : found.start()]
    numbers = {old: new for new, old in enumerate(_used(trailer, objects), start=1)}
    parts = [pdf[: starts[0]]]
    offsets: list[int] = []
    for old, new in numbers.items():
        offsets.append(offsets[-1] + len(parts[-1]) if offsets else len(parts[0]))
        head, stream = objects[old]
        parts.append(b"%d 0 obj\n%b%bendobj\n\n" % (new, _renumbered(head, numbers), stream))
    body = b"".join(parts)
    lines = [b"%010d 00000 n\r\n" % offset for offset in offsets]
    head = b"xref\n0 %d\n0000000000 65535 f\r\n" % (len(offsets) + 1)
    trailer = re.sub(rb"/Size \d+", b"/Size %d" % (len(offsets) + 1), _renumbered(trailer, numbers))
    return b"".join([body, head, *lines, trailer, b"startxref\n%d\n%%%%EOF\n" % len(body)])


def _objects(pdf: bytes, ends: list[int]) -> Objects:
    """Dictionary and stream of each object by its number; the resources of its lists sorted."""
    objects = {}
    for start, end in pairwise(ends):
        made = OBJECT.fullmatch(pdf, start, end)
        if made is None:
            raise ValueError(f"This PDF has no object where its table says, at byte {start}; draw it with vl-convert.")
        in_order = RESOURCES.sub(lambda lines: b"".join(sorted(lines[0].splitlines(keepends=True))), made[2])
        objects[int(made[1])] = (in_order, made[3] or b"")
    return objects


def _used(trailer: bytes, objects: Objects) -> list[int]:
    """Numbers of the objects, each when it is first referred to, from the trailer on, depth first."""
    seen: dict[int, None] = {}
    ahead = _references(trailer)[::-1]
    while ahead:
        number = ahead.pop()
        if number not in seen:
            seen[number] = None
            ahead += _references(objects[number][0])[::-1]
    return list(seen)


def _references(text: bytes) -> list[int]:
    return [int(number) for number in REFERENCE.findall(text)]


def _renumbered(text: bytes, numbers: dict[int, int]) -> bytes:
    return REFERENCE.sub(lambda found: b"%d 0 R" % numbers[int(found[1])], text)
