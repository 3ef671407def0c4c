"""What one model has and lacks in RESULTS, found from the files alone.

A stored shard or head counts when its identity says that it was made of this checkpoint. Where the checkpoint is not
at hand, the digest that ``models.parquet`` noted when the model was shown stands for it: what is complete stays
complete when the weights are moved away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine import predictions
from engine.files import Damaged, Folder
from engine.image_sets import PreparedSet, Shard
from engine.models import ModelSpec
from engine.outcomes import Outcome
from engine.predictions import DEFAULT_PROMPTS, LEARNED, digest, own_head
from engine.prompts import PROMPTS
from engine.weights import AtHand, survey

OwnNames = Sequence[tuple[str, Sequence[str]]]
"""Image sets of role conflict, each with its own class names."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a head is made of, beside the checkpoint.

    Attributes
    ----------
    prompts : a prompt set; `learned` where the head is the checkpoint's own
    class_names : that it tells apart
    image_set : whose own names these are; empty where they are those of the models' classes
    """

    prompts: str
    class_names: tuple[str, ...]
    image_set: str = ""

    @property
    def name(self) -> str:
        """Name of the head."""
        return own_head(self.image_set) if self.image_set else self.prompts

    def source(self, checkpoint: str) -> str:
        """Digest of everything that the head is made of."""
        return digest(checkpoint, self.name, *PROMPTS.get(self.prompts, ()), *self.class_names)


@dataclass(frozen=True, slots=True)
class State:
    """What one model has and lacks.

    Attributes
    ----------
    spec : the model
    checkpoint : where it is at hand; no value where it must be fetched, an error where it cannot be had
    weights : digest of its weight files, noted or at hand; empty where it is not known
    lacking : the shards that it has not been shown
    stale : number of stored shards that do not fit
    heads : number of heads that it lacks
    due : whether it must be loaded
    """

    spec: ModelSpec
    checkpoint: Outcome[AtHand]
    weights: str
    lacking: tuple[Shard, ...]
    stale: int
    heads: int
    due: bool

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.spec.name

    @property
    def to_fetch(self) -> bool:
        """Whether its checkpoint is missed, and the hub may have it."""
        return self.due and self.checkpoint.value is None and not self.checkpoint.error


def examine(
    results: Folder,
    prepared: Sequence[PreparedSet],
    specs: Sequence[ModelSpec],
    mirror: str,
    names: Sequence[str],
    own_names: OwnNames,
    precision: str,
) -> tuple[State, ...]:
    """The state of every model.

    Parameters
    ----------
    mirror : folder of weights, empty for none
    names : of the models' classes
    own_names : of the sets that zero-shot models are asked about by their own class names
    precision : of the forward pass; what was shown in another one does not count
    """
    digests, known = noted(results, "digest"), noted(results, "weights")
    found = []
    for spec, outcome in zip(specs, survey(specs, mirror), strict=True):
        shown = digests.get(spec.name, "")
        digest = outcome.value.digest if outcome.value else shown
        weights = outcome.value.weights if outcome.value else known.get(spec.name, "")
        lacking, stale = _lacking(results, prepared, spec.name, digest, precision)
        heads = len(lacking_heads(results, spec, digest, names, own_names))
        due = not digest or digest != shown or bool(lacking) or bool(heads)
        found.append(State(spec, outcome, weights, tuple(lacking), stale, heads, due))
    return tuple(found)


def noted(results: Folder, column: str) -> Mapping[str, str]:
    """One column of ``models.parquet``: a fact of every model that was shown, empty where it was not noted."""
    if not results.exists("models.parquet"):
        return {}
    facts = predictions.models(results)
    values = facts[column].fillna("") if column in facts else dict.fromkeys(facts.index, "")
    return {str(name): str(value) for name, value in values.items()}


def recipes(library: str, names: Sequence[str], own_names: OwnNames) -> tuple[Recipe, ...]:
    """The heads that a model of this library gets, those of the same names beside each other."""
    if library != "open_clip":
        return (Recipe(LEARNED, tuple(names)),)
    common = [Recipe(prompts, tuple(names)) for prompts in sorted(PROMPTS)]
    return (*common, *(Recipe(DEFAULT_PROMPTS, tuple(own), image_set) for image_set, own in own_names))


def lacking_heads(
    results: Folder, spec: ModelSpec, checkpoint: str, names: Sequence[str], own_names: OwnNames
) -> tuple[Recipe, ...]:
    """The heads of a model that are not there, or were made of something else."""
    folder = results / "heads" / spec.name
    stored = set(folder.files())
    return tuple(
        recipe
        for recipe in recipes(spec.library, names, own_names)
        if f"{recipe.name}.parquet" not in stored
        or folder.identity(f"{recipe.name}.parquet").get("source") != recipe.source(checkpoint)
    )


def _lacking(
    results: Folder, prepared: Sequence[PreparedSet], model: str, checkpoint: str, precision: str
) -> tuple[list[Shard], int]:
    """Shards that the model has not been shown, and how many stored files do not fit."""
    lacking, stale = [], 0
    for each in prepared:
        folder = results / "features" / each.image_set.name / model
        stored = set(folder.files())
        for shard in each.shards:
            if shard.file in stored:
                if _made_of(folder, shard.file) == (checkpoint, shard.digest, precision):
                    continue
                stale += 1
            lacking.append(shard)
    return lacking, stale


def lacks(results: Folder, shard: Shard, model: str, checkpoint: str, precision: str) -> bool:
    """Whether a model has still to be shown one shard."""
    folder = results / "features" / shard.image_set / model
    return not folder.exists(shard.file) or _made_of(folder, shard.file) != (checkpoint, shard.digest, precision)


def _made_of(folder: Folder, file: str) -> tuple[object, ...] | None:
    """Digests of the checkpoint and the shard of a stored file, and its precision; None where it is damaged."""
    try:
        identity = folder.identity(file)
    except Damaged:
        return None
    return identity.get("checkpoint"), identity.get("shard"), identity.get("precision")
