"""OOD scores that need no fitting: a block of images in, one number per image out; higher = more like what is known.

To add one, write a function and enter it in `SCORES`, or in `COSINE_SCORES` where it needs the cosines that only a
zero-shot head has. Scores that need statistics of ID images are in `studies.fitted`. All but ASH and MCM are for any
head. A function raises ValueError, with the reason, where its score is undefined.
"""

from __future__ import annotations

import numpy as np

from engine.predictions import Head
from studies.blocks import Block, Score
from studies.metrics import Doubles, Floats

GEN_POWER = 0.1
GEN_CLASSES = 100
ASH_PRUNED = 0.9


def msp(block: Block) -> Doubles:
    """Largest softmax probability (n,). Hendrycks and Gimpel 2017 (arXiv:1610.02136)."""
    return 1 / (1 + block.rest)


def max_logit(block: Block) -> Doubles:
    """Largest logit (n,). Hendrycks et al. 2022 (arXiv:1911.11132)."""
    return block.largest


def energy(block: Block) -> Doubles:
    """Negative free energy at T = 1, the log of the sum of exp(logits) (n,). Liu et al. 2020 (arXiv:2010.03759)."""
    energies: Doubles = block.once("energy", lambda: block.largest + np.log1p(block.rest))
    return energies


def entropy(block: Block) -> Doubles:
    """Negative entropy of the softmax (n,), in nats: 0 where the model is certain, -log(c) where it knows nothing."""
    scores: Doubles = np.vecdot(block.others, block.below) / (1 + block.rest) - np.log1p(block.rest)
    return scores


def gen(block: Block) -> Doubles:
    """Negative generalised entropy of the 100 largest softmax probabilities p: minus the sum of (p (1 - p))^0.1 (n,).

    Liu, Lochman and Zach 2023 (CVPR), eq. 4, with their gamma and M for ImageNet; all classes where there are fewer.
    """
    classes = block.logits.shape[1]
    largest = (
        np.partition(block.logits, max(classes - GEN_CLASSES, 0), axis=1)[:, -GEN_CLASSES:] - block.largest[:, None]
    )
    total = 1 + block.rest[:, None]
    of_others = np.where(largest == 0, block.rest[:, None], total - np.exp(largest)) / total
    terms = np.exp(GEN_POWER * (largest - np.log(total))) * of_others**GEN_POWER
    scores: Doubles = -terms.sum(axis=1)
    return scores


def ash(block: Block) -> Doubles:
    """Energy of logits whose smallest 90 % of activations are pruned and the others sharpened (n,): ASH-S.

    Djurisic et al. 2023 (arXiv:2209.09858), alg. 3, with their percentile for ImageNet, on the input of the last layer;
    activations that equal the smallest kept one are kept. The sharpening, exp of the sum before over the sum after,
    means something for activations that are nowhere negative, as behind a ReLU: undefined for zero-shot heads, and
    where an activation is negative.
    """
    of_activations(block.head, "ASH")
    features = block.features
    if features.min() < 0:
        raise ValueError(f"ASH needs activations that are not negative; the smallest here is {features.min():.3g}.")
    width = features.shape[1]
    kept = max(1, width - round(width * ASH_PRUNED))
    least = np.partition(features, width - kept, axis=1)[:, width - kept, None]
    pruned = features * (features >= least)
    before, after = (each.sum(axis=1) for each in (features, pruned))
    pruned *= np.exp(np.divide(before, after, out=np.zeros_like(before), where=after > 0))[:, None]
    return energy(under(block.head, pruned))


def mcm(block: Block) -> Doubles:
    """Maximum concept matching (n,): largest softmax probability of the raw cosines at T = 1. Zero-shot heads only.

    Ming et al. 2022 (arXiv:2211.13445). Without the checkpoint's logit scale; with it, it would be `msp`.
    """
    if block.head.kind != "zero_shot":
        raise ValueError(f"Head '{block.head.name}' is {block.head.kind}: only a zero-shot head has cosines.")
    # A bias that is the same for all classes, as theirs is, moves no softmax.
    return 1 / (1 + block.rest_at(block.head.scale))


def of_activations(head: Head, method: str) -> None:
    """Nothing; ValueError where the head is not learned: the entries of an embedding are no activations."""
    if head.kind != "learned":
        raise ValueError(f"{method} shapes or remembers activations; head '{head.name}' is {head.kind} and has none.")


def under(head: Head, features: Floats) -> Block:
    """A block of other features under the same head."""
    return Block(head, features, head.logits(features))


SCORES: dict[str, Score] = {
    "msp": msp,
    "max_logit": max_logit,
    "energy": energy,
    "entropy": entropy,
    "gen": gen,
    "ash": ash,
}
COSINE_SCORES: dict[str, Score] = {"mcm": mcm}


def scores_for(head: Head) -> dict[str, Score]:
    """The scores to ask for under this kind of head, by name."""
    return SCORES | COSINE_SCORES if head.kind == "zero_shot" else SCORES
