"""The reference reader: a small network on small grey pictures, by which some sets are selected.

It learned from scenes of the validation scans, so it shares no picture with the zoo and none with the sets it selects.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from sklearn.neural_network import MLPClassifier

from engine.miniature.digits import CLASS_NAMES
from engine.miniature.sources import pairs

_SCENES = 2500
_PASSES = 12
_CELL = 4


def confidence(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Probability that the reader gives to each digit, (n, 10)."""
    probability: npt.NDArray[np.float64] = _reader().predict_proba(_small(pixels))
    return probability


@cache
def _reader() -> MLPClassifier:
    seen = pairs("Digits-1K", _SCENES, seed=7, split="validation")
    pictures = _small(seen.pixels)
    network = MLPClassifier((64,), alpha=1e-2, learning_rate_init=3e-3, random_state=7)
    for _ in range(_PASSES):
        network.partial_fit(pictures, seen.labels, classes=np.arange(len(CLASS_NAMES)))
    return network


def _small(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    cells = pixels.shape[1] // _CELL
    grey = pixels.astype(np.float32).mean(axis=3).reshape(-1, cells, _CELL, cells, _CELL).mean(axis=(2, 4))
    grey = grey.reshape(len(grey), -1)
    standard: npt.NDArray[np.float64] = (grey - grey.mean(1, keepdims=True)) / (grey.std(1, keepdims=True) + 8)
    return standard
