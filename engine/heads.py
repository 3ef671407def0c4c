"""Heads: what turns features into class scores, taken out of a classifier or made of prompts.

A learned head is the model's last linear layer; one picture is shown to see that it is. A zero-shot head is built as
Radford et al. 2021 do: per template embed and normalise; mean over the templates; normalise again. The scale is the
checkpoint's own, and so is the bias where it has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from engine.models import BadRequest
from engine.predictions import LEARNED, Head
from engine.prompts import PROMPTS
from engine.towers import Floats, Tower, last_layers

TEXTS_AT_ONCE = 512
ALIKE = 1e-3  # relative to the largest logit: loose enough for any device, far below another computation


def build(tower: Tower, names: Sequence[str], class_names: Sequence[str]) -> tuple[Head, ...]:
    """Heads of a model among these class names: `learned` alone, or one for each of these prompt sets.

    Raises
    ------
    BadRequest : where a learned head has another number of classes than there are names
    """
    if LEARNED not in names:
        return zero_shot(tower, names, class_names)
    head = learned(tower)
    if len(head.weight) != len(class_names):
        raise BadRequest(
            f"Model '{tower.spec.name}' has {len(head.weight)} classes, but the clean image set {len(class_names)}. "
            "Take the model out of the grid, or give --data the sets that it was trained for."
        )
    return (head,)


def learned(tower: Tower) -> Head:
    """The last linear layer of a timm model; several whose outputs it averages become one, features side by side.

    Raises
    ------
    BadRequest : where the model does anything but that, seen on one picture of noise
    """
    layers = last_layers(tower.spec, tower.module)
    weights = [layer.weight.detach().float().flatten(1).cpu().numpy() for layer in layers]
    weight: Floats = (np.hstack(weights) / len(layers)).astype(np.float32)
    biases = [layer.bias.detach().float().cpu().numpy() for layer in layers if layer.bias is not None]
    bias: Floats = np.sum([np.zeros(len(weight), np.float32), *biases], axis=0) / np.float32(len(layers))
    head = Head(LEARNED, "learned", weight, bias, 1.0)
    noise = np.random.default_rng(0).integers(0, 256, (1, *tower.preprocess.crop, 3), np.uint8)
    with torch.inference_mode():
        expected = tower.module(tower.normalised(noise)).float().cpu().numpy()
    features = tower.features(noise)
    if features.shape[1] != weight.shape[1] or _apart(head.logits(features), expected) > ALIKE:
        raise BadRequest(
            f"Model '{tower.spec.name}' does not end with its last linear layer: its logits are not features @ head. "
            "Take it out of the grid."
        )
    return head


def _apart(logits: Floats, expected: Floats) -> float:
    return float(np.abs(logits - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


@lru_cache(maxsize=1)
def _tokenizer(name: str) -> Any:
    import open_clip

    return open_clip.get_tokenizer(name)


def zero_shot(tower: Tower, prompts: Sequence[str], class_names: Sequence[str]) -> tuple[Head, ...]:
    """A head for each of these prompt sets: one row of unit length per class name.

    Prompt sets share sentences; each is encoded once for all of them.
    """
    model: Any = tower.module
    templates = list(dict.fromkeys(template for name in prompts for template in PROMPTS[name]))
    members = [[templates.index(template) for template in PROMPTS[name]] for name in prompts]
    weights: list[list[torch.Tensor]] = [[] for _ in prompts]
    at_once = max(1, TEXTS_AT_ONCE // len(templates))
    with torch.inference_mode():
        for start in range(0, len(class_names), at_once):
            sentences = _encoded(tower, class_names[start : start + at_once], templates)
            for rows, member in zip(weights, members, strict=True):
                rows.append(nn.functional.normalize(sentences[:, member].mean(dim=1), dim=-1).cpu())
        scale = float(model.logit_scale.exp())
        bias = 0.0 if getattr(model, "logit_bias", None) is None else float(model.logit_bias)
    shifts = np.full(len(class_names), bias, np.float32)
    found = (torch.cat(rows).numpy() for rows in weights)
    return tuple(Head(name, "zero_shot", weight, shifts, scale) for name, weight in zip(prompts, found, strict=True))


def _encoded(tower: Tower, class_names: Sequence[str], templates: Sequence[str]) -> torch.Tensor:
    """Unit embeddings (classes, templates, d) of every template with every name in it."""
    model: Any = tower.module
    tokenizer = _tokenizer(tower.spec.arch if tower.spec.folder is None else tower.spec.checkpoint)
    texts = [template.format(name) for name in class_names for template in templates]
    found: torch.Tensor = model.encode_text(tokenizer(texts).to(tower.device), normalize=True).float()
    return found.reshape(len(class_names), len(templates), -1)
