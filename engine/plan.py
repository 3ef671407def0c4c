"""Who shows what to whom: what a grid still lacks in RESULTS, and which models share a device.

Nothing is remembered between runs but the files themselves. A file counts when its identity says that it was made of
this checkpoint and these images; one that says otherwise is not reused, and is named in the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from engine import fetch, packs, predictions, weights
from engine.files import Folder
from engine.image_sets import BadImageSet, ImageSet, PreparedSet, Shard
from engine.models import BadRequest, ModelSpec
from engine.predictions import PRECISIONS
from engine.prepare import known
from engine.state import State, examine, noted


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
    failed : (model, reason) of those whose checkpoint cannot be had
    cells : number of (model, image set) pairs of the whole grid; missing_cells of them are incomplete
    absent : models whose checkpoint must be fetched; among `specs` where that can be done while they are loaded
    away : names of complete models whose checkpoint is not at hand
    duplicates : (model, the first model of the grid with the same weights)
    mirror : folder of weights, empty for none
    precision : of the forward pass
    half : whether features are kept in half the bytes
    heads : number of heads that the loaded models lack
    unprepared : a sentence about the known image sets that DATA lacks; empty where it lacks none
    """

    specs: tuple[ModelSpec, ...]
    needs: tuple[Need, ...]
    stale: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    cells: int
    missing_cells: int
    absent: tuple[ModelSpec, ...] = ()
    away: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, str], ...] = ()
    mirror: str = ""
    precision: str = PRECISIONS[0]
    half: bool = False
    heads: int = 0
    unprepared: str = ""

    @property
    def images(self) -> int:
        """Number of images to decode."""
        return sum(need.shard.rows for need in self.needs)

    def notes(self) -> tuple[str, ...]:
        """What a user should know, a sentence each."""
        said = [*self.stale, *alike(self.duplicates)]
        if self.away:
            said.append(
                f"{len(self.away)} complete models are known by the digest noted when they were shown, their "
                f"checkpoints are not at hand: {', '.join(self.away)}"
            )
        return (*said, self.unprepared) if self.unprepared else tuple(said)

    def summary(self) -> str:
        """What would run, in a sentence or two."""
        if not self.specs and not self.failed:
            return f"nothing to show: all {self.cells} cells (model, image set) are complete"
        views = sum(need.shard.rows * len(need.models) for need in self.needs)
        text = (
            f"{self.missing_cells} of {self.cells} cells (model, image set) are incomplete: {len(self.specs)} models "
            f"to load, {self.images} images in {len(self.needs)} shards to decode, {views} times an image meets a model"
            f", {self.heads} heads to make"
        )
        listed = {spec.name for spec in self.absent}
        reasons = (f"not at hand: {reason}" for name, reason in self.failed if name not in listed)
        return "\n".join([text, *reasons, *self._fetching()])

    def _fetching(self) -> list[str]:
        """The checkpoints that must be fetched, with their sizes, and how."""
        if not self.absent:
            return []
        option, place = f" --weights {self.mirror}" if self.mirror else "", self.mirror or weights.hub_cache()
        total = sum(map(packs.weight_bytes, self.absent)) / 1e9
        lines = [f"not at hand: {len(self.absent)} checkpoints, about {total:.1f} GB at 4 bytes a parameter"]
        lines += [
            f"  {packs.weight_bytes(spec) / 1e6:7,.0f} MB  {spec.name}: {weights.source(spec)}" for spec in self.absent
        ]
        stuck = {name for name, _ in self.failed} & {spec.name for spec in self.absent}
        when = "Fetch them first" if stuck else "They are fetched when their models are loaded; to have them before"
        return [*lines, f"{when}, into {place}: python -m engine.fetch --grid GRID{option}"]


def alike(duplicates: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """A sentence for every model that has another one's weights."""
    return tuple(f"'{name}' has the same weights as '{first}'" for name, first in duplicates)


def clean_set(prepared: Sequence[PreparedSet]) -> ImageSet:
    """The one clean image set of DATA, which names the models' classes."""
    clean = [each.image_set for each in prepared if each.image_set.role == "clean"]
    if len({each.class_names for each in clean}) != 1:
        found = ", ".join(each.name for each in clean) or "none"
        raise BadImageSet(f"DATA must hold clean image sets of one list of classes; it holds: {found}.")
    return clean[0]


def own_names(prepared: Sequence[PreparedSet]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Every image set of role conflict with its class names, by which zero-shot models are asked too."""
    sets = (each.image_set for each in prepared)
    return tuple((each.name, each.class_names) for each in sets if each.role == "conflict")


def make(
    results: Folder,
    prepared: Sequence[PreparedSet],
    specs: Sequence[ModelSpec],
    mirror: str = "",
    precision: str = PRECISIONS[0],
    *,
    half: bool = False,
) -> Plan:
    """What the grid lacks in RESULTS; weights are looked for in the mirror folder too, where one is named.

    Raises
    ------
    BadRequest : where RESULTS is of another grid, or of other images under the same name; or there is no such mirror
    """
    refuse_other_grid(results, specs)
    _refuse_other_images(results, prepared)
    clean = clean_set(prepared)
    states = examine(results, prepared, specs, mirror, clean.class_names, own_names(prepared), precision)
    failed = _failed(states, mirror)
    loaded = [state for state in states if state.due and state.name not in failed]
    return Plan(
        specs=tuple(state.spec for state in loaded),
        needs=_needs(prepared, loaded),
        stale=tuple(
            f"{state.stale} stored shards of '{state.name}' are of another checkpoint, precision or images, or "
            "damaged; shown anew."
            for state in loaded
            if state.stale
        ),
        failed=tuple(failed.items()),
        cells=len(specs) * len(prepared),
        heads=sum(state.heads for state in loaded),
        missing_cells=sum(len({shard.image_set for shard in state.lacking}) for state in states),
        absent=tuple(state.spec for state in states if state.to_fetch),
        away=tuple(state.name for state in states if not state.due and state.checkpoint.value is None),
        duplicates=tuple(weights.duplicates({state.name: state.weights for state in states}).items()),
        mirror=mirror,
        precision=precision,
        half=half,
        unprepared=known.missing([each.image_set.name for each in prepared]) if clean.name == known.CLEAN else "",
    )


def _needs(prepared: Sequence[PreparedSet], loaded: Sequence[State]) -> tuple[Need, ...]:
    needed: dict[Shard, list[str]] = {shard: [] for each in prepared for shard in each.shards}
    for state in loaded:
        for shard in state.lacking:
            needed[shard].append(state.name)
    return tuple(Need(shard, tuple(models)) for shard, models in needed.items() if models)


def _failed(states: Sequence[State], mirror: str) -> dict[str, str]:
    """The models that are due and whose checkpoint cannot be had, each with the reason."""
    failed = {state.name: state.checkpoint.error for state in states if state.due and state.checkpoint.error}
    absent = [state.spec for state in states if state.to_fetch]
    if absent and (why := fetch.unreachable()):
        failed |= {spec.name: fetch.missing(spec, mirror, why) for spec in absent}
    return failed


def refuse_other_grid(results: Folder, specs: Sequence[ModelSpec]) -> None:
    """Raise `BadRequest` where RESULTS holds models, and none of this grid."""
    stored = [name for name, kind in noted(results, "imported").items() if not kind]
    if stored and not set(stored) & {spec.name for spec in specs}:
        raise BadRequest(
            f"{results} holds the results of another grid ({len(stored)} models, '{stored[0]}' among them) and none of "
            "this one. Give another folder to --results, or the grid that it was made with to --grid."
        )


def _refuse_other_images(results: Folder, prepared: Sequence[PreparedSet]) -> None:
    stored = {each.name: each for each in predictions.image_sets(results)}
    for each in prepared:
        name = each.image_set.name
        if name in stored and stored[name].digest != each.image_set.digest:
            raise BadRequest(
                f"{results} was made from another '{name}' ({stored[name].n_images} images, {stored[name].digest}; "
                f"now {each.image_set.n_images}, {each.image_set.digest}). Give another folder to --results."
            )
