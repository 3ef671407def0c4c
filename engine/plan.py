"""Who shows what to whom: what a grid still lacks in RESULTS, and which models share a device.

Nothing is remembered between runs but the files themselves. A file counts when its identity says that it was made of
this checkpoint and these images; one that says otherwise is not reused, and is named in the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from engine import predictions
from engine.files import Folder
from engine.image_sets import BadImageSet, ImageSet, PreparedSet, Shard
from engine.models import BadRequest, ModelSpec, checkpoint_digest
from engine.predictions import LEARNED, digest
from engine.prompts import PROMPTS

BYTES_PER_PARAMETER = 4
ROOM_FOR_WORK = 0.6  # of the free memory is given to weights, the rest to activations and pixels


@dataclass(frozen=True, slots=True)
class Need:
    """A shard, and the models that have not been shown it."""

    shard: Shard
    models: tuple[str, ...]

    def of(self, names: Collection[str]) -> Need:
        """The part of the need that these models have."""
        return Need(self.shard, tuple(name for name in self.models if name in names))


@dataclass(frozen=True)
class Plan:
    """What is missing.

    Attributes
    ----------
    specs : the models that must be loaded, in the grid's order
    needs : the shards that must be shown
    stale : sentences about files whose identity does not fit
    failed : (model, reason) of those whose checkpoint is not at hand
    cells : number of (model, image set) pairs of the whole grid; missing_cells of them are incomplete
    """

    specs: tuple[ModelSpec, ...]
    needs: tuple[Need, ...]
    stale: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    cells: int
    missing_cells: int

    @property
    def images(self) -> int:
        """Number of images to decode."""
        return sum(need.shard.rows for need in self.needs)

    def summary(self) -> str:
        """What would run, in a sentence or two."""
        if not self.specs and not self.failed:
            return f"nothing to show: all {self.cells} cells (model, image set) are complete"
        views = sum(need.shard.rows * len(need.models) for need in self.needs)
        text = (
            f"{self.missing_cells} of {self.cells} cells (model, image set) are incomplete: {len(self.specs)} models "
            f"to load, {self.images} images in {len(self.needs)} shards to decode, {views} times an image meets a model"
        )
        return "\n".join([text, *(f"not at hand: {reason}" for _, reason in self.failed)])


def clean_set(prepared: Sequence[PreparedSet]) -> ImageSet:
    """The one clean image set of DATA, which names the models' classes."""
    clean = [each.image_set for each in prepared if each.image_set.role == "clean"]
    if len({each.class_names for each in clean}) != 1:
        found = ", ".join(each.name for each in clean) or "none"
        raise BadImageSet(f"DATA must hold clean image sets of one list of classes; it holds: {found}.")
    return clean[0]


def head_names(library: str) -> tuple[str, ...]:
    """Names of the heads that a model of this library gets."""
    return tuple(sorted(PROMPTS)) if library == "open_clip" else (LEARNED,)


def head_source(checkpoint: str, head: str, class_names: Sequence[str]) -> str:
    """Digest of everything that a head is made of."""
    return digest(checkpoint, head, *PROMPTS.get(head, ()), *class_names)


def make(results: Folder, prepared: Sequence[PreparedSet], specs: Sequence[ModelSpec]) -> Plan:
    """What the grid lacks in RESULTS.

    Raises
    ------
    BadRequest : where RESULTS is of another grid, or of other images under the same name
    """
    refuse_other_grid(results, specs)
    known = _digests(results)
    _refuse_other_images(results, prepared)
    class_names = clean_set(prepared).class_names
    needed: dict[Shard, list[str]] = {shard: [] for each in prepared for shard in each.shards}
    chosen, failed, stale, missing_cells = [], [], [], 0
    for spec in specs:
        try:
            checkpoint = checkpoint_digest(spec)
        except BadRequest as error:
            failed.append((spec.name, str(error)))
            continue
        lacking, old = _lacking(results, prepared, spec.name, checkpoint)
        for shard in lacking:
            needed[shard].append(spec.name)
        if old:
            stale.append(f"{old} stored shards of '{spec.name}' are of another checkpoint or other images; shown anew.")
        missing_cells += len({shard.image_set for shard in lacking})
        if lacking or known.get(spec.name) != checkpoint or _lacks_head(results, spec, checkpoint, class_names):
            chosen.append(spec)
    needs = tuple(Need(shard, tuple(models)) for shard, models in needed.items() if models)
    cells = len(specs) * len(prepared)
    return Plan(tuple(chosen), needs, tuple(stale), tuple(failed), cells, missing_cells)


def refuse_other_grid(results: Folder, specs: Sequence[ModelSpec]) -> None:
    """Raise `BadRequest` where RESULTS holds models, and none of this grid."""
    stored = list(_digests(results))
    if stored and not set(stored) & {spec.name for spec in specs}:
        raise BadRequest(
            f"{results} holds the results of another grid ({len(stored)} models, '{stored[0]}' among them) and none of "
            "this one. Give another folder to --results, or the grid that it was made with to --grid."
        )


def _digests(results: Folder) -> Mapping[str, str]:
    if not results.exists("models.parquet"):
        return {}
    return {str(name): str(value) for name, value in predictions.models(results)["digest"].items()}


def _refuse_other_images(results: Folder, prepared: Sequence[PreparedSet]) -> None:
    stored = {each.name: each for each in predictions.image_sets(results)}
    for each in prepared:
        name = each.image_set.name
        if name in stored and stored[name].digest != each.image_set.digest:
            raise BadRequest(
                f"{results} was made from another '{name}' ({stored[name].n_images} images, {stored[name].digest}; "
                f"now {each.image_set.n_images}, {each.image_set.digest}). Give another folder to --results."
            )


def _lacking(results: Folder, prepared: Sequence[PreparedSet], model: str, checkpoint: str) -> tuple[list[Shard], int]:
    """Shards that the model has not been shown, and how many stored files do not fit."""
    lacking, stale = [], 0
    for each in prepared:
        folder = results / "features" / each.image_set.name / model
        stored = set(folder.files())
        for shard in each.shards:
            if shard.file in stored:
                identity = folder.identity(shard.file)
                if (identity.get("checkpoint"), identity.get("shard")) == (checkpoint, shard.digest):
                    continue
                stale += 1
            lacking.append(shard)
    return lacking, stale


def _lacks_head(results: Folder, spec: ModelSpec, checkpoint: str, class_names: Sequence[str]) -> bool:
    return not all(
        has_head(results, spec.name, name, head_source(checkpoint, name, class_names))
        for name in head_names(spec.library)
    )


def has_head(results: Folder, model: str, head: str, source: str) -> bool:
    """Whether a head is there and was made of this source; see `head_source`."""
    folder, file = results / "heads" / model, f"{head}.parquet"
    return folder.exists(file) and folder.identity(file).get("source") == source


def packs(specs: Sequence[ModelSpec], free_bytes: int) -> tuple[tuple[ModelSpec, ...], ...]:
    """The models in as few packs as the memory of one device allows, like image sizes together.

    A model of unknown size counts as 100 million parameters. One that is larger than the device has a pack of its own.
    """
    room = free_bytes * ROOM_FOR_WORK
    found: list[list[ModelSpec]] = []
    used: list[float] = []
    for spec in sorted(specs, key=lambda each: (_number(each, "image_size"), -_bytes(each))):
        size = _bytes(spec)
        place = next((number for number, taken in enumerate(used) if taken + size <= room), None)
        if place is None:
            found.append([spec])
            used.append(size)
        else:
            found[place].append(spec)
            used[place] += size
    return tuple(tuple(pack) for pack in found)


def _number(spec: ModelSpec, fact: str) -> float:
    value = spec.facts()[fact]
    return float(value) if isinstance(value, int | float) else 0.0


def _bytes(spec: ModelSpec) -> float:
    return (_number(spec, "params_m") or 100.0) * 1e6 * BYTES_PER_PARAMETER
