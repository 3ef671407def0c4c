"""What the questions share: which models belong together, which pairs are to be compared, and the frames they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from analysis import cautions
from analysis.findings import Expected, Finding, LeftOut, Unit
from analysis.fits import Estimate, TooLittle
from analysis.results import NotMeasured, Pick, Results, pick

ZERO_SHOT = "zero_shot_clip"
BASELINE = "standard"
TUNED = "clip_ft"
MORE_DATA = "more_data"
RULE = ("mcm", "msp")
"""The score of the paper: MCM where the head is zero-shot, the maximum softmax otherwise."""
PROMPTED = {
    "top1": ("all", "shift:full"),
    "auroc": ("all", "ood:mcm"),
    "ece15": ("test-half", "calibration:raw"),
    "mean_factor_top1": ("annotated", "factors:top"),
}
"""Subset and method of what is asked of the prompt sets."""

Answer = Finding | LeftOut


def attempt(
    subject: str,
    fit: Callable[[], Estimate],
    *,
    unit: Unit,
    expected: Expected = "",
    margin: float | None = None,
    part: str = "",
) -> Answer:
    """The finding that the fit gives, or why there is none: something was not measured, or too few models have it."""
    try:
        made = cautions.of_lineages(fit())
        return Finding.of(subject, made, unit=unit, expected=expected, margin=margin, part=part)
    except (NotMeasured, TooLittle) as reason:
        return LeftOut("", subject, str(reason))


def zero_shot(frame: pd.DataFrame) -> pd.DataFrame:
    """The zero-shot CLIP models of a frame."""
    return frame[frame["family"] == ZERO_SHOT]


def sources(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each training source with its models, sorted by name."""
    for source, members in frame.groupby("train_source"):
        yield str(source), members


def source_family(frame: pd.DataFrame) -> pd.Series:
    """Where the training pictures come from, sizes aside: LAION of LAION-2B, where that tells any two models apart."""
    family = frame["train_source"].str.split("-").str[0]
    return family if len(set(family)) > 1 else frame["train_source"]


def largest_source(results: Results) -> str:
    """The family of training sources with most zero-shot models, the first by name where several have."""
    families = source_family(zero_shot(results.distinct))
    if families.nunique() < 2:
        raise TooLittle("All zero-shot models come from one training source.")
    return str(families.value_counts().sort_index().idxmax())


def with_log(frame: pd.DataFrame, fact: str) -> pd.DataFrame:
    """The models that have a fact above 0, with its logarithm to base 10 as ``log_<fact>``."""
    if fact not in frame.columns:
        raise TooLittle(f"The grid does not say '{fact}' of its models.")
    numbers = pd.to_numeric(frame[fact], errors="coerce")
    there = frame[numbers > 0]
    return there.assign(**{f"log_{fact}": np.log10(numbers[numbers > 0])})


def resolutions(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Parents fine-tuned at several image sizes by one route: ``difference``, the largest minus the smallest."""
    tuned = frame[frame["parent"] != ""]
    if "image_size" not in tuned.columns:
        raise TooLittle("The grid does not say 'image_size' of its models.")
    rows = []
    for _, same in tuned.groupby(["parent", "finetune_route"]):
        ends = [same[same["image_size"] == size] for size in (same["image_size"].max(), same["image_size"].min())]
        if len(set(same["image_size"])) > 1:
            difference = ends[0][column].mean() - ends[1][column].mean()
            rows.append({"difference": difference, "lineage": same["lineage"].iloc[0]})
    if not rows:
        raise TooLittle("No zero-shot model was fine-tuned at two image sizes by one route.")
    return pd.DataFrame(rows)


def ood_frame(results: Results, out_set: str, metric: str = "auroc") -> pd.DataFrame:
    """Clean top-1 (``clean``) and OOD detection by the paper's rule (``ood``) of each model, for one out set."""
    clean = next(each.clean for each in results.sets("out") if each.name == out_set)
    return results.frame(clean=clean_top1(clean), ood=pick(metric, out_set, study="ood", method=RULE))


def first_clean(results: Results) -> str:
    """Name of the clean set; the first by name where there are several."""
    if not results.sets("clean"):
        raise NotMeasured("No clean set in these results.")
    return results.sets("clean")[0].name


def clean_top1(clean: str) -> Pick:
    """The pick of top-1 on a clean set, over all classes."""
    return pick("top1", clean, study="shift", method=("full", "masked", ""))


def shift_frame(results: Results, name: str) -> pd.DataFrame:
    """Top-1 on a shift set (``shift``) and on the clean images of the same classes (``clean``) of each model."""
    clean = next(each.clean for each in results.sets("shift") if each.name == name)
    same_classes = pick("top1", clean, study="shift", subset=f"classes:{name}", method=("masked", "full"))
    return results.frame(clean=same_classes, shift=pick("top1", name, study="shift", method=("masked", "full")))


def clean_frame(results: Results, name: str) -> pd.DataFrame:
    """Clean top-1 (``top1``) of each model."""
    return results.frame(top1=clean_top1(name))


def factor_names(results: Results, clean: str) -> list[str]:
    """The visual factors that were measured on a clean set, sorted."""
    rows = results.measurements
    rows = rows[(rows["study"] == "factors") & (rows["image_set"] == clean) & (rows["metric"] == "top1")]
    return sorted(set(rows["subset"]) - {"all", "annotated"})


def factor_frame(results: Results, clean: str, factor: str) -> pd.DataFrame:
    """Top-1 on the images of one factor (``factor``) and on all annotated images (``overall``) of each model."""
    return results.frame(
        overall=pick("top1", clean, study="factors", subset="annotated", method=("top", "")),
        factor=pick("top1", clean, study="factors", subset=factor, method=("top", "")),
    )


def calibration_frame(results: Results, name: str, metric: str = "ece15") -> pd.DataFrame:
    """A calibration metric before (``raw``) and after temperature scaling (``scaled``), and the ``change``."""
    subset = "test-half" if name in {each.name for each in results.sets("clean")} else "all"
    frame = results.frame(
        raw=pick(metric, name, study="calibration", subset=subset, method="raw"),
        scaled=pick(metric, name, study="calibration", subset=subset, method="scaled"),
    )
    return frame.assign(change=frame["scaled"] - frame["raw"])


def shape_frame(results: Results, name: str) -> pd.DataFrame:
    """Shape bias of each model, pooled over the classes of a conflict set."""
    return results.frame(shape_bias=pick("shape_bias", name, study="shape", method=("mapped", "")))


def children(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Fine-tuned children whose parent is in the frame, with ``difference``: child minus parent in that column."""
    there = frame[frame["parent"].isin(frame.index)]
    if there.empty:
        raise TooLittle("No fine-tuned model has its zero-shot parent among the models.")
    parents = frame.loc[there["parent"]]
    return there.assign(difference=there[column].to_numpy() - parents[column].to_numpy())


def routes(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Parents that were fine-tuned by both routes, with ``difference``: intermediate minus direct children."""
    tuned = frame[frame["parent"] != ""]
    means = tuned.pivot_table(column, "parent", "finetune_route")
    if not {"direct", "intermediate"} <= set(means.columns):
        raise TooLittle("No two fine-tuning routes to compare.")
    both = means[["direct", "intermediate"]].dropna()
    if both.empty:
        raise TooLittle("No zero-shot model was fine-tuned by both routes.")
    lineage = tuned.groupby("parent")["lineage"].first()
    return pd.DataFrame({"difference": both["intermediate"] - both["direct"], "lineage": lineage[both.index]})


def prompt_heads(results: Results) -> tuple[str, list[str]]:
    """The prompt set that is the default of most zero-shot models, and the others that were measured, sorted."""
    rows = results.measurements[results.measurements["study"] == "prompts"]
    if rows.empty:
        raise NotMeasured("No measurement of the study 'prompts'. Make it with: python -m studies prompts --results R")
    defaults = results.default_heads[results.default_heads.index.isin(rows["model"].unique())]
    if defaults.empty:
        raise NotMeasured("No zero-shot model has a default prompt set: other studies must measure it too.")
    default = str(defaults.mode().iloc[0])
    return default, sorted(set(rows["head"].unique()) - {default})


def prompt_frame(results: Results, head: str, default: str, metric: str, names: tuple[str, ...]) -> pd.DataFrame:
    """What a prompt set changes against the default one (``difference``), the mean over some image sets, per model."""
    if not names:
        raise NotMeasured(f"No image set to measure '{metric}' on.")
    subset, method = PROMPTED[metric]
    frames = []
    for name in names:
        each = results.frame(
            first=pick(metric, name, study="prompts", subset=subset, method=method, head=head),
            second=pick(metric, name, study="prompts", subset=subset, method=method, head=default),
        )
        frames.append(each["first"] - each["second"])
    difference = pd.concat(frames, axis=1).dropna().mean(axis=1)
    return results.models.loc[difference.index].assign(difference=difference)
