"""What the line of progress says of cells, also where a shard was shown in two attempts."""

from __future__ import annotations

from pathlib import Path

import small

from engine import image_sets, models, passes, plan
from engine.account import Account, Measured, Spent
from engine.files import Folder
from engine.packs import Machine
from engine.plan import Need
from engine.progress import Progress
from engine.watched import Watched

HERE = Machine("cpu", 1, 8 << 30, 2)


def test_cells_are_done_when_all_their_shards_are_whoever_was_left_in_the_last_attempt(tmp_path: Path) -> None:
    small.world(tmp_path / "data")
    small.save_timm(tmp_path / "resnet18.one")
    small.save_timm(tmp_path / "resnet18.two")
    specs = models.read_grid(
        small.grid(tmp_path / "models.csv", dict.fromkeys(("resnet18.one", "resnet18.two"), "timm"))
    )
    prepared = tuple(image_sets.read_all(Folder.of(tmp_path / "data")))
    todo = plan.make(Folder.of(tmp_path / "results"), prepared, specs)
    rounds = passes.passes(todo, HERE, Measured({}, {}))
    progress, account = Progress("showing", 1, "images"), Account()
    account.add([Spent("forward", "resnet18.one", 1.0, 8)])
    watched = Watched(progress, rounds, HERE)
    (needs,) = (each.needs for each in rounds)
    for need in needs[:-1]:
        watched.seen(0, account, Need(need.shard, need.models[1:]))  # what the first had committed was not done again
    assert progress.note.startswith("4/6 cells")
    watched.seen(0, account, needs[-1])
    assert progress.note.startswith("6/6 cells")
    assert progress.done == progress.total == todo.images
