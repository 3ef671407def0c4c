"""Which answers are right, where several are.

A label may mean several of the models' classes, and a set may have the annotation ``labels``: several right labels of
one image, its own label first (ImageNet-Vid-Robust; Shankar et al. 2019, arXiv:1906.02168, whose scoring takes the
largest logit for right when it is that of any of them). A likelihood or a Brier score needs one right answer, and keeps
the image's own label.

A clean set may also have the annotation ``real_labels`` (ReaL: Beyer et al. 2020, arXiv:2006.07159): what people found
in each picture, any of which is right; often not the image's own label, and nothing at all in some pictures, which that
paper leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.predictions import Predictions
from studies.metrics import Bools, Floats, Ints


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
    lists: list[Sequence[int]] = [[own] for own in predictions.labels]
    if several is not None:
        told = zip(lists, several, strict=True)
        lists = [own if found is None or not len(found) else found for own, found in told]
    return _nearest(predictions.logits, meant, lists)


def real_right(predictions: Predictions) -> tuple[Ints, Ints]:
    """Rows of the images of a clean set with ReaL labels (n,), and of these labels' columns the best of each (n,).

    Undefined where the set has no such annotation, or no image has any label.
    """
    if "real_labels" not in predictions.images:
        raise ValueError(f"'{predictions.image_set.name}' has no ReaL labels.")
    found = predictions.images["real_labels"]
    rows = np.flatnonzero([each is not None and len(each) > 0 for each in found])
    if not len(rows):
        raise ValueError(f"No image of '{predictions.image_set.name}' has a ReaL label.")
    logits = predictions.logits[rows]
    return rows, _nearest(logits, np.eye(logits.shape[1], dtype=bool), [found.iloc[row] for row in rows])


def _nearest(logits: Floats, meant: Bools, lists: Sequence[Sequence[int]]) -> Ints:
    """Of the columns that the labels in each image's list mean, the one with the largest logit (n,)."""
    if not len(lists):
        return np.array([], dtype=np.int64)
    right = np.logical_or.reduceat(meant[np.concatenate(lists)], np.cumsum([0, *map(len, lists[:-1])]))
    return np.asarray(np.where(right, logits, -np.inf).argmax(axis=1))
