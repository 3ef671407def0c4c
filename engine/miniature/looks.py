"""Where looks come from: the ordinary scene, and what each of the ten visual factors does to it.

A factor is drawn, not merely noted: `FACTORS[name]` changes the look so that the factor is there to be seen. The one
exception is `subcategory`, a rare way of writing, which is a matter of the scan that is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from colorsys import hsv_to_rgb
from dataclasses import replace

import numpy as np

from engine.miniature.scenes import Backdrop, Carrier, Colour, Look, Style
from engine.miniature.textures import SIDE, TEXTURE_NAMES

# Shares of the top factor in the clean world, after the "top" annotations of ImageNet-X (Idrissi et al. 2022,
# arXiv:2211.01866): pose and background lead, larger comes last. What is left to 1 are prototypes.
SHARES = {
    "pose": 0.256,
    "background": 0.19,
    "pattern": 0.12,
    "color": 0.10,
    "smaller": 0.07,
    "shape": 0.06,
    "partial_view": 0.05,
    "subcategory": 0.04,
    "texture": 0.03,
    "larger": 0.024,
}
_NAMES = tuple(SHARES)
_UP_TO = np.cumsum(list(SHARES.values())) / sum(SHARES.values())
_CLASHES = ({"smaller", "larger"}, {"larger", "partial_view"}, {"smaller", "partial_view"}, {"pattern", "texture"})
_INK_HUES = (0.0, 0.06, 0.58, 0.62, 0.66, 0.75, 0.4)
_BACKDROPS: tuple[Backdrop, ...] = ("flat", "gradient", "clouds")
_CARRIERS: tuple[Carrier, ...] = ("halo", "card", "card", "stroke")


def ordinary(rng: np.random.Generator, texture: int, style: Style = "photo") -> Look:
    """A plain scene: dark ink on light ground, upright, in the middle; `texture` is -1 for none."""
    hue, paper = rng.uniform(), rng.uniform()
    dark = hsv_to_rgb(_INK_HUES[rng.integers(len(_INK_HUES))], rng.uniform(0.4, 0.9), rng.uniform(0.08, 0.38))
    ground = hsv_to_rgb(paper, rng.uniform(0.03, 0.25), rng.uniform(0.78, 0.98))
    if style == "cartoon":
        dark, ground = hsv_to_rgb(rng.uniform(), 0.95, 0.75), hsv_to_rgb(paper, rng.uniform(0.4, 0.9), 0.95)
    tint = hsv_to_rgb(hue, rng.uniform(0.05, 0.35), rng.uniform(0.88, 1.0))
    return Look(
        angle=rng.uniform(-8, 8),
        shear=rng.uniform(-0.1, 0.1),
        size=rng.uniform(29, 36),
        x=SIDE / 2 + rng.uniform(-2.5, 2.5),
        y=SIDE / 2 + rng.uniform(-2.5, 2.5),
        weight=rng.uniform(-0.05, 0.06),
        ink=dark,
        shade=hsv_to_rgb(rng.uniform(), 0.75, 0.6),
        backdrop=_BACKDROPS[rng.integers(len(_BACKDROPS))],
        ground=ground,
        ground_end=hsv_to_rgb((paper + rng.uniform(-0.15, 0.15)) % 1, 0.3, rng.uniform(0.6, 0.9)),
        texture=texture,
        carrier=_CARRIERS[rng.integers(len(_CARRIERS))],
        tint=tint,
        tint_end=hsv_to_rgb((hue + rng.uniform(-0.1, 0.1)) % 1, rng.uniform(0.4, 0.7), rng.uniform(0.6, 0.8)),
        style=style,
        noise=rng.uniform(0.0, 0.03),
        light=rng.uniform(0.9, 1.05),
        grain=int(rng.integers(2**31)),
    )


def draw_factors(rng: np.random.Generator, first: str, extra: float = 0.18) -> tuple[str, ...]:
    """The factors of one scene, `first` first; each further one comes with probability `extra`, up to three in all."""
    chosen = [first]
    while len(chosen) < 3 and rng.uniform() < extra:
        name = any_factor(rng)
        if name not in chosen and not any({name, other} in _CLASHES for other in chosen):
            chosen.append(name)
    return tuple(chosen)


def any_factor(rng: np.random.Generator) -> str:
    """One factor, as often as it is the top factor of the clean world."""
    return _NAMES[int(np.searchsorted(_UP_TO, rng.uniform(), side="right"))]


def other_texture(rng: np.random.Generator, label: int) -> int:
    """The texture of some class that is not `label`."""
    return int((label + rng.integers(1, len(TEXTURE_NAMES))) % len(TEXTURE_NAMES))


def with_factors(look: Look, factors: tuple[str, ...], rng: np.random.Generator, label: int) -> Look:
    """The look with each factor drawn in."""
    for name in factors:
        look = FACTORS[name](look, rng, label)
    return look


def _pose(look: Look, rng: np.random.Generator, _label: int) -> Look:
    side = 1 if rng.uniform() < 0.5 else -1
    return replace(look, angle=side * rng.uniform(20, 45), shear=side * rng.uniform(0.0, 0.25))


def _background(look: Look, rng: np.random.Generator, _label: int) -> Look:
    return replace(look, backdrop="photo", clutter=rng.uniform(0.5, 0.85))


def _pattern(look: Look, rng: np.random.Generator, _label: int) -> Look:
    carrier: Carrier = "halo" if look.carrier == "stroke" else look.carrier
    return replace(look, patterned=True, carrier=carrier, shade=hsv_to_rgb(rng.uniform(), 0.8, rng.uniform(0.5, 0.75)))


def _color(look: Look, rng: np.random.Generator, _label: int) -> Look:
    def colour(low: float, high: float, saturation: float) -> Colour:
        return hsv_to_rgb(rng.uniform(), saturation, rng.uniform(low, high))

    hue = rng.uniform()
    return replace(
        look,
        ink=hsv_to_rgb(hue, rng.uniform(0.25, 0.6), 1.0),
        shade=colour(0.6, 0.8, 0.7),
        ground=colour(0.12, 0.4, 0.8),
        ground_end=colour(0.12, 0.4, 0.8),
        tint=colour(0.1, 0.25, 0.7),
        tint_end=colour(0.4, 0.55, 0.8),
    )


def _smaller(look: Look, rng: np.random.Generator, _label: int) -> Look:
    shift = rng.uniform(-8, 8, 2)
    return replace(look, size=rng.uniform(20, 24), x=24 + shift[0], y=24 + shift[1])


def _larger(look: Look, rng: np.random.Generator, _label: int) -> Look:
    return replace(look, size=rng.uniform(42, 50), x=24.0, y=24.0)


def _shape(look: Look, rng: np.random.Generator, _label: int) -> Look:
    return replace(look, wobble=rng.uniform(2.5, 4.5))


def _partial_view(look: Look, rng: np.random.Generator, _label: int) -> Look:
    if rng.uniform() < 0.5:
        # Up or down: every scan fills its height, few fill their width, so a shift to a side may cut nothing off.
        far = SIDE / 2 - look.size / 2 + look.size * rng.uniform(0.18, 0.28)
        return replace(look, x=SIDE / 2, y=SIDE / 2 + (far if rng.uniform() < 0.5 else -far))
    colour = hsv_to_rgb(rng.uniform(), rng.uniform(0.2, 0.7), rng.uniform(0.3, 0.8))
    start, wide = int(rng.integers(12, 28)), int(rng.integers(6, 11))
    bar = (start, 0, start + wide, SIDE) if rng.uniform() < 0.5 else (0, start, SIDE, start + wide)
    return replace(look, bar=bar, bar_colour=colour)


def _subcategory(look: Look, _rng: np.random.Generator, _label: int) -> Look:
    return look


def _texture(look: Look, rng: np.random.Generator, label: int) -> Look:
    return replace(look, texture=other_texture(rng, label), patterned=False)


FACTORS: dict[str, Callable[[Look, np.random.Generator, int], Look]] = {
    "pose": _pose,
    "background": _background,
    "pattern": _pattern,
    "color": _color,
    "smaller": _smaller,
    "shape": _shape,
    "partial_view": _partial_view,
    "subcategory": _subcategory,
    "texture": _texture,
    "larger": _larger,
}
