"""The sets of the small world that hold its ten digits: the clean set, eight shifts of it, and the cue conflict.

Each function yields the pictures of one set, in order. All draw test scans only; the clean set and its three
replications draw different halves of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from engine.miniature.digits import CLASS_NAMES
from engine.miniature.looks import SHARES, any_factor, draw_factors, ordinary, with_factors
from engine.miniature.reader import confidence
from engine.miniature.scenes import Carrier, Colour, Look, Pixels, Style, draw
from engine.miniature.sources import any_scan, any_texture

CLEAN_IMAGES = 1500
SHIFT_IMAGES = 450
CANDIDATES = 600

RENDITION_CLASSES = (0, 2, 3, 4, 5, 6, 8, 9)
HARD_CLASSES = (1, 2, 3, 5, 7, 8, 9)
# Turned far enough, a six is a nine: one label for both.
POSE_CLASSES = ((0,), (1,), (2,), (3,), (4,), (5,), (6, 9), (7,), (8,))
SEQUENCES, FRAMES = 30, 15
CONFLICT_REPEATS = 6
_CONFLICT_CARRIERS: tuple[Carrier, ...] = ("halo", "card")

Half = Literal[0, 1] | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """One picture of a set: its label (None where it is none of the set's), its annotations, and the scan it shows."""

    pixels: Pixels
    label: int | None = None
    notes: dict[str, object] = field(default_factory=dict)
    scan: int | None = None


def clean(rng: np.random.Generator) -> Iterator[Drawn]:
    """The clean set: each top factor as often as `SHARES` says, each label equally often."""
    firsts = [name for name, share in SHARES.items() for _ in range(round(share * CLEAN_IMAGES))]
    firsts += [""] * (CLEAN_IMAGES - len(firsts))
    labels = rng.permutation(np.arange(CLEAN_IMAGES) % 10)
    for first, label in zip(rng.permutation(firsts).tolist(), labels.tolist(), strict=True):
        factors = draw_factors(rng, first) if first else ()
        drawn = _factored(rng, label, factors, _plain(rng, label), half=0)
        yield replace(drawn, notes={"top_factor": first or None, "factors": list(factors), "prototype": not factors})


def replication(rng: np.random.Generator, keep: float) -> Iterator[Drawn]:
    """The clean set again, of other scans, by a worse camera; `keep` is the share that the reference reader lets pass.

    After ImageNet-V2 (Recht et al. 2019, arXiv:1902.10811), whose three versions differ in how often people had to
    agree with the label of a candidate.
    """
    labels = np.arange(CANDIDATES) % 10
    candidates = [_worse(rng, label) for label in labels.tolist()]
    trust = confidence(np.stack([drawn.pixels for drawn in candidates]))[np.arange(CANDIDATES), labels]
    passed = np.argsort(-trust, kind="stable")[: round(keep * CANDIDATES)]
    for row in np.sort(rng.choice(passed, SHIFT_IMAGES, replace=False)).tolist():
        yield candidates[row]


def rendition(rng: np.random.Generator) -> Iterator[Drawn]:
    """Cartoons, paintings and pixel art of eight of the digits, after ImageNet-R (arXiv:2006.16241)."""
    styles: tuple[Style, ...] = ("cartoon", "painted", "pixel")
    for i in range(SHIFT_IMAGES):
        label = i % len(RENDITION_CLASSES)
        style = styles[int(rng.choice(3, p=(0.4, 0.4, 0.2)))]
        yield replace(_styled(rng, RENDITION_CLASSES[label], style), label=label)


def sketch(rng: np.random.Generator) -> Iterator[Drawn]:
    """Outlines on paper, after ImageNet-Sketch (arXiv:1905.13549)."""
    for i in range(SHIFT_IMAGES):
        yield _styled(rng, i % 10, "sketch")


def hard(rng: np.random.Generator) -> Iterator[Drawn]:
    """Pictures of seven digits that the reference reader takes for another, after ImageNet-A (arXiv:1907.07174)."""
    each, tried = SHIFT_IMAGES // len(HARD_CLASSES), 4 * CANDIDATES // len(HARD_CLASSES)
    for label, digit in enumerate(HARD_CLASSES):
        candidates = [_usual(rng, digit, _plain(rng, digit), extra=0.5) for _ in range(tried)]
        trust = confidence(np.stack([drawn.pixels for drawn in candidates]))
        fooled = np.flatnonzero(trust.argmax(axis=1) != digit)
        for row in np.sort(fooled[np.argsort(trust[fooled, digit], kind="stable")][:each]).tolist():
            yield replace(candidates[row], label=label)


def pose(rng: np.random.Generator) -> Iterator[Drawn]:
    """Digits in unusual pose before unusual background, after ObjectNet (Barbu et al. 2019)."""
    for i in range(SHIFT_IMAGES):
        label = i % len(POSE_CLASSES)
        digit = POSE_CLASSES[label][i // len(POSE_CLASSES) % len(POSE_CLASSES[label])]
        look = with_factors(_plain(rng, digit, own=0.4, other=0.2), ("background",), rng, digit)
        side = 1 if rng.uniform() < 0.5 else -1
        look = replace(look, angle=side * rng.uniform(20, 60), shear=rng.uniform(-0.3, 0.3), size=rng.uniform(24, 36))
        yield replace(_drawn(rng, digit, look), label=label)


def frames(rng: np.random.Generator) -> Iterator[Drawn]:
    """Frames of sequences in which a scene drifts and one perturbation grows, after ImageNet-P (arXiv:1903.12261)."""
    for sequence in range(SEQUENCES):
        label = sequence % 10
        look = with_factors(_plain(rng, label), draw_factors(rng, any_factor(rng), 0.0), rng, label)
        scan = any_scan(rng, "test", label)
        drift = rng.uniform(-1, 1, 3).tolist()
        for frame in range(FRAMES):
            moved = _perturbed(look, (sequence + sequence // 10) % 5, frame / (FRAMES - 1), drift)
            notes = {"sequence": f"sequence-{sequence:02d}", "frame": frame}
            yield Drawn(draw(scan.image, moved), label, notes, scan.number)


def conflict(rng: np.random.Generator) -> Iterator[Drawn]:
    """Shape of one digit, texture of another or (one in ten) of the same, after Geirhos et al. (arXiv:1811.12231)."""
    for number in range(len(CLASS_NAMES) ** 2 * CONFLICT_REPEATS):
        label, texture = number // 10 % 10, number % 10
        look, carrier = ordinary(rng, texture), _CONFLICT_CARRIERS[number // 100 % 2]
        # The shape stands out less than elsewhere, else it would decide alone.
        look = replace(look, ink=_between(look.ink, look.tint_end, 0.7), carrier=carrier)
        yield replace(_drawn(rng, label, look), notes={"texture": texture})


def _between(start: Colour, end: Colour, share: float) -> Colour:
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(start, end, strict=True))
    return red, green, blue


def _drawn(rng: np.random.Generator, label: int, look: Look, *, half: Half = None, rare: bool = False) -> Drawn:
    scan = any_scan(rng, "test", label, rare=rare, half=half)
    return Drawn(draw(scan.image, look), label, scan=scan.number)


def _plain(
    rng: np.random.Generator, label: int, style: Style = "photo", *, own: float = 0.75, other: float = 0.0
) -> Look:
    return ordinary(rng, any_texture(rng, label, own=own, other=other), style)


def _factored(
    rng: np.random.Generator, label: int, factors: tuple[str, ...], look: Look, *, half: Half = None
) -> Drawn:
    look = with_factors(look, factors, rng, label)
    return _drawn(rng, label, look, half=half, rare="subcategory" in factors)


def _usual(rng: np.random.Generator, label: int, look: Look, *, extra: float, half: Half = None) -> Drawn:
    return _factored(rng, label, draw_factors(rng, any_factor(rng), extra), look, half=half)


def _styled(rng: np.random.Generator, label: int, style: Style) -> Drawn:
    return _usual(rng, label, _plain(rng, label, style, own=0.25, other=0.25), extra=0.3)


def _worse(rng: np.random.Generator, label: int) -> Drawn:
    look = replace(
        _plain(rng, label, own=0.55, other=0.05),
        blur=rng.uniform(0.5, 1.8),
        noise=rng.uniform(0.05, 0.17),
        light=rng.uniform(0.4, 1.3),
    )
    return _usual(rng, label, look, extra=0.4, half=1)


def _perturbed(look: Look, kind: int, strength: float, drift: Sequence[float]) -> Look:
    moved = replace(
        look,
        x=look.x + 7 * strength * drift[0],
        y=look.y + 7 * strength * drift[1],
        angle=look.angle + 25 * strength * drift[2],
    )
    changed = (
        replace(moved, blur=3.2 * strength),
        replace(moved, noise=0.03 + 0.45 * strength),
        replace(moved, light=1.0 - 0.88 * strength),
        replace(moved, size=look.size * (1 - 0.6 * strength)),
        replace(moved, wobble=0.3 + 7 * strength),
    )
    return changed[kind]
