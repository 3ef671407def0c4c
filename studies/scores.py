"""OOD scores: predictions in, one number per image out; higher = more like what the model knows.

To add one, write a function and enter it in `SCORES`, or in `COSINE_SCORES` where it needs the cosines that only a
zero-shot head has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from engine.predictions import Head, Predictions
from studies.metrics import Doubles, log_softmax


def msp(predictions: Predictions) -> Doubles:
    """Largest softmax probability (n,). Hendrycks and Gimpel 2017 (arXiv:1610.02136)."""
    return _largest(np.exp(log_softmax(predictions.logits)))


def max_logit(predictions: Predictions) -> Doubles:
    """Largest logit (n,). Hendrycks et al. 2022 (arXiv:1911.11132)."""
    return _largest(predictions.logits.astype(np.float64))


def energy(predictions: Predictions) -> Doubles:
    """Negative free energy at T = 1, the log of the sum of exp(logits) (n,). Liu et al. 2020 (arXiv:2010.03759)."""
    scores: Doubles = logsumexp(predictions.logits.astype(np.float64), axis=1)
    return scores


def entropy(predictions: Predictions) -> Doubles:
    """Negative entropy of the softmax (n,), in nats: 0 where the model is certain, -log(c) where it knows nothing."""
    log_probabilities = log_softmax(predictions.logits)
    scores: Doubles = (np.exp(log_probabilities) * log_probabilities).sum(axis=1)
    return scores


def mcm(predictions: Predictions) -> Doubles:
    """Maximum concept matching (n,): largest softmax probability of the raw cosines at T = 1. Zero-shot heads only.

    Ming et al. 2022 (arXiv:2211.13445). Without the checkpoint's logit scale; with it, it would be `msp`.
    """
    return _largest(np.exp(log_softmax(predictions.cosines)))


def _largest(values: Doubles) -> Doubles:
    largest: Doubles = values.max(axis=1)
    return largest


Score = Callable[[Predictions], Doubles]
SCORES: dict[str, Score] = {"msp": msp, "max_logit": max_logit, "energy": energy, "entropy": entropy}
COSINE_SCORES: dict[str, Score] = {"mcm": mcm}


def scores_for(head: Head) -> dict[str, Score]:
    """The scores that this kind of head allows, by name."""
    return SCORES | COSINE_SCORES if head.kind == "zero_shot" else SCORES
