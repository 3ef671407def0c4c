"""The table of measurements: a metric of one model at one set, with its standard error and n.

``RESULTS/measurements/<study>.parquet`` has the columns of `Measurement`; the first seven are unique together. A value
that is undefined is absent: there is no NaN in it, and no 0 in its place. Needs numpy, pandas and pyarrow only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from engine.predictions import Folder, ImageSet, IncompleteRecord, digest, image_sets, models

__all__ = [
    "KEY",
    "Folder",
    "ImageSet",
    "IncompleteRecord",
    "Measurement",
    "digest",
    "image_sets",
    "models",
    "read",
    "write",
]

KEY = ("study", "model", "head", "image_set", "subset", "metric", "method")
SCHEMA = pa.schema(
    [*((name, pa.string()) for name in KEY), ("value", pa.float64()), ("std_error", pa.float64()), ("n", pa.int64())]
)


@dataclass(frozen=True, slots=True, order=True)
class Measurement:
    """A metric of one model at one image set.

    Attributes
    ----------
    study : name of the study that made it
    model, head, image_set : of what
    subset : which part of the set; ``all``, a factor, or ``classes:<set>`` for the classes of another set
    metric : what, as in ``top1``, ``auroc``; accuracies, rates and errors are fractions
    method : how, where a metric can be had in several ways; else empty
    value : the number
    std_error : its standard error over images, in the unit of the value; None where there is none
    n : number of images that the value rests on
    influences : of its images on the value, as in `studies.estimates.Estimate`, where a study asks for them: they pair
        it with another measurement of the same images. No part of the table, nor of what makes two of them equal.
    """

    study: str
    model: str
    head: str
    image_set: str
    subset: str
    metric: str
    method: str
    value: float
    std_error: float | None
    n: int
    influences: tuple[npt.NDArray[np.floating], ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or (self.std_error is not None and not math.isfinite(self.std_error)):
            raise ValueError(f"{self} is undefined: leave it out, and log why.")


def write(results: Folder, study: str, measurements: Iterable[Measurement], identity: Mapping[str, object]) -> int:
    """Commit all measurements of one study, sorted by key; returns how many. Equal measurements make equal bytes."""
    rows = sorted(measurements, key=attrgetter(*KEY))
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    table = pa.table(columns, schema=SCHEMA)
    twice = table.select(list(KEY)).to_pandas().duplicated()
    if twice.any():
        raise ValueError(f"Study '{study}' measured twice: {rows[int(twice.to_numpy().argmax())]}")
    (results / "measurements").commit(f"{study}.parquet", table, identity)
    return len(rows)


def is_current(results: Folder, study: str, inputs: str) -> bool:
    """Whether the study's file is there, was made of these inputs, and lacks no model."""
    folder = results / "measurements"
    identity = folder.identity(f"{study}.parquet") if folder.exists(f"{study}.parquet") else {}
    return identity.get("inputs") == inputs and not identity.get("failed")


def read(results: Folder) -> pd.DataFrame:
    """All measurements of every study, in one tall table."""
    folder = results / "measurements"
    files = folder.files()
    if not files:
        raise IncompleteRecord(
            f"No measurements in {results}. Make them with: python -m studies all --results {results}"
        )
    table: pd.DataFrame = pa.concat_tables([folder.read(file) for file in files]).to_pandas()
    return table


assert [each.name for each in fields(Measurement)] == [*SCHEMA.names, "influences"]  # noqa: S101
