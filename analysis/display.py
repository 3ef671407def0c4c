"""How names and numbers look in print. Data keeps machine names; they are made pretty here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis.findings import Finding, Unit

WORDS = {
    "zero_shot_clip": "zero-shot CLIP",
    "clip_ft": "fine-tuned CLIP",
    "finetuned_clip": "fine-tuned CLIP",
    "more_data": "more data",
    "standard": "standard",
    "classifier": "classifier",
    "auroc": "AUROC",
    "top1": "top-1",
    "ece15": "ECE",
    "mean_factor_top1": "mean top-1 over factors",
    "partial_view": "partial view",
    "color": "colour",
}
FACTS = {
    "arch": "architecture",
    "params_m": "parameters in millions",
    "train_source": "training source",
    "pretrain_images": "images for pre-training",
    "finetune_route": "route of fine-tuning",
    "image_size": "image size in pixels",
    "width": "features",
    "weights": "digest of weights",
    "duplicate_of": "same weights as",
}
PROMPTS = {
    "openai80": "80 prompts",
    "openai7": "7 prompts",
    "photo": "a photo of a …",
    "name": "the bare name",
    **{f"random{size}-{draw}": f"{size} of the 80, draw {draw + 1}" for size in (5, 30) for draw in range(3)},
}
WAYS = {"": "by the rule of this report", "spearman": "ranks (Spearman)", "kendall": "ranks (Kendall)"}
ROLES = {"clean": "clean", "shift": "shift", "out": "out-of-distribution", "conflict": "cue-conflict"}
MINUS = "\N{MINUS SIGN}"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A7A00")
"""Okabe & Ito's colours for every kind of sight; its yellow is darkened, to be seen on white paper."""
GREYS = ("#4D4D4D", "#7A7A7A", "#A0A0A0", "#BDBDBD")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")


def words(text: str) -> str:
    """Machine names within a text, made pretty; other words stay as they are."""
    pretty = re.sub(r"(?<![\w.-])[a-z][a-z0-9_]*(?![\w-])", lambda match: WORDS.get(match.group(), match.group()), text)
    pretty = re.sub(r"(?:prompts )?'([\w-]+)'(?= - )|(?<= - )'([\w-]+)'", _of_prompts, pretty)
    return pretty.replace(" - ", f" {MINUS} ")


def _of_prompts(found: re.Match[str]) -> str:
    name = found.group(1) or found.group(2)
    return PROMPTS.get(name, found.group())


def way(name: str) -> str:
    """In which way a question was asked, in print."""
    return WAYS.get(name, name)


def about(finding: Finding) -> str:
    """What a finding is about, in print, and in which way it was asked where that is not the rule of the report."""
    slope = " (slope)" if finding.unit == "slope" else ""
    return f"{words(finding.subject)}{slope}" + (f": {way(finding.way)}" if finding.way else "")


def fact(column: str) -> str:
    """The name of a fact of the grid in print."""
    return FACTS.get(column, column).replace("_", " ")


def prompts(head: str) -> str:
    """A prompt set's name in print."""
    return PROMPTS.get(head, head)


def listed(parts: Sequence[str]) -> str:
    """Parts joined as in a sentence: a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def sentence_case(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def number(value: float, digits: int = 2) -> str:
    """A plain number with a true minus sign; none before a rounded zero."""
    text = f"{value:.{digits}f}"
    text = text.lstrip("-") if float(text) == 0 else text
    return text.replace("-", MINUS)


def amount(value: float, unit: Unit) -> str:
    """A value in its unit: differences of shares in points, with a sign."""
    if unit == "fraction":
        digits = 1 if abs(value) >= 0.0005 else 2
        return ("+" if round(100 * value, digits) > 0 else "") + number(100 * value, digits)
    return number(value)


def unit_name(unit: Unit) -> str:
    """What stands behind a value of the unit."""
    return {"fraction": " points"}.get(unit, "")


def interval(finding: Finding) -> str:
    """The 95 % interval, or nothing."""
    if finding.low is None or finding.high is None:
        return ""
    return f"{amount(finding.low, finding.unit)} to {amount(finding.high, finding.unit)}"


def p_value(p: float | None) -> str:
    """A p value for print; nothing where there is none."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def evidence(finding: Finding) -> str:
    """The estimate and its interval in square brackets, as part of a sentence."""
    value = f"{amount(finding.estimate, finding.unit)}{unit_name(finding.unit)}"
    span = f"[{interval(finding)}]" if finding.low is not None else "(no interval)"
    return f"{value} {span}"


def count(number_of: int, one: str, several: str | None = None) -> str:
    """A count with its noun."""
    return f"{number_of:,} {one if number_of == 1 else several or one + 's'}"
