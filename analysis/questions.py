"""The questions of the report, each with its expectation written down before anyone looked.

A question is a function of `Results`; the first paragraph of its docstring is the claim, the rest says where the claim
comes from ("recalled" means that no copy of the paper confirms it). It goes by roles and facts of the grid alone, so
that any grid can be asked. What a grid cannot answer is left out, with the reason. To add a line to the report, add a
function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from analysis import answers, evidence, fits
from analysis.acceptance import checks
from analysis.evidence import ZERO_SHOT, Answer, attempt
from analysis.findings import Expected, LeftOut
from analysis.results import NotMeasured, Results

Question = Callable[[Results], Iterable[Answer]]


def accuracy_and_ood_detection(results: Results) -> Iterator[Answer]:
    """Among zero-shot CLIP models of one training source, the more accurate detect OOD images better.

    The paper's figure 3, as summarised by others; no coefficient was found.
    """
    for out_set in results.sets("out"):
        look = partial(answers.within, results, out_set.name)
        yield attempt(f"within sources, {out_set.name}", look, unit="correlation", expected="positive")
    for out_set in results.sets("out"):
        for source in sorted(set(evidence.zero_shot(results.distinct)["train_source"])):
            here = partial(answers.of_source, results, out_set.name, source)
            yield attempt(f"{source}, {out_set.name}", partial(here, fits.correlation), unit="correlation")
            yield attempt(f"{source}, {out_set.name}", partial(here, fits.slope), unit="slope")


def training_source_matters(results: Results) -> Iterator[Answer]:
    """At equal accuracy, zero-shot CLIP models of different training sources detect OOD images differently.

    The paper's figure 3: the lines of the sources differ. The source with most models is compared with all the others.
    """
    counts = evidence.zero_shot(results.distinct)["train_source"].value_counts().sort_index()
    for out_set in results.sets("out") if len(counts) > 1 else ():
        source = str(counts.idxmax())
        look = partial(answers.source_contrast, results, out_set.name, source)
        yield attempt(f"{source} - other sources, {out_set.name}", look, unit="fraction", expected="different")


def pooled_and_within(results: Results) -> Iterator[Answer]:
    """One line through all zero-shot CLIP models misstates the line within a training source.

    Not the paper's claim but a warning to its readers: pooled and within-source slopes can differ in size and in sign.
    """
    for out_set in results.sets("out"):
        look = partial(answers.pooled_minus_within, results, out_set.name)
        yield attempt(f"pooled - within, {out_set.name}", look, unit="slope", expected="different")


def others_correlate_less(results: Results) -> Iterator[Answer]:
    """The slope of OOD detection over accuracy is steeper for zero-shot CLIP than for models of other groups.

    The paper's figure 3: weak for standard, more-data and fine-tuned models (recalled).
    """
    for out_set in results.sets("out"):
        for group in _other_groups(results):
            look = partial(answers.slope_contrast, results, out_set.name, group)
            yield attempt(f"{ZERO_SHOT} - {group}, {out_set.name}", look, unit="slope", expected="positive")


FACTORS: dict[str, Expected] = {
    **dict.fromkeys(("subcategory", "smaller", "color", "shape", "texture", "larger"), "positive"),
    **dict.fromkeys(("pose", "partial_view"), "negative"),
}


def factor_robustness(results: Results) -> Iterator[Answer]:
    """At equal accuracy, zero-shot CLIP is better than standard models at six visual factors and worse at two.

    The paper's figure 1. The six (subcategory, smaller, color, shape, texture, larger) and the two (pose, partial view)
    are recalled. Distance from the standard models' robust line, in accuracy.
    """
    for clean in results.sets("clean"):
        for factor in evidence.factor_names(results, clean.name):
            look = partial(answers.factor_residual, results, clean.name, factor)
            yield attempt(f"{factor}, {clean.name}", look, unit="fraction", expected=FACTORS.get(factor, ""))


def accuracy_under_shift(results: Results) -> Iterator[Answer]:
    """On shifted images, zero-shot CLIP is more accurate than its clean accuracy would let one expect.

    Effective robustness (Taori et al. 2020) against the standard models' line, over the classes of the shift set.
    """
    for shift in results.sets("shift"):
        look = partial(answers.shift_residual, results, shift.name)
        yield attempt(shift.name, look, unit="fraction", expected="positive")


def shape_bias_by_group(results: Results) -> Iterator[Answer]:
    """Zero-shot CLIP decides by shape more often than every other group of models.

    The paper's figure 2, as summarised by others.
    """
    for conflict in results.sets("conflict"):
        for group in _other_groups(results):
            look = partial(answers.shape_contrast, results, conflict.name, group)
            yield attempt(f"{ZERO_SHOT} - {group}, {conflict.name}", look, unit="fraction", expected="positive")


def fine_tuning_and_shape_bias(results: Results) -> Iterator[Answer]:
    """Fine-tuning a CLIP model lowers its shape bias.

    The paper's figure 2. Each fine-tuned model against its own zero-shot parent.
    """
    for conflict in results.sets("conflict"):
        look = partial(answers.child, results, conflict.name, evidence.shape_frame, "shape_bias")
        yield attempt(f"child - parent, {conflict.name}", look, unit="fraction", expected="negative")


def fine_tuning_routes(results: Results) -> Iterator[Answer]:
    """Fine-tuning through an intermediate task detects OOD images better than fine-tuning directly.

    The paper's figure 3. The children of one zero-shot parent by the two routes.
    """
    for out_set in results.sets("out"):
        look = partial(answers.routes, results, out_set.name)
        yield attempt(f"intermediate - direct, {out_set.name}", look, unit="fraction", expected="positive")


def calibration_before_scaling(results: Results) -> Iterator[Answer]:
    """As they come, zero-shot CLIP models are not better calibrated than other models: their ECE is larger.

    The paper says "not consistently better" (abstract); larger is the form in which that can be tested.
    """
    yield from _calibration(results, "raw", "positive")


def calibration_after_scaling(results: Results) -> Iterator[Answer]:
    """After temperature scaling, zero-shot CLIP has a smaller ECE than other models of its accuracy.

    The paper's figure 4. The temperature is fitted on one half of the clean images and judged on the other.
    """
    yield from _calibration(results, "scaled", "negative")


def _calibration(results: Results, column: str, expected: Expected) -> Iterator[Answer]:
    for clean in results.sets("clean"):
        for group in _other_groups(results):
            look = partial(answers.ece_contrast, results, clean.name, column, group)
            yield attempt(f"{ZERO_SHOT} - {group}, {clean.name}", look, unit="fraction", expected=expected)


def fine_tuning_and_calibration(results: Results) -> Iterator[Answer]:
    """Fine-tuning a CLIP model makes its calibration worse: the ECE grows.

    The paper's figure 4 (recalled). Each fine-tuned model against its own zero-shot parent, before scaling.
    """
    for clean in results.sets("clean"):
        look = partial(answers.child, results, clean.name, evidence.calibration_frame, "raw")
        yield attempt(f"child - parent, {clean.name}", look, unit="fraction", expected="positive")


def temperature_under_shift(results: Results) -> Iterator[Answer]:
    """A temperature fitted on clean images lowers the ECE of zero-shot CLIP on shifted images too.

    The paper's figure 4, as summarised by others.
    """
    for shift in results.sets("shift"):
        look = partial(answers.scaling_change, results, shift.name)
        yield attempt(f"scaled - raw, {shift.name}", look, unit="fraction", expected="negative")


def prompt_sets(results: Results) -> Iterator[Answer]:
    """Fewer prompts cost accuracy, and help OOD detection and calibration.

    The paper's figure 5; the directions are from a reader's notes on its sequel. Each model against itself.
    """
    try:
        default, heads = evidence.prompt_heads(results)
    except NotMeasured as reason:
        yield LeftOut("", "prompt sets", str(reason))
        return
    clean, out = (tuple(each.name for each in results.sets(role)) for role in ("clean", "out"))
    asked: tuple[tuple[str, tuple[str, ...], Expected], ...] = (
        ("top1", clean, "negative"), ("auroc", out, "positive"), ("ece15", clean, "negative"),
        ("mean_factor_top1", clean, ""),
    )  # fmt: skip
    for head in heads:
        for metric, names, expected in asked:
            look = partial(answers.prompts, results, head, default, metric, names)
            yield attempt(f"{metric}, prompts '{head}' - '{default}'", look, unit="fraction", expected=expected)


def acceptance(results: Results) -> Iterator[Answer]:
    """The models are what they say they are: on average, measured and published top-1 agree.

    To what independent runs of one checkpoint were found to differ by at most: 0.12 points on ImageNet, 0.10 on Sketch
    and R, 0.18 on A, 0.23 on V2, 0.30 on other sets. Which models differ stands in every table.
    """
    for name, margin in checks(results.measurements).groupby("image_set")["tolerance"].max().items():
        gap = partial(answers.acceptance_gap, results, str(name))
        yield attempt(f"measured - published, {name}", gap, unit="fraction", expected="near zero", margin=margin)


QUESTIONS: tuple[Question, ...] = (
    accuracy_and_ood_detection,
    training_source_matters,
    pooled_and_within,
    others_correlate_less,
    fine_tuning_routes,
    factor_robustness,
    accuracy_under_shift,
    shape_bias_by_group,
    fine_tuning_and_shape_bias,
    calibration_before_scaling,
    calibration_after_scaling,
    fine_tuning_and_calibration,
    temperature_under_shift,
    prompt_sets,
    acceptance,
)


def _other_groups(results: Results) -> list[str]:
    return sorted(set(results.distinct["group"]) - {ZERO_SHOT, ""})
