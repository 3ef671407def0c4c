"""One pack's pass over the shards that it lacks: which shard goes on, which is tried again, which is given up.

Only the policy is here; how a shard is decoded and how it reaches a pack is Ray's business, in `engine.grid`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.account import Spent
from engine.image_sets import Shard
from engine.plan import Need

ATTEMPTS = 3
IN_HAND = 2  # shards that an actor has at once: one at work, one waiting


class NobodyLeft(RuntimeError):
    """No actor is left that shards could be shown to; why, and the next step, in a sentence."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A shard that was decoded, or why it could not be: its place in the list, its folder, its node."""

    place: int
    folder: str
    node: str
    error: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a pack did with one shard: images seen, the models that failed, each with its reason, and what it took.

    `batches` names the models for which the device's memory was too small, with the batch size that went; `drift` what
    the precision changes, as a part of a model's largest feature, where it is not float32.
    """

    images: int
    failed: tuple[tuple[str, str], ...] = ()
    spent: tuple[Spent, ...] = ()
    batches: tuple[tuple[str, int], ...] = ()
    drift: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a shard that was handed to a pack: a receipt, or an error."""

    need: Need
    receipt: Receipt | None
    error: str = ""


class Hands(Protocol):
    """Who shows shards to the pack."""

    @property
    def actors(self) -> int:
        """Number of actors."""

    @property
    def at_work(self) -> int:
        """Number of shards that were given and not collected."""

    def give(self, need: Need, arrival: Arrival) -> None:
        """Hand a decoded shard to the pack."""

    def collect(self) -> Answer:
        """Wait for one shard that was given."""


@dataclass
class Stream:
    """Bookkeeping of one pass.

    Attributes
    ----------
    crew : who shows
    decoded : from shards to their arrivals, in any order
    lacking : the models of a need that still lack its shard; asked before another attempt, for what a dead actor had
        committed is not done again
    failed : models that cannot go on, with why; filled here
    shown : images that each model was shown; filled here
    """

    crew: Hands
    decoded: Callable[[Sequence[Shard]], Iterable[Arrival]]
    lacking: Callable[[Need], tuple[str, ...]]
    failed: dict[str, str]
    shown: Counter[str]

    def run(self, needs: Sequence[Need]) -> dict[str, str]:
        """Stream until every shard has been shown or has had its attempts; the models that lack some, with why."""
        self.done: set[Shard] = set()
        self.attempts: Counter[Shard] = Counter()
        self.lost: dict[str, str] = {}
        in_hand = IN_HAND
        while needs := [need for need in needs if self._is_open(need)]:
            self._pass([Need(need.shard, self._able(self._still(need))) for need in needs], in_hand)
            in_hand = 1  # a shard that kills its actor must not take a neighbour with it again
        return self.lost

    def _is_open(self, need: Need) -> bool:
        return need.shard not in self.done and self.attempts[need.shard] < ATTEMPTS and bool(self._able(need))

    def _still(self, need: Need) -> Need:
        return Need(need.shard, self.lacking(need)) if self.attempts[need.shard] else need

    def _able(self, need: Need) -> tuple[str, ...]:
        return tuple(name for name in need.models if name not in self.failed)

    def _pass(self, needs: Sequence[Need], in_hand: int) -> None:
        self.done |= {need.shard for need in needs if not need.models}
        needs = [need for need in needs if need.models]
        for arrival in self.decoded([need.shard for need in needs]) if needs else ():
            need = needs[arrival.place]
            if arrival.error:
                self._blame(need, arrival.error)
                continue
            self.crew.give(Need(need.shard, self._able(need)), arrival)
            while self.crew.at_work >= in_hand * self.crew.actors:
                self._take(self.crew.collect())
        while self.crew.at_work:
            self._take(self.crew.collect())

    def _take(self, answer: Answer) -> None:
        if answer.receipt is None:
            self._blame(answer.need, answer.error)
            return
        self.done.add(answer.need.shard)
        self.failed |= dict(answer.receipt.failed)
        self.shown.update(dict.fromkeys(self._able(answer.need), answer.receipt.images))

    def _blame(self, need: Need, reason: str) -> None:
        self.attempts[need.shard] += 1
        if self.attempts[need.shard] == ATTEMPTS:
            text = f"{need.shard.image_set}/{need.shard.file} failed {ATTEMPTS} times: {reason}"
            self.lost |= dict.fromkeys(self._able(need), text)
