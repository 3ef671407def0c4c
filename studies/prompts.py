"""What the prompts of a zero-shot head change.

Every prompt set of a zero-shot model is measured in accuracy, calibration (raw, over all clean images), OOD detection
(MCM) and mean accuracy over the visual factors ("top", each factor counting the same). Each is also given as a
difference to the model's default head on the same images, ``<metric>_difference``; its error minds that pairing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from engine.predictions import Head, Predictions, Record, read_head
from studies import estimates, separations
from studies.blocks import score
from studies.detection import Sample, Separation
from studies.estimates import Estimate, Site
from studies.factors import ANNOTATIONS, annotated
from studies.measurements import Measurement
from studies.metrics import Doubles, log_softmax
from studies.right import best_right
from studies.scores import mcm


@dataclass(frozen=True, slots=True)
class Question:
    """One metric of one head at one place, not yet worked out."""

    metric: str
    site: Site
    answer: Callable[[], Estimate]


def measure(record: Record) -> Iterator[Measurement]:
    """Accuracy, calibration and OOD detection under each head of a zero-shot model, and differences to its default."""
    for clean in record.sets("clean"):
        default = record.predictions(clean.name)
        if default.head.kind != "zero_shot":
            continue
        outs = [record.predictions(out.name) for out in record.sets("out") if out.clean == clean.name]
        reference = list(_questions(record.model, default, outs))
        for name in record.heads:
            head = read_head(record.results, record.model, name)
            asked = _questions(record.model, under(head, default), [under(head, out) for out in outs])
            for question, same in zip(asked, reference, strict=True):
                yield from question.site.measure(question.metric, question.answer)
                if name != default.head.name:
                    difference = partial(_difference, question, same)
                    yield from question.site.measure(f"{question.metric}_difference", difference)


def under(head: Head, predictions: Predictions) -> Predictions:
    """The same images under another head of the model; their features are not read again."""
    return replace(predictions, head=head, logits=head.logits(predictions.features))


def _questions(model: str, clean: Predictions, outs: Sequence[Predictions]) -> Iterator[Question]:
    site = Site("prompts", model, clean.head.name, clean.image_set.name, "all", "")
    labels = best_right(clean)
    yield Question("top1", site, partial(estimates.top_k, clean.logits, labels))
    yield Question("ece15", site, partial(estimates.ece, log_softmax(clean.logits), labels))
    if set(clean.images) >= ANNOTATIONS:
        by_factor = replace(site, subset="annotated", method="top")
        yield Question("mean_factor_top1", by_factor, partial(_mean_factor_top1, clean))
    known = Sample.of(score(clean, mcm))
    for out in outs:
        separation = replace(site, image_set=out.image_set.name, method="mcm")
        yield Question("auroc", separation, partial(_auroc, known, score(out, mcm)))


def _auroc(known: Sample, out: Doubles) -> Estimate:
    return separations.auroc(Separation.of(known, out))


def _mean_factor_top1(clean: Predictions) -> Estimate:
    images = annotated(clean)
    return estimates.mean_of_strata([images.correct[member] for member in images.top.values()])


def _difference(question: Question, reference: Question) -> Estimate:
    return question.answer() - reference.answer()
