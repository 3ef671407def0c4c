"""What RESULTS says of models and image sets: kept up to date while models are shown images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from engine import predictions
from engine.files import Folder
from engine.image_sets import PreparedSet
from engine.models import ModelSpec
from engine.predictions import PRECISION
from engine.preprocess import Preprocess


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a model turned out to be when it was loaded, or why it could not be."""

    name: str
    error: str = ""
    digest: str = ""
    preprocess: Preprocess | None = None
    width: int = 0


def note_models(results: Folder, pack: Sequence[ModelSpec], loaded: Sequence[Loaded]) -> None:
    """Put the facts of the models that could be loaded into ``models.parquet``."""
    rows = [
        {
            **spec.facts(),
            "digest": found.digest,
            "preprocess": str(found.preprocess),
            "width": found.width,
            "precision": PRECISION,
        }
        for spec, found in zip(pack, loaded, strict=True)
        if not found.error
    ]
    if rows:
        facts = pd.DataFrame(rows)
        if results.exists("models.parquet"):
            stored = predictions.models(results)
            facts = pd.concat([stored[~stored.index.isin(facts["name"])], facts], ignore_index=True)
        predictions.write_models(results, facts)


def refresh_models(results: Folder, specs: Sequence[ModelSpec]) -> None:
    """Bring the grid's facts about models that were shown before up to date, as when a lineage was corrected."""
    if not results.exists("models.parquet"):
        return
    stored = predictions.models(results)
    rows = [spec.facts() for spec in specs if spec.name in stored.index]
    fresh = pd.DataFrame(rows).set_index("name", drop=False)
    measured = [column for column in ("digest", "preprocess", "width", "precision") if column in stored]
    facts = pd.concat([stored[~stored.index.isin(fresh.index)], fresh.join(stored[measured])])
    if not facts.sort_index()[stored.columns.intersection(facts.columns)].equals(stored):
        predictions.write_models(results, facts)


def unreadable(results: Folder) -> list[str]:
    """A sentence for every image set of which some pictures could not be read."""
    sentences = []
    for image_set in predictions.image_sets(results):
        errors = (results / "images").read(f"{image_set.name}.parquet", ["image_id", "error"]).to_pandas().dropna()
        if len(errors):
            first = errors.iloc[0]
            sentences.append(
                f"{len(errors)} of {image_set.n_images} images of '{image_set.name}' could not be read and are left "
                f"out for every model; the first is {first['image_id']} ({first['error']})"
            )
    return sentences


def finish_indices(results: Folder, prepared: Sequence[PreparedSet]) -> None:
    """Join the parts of each set's index that decoding left behind, where all of them are there."""
    for each in prepared:
        name = each.image_set.name
        parts = results / "images" / name
        digests = {shard.file: shard.digest for shard in each.shards}
        if {file: parts.identity(file)["digest"] for file in parts.files()} != digests:
            continue
        table = pa.concat_tables([parts.read(shard.file) for shard in each.shards])
        predictions.write_images(results, each.image_set, table)
        parts.filesystem.delete_dir(parts.path)
