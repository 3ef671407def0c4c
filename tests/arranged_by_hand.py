"""Sets before their pictures are read, made of names and labels alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from results_by_hand import clean_set

from engine.image_sets import ImageSet
from engine.prepare.entries import Arranged, Entry
from engine.prepare.sources import Member

REFERENCE = Path(os.environ.get("REFERENCE_DATA", Path(__file__).parents[2] / "shared/reference/data"))


def imagenet(labels: dict[str, int], *, published: int = 0) -> Arranged:
    """ImageNet's validation set with these images, each with its label."""
    entries = [Entry(name, Member(name, 1), label) for name, label in sorted(labels.items())]
    return Arranged(clean_set(1000, "imagenet"), tuple(entries), published)


def out_set(name: str, ids: Sequence[str], *, published: int = 0) -> Arranged:
    """An out set with these images."""
    entries = [Entry(each, Member(each, 1), None) for each in sorted(ids)]
    return Arranged(ImageSet(name, "out", "imagenet", (), ()), tuple(entries), published)


def column(arranged: Arranged, name: str) -> dict[str, object]:
    """An annotation column by image id."""
    return {entry.image_id: entry.annotations[name] for entry in arranged.entries}


def val(number: int) -> str:
    """Name of an image of ImageNet's validation set."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"
