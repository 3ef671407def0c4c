"""From a frame of models to the estimate that answers a question: which models, which columns, which fit."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from analysis import evidence, fits, lines
from analysis.evidence import BASELINE, ZERO_SHOT
from analysis.results import Results, pick


def within(results: Results, out_set: str) -> fits.Estimate:
    """Correlation of clean accuracy and OOD detection among zero-shot models, within training sources."""
    frame = evidence.zero_shot(evidence.ood_frame(results, out_set))
    return fits.correlation(frame, "clean", "ood", within="train_source")


def of_source(results: Results, out_set: str, source: str, fit: Callable[..., fits.Estimate]) -> fits.Estimate:
    """A correlation or a slope of OOD detection over clean accuracy among the zero-shot models of one source."""
    frame = evidence.zero_shot(evidence.ood_frame(results, out_set))
    return fit(frame[frame["train_source"] == source], "clean", "ood")


def source_contrast(results: Results, out_set: str, source: str) -> fits.Estimate:
    """OOD detection of the zero-shot models of one source minus that of the others, at equal clean accuracy."""
    frame = evidence.zero_shot(evidence.ood_frame(results, out_set))
    return fits.contrast(frame, "ood", frame["train_source"] == source, given="clean")


def pooled_minus_within(results: Results, out_set: str) -> fits.Estimate:
    """Slope of OOD detection over clean accuracy through all zero-shot models, minus that within sources."""
    frame = evidence.zero_shot(evidence.ood_frame(results, out_set))
    return fits.pooled_minus_within(frame, "clean", "ood", groups="train_source")


def slope_contrast(results: Results, out_set: str, group: str) -> fits.Estimate:
    """Slope of OOD detection over clean accuracy among zero-shot models, minus that in another group."""
    frame = evidence.ood_frame(results, out_set)
    return fits.slope_difference(frame, "clean", "ood", by="group", first=ZERO_SHOT, second=group)


def factor_residual(results: Results, clean: str, factor: str) -> fits.Estimate:
    """Zero-shot accuracy on one factor's images above the standard models' line."""
    return _above_the_line(evidence.factor_frame(results, clean, factor), "overall", "factor")


def _above_the_line(frame: pd.DataFrame, x: str, y: str) -> fits.Estimate:
    members, baseline = frame["group"] == ZERO_SHOT, frame["group"] == BASELINE
    return lines.effective_robustness(frame, x, y, members=members, baseline=baseline)


def shift_residual(results: Results, shift: str) -> fits.Estimate:
    """Zero-shot accuracy on a shift set above the standard models' line."""
    return _above_the_line(evidence.shift_frame(results, shift), "clean", "shift")


def shape_contrast(results: Results, conflict: str, group: str) -> fits.Estimate:
    """Shape bias of zero-shot models minus that of another group."""
    return _group_contrast(evidence.shape_frame(results, conflict), "shape_bias", group)


def _group_contrast(frame: pd.DataFrame, column: str, group: str, given: str | None = None) -> fits.Estimate:
    frame = frame[frame["group"].isin([ZERO_SHOT, group])]
    return fits.contrast(frame, column, frame["group"] == ZERO_SHOT, given=given)


def child(results: Results, name: str, frame: Callable[[Results, str], pd.DataFrame], column: str) -> fits.Estimate:
    """A column of each fine-tuned model minus that of its zero-shot parent, on average."""
    return fits.mean(evidence.children(frame(results, name), column), "difference", formula=f"{column}: child - parent")


def routes(results: Results, out_set: str) -> fits.Estimate:
    """OOD detection after the intermediate route minus that after the direct one, on average over parents."""
    frame = evidence.routes(evidence.ood_frame(results, out_set), "ood")
    return fits.mean(frame, "difference", formula="ood: intermediate - direct, same parent")


def ece_contrast(results: Results, clean: str, column: str, group: str) -> fits.Estimate:
    """ECE of zero-shot models minus that of another group; at equal accuracy where it is the scaled one."""
    frame = evidence.calibration_frame(results, clean)
    top1 = results.picked(evidence.clean_top1(clean))["value"].rename("clean")
    return _group_contrast(frame.join(top1, how="inner"), column, group, given="clean" if column == "scaled" else None)


def scaling_change(results: Results, name: str) -> fits.Estimate:
    """ECE after minus before temperature scaling among zero-shot models."""
    frame = evidence.zero_shot(evidence.calibration_frame(results, name))
    return fits.mean(frame, "change", formula="ece15: scaled - raw, same model and images")


def prompts(results: Results, head: str, default: str, metric: str, names: tuple[str, ...]) -> fits.Estimate:
    """What a prompt set changes in a metric against the default one, on average over models and image sets."""
    frame = evidence.prompt_frame(results, head, default, metric, names)
    return fits.mean(frame, "difference", formula=f"{metric}: {head} - {default}, same model")


def acceptance_gap(results: Results, image_set: str) -> fits.Estimate:
    """Measured minus published top-1 on an image set, on average over models."""
    frame = results.frame(gap=pick("top1_gap", image_set, study="acceptance", subset=None))
    return fits.mean(frame, "gap", formula="top1: measured - published")
