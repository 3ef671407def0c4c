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
from engine.preprocess import Preprocess
from engine.weights import duplicates

LEFT_OUT = ("image_size", "params_m")  # facts that the library knows where the grid leaves them out


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a model turned out to be when it was loaded, or why it could not be."""

    name: str
    error: str = ""
    digest: str = ""
    weights: str = ""
    preprocess: Preprocess | None = None
    width: int = 0
    params_m: float | None = None
    precision: str = ""


def note_models(results: Folder, pack: Sequence[ModelSpec], loaded: Sequence[Loaded]) -> None:
    """Put the facts of the models that could be loaded into ``models.parquet``."""
    rows = [
        {
            **_facts(spec, found),
            "digest": found.digest,
            "weights": found.weights,
            "duplicate_of": "",
            "preprocess": str(found.preprocess),
            "width": found.width,
            "precision": found.precision,
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


def _facts(spec: ModelSpec, found: Loaded) -> dict[str, object]:
    """The grid's facts, and those that it leaves out as the library has them."""
    size = float(found.preprocess.crop[0]) if found.preprocess else None
    known = {"image_size": size, "params_m": found.params_m}
    return {name: known.get(name) if value is None else value for name, value in spec.facts().items()}


def refresh_models(results: Folder, specs: Sequence[ModelSpec]) -> tuple[tuple[str, str], ...]:
    """Bring the grid's facts about models that were shown before up to date, as when a lineage was corrected.

    Returns the models whose weights another one has, with the first of the grid that has them; they are noted as
    ``duplicate_of``.

    Parameters
    ----------
    specs : the whole grid, in its order
    """
    if not results.exists("models.parquet"):
        return ()
    stored = predictions.models(results)
    rows = [spec.facts() for spec in specs if spec.name in stored.index]
    if not rows:  # imported models alone
        return ()
    fresh = pd.DataFrame(rows).set_index("name", drop=False)
    for column in LEFT_OUT:
        fresh[column] = fresh[column].astype(float).fillna(stored[column].astype(float))
    measured = [column for column in ("digest", "weights", "preprocess", "width", "precision") if column in stored]
    facts = pd.concat([fresh.join(stored[measured]), stored[~stored.index.isin(fresh.index)]])
    known = facts["weights"].fillna("") if "weights" in facts else pd.Series("", facts.index)
    same = duplicates({str(name): str(value) for name, value in known.items()})
    facts["duplicate_of"] = [same.get(str(name), "") for name in facts.index]
    if set(facts) != set(stored) or not facts.sort_index()[stored.columns].equals(stored):
        predictions.write_models(results, facts.reset_index(drop=True))
    return tuple(same.items())


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
    waiting = (results / "images").folders()
    for each in prepared:
        name = each.image_set.name
        parts = results / "images" / name
        if name not in waiting:
            continue
        if (results / "images").exists(f"{name}.parquet"):  # killed while it cleared them away
            parts.clear()
            continue
        digests = {shard.file: shard.digest for shard in each.shards}
        if {file: parts.identity(file)["digest"] for file in parts.files()} != digests:
            continue
        # A column without a value in some shard has no type there.
        table = pa.concat_tables([parts.read(shard.file) for shard in each.shards], promote_options="default")
        predictions.write_images(results, each.image_set, table)
        parts.clear()
