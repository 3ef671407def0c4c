"""Training of one model of the zoo, from its recipe to a checkpoint in its place.

AdamW with one cycle of the learning rate, one thread, pictures resized once. A checkpoint is written under a hidden name and
renamed when it is whole, so a killed run leaves nothing that could be taken for one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open_clip
import timm
import torch
from torch.nn import functional as F  # noqa: N812

from engine.files import Folder
from engine.miniature import sources
from engine.miniature.checkpoints import TEXT, accuracy, clip_config, resized_edge, save_clip, save_timm, tower_of
from engine.miniature.recipes import BATCH, FINE_CLASSES, Geometry, Recipe, Stage

FACTS = "facts.json"
WORDS_HIDDEN = 0.1
SHIFT = 2
HOTTEST = 4.6052  # of CLIP's logit scale, as in Radford et al. 2021: no more than 100


@dataclass(frozen=True, slots=True)
class Job:
    """A recipe, the folder that holds ``images`` and ``checkpoints``, and the identity that its checkpoint will carry."""

    recipe: Recipe
    out: Path
    identity: str


def train(job: Job) -> float:
    """Clean accuracy, a fraction, of the model once its checkpoint is in place."""
    recipe, place = job.recipe, job.out / "checkpoints" / job.recipe.name
    temporary = place.with_name(f".{recipe.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            parameters = _contrastive(recipe, temporary) if recipe.builder == "CLIP" else _classifier(job, temporary)
        clean = accuracy(temporary, recipe, Folder.of(job.out / "images"))
    finally:
        torch.set_num_threads(threads)
    facts = {"identity": job.identity, "params_m": round(parameters / 1e6, 4), "published_digits": clean}
    (temporary / FACTS).write_text(json.dumps(facts, indent=2))
    shutil.rmtree(place, ignore_errors=True)
    temporary.rename(place)
    return clean


def _contrastive(recipe: Recipe, folder: Path) -> int:
    stage = recipe.stages[0]
    pairs = sources.pairs(stage.source, stage.images, recipe.seed)
    tokens = open_clip.SimpleTokenizer(context_length=TEXT["context_length"])(list(pairs.captions))
    used, words = torch.unique(tokens, return_inverse=True)
    # Only words that occur are trained; row 0 stands for every other one. Sorted, so that the end of text stays highest.
    config = clip_config(recipe)
    config["text_cfg"] = {**TEXT, "vocab_size": len(used) + 1}
    model = open_clip.CLIP(**config)
    words, pixels = words + 1, _resized(pairs.pixels, recipe.geometry)

    def loss(rows: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            model.logit_scale.clamp_(max=HOTTEST)
        picture, text, scale = model(images, _hide(words[rows], len(used)))[:3]
        logits, same = scale * picture @ text.T, torch.arange(len(rows))
        return (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2

    _fit(model, pixels, recipe.geometry, stage, loss)
    weights = dict(model.state_dict())
    table = weights["token_embedding.weight"]
    weights["token_embedding.weight"] = table[0].repeat(TEXT["vocab_size"], 1).index_copy(0, used, table[1:])
    save_clip(folder, recipe, weights)
    return sum(tensor.numel() for tensor in weights.values())


def _hide(words: torch.Tensor, last: int) -> torch.Tensor:
    # Prompts hold words that no caption had; a text tower that has met unknown words is not thrown by them.
    ends = (words == 1) | (words >= last - 1)
    return words.masked_fill((torch.rand(words.shape) < WORDS_HIDDEN) & ~ends, 0)


def _classifier(job: Job, folder: Path) -> int:
    recipe = job.recipe
    if recipe.parent:
        model = tower_of(job.out / "checkpoints" / recipe.parent.name, recipe)
    else:
        model = timm.create_model(recipe.builder, **recipe.shape)
    for stage in recipe.stages:
        pairs = sources.pairs(stage.source, stage.images, recipe.seed)
        target = torch.from_numpy(pairs.fine if stage.target == "fine" else pairs.labels)
        model.reset_classifier(FINE_CLASSES if stage.target == "fine" else int(target.max()) + 1)

        def loss(
            rows: torch.Tensor,
            images: torch.Tensor,
            target: torch.Tensor = target,
            smoothing: float = stage.smoothing,
        ) -> torch.Tensor:
            return F.cross_entropy(model(images), target[rows], label_smoothing=smoothing)

        _fit(model, _resized(pairs.pixels, recipe.geometry), recipe.geometry, stage, loss)
    save_timm(folder, recipe, model)
    return sum(parameter.numel() for parameter in model.parameters())


def _resized(pixels: npt.NDArray[np.uint8], geometry: Geometry) -> torch.Tensor:
    """Pictures (n, 3, s, s) uint8 in a model's geometry, resized in one batch; the sources' pictures are square."""
    edge = resized_edge(geometry)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    if edge != images.shape[-1]:
        images = F.interpolate(images, size=(edge, edge), mode=geometry.interpolation, antialias=True)
    first = (edge - geometry.size) // 2
    return images[..., first : first + geometry.size, first : first + geometry.size].contiguous()


def _fit(
    model: torch.nn.Module,
    pixels: torch.Tensor,
    geometry: Geometry,
    stage: Stage,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=stage.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, stage.rate, total_steps=stage.steps, pct_start=0.2)
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (geometry.mean, geometry.std))
    model.train()
    for rows in _batches(len(pixels), stage.steps):
        down, right = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
        images = pixels[rows].roll((down, right), dims=(2, 3)).sub(mean).div(std)
        optimiser.zero_grad()
        loss(rows, images).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    model.eval()


def _batches(n: int, steps: int) -> Iterator[torch.Tensor]:
    rows = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(rows) < BATCH:
            rows = torch.cat([rows, torch.randperm(n)])
        yield rows[:BATCH]
        rows = rows[BATCH:]
