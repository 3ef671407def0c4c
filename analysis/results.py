"""RESULTS as a table of models: one row per model, its facts, and the measurements that were picked.

A pick names a metric at an image set; it must come down to one number per model, or it is refused with the key that is
missing. What the numbers mean together is left to `analysis.fits`.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

import pandas as pd

from analysis import acceptance
from studies.measurements import Folder, ImageSet, image_sets, models, read

log = logging.getLogger(__name__)
Made = TypeVar("Made")
SAME = 1e-9
"""Two studies that measured the same thing agree to this; then it is one number, not two."""


class NotMeasured(LookupError):
    """A pick that is not in RESULTS, or is there more than once; the sentence says which key, and what would do."""


@dataclass(frozen=True, slots=True)
class Pick:
    """Which number of each model is wanted; see `pick`."""

    metric: str
    image_set: str
    study: str | None = None
    subset: str | None = "all"
    method: str | tuple[str, ...] | None = None
    head: str | None = None

    def __str__(self) -> str:
        keys = (f"{key.name}={value!r}" for key in fields(self)[2:] if (value := getattr(self, key.name)) is not None)
        return f"pick({self.metric!r}, {self.image_set!r}, {', '.join(keys)})"


def pick(
    metric: str,
    image_set: str,
    *,
    study: str | None = None,
    subset: str | None = "all",
    method: str | tuple[str, ...] | None = None,
    head: str | None = None,
) -> Pick:
    """Name one number of each model.

    Parameters
    ----------
    metric, image_set : as in the table of measurements
    study, subset, method : None takes any, as long as only one number comes of it
    method : several are tried in order, model by model: ``("mcm", "msp")`` is MCM where the head is zero-shot, else the
        maximum softmax
    head : None takes the model's default head, the one that most studies measured
    """
    return Pick(metric, image_set, study, subset, method, head)


@dataclass(frozen=True)
class Results:
    """What a folder RESULTS knows: models (indexed by name), measurements (tall), image sets (sorted by name).

    Beside the facts of the grid a model has ``acceptance`` (``ok``, ``differs: ...`` or ``not checked``),
    ``duplicate_of`` (the model that stands for its weights; empty where it is the only one, or that model) and
    ``also_named`` (those it stands for).
    """

    folder: Folder
    models: pd.DataFrame
    measurements: pd.DataFrame
    image_sets: tuple[ImageSet, ...]

    def sets(self, role: str) -> tuple[ImageSet, ...]:
        """The image sets of one role."""
        return tuple(image_set for image_set in self.image_sets if image_set.role == role)

    @cached_property
    def distinct(self) -> pd.DataFrame:
        """The models, those left out that only repeat the weights of another one."""
        return self.models[self.models["duplicate_of"] == ""]

    @cached_property
    def default_heads(self) -> pd.Series:
        """Name of the head of each model that most studies measured; models without one such head are left out."""
        each = self.measurements[["model", "head", "study"]].drop_duplicates()
        counts = each.groupby(["model", "head"])["study"].size().reset_index()
        best = counts[counts["study"] == counts.groupby("model")["study"].transform("max")]
        return best[~best["model"].duplicated(keep=False)].set_index("model")["head"]

    @cached_property
    def _rows(self) -> dict[tuple[str, str], pd.DataFrame]:
        return {
            (str(metric), str(name)): rows
            for (metric, name), rows in self.measurements.groupby(["metric", "image_set"])
        }

    def picked(self, wanted: Pick) -> pd.DataFrame:
        """One row per model that has the number: value, std_error, n; indexed by model.

        Raises
        ------
        NotMeasured : where no model has it, or some model has it more than once
        """
        if wanted not in self._found:
            self._found[wanted] = self._find(wanted)
        return self._found[wanted]

    def once(self, key: tuple[str, ...], make: Callable[[], Made]) -> Made:
        """What `make` gives; made once for a key, as several questions may rest on the same costly fit."""
        if key not in self._made:
            self._made[key] = make()
        return cast("Made", self._made[key])

    @cached_property
    def _made(self) -> dict[tuple[str, ...], object]:
        return {}

    @cached_property
    def _found(self) -> dict[Pick, pd.DataFrame]:
        return {}

    def _find(self, wanted: Pick) -> pd.DataFrame:
        first = (wanted.metric, wanted.image_set)
        rows = self._rows.get(first, self.measurements)
        for key in ("metric", "image_set", "study", "subset", "method"):
            value = getattr(wanted, key)
            if value is not None:
                rows = _only(rows, key, (value,) if isinstance(value, str) else value, wanted)
        rows = self._of_head(rows, wanted)
        if isinstance(wanted.method, tuple):
            rank = rows["method"].map(wanted.method.index)
            rows = rows[rank == rank.groupby(rows["model"]).transform("min")]
        _refuse_ambiguous(rows, wanted)
        return rows.drop_duplicates("model").set_index("model")[["value", "std_error", "n"]].sort_index()

    def _of_head(self, rows: pd.DataFrame, wanted: Pick) -> pd.DataFrame:
        if wanted.head is not None:
            return _only(rows, "head", (wanted.head,), wanted)
        default = rows["model"].map(self.default_heads)
        several = rows.groupby("model")["head"].transform("nunique") > 1
        return rows[~several | default.isna() | (rows["head"] == default)]

    def frame(self, **picks: Pick) -> pd.DataFrame:
        """One row per distinct model that has every pick: its facts, and each pick under its name.

        The standard error is under ``<name>_std_error`` (missing where there is none). A model that lacks one of the
        picks is left out; how many were is logged. So is one that repeats the weights of another: it is no second
        draw.
        """
        taken = sorted(set(picks) & set(self.models.columns))
        if taken:
            raise ValueError(f"'{taken[0]}' is already a fact of the models; name the pick otherwise.")
        columns = {}
        for name, wanted in picks.items():
            found = self.picked(wanted)
            columns[name], columns[f"{name}_std_error"] = found["value"], found["std_error"]
        joined = self.distinct.join(pd.DataFrame(columns), how="inner") if columns else self.distinct
        whole = joined.dropna(subset=list(picks))
        if len(whole) < len(self.distinct):
            log.debug("%d of %d models have %s", len(whole), len(self.distinct), ", ".join(map(str, picks.values())))
        return whole


def load(results: str | Path) -> Results:
    """Everything that a folder or URI RESULTS knows, read once.

    A model without a lineage is a lineage of its own. Where a model was grown from one that is left out as a duplicate,
    its parent is the one that stands for it.
    """
    folder = Folder.of(results)
    facts = models(folder)
    for column in ("lineage", "train_source", "group", "family", "parent", "finetune_route", "duplicate_of"):
        there = facts[column].astype(object) if column in facts.columns else pd.Series("", index=facts.index)
        facts[column] = there.where(there.notna(), "").astype(str)
    facts["lineage"] = facts["lineage"].where(facts["lineage"] != "", facts["name"])
    same = acceptance.stands_for(dict(zip(facts.index, facts["duplicate_of"], strict=True)))
    facts["duplicate_of"] = [same.get(name, "") for name in facts.index]
    facts["also_named"] = [", ".join(each for each in same if same[each] == name) for name in facts.index]
    facts["parent"] = facts["parent"].replace(same)
    tall = read(folder)
    tall = tall[tall["model"].isin(facts.index)]
    facts["acceptance"] = acceptance.marks(tall, facts.index)
    return Results(folder, facts, tall, image_sets(folder))


@dataclass(frozen=True, slots=True)
class ImageCount:
    """How many images of a set there are, and how many of them could not be read."""

    image_set: ImageSet
    images: int
    unreadable: int


def image_counts(results: Results) -> tuple[ImageCount, ...]:
    """The number of images of every set, unreadable ones included, in the order of their names."""
    folder = results.folder / "images"
    counts = []
    for image_set in results.image_sets:
        errors = folder.read(f"{image_set.name}.parquet", ["error"]).column("error")
        counts.append(ImageCount(image_set, len(errors), len(errors) - errors.null_count))
    return tuple(counts)


def _only(rows: pd.DataFrame, key: str, values: Iterable[str], wanted: Pick) -> pd.DataFrame:
    kept = rows[rows[key].isin(tuple(values))]
    if not kept.empty:
        return kept
    missed = " or ".join(f"'{value}'" for value in values)
    there = sorted(set(rows[key]))
    nearest = difflib.get_close_matches(next(iter(values)), there, n=3, cutoff=0.5)
    hint = f"Nearest: {_listed(nearest)}." if nearest else f"There is: {_listed(there[:12])}."
    raise NotMeasured(f"No {key.replace('_', ' ')} {missed} for {wanted}. {hint}")


def _refuse_ambiguous(rows: pd.DataFrame, wanted: Pick) -> None:
    spread = rows.groupby("model")["value"].agg(["min", "max"])
    differing = spread[spread["max"] - spread["min"] > SAME]
    if differing.empty:
        return
    model = differing.index[0]
    several = rows[rows["model"] == model]
    key = next(key for key in ("head", "method", "subset", "study") if len(set(several[key])) > 1)
    raise NotMeasured(
        f"{wanted} means {len(several)} numbers of model '{model}': "
        f"{key} is {_listed(sorted(set(several[key])))}. Name one, as in {key}='{several[key].min()}'."
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
