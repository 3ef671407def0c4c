"""``python -m engine.models --check``: is every row of a grid what its library says it is? No weights are needed.

Each model is built without memory and shown one picture of its own geometry. Its checkpoint must stand in the library's
own list, and the row's image size and parameters must be the library's.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import dataclass

from engine import grid
from engine.models import OUR_GRID, BadRequest, ModelSpec, read_grid

PARAMS_APART = 0.001  # relative: a row's parameters are rounded


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for one row: a line of facts, and every fact that is not the row's."""

    line: str
    faults: tuple[str, ...]


def check(spec: ModelSpec) -> Row:
    """What one row turned out to be, held against what the grid says of it.

    Raises
    ------
    BadRequest : where its library does not list the checkpoint
    """
    from engine import towers

    if not towers.listed(spec):
        raise BadRequest(f"{spec.library} does not list the checkpoint '{spec.checkpoint}' for '{spec.arch}'")
    found = towers.describe(spec)
    size, params_m = found.preprocess.crop[0], found.params_m
    faults = []
    if spec.image_size and float(spec.image_size) != size:
        faults.append(f"image_size is {spec.image_size}, {spec.library} has {size}")
    if spec.params_m and abs(float(spec.params_m) - params_m) > PARAMS_APART * params_m + 0.01:
        faults.append(f"params_m is {spec.params_m}, {spec.library} has {params_m}")
    classes = "prompts" if found.classes is None else f"{found.classes} classes"
    said = f"grid {spec.params_m}" if spec.params_m else "grid says none"
    mean = " ".join(f"{value:.3g}" for value in found.mean)
    line = f"{spec.name:<56} {found.preprocess!s:<62} mean {mean:<17} width {found.width:>4}  {classes:<12}"
    return Row(f"{line} {params_m:>8.2f} M ({said})", tuple(faults))


def main() -> int:
    """Exit status: 0 where every row is right, 1 where some are not (each is named), 2 for a bad request."""
    parser = argparse.ArgumentParser(prog="python -m engine.models", description="Check every model of a grid.")
    parser.add_argument("--check", action="store_true", required=True, help="build every model, without weights")
    parser.add_argument("--grid", default=str(OUR_GRID), help="CSV of models (default: the 210 of this project)")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # both libraries warn of every model that has no weights
    try:
        specs = read_grid(asked.grid)
    except BadRequest as error:
        print(error, file=sys.stderr)
        return 2
    outcomes = grid.each(check, specs, names=[spec.name for spec in specs], title="checking")
    right = 0
    for outcome in outcomes:
        faults = (outcome.error,) if outcome.value is None else outcome.value.faults
        right += not faults
        if outcome.value is not None:
            print(outcome.value.line)
        for fault in faults:
            print(f"FAILED {outcome.name}: {fault}", flush=True)
    print(f"{right} of {len(specs)}")
    return 0 if right == len(specs) else 1
