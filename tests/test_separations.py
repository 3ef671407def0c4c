"""Errors of AUROC, AUPR and FPR: by simulation against known truths, by leaving images out, by their definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from pytorch_ood.metrics import functional
from scipy import stats

from studies import detection, separations
from studies.detection import Sample, Separation
from studies.estimates import Estimate

# float64 arithmetic in another order of summation.
SAME = 1e-12
DRAWS = 500
Z = stats.norm.ppf(0.975)
Scores = tuple[np.ndarray, np.ndarray]
Estimator = Callable[[Separation], Estimate]


@dataclass(frozen=True)
class Shape:
    """Normal scores: ID of this mean and spread 1, out of mean 0; rounded to multiples of `step` where it is not 0."""

    n_known: int
    n_out: int
    mean: float
    spread_out: float = 1.0
    step: float = 0.0

    def draw(self, seed: int) -> Scores:
        """Scores of ID and of out images."""
        rng = np.random.default_rng(seed)
        known, out = rng.normal(self.mean, size=self.n_known), rng.normal(scale=self.spread_out, size=self.n_out)
        return (known, out) if not self.step else ((known / self.step).round(), (out / self.step).round())

    def true_fpr(self) -> float:
        """Share of all out images above the score that 95 % of all ID images reach."""
        threshold = self.mean + stats.norm.ppf(0.05)
        if self.step:
            grid = np.arange(-10, 10, self.step) - self.step / 2  # a rounded score of at least s is one of s - step / 2
            threshold = grid[stats.norm.sf(grid - self.mean) >= 0.95].max()
        return float(stats.norm.sf(threshold / self.spread_out))

    def true_auroc(self) -> float:
        """Probability that an ID image scores higher, of scores that are not tied."""
        return float(stats.norm.cdf(self.mean / np.hypot(1, self.spread_out)))

    def true_aupr(self) -> float:
        """Mean precision at the score of an ID image, by integration."""
        at = np.linspace(-12, 14, 400_001)
        known = self.n_known * stats.norm.sf(at - self.mean)
        return float(np.trapezoid(stats.norm.pdf(at - self.mean) * self._precision(known, at), at))

    def _precision(self, known: np.ndarray, at: np.ndarray) -> np.ndarray:
        return known / np.maximum(known + self.n_out * stats.norm.sf(at / self.spread_out), 1e-300)


OVERLAPPING, WIDE = Shape(300, 200, 1.0), Shape(300, 2000, 1.0, 3.0)
NEARLY_SEPARATED = Shape(1000, 800, 3.5)
FINELY_TIED, TIED = Shape(300, 200, 1.0, step=0.1), Shape(600, 300, 1.0, step=0.2)
SMALL = Shape(100, 50, 1.0)
FPR_SHAPES = [OVERLAPPING, WIDE, NEARLY_SEPARATED, FINELY_TIED, TIED, SMALL]


def covered(estimate: Estimator, shape: Shape, truth: float) -> float:
    """Share of simulated data sets whose 95 % interval has the truth in it; one without an error has not."""
    found = [estimate(Separation.of(*shape.draw(seed))) for seed in range(DRAWS)]
    return float(np.mean([abs(each.value - truth) < Z * (each.std_error or 0) for each in found]))


@pytest.mark.parametrize("shape", FPR_SHAPES, ids=str)
def test_intervals_of_fpr_cover_the_truth(shape: Shape) -> None:
    assert 0.92 <= covered(separations.fpr_at_95, shape, shape.true_fpr()) <= 0.98


@pytest.mark.parametrize("shape", FPR_SHAPES, ids=str)
def test_intervals_of_the_other_fpr_cover_the_truth(shape: Shape) -> None:
    turned = partial(_turned, separations.fpr_at_95_out)
    assert 0.92 <= covered(turned, shape, shape.true_fpr()) <= 0.98


def _turned(estimate: Estimator, pair: Separation) -> Estimate:
    return estimate(pair.mirrored())


@pytest.mark.parametrize("shape", [OVERLAPPING, WIDE, Shape(1000, 800, 2.0), Shape(300, 200, 1.0, step=1e-6)], ids=str)
def test_intervals_of_auroc_and_aupr_cover_the_truth(shape: Shape) -> None:
    assert 0.93 <= covered(separations.auroc, shape, shape.true_auroc()) <= 0.97
    assert 0.93 <= covered(separations.aupr_in, shape, shape.true_aupr()) <= 0.97
    assert 0.93 <= covered(partial(_turned, separations.aupr_out), shape, shape.true_aupr()) <= 0.97


@pytest.mark.parametrize("metric", [separations.fpr_at_95, separations.auroc, separations.aupr_in])
def test_intervals_of_a_paired_difference_cover_the_truth(metric: Estimator) -> None:
    hits, errors, apart = 0, [], []
    for seed in range(DRAWS):
        rng, (known, out) = np.random.default_rng([seed, 1]), OVERLAPPING.draw(seed)
        pairs = [
            Separation.of(known + rng.normal(scale=0.3, size=300), out + rng.normal(scale=0.3, size=200))
            for _ in range(2)
        ]
        first, second = map(metric, pairs)
        difference = first - second
        hits += abs(difference.value) < Z * (difference.std_error or 0)
        errors.append(difference.std_error)
        apart.append(np.hypot(first.std_error or 0, second.std_error or 0))
    # FPR moves in steps of an out image, so what moves little has wide intervals.
    assert 0.92 <= hits / DRAWS <= 0.985
    assert np.mean(errors) < 0.8 * np.mean(apart)


def tied(seed: int) -> Scores:
    known, out = OVERLAPPING.draw(seed)
    return known.round(1), out.round(1)


@pytest.mark.parametrize("estimate", [separations.auroc, separations.aupr_in])
def test_influences_equal_what_leaving_an_image_out_does(estimate: Estimator) -> None:
    samples = tied(7)
    found = estimate(Separation.of(*samples))
    for sample, influences in enumerate(found.influences):
        moved = []
        for left_out in range(len(influences)):
            fewer = [np.delete(each, left_out) if at == sample else each for at, each in enumerate(samples)]
            moved.append((len(influences) - 1) * (found.value - estimate(Separation.of(*fewer)).value))
        centred = influences - influences.mean()
        # Equal up to terms of order 1 / n, n being 200 or more.
        assert np.array(moved) - np.mean(moved) == pytest.approx(centred, abs=0.05 * float(centred.std()), rel=0.05)


@pytest.mark.parametrize(
    ("of_out", "of_known"),
    [(separations.aupr_out, separations.aupr_in), (separations.fpr_at_95_out, separations.fpr_at_95)],
)
def test_with_out_as_positive_both_samples_change_places_and_signs(of_out: Estimator, of_known: Estimator) -> None:
    known, out = tied(3)
    found, want = of_out(Separation.of(known, out)), of_known(Separation.of(-out, -known))
    assert (found.value, found.std_error, found.n) == (want.value, want.std_error, 500)
    assert [*map(len, found.influences)] == [300, 200]
    assert np.array_equal(found.influences[0], want.influences[1])
    assert np.array_equal(found.influences[1], want.influences[0])


def test_delong_error_equals_the_definition() -> None:
    known, out = tied(5)
    wins = (known[:, None] > out) + 0.5 * (known[:, None] == out)
    variance = wins.mean(axis=1).var(ddof=1) / len(known) + wins.mean(axis=0).var(ddof=1) / len(out)
    found = separations.auroc(Separation.of(known, out))
    assert found.std_error == pytest.approx(np.sqrt(variance), abs=SAME)
    assert found.influences[0] == pytest.approx(wins.mean(axis=1), abs=SAME)


def test_error_of_fpr_by_hand() -> None:
    known, out = np.arange(100.0), np.array([4.5, 5.5, 50.5, 0.5] * 5)  # threshold 5: 10 of 20 pass
    found = separations.fpr_at_95(Separation.of(known, out))
    # The 6th of 100 has beta variance 6 * 95 / (101^2 * 102) and so may be 5 places off: 0 to 10, over which 15 of 20
    # out images lie among 10 of 100 steps. One of 100 scores rounds it by a hundredth, whose variance is a twelfth
    # of its square. Of 20, two more on either side: 12 of 24.
    level, ratio = 6 * 95 / (101**2 * 102) + 0.01**2 / 12, (15 / 20) / (10 / 100)
    assert found.value == 0.5
    assert found.std_error == pytest.approx(np.sqrt(0.5 * 0.5 / 24 + ratio**2 * level))
    of_known, of_out = found.influences
    assert of_out.tolist() == [0, 1, 1, 0] * 5
    assert of_known[:7] / of_known[0] == pytest.approx([1, 1, 1, 1, 1, 0.5, 0])


def test_no_error_where_the_images_show_no_variation() -> None:
    apart = Separation.of(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    for estimate in (separations.auroc, separations.aupr_in, separations.aupr_out, separations.fpr_at_95):
        assert estimate(apart).std_error is None
    assert separations.fpr_at_95(Separation.of(np.zeros(30), np.ones(30))).std_error is None
    held = separations.fpr_at_95(Separation.of(np.ones(30), np.array([0.0, 1.0] * 15)))
    # All ID images are tied, so the threshold is where it is, and only the out images vary.
    assert held.std_error == pytest.approx(np.sqrt(17 / 34 * 17 / 34 / 34))


def cases(count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Scores of many kinds: plain, tied, constant, one image each, huge, and confidences of exactly 0 and 1."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        known, out = rng.normal(0.5, size=rng.integers(1, 50)), rng.normal(size=rng.integers(1, 50))
        kind = ("plain", "tied", "constant", "one", "huge", "certain")[seed % 6]
        if kind == "tied":
            known, out = known.round(), out.round()
        elif kind == "constant":
            known, out = np.zeros(len(known)), out if seed % 4 else np.zeros(len(out))
        elif kind == "one":
            known, out = known[:1], out[: 1 + seed % 2]
        elif kind == "huge":
            known, out = (1e4 * each for each in (known, out))
        elif kind == "certain":
            known, out = (np.clip(each.round(1), 0, 1) for each in (known, out))
        yield f"case {seed}, {kind}", known, out


def test_metrics_equal_scikit_learn_on_a_thousand_cases() -> None:
    for case, known, out in cases(1000):
        truth, scores = np.repeat([1, 0], [len(known), len(out)]), np.concatenate([known, out])
        assert detection.auroc(known, out) == pytest.approx(sk.roc_auc_score(truth, scores), abs=SAME), case
        for sign, aupr, fpr_at_95 in (
            (1, detection.aupr_in, detection.fpr_at_95),
            (-1, detection.aupr_out, detection.fpr_at_95_out),
        ):
            positive = truth if sign > 0 else 1 - truth
            assert aupr(known, out) == pytest.approx(sk.average_precision_score(positive, sign * scores), abs=SAME), (
                case
            )
            fpr, tpr, _ = sk.roc_curve(positive, sign * scores, drop_intermediate=False)
            assert fpr_at_95(known, out) == fpr[tpr >= 0.95].min(), case


def test_metrics_equal_pytorch_ood_on_a_thousand_cases() -> None:
    for case, known, out in cases(1000):
        outlier = torch.tensor(-np.concatenate([known, out]))
        labels = torch.tensor(np.repeat([1, -1], [len(known), len(out)]))
        assert detection.auroc(known, out) == pytest.approx(float(functional.auroc(outlier, labels)), abs=SAME), case
        assert detection.fpr_at_95_out(known, out) == float(functional.fpr_at_tpr(outlier, labels)), case
        turned = functional.fpr_at_tpr(-outlier, -labels)
        assert detection.fpr_at_95(known, out) == float(turned), case
        for positive, aupr in (("id", detection.aupr_in), ("ood", detection.aupr_out)):
            # Its own AUPR is of trapezoids; the steps are those of its curve.
            precision, recall, _ = (each.numpy() for each in functional.pr_curve(outlier, labels, positive))
            want = -np.sum(np.diff(recall) * precision[:-1])
            assert aupr(known, out) == pytest.approx(want, abs=SAME), case


def test_a_sample_serves_many_separations_and_knows_its_mirror_image() -> None:
    known, out = tied(9)
    once, anew = Separation.of(Sample.of(known), out), Separation.of(known, Sample.of(out))
    mirrored, negative = once.mirrored(), Separation.of(-out, -known)
    for one, other in ((once, anew), (mirrored, negative)):
        for name in ("out_below", "out_at_most", "known_below", "known_at_most"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        for sample, same in ((one.known, other.known), (one.out, other.out)):
            assert np.array_equal(sample.scores, same.scores)
            assert np.array_equal(sample.below, same.below)
            assert np.array_equal(sample.at_most, same.at_most)
    assert mirrored.known.by_image(mirrored.known.scores).tolist() == (-out).tolist()
