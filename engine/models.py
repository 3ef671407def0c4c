"""The grid: one row of a CSV per model, ours (``engine/models.csv``) or a user's own (``--grid``).

Only ``name``, ``library``, ``arch`` and ``checkpoint`` are required. A checkpoint is a tag of its library,
``hf://OWNER/REPOSITORY/FILE``, or ``local-dir:FOLDER``, a folder in the library's own format, relative to the CSV; a
folder is as good as a tag. Image size and parameters are the library's where the CSV leaves them out.

Lineage, in our grid, by rule. A zero-shot CLIP: the family of its image tower (ResNet, ViT, ConvNeXt) and what it was
trained on, as in ``clip-vit.laion-2b``. A fine-tuned CLIP: its parent's. A classifier: its backbone family and its tag
up to ``_ft_``, which says who pre-trained it, how and on what, as in ``convnext.fb_in22k``. Size, depth, width and
resolution tell no families apart (ResNet, ResNeXt and wide ResNet are one), generations do (DeiT and DeiT III). So
models fine-tuned differently from one pre-training share a lineage, and those pre-trained on other data do not.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

LIBRARIES = ("open_clip", "timm")
REQUIRED = ("name", "library", "arch", "checkpoint")
LOCAL = "local-dir:"
HUB_FILE = "hf://"
PUBLISHED = "published_"
OUR_GRID = Path(__file__).with_name("models.csv")


class BadRequest(ValueError):
    """Something that a user asked for cannot be had; the sentence says what, and what to do."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One row of the grid.

    Attributes
    ----------
    name : ``arch.pretrained``, as in ``ViT-B-32.openai``: unique and file-safe
    library : open_clip or timm
    arch : the library's name of the architecture
    checkpoint : the library's tag, or ``local-dir:`` and an absolute folder
    family : zero_shot_clip, finetuned_clip or classifier
    group : zero_shot_clip, clip_ft, more_data or standard
    train_source : what the model was pre-trained on
    pretrain_images : number of distinct images of it, empty where unknown; samples_seen likewise
    finetune_route : direct, intermediate, or empty
    encoder : vit, cnn, mlp or hybrid
    image_size : pixels; params_m : parameters in millions
    lineage : models that are not independent of each other share it
    parent : name of the model that this one was grown from
    evidence : how sure it is that the row belongs to the study
    published : (image set, published top-1 as a fraction)
    published_source : who published it
    """

    name: str
    library: str
    arch: str
    checkpoint: str
    family: str = ""
    group: str = ""
    train_source: str = ""
    pretrain_images: str = ""
    samples_seen: str = ""
    finetune_route: str = ""
    encoder: str = ""
    image_size: str = ""
    params_m: str = ""
    lineage: str = ""
    parent: str = ""
    evidence: str = ""
    published: tuple[tuple[str, float], ...] = ()
    published_source: str = ""

    @property
    def folder(self) -> Path | None:
        """The checkpoint's folder, where it is a local one."""
        return Path(self.checkpoint.removeprefix(LOCAL)) if self.checkpoint.startswith(LOCAL) else None

    def facts(self) -> dict[str, object]:
        """The row as columns of ``models.parquet``: numbers as numbers, absent facts as None."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "published"}
        numbers = {name: _number(plain[name]) for name in ("pretrain_images", "samples_seen", "image_size", "params_m")}
        return {**plain, **numbers, **{PUBLISHED + name: value for name, value in self.published}}


def _number(text: str) -> float | None:
    """A number, also as in ``12.8B``; None where the text is none."""
    scale = {"K": 1e3, "M": 1e6, "B": 1e9}.get(text[-1:].upper(), 1.0)
    try:
        return float(text.rstrip("KMBkmb")) * scale
    except ValueError:
        return None


def read_grid(path: str | Path) -> tuple[ModelSpec, ...]:
    """Every model of a grid CSV, in its order.

    Raises
    ------
    BadRequest : where the file is absent, a required column or value is missing, a name is twice or not file-safe
    """
    file = Path(path)
    if not file.is_file():
        raise BadRequest(f"No grid '{file}'. Give a CSV with the columns {', '.join(REQUIRED)} to --grid.")
    with file.open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    if not rows:
        raise BadRequest(f"The grid '{file}' has no models. Give it one row per model below its header.")
    missing = [column for column in REQUIRED if column not in rows[0]]
    if missing:
        raise BadRequest(f"The grid '{file}' lacks the column {missing[0]}; it needs {', '.join(REQUIRED)}.")
    specs = tuple(_spec(file, number, row) for number, row in enumerate(rows, start=2))
    names = [spec.name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadRequest(f"The grid '{file}' names '{twice[0]}' more than once; names must be unique.")
    return specs


def _spec(file: Path, line: int, row: Mapping[str, str | None]) -> ModelSpec:
    values = {key: (value or "").strip() for key, value in row.items() if key}
    where = f"{file}, line {line}"
    empty = [column for column in REQUIRED if not values[column]]
    if empty:
        raise BadRequest(f"{where}: {empty[0]} is empty; every model needs {', '.join(REQUIRED)}.")
    if values["library"] not in LIBRARIES:
        raise BadRequest(f"{where}: library '{values['library']}' is not one of {', '.join(LIBRARIES)}.")
    if not re.fullmatch(r"[\w@+-][\w.@+-]*", values["name"]):
        raise BadRequest(f"{where}: '{values['name']}' cannot be a file's name; use letters, digits and . _ - + @.")
    if values["checkpoint"].startswith(LOCAL):
        values["checkpoint"] = LOCAL + str((file.parent / values["checkpoint"].removeprefix(LOCAL)).resolve())
    values["lineage"] = values.get("lineage") or values["name"]
    known = {field.name for field in fields(ModelSpec)} - {"published"}
    published = tuple(
        (column.removeprefix(PUBLISHED), _fraction(where, column, text))
        for column, text in values.items()
        if column.startswith(PUBLISHED) and column not in known and text
    )
    return ModelSpec(**{name: values[name] for name in known & values.keys()}, published=published)


def _fraction(where: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise BadRequest(f"{where}: {column} is '{text}'; give the top-1 accuracy as a fraction between 0 and 1.")
    return value


def select(specs: Sequence[ModelSpec], names: Sequence[str]) -> tuple[ModelSpec, ...]:
    """The models of these names, in the grid's order; all of them where no name is given."""
    known = [spec.name for spec in specs]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            hint = f"Nearest: {', '.join(repr(each) for each in near)}. " if near else ""
            raise BadRequest(f"No model '{name}' in the grid. {hint}See: python -m studies --list")
    return tuple(spec for spec in specs if not names or spec.name in names)


if __name__ == "__main__":
    from engine.check_models import main

    raise SystemExit(main())
