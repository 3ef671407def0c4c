"""The sets of the small world that hold its ten digits: the clean set, eight shifts of it, and the cue conflict.

Each function yields the pictures of one set, in order. All draw test scans only; the clean set and its three replications
draw different halves of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from engine.miniature.digits import CLASS_NAMES
from engine.miniature.looks import SHARES, any_factor, draw_factors, ordinary, with_factors
from engine.miniature.reader import confidence
from engine.miniature.scenes import Colour, Look, Pixels, Style, draw
from engine.miniature.sources import any_scan, any_texture

CLEAN_IMAGES = 1500
SHIFT_IMAGES = 450
CANDIDATES = 1200

RENDITION_CLASSES = (0, 2, 3, 4, 5, 6, 8, 9)
HARD_CLASSES = (1, 2, 3, 5, 7, 8, 9)
# Turned far enough, a six is a nine: one label for both.
POSE_CLASSES = ((0,), (1,), (2,), (3,), (4,), (5,), (6, 9), (7,), (8,))
SEQUENCES, FRAMES = 25, 18
CONFLICT_REPEATS = 6


@dataclass(frozen=True, slots=True)
class Drawn:
    """One picture of a set, its label (None where it is none of the set's), and its annotations by name."""

    pixels: Pixels
    label: int | None = None
    notes: dict[str, object] = field(default_factory=dict)


def clean(rng: np.random.Generator) -> Iterator[Drawn]:
    """The clean set: each top factor as often as `SHARES` says, each label equally often."""
    firsts = [name for name, share in SHARES.items() for _ in range(round(share * CLEAN_IMAGES))]
    firsts += [""] * (CLEAN_IMAGES - len(firsts))
    labels = rng.permutation(np.arange(CLEAN_IMAGES) % 10)
    for first, label in zip(rng.permutation(firsts).tolist(), labels.tolist(), strict=True):
        factors = draw_factors(rng, first) if first else ()
        look = with_factors(ordinary(rng, any_texture(rng, label, own=0.75, other=0.0)), factors, rng, label)
        notes = {"top_factor": first or None, "factors": list(factors), "prototype": not factors}
        yield Drawn(_drawn(rng, label, look, half=0, rare="subcategory" in factors), label, notes)


def replication(rng: np.random.Generator, keep: float) -> Iterator[Drawn]:
    """The clean set again, of other scans, by a slightly worse camera; `keep` is the share the reference reader lets pass.

    After ImageNet-V2 (Recht et al. 2019, arXiv:1902.10811), whose three versions differ in how often people had to agree
    with the label of a candidate.
    """
    labels = np.arange(CANDIDATES) % 10
    pixels = np.stack([_worse(rng, label) for label in labels.tolist()])
    trust = confidence(pixels)[np.arange(CANDIDATES), labels]
    passed = np.argsort(-trust, kind="stable")[: round(keep * CANDIDATES)]
    for row in np.sort(rng.choice(passed, SHIFT_IMAGES, replace=False)).tolist():
        yield Drawn(pixels[row], int(labels[row]))


def rendition(rng: np.random.Generator) -> Iterator[Drawn]:
    """Cartoons, paintings and pixel art of eight of the digits, after ImageNet-R (arXiv:2006.16241)."""
    styles: tuple[Style, ...] = ("cartoon", "painted", "pixel")
    for i in range(SHIFT_IMAGES):
        label = i % len(RENDITION_CLASSES)
        pixels = _styled(rng, RENDITION_CLASSES[label], styles[int(rng.choice(3, p=(0.4, 0.4, 0.2)))])
        yield Drawn(pixels, label)


def sketch(rng: np.random.Generator) -> Iterator[Drawn]:
    """Outlines on paper, after ImageNet-Sketch (arXiv:1905.13549)."""
    for i in range(SHIFT_IMAGES):
        yield Drawn(_styled(rng, i % 10, "sketch"), i % 10)


def hard(rng: np.random.Generator) -> Iterator[Drawn]:
    """Pictures of seven of the digits that the reference reader takes for another, after ImageNet-A (arXiv:1907.07174)."""
    each = SHIFT_IMAGES // len(HARD_CLASSES)
    for label, digit in enumerate(HARD_CLASSES):
        pixels = np.stack([_factored(rng, digit, extra=0.5) for _ in range(CANDIDATES // len(HARD_CLASSES))])
        trust = confidence(pixels)
        fooled = np.flatnonzero(trust.argmax(axis=1) != digit)
        for row in np.sort(fooled[np.argsort(trust[fooled, digit], kind="stable")][:each]).tolist():
            yield Drawn(pixels[row], label)


def pose(rng: np.random.Generator) -> Iterator[Drawn]:
    """Digits in unusual pose before unusual background, after ObjectNet (Barbu et al. 2019)."""
    for i in range(SHIFT_IMAGES):
        label = i % len(POSE_CLASSES)
        group = POSE_CLASSES[label]
        digit = group[i // len(POSE_CLASSES) % len(group)]
        look = with_factors(_plain(rng, digit, own=0.4, other=0.2), ("background",), rng, digit)
        side = 1 if rng.uniform() < 0.5 else -1
        look = replace(
            look, angle=side * rng.uniform(20, 60), shear=rng.uniform(-0.3, 0.3), size=rng.uniform(24, 36)
        )
        yield Drawn(_drawn(rng, digit, look), label)


def frames(rng: np.random.Generator) -> Iterator[Drawn]:
    """Frames of sequences in which a scene drifts and one perturbation grows, after ImageNet-P (arXiv:1903.12261)."""
    for sequence in range(SEQUENCES):
        label = sequence % 10
        look = with_factors(_plain(rng, label), draw_factors(rng, any_factor(rng), 0.0), rng, label)
        scan, _ = any_scan(rng, "test", label, rare=False)
        drift = rng.uniform(-1, 1, 3)
        for frame in range(FRAMES):
            moved = _perturbed(look, sequence % 5, frame / (FRAMES - 1), drift)
            yield Drawn(draw(scan, moved), label, {"sequence": f"sequence-{sequence:02d}", "frame": frame})


def conflict(rng: np.random.Generator) -> Iterator[Drawn]:
    """Shape of one digit, texture of another or (one in ten) of the same, after Geirhos et al. (arXiv:1811.12231)."""
    for number in range(len(CLASS_NAMES) ** 2 * CONFLICT_REPEATS):
        label, texture = number // 10 % 10, number % 10
        look = ordinary(rng, texture)
        # The shape stands out less than elsewhere, else it would decide alone.
        look = replace(look, ink=_between(look.ink, look.tint_end, 0.45))
        yield Drawn(_drawn(rng, label, look), label, {"texture": texture})


def _between(start: Colour, end: Colour, share: float) -> Colour:
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(start, end, strict=True))
    return red, green, blue


def _drawn(
    rng: np.random.Generator, label: int, look: Look, *, half: Literal[0, 1] | None = None, rare: bool = False
) -> Pixels:
    return draw(any_scan(rng, "test", label, rare=rare, half=half)[0], look)


def _plain(rng: np.random.Generator, label: int, style: Style = "photo", *, own: float = 0.75, other: float = 0.0) -> Look:
    return ordinary(rng, any_texture(rng, label, own=own, other=other), style)


def _factored(
    rng: np.random.Generator, label: int, *, extra: float = 0.22, half: Literal[0, 1] | None = None, look: Look | None = None
) -> Pixels:
    factors = draw_factors(rng, any_factor(rng), extra)
    look = with_factors(look or _plain(rng, label), factors, rng, label)
    return _drawn(rng, label, look, half=half, rare="subcategory" in factors)


def _styled(rng: np.random.Generator, label: int, style: Style) -> Pixels:
    return _factored(rng, label, extra=0.3, look=_plain(rng, label, style, own=0.25, other=0.25))


def _worse(rng: np.random.Generator, label: int) -> Pixels:
    look = replace(
        _plain(rng, label, own=0.55, other=0.05),
        blur=rng.uniform(0.2, 1.4),
        noise=rng.uniform(0.04, 0.15),
        light=rng.uniform(0.5, 1.3),
    )
    return _factored(rng, label, extra=0.3, half=1, look=look)


def _perturbed(look: Look, kind: int, strength: float, drift: Sequence[float]) -> Look:
    moved = replace(
        look,
        x=look.x + 7 * strength * drift[0],
        y=look.y + 7 * strength * drift[1],
        angle=look.angle + 25 * strength * drift[2],
    )
    changes = (
        {"blur": 2.4 * strength},
        {"noise": 0.03 + 0.3 * strength},
        {"light": 1.0 - 0.75 * strength},
        {"size": look.size * (1 - 0.5 * strength)},
        {"wobble": 0.3 + 5 * strength},
    )
    return replace(moved, **changes[kind])
