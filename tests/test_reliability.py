"""Calibration metrics against outside implementations and plain transcriptions, on random and on adversarial cases."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import integrate, optimize
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_calibration_error

from studies import metrics, outcomes, reliability
from studies.metrics import Bools, Doubles, Floats, Ints

CASES = 1000
FLOAT32 = 1e-6  # torchmetrics sums in float32


def cases(seed: int = 0) -> Iterator[tuple[Floats, Ints]]:
    """Logits (n, c) and labels: few images, saturated, flat, tied, with classes that are absent, of any size."""
    for number in range(CASES):
        rng = np.random.default_rng((seed, number))
        n, c = int(rng.choice([1, 2, 7, 50, 300])), int(rng.choice([2, 3, 10]))
        scale = float(rng.choice([0.0, 0.1, 1.0, 5.0, 300.0, 1e4]))
        logits = (rng.normal(size=(n, c)) * scale).astype(np.float32)
        if rng.uniform() < 0.3:
            logits = logits.round()
        yield logits + np.float32(rng.choice([0, 1000])), rng.integers(0, c - int(rng.integers(0, 2)), n)


def off_the_edges(confidence: Doubles) -> Bools:
    """Confidences that no float32 arithmetic can carry over an edge of 15 bins, nor to exactly 1."""
    return np.abs(confidence * 15 - np.round(confidence * 15)) > 1e-4


def test_ece_and_mce_equal_torchmetrics_off_the_edges_of_bins() -> None:
    compared = 0
    for number, (logits, labels) in enumerate(cases()):
        found = outcomes.outcomes(logits, labels)
        kept = off_the_edges(found.confidence)
        if not kept.any():
            continue
        probabilities = torch.tensor(np.exp(metrics.log_softmax(logits[kept])))
        for norm, ours in (("l1", reliability.ece), ("max", reliability.mce)):
            theirs = multiclass_calibration_error(
                probabilities, torch.tensor(labels[kept]), num_classes=logits.shape[1], n_bins=15, norm=norm
            )
            value = ours(found.confidence[kept], found.correct[kept])
            assert value == pytest.approx(float(theirs), abs=FLOAT32), f"case {number}, {norm}, n={kept.sum()}"
        compared += 1
    assert compared > CASES / 2


def test_torchmetrics_gives_a_confidence_of_exactly_one_a_bin_of_its_own() -> None:
    # 0.95 is right and 1 is wrong: in one bin the mean gap is (0.05 - 1) / 2; torchmetrics has them in two.
    probabilities = np.array([[0.95, 0.05], [1.0, 0.0]])
    labels = np.array([0, 1])
    theirs = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(labels), num_classes=2, n_bins=15)
    assert float(theirs) == pytest.approx((0.05 + 1) / 2)
    assert reliability.ece(probabilities.max(axis=1), labels == 0) == pytest.approx((1 - 0.05) / 2)


def test_losses_equal_scikit_learn() -> None:
    for number, (logits, labels) in enumerate(cases(1)):
        found, classes = outcomes.outcomes(logits, labels), list(range(logits.shape[1]))
        probabilities = np.exp(metrics.log_softmax(logits))
        truth = np.eye(len(classes))[labels]
        brier = float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))
        assert outcomes.brier(found).value == pytest.approx(brier, abs=1e-12), f"case {number}"
        top = sk.brier_score_loss(np.append(found.correct, [True, False]), np.append(found.confidence, [1.0, 0.0]))
        ours = reliability.brier_top_label(found.confidence, found.correct)
        assert ours * len(labels) == pytest.approx(top * (len(labels) + 2), abs=1e-9), f"case {number}"
        if probabilities.min() > 1e-15:  # scikit-learn clips below the resolution of its type
            nll = sk.log_loss(labels, probabilities, labels=classes)
            assert outcomes.nll(found).value == pytest.approx(nll, abs=1e-9), f"case {number}"


def test_parts_of_the_brier_score_add_up() -> None:
    for number, (logits, labels) in enumerate(cases(2)):
        found = outcomes.outcomes(logits, labels)
        value = {name: outcomes.brier_part(found, name).value for name in outcomes.PARTS}
        murphy = value["brier_reliability"] - value["brier_resolution"] + value["brier_uncertainty"]
        assert value["brier_top_label"] == pytest.approx(murphy + value["brier_within_bins"], abs=1e-12), (
            f"case {number}"
        )


def test_within_bins_is_the_two_components_of_stephenson() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.3, 1, 400)
    correct = rng.uniform(size=400) < confidence
    bin_of, within = np.ceil(confidence * 15), 0.0
    for number in set(bin_of):
        said, right = confidence[bin_of == number], correct[bin_of == number]
        variance, covariance = said.var(), np.mean((said - said.mean()) * (right - right.mean()))
        within += len(said) / 400 * (variance - 2 * covariance)
    assert reliability.brier_within_bins(confidence, correct) == pytest.approx(within, abs=1e-12)


def judged(rng: np.random.Generator) -> tuple[Doubles, Bools]:
    n = int(rng.choice([1, 2, 5, 60]))
    confidence = rng.choice([rng.uniform(size=n), rng.uniform(size=n).round(1), np.repeat(rng.uniform(), n)], axis=0)
    return confidence, rng.uniform(size=n) < confidence


def test_aurc_is_the_mean_over_all_orders_of_tied_images() -> None:
    for number in range(CASES):
        rng = np.random.default_rng((4, number))
        confidence, correct = judged(rng)
        expected, seen, errors = 0.0, 0, 0.0
        for level in sorted(set(confidence), reverse=True):
            tied = ~correct[confidence == level]
            for place in range(1, len(tied) + 1):
                expected += (errors + place * tied.mean()) / (seen + place)
            seen, errors = seen + len(tied), errors + tied.sum()
        assert reliability.aurc(confidence, correct) == pytest.approx(expected / len(correct), abs=1e-12), number


def test_debiased_error_is_that_of_kumar_where_a_bin_says_one_confidence() -> None:
    for number in range(CASES):
        rng = np.random.default_rng((5, number))
        said = (rng.integers(0, 15, 200) + 0.5) / 15
        correct, total, counted = rng.uniform(size=200) < said, 0.0, 0
        for level in set(said):
            right = correct[said == level]
            if len(right) > 1:
                chance = right.mean() * (1 - right.mean()) / (len(right) - 1)
                total += len(right) * ((level - right.mean()) ** 2 - chance)
                counted += len(right)
        assert reliability.squared_ece_debiased(said, correct) == pytest.approx(total / counted, abs=1e-12), number


def test_debiased_error_is_right_on_average_and_the_plain_one_is_not() -> None:
    rng = np.random.default_rng(6)
    draws = [(said, rng.uniform(size=100) < said) for said in rng.uniform(0.5, 1, (2000, 100))]
    debiased = [reliability.squared_ece_debiased(*draw) for draw in draws]
    plain = [reliability.brier_reliability(*draw) for draw in draws]
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / 2000**0.5
    assert np.mean(plain) > 20 * np.std(plain) / 2000**0.5


def smooth_error(confidence: Doubles, correct: Bools, bandwidth: float) -> float:
    """The definition: the integral of the smoothed residuals' absolute value, images reflected at 0 and 1."""
    places = np.linspace(0, 1, 8001)
    reflections = [shift + sign * confidence for shift in (-2, 0, 2) for sign in (-1, 1)]
    density = sum(
        np.exp(-0.5 * ((places[:, None] - where) / bandwidth) ** 2) @ (correct - confidence) for where in reflections
    )
    heights = np.abs(density) / (len(correct) * bandwidth * np.sqrt(2 * np.pi))
    return float(integrate.trapezoid(heights, places))


@pytest.mark.parametrize("seed", range(6))
def test_smooth_ece_equals_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(size=15) ** rng.choice([0.1, 1.0])
    correct = rng.uniform(size=15) < confidence ** rng.choice([0.5, 1.0, 3.0])
    expected = optimize.brentq(lambda width: smooth_error(confidence, correct, width) - width, 5e-3, 1.0, xtol=1e-9)
    assert reliability.smooth_ece(confidence, correct) == pytest.approx(expected, abs=1e-6)
