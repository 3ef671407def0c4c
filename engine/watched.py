"""How far the passes over a grid are: images, cells, and what holds them up, as one line of progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.account import Account
from engine.packs import Machine
from engine.passes import Pass
from engine.plan import Need
from engine.progress import Progress


class Watched:
    """Weighs every shard by what it was expected to cost, so that the time left is right where shards are not alike."""

    def __init__(self, progress: Progress, rounds: Sequence[Pass], machine: Machine) -> None:
        self.progress = progress
        self.work = [
            {need.shard: price.seconds(machine) for need, price in zip(each.needs, each.prices, strict=True)}
            for each in rounds
        ]
        self.models = [{need.shard: need.models for need in each.needs} for each in rounds]
        needs = [need for each in rounds for need in each.needs]
        self.open = Counter((need.shard.image_set, name) for need in needs for name in need.models)
        self.cells = len(self.open)
        progress.work = sum(sum(each.values()) for each in self.work)
        progress.total = sum(need.shard.rows for need in needs)

    def seen(self, number: int, spent: Account, need: Need) -> None:
        """A shard was shown to its models in the pass of that number, or to those that still lacked it."""
        self.open.subtract((need.shard.image_set, name) for name in self.models[number][need.shard])
        done = self.cells - sum(1 for count in self.open.values() if count > 0)
        self.progress.advance(need.shard.rows, work=self.work[number][need.shard])
        rate = self.progress.rate()
        self.progress.note = f"{done}/{self.cells} cells, {rate:.0f} images/s, held up by {spent.bottleneck()}"
