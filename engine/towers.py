"""Towers: a model of the grid, loaded by its own library, cut into pixels-to-features and features-to-logits.

Weights come as safetensors or through ``weights_only`` loading; nothing else is unpickled. Pixels arrive as uint8;
mean and standard deviation are applied here, on the tower's device, in float32.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from engine.models import HUB_FILE, LOCAL, BadRequest, ModelSpec
from engine.preprocess import Pixels, Preprocess, of_open_clip, of_timm
from engine.weights import Source

Floats = npt.NDArray[np.float32]
Linear = nn.Linear | nn.Conv2d


@dataclass(frozen=True)
class Tower:
    """Pixels to features.

    Attributes
    ----------
    spec : the model's row of the grid
    module : the whole model, as its library makes it, in evaluation mode, on its device
    embed : normalised pixels (n, 3, h, w) to features (n, d): what goes into the last linear layer, or the unit image
        embedding of a CLIP
    preprocess : geometry that makes its pixels
    mean, std : of each channel, as fractions of 255
    device : where it runs
    layout : of pixels and weights in memory
    """

    spec: ModelSpec
    module: nn.Module
    embed: Callable[[torch.Tensor], torch.Tensor]
    preprocess: Preprocess
    mean: Sequence[float]
    std: Sequence[float]
    device: torch.device
    layout: torch.memory_format = torch.contiguous_format

    def normalised(self, pixels: Pixels | torch.Tensor) -> torch.Tensor:
        """Pixels (n, h, w, 3) uint8 as the library's transform hands them to the model: (n, 3, h, w) float32."""
        batch = torch.as_tensor(pixels).to(self.device)
        batch = batch.permute(0, 3, 1, 2).contiguous(memory_format=self.layout).float().div_(255)
        mean = torch.tensor(self.mean, device=self.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=self.device).view(3, 1, 1)
        return batch.sub_(mean).div_(std)

    def features(self, pixels: Pixels | torch.Tensor, *, batch_size: int = 32) -> Floats:
        """Features (n, d) float32 of pixels (n, h, w, 3), which may lie on the tower's device already."""
        with torch.inference_mode():
            parts = [
                self.embed(self.normalised(pixels[start : start + batch_size])).float()
                for start in range(0, len(pixels), batch_size)
            ]
            features: Floats = torch.cat(parts).cpu().numpy()
        return features

    def channels_last(self) -> Tower:
        """The same with channels last in memory, by which convolutions are a quarter to a half faster on a CPU."""
        self.module.to(memory_format=torch.channels_last)
        return replace(self, layout=torch.channels_last)


def load(spec: ModelSpec, device: torch.device, file: Path | None = None) -> Tower:
    """The model of one row of the grid, ready to be shown pixels.

    Parameters
    ----------
    file : its weights, where they are on this computer; a local folder knows its own, a tag's library its own cache

    Raises
    ------
    BadRequest : where its checkpoint is not at hand, or is of another architecture; the library's reason in the text
    """
    logging.getLogger("timm").setLevel(logging.ERROR)
    try:
        return _tower(spec, _BUILD[spec.library](spec, device, weights=True, file=file), device)
    except BadRequest:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BadRequest(
            f"Model '{spec.name}' cannot be loaded from '{spec.checkpoint}' by {spec.library}: {reason}. "
            "Check the arch and checkpoint columns of the grid."
        ) from error


def _timm(spec: ModelSpec, device: torch.device, *, weights: bool, file: Path | None = None) -> Any:
    import timm

    local = spec.checkpoint.startswith(LOCAL)
    name = f"{spec.arch}.{spec.checkpoint}".split(f".{HUB_FILE}")[0] if not local else spec.checkpoint
    given = {"file": str(file), "custom_load": file.suffix == ".npz"} if file and not local else None
    return timm.create_model(name, pretrained=weights, pretrained_cfg_overlay=given).to(device)


def _open_clip(spec: ModelSpec, device: torch.device, *, weights: bool, file: Path | None = None) -> Any:
    import open_clip

    local = spec.checkpoint.startswith(LOCAL)
    name, pretrained = (spec.checkpoint, None) if local else (spec.arch, str(file or spec.checkpoint))
    # Of a tag without weights, or with a file in their place, open_clip forgets what its list says of the pixels.
    pixels = {} if local else open_clip.get_pretrained_cfg(spec.arch, spec.checkpoint)
    if weights:
        return open_clip.create_model(
            name, pretrained=pretrained, device=device, require_pretrained=True, force_preprocess_cfg=pixels
        )
    return open_clip.create_model(
        name, load_weights=False, pretrained_image=False, device=device, force_preprocess_cfg=pixels
    )


_BUILD: dict[str, Callable[..., Any]] = {"timm": _timm, "open_clip": _open_clip}


def _tower(spec: ModelSpec, model: Any, device: torch.device) -> Tower:
    model.eval().requires_grad_(requires_grad=False)
    if spec.library == "timm":
        from timm.data.config import resolve_model_data_config

        # Published accuracies are those at the size that timm lists for testing.
        config = resolve_model_data_config(model, use_test_size=True)
        crop = config["crop_pct"], config["crop_mode"]
        geometry = of_timm(config["input_size"], *crop, config["interpolation"], config["mean"])
        return Tower(spec, model, _into_last(spec, model), geometry, config["mean"], config["std"], device)
    import open_clip

    config = open_clip.get_model_preprocess_cfg(model)
    fill = config.get("fill_color") or 0
    geometry = of_open_clip(config["size"], config["interpolation"], config["resize_mode"], fill)

    def embed(batch: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = model.encode_image(batch, normalize=True)
        return features

    return Tower(spec, model, embed, geometry, config["mean"], config["std"], device)


def last_layers(spec: ModelSpec, model: Any) -> tuple[Linear, ...]:
    """The layer that a timm model ends in, or the several whose outputs it averages; a 1x1 convolution is linear too.

    Raises
    ------
    BadRequest : where it ends in anything else
    """
    last = model.get_classifier()
    layers: tuple[Any, ...] = tuple(last) if isinstance(last, tuple | list | nn.ModuleList) else (last,)
    for layer in layers:
        if not isinstance(layer, Linear):
            raise BadRequest(
                f"Model '{spec.name}' ends in {type(layer).__name__}, no linear layer. Take it out of the grid."
            )
    return layers


class _Caught(local):
    """What went into the last layers, by their place; of each thread its own, for several may use a model."""

    def __init__(self) -> None:
        self.inputs: dict[int, torch.Tensor] = {}


def _into_last(spec: ModelSpec, model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Pixels to the input of the last layer, caught on its way in, so that nothing a family does before it is left out.

    Several last layers: their inputs side by side.
    """
    caught = _Caught()
    for place, layer in enumerate(last_layers(spec, model)):
        layer.register_forward_pre_hook(
            lambda _, given, place=place: caught.inputs.update({place: given[0].flatten(1)})
        )

    def embed(batch: torch.Tensor) -> torch.Tensor:
        model(batch)
        return torch.cat([caught.inputs.pop(place) for place in sorted(caught.inputs)], dim=1)

    return embed


@dataclass(frozen=True, slots=True)
class Description:
    """What a model is, known without its weights: geometry, mean and std, feature width, classes, parameters.

    A zero-shot model has as many classes as it is given names: None.
    """

    preprocess: Preprocess
    mean: tuple[float, ...]
    std: tuple[float, ...]
    width: int
    classes: int | None
    params_m: float


def untrained(spec: ModelSpec, device: torch.device) -> Tower:
    """The model of one row of the grid as its library makes it before any weights are loaded: nothing is fetched."""
    return _tower(spec, _BUILD[spec.library](spec, device, weights=False), device)


def describe(spec: ModelSpec) -> Description:
    """What one row of the grid is: built without weights and shown one picture of its geometry, nothing computed."""
    nowhere = torch.device("meta")
    with nowhere, torch.inference_mode():
        tower = untrained(spec, nowhere)
        features = tower.embed(torch.empty((1, 3, *tower.preprocess.crop)))
    layers = last_layers(spec, tower.module) if spec.library == "timm" else ()
    classes = layers[0].weight.shape[0] if layers else None
    mean, std = tuple(tower.mean), tuple(tower.std)
    return Description(tower.preprocess, mean, std, features.shape[1], classes, params_m(tower))


def params_m(tower: Tower) -> float:
    """Parameters of the whole model, in millions, to two digits."""
    return round(sum(each.numel() for each in tower.module.parameters()) / 1e6, 2)


def listed(spec: ModelSpec) -> bool:
    """Whether the checkpoint is a tag in its library's own list, a file of a hub by its form, or a filled folder."""
    if spec.folder:
        return spec.folder.is_dir() and any(spec.folder.iterdir())
    if spec.checkpoint.startswith(HUB_FILE):
        return len(spec.checkpoint.removeprefix(HUB_FILE).split("/")) >= 3
    if spec.library == "timm":
        import timm

        return f"{spec.arch}.{spec.checkpoint}" in timm.list_pretrained(spec.arch)
    import open_clip

    return (spec.arch, spec.checkpoint) in open_clip.list_pretrained()


def source(spec: ModelSpec) -> Source:
    """Where the weights of a tag are, as its library lists them; safetensors before the same in a pickle.

    Raises
    ------
    BadRequest : where the library does not list the tag
    """
    files: tuple[str, ...]
    if spec.library == "timm":
        import timm.models

        name = f"{spec.arch}.{spec.checkpoint}"
        config = timm.models.get_pretrained_cfg(name) if timm.models.is_model_pretrained(name) else None
        listed: dict[str, Any] = config.to_dict() if config else {}
        repository, file = listed.get("hf_hub_id") or "", listed.get("hf_hub_filename") or ""
        files = (file,) if file else ("model.safetensors", "pytorch_model.bin")
    else:
        import open_clip

        listed = open_clip.get_pretrained_cfg(spec.arch, spec.checkpoint)
        repository, _, file = (listed.get("hf_hub") or "").rpartition("/")
        files = (file,) if file else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    repository, _, revision = repository.partition("@")
    if repository:
        return Source(repository=repository, revision=revision, files=files)
    if listed.get("url"):
        return Source(url=listed["url"])
    raise BadRequest(
        f"Model '{spec.name}': {spec.library} lists no weights '{spec.checkpoint}' for {spec.arch}. "
        "Check the arch and checkpoint columns of the grid."
    )
