"""Which models share a device, how many images each is shown at once, and what that will cost; pure arithmetic.

Costs begin as estimates from parameters, image size and patch size, and are replaced by what earlier runs of the same
RESULTS took on the same kind of device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine import foreseen
from engine.account import Measured
from engine.foreseen import BYTES_PER_PARAMETER
from engine.image_sets import SHARD_ROWS
from engine.models import ModelSpec

HEADROOM = 0.9  # of the free memory is used: what is left is the allocator's
BATCH = {"cpu": 32, "cuda": 256}
BATCH_PIXELS = {"cpu": 16 * 224**2, "cuda": 256 * 224**2}  # more of a CPU's do not stay in its caches
IMAGE_BYTES = 40e6  # of activations that one picture of 224 x 224 needs at once, at most
SHARE_FOR_WORK = 4  # activations get at most one part in so many of a device
MULTIPLY_ADDS = {"cpu": 20e9, "cuda": 10e12}  # a second: of one core, of one GPU; before anything was measured
DECODING, RESIZING = 4e-3, 0.5e-3  # seconds of a core for a picture of ImageNet's size, and for each geometry
UNKNOWN_PARAMS, UNKNOWN_SIZE, UNKNOWN_WIDTH = 100.0, 224.0, 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to work with: the device (``cpu``, or a GPU's name), how many, free bytes of each, and cores."""

    device: str
    devices: int
    free_bytes: int
    cores: int

    @property
    def kind(self) -> str:
        """What torch calls such a device: cpu or cuda."""
        return "cpu" if self.device == "cpu" else "cuda"

    @property
    def at_once(self) -> int:
        """How many models of a pack may be at work on one device at once."""
        return max(1, self.cores // self.devices) if self.kind == "cpu" else 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan takes: seconds of all devices together, seconds of all cores for decoding, bytes."""

    forward: float
    decode: float
    bytes_in: int
    bytes_out: int

    def seconds(self, machine: Machine) -> float:
        """Of the clock: decoding beside the GPUs, or the two after each other where both need the cores."""
        forward, decode = self.forward / machine.devices, self.decode / machine.cores
        return forward + decode if machine.kind == "cpu" else max(forward, decode)

    def bottleneck(self, machine: Machine) -> str:
        """What takes longer: forward or decode."""
        return "forward" if self.forward / machine.devices >= self.decode / machine.cores else "decode"


def pack(specs: Sequence[ModelSpec], machine: Machine) -> tuple[tuple[ModelSpec, ...], ...]:
    """The models in as few packs as one device's memory allows, like image sizes together.

    A pack holds the weights of all its models, and the activations of the one that needs most, as often as models are
    at work at once. A model of unknown size counts as 100 million parameters. One that is larger than the device has a
    pack of its own.
    """
    room = machine.free_bytes * HEADROOM
    found: list[list[ModelSpec]] = []
    weights: list[float] = []
    work: list[float] = []
    for spec in sorted(specs, key=lambda each: (_image_size(each, 0.0), -weight_bytes(each))):
        size, busy = weight_bytes(spec), machine.at_once * batch_size(spec, machine) * activation_bytes(spec)
        fits = (taken + size + max(busy, most) <= room for taken, most in zip(weights, work, strict=True))
        place = next((number for number, does in enumerate(fits) if does), None)
        if place is None:
            found.append([spec])
            weights.append(size)
            work.append(busy)
        else:
            found[place].append(spec)
            weights[place] += size
            work[place] = max(work[place], busy)
    return tuple(tuple(each) for each in found)


def batch_size(spec: ModelSpec, machine: Machine) -> int:
    """Images to show at once: 32 (256 on a GPU), or a larger power of two where pictures are small.

    The activations of all models that are at work need at most a quarter of the device.
    """
    size = BATCH[machine.kind]
    while size < SHARD_ROWS and 2 * size * _image_size(spec) ** 2 <= BATCH_PIXELS[machine.kind]:
        size *= 2
    while size > 1 and machine.at_once * size * activation_bytes(spec) > machine.free_bytes / SHARE_FOR_WORK:
        size //= 2
    return size


def activation_bytes(spec: ModelSpec) -> float:
    """An upper estimate of what one picture needs on the device while it is looked at."""
    return IMAGE_BYTES * (_image_size(spec) / 224) ** 2


def weight_bytes(spec: ModelSpec) -> float:
    """Bytes of a model's parameters in float32."""
    return _params_m(spec) * 1e6 * BYTES_PER_PARAMETER


def multiply_adds(spec: ModelSpec) -> float:
    """Of one picture, roughly: every parameter meets every patch of a transformer, or as many places of a convolution.

    Within a factor of two for ResNets, ConvNeXts and ViTs (ResNet-50 4.1e9, ConvNeXt-B 15.4e9, ViT-B/16 17.6e9 as timm
    lists them), three times too many for EfficientNets.
    """
    patch = re.search(r"(?:patch|ViT-\w+-)(\d\d)(?!\d)", spec.arch)
    places = (_image_size(spec) / (int(patch[1]) if patch else 16)) ** 2
    return _params_m(spec) * 1e6 * places


def forward_seconds(spec: ModelSpec, machine: Machine, known: Measured) -> float:
    """Seconds of a device for one picture: as measured, else as estimated."""
    if ("forward", spec.name) in known.seconds:
        return known.seconds["forward", spec.name]
    speed = MULTIPLY_ADDS[machine.kind] * (machine.cores if machine.kind == "cpu" else 1)
    return multiply_adds(spec) / speed


def decode_seconds(geometries: int, known: Measured) -> float:
    """Seconds of a core for one picture in so many geometries: as measured with whatever geometries, else estimated."""
    return known.seconds.get(("decode", ""), DECODING + RESIZING * geometries)


def _image_size(spec: ModelSpec, otherwise: float = UNKNOWN_SIZE) -> float:
    return _number(spec, "image_size") or foreseen.image_size(spec) or otherwise


def _params_m(spec: ModelSpec) -> float:
    return _number(spec, "params_m") or foreseen.params_m(spec) or UNKNOWN_PARAMS


def _number(spec: ModelSpec, fact: str) -> float | None:
    value = spec.facts()[fact]
    return float(value) if isinstance(value, int | float) else None
