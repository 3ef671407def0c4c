"""A simulated folder RESULTS, with known answers, as the studies would write it.

Out-of-distribution detection of the zero-shot models is a line of clean accuracy whose slope depends on the training
source (`SLOPES`); every other effect is planted as a constant (`PLANTED`). Models of one lineage share part of their
error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit, logit

from engine.files import Folder
from engine.image_sets import ImageSet
from engine.predictions import write_images, write_models
from studies.measurements import Measurement, write

SLOPES = {"SRC-small": 0.9, "SRC-medium": 0.6, "SRC-large": 0.3}
PLANTED = {
    "route": 0.06,  # AUROC gained by the intermediate route
    "shape_bias": 0.25,  # zero-shot above the others
    "finetuned_shape_bias": -0.20,  # child minus parent
    "factor": {"color": 0.05, "pose": -0.05, "pattern": 0.0},  # logit above the standard line is ten times this
    "shift": 0.8,  # logit above the standard line
    "scaled": 0.02,
    "raw": 0.10,
    "too_sure": 0.05,  # confidence minus accuracy in a bin, before scaling
    "prompts": {"name": -0.06, "photo": -0.03},
}
CLEAN, SHIFTS, OUT, CONFLICT = "pets", ("pets-sketch", "pets-film"), ("letters", "far-away"), "pets-conflict"
CLASSES = ("cat", "dog", "owl")
HEADS = ("name", "photo", "openai80")


@dataclass(frozen=True)
class Model:
    """One simulated model: its facts, clean accuracy, and the error it shares with its lineage."""

    facts: dict[str, object]
    clean: float
    error: float

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.facts["name"])


def _facts(name: str, group: str, source: str, lineage: str, **more: object) -> dict[str, object]:
    family = {"zero_shot_clip": "zero_shot_clip", "clip_ft": "finetuned_clip"}.get(group, "classifier")
    return {
        "name": name, "family": family, "group": group, "train_source": source, "lineage": lineage, "parent": "",
        "finetune_route": "", "library": "timm" if family == "classifier" else "open_clip", "arch": name.split(".")[0],
        "params_m": 4.2, "image_size": 32, **more,
    }  # fmt: skip


def models(*, lineages: int, noise: float, rng: np.random.Generator) -> list[Model]:
    """Two zero-shot models per lineage and source, two children of every second, and as many classifiers."""
    made = []
    shared = {}
    for source in SLOPES:
        for number in range(lineages):
            lineage = f"{source}-{number}"
            shared[lineage] = noise * rng.normal()
            for size in ("s", "l"):
                name = f"vit{number}{size}.{source}"
                made.append(
                    Model(_facts(name, "zero_shot_clip", source, lineage), rng.uniform(0.45, 0.85), shared[lineage])
                )
    for parent in list(made)[::2]:
        for route in ("direct", "intermediate"):
            facts = {"parent": parent.name, "finetune_route": route}
            name, lineage = f"{parent.name}_ft_{route}", str(parent.facts["lineage"])
            facts = _facts(name, "clip_ft", str(parent.facts["train_source"]), lineage, **facts)
            made.append(Model(facts, rng.uniform(0.7, 0.9), shared[lineage]))
    for group, source in (("standard", "Pets-1K"), ("more_data", "Pets-21K")):
        for number in range(lineages):
            for size in ("s", "l"):
                name, lineage = f"net{number}{size}.{group}", f"{group}-{number}"
                made.append(Model(_facts(name, group, source, lineage), rng.uniform(0.4, 0.9), noise * rng.normal()))
    return made


def auroc(model: Model, out_set: str, rng: np.random.Generator, noise: float) -> float:
    """The planted line of the model's source, or of the classifiers, with the error of its lineage."""
    source = str(model.facts["train_source"])
    zero_shot = model.facts["group"] == "zero_shot_clip"
    level = 0.6 + 0.15 * OUT.index(out_set)
    value = level + (SLOPES[source] if zero_shot else 0.1) * (model.clean - 0.65)
    value += PLANTED["route"] if model.facts["finetune_route"] == "intermediate" else 0.0  # type: ignore[operator]
    return float(value + model.error + noise * rng.normal() / 3)


def simulate(folder: Path, *, lineages: int = 4, noise: float = 0.01, seed: int = 0) -> Path:
    """Write RESULTS for ``12 * lineages`` models or so, and return the folder."""
    rng = np.random.default_rng(seed)
    results, zoo = Folder.of(folder), models(lineages=lineages, noise=noise, rng=rng)
    write_models(results, pd.DataFrame([model.facts for model in zoo]))
    for role, names in (("clean", (CLEAN,)), ("shift", SHIFTS), ("out", OUT), ("conflict", (CONFLICT,))):
        for name in names:
            labels = () if role == "out" else CLASSES
            image_set = ImageSet(name, role, CLEAN, labels, tuple((i,) for i in range(len(labels))), f"d-{name}", 40)  # type: ignore[arg-type]
            errors = ["truncated file" if number == 7 and name == SHIFTS[0] else None for number in range(40)]
            ids = [f"{name}-{number:02d}" for number in range(40)]
            write_images(results, image_set, pa.table({"image_id": ids, "error": pa.array(errors, pa.string())}))
    ood = {model.name: _ood(model, rng, noise) for model in zoo}
    write(results, "ood", [each for rows in ood.values() for each in rows], {"commit": "0123abc"})
    studies = {"shift": _shift, "factors": _factors, "shape": _shape, "calibration": _calibration}
    for study, measure in studies.items():
        rows = [row for model in zoo for row in measure(model, rng, noise)]
        write(results, study, rows, {"commit": "0123abc"})
    clip = [model for model in zoo if model.facts["group"] == "zero_shot_clip"]
    write(results, "prompts", [row for model in clip for row in _prompts(model, rng, noise, ood[model.name])], {})
    write(results, "acceptance", [row for model in zoo for row in _acceptance(model, rng)], {})
    return folder


@dataclass(frozen=True)
class Faults:
    """Names of a model that is not what was published, of one that is there twice, and of its copy."""

    failing: str
    original: str
    copy: str


def with_faults(folder: Path, *, gap: float = 0.0213) -> Faults:
    """Add faults to simulated RESULTS: the first zero-shot model differs by `gap`, the second is there twice."""
    results = Folder.of(folder)
    facts = results.read("models.parquet").to_pandas()
    failing, original = facts.loc[facts["family"] == "zero_shot_clip", "name"].iloc[:2]
    faults = Faults(failing, original, f"again-{original}")
    copied = facts[facts["name"] == original].assign(name=faults.copy, lineage="again", duplicate_of=original)
    write_models(results, pd.concat([facts, copied]))
    for study in (file.removesuffix(".parquet") for file in (results / "measurements").files()):
        rows = [Measurement(**each) for each in (results / "measurements").read(f"{study}.parquet").to_pylist()]
        rows += [replace(each, model=faults.copy) for each in rows if each.model == original]
        off = [each.model == failing and each.metric == "top1_gap" for each in rows]
        write(
            results,
            study,
            (replace(each, value=gap) if is_off else each for each, is_off in zip(rows, off, strict=True)),
            {},
        )
    return faults


def head(model: Model) -> str:
    """The model's default head."""
    return "openai80" if model.facts["family"] == "zero_shot_clip" else "learned"


def row(
    study: str, model: Model, where: tuple[str, str], metric: str, method: str, value: float, **more: str
) -> Measurement:
    """One measurement, with a standard error."""
    return Measurement(study, model.name, more.get("head", head(model)), *where, metric, method, float(value), 0.01, 40)


def _shift(model: Model, rng: np.random.Generator, noise: float) -> list[Measurement]:
    rows = [row("shift", model, (CLEAN, "all"), "top1", "full", model.clean)]
    zero_shot = model.facts["group"] == "zero_shot_clip"
    for name in SHIFTS:
        shifted = expit(logit(model.clean) - 0.7 + (PLANTED["shift"] if zero_shot else 0.0) + noise * rng.normal())  # type: ignore[operator]
        rows.append(row("shift", model, (CLEAN, f"classes:{name}"), "top1", "masked", model.clean))
        rows += [row("shift", model, (name, "all"), "top1", method, shifted) for method in ("masked", "full")]
    return rows


def _ood(model: Model, rng: np.random.Generator, noise: float) -> list[Measurement]:
    methods = ("mcm", "msp") if model.facts["group"] == "zero_shot_clip" else ("msp",)
    values = {name: auroc(model, name, rng, noise) for name in OUT}
    return [
        row("ood", model, (name, "all"), "auroc", method, value - 0.1 * (len(methods) > 1 and method == "msp"))
        for name, value in values.items()
        for method in methods
    ]


def _factors(model: Model, rng: np.random.Generator, noise: float) -> list[Measurement]:
    rows = [row("factors", model, (CLEAN, "annotated"), "top1", "top", model.clean)]
    zero_shot = model.facts["group"] == "zero_shot_clip"
    for name, gain in PLANTED["factor"].items():  # type: ignore[attr-defined]
        value = expit(logit(model.clean) - 0.3 + 10 * gain * zero_shot + noise * rng.normal())
        rows.append(row("factors", model, (CLEAN, name), "top1", "top", value))
        rows.append(row("factors", model, (CLEAN, name), "error_ratio", "top", (1 - value) / (1 - model.clean)))
    return rows


def _shape(model: Model, rng: np.random.Generator, noise: float) -> list[Measurement]:
    zero_shot = model.facts["group"] == "zero_shot_clip"
    tuned = PLANTED["shape_bias"] + PLANTED["finetuned_shape_bias"]  # type: ignore[operator]
    value = 0.3 + (PLANTED["shape_bias"] if zero_shot else tuned if model.facts["parent"] else 0.0)
    return [
        row("shape", model, (CONFLICT, "all"), "shape_bias", "mapped", value + model.error + noise * rng.normal() / 3)
    ]


def _calibration(model: Model, rng: np.random.Generator, noise: float) -> list[Measurement]:
    zero_shot = model.facts["group"] == "zero_shot_clip"
    rows = []
    for name, subset in ((CLEAN, "test-half"), *((name, "all") for name in SHIFTS)):
        raw = 0.05 + PLANTED["raw"] * zero_shot + abs(noise * rng.normal())  # type: ignore[operator]
        rows.append(row("calibration", model, (name, subset), "ece15", "raw", raw))
        scaled = PLANTED["scaled"] + 0.03 * (not zero_shot) + abs(noise * rng.normal()) / 3  # type: ignore[operator]
        rows.append(row("calibration", model, (name, subset), "ece15", "scaled", scaled))
    return rows + _bins(model)


def _bins(model: Model) -> list[Measurement]:
    """Reliability of the upper half of the bins: too sure by `PLANTED` before scaling, and just right after it."""
    rows = []
    for number, (method, gap) in product(range(8, 16), (("raw", PLANTED["too_sure"]), ("scaled", 0.0))):
        sure, where = (number - 0.5) / 15, (CLEAN, f"test-half/bin-{number:02d}")
        rows.append(row("calibration", model, where, "bin_confidence", method, sure))
        rows.append(row("calibration", model, where, "bin_accuracy", method, sure - gap))  # type: ignore[operator]
    return rows


def _prompts(model: Model, rng: np.random.Generator, noise: float, ood: list[Measurement]) -> list[Measurement]:
    separations = [replace(each, study="prompts", method="ood:mcm") for each in ood if each.method == "mcm"]
    rows = list(separations)
    for name in HEADS:
        change = PLANTED["prompts"].get(name, 0.0) + noise * rng.normal() / 3 * (name != "openai80")  # type: ignore[attr-defined]
        rows.append(row("prompts", model, (CLEAN, "all"), "top1", "shift:full", model.clean + change, head=name))
        rows.append(row("prompts", model, (CLEAN, "test-half"), "ece15", "calibration:raw", 0.15 + change, head=name))
        if name != head(model):
            rows += [replace(each, head=name, value=each.value - change) for each in separations]
    return rows


def _acceptance(model: Model, rng: np.random.Generator) -> list[Measurement]:
    gap = row(
        "acceptance", model, (CLEAN, "all"), "top1_gap", "a paper", float(np.clip(0.0004 * rng.normal(), -0.001, 0.001))
    )
    return [gap, replace(gap, metric="top1_gap_tolerance", value=0.003, std_error=None)]
