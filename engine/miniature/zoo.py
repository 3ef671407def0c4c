"""The miniature on disk: the small world, the checkpoints, the grid that names them. What is there is left as it is.

::

    OUT/images/<set>/            prepared image sets
        checkpoints/<model>/     weights and configuration in the library's own format, and facts.json
        models.csv               the grid, written when everything else is there

Nothing here imports torch before something is to be trained.
"""

from __future__ import annotations

import csv
import json
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from engine import grid, image_sets
from engine.files import Folder, digest
from engine.miniature import world
from engine.miniature.recipes import AMOUNTS, ZOO, Recipe

T = TypeVar("T")
GRID = "models.csv"
FACTS = "facts.json"
PUBLISHER = "the miniature's trainer"
EVIDENCE = "trained from fixed seeds"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model only after training.

    Attributes
    ----------
    identity : digest of its recipe, its parent's, and the clean set that it was judged on
    params_m : parameters in millions
    clean : top-1 on the clean set as its own library has it, a fraction
    """

    identity: str
    params_m: float
    clean: float


@dataclass(frozen=True, slots=True)
class Job:
    """A recipe, the folder that the miniature is made in, and the identity that the checkpoint will carry."""

    recipe: Recipe
    out: Path
    identity: str

    @property
    def place(self) -> Path:
        """Folder of the checkpoint."""
        return self.out / "checkpoints" / self.recipe.name

    def facts(self) -> Facts | None:
        """Facts of the finished checkpoint; None where it is absent or made by another recipe."""
        file = self.place / FACTS
        if not file.exists():
            return None
        facts = Facts(**json.loads(file.read_text()))
        return facts if facts.identity == self.identity else None


def make(out: Path, recipes: Sequence[Recipe] = ZOO) -> bool:
    """Whether all of it is there, once everything that was missing has been tried; failures are printed by name."""
    sets = [name for name in world.SETS if not world.is_whole(Folder.of(out / "images"), name)]
    if not sets and not missing(out, recipes):
        write_grid(out, recipes)
        print(f"The miniature is there: {len(world.SETS)} image sets and {len(recipes)} models in {out}.")
        return True
    wanted = recipes if sets else [job.recipe for job in missing(out, recipes)]
    with grid.session():
        whole = _draw(out, sets, wanted) and _train(out, recipes)
    if whole:
        write_grid(out, recipes)
        print(f"The miniature is in {out}: {len(world.SETS)} image sets, {len(recipes)} models, {GRID}.")
    return whole


def jobs(out: Path, recipes: Sequence[Recipe]) -> list[Job]:
    """A job for every recipe; the clean set must be there."""
    clean = image_sets.read(Folder.of(out / "images"), world.CLEAN).image_set.digest
    texts = [json.dumps(asdict(recipe), sort_keys=True) for recipe in recipes]
    return [
        Job(recipe, out, digest(text, json.dumps(AMOUNTS), clean)) for recipe, text in zip(recipes, texts, strict=True)
    ]


def missing(out: Path, recipes: Sequence[Recipe]) -> list[Job]:
    """Jobs whose checkpoint is not there."""
    return [job for job in jobs(out, recipes) if job.facts() is None]


def _draw(out: Path, sets: Sequence[str], recipes: Sequence[Recipe]) -> bool:
    from engine.miniature import pool

    sources = sorted({stage.source for recipe in recipes for stage in recipe.stages})
    drawings = [pool.Drawing(out, source) for source in sources] + [pool.Drawing(out, "", name) for name in sets]
    return _every(pool.draw, drawings, [*sources, *sets], "drawing")


def _train(out: Path, recipes: Sequence[Recipe]) -> bool:
    from engine.miniature import pool, train

    # Those that are grown from another wait until the others are there.
    for grown in (False, True):
        wave = [job for job in missing(out, recipes) if (job.recipe.parent is not None) == grown]
        if wave and not _every(
            train.train, wave, [job.recipe.name for job in wave], "fine-tuning" if grown else "training"
        ):
            return False
    pool.discard(out)
    return True


def _every(function: Callable[[T], object], items: Sequence[T], names: Sequence[str], title: str) -> bool:
    failed = [outcome for outcome in grid.each(function, items, names=names, title=title) if outcome.error]
    for outcome in failed:
        print(f"FAILED {title} {outcome.name}: {outcome.error}", file=sys.stderr)
    return not failed


def write_grid(out: Path, recipes: Sequence[Recipe]) -> None:
    """Write the grid in one step: a row for every recipe, all of which must be trained."""
    rows = [_row(job.recipe, facts) for job in jobs(out, recipes) if (facts := job.facts())]
    with _replacing(out / GRID) as file, file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _row(recipe: Recipe, facts: Facts) -> dict[str, object]:
    source = recipe.train_source
    return {
        "name": recipe.name,
        "library": recipe.library,
        "arch": recipe.name.split(".")[0],
        "checkpoint": f"local-dir:checkpoints/{recipe.name}",
        "family": recipe.family,
        "group": recipe.group,
        "train_source": source,
        "pretrain_images": AMOUNTS[source],
        "samples_seen": recipe.samples_seen,
        "finetune_route": recipe.route,
        "encoder": recipe.encoder,
        "image_size": recipe.geometry.size,
        "params_m": facts.params_m,
        "lineage": recipe.lineage,
        "parent": recipe.parent.name if recipe.parent else "",
        "evidence": EVIDENCE,
        f"published_{world.CLEAN}": facts.clean,
        "published_source": PUBLISHER,
    }


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
