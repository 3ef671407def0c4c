"""RESULTS folders whose every number can be worked out on paper.

The head is the identity, so the features of an image are its logits, or its cosines where the head is zero-shot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from engine.predictions import Folder, Head, ImageSet, write_features, write_head, write_images, write_models

IDENTITY = {"checkpoint": "aaaa", "precision": "float32"}


def clean_set(classes: int, name: str = "plain") -> ImageSet:
    names = tuple(f"class {number}" for number in range(classes))
    return ImageSet(name, "clean", name, names, tuple((number,) for number in range(classes)))


def out_set(name: str, clean: str = "plain") -> ImageSet:
    return ImageSet(name, "out", clean, (), ())


def show(
    results: Folder,
    image_set: ImageSet,
    features: Sequence[Sequence[float]],
    labels: Sequence[int] | None,
    *,
    model: str = "net.hand",
    shards: int = 1,
    **annotations: Sequence[object],
) -> None:
    """Write what one model saw of one set, in some shards, and the set's index."""
    ids = [f"{image_set.name}-{number}" for number in range(len(features))]
    columns = {
        "image_id": ids,
        "label": pa.array(labels if labels is not None else [None] * len(ids), pa.int32()),
        **annotations,
        "digest": ids,
        "error": pa.array([None] * len(ids), pa.string()),
    }
    write_images(results, image_set, pa.table(columns))
    for number, rows in enumerate(np.array_split(np.arange(len(ids)), shards)):
        matrix = np.array(features, dtype=np.float32)[rows]
        shown = [ids[row] for row in rows]
        write_features(results, image_set.name, model, f"{number:05d}.parquet", shown, matrix, IDENTITY)


def learned(results: Folder, classes: int, *, model: str = "net.hand", **facts: object) -> None:
    """A model with a learned head of weight 1 on the diagonal."""
    head = Head("learned", "learned", np.eye(classes, dtype=np.float32), np.zeros(classes, dtype=np.float32), 1.0)
    write_head(results, model, head, IDENTITY)
    write_models(results, pd.DataFrame([{"name": model, "digest": "aaaa", **facts}]))


def zero_shot(
    results: Folder, heads: Mapping[str, Sequence[Sequence[float]]], *, scale: float, model: str = "net.hand"
) -> None:
    """A model with zero-shot heads of these weights (c, d)."""
    for name, weight in heads.items():
        matrix = np.array(weight, dtype=np.float32)
        write_head(results, model, Head(name, "zero_shot", matrix, np.zeros(len(matrix), np.float32), scale), IDENTITY)
    write_models(results, pd.DataFrame([{"name": model, "digest": "aaaa"}]))
