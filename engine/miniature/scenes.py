"""One scene of the small world: a scan, drawn into a colour picture of 48 x 48 pixels as a `Look` says.

`draw` is a pure function of the scan and the look. It knows nothing of classes, sets or chance; where looks come
from is the matter of `looks.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from engine.miniature import textures
from engine.miniature.textures import COLUMNS, ROWS, SIDE, from_image, unit

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Colour = tuple[float, float, float]
Backdrop = Literal["flat", "gradient", "clouds", "photo"]
Carrier = Literal["stroke", "halo", "card"]
Style = Literal["photo", "sketch", "cartoon", "painted", "pixel"]

_MARGIN = 2
_MESH = 4


@dataclass(frozen=True, slots=True)
class Look:
    """Every visual parameter of a scene; lengths in pixels, angles in degrees, colours red, green, blue from 0 to 1.

    Attributes
    ----------
    angle, shear : pose; the shear is the shift of the top edge per unit of height
    size : side of the scan in the picture
    x, y : where its middle is
    wobble : how far the paper is bent, in pixels
    weight : thickness of the stroke, 0 (as scanned) upwards
    ink, shade : colours of the stroke; `shade` shows where the stroke carries a texture or a pattern
    ground, ground_end : colours of the backdrop
    texture : number of the texture, -1 for none; `carrier` says what it fills, in the colours `tint` and `tint_end`
    patterned : whether blotches fill the stroke
    bar : left, top, right, bottom of something in front; in the colour `bar_colour`
    clutter : how much of a photo backdrop shows through the ground colour, 0 to 1
    blur, noise, light : what the camera does; radius, standard deviation (0 to 1), factor
    grain : picks the cut of every texture, photograph and noise
    """

    angle: float = 0.0
    shear: float = 0.0
    size: float = 33.0
    x: float = 24.0
    y: float = 24.0
    wobble: float = 0.0
    weight: float = 0.0
    ink: Colour = (0.1, 0.1, 0.2)
    shade: Colour = (0.6, 0.6, 0.7)
    backdrop: Backdrop = "flat"
    ground: Colour = (0.95, 0.93, 0.88)
    ground_end: Colour = (0.8, 0.8, 0.8)
    clutter: float = 1.0
    texture: int = -1
    carrier: Carrier = "halo"
    tint: Colour = (0.9, 0.8, 0.5)
    tint_end: Colour = (0.6, 0.4, 0.3)
    patterned: bool = False
    style: Style = "photo"
    bar: tuple[int, int, int, int] | None = None
    bar_colour: Colour = (0.5, 0.5, 0.5)
    blur: float = 0.0
    noise: float = 0.0
    light: float = 1.0
    grain: int = 0


def draw(scan: npt.NDArray[np.float32], look: Look) -> Pixels:
    """The scene, (48, 48, 3) uint8; `scan` is square, 0 (paper) to 1 (ink), of any side."""
    soft = _place(scan, look)
    stroke = _stroke(soft, look)
    picture = _sketch(stroke, look) if look.style == "sketch" else _colours(stroke, soft, look)
    if look.bar is not None:
        left, top, right, bottom = look.bar
        picture[:, top:bottom, left:right] = _planes(look.bar_colour)
    return _camera(_finish(picture, look), look)


def coverage(scan: npt.NDArray[np.float32], look: Look) -> float:
    """Share of the picture that the stroke covers, before anything stands in front of it, 0 to 1."""
    return float(_stroke(_place(scan, look), look).mean())


def _place(scan: npt.NDArray[np.float32], look: Look) -> Image.Image:
    margin = _MARGIN * len(scan) // 8
    padded = np.zeros((len(scan) + 2 * margin,) * 2, dtype=np.uint8)
    padded[margin:-margin, margin:-margin] = scan * 255
    source, middle = Image.fromarray(padded), len(padded) / 2
    turn, unit = np.deg2rad(look.angle), len(scan) / look.size
    back = unit * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    back = np.array([[1.0, look.shear], [0.0, 1.0]]) @ back
    move = middle - back @ (look.x, look.y)
    resample = Image.Resampling.BICUBIC
    if not look.wobble:
        affine = (*back[0], move[0], *back[1], move[1])
        return source.transform((SIDE, SIDE), Image.Transform.AFFINE, affine, resample)
    return source.transform((SIDE, SIDE), Image.Transform.MESH, _mesh(back, move, look), resample)


def _mesh(back: npt.NDArray[np.float64], move: npt.NDArray[np.float64], look: Look) -> list[tuple[object, object]]:
    ticks = np.linspace(0, SIDE, _MESH + 1)
    nodes = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    bend = np.random.default_rng(look.grain).uniform(-1, 1, nodes.shape) * look.wobble
    nodes = (nodes + bend) @ back.T + move
    tiles: list[tuple[object, object]] = []
    for i, j in np.ndindex(_MESH, _MESH):
        box = tuple(int(ticks[k]) for k in (j, i, j + 1, i + 1))
        corners = (nodes[i, j], nodes[i + 1, j], nodes[i + 1, j + 1], nodes[i, j + 1])
        tiles.append((box, tuple(float(value) for corner in corners for value in corner)))
    return tiles


def _stroke(soft: Image.Image, look: Look) -> Floats:
    softness = 0.4 if look.style == "sketch" else 0.16
    return _edge(from_image(soft), 0.48 - look.weight, softness)


def _edge(field: Floats, level: float, softness: float) -> Floats:
    return unit((field - level) / softness + 0.5)


def _mix(under: Floats | Colour, over: Floats | Colour, alpha: Floats) -> Floats:
    below = _planes(under)
    return below + (_planes(over) - below) * alpha


def _planes(colour: Floats | Colour) -> Floats:
    """Red, green, blue as planes, (3, 48, 48) or (3, 1, 1): three times as fast to mix as pixels of three values."""
    return colour if isinstance(colour, np.ndarray) else np.array(colour, dtype=np.float32)[:, None, None]


def _colours(stroke: Floats, soft: Image.Image, look: Look) -> Floats:
    picture = _backdrop(look)
    fill: Floats | Colour = look.ink
    if look.texture >= 0 and look.carrier == "stroke":
        fill = _mix(look.ink, look.shade, textures.texture(look.texture, look.grain))
    elif look.texture >= 0:
        surface = _mix(look.tint, look.tint_end, textures.texture(look.texture, look.grain))
        picture = _mix(picture, surface, _halo(soft) if look.carrier == "halo" else _card(look))
    if look.patterned:
        fill = _mix(fill, look.shade, textures.blotches(look.grain))
    if look.style == "cartoon":
        picture = _mix(picture, (0.04, 0.04, 0.06), _edge(_blurred(soft, 1), 0.12, 0.1))
        shine = 0.35 * (1 - ROWS / SIDE)
        fill = _mix(fill, (1.0, 1.0, 1.0), shine)
    return _mix(picture, fill, stroke)


def _backdrop(look: Look) -> Floats:
    flat = np.broadcast_to(_planes(look.ground), (3, SIDE, SIDE))
    if look.backdrop == "gradient":
        down, across = np.float32(np.cos(look.grain % 7)) / SIDE, np.float32(np.sin(look.grain % 7)) / SIDE
        share = unit(down * (ROWS - SIDE / 2) + across * (COLUMNS - SIDE / 2) + 0.5)
        return _mix(flat, look.ground_end, share)
    if look.backdrop == "clouds":
        return unit(flat + 0.07 * textures.clouds(look.grain))
    if look.backdrop == "photo":
        return flat + (textures.photo("left", look.grain).transpose(2, 0, 1) - flat) * np.float32(look.clutter)
    return flat.copy()


def _blurred(soft: Image.Image, radius: int) -> Floats:
    return from_image(soft.filter(ImageFilter.BoxBlur(radius)))


def _halo(soft: Image.Image) -> Floats:
    return _edge(_blurred(soft.filter(ImageFilter.BoxBlur(2)), 3), 0.07, 0.04)


def _card(look: Look) -> Floats:
    reach = look.size * 0.62
    return unit(reach - np.maximum(np.abs(COLUMNS - look.x), np.abs(ROWS - look.y)))


def _sketch(stroke: Floats, look: Look) -> Floats:
    line = unit(5.2 * stroke * (1 - stroke))
    paper = _mix(_backdrop(look), (0.96, 0.95, 0.93), np.full((SIDE, SIDE), 0.85, dtype=np.float32))
    if look.texture >= 0:
        line = np.maximum(line, 0.3 * stroke * textures.texture(look.texture, look.grain))
    return _mix(paper, look.ink, unit(line * (0.75 + 0.25 * textures.blotches(look.grain))))


def _finish(picture: Floats, look: Look) -> Floats:
    if look.style == "cartoon":
        steps: Floats = np.rint(picture * np.float32(5)) / np.float32(5)
        return steps
    if look.style == "painted":
        rows, columns = textures.smears(look.grain)
        return picture[:, rows, columns] + 0.05 * textures.clouds(look.grain)
    if look.style == "pixel":
        blocks: Floats = picture.reshape(3, SIDE // 3, 3, SIDE // 3, 3).mean((2, 4))
        return blocks.repeat(3, 1).repeat(3, 2)
    return picture


def _camera(picture: Floats, look: Look) -> Pixels:
    if look.noise:
        picture = picture + np.float32(look.noise) * textures.speckle(look.grain)
    planes = (unit(picture * np.float32(look.light)) * 255 + 0.5).astype(np.uint8)
    pixels = np.ascontiguousarray(planes.transpose(1, 2, 0))
    if not look.blur:
        return pixels
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(look.blur)))
