"""OOD scores that need no fitting: a block of images in, one number per image out; higher = more like what is known.

To add one, write a function and enter it in `SCORES`, or in `COSINE_SCORES` where it needs the cosines that only a
zero-shot head has. Scores that need statistics of ID images are in `studies.fitted`. All but ASH and MCM are for any
head. A function raises ValueError, with the reason, where its score is undefined.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from engine.predictions import Head
from studies.blocks import Block, Score
from studies.metrics import Doubles, Floats

GEN_POWER = 0.1
GEN_CLASSES = 100
ASH_PRUNED = 0.9
GROUPS = 2
"""Groups of values for each of the largest that are looked for; the maxima of all groups give a lower bound."""


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
    largest = largest_of(block.logits, GEN_CLASSES) - block.largest[:, None]
    total = 1 + block.rest[:, None]
    of_others = np.where(largest == 0, block.rest[:, None], total - np.exp(largest))
    with np.errstate(divide="ignore"):  # where one class has it all, of which the power is 0
        logs = np.log(of_others)
    terms = np.exp(GEN_POWER * (largest + logs - 2 * np.log(total)))
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
    least = largest_of(features, max(1, width - round(width * ASH_PRUNED))).min(axis=1, keepdims=True)
    kept = (features >= least) & (features > 0)
    starts = np.append(0, kept.sum(axis=1).cumsum())
    pruned = csr_array((np.extract(kept, features), np.flatnonzero(kept) % width, starts), features.shape)
    before, after = features.sum(axis=1), pruned.sum(axis=1)
    sharper = np.float32(block.head.scale) * np.exp(
        np.divide(before, after, out=np.zeros_like(before), where=after > 0)
    )
    pruned.data *= sharper.repeat(np.diff(starts))
    logits: Floats = pruned @ block.head.weight.T
    logits += block.head.bias
    return _energy(logits)


def _energy(logits: Floats) -> Doubles:
    """As `energy`, in float32 and in place: for logits that are off by more than that already."""
    largest = logits.max(axis=1)
    if not np.isfinite(largest).all():
        raise ValueError("The logits of sharpened activations are beyond float32.")
    logits -= largest[:, None]
    energies: Doubles = largest + np.log(np.exp(logits, out=logits).sum(axis=1, dtype=np.float64))
    return energies


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


def largest_of(values: Floats, count: int) -> Floats:
    """The so many largest values of each row (n, count), in no order; all where there are fewer.

    By a lower bound first: a partition of whole rows takes three times as long.
    """
    n, width = values.shape
    groups = GROUPS * count
    if width >= 2 * groups:
        # So many groups have a value of at least `bound`, and what is lower is not among the largest.
        maxima = values[:, : width // groups * groups].reshape(n, -1, groups).max(axis=1)
        bound = np.partition(maxima, groups - count, axis=1)[:, groups - count, None]
        found = values >= bound
        sizes = found.sum(axis=1, keepdims=True)
        candidates = np.full((n, sizes.max()), -np.inf, dtype=values.dtype)
        np.place(candidates, np.arange(candidates.shape[1]) < sizes, np.extract(found, values))
        values, width = candidates, candidates.shape[1]
    return np.partition(values, max(width - count, 0), axis=1)[:, -count:]


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
