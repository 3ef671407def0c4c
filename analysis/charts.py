"""The figures of the report, as Vega-Lite: what each shows, and how. Every point is a model.

A figure is a function of `Results` in `FIGURES`. Colours are Okabe and Ito's, and each series has its own shape, for
print. Whiskers on points are 95 % intervals over images; bands around lines are 95 % over lineages. A click on an
entry of the legend keeps that series alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import altair as alt
import pandas as pd

from analysis import evidence, lines, points
from analysis.acceptance import checks
from analysis.display import prompts as pretty_prompts
from analysis.display import sentence_case, words
from analysis.evidence import BASELINE, ZERO_SHOT
from analysis.fits import TooLittle
from analysis.marks import Series, panels, strips
from analysis.reliability import curves
from analysis.results import NotMeasured, Results, pick


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the report: file name, title, the questions it belongs to, how to read it, and how to draw it.

    ``of_points`` is false where models are lines, which cannot be hollow.
    """

    name: str
    title: str
    questions: tuple[str, ...]
    reading: str
    draw: Callable[[Results], alt.TopLevelMixin]
    of_points: bool = True


def id_and_ood(results: Results) -> alt.TopLevelMixin:
    """Clean accuracy against AUROC, a panel per out set; lines by training source for the zero-shot models."""
    parts = []
    for name in _measured(results, "out", evidence.ood_frame):
        frame = points.by_source(evidence.ood_frame(results, name))
        parts += [points.points(frame, "clean", "ood", name), points.bands(frame, "clean", "ood", name)]
    data = points.without_wide_bands(pd.concat(parts, ignore_index=True))
    return panels(data, ("Top-1 on the clean set", "AUROC"), Series.of(results))


def shift_and_clean(results: Results) -> alt.TopLevelMixin:
    """Clean accuracy against accuracy on the shift set, a panel per set, with the standard models' line."""
    parts = []
    for name in _measured(results, "shift", evidence.shift_frame):
        frame = points.by_group(evidence.shift_frame(results, name))
        parts += [points.points(frame, "clean", "shift", name), points.baseline(frame, "clean", "shift", name)]
    axes = ("Clean top-1, same classes", "Top-1 on the shift set")
    return panels(pd.concat(parts), axes, Series.groups(results))


def calibration(results: Results) -> alt.TopLevelMixin:
    """Clean accuracy against ECE, before and after temperature scaling."""
    clean = evidence.first_clean(results)
    frame = points.by_source(evidence.calibration_frame(results, clean))
    top1 = results.picked(evidence.clean_top1(clean))
    frame = frame.join(top1["value"].rename("clean"), how="inner")
    titles = {"raw": "Before temperature scaling", "scaled": "After temperature scaling"}
    parts = [points.points(frame, "clean", column, title) for column, title in titles.items()]
    return panels(pd.concat(parts), ("Top-1 on the clean set", "ECE"), Series.of(results))


def factors(results: Results) -> alt.TopLevelMixin:
    """Distance from the standard models' line by visual factor and group."""
    rows = []
    clean = evidence.first_clean(results)
    for factor in evidence.factor_names(results, clean):
        frame = points.by_group(evidence.factor_frame(results, clean, factor))
        try:
            above = lines.residuals(frame, "overall", "factor", baseline=frame["group"] == BASELINE)
        except TooLittle:
            continue
        is_zero_shot = frame.loc[above.index, "family"] == ZERO_SHOT
        rows.append(
            points.placed(frame.loc[above.index]).assign(x=above.round(5), row=words(factor), zero_shot=is_zero_shot)
        )
    if not rows:
        raise NotMeasured("No visual factor with a line of standard models.")
    rows.sort(key=lambda each: -float(each.loc[each["zero_shot"], "x"].mean()))
    data = pd.concat(rows).drop(columns="zero_shot")
    return strips(data, "Accuracy above the standard models' line, in points", Series.groups(results), zero=True)


def shape_bias(results: Results) -> alt.TopLevelMixin:
    """Shape bias of each model by group."""
    rows = []
    for conflict in results.sets("conflict"):
        frame = points.by_group(evidence.shape_frame(results, conflict.name))
        rows.append(points.placed(frame).assign(x=frame["shape_bias"].round(5), row=conflict.name))
    if not rows:
        raise NotMeasured("No conflict set.")
    return strips(pd.concat(rows), "Share of decisions made by shape", Series.groups(results), zero=False, step=26)


def prompts(results: Results) -> alt.TopLevelMixin:
    """What each prompt set changes against the default one, model by model."""
    default, heads = evidence.prompt_heads(results)
    names = {role: tuple(each.name for each in results.sets(role)) for role in ("clean", "out")}
    rows = []
    for metric, role in (("top1", "clean"), ("auroc", "out"), ("ece15", "clean")):
        for head in heads:
            try:
                frame = points.by_source(evidence.prompt_frame(results, head, default, metric, names[role]))
            except NotMeasured:
                continue
            row = f"{sentence_case(words(metric))}: {pretty_prompts(head)}"
            rows.append(points.placed(frame).assign(x=frame["difference"].round(5), row=row))
    if not rows:
        raise NotMeasured("No prompt set beside the default one.")
    title = f"Change against {pretty_prompts(default)}, in points"
    return strips(pd.concat(rows), title, Series.of(results, others=False), zero=True, step=5)


def acceptance(results: Results) -> alt.TopLevelMixin:
    """How far measured top-1 lies from the published one, by image set."""
    rows = []
    for name in sorted(set(checks(results.measurements)["image_set"])):
        frame = points.by_group(results.frame(gap=pick("top1_gap", name, study="acceptance", subset=None)))
        rows.append(points.placed(frame).assign(x=frame["gap"].round(5), row=name))
    if not rows:
        raise NotMeasured("No model was checked against a published accuracy.")
    title = "Measured minus published top-1, in points"
    return strips(pd.concat(rows), title, Series.groups(results), zero=True, step=6)


FIGURES = (
    Figure(
        "id-and-ood",
        "Clean accuracy and OOD detection",
        (
            "accuracy_and_ood_detection", "training_source_matters", "others_correlate_less", "fine_tuning_routes",
            "pooled_and_within", "training_source_everywhere",
        ),
        "One panel per out-of-distribution set. Zero-shot models by training source, each with its least-squares line, "
        "and its band where that takes up less than half of the panel; the other groups in grey. The score is MCM for "
        "zero-shot heads and the maximum softmax otherwise.",
        id_and_ood,
    ),
    Figure(
        "factors",
        "Visual factors at equal accuracy",
        (
            "factors_overall", "factor_robustness", "training_source_and_factors", "data_amount_and_factors",
            "fine_tuned_and_more_data", "training_source_everywhere",
        ),
        "How far each model lies above (right) or below (left) the standard models' robust line, fitted on logits, by "
        "factor. The dark tick is the group's mean.",
        factors,
    ),
    Figure(
        "shift",
        "Accuracy under shift",
        ("accuracy_under_shift",),
        "One panel per shift set. The grey line is the standard models' robust line; a model above it has effective "
        "robustness.",
        shift_and_clean,
    ),
    Figure(
        "shape-bias",
        "Shape or texture",
        (
            "shape_bias_by_group", "fine_tuning_and_shape_bias", "fine_tuned_shape_bias_level", "size_and_shape_bias",
            "resolution",
        ),
        "Images show the shape of one class and the texture of another. The dark tick is the group's mean.",
        shape_bias,
    ),
    Figure(
        "calibration",
        "Calibration before and after temperature scaling",
        (
            "calibration_before_scaling", "calibration_after_scaling", "training_source_and_calibration",
            "fine_tuning_and_calibration", "training_source_everywhere",
        ),
        "Expected calibration error; lower is better. The temperature is fitted on the other half of the clean images.",
        calibration,
    ),
    Figure(
        "reliability",
        "Reliability before and after temperature scaling",
        ("calibration_before_scaling", "calibration_after_scaling"),
        "Accuracy among the clean images to which a model gives about the same confidence, in 15 bins of equal width, "
        "against their mean confidence. Below the dashed line a model is surer than it should be. Thick lines are all "
        "images of a series together, thin ones its models; a model's bin of fewer than 10 images is not drawn.",
        curves,
        of_points=False,
    ),
    Figure(
        "prompts",
        "Prompt sets",
        ("prompt_sets",),
        "Each point is a zero-shot model against itself with the full prompt set. For ECE, left is better.",
        prompts,
    ),
    Figure(
        "acceptance",
        "Measured and published accuracy",
        ("acceptance",),
        "Each point is a model; the dark tick is the group's mean.",
        acceptance,
    ),
)  # fmt: skip
WITHOUT = {"temperature_under_shift": "the calibration error on shifted images stands in a table"}
"""Questions that no figure shows, and why."""


def _measured(results: Results, role: str, frame: Callable[[Results, str], pd.DataFrame]) -> Iterable[str]:
    names = []
    for image_set in results.sets(role):
        try:
            frame(results, image_set.name)
        except NotMeasured:
            continue
        names.append(image_set.name)
    if not names:
        raise NotMeasured(f"No image set of role '{role}' was measured for this figure.")
    return names
