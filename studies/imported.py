"""Predictions that somebody made elsewhere, brought into RESULTS as those of a model.

A file (Parquet, or CSV with a header) has one row per image: ``image_id``, and either its logits (one column per class
in the order of the clean set's classes, or one column ``logits`` of lists), or ``prediction`` and ``confidence``. A
prediction is a class of the models, by number from 0 or by name; in a set of role conflict, a label of the set.

Logits are kept as features under a head that leaves them as they are, so that every study runs; decisions are kept as
such, see `studies.decisions`. Nothing is written unless all of the file is right; the model is entered last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from engine.predictions import (
    GIVEN,
    Folder,
    Head,
    ImageSet,
    digest,
    image_sets,
    imported,
    models,
    readable_images,
    write_features,
    write_head,
    write_models,
)
from studies import decisions
from studies.metrics import Doubles, Floats, Ints

FACTS = ("family", "group", "train_source", "lineage", "parent")
"""What may be told of an imported model: facts of the grid by which models are compared."""
SHARD = "00000.parquet"


class BadPredictions(ValueError):
    """Predictions that cannot be imported; the sentence says what is wrong with them, and what would do."""


@dataclass(frozen=True)
class Given:
    """What a file says of the images of one set, in the set's order: logits (n, c), or decisions (n,) each."""

    image_ids: list[str]
    logits: Floats | None = None
    decided: Ints | None = None
    confidence: Doubles | None = None

    @property
    def kind(self) -> str:
        """Either logits or decisions."""
        return "decisions" if self.logits is None else "logits"


def take(results: Folder, file: Path, model: str, name: str, told: Mapping[str, str]) -> str:
    """Import the predictions of one model on one image set; a sentence about what came of it.

    Parameters
    ----------
    told : facts of the model, see `FACTS`; the group and the training source are ``imported`` where they are not told,
        the lineage is the model's own

    Raises
    ------
    BadPredictions : where the file does not hold exactly one usable prediction for every readable image of the set
    """
    sets = {each.name: each for each in image_sets(results)}
    for wanted in (name, sets[name].clean if name in sets else name):
        if wanted not in sets:
            raise BadPredictions(
                f"No image set '{wanted}' in {results}; there is: {', '.join(sets) or 'none'}. "
                "Give the folder of the prepared sets to --data, to take its images from there."
            )
    stored = _stored(results, model, told)
    found = _read(results, file, sets[name], sets[sets[name].clean])
    known = imported(_row(stored, model)) if model in stored.index else found.kind
    if known != found.kind:
        raise BadPredictions(
            f"Model '{model}' was imported with {known}, and {file} holds {found.kind}. Give another name to --name."
        )
    _commit(results, sets[name], model, found, digest(file.read_bytes()))
    _enter(results, stored, model, found.kind, told)
    return f"imported {found.kind} of '{model}' on {len(found.image_ids)} images of '{name}' into {results}"


def _stored(results: Folder, model: str, told: Mapping[str, str]) -> pd.DataFrame:
    """What RESULTS knows of models, where this one may be imported."""
    if not re.fullmatch(r"[\w@+-][\w.@+-]*", model):
        raise BadPredictions(f"'{model}' cannot be a file's name; give letters, digits and . _ - + @ to --name.")
    if strange := sorted(set(told) - set(FACTS)):
        raise BadPredictions(f"'{strange[0]}' is no fact of an imported model; --facts takes {', '.join(FACTS)}.")
    if not results.exists("models.parquet"):
        return pd.DataFrame({"name": pd.Series([], dtype=str)})
    stored = models(results)
    if model in stored.index and not imported(_row(stored, model)):
        raise BadPredictions(f"Model '{model}' of {results} was shown its images there. Give another name to --name.")
    return stored


def _row(stored: pd.DataFrame, model: str) -> pd.Series:
    return stored[stored["name"] == model].iloc[0]


def _read(results: Folder, file: Path, image_set: ImageSet, clean: ImageSet) -> Given:
    table = _table(file)
    given = table.column("image_id").to_pylist()
    order = _order(results, image_set, given, file)
    columns = [column for column in table.column_names if column != "image_id"]
    ids = [given[row] for row in order]
    if set(columns) == {"prediction", "confidence"}:
        among = image_set if image_set.role == "conflict" else clean
        decided = _decided(table.column("prediction").to_pylist(), among, file)
        confidence = _numbers(table.select(["confidence"]), file)[:, 0]
        if ((confidence < 0) | (confidence > 1)).any():
            worst = int(np.argmax((confidence < 0) | (confidence > 1)))
            raise BadPredictions(
                f"{file}, row {worst + 1}: the confidence is {confidence[worst]}; give a probability from 0 to 1."
            )
        return Given(ids, decided=decided[order], confidence=confidence[order])
    logits = _numbers(_apart(table.select(columns), file), file)
    _check_classes(columns, logits, clean, file)
    return Given(ids, logits=logits[order].astype(np.float32))


def _table(file: Path) -> pa.Table:
    if not file.is_file():
        raise BadPredictions(f"No file '{file}'. Give a Parquet or CSV file with the predictions to --from.")
    try:
        if file.suffix == ".csv":
            # Else ids such as 0001 would become numbers.
            texts = pa.csv.ConvertOptions(column_types={"image_id": pa.string(), "prediction": pa.string()})
            table = pa.csv.read_csv(file, convert_options=texts)
        else:
            table = pa.parquet.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise BadPredictions(f"{file} cannot be read as Parquet or CSV: {str(error).splitlines()[0]}") from error
    if "image_id" not in table.column_names or table.num_columns < 2:
        raise BadPredictions(
            f"{file} has the columns {', '.join(table.column_names[:5])}; it needs image_id and either a column per "
            "class (or one of lists, logits), or prediction and confidence."
        )
    return table.set_column(
        table.column_names.index("image_id"), "image_id", table.column("image_id").cast(pa.string())
    )


def _order(results: Folder, image_set: ImageSet, given: Sequence[str], file: Path) -> Ints:
    """Rows of the file in the order of the set's readable images; those of unreadable ones are left out."""
    ids, name = pd.Index(given), image_set.name
    if ids.has_duplicates:
        raise BadPredictions(f"{file} has the image '{ids[ids.duplicated()][0]}' twice; give one row per image.")
    every = (results / "images").read(f"{name}.parquet", ["image_id"]).column("image_id").to_pylist()
    strange = ids.difference(every)
    if len(strange):
        raise BadPredictions(
            f"{file} has {len(strange)} images that are not of '{name}', '{strange[0]}' among them; its ids are as "
            f"'{every[0]}'. Give these as image_id."
        )
    readable = readable_images(results, name)["image_id"]
    order = ids.get_indexer(pd.Index(readable))
    if (order < 0).any():
        raise BadPredictions(
            f"{file} lacks {(order < 0).sum()} of {len(order)} images of '{name}', '{readable[order < 0].iloc[0]}' "
            "among them; give every image of the set."
        )
    return np.asarray(order, dtype=np.int64)


def _apart(table: pa.Table, file: Path) -> pa.Table:
    """One column a class, where the logits are one column of lists."""
    if table.column_names != ["logits"] or not hasattr(table.column("logits").type, "value_type"):
        return table
    lengths = pc.list_value_length(table.column("logits")).to_numpy()
    if len(set(lengths)) != 1 or not lengths[0]:
        raise BadPredictions(f"{file} has lists of {min(lengths)} to {max(lengths)} logits; give one for every class.")
    values = pc.list_flatten(table.column("logits")).to_numpy().reshape(len(lengths), -1)
    return pa.table({str(number): values[:, number] for number in range(values.shape[1])})


def _numbers(table: pa.Table, file: Path) -> Doubles:
    """The columns as a matrix (n, c); every value is a finite number."""
    try:
        values = np.column_stack([table.column(name).cast(pa.float64()).to_numpy() for name in table.column_names])
    except pa.ArrowException as error:
        raise BadPredictions(f"{file} has a value that is no number: {str(error).splitlines()[0]}") from error
    with np.errstate(over="ignore"):
        unusable = ~np.isfinite(values.astype(np.float32))
    if unusable.any():
        row, column = (int(place[0]) for place in unusable.nonzero())
        raise BadPredictions(
            f"{file}, row {row + 1}, column '{table.column_names[column]}': {values[row, column]} is no finite number; "
            "give one for every image and class."
        )
    return values


def _check_classes(columns: Sequence[str], logits: Floats | Doubles, clean: ImageSet, file: Path) -> None:
    names = clean.class_names
    if logits.shape[1] != len(names):
        raise BadPredictions(
            f"{file} has logits of {logits.shape[1]} classes; '{clean.name}' has {len(names)}. Give one column per "
            "class, in the order of the set's classes, and no others."
        )
    if set(columns) == set(names) and tuple(columns) != names:
        raise BadPredictions(
            f"{file} has the classes of '{clean.name}' in another order: {columns[0]} comes first, there it is "
            f"{names[0]}. Give the columns in that order."
        )


def _decided(given: Sequence[object], among: ImageSet, file: Path) -> Ints:
    """Numbers of the classes that are named by number or by name (n,)."""
    names = among.class_names
    numbers = {str(number): number for number in range(len(names))}
    by_name = {name: number for number, name in enumerate(names) if names.count(name) == 1}
    told = [str(each) for each in given]
    meant = by_name if all(each in by_name for each in told) else numbers
    for row, each in enumerate(told):
        if each not in meant:
            raise BadPredictions(
                f"{file}, row {row + 1}: the prediction is '{each}'; give for all images a number from 0 to "
                f"{len(names) - 1}, or for all a name of one class of '{among.name}', as '{names[0]}'."
            )
    return np.array([meant[each] for each in told], dtype=np.int64)


def _commit(results: Folder, image_set: ImageSet, model: str, found: Given, source: str) -> None:
    identity: dict[str, object] = {"model": model, "checkpoint": source, "images": image_set.digest}
    if found.decided is not None and found.confidence is not None:
        told = found.decided, found.confidence
        decisions.write(results, image_set.name, model, found.image_ids, *told, identity)
    elif found.logits is not None:
        write_features(results, image_set.name, model, SHARD, found.image_ids, found.logits, identity)
        classes = found.logits.shape[1]
        head = Head(GIVEN, "given", np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32), 1.0)
        write_head(results, model, head, {"model": model})


def _enter(results: Folder, stored: pd.DataFrame, model: str, kind: str, told: Mapping[str, str]) -> None:
    row = dict(_row(stored, model)) if model in stored.index else {}
    facts = {"group": "imported", "train_source": "imported", "lineage": model, "duplicate_of": "", **row, **told}
    entered = pd.DataFrame([{**facts, "name": model, "imported": kind}])
    write_models(results, pd.concat([stored[stored["name"] != model], entered], ignore_index=True))
