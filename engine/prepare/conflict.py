"""Pictures with the shape of one class in the texture of another: ``<shape>/<shape><n>-<texture><m>.png``.

So they lie in bethgelab/model-vs-human (``cue-conflict``) and rgeirhos/texture-vs-shape
(``stimuli/style-transfer-preprocessed-512``). The shape is the label, the texture an annotation: its index among the
classes of the set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine import classes
from engine.image_sets import BadImageSet
from engine.prepare.entries import Arranged, Entry, ordered, pictures
from engine.prepare.folders import Filed, compare, moved, shelve
from engine.prepare.known import KnownSet
from engine.prepare.sources import Member


def arrange(known: KnownSet, members: Sequence[Member]) -> Arranged:
    """The cue-conflict images of Geirhos et al. 2019 (arXiv:1811.12231), 16 classes."""
    kinds = classes.folders(known.name)
    names = [kind.folder for kind in kinds]
    shelf = shelve(known.name, pictures(known.name, members), frozenset(names).__contains__, names[0])
    compare(known.name, shelf.found, names)
    entries = ordered(known.name, textured(known.name, shelf.pictures, names))
    return Arranged(known.image_set(kinds), entries, known.images, moved(shelf.place, known.folder))


def textured(name: str, filed: Sequence[Filed], names: Sequence[str]) -> Iterator[Entry]:
    """Entries whose label is the shape and whose annotation ``texture`` is the texture, indices into `names`."""
    for each in filed:
        match = re.fullmatch(rf"{re.escape(each.folder)}\d+-(.+?)\d+\.\w+", each.file)
        if not match or match[1] not in names:
            raise BadImageSet(
                f"'{each.member.name}' does not tell its texture; a picture of '{name}' is named as "
                f"'{names[0]}/{names[0]}1-{names[1]}2.png' is, by its shape and its texture. Name it so, or give "
                "the folder that holds such pictures to --from."
            )
        facts = {"texture": names.index(match[1])}
        yield Entry(f"{each.folder}/{each.file}", each.member, names.index(each.folder), facts)
