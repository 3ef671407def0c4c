"""Towers: a model of the grid, loaded by its own library, cut into pixels-to-features and features-to-logits.

Weights come as safetensors or through ``weights_only`` loading; nothing else is unpickled. Pixels arrive as uint8;
mean and standard deviation are applied here, on the tower's device, in float32.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from engine.models import LOCAL, BadRequest, ModelSpec
from engine.preprocess import Pixels, Preprocess, of_open_clip, of_timm

Floats = npt.NDArray[np.float32]
HUB_FILE = "hf://"


@dataclass(frozen=True)
class Tower:
    """Pixels to features.

    Attributes
    ----------
    spec : the model's row of the grid
    module : the whole model, as its library makes it, in evaluation mode, on its device
    embed : normalised pixels (n, 3, h, w) to features (n, d): the input of the last linear layer, or the unit image
        embedding of a CLIP
    preprocess : geometry that makes its pixels
    mean, std : of each channel, as fractions of 255
    device : where it runs
    """

    spec: ModelSpec
    module: nn.Module
    embed: Callable[[torch.Tensor], torch.Tensor]
    preprocess: Preprocess
    mean: Sequence[float]
    std: Sequence[float]
    device: torch.device

    def normalised(self, pixels: Pixels) -> torch.Tensor:
        """Pixels (n, h, w, 3) uint8 as the library's transform hands them to the model: (n, 3, h, w) float32."""
        batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device, non_blocking=True)
        batch = batch.permute(0, 3, 1, 2).contiguous().float().div_(255)
        mean = torch.tensor(self.mean, device=self.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=self.device).view(3, 1, 1)
        return batch.sub_(mean).div_(std)

    def features(self, pixels: Pixels, *, batch_size: int = 256) -> Floats:
        """Features (n, d) float32 of pixels (n, h, w, 3)."""
        with torch.inference_mode():
            parts = [
                self.embed(self.normalised(pixels[start : start + batch_size])).float().cpu()
                for start in range(0, len(pixels), batch_size)
            ]
        features: Floats = torch.cat(parts).numpy()
        return features


def load(spec: ModelSpec, device: torch.device) -> Tower:
    """The model of one row of the grid, ready to be shown pixels.

    Raises
    ------
    BadRequest : where its checkpoint is not at hand, or is of another architecture; the library's reason in the text
    """
    logging.getLogger("timm").setLevel(logging.ERROR)
    try:
        return _open_clip(spec, device) if spec.library == "open_clip" else _timm(spec, device)
    except BadRequest:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BadRequest(
            f"Model '{spec.name}' cannot be loaded from '{spec.checkpoint}' by {spec.library}: {reason}. "
            "Check the arch and checkpoint columns of the grid."
        ) from error


def _timm(spec: ModelSpec, device: torch.device) -> Tower:
    import timm
    from timm.data.config import resolve_model_data_config

    tag = "" if spec.checkpoint.startswith(LOCAL) else f".{spec.checkpoint}"
    name = spec.checkpoint if spec.checkpoint.startswith(LOCAL) else f"{spec.arch}{tag}"
    model: Any = timm.create_model(name, pretrained=True).eval().requires_grad_(requires_grad=False).to(device)
    config = resolve_model_data_config(model)
    geometry = of_timm(
        config["input_size"], config["crop_pct"], config["crop_mode"], config["interpolation"], config["mean"]
    )

    def embed(batch: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = model.forward_head(model.forward_features(batch), pre_logits=True)
        return features

    return Tower(spec, model, embed, geometry, config["mean"], config["std"], device)


def _weights(checkpoint: str) -> str:
    """A tag as it is; the local copy of ``hf://OWNER/REPOSITORY/FILE``, from the hub or its cache."""
    if not checkpoint.startswith(HUB_FILE):
        return checkpoint
    from huggingface_hub import hf_hub_download

    owner, repository, file = checkpoint.removeprefix(HUB_FILE).split("/", 2)
    return str(hf_hub_download(f"{owner}/{repository}", file))


def _open_clip(spec: ModelSpec, device: torch.device) -> Tower:
    import open_clip

    local = spec.checkpoint.startswith(LOCAL)
    name, pretrained = (spec.checkpoint, None) if local else (spec.arch, _weights(spec.checkpoint))
    model: Any = open_clip.create_model(name, pretrained=pretrained, device=device, require_pretrained=True)
    model.eval().requires_grad_(requires_grad=False)
    config = open_clip.get_model_preprocess_cfg(model)
    geometry = of_open_clip(
        config["size"], config["interpolation"], config["resize_mode"], config.get("fill_color") or 0
    )

    def embed(batch: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = model.encode_image(batch, normalize=True)
        return features

    return Tower(spec, model, embed, geometry, config["mean"], config["std"], device)
