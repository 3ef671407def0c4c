"""Statistics of the ID images that OOD scores are fitted on: class means, covariances, neighbours.

All are float64 but the neighbours, worked out a block of rows at a time when they are first asked for, and shared by
every score of `studies.fitted` that needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from engine.predictions import Predictions
from studies.blocks import Block
from studies.metrics import Doubles, Floats, Ints

ROWS = 1024


@dataclass(frozen=True, slots=True)
class Gaussians:
    """One Gaussian for each class under a common covariance, and one for all images.

    Attributes
    ----------
    centre : (d,) mean of all fitting images
    means : (k, d) means of the classes that have images, less `centre`
    within, overall : (d, r) a feature times one of these has unit covariance, over classes and over all; r is less than
        d where the images do not vary in some direction
    """

    centre: Doubles
    means: Doubles
    within: Doubles
    overall: Doubles


@dataclass(frozen=True, eq=False)
class Fitting:
    """ID images that scores are fitted on.

    Attributes
    ----------
    predictions : what the model says of them; labels are columns of the logits
    """

    predictions: Predictions

    @classmethod
    def of(cls, predictions: Predictions, rows: Ints) -> Fitting:
        """These rows of the predictions of a clean set."""
        return cls(some(predictions, rows))

    @property
    def features(self) -> Floats:
        """What the model saw of them (n, d), float32; ValueError where only logits are known."""
        if self.predictions.head.kind == "given":
            raise ValueError("the features behind imported logits are not known")
        return self.predictions.features

    @property
    def logits(self) -> Floats:
        """Logits (n, c), float32."""
        return self.predictions.logits

    def parts(self) -> Iterator[slice]:
        """Rows of one block after the other."""
        return (slice(start, start + ROWS) for start in range(0, len(self.predictions), ROWS))

    def class_means(self, labels: Ints) -> tuple[Doubles, Ints]:
        """Mean feature of each class (c, d), and how many images have that label (c,); means of 0 where none has.

        Parameters
        ----------
        labels : (n,) of these images; negative ones are left out
        """
        classes = self.logits.shape[1]
        totals = np.zeros((classes, self.features.shape[1]))
        for part in self.parts():
            kept = labels[part] >= 0
            np.add.at(totals, labels[part][kept], self.features[part][kept])
        counts = np.bincount(labels[labels >= 0], minlength=classes)
        return totals / np.maximum(counts, 1)[:, None], counts

    def moments(self, rows: Callable[[slice], Doubles]) -> Doubles:
        """Sum of the outer products of rows with themselves (d, d), of the rows that a function gives for each part."""
        width = self.features.shape[1]
        total = np.zeros((width, width))
        for part in self.parts():
            centred = rows(part)
            total += centred.T @ centred
        return total

    @cached_property
    def gaussians(self) -> Gaussians:
        """Class means and covariances of the features, the latter over n; ValueError where nothing varies."""
        labels, n = self.predictions.labels, len(self.predictions)
        means, counts = self.class_means(labels)
        centre = self.features.mean(axis=0, dtype=np.float64)
        within = self.moments(lambda part: self.features[part] - means[labels[part]]) / n
        means, shares = means[counts > 0] - centre, counts[counts > 0] / n
        between = (means * shares[:, None]).T @ means
        return Gaussians(centre, means, whitening(within), whitening(within + between))

    @cached_property
    def bank(self) -> Floats:
        """Features of unit length (n, d), float32."""
        return unit(self.features)

    def similarities(self, block: Block) -> Floats:
        """Cosine of each image of a block with each fitting image (b, n), float32."""
        similar: Floats = block.once((self, "similarities"), lambda: unit(block.features) @ self.bank.T)
        return similar

    def distances(self, block: Block) -> Doubles:
        """Squared Mahalanobis distance of each image of a block to the nearest class mean (b,)."""
        distances: Doubles = block.once((self, "distances"), lambda: self._distances(block))
        return distances

    def _distances(self, block: Block) -> Doubles:
        found = self.gaussians
        white, means = (block.features - found.centre) @ found.within, found.means @ found.within
        nearest = (np.vecdot(means, means) - 2 * white @ means.T).min(axis=1)
        distances: Doubles = np.maximum(nearest + np.vecdot(white, white), 0)
        return distances


def some(predictions: Predictions, rows: Ints) -> Predictions:
    """The predictions of some images only."""
    return replace(
        predictions,
        images=predictions.images.iloc[rows],
        features=predictions.features[rows],
        logits=predictions.logits[rows],
        labels=predictions.labels[rows],
    )


def unit(features: Floats) -> Floats:
    """Features of unit length (n, d), float32; 0 stays 0."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions: Floats = features / np.maximum(lengths, np.float32(1e-12))
    return directions


def whitening(covariance: Doubles) -> Doubles:
    """Directions (d, r), such that the covariance of features times these is the unit matrix.

    Directions without variance, but for rounding, are left out, as in a pseudo-inverse.
    """
    values, vectors = np.linalg.eigh(covariance)
    least = values.max() * len(values) * np.finfo(np.float64).eps
    if values.max() <= 0:
        raise ValueError("The features of the fitting images do not vary: there is no covariance to measure by.")
    varying: Doubles = vectors[:, values > least] / np.sqrt(values[values > least])
    return varying
