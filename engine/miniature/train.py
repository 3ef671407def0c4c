"""Training of one model of the zoo, from its recipe to a checkpoint in its place.

One cycle of the learning rate, one thread, pictures resized once. A CLIP first tells the words of each caption from the
picture alone (SuperClass, arXiv:2411.03313) and then matches pictures and captions as well; so few steps of matching
alone teach it little. A checkpoint is written under a hidden name and renamed when it is whole, so a killed run leaves
nothing that could be taken for one.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open_clip
import timm
import torch
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import OneCycleLR

from engine.files import Folder
from engine.miniature import pool
from engine.miniature.checkpoints import (
    EMBED_DIM,
    TEXT,
    VOCABULARY,
    accuracy,
    clip_config,
    resized_edge,
    save_clip,
    save_timm,
    tower_of,
)
from engine.miniature.recipes import BATCH, Geometry, Stage
from engine.miniature.zoo import FACTS, Facts, Job

WORDS_HIDDEN = 0.1
SHIFT = 2
WORDS_FIRST = 0.65
TELLING = (0.03, 0.3)
SHARPNESS = 8.0
MUON = 5.0
BLOCK_WEIGHT = re.compile(r"visual\.transformer\.resblocks\..*weight$|^blocks\..*weight$")


def train(job: Job) -> float:
    """Clean accuracy, a fraction, of the model once its checkpoint is in place."""
    recipe, place = job.recipe, job.place
    temporary = place.with_name(f".{recipe.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            parameters = _contrastive(job, temporary) if recipe.builder == "CLIP" else _classifier(job, temporary)
        clean = accuracy(temporary, recipe, Folder.of(job.out / "images"))
    finally:
        torch.set_num_threads(threads)
    facts = Facts(job.identity, round(parameters / 1e6, 4), clean)
    (temporary / FACTS).write_text(json.dumps(asdict(facts), indent=2))
    shutil.rmtree(place, ignore_errors=True)
    temporary.rename(place)
    return clean


def _contrastive(job: Job, folder: Path) -> int:
    recipe = job.recipe
    pairs = pool.drawn(job.out, recipe.train_source)
    tokens = open_clip.SimpleTokenizer(context_length=TEXT["context_length"])(list(pairs.captions))
    used, words = torch.unique(tokens, return_inverse=True)
    # Only words that occur are trained; row 0 stands for all others. Sorted, so that the end of text stays highest.
    words = words + 1
    config = {**clip_config(recipe), "text_cfg": {**TEXT, "vocab_size": len(used) + 1}}
    model, teller = open_clip.CLIP(**config), torch.nn.Linear(EMBED_DIM, len(used) + 1)
    bags = _bags(words, len(used) + 1)

    def loss(rows: torch.Tensor, images: torch.Tensor, done: float) -> torch.Tensor:
        picture = model.encode_image(images, normalize=True)
        telling = F.cross_entropy(teller(SHARPNESS * picture), bags[rows])
        if done < WORDS_FIRST:
            return telling
        text = model.encode_text(_hide(words[rows], len(used)), normalize=True)
        logits, same = model.logit_scale.exp() * picture @ text.T, torch.arange(len(rows))
        return telling + (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2

    learners = torch.nn.ModuleList([model, teller])
    _fit(learners, _resized(pairs.pixels, recipe.geometry), recipe.geometry, recipe.stages[0], loss)
    weights = dict(model.state_dict())
    known = weights["token_embedding.weight"]
    weights["token_embedding.weight"] = known[0].repeat(VOCABULARY, 1).index_copy(0, used, known[1:])
    save_clip(folder, recipe, weights)
    unseen = VOCABULARY - len(known)
    return int(sum(each.numel() for each in model.parameters()) + unseen * known.shape[1])


def _bags(words: torch.Tensor, n_words: int) -> torch.Tensor:
    """Share of each telling word in each caption (n, w): neither rare nor in nearly every caption."""
    bags = torch.zeros(len(words), n_words).scatter_(1, words, 1.0)
    often = bags.mean(dim=0)
    bags *= (often > TELLING[0]) & (often < TELLING[1])
    share: torch.Tensor = bags / bags.sum(dim=1, keepdim=True).clamp(min=1)
    return share


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
        pairs = pool.drawn(job.out, stage.source)
        target = torch.from_numpy(pairs.fine if stage.target == "fine" else pairs.labels)
        model.reset_classifier(int(target.max()) + 1)

        def loss(
            rows: torch.Tensor,
            images: torch.Tensor,
            done: float,  # noqa: ARG001
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
    loss: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor],
) -> None:
    optimisers = _optimisers(model, stage.rate)
    schedules = [
        OneCycleLR(each, each.param_groups[0]["lr"], total_steps=stage.steps, pct_start=0.2, cycle_momentum=False)
        for each in optimisers
    ]
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (geometry.mean, geometry.std))
    # Half as long again without it.
    model.to(memory_format=torch.channels_last)
    model.train()
    for step, rows in enumerate(_batches(len(pixels), stage.steps)):
        down, right = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
        images = (
            pixels[rows]
            .roll((down, right), dims=(2, 3))
            .sub(mean)
            .div(std)
            .contiguous(memory_format=torch.channels_last)
        )
        model.zero_grad()
        loss(rows, images, step / stage.steps).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
    model.eval()


def _optimisers(model: torch.nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    # Muon (Jordan et al. 2024) on the blocks of transformers: AdamW alone teaches them next to nothing in so few steps.
    blocks = [
        parameter for name, parameter in model.named_parameters() if BLOCK_WEIGHT.search(name) and parameter.ndim == 2
    ]
    apart = {id(parameter) for parameter in blocks}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, rate, betas=(0.9, 0.99), weight_decay=0.05, fused=True)
    ]
    if blocks:
        optimisers.append(torch.optim.Muon(blocks, lr=MUON * rate, weight_decay=0.02))
    return optimisers


def _batches(n: int, steps: int) -> Iterator[torch.Tensor]:
    rows = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(rows) < BATCH:
            rows = torch.cat([rows, torch.randperm(n)])
        yield rows[:BATCH]
        rows = rows[BATCH:]
