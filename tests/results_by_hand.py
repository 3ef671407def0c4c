"""RESULTS folders whose every number can be worked out on paper.

The head is the identity, so the features of an image are its logits, or its cosines where the head is zero-shot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from engine.predictions import Folder, Head, ImageSet, Record, write_features, write_head, write_images, write_models
from studies.measurements import Measurement

NET = "net.hand"
Key = tuple[str, str, str, str]
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
    /,
    *,
    model: str = NET,
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


def learned(results: Folder, classes: int, *, model: str = NET, **facts: object) -> None:
    """A model with a learned head of weight 1 on the diagonal."""
    head = Head("learned", "learned", np.eye(classes, dtype=np.float32), np.zeros(classes, dtype=np.float32), 1.0)
    write_head(results, model, head, IDENTITY)
    write_models(results, pd.DataFrame([{"name": model, "digest": "aaaa", **facts}]))


def zero_shot(
    results: Folder, heads: Mapping[str, Sequence[Sequence[float]]], *, scale: float, model: str = NET
) -> None:
    """A model with zero-shot heads of these weights (c, d)."""
    for name, weight in heads.items():
        matrix = np.array(weight, dtype=np.float32)
        write_head(results, model, Head(name, "zero_shot", matrix, np.zeros(len(matrix), np.float32), scale), IDENTITY)
    write_models(results, pd.DataFrame([{"name": model, "digest": "aaaa"}]))


def overconfident(results: Folder) -> None:
    """Logits (2, 0) and a class without a chance, right on 3 of 4: T = 2 / ln 3 makes confidence 3/4 in any half."""
    learned(results, 3)
    show(results, clean_set(3), [[2, 0, -1e4]] * 16, [0] * 12 + [1] * 4)
    # The same, but half are wrong, and the third class, which is not in this set, would win.
    show(results, ImageSet("hard", "shift", "plain", ("a", "b"), ((0,), (1,))), [[2, 0, 5]] * 8, [0, 1] * 4)


def record(results: Folder) -> Record:
    return Record.of(results, NET)


def table(rows: Iterable[Measurement]) -> dict[Key, Measurement]:
    """Measurements by image set, subset, metric and method."""
    found = list(rows)
    by_key = {(row.image_set, row.subset, row.metric, row.method): row for row in found}
    assert len(by_key) == len(found)
    return by_key


def one_hot(classes: Iterable[int], of: int, height: float = 1.0) -> list[list[float]]:
    return (height * np.eye(of)[list(classes)]).tolist()
