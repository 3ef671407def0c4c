"""A simulated RESULTS of the size of the whole study: the 210 models, 17 image sets, about 1,300,000 measurements.

The rows are those that the studies write: of a zero-shot model, every measurement under ten prompt sets and nine paired
differences. Each model has a skill; every number is a smooth function of it with noise, so that nothing is saturated.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
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
ANY_HEAD = ("msp", "max_logit", "energy", "entropy", "gen", "kl_matching", "nnguide", "vim")
LEARNED = ("ash", "knn", "mahalanobis", "react", "relative_mahalanobis", "she")
PROMPTS = (
    "name", "photo", "openai7", "random5-0", "random5-1", "random5-2", "random30-0", "random30-1", "random30-2",
)  # fmt: skip
CALIBRATION = (
    "aurc", "brier", "brier_reliability", "brier_resolution", "brier_top_label", "brier_uncertainty",
    "brier_within_bins", "ece15", "ece15_equal_mass", "ece15_squared_debiased", "mce15", "nll", "smooth_ece",
)  # fmt: skip
DETECTION = ("auroc", "fpr95", "fpr95_out", "aupr_in", "aupr_out")
BINS = 15
CLASSES = tuple(f"class {number}" for number in range(20))
Cell = tuple[str, str, str, str, str]


def cells(scores: tuple[str, ...]) -> Iterator[Cell]:
    """Study, image set, subset, metric and method of every measurement that is taken under every head."""
    for name, subset in ((CLEAN, "test-half"), *((name, "all") for name in SHIFTS)):
        for metric, method in product(CALIBRATION, ("raw", "scaled")):
            yield "calibration", name, subset, metric, method
    yield "calibration", CLEAN, "fit-half", "temperature", ""
    for name, method, subset, metric in product(OUT, scores, ("all", "cleaned"), DETECTION):
        if subset == "all" or name != "ninco":
            yield "ood", name, subset, metric, method
    for metric, name in product(("top1", "top5"), (CLEAN, *SHIFTS)):
        yield "shift", name, "all", metric, "full"
        if name != CLEAN:
            yield "shift", name, "all", metric, "masked"
            yield "shift", CLEAN, f"classes:{name}", metric, "masked"
    for factor, method in product(("annotated", *FACTORS), ("top", "multi")):
        for metric in ("top1", "error_ratio", "ece15", "ece15_squared_debiased"):
            yield "factors", CLEAN, factor, metric, method
        for metric in ("top1", "error_ratio"):
            yield "factors", CLEAN, factor, metric, f"{method}+prototypes"
    yield from (("shape", CONFLICT, subset, "shape_bias", "mapped") for subset in ("all", *CLASSES[:16]))
    yield "shape", CONFLICT, "all", "cue_accuracy", "mapped"


def once() -> Iterator[Cell]:
    """The measurements that are taken under the default head alone."""
    for name, subset in ((CLEAN, "test-half"), *((name, "all") for name in SHIFTS)):
        where = (f"{subset}/bin-{number:02d}" for number in range(1, BINS + 1))
        for each, method, metric in product(where, ("raw", "scaled"), ("bin_accuracy", "bin_confidence")):
            yield "calibration", name, each, metric, method
    yield from (("acceptance", CLEAN, "all", metric, "tables") for metric in ("top1_gap", "top1_gap_tolerance"))


@cache
def rows(*, zero_shot: bool) -> pd.DataFrame:
    """The keys of a model's measurements, but for the names of models."""
    scores = (*ANY_HEAD, "mcm") if zero_shot else (*ANY_HEAD, *LEARNED)
    columns = [key for key in KEY if key not in ("model", "head")]
    every, own = (pd.DataFrame(made, columns=columns) for made in (cells(scores), once()))
    own = pd.concat([every, own]).assign(head="openai80" if zero_shot else "learned")
    if not zero_shot:
        return own
    method = every["study"] + (":" + every["method"]).where(every["method"] != "", "")
    asked = every.assign(study="prompts", method=method)
    paired = asked.assign(metric=every["metric"] + "_difference")
    prompted = [each.assign(head=head) for head in PROMPTS for each in (asked, paired)]
    return pd.concat([own, asked.assign(head="openai80"), *prompted], ignore_index=True)


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
    tall = pd.concat([_of_model(model, rng) for model in grid.itertuples()] + [_consistency(grid, rng)])
    target = folder / "measurements"
    target.mkdir(parents=True)
    for study, each in tall.groupby("study"):
        pq.write_table(pa.Table.from_pandas(each, schema=SCHEMA, preserve_index=False), target / f"{study}.parquet")
    return folder


def _of_model(model: tuple[object, ...], rng: np.random.Generator) -> pd.DataFrame:
    frame = rows(zero_shot=model.family == "zero_shot_clip")  # type: ignore[attr-defined]
    skill = rng.uniform(0.45, 0.85)
    noise = 0.02 * rng.normal(size=len(frame))
    metric, middle = frame["metric"], (frame["subset"].str.extract(r"bin-(\d+)$")[0].astype(float) - 0.5) / BINS
    level = np.where(metric.str.contains("ece|mce|brier|aurc"), 0.12 - 0.1 * skill, skill)
    level = np.where(metric == "bin_confidence", middle, level)
    level = np.where(metric == "bin_accuracy", 0.06 + 0.9 * middle, level)
    value = np.where(metric.str.endswith("_difference"), noise, level + noise)
    value = np.where(metric == "top1_gap", noise / 40, np.where(metric == "top1_gap_tolerance", 0.0012, value))
    shared = (frame["study"] == "shift") & (frame["image_set"] == CLEAN) & (metric == "top1")
    return frame.assign(model=model.name, value=np.where(shared, skill, value), std_error=0.004, n=400)  # type: ignore[attr-defined]


def _consistency(grid: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    heads = dict(zip(grid["name"], np.where(grid["family"] == "zero_shot_clip", "openai80", "learned"), strict=True))
    pairs = [
        (model, head, f"mapped:{other}") for (model, head), other in product(heads.items(), heads) if model < other
    ]
    made = pd.DataFrame(pairs, columns=["model", "head", "method"])
    made = made.assign(study="shape", image_set=CONFLICT, subset="all", metric="error_consistency")
    return made.assign(value=rng.uniform(0.2, 0.6, len(made)), std_error=0.01, n=400)
