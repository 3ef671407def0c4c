"""The handwritten digits of scikit-learn: 1,797 real scans of 8 x 8 pixels, split once into parts that never mix.

Each scan has a label 0..9 and a style 0..3, a finer class within its digit, found by k-means on the training scans
alone. Styles are numbered by how common they are among the training scans: style 3 is the rarest way to write a digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Split = Literal["training", "validation", "test"]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
STYLES = 4
RARE_STYLE = STYLES - 1
SIDE = 8
TEST_SCANS = 600
VALIDATION_SCANS = 250


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan: its place in scikit-learn's table, its ink (8, 8) from 0 to 1, its label and its style."""

    number: int
    image: Floats
    label: int
    style: int


@dataclass(frozen=True, slots=True)
class Scans:
    """Scans of one split.

    Attributes
    ----------
    numbers : (n,) place in scikit-learn's table
    images : (n, 8, 8) ink, 0 to 1
    labels : (n,) digit, 0 to 9
    styles : (n,) way of writing within the digit, 0 (most common) to 3 (rarest)
    """

    numbers: Ints
    images: Floats
    labels: Ints
    styles: Ints

    def __getitem__(self, row: int) -> Scan:
        return Scan(int(self.numbers[row]), self.images[row], int(self.labels[row]), int(self.styles[row]))


def scans(split: Split) -> Scans:
    """The scans of one split; the arrays are read-only."""
    return _splits()[split]


@cache
def _splits() -> dict[Split, Scans]:
    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)
    labels = bunch.target.astype(np.int64)
    rest, test = train_test_split(np.arange(len(labels)), test_size=TEST_SCANS, stratify=labels, random_state=1)
    training, validation = train_test_split(rest, test_size=VALIDATION_SCANS, stratify=labels[rest], random_state=2)
    styles = _styles(images, labels, np.sort(training))
    parts: dict[Split, Ints] = {"training": training, "validation": validation, "test": test}
    return {split: _take(images, labels, styles, np.sort(rows)) for split, rows in parts.items()}


def _take(images: Floats, labels: Ints, styles: Ints, rows: Ints) -> Scans:
    taken = Scans(rows, images[rows], labels[rows], styles[rows])
    for array in (taken.numbers, taken.images, taken.labels, taken.styles):
        array.flags.writeable = False
    return taken


def _styles(images: Floats, labels: Ints, training: Ints) -> Ints:
    styles = np.zeros(len(labels), dtype=np.int64)
    flat = images.reshape(len(images), -1).astype(np.float64)
    for digit in range(len(CLASS_NAMES)):
        known = training[labels[training] == digit]
        means = KMeans(STYLES, n_init=4, random_state=digit).fit(flat[known])
        by_frequency = np.argsort(-np.bincount(means.labels_, minlength=STYLES), kind="stable")
        rank = np.argsort(by_frequency)
        mine = labels == digit
        styles[mine] = rank[means.predict(flat[mine])]
    return styles
