"""Which images of a clean set fit something, and which test it.

A temperature, or an OOD score that needs statistics of ID images, is fitted on one half of a clean set and tested on
the other. The halves are random by a seed, stratified by class, and the same for every model. On record they are in
``RESULTS/halves/<clean set>.parquet``: ``image_id``, and for each seed whether the image fits (else it tests).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.predictions import Folder, image_sets
from studies.metrics import Ints

SEEDS = 10


@dataclass(frozen=True, slots=True)
class Halves:
    """Rows of the images (n // 2 or one more) that fit, and of those that test."""

    fit: Ints
    test: Ints


def halve(labels: Ints, seed: int) -> Halves:
    """Two random halves with equally many images of each class, or one more, in each."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    return Halves(order[::2], order[1::2])


def record_halves(results: Folder) -> None:
    """Commit the halves of every clean set under ``RESULTS/halves``; what is there and the same is left alone."""
    folder = results / "halves"
    for image_set in image_sets(results):
        if image_set.role == "clean":
            file = f"{image_set.name}.parquet"
            table = _table(results, image_set.name)
            if not (folder.exists(file) and folder.read(file).equals(table)):
                folder.commit(file, table, {"image_set": image_set.name, "seeds": SEEDS})


def _table(results: Folder, name: str) -> pa.Table:
    images = (results / "images").read(f"{name}.parquet").to_pandas()
    readable = images[images["error"].isna()]
    labels = readable["label"].to_numpy(dtype=np.int64)
    columns: dict[str, object] = {"image_id": pa.array(readable["image_id"], pa.string())}
    for seed in range(SEEDS):
        fits = np.zeros(len(labels), dtype=bool)
        fits[halve(labels, seed).fit] = True
        columns[f"fits_{seed}"] = fits
    return pa.table(columns)
