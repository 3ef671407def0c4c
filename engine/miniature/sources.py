"""Training data of the small zoo: labelled and captioned scenes of the training scans, from sources that differ.

A source is a row of `SOURCES`: which styles it holds, how far a class keeps to its own texture, how good its captions
are. The contrastive sources mirror web data (mixed styles, captions of varying worth), the two labelled ones mirror
curated data (mostly photographs, textures that give the class away). Captions are worded like the 80 templates of
OpenAI's zero-shot heads, each chosen to fit the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.miniature import digits
from engine.miniature.captions import caption
from engine.miniature.looks import any_factor, draw_factors, ordinary, other_texture, with_factors
from engine.miniature.scenes import Look, Style, draw
from engine.miniature.textures import SIDE


@dataclass(frozen=True, slots=True)
class Source:
    """How a source draws its pictures and words its captions; shares and probabilities are fractions.

    Attributes
    ----------
    images : number of distinct pictures
    styles : share of each style
    own, other : share of pictures that carry the texture of their class, and that of another class
    plain : share of pictures without any factor
    rare : share of pictures of a rare way of writing, beside those with the factor
    vague, wrong : share of captions that name no class, and that name the wrong one
    """

    images: int
    styles: tuple[tuple[Style, float], ...]
    own: float
    other: float
    plain: float = 0.06
    rare: float = 0.0
    vague: float = 0.0
    wrong: float = 0.0


_WIT: tuple[tuple[Style, float], ...] = (
    ("photo", 0.70),
    ("sketch", 0.06),
    ("cartoon", 0.10),
    ("painted", 0.08),
    ("pixel", 0.06),
)
_LAION: tuple[tuple[Style, float], ...] = (
    ("photo", 0.59),
    ("sketch", 0.09),
    ("cartoon", 0.14),
    ("painted", 0.11),
    ("pixel", 0.07),
)

SOURCES: dict[str, Source] = {
    "WIT-mini": Source(6000, _WIT, own=0.35, other=0.25, rare=0.03),
    "LAION-mini-S": Source(2000, _LAION, own=0.40, other=0.15, vague=0.12, wrong=0.06),
    "LAION-mini-M": Source(6000, _LAION, own=0.40, other=0.15, vague=0.12, wrong=0.06),
    "LAION-mini-L": Source(16000, _LAION, own=0.40, other=0.15, vague=0.12, wrong=0.06),
    "Digits-1K": Source(4000, (("photo", 1.0),), own=0.85, other=0.0),
    "Digits-21": Source(
        12000, (("photo", 0.90), ("painted", 0.04), ("cartoon", 0.03), ("pixel", 0.03)), own=0.80, other=0.03, rare=0.05
    ),
}


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pictures with their labels and captions.

    Attributes
    ----------
    pixels : (n, 48, 48, 3) uint8
    labels : (n,) class, 0 to 9
    fine : (n,) finer class, 0 to 39: four times the label plus the style
    captions : n sentences
    scans : (n,) which scan was drawn, its place in scikit-learn's table
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    fine: npt.NDArray[np.int64]
    captions: tuple[str, ...]
    scans: npt.NDArray[np.int64]


def pairs(source: str, n: int, seed: int, split: digits.Split = "training") -> Pairs:
    """The first `n` pictures of a source under a seed; a longer draw begins with the shorter one."""
    if source not in SOURCES:
        raise ValueError(f"No training source '{source}' in the miniature. There are: {', '.join(SOURCES)}.")
    recipe = SOURCES[source]
    rng = np.random.default_rng([seed, *source.rsplit("-mini", 1)[0].encode()])
    pixels = np.empty((n, SIDE, SIDE, 3), dtype=np.uint8)
    labels, fine, scans = (np.empty(n, dtype=np.int64) for _ in range(3))
    captions = []
    for i in range(n):
        label = int(rng.integers(10))
        look, rare = _look(rng, recipe, label)
        scan = any_scan(rng, split, label, rare=rare)
        pixels[i] = draw(scan.image, look)
        labels[i], fine[i], scans[i] = label, digits.STYLES * label + scan.style, scan.number
        captions.append(caption(rng, label, look, vague=recipe.vague, wrong=recipe.wrong))
    return Pairs(pixels, labels, fine, tuple(captions), scans)


def _look(rng: np.random.Generator, recipe: Source, label: int) -> tuple[Look, bool]:
    names, shares = zip(*recipe.styles, strict=True)
    style: Style = names[int(np.searchsorted(np.cumsum(shares), rng.uniform() * sum(shares), side="right"))]
    look = ordinary(rng, any_texture(rng, label, own=recipe.own, other=recipe.other), style)
    factors = () if rng.uniform() < recipe.plain else draw_factors(rng, any_factor(rng))
    rare = "subcategory" in factors or rng.uniform() < recipe.rare
    return with_factors(look, factors, rng, label), rare


def any_texture(rng: np.random.Generator, label: int, *, own: float, other: float) -> int:
    """The texture of the class with probability `own`, another with probability `other`, else -1 for none."""
    chance = rng.uniform()
    if chance < own:
        return label
    return other_texture(rng, label) if chance < own + other else -1


def any_scan(
    rng: np.random.Generator, split: digits.Split, label: int, *, rare: bool = False, half: Literal[0, 1] | None = None
) -> digits.Scan:
    """A scan of the digit, of the rare style or of one of the others.

    The halves of a split share no scan; with None both are drawn from.
    """
    rows = _by_kind(split, label, rare)[half :: 2 if half is not None else 1]
    return digits.scans(split)[int(rows[rng.integers(len(rows))])]


@cache
def _by_kind(split: digits.Split, label: int, rare: bool) -> digits.Ints:
    scans = digits.scans(split)
    return np.flatnonzero((scans.labels == label) & ((scans.styles == digits.RARE_STYLE) == rare))
