"""The questions of the report, each with its expectation written down before anyone looked.

A question is a function of `Results`; the first paragraph of its docstring is the claim, the rest says where the claim
comes from ("recalled" means that no copy of the paper confirms it: then it is a hypothesis). It goes by roles and facts
of the grid alone, so that any grid can be asked. What a grid cannot answer is left out, with the reason. The `part` of
an answer names one of several things that must all hold for the claim; see `analysis.claims`. To add a line to the
report, add a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from analysis import answers, evidence, fits, vision
from analysis.acceptance import checks
from analysis.evidence import ZERO_SHOT, Answer, attempt
from analysis.findings import Expected, LeftOut
from analysis.results import NotMeasured, Results
from analysis.vision import by_source, other_groups, source_and_factors

Question = Callable[[Results], Iterable[Answer]]


def accuracy_and_ood_detection(results: Results) -> Iterator[Answer]:
    """Among zero-shot CLIP models of one training source, the more accurate detect OOD images better.

    Claim 10: the paper's figure 3, as summarised by others; no coefficient was found.
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

    Claim 12: the paper's figure 3; that the lines differ is summarised by others, on how many sets is recalled. The
    family of sources with most models is compared with all the others; less than a point of AUROC is no difference.
    """
    yield from by_source(results, "out", answers.source_contrast)


def pooled_and_within(results: Results) -> Iterator[Answer]:
    """One line through all zero-shot CLIP models misstates the line within a training source.

    Not the paper's claim but a warning to its readers: pooled and within-source slopes can differ in size and in sign.
    """
    for out_set in results.sets("out"):
        look = partial(answers.pooled_minus_within, results, out_set.name)
        yield attempt(f"pooled - within, {out_set.name}", look, unit="slope", expected="different")


def others_correlate_less(results: Results) -> Iterator[Answer]:
    """The slope of OOD detection over accuracy is steeper for zero-shot CLIP than for models of other groups.

    Claim 11: the paper's figure 3: weak for standard, more-data and fine-tuned models (recalled: a hypothesis). It must
    hold against every group, on average over the sets.
    """
    for out_set in results.sets("out"):
        for group in other_groups(results):
            look = partial(answers.slope_contrast, results, out_set.name, group)
            subject = f"{ZERO_SHOT} - {group}, {out_set.name}"
            yield attempt(subject, look, unit="slope", expected="positive", part=group)


def fine_tuning_routes(results: Results) -> Iterator[Answer]:
    """Fine-tuning through an intermediate task detects OOD images better than fine-tuning directly.

    Claim 13: the paper's figure 3, as summarised by others. The children of one zero-shot parent by the two routes.
    """
    for out_set in results.sets("out"):
        look = partial(answers.routes, results, out_set.name)
        yield attempt(f"intermediate - direct, {out_set.name}", look, unit="fraction", expected="positive")


def calibration_before_scaling(results: Results) -> Iterator[Answer]:
    """As they come, zero-shot CLIP models are not better calibrated than other models: their ECE is larger.

    Claim 14: the paper says "not consistently better" (abstract); larger, on average over the other groups, is the form
    in which that can be tested.
    """
    yield from _calibration(results, "raw", "positive")


def calibration_after_scaling(results: Results) -> Iterator[Answer]:
    """After temperature scaling, zero-shot CLIP has a smaller ECE than other models of its accuracy.

    Claim 17: the paper's figure 4, as summarised by others. The temperature is fitted on one half of the clean images
    and judged on the other; the mean over the other groups.
    """
    yield from _calibration(results, "scaled", "negative")


def _calibration(results: Results, column: str, expected: Expected) -> Iterator[Answer]:
    for clean in results.sets("clean"):
        for group in other_groups(results):
            look = partial(answers.ece_contrast, results, clean.name, column, group)
            yield attempt(f"{ZERO_SHOT} - {group}, {clean.name}", look, unit="fraction", expected=expected)


def training_source_and_calibration(results: Results) -> Iterator[Answer]:
    """At equal accuracy, zero-shot CLIP models of different training sources are calibrated differently.

    Claim 15: the paper's figure 4, from its caption. ECE before scaling.
    """
    yield from by_source(results, "clean", answers.source_and_calibration)


def fine_tuning_and_calibration(results: Results) -> Iterator[Answer]:
    """Fine-tuning a CLIP model raises its accuracy and makes its calibration worse: the ECE grows.

    Claim 16: the paper's figure 4 (recalled: a hypothesis). Each fine-tuned model against its own zero-shot parent,
    before scaling.
    """
    for clean in results.sets("clean"):
        look = partial(answers.child, results, clean.name, evidence.calibration_frame, "raw")
        yield attempt(f"child - parent, {clean.name}", look, unit="fraction", expected="positive", part="ECE")
        gain = partial(answers.child, results, clean.name, evidence.clean_frame, "top1")
        subject = f"accuracy, child - parent, {clean.name}"
        yield attempt(subject, gain, unit="fraction", expected="positive", part="accuracy")


def temperature_under_shift(results: Results) -> Iterator[Answer]:
    """A temperature fitted on clean images lowers the ECE of zero-shot CLIP on shifted images too.

    Claim 18: the paper's figure 4, as summarised by others.
    """
    for shift in results.sets("shift"):
        look = partial(answers.scaling_change, results, shift.name)
        yield attempt(f"scaled - raw, {shift.name}", look, unit="fraction", expected="negative")


def prompt_sets(results: Results) -> Iterator[Answer]:
    """Fewer prompts cost accuracy, and help OOD detection and calibration.

    Claim 19: the paper's figure 5; the directions are from a reader's notes on its sequel, that of accuracy is
    recalled. Each model against itself; all three must hold.
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
            subject = f"{metric}, prompts '{head}' - '{default}'"
            yield attempt(subject, look, unit="fraction", expected=expected, part=metric if expected else "")


def training_source_everywhere(results: Results) -> Iterator[Answer]:
    """The training source matters for visual factors, OOD detection and calibration alike.

    Claim 20: the paper's abstract. Claims 3, 12 and 15 together: at equal accuracy the sources differ in each of the
    three.
    """
    yield from source_and_factors(results, "factors")
    yield from by_source(results, "out", answers.source_contrast, "OOD detection")
    yield from by_source(results, "clean", answers.source_and_calibration, "calibration")


def acceptance(results: Results) -> Iterator[Answer]:
    """The models are what they say they are: on average, measured and published top-1 agree.

    To what independent runs of one checkpoint were found to differ by at most: 0.12 points on ImageNet, 0.10 on Sketch
    and R, 0.18 on A, 0.23 on V2, 0.30 on other sets. Which models differ stands in every table.
    """
    for name, margin in checks(results.measurements).groupby("image_set")["tolerance"].max().items():
        gap = partial(answers.acceptance_gap, results, str(name))
        yield attempt(f"measured - published, {name}", gap, unit="fraction", expected="near zero", margin=margin)


QUESTIONS: tuple[Question, ...] = (
    vision.factors_overall,
    vision.factor_robustness,
    vision.training_source_and_factors,
    vision.data_amount_and_factors,
    vision.fine_tuned_and_more_data,
    vision.shape_bias_by_group,
    vision.fine_tuning_and_shape_bias,
    vision.fine_tuned_shape_bias_level,
    vision.size_and_shape_bias,
    vision.resolution,
    accuracy_and_ood_detection,
    others_correlate_less,
    training_source_matters,
    fine_tuning_routes,
    calibration_before_scaling,
    training_source_and_calibration,
    fine_tuning_and_calibration,
    calibration_after_scaling,
    temperature_under_shift,
    prompt_sets,
    training_source_everywhere,
    pooled_and_within,
    vision.accuracy_under_shift,
    acceptance,
)
