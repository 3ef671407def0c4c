"""OOD scores that need no fitting: by hand, against pytorch-ood and the formulas in float64, and what holds for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from predicted import block, head, of_logits, under
from pytorch_ood import detector as outside
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import entropy

from engine.predictions import Head, Predictions
from studies import scores
from studies.blocks import score, scored

# Float64 arithmetic in another order; energies near 0 are off by as much as the logits they are of.
CLOSE = 1e-10
NOTHING = 1e-300
# Logits are float32, half of whose last unit is 6e-8.
SINGLE = 1e-6
CLASSES = 4
ALL = scores.SCORES | scores.COSINE_SCORES
SURE, UNSURE = [1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]


def zero_shot(features: list[list[float]], *, scale: float = 10.0, bias: float = 0.0) -> Predictions:
    weight = np.eye(CLASSES, dtype=np.float32)
    return under(Head("openai80", "zero_shot", weight, np.full(CLASSES, bias, np.float32), scale), features)


def shown_for(name: str, features: list[list[float]]) -> Predictions:
    return of_logits(features) if name == "ash" else zero_shot(features)


@pytest.mark.parametrize("name", ALL)
def test_higher_means_more_like_what_the_model_knows(name: str) -> None:
    sure, unsure = score(shown_for(name, [[10.0, 0, 0, 0], [1.0, 1, 1, 1]]), ALL[name])
    assert sure > unsure


@pytest.mark.parametrize("name", ALL)
def test_one_float64_for_each_image_in_order(name: str) -> None:
    both, alone = (score(shown_for(name, rows), ALL[name]) for rows in ([SURE, UNSURE], [UNSURE]))
    assert both.shape == (2,)
    assert both.dtype == np.float64
    assert both[1] == pytest.approx(alone[0], rel=SINGLE)


def test_values_by_hand() -> None:
    shown = block(zero_shot([SURE, UNSURE]))  # logits (10, 0, 0, 0) and (5, 5, 5, 5)
    tail = 3 * np.exp(-10.0)
    assert scores.msp(shown) == pytest.approx([1 / (1 + tail), 0.25])
    assert scores.max_logit(shown) == pytest.approx([10, 5])
    assert scores.energy(shown) == pytest.approx([10 + np.log1p(tail), 5 + np.log(4)])
    assert scores.entropy(shown)[1] == pytest.approx(-np.log(4))
    assert scores.gen(shown)[1] == pytest.approx(-4 * (0.25 * 0.75) ** 0.1)
    assert scores.mcm(shown) == pytest.approx([np.e / (np.e + 3), 0.25])
    # Of two activations, 3 and 1, one is kept: 3 exp(4 / 3) is left, beside 0.
    logits = [3 * np.exp(4 / 3), 0]
    assert scores.ash(block(of_logits([[3.0, 1.0]]))) == pytest.approx([logsumexp(logits)])


def cases(count: int) -> Iterator[tuple[str, np.ndarray]]:
    """Logits (n, c) of many kinds: plain, tied, constant, huge, and as sure as float32 can say."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        n, c = rng.integers(1, 6), rng.integers(2, 9) if seed % 10 else 130
        logits = rng.normal(scale=3, size=(n, c))
        kind = ("plain", "tied", "constant", "huge", "sure", "wide")[seed % 6]
        if kind == "tied":
            logits = logits.round()
        elif kind == "constant":
            logits[:] = rng.normal()
        elif kind == "huge":
            logits *= 1e4
        elif kind == "sure":
            logits[:, 0] += rng.uniform(20, 40)
        elif kind == "wide":
            logits *= 10
        yield f"case {seed}, {kind}", logits.astype(np.float32)


def gen_reference(logits: np.ndarray) -> np.ndarray:
    logs = log_softmax(logits, axis=1)
    found = np.empty(len(logs))
    for row, each in enumerate(logs):
        order = each.argsort()[::-1][:100]
        of_others = [np.exp(np.delete(each, place)).sum() for place in order]  # 1 - p, exactly
        found[row] = -np.sum(np.exp(0.1 * each[order]) * np.power(of_others, 0.1))
    return found


def entropy_reference(logits: np.ndarray) -> np.ndarray:
    logs = log_softmax(logits, axis=1)
    top, rows = logits.argmax(axis=1), np.arange(len(logits))
    others = np.exp(logits - logits.max(axis=1, keepdims=True))
    others[rows, top] = 0
    logs[rows, top] = -np.log1p(others.sum(axis=1))
    return np.where(logs > -700, np.exp(logs) * logs, 0.0).sum(axis=1)


FORMULAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "msp": lambda logits: softmax(logits, axis=1).max(axis=1),
    "max_logit": lambda logits: logits.max(axis=1),
    "energy": lambda logits: logsumexp(logits, axis=1),
    "entropy": entropy_reference,
    "gen": gen_reference,
}
OUTSIDE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "msp": outside.MaxSoftmax.score,
    "max_logit": outside.MaxLogit.score,
    "energy": outside.EnergyBased.score,
    "entropy": outside.Entropy.score,
    # A mean, not a sum, of probabilities that are first clamped to 1e-7 and 1 - 1e-7.
    "gen": lambda logits: outside.GEN.score(logits, gamma=0.1, M=100) * min(100, logits.shape[1]),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_equals_the_formula_in_float64_on_a_thousand_cases(name: str) -> None:
    for case, logits in cases(1000):
        want = FORMULAS[name](logits.astype(np.float64))
        room = NOTHING if name != "energy" else CLOSE
        assert score(of_logits(logits), ALL[name]) == pytest.approx(want, rel=CLOSE, abs=room), case


@pytest.mark.parametrize("name", OUTSIDE)
def test_equals_pytorch_ood_on_a_thousand_cases(name: str) -> None:
    compared = 0
    for case, logits in cases(1000):
        # It clamps the probabilities of these two.
        if name in ("entropy", "gen") and softmax(logits.astype(np.float64), axis=1).min() < 1e-7:
            continue
        room = CLOSE if name == "energy" else CLOSE * 1e-3
        want = -OUTSIDE[name](torch.tensor(logits, dtype=torch.float64)).numpy()
        assert score(of_logits(logits), ALL[name]) == pytest.approx(want, rel=CLOSE, abs=room), case
        compared += 1
    assert compared >= 300


def test_entropy_equals_scipy() -> None:
    logits = np.random.default_rng(0).normal(size=(50, CLASSES)).astype(np.float32)
    want = -entropy(softmax(logits.astype(np.float64), axis=1), axis=1)
    assert score(of_logits(logits), scores.entropy) == pytest.approx(want, rel=CLOSE)


def test_mcm_equals_pytorch_ood_on_a_thousand_cases() -> None:
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        n, c, d = rng.integers(1, 6), rng.integers(2, 9), rng.integers(2, 9)
        features = rng.normal(size=(n, d))
        features = (features if seed % 3 else features.round() + 0.5) / np.linalg.norm(features, axis=1, keepdims=True)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        shown = under(head(rng, int(c), int(d), "zero_shot"), features)
        mcm = outside.MCM(None, torch.tensor(shown.head.weight)).predict_features(torch.tensor(shown.features))
        assert score(shown, scores.mcm) == pytest.approx(-mcm.numpy(), rel=SINGLE), f"case {seed}"


def test_ash_equals_pytorch_ood_on_a_thousand_cases() -> None:
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        n, c, d = rng.integers(1, 6), rng.integers(2, 9), rng.integers(6, 60)
        features = np.maximum(rng.normal(size=(n, d)), 0 if seed % 4 else -np.inf)
        features = np.abs(features).astype(np.float32)  # zeros are tied, and neither way keeps more than them
        shown = under(head(rng, int(c), int(d)), features)
        weight, bias = (torch.tensor(each, dtype=torch.float64) for each in (shown.head.weight, shown.head.bias))
        its = outside.ASH(None, lambda maps, w=weight, b=bias: maps.flatten(1) @ w.T + b, "ash-s", 0.9)
        want = -its.predict_feature_maps(torch.tensor(features, dtype=torch.float64)[:, :, None, None]).numpy()
        sharpest = np.abs(features).max() * np.exp(d)  # its own logits may cancel; these are what they are made of
        assert np.isfinite(sharpest)
        room = SINGLE * (1 + np.abs(want))
        if (features > 0).sum(axis=1).min() > 0 and np.abs(want).max() < 1e6:
            assert np.abs(score(shown, scores.ash) - want).max() <= 10 * room.max(), f"case {seed}"


def test_near_one_confidences_keep_their_order() -> None:
    logits = np.zeros((3, 2), dtype=np.float32)
    logits[:, 0] = [27.5, 27.6, 27.7]  # 1 - p is near 1e-12, which float32 cannot tell from 0
    found = score(of_logits(logits), scores.msp)
    assert 1 - found == pytest.approx(np.exp(-logits[:, 0].astype(np.float64)), rel=1e-3)
    for name in ("msp", "entropy", "gen"):
        values = score(of_logits(logits), ALL[name])
        assert values[0] < values[1] < values[2], name


@pytest.mark.parametrize("kind", ["learned", "zero_shot"])
def test_block_size_and_threads_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    features = np.abs(rng.normal(size=(301, 24)))
    shown = under(head(rng, 37, 24, kind), features / np.linalg.norm(features, axis=1, keepdims=True))
    asked = scores.scores_for(shown.head)
    whole = scored(shown, asked, entries=10**9).scores
    for cores, rows in (("1", 1), ("2", 1), ("2", 7), ("2", 64), ("1", 300)):
        monkeypatch.setenv("OMP_NUM_THREADS", cores)
        found = scored(shown, asked, entries=37 * rows).scores
        assert found.keys() == whole.keys()
        for name, values in found.items():
            assert np.array_equal(values, whole[name]), (name, rows)


@pytest.mark.parametrize("width", [3, 40, 41, 200, 1003])
@pytest.mark.parametrize("kind", ["plain", "tied", "constant", "ascending", "infinite"])
def test_the_largest_are_those_of_a_sort(width: int, kind: str) -> None:
    values = np.random.default_rng(width).normal(size=(9, width)).astype(np.float32)
    if kind == "tied":
        values = values.round()
    elif kind == "constant":
        values[:] = 0.5
    elif kind == "ascending":
        values.sort(axis=1)
    elif kind == "infinite":
        values[:, ::2] = -np.inf
    found = np.sort(scores.largest_of(values, 20), axis=1)
    assert np.array_equal(found, np.sort(values, axis=1)[:, -20:])


def test_mcm_is_of_raw_cosines_whatever_the_scale_and_bias() -> None:
    plain = score(zero_shot([SURE, [0.6, 0.8, 0.0, 0.0]], scale=1.0), scores.mcm)
    scaled = score(zero_shot([SURE, [0.6, 0.8, 0.0, 0.0]], scale=56.9953, bias=-10.0), scores.mcm)
    assert scaled == pytest.approx(plain, abs=1e-6)  # logits are float32


def test_only_a_zero_shot_head_has_cosine_scores() -> None:
    assert set(scores.scores_for(zero_shot([SURE]).head)) == set(ALL)
    learned = of_logits([SURE])
    assert set(scores.scores_for(learned.head)) == set(scores.SCORES)
    with pytest.raises(ValueError, match="only a zero-shot head has cosines"):
        score(learned, scores.mcm)


@pytest.mark.parametrize(
    ("shown", "name", "reason"),
    [
        (zero_shot([SURE]), "ash", "head 'openai80' is zero_shot and has none"),
        (of_logits([[1.0, -0.25]]), "ash", "not negative; the smallest here is -0.25"),
        (of_logits([[1.0, 2.0], [1.0, np.nan]]), "msp", "1 of 2 images in a block have logits that are not finite"),
        (of_logits([[1.0, np.inf]]), "max_logit", "not finite"),
    ],
)
def test_what_is_undefined_says_why_and_the_others_go_on(shown: Predictions, name: str, reason: str) -> None:
    found = scored(shown, {name: ALL[name], "first": lambda block: block.features[:, 0].astype(np.float64)})
    assert reason in found.undefined[name]
    assert set(found.scores) == {"first"}
    with pytest.raises(ValueError, match=r"not negative|not finite|has none"):
        score(shown, ALL[name])
