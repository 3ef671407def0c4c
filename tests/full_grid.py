"""A simulated RESULTS of the size of the whole study: the 210 models, 17 image sets, about 400,000 measurements.

Each model has a skill; every number is a smooth function of it with noise, so that nothing is saturated or constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engine.files import Folder
from engine.image_sets import ImageSet
from engine.predictions import write_images, write_models
from studies.measurements import KEY, SCHEMA

CLEAN = "imagenet"
SHIFTS = (
    "imagenet-v2-a", "imagenet-v2-b", "imagenet-v2-c", "imagenet-r", "imagenet-a", "imagenet-sketch", "objectnet",
    "vid-robust", "stylized-imagenet",
)  # fmt: skip
OUT = ("inaturalist", "sun", "places", "textures", "imagenet-o", "ninco")
CONFLICT = "cue-conflict"
FACTORS = (
    "pose", "background", "pattern", "color", "smaller", "shape", "partial_view", "subcategory", "texture", "larger",
)  # fmt: skip
METHODS_OF_OOD = ("mcm", "msp", "max_logit", "energy", "knn", "mahalanobis", "vim", "react", "odin", "gen")
PROMPTS = ("name", "photo", "openai7", "random5-0", "random5-1", "random5-2", "random30-0", "random30-1")
CALIBRATION = ("ece10", "ece15", "ece20", "ece15_equal_mass", "nll", "brier", "mce", "aurc")
DETECTION = ("auroc", "fpr95", "fpr95_out_positive", "aupr_in", "aupr_out")
BINS = 15
CLASSES = tuple(f"class {number}" for number in range(20))
Cell = tuple[str, str, str, str, str, str]


def cells(zero_shot: bool) -> Iterator[Cell]:
    """Study, head, image set, subset, metric and method of every measurement of one model."""
    head = "openai80" if zero_shot else "learned"
    for name, subset in ((CLEAN, "test-half"), *((name, "all") for name in SHIFTS)):
        for metric, method in product(CALIBRATION, ("raw", "scaled")):
            yield "calibration", head, name, subset, metric, method
        for number, method, metric in product(
            range(1, BINS + 1), ("raw", "scaled"), ("bin_accuracy", "bin_confidence")
        ):
            yield "calibration", head, name, f"{subset}/bin-{number:02d}", metric, method
    for name, method, subset in product(OUT, METHODS_OF_OOD, ("all", "cleaned", "id:200")):
        if method != "mcm" or zero_shot:
            yield from (("ood", head, name, subset, metric, method) for metric in DETECTION)
    for name in (CLEAN, *SHIFTS):
        for metric, method in product(("top1", "top5", "mean_class_top1"), ("full", "masked")):
            yield "shift", head, name, "all", metric, method
            yield "shift", head, CLEAN, f"classes:{name}", metric, method
    for factor, metric, method in product(("annotated", *FACTORS), ("top1", "error_ratio"), ("top", "multi")):
        yield "factors", head, CLEAN, factor, metric, method
    yield from (("shape", head, CONFLICT, subset, "shape_bias", "mapped") for subset in ("all", *CLASSES[:16]))
    yield from (("acceptance", head, CLEAN, "all", metric, "tables") for metric in ("top1_gap", "top1_gap_tolerance"))
    for each in (*PROMPTS, "openai80") if zero_shot else ():
        yield from (("prompts", each, CLEAN, "all", metric, "") for metric in ("top1", "ece15", "nll", "brier"))
        yield from (("prompts", each, name, "all", metric, "mcm") for name in OUT for metric in DETECTION)
        yield from (("prompts", each, CLEAN, factor, "top1", "top") for factor in FACTORS)


def simulate(folder: Path, *, seed: int = 0) -> Path:
    """Write RESULTS of the whole grid, and return the folder."""
    rng, results = np.random.default_rng(seed), Folder.of(folder)
    grid = pd.read_csv(Path(__file__).parents[1] / "engine" / "models.csv").rename_axis(None)
    write_models(results, grid)
    for role, names in (("clean", (CLEAN,)), ("shift", SHIFTS), ("out", OUT), ("conflict", (CONFLICT,))):
        for name in names:
            labels = () if role == "out" else CLASSES
            image_set = ImageSet(name, role, CLEAN, labels, tuple((i,) for i in range(len(labels))), f"d-{name}", 400)  # type: ignore[arg-type]
            ids = [f"{name}-{number:03d}" for number in range(400)]
            write_images(results, image_set, pa.table({"image_id": ids, "error": pa.array([None] * 400, pa.string())}))
    rows = pd.concat([_of_model(model, rng) for model in grid.itertuples()], ignore_index=True)
    target = folder / "measurements"
    target.mkdir(parents=True)
    for study, each in rows.groupby("study"):
        pq.write_table(pa.Table.from_pandas(each, schema=SCHEMA, preserve_index=False), target / f"{study}.parquet")
    return folder


def _of_model(model: tuple[object, ...], rng: np.random.Generator) -> pd.DataFrame:
    zero_shot = model.family == "zero_shot_clip"  # type: ignore[attr-defined]
    frame = pd.DataFrame(cells(zero_shot), columns=[key for key in KEY if key != "model"]).drop_duplicates()
    skill = rng.uniform(0.45, 0.85)
    size = 0.02 * rng.normal(size=len(frame))
    level = np.where(frame["metric"].str.contains("ece|mce|gap|brier|aurc"), 0.12 - 0.1 * skill, skill)
    level = np.where(frame["metric"] == "bin_confidence", _middle(frame["subset"]), level)
    level = np.where(frame["metric"] == "bin_accuracy", 0.06 + 0.9 * _middle(frame["subset"]), level)
    gap = frame["metric"].str.startswith("top1_gap")
    value = np.where(
        gap, np.where(frame["metric"] == "top1_gap", 0.0005 * rng.normal(size=len(frame)), 0.0012), level + size
    )
    shared = frame["study"].isin(["shift"]) & (frame["image_set"] == CLEAN) & (frame["metric"] == "top1")
    value = np.where(shared, skill, value)
    return frame.assign(model=model.name, value=value, std_error=0.004, n=400)  # type: ignore[attr-defined]


def _middle(subset: pd.Series) -> pd.Series:
    return (subset.str.extract(r"bin-(\d+)$")[0].astype(float) - 0.5) / BINS
