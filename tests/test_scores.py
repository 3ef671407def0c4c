"""OOD scores by hand, and what holds for all of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from engine.predictions import Head, ImageSet, Predictions
from studies import scores

CLASSES = 4


def predictions(
    features: list[list[float]], *, kind: str = "zero_shot", scale: float = 10.0, bias: float = 0.0
) -> Predictions:
    matrix = np.array(features, dtype=np.float32)
    weight = np.eye(CLASSES, dtype=np.float32)
    head = Head(
        "openai80", "zero_shot" if kind == "zero_shot" else "learned", weight, np.full(CLASSES, bias, np.float32), scale
    )
    labels = np.zeros(len(matrix), dtype=np.int64)
    return Predictions(ImageSet("s", "out", "c", (), ()), head, pd.DataFrame(), matrix, head.logits(matrix), labels)


SURE = [1.0, 0.0, 0.0, 0.0]
UNSURE = [0.5, 0.5, 0.5, 0.5]
ALL = scores.SCORES | scores.COSINE_SCORES


@pytest.mark.parametrize("name", ALL)
def test_higher_means_more_like_what_the_model_knows(name: str) -> None:
    sure, unsure = ALL[name](predictions([SURE, UNSURE]))
    assert sure > unsure


@pytest.mark.parametrize("name", ALL)
def test_one_float64_for_each_image_in_order(name: str) -> None:
    both, alone = ALL[name](predictions([SURE, UNSURE])), ALL[name](predictions([UNSURE]))
    assert both.shape == (2,)
    assert both.dtype == np.float64
    assert both[1] == alone[0]


def test_values_by_hand() -> None:
    shown = predictions([SURE, UNSURE])  # logits (10, 0, 0, 0) and (5, 5, 5, 5)
    tail = 3 * np.exp(-10.0)
    assert scores.msp(shown) == pytest.approx([1 / (1 + tail), 0.25])
    assert scores.max_logit(shown) == pytest.approx([10, 5])
    assert scores.energy(shown) == pytest.approx([10 + np.log1p(tail), 5 + np.log(4)])
    assert scores.entropy(shown)[1] == pytest.approx(-np.log(4))
    assert scores.mcm(shown) == pytest.approx([np.e / (np.e + 3), 0.25])


def test_entropy_and_msp_equal_scipy() -> None:
    shown = predictions(np.random.default_rng(0).normal(size=(50, CLASSES)).tolist(), kind="learned", scale=1.0)
    share = softmax(shown.logits.astype(np.float64), axis=1)
    assert scores.entropy(shown) == pytest.approx(-entropy(share, axis=1), abs=1e-12)
    assert scores.msp(shown) == pytest.approx(share.max(axis=1), abs=1e-12)


def test_mcm_is_of_raw_cosines_whatever_the_scale_and_bias() -> None:
    plain = scores.mcm(predictions([SURE, [0.6, 0.8, 0.0, 0.0]], scale=1.0))
    scaled = scores.mcm(predictions([SURE, [0.6, 0.8, 0.0, 0.0]], scale=56.9953, bias=-10.0))
    assert scaled == pytest.approx(plain, abs=1e-6)  # logits are float32


def test_only_a_zero_shot_head_has_cosine_scores() -> None:
    assert set(scores.scores_for(predictions([SURE]).head)) == set(ALL)
    learned = predictions([SURE], kind="learned")
    assert set(scores.scores_for(learned.head)) == set(scores.SCORES)
    with pytest.raises(ValueError, match="only a zero-shot head has cosines"):
        scores.mcm(learned)
