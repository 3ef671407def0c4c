"""The studies, and what they depend on.

A study is a module that asks one question of everything a model has been shown. To add one, write ``studies/<name>.py``
with ``measure(record)`` and enter it here.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path

from engine.predictions import Folder, Record, digest, imported, models
from studies import acceptance, calibration, decisions, factors, ood, prompts, shape, shift
from studies.measurements import Measurement

STUDIES: dict[str, Callable[[Record], Iterator[Measurement]]] = {
    "shift": shift.measure,
    "ood": ood.measure,
    "calibration": calibration.measure,
    "factors": factors.measure,
    "shape": shape.measure,
    "prompts": prompts.measure,
    "acceptance": acceptance.measure,
}


def measure(results_uri: str, model: str, studies: tuple[str, ...]) -> list[Measurement]:
    """All measurements of one model in some studies; takes names and gives plain records, so that it runs anywhere."""
    record = Record.of(Folder.of(results_uri), model)
    if imported(record.facts) == "decisions":
        told = decisions.DecisionsRecord(record.results, record.facts, record.image_sets)
        rows = chain.from_iterable(decisions.STUDIES[study](told) for study in studies if study in decisions.STUDIES)
    else:
        rows = chain.from_iterable(STUDIES[study](record) for study in studies)
    return [replace(row, influences=()) for row in rows]


def left_out(results: Folder, studies: Sequence[str]) -> Iterator[str]:
    """A sentence for every study that cannot measure all of the models of which only decisions are known."""
    facts = models(results)
    told = [str(name) for name, row in facts.iterrows() if imported(row) == "decisions"]
    for study in studies:
        if told and study in decisions.LEFT_OUT:
            yield f"{study} of {', '.join(told)}, decisions alone: {decisions.LEFT_OUT[study]}"


def inputs(results: Folder) -> str:
    """Digest of all that measurements depend on: models, images, heads, features, and the code of the studies.

    From footers: a file's identity names its checkpoint and its images, so its content need not be read. Equal
    digests mean that the measurements would come out the same.
    """
    folders = [results / "images"]
    folders += [results / "heads" / model for model in (results / "heads").folders()]
    folders += [results / "decisions" / name for name in (results / "decisions").folders()]
    for image_set in (results / "features").folders():
        cells = results / "features" / image_set
        folders += [cells / model for model in cells.folders()]
    code = (path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    with ThreadPoolExecutor(8) as threads:
        footers = threads.map(_footers, folders)
        places = (folder.path.removeprefix(results.path) for folder in folders)
        facts = models(results).to_csv()
        return digest(facts, *code, *places, *footers)


def _footers(folder: Folder) -> str:
    return json.dumps([(name, folder.rows(name), folder.identity(name)) for name in folder.files()], sort_keys=True)


def select(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the studies asked for; all of them for ``all``, or where none is named."""
    for name in names:
        if name not in (*STUDIES, "all"):
            near = difflib.get_close_matches(name, STUDIES, n=1, cutoff=0.0)[0]
            raise UnknownStudy(f"No study '{name}'. Nearest: '{near}'. There are: all, {', '.join(STUDIES)}.")
    return tuple(name for name in STUDIES if name in names or "all" in names or not names)


def question(name: str) -> str:
    """The question that a study asks: the first line of its module."""
    return (sys.modules[STUDIES[name].__module__].__doc__ or "").splitlines()[0]


class UnknownStudy(ValueError):
    """A study that there is not."""
