"""Predictions for tests of OOD scores, and blocks of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engine.predictions import Head, ImageSet, Predictions
from studies.blocks import Block

OUT = ImageSet("s", "out", "c", (), ())


def of_logits(logits: Any, **head: Any) -> Predictions:
    """Predictions whose features are their logits, by a learned head of weight 1, unless `head` says otherwise."""
    matrix = np.atleast_2d(np.asarray(logits, dtype=np.float32))
    classes = matrix.shape[1]
    given = {"name": "learned", "kind": "learned", "bias": np.zeros(classes, np.float32), "scale": 1.0}
    whole = Head(**{**given, "weight": np.eye(classes, dtype=np.float32), **head})
    return Predictions(OUT, whole, pd.DataFrame(index=range(len(matrix))), matrix, matrix, np.zeros(len(matrix), int))


def under(head: Head, features: Any, labels: Any = None) -> Predictions:
    """What a head says of features."""
    matrix = np.asarray(features, dtype=np.float32)
    found = np.zeros(len(matrix), dtype=np.int64) if labels is None else np.asarray(labels)
    return Predictions(OUT, head, pd.DataFrame(index=range(len(matrix))), matrix, head.logits(matrix), found)


def block(predictions: Predictions) -> Block:
    return Block(predictions.head, predictions.features, predictions.logits)


def head(rng: np.random.Generator, classes: int, width: int, kind: str = "learned") -> Head:
    """A random head; a zero-shot one has unit rows, scale 100 and no bias."""
    weight = rng.normal(size=(classes, width)).astype(np.float32)
    if kind == "learned":
        return Head("learned", "learned", weight, rng.normal(size=classes).astype(np.float32), 1.0)
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    return Head("openai80", "zero_shot", weight, np.zeros(classes, dtype=np.float32), 100.0)
