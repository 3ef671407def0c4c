"""Which answers are right, where several are.

A label may mean several of the models' classes, and a set may have the annotation ``labels``: several right labels of
one image, its own label first (ImageNet-Vid-Robust; Shankar et al. 2019, arXiv:1906.02168, whose scoring takes the
largest logit for right when it is that of any of them). A likelihood or a Brier score needs one right answer, and keeps
the image's own label.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.predictions import Predictions
from studies.metrics import Ints


def best_right(predictions: Predictions, classes: Sequence[Sequence[int]] | None = None) -> Ints:
    """Of the right columns of `logits`, the one with the largest logit, for each image (n,).

    A decision is right with any of them exactly when it is right with this one, and one of them is among the k largest
    logits exactly when this one is: so this is the label to count hits with.

    Parameters
    ----------
    classes : for each label of the set, the columns that mean it; None where the labels are the columns
    """
    several = predictions.images.get("labels")
    if several is None and classes is None:
        return predictions.labels
    width = predictions.logits.shape[1]
    meant = np.eye(width, dtype=bool)
    if classes is not None:
        meant = np.stack([meant[list(ids)].any(axis=0) for ids in classes])
    labels, first = predictions.labels, np.arange(len(predictions))
    if several is not None:
        lists = [
            [own] if found is None or not len(found) else found for own, found in zip(labels, several, strict=True)
        ]
        labels, first = np.concatenate(lists), np.cumsum([0, *map(len, lists[:-1])])
    right = np.logical_or.reduceat(meant[labels], first)
    return np.asarray(np.where(right, predictions.logits, -np.inf).argmax(axis=1))
