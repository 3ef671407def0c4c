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
from engine.predictions import LEARNED, digest
from engine.prompts import PROMPTS
from engine.weights import AtHand, survey


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
    due : whether it must be loaded
    """

    spec: ModelSpec
    checkpoint: Outcome[AtHand]
    weights: str
    lacking: tuple[Shard, ...]
    stale: int
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
    precision: str,
) -> tuple[State, ...]:
    """The state of every model.

    Parameters
    ----------
    mirror : folder of weights, empty for none
    names : of the classes
    precision : of the forward pass; what was shown in another one does not count
    """
    digests, known = noted(results, "digest"), noted(results, "weights")
    found = []
    for spec, outcome in zip(specs, survey(specs, mirror), strict=True):
        shown = digests.get(spec.name, "")
        digest = outcome.value.digest if outcome.value else shown
        weights = outcome.value.weights if outcome.value else known.get(spec.name, "")
        lacking, stale = _lacking(results, prepared, spec.name, digest, precision)
        due = not digest or digest != shown or bool(lacking) or _lacks_head(results, spec, digest, names)
        found.append(State(spec, outcome, weights, tuple(lacking), stale, due))
    return tuple(found)


def noted(results: Folder, column: str) -> Mapping[str, str]:
    """One column of ``models.parquet``: a fact of every model that was shown, empty where it was not noted."""
    if not results.exists("models.parquet"):
        return {}
    facts = predictions.models(results)
    values = facts[column].fillna("") if column in facts else dict.fromkeys(facts.index, "")
    return {str(name): str(value) for name, value in values.items()}


def head_names(library: str) -> tuple[str, ...]:
    """Names of the heads that a model of this library gets."""
    return tuple(sorted(PROMPTS)) if library == "open_clip" else (LEARNED,)


def head_source(checkpoint: str, head: str, class_names: Sequence[str]) -> str:
    """Digest of everything that a head is made of."""
    return digest(checkpoint, head, *PROMPTS.get(head, ()), *class_names)


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


def _lacks_head(results: Folder, spec: ModelSpec, checkpoint: str, class_names: Sequence[str]) -> bool:
    return not all(
        has_head(results, spec.name, name, head_source(checkpoint, name, class_names))
        for name in head_names(spec.library)
    )


def has_head(results: Folder, model: str, head: str, source: str) -> bool:
    """Whether a head is there and was made of this source; see `head_source`."""
    folder, file = results / "heads" / model, f"{head}.parquet"
    return folder.exists(file) and folder.identity(file).get("source") == source
