"""The table of predictions: what each model was shown, kept as features and heads, read as logits.

::

    RESULTS/models.parquet                        one row per model shown: its facts, its digest
            images/<set>.parquet                  image_id, label, annotations, digest, error (why unreadable)
            heads/<model>/<head>.parquet          one row per class: weight, bias; the scale in the identity
            heads/<model>/openai80@<set>.parquet  the same, of the set's own class names
            features/<set>/<model>/00000.parquet  image_id, features; shards as in DATA; where they are kept in half:
                                                  float16 of what is left of each row less its mean, and that, centre

A cell (model, set) is complete when every readable image id of the set occurs in it exactly once; reading refuses
less. This module needs numpy, pandas and pyarrow only, so that studies run where no model could.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from engine.files import Folder, digest
from engine.image_sets import ImageSet, Role

__all__ = [
    "GIVEN", "Floats", "Folder", "Head", "ImageSet", "IncompleteRecord", "Ints", "Predictions", "Record", "Role",
    "digest", "fixed_lists", "given", "image_sets", "imported", "models", "own_head", "read_head", "readable_images",
    "write_features", "write_head", "write_images", "write_models",
]  # fmt: skip

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
HeadKind = Literal["learned", "zero_shot", "given"]
LEARNED, GIVEN = "learned", "given"
DEFAULT_PROMPTS = "openai80"
PRECISIONS = ("float32", "tf32", "bfloat16")
"""Of the forward pass; the first is the default. Features are float32 when read, whatever they were."""
KEPT_BYTES = 1 << 30
"""Of features that a record keeps once they were read; sets for which there is no room are read every time."""
Kept = dict[str, tuple[pd.DataFrame, Floats]]


class IncompleteRecord(LookupError):
    """Something that was asked for has not been shown to the model; the sentence says what, and how to get it."""


@dataclass(frozen=True, slots=True)
class Head:
    """Features to logits: ``scale * features @ weight.T + bias``.

    Attributes
    ----------
    name : ``learned``, the name of the prompt set that made it, or ``given``; see `own_head` for those of other names
    kind : learned (a linear layer, scale 1), zero_shot (unit text embeddings: features @ weight.T is a cosine) or given
        (the identity: the features are logits that somebody imported, and say no more than these)
    weight : (c, d) float32
    bias : (c,) float32
    scale : the checkpoint's own logit scale
    """

    name: str
    kind: HeadKind
    weight: Floats
    bias: Floats
    scale: float

    def logits(self, features: Floats) -> Floats:
        """Logits (n, c), float32, of features (n, d)."""
        if self.kind == GIVEN:
            return features
        scores: Floats = features @ self.weight.T
        scores *= np.float32(self.scale)
        scores += self.bias
        return scores


@dataclass(frozen=True)
class Predictions:
    """One model on one image set under one head.

    Attributes
    ----------
    image_set : what the pictures are for
    head : what turned features into logits
    images : n rows: ``image_id`` and the set's annotations; `on` keeps ``labels`` (several right ones) in step
    features : (n, d) float32; unit vectors where the head is zero-shot
    logits : (n, c) float32, over all classes of the head, or over the groups given to `on`
    labels : (n,) int64, the set's own labels; -1 in a set of role out. Only `on` makes them columns of `logits`, but
        for a clean set they are so from the start.
    """

    image_set: ImageSet
    head: Head
    images: pd.DataFrame
    features: Floats
    logits: Floats
    labels: Ints

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def cosines(self) -> Floats:
        """Raw cosines of image and class, shape of `logits`: those without scale and bias. Zero-shot heads only."""
        if self.head.kind != "zero_shot":
            raise ValueError(f"Head '{self.head.name}' is {self.head.kind}: only a zero-shot head has cosines.")
        cosines: Floats = (self.logits - self.head.bias[0]) / np.float32(self.head.scale)
        return cosines

    def on(self, classes: Sequence[Sequence[int]]) -> Predictions:
        """The same predictions among these groups of classes: logits masked to them, the largest within a group.

        Images whose own class is in none of the groups are left out. This is the "masked" way: a softmax of the result
        is over the groups alone.

        Parameters
        ----------
        classes : groups of ids of the head's classes; an image set's own are ``image_set.classes``
        """
        group_of = {class_id: group for group, ids in enumerate(classes) for class_id in ids}
        of_label = np.array([_group(ids, group_of) for ids in self.image_set.classes] or [-1], dtype=np.int64)
        labels = of_label[self.labels]
        kept = labels >= 0 if self.image_set.role != "out" else np.ones(len(labels), dtype=bool)
        logits, images = self.logits[kept], self.images[kept]
        if "labels" in images and self.image_set.classes:
            images = images.assign(labels=images["labels"].map(lambda found: _groups(found, of_label)))
        grouped = np.stack([logits[:, list(ids)].max(axis=1) for ids in classes], axis=1)
        return replace(self, images=images, features=self.features[kept], logits=grouped, labels=labels[kept])


def _group(ids: Sequence[int], group_of: dict[int, int]) -> int:
    groups = {group_of.get(class_id, -1) for class_id in ids}
    return groups.pop() if len(groups) == 1 else -1


def _groups(labels: Sequence[int] | None, of_label: Ints) -> list[int]:
    return [int(of_label[label]) for label in ([] if labels is None else labels) if of_label[label] >= 0]


def fixed_lists(values: Floats) -> pa.FixedSizeListArray:
    """Rows of a matrix (n, d) as plain Arrow lists of fixed size, for anyone to read."""
    rows = np.ascontiguousarray(values, dtype=np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])


def _matrix(column: pa.ChunkedArray) -> Floats:
    width = column.type.list_size
    flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
    return flat.reshape(-1, width).astype(np.float32, copy=False)


def _features(table: pa.Table) -> Floats:
    rows = _matrix(table.column("features"))
    if "centre" in table.column_names:
        rows += table.column("centre").to_numpy()[:, None]
    return rows


def write_features(
    results: Folder,
    image_set: str,
    model: str,
    shard: str,
    image_ids: Sequence[str],
    features: Floats,
    identity: dict[str, object],
    *,
    half: bool = False,
) -> None:
    """Commit what one model saw in one shard: ids (n) and features (n, d). What a power cut damages is shown again.

    In half the bytes where asked for: each row less its mean in float16, unless that cannot hold it. An entry is then
    off by at most 2^-11 of its distance from the row's mean.
    """
    table = pa.table({"image_id": pa.array(image_ids, pa.string()), "features": fixed_lists(features)})
    if half and len(features):
        centre = features.mean(axis=1, dtype=np.float32)
        with np.errstate(over="ignore"):
            rest = (features - centre[:, None]).astype(np.float16)
        if np.isfinite(rest).all():
            halves = pa.FixedSizeListArray.from_arrays(pa.array(rest.reshape(-1)), rest.shape[1])
            table = table.set_column(1, "features", halves).append_column("centre", pa.array(centre))
    (results / "features" / image_set / model).commit(shard, table, identity, wait=False)


def write_head(results: Folder, model: str, head: Head, identity: dict[str, object]) -> None:
    """Commit one head of a model; the identity should name its checkpoint."""
    table = pa.table({"weight": fixed_lists(head.weight), "bias": pa.array(head.bias)})
    facts = {**identity, "kind": head.kind, "scale": head.scale}
    (results / "heads" / model).commit(f"{head.name}.parquet", table, facts)


def read_head(results: Folder, model: str, name: str) -> Head:
    """One head of a model."""
    folder = results / "heads" / model
    if not folder.exists(f"{name}.parquet"):
        there = ", ".join(file.removesuffix(".parquet") for file in folder.files()) or "none"
        raise IncompleteRecord(
            f"Model '{model}' has no head '{name}' in {results}; it has: {there}. "
            "Build it with: python -m studies all --grid GRID --data DATA --results RESULTS"
        )
    table, identity = folder.read(f"{name}.parquet"), folder.identity(f"{name}.parquet")
    kinds: dict[str, HeadKind] = {"zero_shot": "zero_shot", "given": "given"}
    kind = kinds.get(str(identity["kind"]), "learned")
    bias = table.column("bias").to_numpy()
    return Head(name, kind, _matrix(table.column("weight")), bias, float(str(identity["scale"])))


def own_head(image_set: str) -> str:
    """Name of the zero-shot head among an image set's own class names, made of the full prompt set."""
    return f"{DEFAULT_PROMPTS}@{image_set}"


def write_images(results: Folder, image_set: ImageSet, table: pa.Table) -> None:
    """Commit the index of one set: image_id, label, annotations, digest, error; in the set's order."""
    (results / "images").commit(f"{image_set.name}.parquet", table, asdict(image_set))


def write_models(results: Folder, facts: pd.DataFrame) -> None:
    """Commit one row per model shown; `name` is unique."""
    results.commit("models.parquet", pa.Table.from_pandas(facts.sort_values("name"), preserve_index=False), {})


def models(results: Folder) -> pd.DataFrame:
    """One row per model shown, with its grid facts, indexed by name; sorted by name."""
    if not results.exists("models.parquet"):
        raise IncompleteRecord(
            f"No results in {results}: no model has been shown anything there. "
            "Show some with: python -m studies all --grid GRID --data DATA --results RESULTS"
        )
    facts: pd.DataFrame = results.read("models.parquet").to_pandas()
    return facts.set_index("name", drop=False).sort_index()


def image_sets(results: Folder) -> tuple[ImageSet, ...]:
    """Every image set that RESULTS knows, sorted by name."""
    folder = results / "images"
    found = (ImageSet.of(folder.identity(file)) for file in folder.files())
    return tuple(sorted(found, key=lambda image_set: image_set.name))


def imported(facts: pd.Series) -> str:
    """What was imported of a model: ``logits`` or ``decisions``; empty where it was shown the images here."""
    kind = facts.get("imported")
    return kind if isinstance(kind, str) else ""


def given(results: Folder, model: str, kind: str) -> tuple[ImageSet, ...]:
    """The image sets on which this was imported of a model, sorted by name."""
    sets = image_sets(results)
    if kind == "decisions":
        return tuple(each for each in sets if (results / "decisions" / each.name).exists(f"{model}.parquet"))
    return tuple(each for each in sets if (results / "features" / each.name / model).files())


def _given(results: Folder, facts: pd.Series) -> tuple[ImageSet, ...]:
    """Of an imported model, the sets that can be measured: without its clean set, only one of role conflict can."""
    found = given(results, str(facts["name"]), imported(facts))
    names = {each.name for each in found}
    return tuple(each for each in found if each.clean in names or each.role == "conflict")


def readable_images(results: Folder, image_set: str) -> pd.DataFrame:
    """The images of a set that could be read, in its order: ``image_id``, ``label`` and annotations."""
    images: pd.DataFrame = (results / "images").read(f"{image_set}.parquet").to_pandas()
    return images[images["error"].isna()].drop(columns="error").reset_index(drop=True)


@dataclass(frozen=True)
class Record:
    """All that one model has been shown.

    Attributes
    ----------
    results : the folder RESULTS
    facts : the model's row of ``models.parquet``
    image_sets : every set that RESULTS knows, sorted by name; of an imported model, those it was given
    head : the head that was asked for by name, see `under`; empty where none was
    """

    results: Folder
    facts: pd.Series
    image_sets: tuple[ImageSet, ...]
    head: str = ""
    _kept: Kept = field(default_factory=dict, compare=False, repr=False)
    _heads: dict[str, Head] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, results: Folder, model: str) -> Record:
        """The record of one model; `IncompleteRecord` where RESULTS does not know it."""
        known = models(results)
        if model not in known.index:
            raise IncompleteRecord(f"No model '{model}' in {results}. It holds: {', '.join(known.index)}.")
        facts = known.loc[known.index == model].iloc[0]
        return cls(results, facts, _given(results, facts) if imported(facts) else image_sets(results))

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.facts["name"])

    def under(self, head: str) -> Record:
        """The same record with this head for the default one; what was read of the images is shared."""
        return replace(self, head=head)

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Names of the model's heads among its own classes, sorted; those among other names are `own_heads`."""
        return tuple(name for name in self._stored_heads if "@" not in name)

    @cached_property
    def own_heads(self) -> Mapping[str, str]:
        """Names of the heads among an image set's own class names, by image set; see `own_head`."""
        return {each.name: name for each in self.image_sets if (name := own_head(each.name)) in self._stored_heads}

    @cached_property
    def _stored_heads(self) -> tuple[str, ...]:
        return tuple(file.removesuffix(".parquet") for file in (self.results / "heads" / self.model).files())

    @property
    def default_head(self) -> str:
        """The head that was asked for; else the learned or given one where there is one, else the full prompt set."""
        return self.head or next((name for name in (LEARNED, GIVEN) if name in self.heads), DEFAULT_PROMPTS)

    def sets(self, role: Role) -> tuple[ImageSet, ...]:
        """The image sets of one role."""
        return tuple(image_set for image_set in self.image_sets if image_set.role == role)

    def image_set(self, name: str) -> ImageSet:
        """The image set of that name."""
        for image_set in self.image_sets:
            if image_set.name == name:
                return image_set
        raise IncompleteRecord(
            f"No image set '{name}' in {self.results}. It holds: {', '.join(each.name for each in self.image_sets)}."
        )

    def predictions(self, name: str, head: str | None = None) -> Predictions:
        """What the model says of one image set under one head; `default_head` where none is named. Order of the set."""
        image_set = self.image_set(name)
        chosen = self._head(head or self.default_head)
        images, features = self._cell(name)
        labels = images["label"].fillna(-1).to_numpy(dtype=np.int64)
        return Predictions(image_set, chosen, images, features, chosen.logits(features), labels)

    def _head(self, name: str) -> Head:
        if name not in self._heads:
            self._heads[name] = read_head(self.results, self.model, name)
        return self._heads[name]

    def images(self, name: str) -> pd.DataFrame:
        """The readable images of one set, in its order: ``image_id``, ``label`` and annotations."""
        return readable_images(self.results, name)

    def _cell(self, name: str) -> tuple[pd.DataFrame, Floats]:
        if name in self._kept:
            return self._kept[name]
        images, features = self._read_cell(name)
        features.flags.writeable = False
        if features.nbytes + sum(kept.nbytes for _, kept in self._kept.values()) <= KEPT_BYTES:
            self._kept[name] = images, features
        return images, features

    def _read_cell(self, name: str) -> tuple[pd.DataFrame, Floats]:
        readable = readable_images(self.results, name)
        folder = self.results / "features" / name / self.model
        tables = [folder.read(file) for file in folder.files()]
        shown = pd.Index([name for table in tables for name in table.column("image_id").to_pylist()])
        missing = len(readable) - len(shown.intersection(readable["image_id"]))
        again = "python -m studies all --grid GRID --data DATA --results RESULTS"
        if missing:
            raise IncompleteRecord(
                f"Model '{self.model}' has been shown {len(readable) - missing} of {len(readable)} readable images of "
                f"'{name}' ({len(shown)} rows). Show it the rest with: {again}"
            )
        if len(shown) != len(readable):
            raise IncompleteRecord(
                f"{folder} holds {len(shown)} rows for {len(readable)} readable images of '{name}': some are there "
                f"twice, or are not of the set. Delete that folder, and show them again with: {again}"
            )
        features = np.concatenate([_features(table) for table in tables])
        return readable, features[shown.get_indexer(readable["image_id"])]
