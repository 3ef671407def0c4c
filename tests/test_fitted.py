"""OOD scores that are fitted: against pytorch-ood, against the formulas in float64, and where they are undefined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from predicted import head, under
from pytorch_ood import detector as outside
from scipy.special import logsumexp, softmax

from engine.predictions import Head, Predictions
from studies import detection, fitted
from studies.blocks import score, scored
from studies.fitted import FITTED_SCORES
from studies.fitting import Fitting, some

# Float64 statistics in another order; features and logits are float32.
CLOSE = 1e-6


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)  # pytorch-ood sums in the default type
    yield
    torch.set_default_dtype(torch.float32)


def world(seed: int, *, kind: str = "learned") -> tuple[Fitting, Predictions]:
    """ID images to fit on, all classes among them and some right in each, and others to score."""
    rng = np.random.default_rng(seed)
    classes, width, n = int(rng.integers(2, 6)), int(rng.integers(6, 14)), 60
    of = head(rng, classes, width, kind)
    labels = np.arange(n) % classes
    features = 3 * of.weight[labels] + rng.normal(size=(n, width)) * rng.uniform(0.5, 2, width)
    odd = rng.normal(scale=2, size=(7, width))
    if kind == "zero_shot":
        features, odd = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (features, odd))
    if seed % 4 == 0:
        features, odd = features.round(1), odd.round(1)  # ties
    return Fitting(under(of, features, labels)), under(of, odd)


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values, dtype=np.float64))


def last_layer(predictions: Predictions) -> Callable[[torch.Tensor], torch.Tensor]:
    weight, bias = tensor(predictions.head.weight) * predictions.head.scale, tensor(predictions.head.bias)
    return lambda features: features @ weight.T + bias


def fitted_outside(detector: Any, fitting: Fitting, shown: Predictions, *, times: float = 1.0) -> np.ndarray:
    detector.fit_features(times * tensor(fitting.features), torch.tensor(fitting.predictions.labels))
    return -detector.predict_features(times * tensor(shown.features)).numpy()


def of_kl_matching(fitting: Fitting, shown: Predictions) -> np.ndarray:
    detector = outside.KLMatching(None).fit_logits(tensor(fitting.logits))
    return -detector.predict_logits(tensor(shown.logits)).numpy()


def of_mahalanobis(fitting: Fitting, shown: Predictions) -> np.ndarray:
    # Half the distance, and under the sum of squares, not their mean.
    return 2 * len(fitting.features) * fitted_outside(outside.Mahalanobis(None), fitting, shown, times=1e3)


def of_relative_mahalanobis(fitting: Fitting, shown: Predictions) -> np.ndarray:
    return len(fitting.features) * fitted_outside(
        outside.RMD(None), fitting, shown, times=1e3
    )  # as above, but for the half


def of_knn(fitting: Fitting, shown: Predictions) -> np.ndarray:
    return fitted_outside(outside.KNN(None, k=10, algorithm="brute"), fitting, shown)


def of_nnguide(fitting: Fitting, shown: Predictions) -> np.ndarray:
    layer = last_layer(shown)
    detector = outside.NNGuide(None, lambda features: layer(features.double()), k=10)  # it keeps float32
    return fitted_outside(detector, fitting, shown)


def of_react(fitting: Fitting, shown: Predictions) -> np.ndarray:
    detector = outside.ReAct(None, last_layer(shown), percentile=0.9)
    detector.fit_feature_maps(tensor(fitting.features), torch.tensor(fitting.predictions.labels))
    return -detector.predict_feature_maps(tensor(shown.features)).numpy()


def of_she(fitting: Fitting, shown: Predictions) -> np.ndarray:
    return fitted_outside(outside.SHE(None, last_layer(shown)), fitting, shown)


def vim_by_formula(fitting: Fitting, shown: Predictions) -> np.ndarray:
    """Wang et al. 2022, by a singular value decomposition; pytorch-ood's is float32 and given the dimension."""
    weight, bias = shown.head.weight.astype(np.float64) * shown.head.scale, shown.head.bias.astype(np.float64)
    origin = -np.linalg.pinv(weight) @ bias
    centred = fitting.features - origin
    principal = np.linalg.svd(centred)[2][: centred.shape[1] // 2]
    residual = [rows - rows @ principal.T @ principal for rows in (centred, shown.features - origin)]
    of_fitting, of_shown = (np.linalg.norm(rows, axis=1) for rows in residual)
    alpha = (fitting.features @ weight.T + bias).max(axis=1).mean() / of_fitting.mean()
    return logsumexp(shown.features @ weight.T + bias, axis=1) - alpha * of_shown


OUTSIDE: dict[str, tuple[Callable[[Fitting, Predictions], np.ndarray], float]] = {
    "kl_matching": (of_kl_matching, CLOSE),
    # They add 1e-6 to the diagonal of their sums of squares: little where features are a thousand times as large.
    "mahalanobis": (of_mahalanobis, CLOSE),
    "relative_mahalanobis": (of_relative_mahalanobis, CLOSE),
    "knn": (of_knn, CLOSE),
    "nnguide": (of_nnguide, CLOSE),
    "vim": (vim_by_formula, CLOSE),
    "react": (of_react, CLOSE),
    "she": (of_she, CLOSE),
}


def test_every_fitted_score_is_met_by_an_outside_one() -> None:
    assert set(OUTSIDE) == set(FITTED_SCORES)


def every_class_is_right_once(fitting: Fitting) -> bool:
    labels = fitting.predictions.labels
    return len(set(labels[labels == fitting.logits.argmax(axis=1)])) == fitting.logits.shape[1]


@pytest.mark.parametrize("name", OUTSIDE)
def test_equals_the_outside_one_on_a_thousand_images(name: str) -> None:
    reference, close = OUTSIDE[name]
    learned_only = name in ("react", "she")
    compared = 0
    for seed in range(150):  # of 7 images each
        fitting, shown = world(seed, kind="zero_shot" if seed % 3 == 0 and not learned_only else "learned")
        found = score(shown, FITTED_SCORES[name](fitting))
        if name == "she" and not every_class_is_right_once(fitting):
            continue  # pytorch-ood refuses; ours takes all images of that class
        want = reference(fitting, shown)
        assert (np.abs(found - want) <= close * (1 + np.abs(want).max())).all(), f"case {seed}: {found} and {want}"
        compared += 1
    assert compared > 100


@pytest.mark.parametrize("name", FITTED_SCORES)
def test_higher_means_more_like_what_fitted(name: str) -> None:
    rng = np.random.default_rng(0)
    of = Head("learned", "learned", np.eye(3, 6, dtype=np.float32), np.zeros(3, np.float32), 1.0)
    axes, labels = 5 * np.eye(6), np.arange(90) % 3
    # Three classes along the first three axes; pictures of something else along the others, which the head ignores.
    features, odd = axes[labels] + rng.normal(size=(90, 6)), axes[3 + labels] + rng.normal(size=(90, 6))
    function = FITTED_SCORES[name](Fitting(under(of, features[:60], labels[:60])))
    assert detection.auroc(score(under(of, features[60:]), function), score(under(of, odd), function)) > 0.75


@pytest.mark.parametrize("name", FITTED_SCORES)
def test_block_size_changes_nothing(name: str) -> None:
    fitting, shown = world(2)
    function = {name: FITTED_SCORES[name](fitting)}
    whole, single = (scored(shown, function, entries=entries).scores[name] for entries in (10**6, 1))
    assert single == pytest.approx(whole, rel=CLOSE)  # matrix products round by their shape


def test_scores_share_what_they_need_and_do_not_mix_it_up() -> None:
    one, shown = world(3)
    fits = one, Fitting(some(one.predictions, np.arange(40)))
    both = {f"{name} {at}": FITTED_SCORES[name](fit) for at, fit in enumerate(fits) for name in OUTSIDE}
    together = scored(shown, both).scores
    for name in OUTSIDE:
        alone = [score(shown, FITTED_SCORES[name](fit)) for fit in fits]
        assert not np.allclose(*alone)
        for at, values in enumerate(alone):
            assert together[f"{name} {at}"] == pytest.approx(values, rel=1e-12)


def test_directions_without_variance_are_left_out_of_mahalanobis() -> None:
    fitting, shown = world(5)
    wide = [np.concatenate([each.features, np.zeros((len(each.features), 2))], axis=1) for each in (fitting, shown)]
    weight = np.concatenate([shown.head.weight, np.ones((len(shown.head.weight), 2), np.float32)], axis=1)
    dead = replace(shown.head, weight=weight)
    wider = Fitting(under(dead, wide[0], fitting.predictions.labels))
    for name in ("mahalanobis", "relative_mahalanobis"):
        want = score(shown, FITTED_SCORES[name](fitting))
        assert score(under(dead, wide[1]), FITTED_SCORES[name](wider)) == pytest.approx(want, rel=1e-8)


def test_kl_matching_of_a_typical_image_is_zero_even_where_probabilities_vanish() -> None:
    fitting, _ = world(6)
    sure = replace(fitting.predictions, logits=fitting.logits * np.float32(1e4))
    found = score(sure, fitted.kl_matching(Fitting(sure)))
    typical = softmax(sure.logits.astype(np.float64), axis=1).max(axis=1) == 1
    assert typical.any()
    assert np.isfinite(found).all()
    assert found[typical] == pytest.approx(0, abs=1e-9)


def test_she_takes_all_images_of_a_class_without_a_right_one_and_needs_some() -> None:
    fitting, _ = world(8)
    wrong = np.roll(fitting.logits.argmax(axis=1), 0)
    labels = (wrong + 1) % fitting.logits.shape[1]  # none is right
    none_right = Fitting(replace(fitting.predictions, labels=labels))
    found = score(fitting.predictions, fitted.she(none_right))
    means = {label: fitting.features[labels == label].mean(axis=0, dtype=np.float64) for label in set(labels.tolist())}
    want = [row @ means[label] for row, label in zip(fitting.features.astype(np.float64), wrong.tolist(), strict=True)]
    assert found == pytest.approx(want, rel=1e-9)
    taken_for = int(wrong[0])
    without = Fitting(some(fitting.predictions, np.flatnonzero(fitting.predictions.labels != taken_for)))
    with pytest.raises(ValueError, match=f"no pattern of class {taken_for}"):
        score(fitting.predictions, fitted.she(without))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("knn", lambda fitting: Fitting(some(fitting.predictions, np.arange(9))), "10 neighbours; only 9 images fit"),
        ("nnguide", lambda fitting: Fitting(some(fitting.predictions, np.arange(9))), "10 neighbours; only 9"),
        ("nnguide", lambda fitting: below(fitting), "energies, and their mean over the images that fit is -"),
        ("vim", lambda fitting: below(fitting), "largest logits, and their mean over the images that fit is -"),
        ("mahalanobis", lambda fitting: Fitting(some(fitting.predictions, np.array([0]))), "do not vary"),
        ("react", lambda _: world(3, kind="zero_shot")[0], "is zero_shot and has none"),
        ("she", lambda _: world(3, kind="zero_shot")[0], "is zero_shot and has none"),
    ],
)
def test_what_is_undefined_says_why(name: str, change: Callable[[Fitting], Fitting], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        FITTED_SCORES[name](change(world(3)[0]))


def below(fitting: Fitting) -> Fitting:
    of = replace(fitting.predictions.head, bias=fitting.predictions.head.bias - np.float32(1e3))
    return Fitting(under(of, fitting.features, fitting.predictions.labels))
