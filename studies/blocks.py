"""Scores of predictions, a block of rows at a time.

A block stays in a core's cache while every score is worked out on it, and what several of them need is worked out
once: in float64, of which there is never more than a block. Two threads share the blocks where there are two cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.predictions import Head, Predictions
from studies.metrics import Doubles, Floats, Ints

ENTRIES = 1 << 18
"""Logits in a block: 1 MB, and 2 MB in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some images under one head; what scores share of them is worked out when it is first asked for.

    Attributes
    ----------
    head : what turned features into logits
    features : (n, d) float32
    logits : (n, c) float32
    """

    head: Head
    features: Floats
    logits: Floats
    _shared: dict[object, Any] = field(default_factory=dict)

    def once(self, key: object, make: Callable[[], Any]) -> Any:
        """What `make` gives, made when this key is first asked for.

        Not `functools.cached_property`: in Python 3.11 that has one lock for all blocks, and threads would wait.
        """
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    @property
    def top(self) -> Ints:
        """Class of the largest logit (n,); the first of equal ones."""
        found: Ints = self.once("top", lambda: self.logits.argmax(axis=1))
        return found

    @property
    def largest(self) -> Doubles:
        """The largest logit (n,); ValueError where one is not finite."""
        largest: Doubles = self.once("largest", self._largest)
        return largest

    @property
    def below(self) -> Doubles:
        """Logits less the largest of their row (n, c), 0 or negative."""
        below: Doubles = self.once("below", lambda: self.logits - self.largest[:, None])
        return below

    @property
    def others(self) -> Doubles:
        """Softmax probabilities over that of the largest logit (n, c), with 0 in place of that one's own 1."""
        others: Doubles = self.once("others", lambda: self._others(1.0))
        return others

    @property
    def rest(self) -> Doubles:
        """Sum of `others` (n,): the largest probability is 1 / (1 + rest), and keeps its order however near 1 it is."""
        rest: Doubles = self.once("rest", lambda: self.others.sum(axis=1))
        return rest

    def rest_at(self, temperature: float) -> Doubles:
        """The same of logits divided by a temperature (n,)."""
        rest: Doubles = self._others(temperature).sum(axis=1)
        return rest

    def _largest(self) -> Doubles:
        largest = np.take_along_axis(self.logits, self.top[:, None], axis=1)[:, 0].astype(np.float64)
        wrong = int((~np.isfinite(largest)).sum())
        if wrong:
            raise ValueError(f"{wrong} of {len(largest)} images in a block have logits that are not finite.")
        return largest

    def _others(self, temperature: float) -> Doubles:
        others: Doubles = np.exp(self.below if temperature == 1 else self.below / temperature)
        others[np.arange(len(others)), self.top] = 0
        return others


Score = Callable[[Block], Doubles]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the same images by name, each (n,); and why the others are undefined there, by name."""

    scores: dict[str, Doubles]
    undefined: dict[str, str]


def scored(predictions: Predictions, scores: Mapping[str, Score], *, entries: int = ENTRIES) -> Scored:
    """Every score of every image, in the order of the images, float64.

    Parameters
    ----------
    scores : functions of a block by name; one that raises ValueError is undefined for all of these images
    entries : logits in a block
    """
    n, c = predictions.logits.shape
    rows = max(1, entries // c)
    values = {name: np.empty(n) for name in scores}
    # By feature, and not by class, so that a product with sparse activations need not turn it round in every block.
    head = replace(predictions.head, weight=np.asfortranarray(predictions.head.weight))
    undefined: dict[str, str] = {}

    def work(start: int) -> None:
        part = slice(start, start + rows)
        block = Block(head, predictions.features[part], predictions.logits[part])
        for name, score in scores.items():
            if name not in undefined:
                try:
                    values[name][part] = score(block)
                except ValueError as reason:
                    undefined[name] = str(reason)

    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(work, range(0, n, rows)))
    return Scored({name: found for name, found in values.items() if name not in undefined}, undefined)


def score(predictions: Predictions, function: Score) -> Doubles:
    """One score of every image (n,); ValueError where it is undefined."""
    found = scored(predictions, {"": function})
    if found.undefined:
        raise ValueError(found.undefined[""])
    return found.scores[""]


def threads() -> int:
    """Threads to work with: two, or one where one core or ``OMP_NUM_THREADS`` (which Ray sets for a task) says so."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(2, int(told) if told.isdecimal() and int(told) else os.cpu_count() or 1)
