"""Questions about visual factors, shift and shape, and what all questions share; see `analysis.questions`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from analysis import answers, evidence, fits
from analysis.evidence import MORE_DATA, TUNED, ZERO_SHOT, Answer, attempt
from analysis.findings import Expected, LeftOut
from analysis.results import Results

WINS = ("subcategory", "smaller", "color", "shape", "texture", "larger")
LOSSES = ("pose", "partial_view")
FACTORS: dict[str, Expected] = {**dict.fromkeys(WINS, "positive"), **dict.fromkeys(LOSSES, "negative")}
POINT = 0.01
"""One point of a share: less is called no difference, where a claim says that there is one or that there is none."""


def factors_overall(results: Results) -> Iterator[Answer]:
    """At equal accuracy, zero-shot CLIP is better than standard models over the visual factors, but worse at pose.

    Claim 1: the paper's figure 1, as summarised by others (six of ten factors won; which ones is the next question).
    Distance from the standard models' robust line, in accuracy; the mean over all factors but pose, and pose.
    """
    for clean, factor in _factors(results):
        look = partial(answers.factor_residual, results, clean, factor)
        expected: Expected = "negative" if factor == "pose" else "positive"
        part = "pose" if factor == "pose" else "other factors"
        yield attempt(f"{factor}, {clean}", look, unit="fraction", expected=expected, part=part)


def factor_robustness(results: Results) -> Iterator[Answer]:
    """At equal accuracy, zero-shot CLIP is better than standard models at six visual factors and worse at two.

    Claim 2: the paper's figure 1. The six (subcategory, smaller, color, shape, texture, larger) and the two (pose,
    partial view) are recalled: a hypothesis. The mean over the six, and that over the two, must both hold.
    """
    for clean, factor in _factors(results):
        look = partial(answers.factor_residual, results, clean, factor)
        part = "better" if factor in WINS else "worse" if factor in LOSSES else ""
        yield attempt(f"{factor}, {clean}", look, unit="fraction", expected=FACTORS.get(factor, ""), part=part)


def training_source_and_factors(results: Results) -> Iterator[Answer]:
    """At equal accuracy, zero-shot CLIP models of different training sources differ at some visual factor.

    Claim 3: the paper's figure 1; that the trends differ is summarised by others, at which factors is recalled.
    """
    yield from source_and_factors(results)


def source_and_factors(results: Results, part: str = "") -> Iterator[Answer]:
    """The contrast of training sources at every visual factor."""
    for factor in dict.fromkeys(name for _, name in _factors(results)):

        def contrast(each: Results, clean: str, source: str, factor: str = factor) -> fits.Estimate:
            return answers.source_and_factor(each, clean, factor, source)

        for answer in by_source(results, "clean", contrast, part):
            yield replace(answer, subject=f"{factor}, {answer.subject}")


def data_amount_and_factors(results: Results) -> Iterator[Answer]:
    """At equal accuracy, ten times the pre-training data of one source changes accuracy on no factor by 2 points.

    Claim 4: the paper's figure 1 (recalled: a hypothesis): the subsets of one source lie on one trend.
    """
    for clean, factor in _factors(results):

        def look(clean: str = clean, factor: str = factor) -> fits.Estimate:
            return answers.data_and_factor(results, clean, factor, evidence.largest_source(results))

        yield attempt(f"{factor}, {clean}", look, unit="fraction", expected="near zero", margin=2 * POINT)


def fine_tuned_and_more_data(results: Results) -> Iterator[Answer]:
    """At equal accuracy, fine-tuned CLIP is at no visual factor more than 2 points below classifiers with more data.

    Claim 5: the paper's figure 1, "about equal or slightly above" (recalled: a hypothesis).
    """
    for clean, factor in _factors(results):
        look = partial(answers.tuned_and_more_data, results, clean, factor)
        yield attempt(f"{factor}, {clean}", look, unit="fraction", expected="not below", margin=2 * POINT)


def _factors(results: Results) -> Iterator[tuple[str, str]]:
    for clean in results.sets("clean"):
        for factor in evidence.factor_names(results, clean.name):
            yield clean.name, factor


def accuracy_under_shift(results: Results) -> Iterator[Answer]:
    """On shifted images, zero-shot CLIP is more accurate than its clean accuracy would let one expect.

    Effective robustness (Taori et al. 2020) against the standard models' line, over the classes of the shift set.
    """
    for shift in results.sets("shift"):
        look = partial(answers.shift_residual, results, shift.name)
        yield attempt(shift.name, look, unit="fraction", expected="positive")


def shape_bias_by_group(results: Results) -> Iterator[Answer]:
    """Zero-shot CLIP decides by shape more often than every other group of models.

    Claim 6: the paper's figure 2, as summarised by others. It must hold against each group. That it holds for CNN and
    ViT encoders alike is recalled, and described here without a test.
    """
    for conflict in results.sets("conflict"):
        for group in other_groups(results):
            look = partial(answers.shape_contrast, results, conflict.name, group)
            subject = f"{ZERO_SHOT} - {group}, {conflict.name}"
            yield attempt(subject, look, unit="fraction", expected="positive", part=group)
            for encoder in _encoders(results):
                here = partial(answers.shape_by_encoder, results, conflict.name, group, encoder)
                yield attempt(f"{subject}, {encoder}", here, unit="fraction")


def fine_tuning_and_shape_bias(results: Results) -> Iterator[Answer]:
    """Fine-tuning a CLIP model lowers its shape bias.

    Claim 7: the paper's figure 2, as summarised by others. Each fine-tuned model against its own zero-shot parent.
    """
    for conflict in results.sets("conflict"):
        look = partial(answers.child, results, conflict.name, evidence.shape_frame, "shape_bias")
        yield attempt(f"child - parent, {conflict.name}", look, unit="fraction", expected="negative")


def fine_tuned_shape_bias_level(results: Results) -> Iterator[Answer]:
    """Fine-tuned CLIP decides by shape as often as classifiers with more data, give or take 5 points.

    Claim 7, its second half: the paper's figure 2 (recalled: a hypothesis).
    """
    for conflict in results.sets("conflict"):
        look = partial(answers.tuned_shape_level, results, conflict.name)
        subject = f"{TUNED} - {MORE_DATA}, {conflict.name}"
        yield attempt(subject, look, unit="fraction", expected="near zero", margin=5 * POINT)


def size_and_shape_bias(results: Results) -> Iterator[Answer]:
    """Size does not explain shape bias: ten times the parameters raise it by less than 5 points within a source.

    Claim 8: the paper's text (recalled: a hypothesis), where a small model of one source is above a large one.
    """
    for conflict in results.sets("conflict"):
        look = partial(answers.size_and_shape, results, conflict.name)
        yield attempt(f"per tenfold size, {conflict.name}", look, unit="slope", expected="not above", margin=5 * POINT)


def resolution(results: Results) -> Iterator[Answer]:
    """Fine-tuning CLIP at a higher resolution gives more accuracy and less shape bias.

    Claim 9: the paper's figures 2 and 3 (recalled: a hypothesis). Models of one parent and route, by image size.
    """
    for clean in results.sets("clean"):
        look = partial(answers.resolution, results, clean.name, evidence.clean_frame, "top1")
        yield attempt(f"accuracy, {clean.name}", look, unit="fraction", expected="positive", part="accuracy")
    for conflict in results.sets("conflict"):
        look = partial(answers.resolution, results, conflict.name, evidence.shape_frame, "shape_bias")
        yield attempt(f"shape bias, {conflict.name}", look, unit="fraction", expected="negative", part="shape bias")


def by_source(
    results: Results, role: str, contrast: Callable[[Results, str, str], fits.Estimate], part: str = ""
) -> Iterator[Answer]:
    """A contrast of the largest family of training sources with all the others, on every image set of a role."""
    for image_set in results.sets(role):
        try:
            source = evidence.largest_source(results)
        except fits.TooLittle as reason:
            yield LeftOut("", image_set.name, str(reason))
            continue
        look = partial(contrast, results, image_set.name, source)
        subject = f"{source} - other sources, {image_set.name}"
        yield attempt(subject, look, unit="fraction", expected="different", margin=POINT, part=part)


def other_groups(results: Results) -> list[str]:
    """The groups of models that are not zero-shot CLIP, sorted."""
    return sorted(set(results.distinct["group"]) - {ZERO_SHOT, ""})


def _encoders(results: Results) -> list[str]:
    return sorted(set(results.distinct["encoder"].dropna())) if "encoder" in results.distinct.columns else []
