"""From a frame of models to the estimate that answers a question: which models, which columns, which fit."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from analysis import cautions, evidence, fits, lines
from analysis.evidence import BASELINE, MORE_DATA, TUNED, ZERO_SHOT
from analysis.results import Results, pick


def within(results: Results, out_set: str) -> fits.Estimate:
    """Correlation of clean accuracy and OOD detection among zero-shot models, within training sources."""
    frame = evidence.zero_shot(evidence.ood_frame(results, out_set))
    made = fits.correlation(frame, "clean", "ood", within="train_source")
    return cautions.of_models(made, frame, "clean", "ood", groups="train_source")


def of_source(results: Results, out_set: str, source: str, fit: Callable[..., fits.Estimate]) -> fits.Estimate:
    """A correlation or a slope of OOD detection over clean accuracy among the zero-shot models of one source."""
    frame = evidence.zero_shot(evidence.ood_frame(results, out_set))
    members = frame[frame["train_source"] == source]
    return cautions.of_models(fit(members, "clean", "ood"), members, "clean", "ood")


def source_contrast(results: Results, out_set: str, source: str) -> fits.Estimate:
    """OOD detection of the zero-shot models of one source minus that of the others, at equal clean accuracy."""
    frame = evidence.zero_shot(evidence.ood_frame(results, out_set))
    return fits.contrast(frame, "ood", evidence.source_family(frame) == source, given="clean")


def source_and_factor(results: Results, clean: str, factor: str, source: str) -> fits.Estimate:
    """Zero-shot accuracy on one factor's images of one source minus that of the others, at equal overall accuracy."""
    frame = evidence.zero_shot(evidence.factor_frame(results, clean, factor))
    return fits.contrast(frame, "factor", evidence.source_family(frame) == source, given="overall")


def source_and_calibration(results: Results, clean: str, source: str) -> fits.Estimate:
    """Raw ECE of the zero-shot models of one source minus that of the others, at equal clean accuracy."""
    frame = evidence.zero_shot(_with_clean(results, clean))
    return fits.contrast(frame, "raw", evidence.source_family(frame) == source, given="clean")


def data_and_factor(results: Results, clean: str, factor: str, source: str) -> fits.Estimate:
    """Zero-shot accuracy on one factor's images per tenfold data of one source, at equal overall accuracy."""
    frame = evidence.zero_shot(evidence.factor_frame(results, clean, factor))
    frame = evidence.with_log(frame[evidence.source_family(frame) == source], "pretrain_images")
    return fits.slope(frame, "log_pretrain_images", "factor", given="overall")


def size_and_shape(results: Results, conflict: str) -> fits.Estimate:
    """Shape bias per tenfold size of zero-shot models, within training sources."""
    frame = evidence.with_log(evidence.zero_shot(evidence.shape_frame(results, conflict)), "params_m")
    return fits.slope(frame, "log_params_m", "shape_bias", within="train_source")


def resolution(
    results: Results, name: str, frame: Callable[[Results, str], pd.DataFrame], column: str
) -> fits.Estimate:
    """A column of models fine-tuned at the largest image size minus that at the smallest, same parent and route."""
    pairs = evidence.resolutions(frame(results, name), column)
    return fits.mean(pairs, "difference", formula=f"{column}: largest - smallest image size, same parent and route")


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
    frame = evidence.factor_frame(results, clean, factor)
    return results.once(("factor", clean, factor), lambda: _above_the_line(frame, "overall", "factor"))


def tuned_and_more_data(results: Results, clean: str, factor: str) -> fits.Estimate:
    """Accuracy on one factor's images of fine-tuned CLIP minus that of more-data models, at equal overall accuracy."""
    frame = evidence.factor_frame(results, clean, factor)
    return _group_contrast(frame, "factor", MORE_DATA, "overall", first=TUNED)


def _above_the_line(frame: pd.DataFrame, x: str, y: str) -> fits.Estimate:
    members, baseline = frame["group"] == ZERO_SHOT, frame["group"] == BASELINE
    return lines.effective_robustness(frame, x, y, members=members, baseline=baseline)


def shift_residual(results: Results, shift: str) -> fits.Estimate:
    """Zero-shot accuracy on a shift set above the standard models' line."""
    return _above_the_line(evidence.shift_frame(results, shift), "clean", "shift")


def shape_contrast(results: Results, conflict: str, group: str) -> fits.Estimate:
    """Shape bias of zero-shot models minus that of another group."""
    return _group_contrast(evidence.shape_frame(results, conflict), "shape_bias", group)


def shape_by_encoder(results: Results, conflict: str, group: str, encoder: str) -> fits.Estimate:
    """Shape bias of zero-shot models minus that of another group, among models of one kind of encoder."""
    frame = evidence.shape_frame(results, conflict)
    return _group_contrast(frame[frame["encoder"] == encoder], "shape_bias", group)


def tuned_shape_level(results: Results, conflict: str) -> fits.Estimate:
    """Shape bias of fine-tuned CLIP minus that of more-data models."""
    return _group_contrast(evidence.shape_frame(results, conflict), "shape_bias", MORE_DATA, first=TUNED)


def _group_contrast(
    frame: pd.DataFrame, column: str, group: str, given: str | None = None, *, first: str = ZERO_SHOT
) -> fits.Estimate:
    frame = frame[frame["group"].isin([first, group])]
    return fits.contrast(frame, column, frame["group"] == first, given=given)


def child(results: Results, name: str, frame: Callable[[Results, str], pd.DataFrame], column: str) -> fits.Estimate:
    """A column of each fine-tuned model minus that of its zero-shot parent, on average."""
    return fits.mean(evidence.children(frame(results, name), column), "difference", formula=f"{column}: child - parent")


def routes(results: Results, out_set: str) -> fits.Estimate:
    """OOD detection after the intermediate route minus that after the direct one, on average over parents."""
    frame = evidence.routes(evidence.ood_frame(results, out_set), "ood")
    return fits.mean(frame, "difference", formula="ood: intermediate - direct, same parent")


def ece_contrast(results: Results, clean: str, column: str, group: str) -> fits.Estimate:
    """ECE of zero-shot models minus that of another group; at equal accuracy where it is the scaled one."""
    frame = _with_clean(results, clean)
    return _group_contrast(frame, column, group, given="clean" if column == "scaled" else None)


def _with_clean(results: Results, clean: str) -> pd.DataFrame:
    top1 = results.picked(evidence.clean_top1(clean))[["value", "std_error"]]
    names = {"value": "clean", "std_error": "clean_std_error"}
    return evidence.calibration_frame(results, clean).join(top1.rename(columns=names), how="inner")


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
