"""Metrics by hand, against outside implementations, and by their properties."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_calibration_error

from studies import detection, metrics, reliability, temperature

# float64 arithmetic in another order of summation.
SAME = 1e-12


@dataclass(frozen=True)
class Row:
    """How a metric behaves: `make(rng, skill)` draws its arguments; more skill moves it in `direction`."""

    make: Callable[[np.random.Generator, float], tuple[Any, ...]]
    direction: int
    low: float
    high: float


def classified(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    labels = rng.integers(0, 8, 300)
    return rng.normal(size=(300, 8)) + skill * np.eye(8)[labels], labels


def log_probabilities(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    logits, labels = classified(rng, skill)
    return metrics.log_softmax(logits), labels


def probabilities(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    logs, labels = log_probabilities(rng, skill)
    return np.exp(logs), labels


def confident(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    confidence = rng.uniform(0.4, 1, 600)
    return confidence, rng.uniform(size=600) < confidence - 0.3 / (1 + skill)


def unclear(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    confidence = rng.uniform(0.4, 1, 600) ** (1 / skill)
    return confidence, rng.uniform(size=600) < confidence


def separated(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    correct = rng.uniform(size=600) < 0.6
    return stats.norm.cdf(rng.normal(skill * (correct - 0.5))), correct


def graded(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    confidence = rng.uniform(0.4, 1, 600)
    return confidence, rng.uniform(size=600) < 0.5 + 0.3 * skill * (confidence * 15 % 1 - 0.5)


def observed(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    correct = rng.uniform(size=500) < 0.6
    return correct, np.where(rng.uniform(size=500) < 0.2 * skill, correct, rng.uniform(size=500) < 0.6)


def scored(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    return rng.normal(skill, size=250), rng.normal(size=150)


def annotated(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    member = rng.uniform(size=500) < 0.4
    return rng.uniform(size=500) < np.where(member, 0.3 + 0.1 * skill, 0.6), member


def decided(rng: np.random.Generator, skill: float) -> tuple[Any, ...]:
    shapes, textures = rng.integers(0, 4, (2, 400))
    by_shape = rng.uniform(size=400) < 0.2 + 0.1 * skill
    return np.where(by_shape, shapes, rng.integers(0, 4, 400)), shapes, textures


MODULES = (metrics, reliability, temperature, detection)
PROPERTIES = {
    "top1": Row(classified, +1, 0, 1),
    "top5": Row(classified, +1, 0, 1),
    "nll": Row(log_probabilities, -1, 0, np.inf),
    "brier": Row(probabilities, -1, 0, 2),
    "ece": Row(confident, -1, 0, 1),
    "ece_equal_mass": Row(confident, -1, 0, 1),
    "squared_ece_debiased": Row(confident, -1, -1, 1),
    "smooth_ece": Row(confident, -1, 0, 1),
    "mce": Row(confident, -1, 0, 1),
    "aurc": Row(separated, -1, 0, 1),
    "brier_top_label": Row(separated, -1, 0, 1),
    "brier_reliability": Row(confident, -1, 0, 1),
    "brier_resolution": Row(separated, +1, 0, 0.25),
    "brier_uncertainty": Row(unclear, -1, 0, 0.25),
    "brier_within_bins": Row(graded, -1, -1, 1),
    "temperature": Row(classified, -1, 0.01, 10),
    "error_ratio": Row(annotated, -1, 0, np.inf),
    "shape_bias": Row(decided, +1, 0, 1),
    "cue_accuracy": Row(decided, +1, 0, 1),
    "error_consistency": Row(observed, +1, -1, 1),
    "auroc": Row(scored, +1, 0, 1),
    "fpr_at_95": Row(scored, -1, 0, 1),
    "fpr_at_95_out": Row(scored, -1, 0, 1),
    "aupr_in": Row(scored, +1, 0, 1),
    "aupr_out": Row(scored, +1, 0, 1),
}
YES, NO = np.ones(4, dtype=bool), np.zeros(4, dtype=bool)
HALF = np.array([True, True, False, False])
SURE, UNSURE = np.ones(4), np.full(4, 0.5)
CERTAIN, FLAT = np.eye(6)[[0, 1, 2, 3]], np.full((4, 6), 1 / 6)
EDGES: dict[str, list[tuple[tuple[Any, ...], float | str]]] = {
    "top1": [((CERTAIN, np.arange(4)), 1), ((CERTAIN, np.arange(4)[::-1]), 0), ((CERTAIN[:, :1], NO * 1), "always")],
    "top5": [((CERTAIN, np.arange(4)), 1), ((FLAT, np.full(4, 5)), 0), ((CERTAIN[:, :5], NO * 1), "always right")],
    "nll": [
        ((np.log(FLAT), NO * 1), np.log(6)),
        ((np.zeros((4, 1)), NO * 1), 0),
        ((np.full((4, 6), -np.inf), NO * 1), "0"),
    ],
    "brier": [((CERTAIN, np.arange(4)), 0), ((CERTAIN, np.arange(1, 5)), 2), ((FLAT, NO * 1), 5 / 6)],
    "ece": [((SURE, YES), 0), ((SURE, NO), 1), ((0 * SURE, NO), 0), ((UNSURE, HALF), 0), ((SURE[:1], NO[:1]), 1)],
    "ece_equal_mass": [((SURE, YES), 0), ((SURE, NO), 1), ((0 * SURE, YES), 1), ((SURE[:1], NO[:1]), 1)],
    "squared_ece_debiased": [((SURE, YES), 0), ((SURE, NO), 1), ((UNSURE, HALF), -1 / 12), ((SURE[:1], NO[:1]), "two")],
    "smooth_ece": [((SURE, YES), 0), ((SURE, NO), 1), ((0 * SURE, NO), 0), ((UNSURE, HALF), 0)],
    "mce": [((SURE, YES), 0), ((SURE, NO), 1), ((0 * SURE, YES), 1), ((SURE[:1], NO[:1]), 1)],
    "aurc": [((SURE, YES), 0), ((SURE, NO), 1), ((UNSURE, HALF), 0.5), ((SURE[:1], NO[:1]), 1)],
    "brier_top_label": [((SURE, YES), 0), ((SURE, NO), 1), ((UNSURE, HALF), 0.25)],
    "brier_reliability": [((SURE, YES), 0), ((SURE, NO), 1), ((UNSURE, HALF), 0)],
    "brier_resolution": [((SURE, YES), 0), ((UNSURE, HALF), 0), ((HALF * 1.0, HALF), 0.25)],
    "brier_uncertainty": [((SURE, YES), 0), ((SURE, NO), 0), ((SURE, HALF), 0.25)],
    "brier_within_bins": [((SURE, YES), 0), ((UNSURE, HALF), 0), ((SURE[:1], NO[:1]), 0)],
    "temperature": [
        ((CERTAIN, np.arange(4)), "No temp"),
        ((CERTAIN, np.arange(1, 5)), "No temp"),
        ((FLAT, NO * 1), "No"),
    ],
    "error_ratio": [((HALF, HALF), 0), ((HALF, ~HALF), 2), ((YES, HALF), "divide by 0"), ((HALF, NO), "No image")],
    "shape_bias": [((NO * 1, NO * 1, YES * 1), 1), ((YES * 1, NO * 1, YES * 1), 0), ((NO * 1, NO * 1, NO * 1), "None")],
    "cue_accuracy": [
        ((NO * 1, NO * 1, YES * 1), 1),
        ((YES * 2, NO * 1, YES * 1), 0),
        ((NO * 1, NO * 1, NO * 1), "None"),
    ],
    "error_consistency": [((HALF, HALF), 1), ((HALF, ~HALF), -1), ((HALF, YES), 0), ((YES, YES), "right on all")],
    "auroc": [((SURE, UNSURE), 1), ((UNSURE, SURE), 0), ((SURE, SURE), 0.5), ((SURE, SURE[:0]), "needs both")],
    "fpr_at_95": [((SURE, UNSURE), 0), ((UNSURE, SURE), 1), ((SURE, SURE), 1), ((SURE[:0], SURE), "needs both")],
    "fpr_at_95_out": [((SURE, UNSURE), 0), ((UNSURE, SURE), 1), ((SURE, SURE), 1), ((SURE[:0], SURE), "needs both")],
    "aupr_out": [((SURE, UNSURE), 1), ((UNSURE, SURE), 0.5), ((SURE, SURE), 0.5), ((SURE[:0], SURE), "needs both")],
    "aupr_in": [((SURE, UNSURE), 1), ((UNSURE, SURE), 0.5), ((SURE, SURE), 0.5), ((SURE[:0], SURE), "needs both")],
}
"""At its best and its worst, on ties, on one image: the value, or the reason why there is none."""
TWO_SAMPLES = {"auroc", "fpr_at_95", "fpr_at_95_out", "aupr_in", "aupr_out"}
TIES_FOLLOW_ORDER = {"ece_equal_mass"}  # a tie across a cut between two bins is broken by position


def metric(name: str) -> Callable[..., float]:
    found: list[Callable[..., float]] = [getattr(module, name) for module in MODULES if hasattr(module, name)]
    return found[0]


def shuffled(rng: np.random.Generator, name: str, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    if name in TWO_SAMPLES:
        return tuple(rng.permutation(array) for array in arrays)
    order = rng.permutation(len(arrays[0]))
    return tuple(array[order] for array in arrays)


def tied(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(array.round(1) if array.dtype == np.float64 else array for array in arrays)


def test_every_metric_has_its_row() -> None:
    public = {
        name
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and inspect.signature(function).return_annotation == "float"
    }
    assert {name for name in public if not name.startswith("_")} == set(PROPERTIES)


@pytest.mark.parametrize("name", PROPERTIES)
def test_at_its_edges(name: str) -> None:
    for arguments, expected in EDGES[name]:
        if isinstance(expected, str):
            with pytest.raises(ValueError, match=expected):
                metric(name)(*arguments)
        else:
            assert metric(name)(*arguments) == pytest.approx(expected, abs=1e-9), arguments


@pytest.mark.parametrize("name", PROPERTIES)
def test_stays_in_range_and_leaves_its_arguments_alone(name: str) -> None:
    row = PROPERTIES[name]
    for seed in range(10):
        arrays = row.make(np.random.default_rng(seed), 1.0)
        before = [array.copy() for array in arrays]
        value = metric(name)(*arrays)
        assert type(value) is float
        assert row.low <= value <= row.high
        assert all(np.array_equal(*pair) for pair in zip(before, arrays, strict=True))


@pytest.mark.parametrize("name", PROPERTIES)
def test_moves_the_stated_way(name: str) -> None:
    row = PROPERTIES[name]
    values = [metric(name)(*row.make(np.random.default_rng(0), skill)) for skill in (0.5, 1.5, 3.0)]
    assert sorted(values, reverse=row.direction < 0) == values
    assert len(set(values)) == 3


@pytest.mark.parametrize("name", PROPERTIES)
def test_order_of_images_does_not_matter(name: str) -> None:
    rng = np.random.default_rng(1)
    arrays = PROPERTIES[name].make(rng, 1.0)
    assert metric(name)(*shuffled(rng, name, arrays)) == pytest.approx(metric(name)(*arrays), abs=1e-9)


@pytest.mark.parametrize("name", sorted(set(PROPERTIES) - TIES_FOLLOW_ORDER - {"nll", "brier"}))
def test_order_does_not_matter_among_ties(name: str) -> None:
    rng = np.random.default_rng(2)
    arrays = tied(PROPERTIES[name].make(rng, 1.0))
    assert metric(name)(*shuffled(rng, name, arrays)) == pytest.approx(metric(name)(*arrays), abs=1e-9)


@pytest.mark.parametrize("name", PROPERTIES)
def test_refuses_nothing_at_all(name: str) -> None:
    arrays = PROPERTIES[name].make(np.random.default_rng(3), 1.0)
    with pytest.raises(ValueError, match=r"no images|are 0 ID"):
        metric(name)(*(array[:0] for array in arrays))


@pytest.mark.parametrize("name", sorted(set(PROPERTIES) - TWO_SAMPLES))
def test_refuses_arrays_of_different_length(name: str) -> None:
    first, *others = PROPERTIES[name].make(np.random.default_rng(4), 1.0)
    with pytest.raises(ValueError, match="differ in length"):
        metric(name)(first, *(array[1:] for array in others))


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_the_docstrings_run(module: Any) -> None:
    found = doctest.testmod(module, extraglobs={"np": np})
    assert found.attempted >= 1
    assert found.failed == 0


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: metrics.top5(np.zeros((2, 5)), np.array([0, 1])), "always right"),
        (lambda: metrics.top1(np.array([[0.0, np.nan]]), np.array([0])), "not numbers"),
        (lambda: metrics.top1(np.zeros((1, 2)), np.array([2])), "must be below"),
        (lambda: metrics.log_softmax(np.array([[0.0, np.inf]])), "not finite"),
        (lambda: metrics.nll(np.array([[0.0, -np.inf]]), np.array([1])), "probability 0"),
        (lambda: reliability.ece(np.array([1.2]), np.array([True])), "must lie in 0 to 1"),
        (lambda: temperature.temperature(np.array([[2.0, 1.0]]), np.array([0])), "No temperature in 0.01 to 10"),
        (lambda: temperature.temperature(np.array([[2.0, 1.0]]), np.array([1])), "No temperature in 0.01 to 10"),
        (lambda: metrics.error_ratio(np.array([True]), np.array([True])), "divide by 0"),
        (lambda: metrics.error_ratio(np.array([False]), np.array([False])), "No image shows"),
        (lambda: metrics.shape_bias(np.array([2]), np.array([0]), np.array([1])), "None of 1 decisions"),
        (lambda: metrics.cue_accuracy(np.array([1]), np.array([1]), np.array([1])), "None of 1 images"),
        (lambda: detection.auroc(np.array([1.0]), np.array([])), "0 out images"),
        (lambda: detection.aupr_in(np.array([1.0]), np.array([np.nan])), "1 of 2 scores are not numbers"),
    ],
)
def test_undefined_is_refused_with_its_reason(call: Callable[[], float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        call()


def test_ece_bins_are_open_below_and_closed_above() -> None:
    # With 5 bins, 0.2 is the last of the first bin: (-0.2 + 0.8) / 2; 0 joins it.
    assert reliability.ece(np.array([0.2, 0.1]), np.array([True, False]), bins=5) == pytest.approx(0.35)
    assert reliability.ece(np.array([0.0, 0.2]), np.array([True, False]), bins=5) == pytest.approx(0.4)
    assert reliability.ece(np.array([0.2, 0.21]), np.array([True, False]), bins=5) == pytest.approx(0.505)
    # A confidence of exactly 1 is in the last bin, with 0.9, not in one of its own.
    assert reliability.ece(np.array([1.0, 0.9]), np.array([False, True]), bins=5) == pytest.approx(0.45)


def test_ties_among_logits_go_to_the_first_class() -> None:
    logits = np.zeros((6, 6))
    assert metrics.top1(logits, np.arange(6)) == pytest.approx(1 / 6)
    assert metrics.top5(logits, np.arange(6)) == pytest.approx(5 / 6)


def test_fpr_of_each_direction_by_hand() -> None:
    known, out = np.arange(20.0), np.array([0.0, 1.0, 1.5, 30.0])
    assert detection.fpr_at_95(known, out) == 0.75  # threshold 1: 19 of 20 ID are kept, and 3 of 4 out
    assert detection.fpr_at_95_out(known, out) == 1.0  # all of out must be rejected, so the threshold is 30


def test_temperature_of_two_classes_is_a_ratio_of_logits() -> None:
    # Logits (3, 0) and 80 % right: the likelihood is best where 3 / T = ln(0.8 / 0.2).
    logits, labels = np.tile([3.0, 0.0], (10, 1)), np.array([0] * 8 + [1] * 2)
    assert temperature.temperature(logits, labels) == pytest.approx(3 / np.log(4), abs=1e-8)
    assert temperature.temperature(logits + 100, labels) == pytest.approx(3 / np.log(4), abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_ranking_equals_scikit_learn_with_and_without_ties(seed: int) -> None:
    for known, out in (scored(np.random.default_rng(seed), 1.0), tied(scored(np.random.default_rng(seed), 1.0))):
        truth, scores = np.repeat([1, 0], [len(known), len(out)]), np.concatenate([known, out])
        assert detection.auroc(known, out) == pytest.approx(sk.roc_auc_score(truth, scores), abs=SAME)
        assert detection.aupr_in(known, out) == pytest.approx(sk.average_precision_score(truth, scores), abs=SAME)
        for value, positive, sign in ((detection.fpr_at_95, truth, 1), (detection.fpr_at_95_out, 1 - truth, -1)):
            fpr, tpr, _ = sk.roc_curve(positive, sign * scores, drop_intermediate=False)
            assert value(known, out) == fpr[tpr >= 0.95].min()


@pytest.mark.parametrize("seed", range(5))
def test_accuracies_and_losses_equal_scikit_learn(seed: int) -> None:
    logits, labels = classified(np.random.default_rng(seed), 1.0)
    logs = metrics.log_softmax(logits)
    classes = list(range(8))
    assert metrics.top1(logits, labels) == sk.top_k_accuracy_score(labels, logits, k=1, labels=classes)
    assert metrics.top5(logits, labels) == sk.top_k_accuracy_score(labels, logits, k=5, labels=classes)
    assert metrics.nll(logs, labels) == pytest.approx(sk.log_loss(labels, np.exp(logs), labels=classes), abs=SAME)
    brier = np.mean([sk.brier_score_loss(labels == c, np.exp(logs)[:, c]) for c in classes]) * len(classes)
    assert metrics.brier(np.exp(logs), labels) == pytest.approx(brier, abs=SAME)


@pytest.mark.parametrize("seed", range(5))
def test_ece_equals_torchmetrics_where_no_confidence_is_exactly_one(seed: int) -> None:
    logits, labels = classified(np.random.default_rng(seed), 2.0)
    probability = np.exp(metrics.log_softmax(logits))
    outside = multiclass_calibration_error(torch.tensor(probability), torch.tensor(labels), num_classes=8, n_bins=15)
    correct = metrics.hits(logits, labels)
    # torchmetrics sums in float32.
    assert reliability.ece(probability.max(axis=1), correct) == pytest.approx(float(outside), abs=1e-6)


def test_log_softmax_keeps_what_float32_would_lose() -> None:
    logits = np.array([[40.0, 0.0]], dtype=np.float32)
    assert metrics.log_softmax(logits)[0, 0] == pytest.approx(-np.exp(-40.0), rel=1e-3)
    assert metrics.log_softmax(logits, temperature=40.0)[0, 0] == pytest.approx(-np.log1p(np.exp(-1)))
