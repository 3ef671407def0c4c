"""The command line: show models what they lack, then measure.

::

    python -m studies all --grid GRID --data DATA --results RESULTS     show what is missing, run every study
    python -m studies calibration --results RESULTS                     rerun one study; no image is shown again
    python -m studies --plan --grid GRID --data DATA --results RESULTS  what would run
    python -m studies --list --results RESULTS                          studies, sets, models
    python -m studies import --from FILE --results RESULTS --name NAME --image-set SET      predictions of one's own

Exit status: 0 when all that was asked for is there, 1 when some model or image set failed, 2 for a bad request. This
is the only module of the studies that knows the engine's grid; there is no arithmetic in it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pandas as pd

from engine import account, grid, image_sets, ledger, lock, models, passes, plan, predictions
from engine.decode import Decoder
from engine.files import BadStore, Unwritable
from engine.image_sets import PreparedSet
from engine.models import BadRequest
from engine.predictions import Folder, IncompleteRecord
from engine.stream import NobodyLeft
from studies import halves, imported, measurements, study

STOPPED = (Unwritable, NobodyLeft)
USER_ERRORS = (
    *STOPPED,
    BadRequest,
    BadStore,
    image_sets.BadImageSet,
    IncompleteRecord,
    study.UnknownStudy,
    imported.BadPredictions,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    taking = given[:1] == ["import"]
    asked = _import_parser().parse_args(given[1:]) if taking else _parser().parse_args(given)
    try:
        return _import(asked) if taking else _run(asked)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, STOPPED) else 2
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m studies", description="Show models images, and measure what they say.", allow_abbrev=False
    )
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"all, or some of: {', '.join(study.STUDIES)}")
    parser.add_argument("--grid", metavar="CSV", help="the models; our own 210 where --data is given without it")
    parser.add_argument("--data", metavar="DATA", help="folder or URI of the image sets; without it nothing is shown")
    parser.add_argument("--results", metavar="RESULTS", help="folder or URI that is written to")
    parser.add_argument("--model", metavar="NAME", action="append", default=[], help="only this model; may be repeated")
    parser.add_argument("--weights", metavar="DIR", help="mirror folder of weights, before the cache of the hub")
    parser.add_argument(
        "--precision",
        choices=predictions.PRECISIONS,
        default=predictions.PRECISIONS[0],
        help="of the forward passes; what was shown in another one is shown anew",
    )
    parser.add_argument("--half", action="store_true", help="keep features in half the bytes, as row-centred float16")
    parser.add_argument("--plan", action="store_true", help="say what would be shown, and stop")
    parser.add_argument("--list", action="store_true", help="list studies, image sets and models, and stop")
    return parser


def _import_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m studies import",
        description="Bring predictions that were made elsewhere into RESULTS, as those of a model.",
        allow_abbrev=False,
    )
    wanted = parser.add_argument_group("required")
    wanted.add_argument(
        "--from",
        dest="file",
        metavar="FILE",
        type=Path,
        required=True,
        help="Parquet or CSV: image_id, and a logit for every class or prediction and confidence",
    )
    wanted.add_argument("--results", metavar="RESULTS", required=True, help="folder or URI that is written to")
    wanted.add_argument("--name", metavar="NAME", required=True, help="of the model")
    wanted.add_argument("--image-set", metavar="SET", required=True, help="that the predictions are on")
    parser.add_argument("--data", metavar="DATA", help="of the image sets; for one that RESULTS does not hold yet")
    parser.add_argument(
        "--facts", metavar="FACT=VALUE", nargs="*", default=[], help=f"of the model: {', '.join(imported.FACTS)}"
    )
    return parser


def _import(asked: argparse.Namespace) -> int:
    if strange := [fact for fact in asked.facts if "=" not in fact]:
        raise BadRequest(f"'{strange[0]}' is no fact of a model; give facts to --facts as in group=standard.")
    told = dict(fact.partition("=")[::2] for fact in asked.facts)
    results = Folder.of(asked.results)
    if asked.data:
        _index(results, asked)
    print(imported.take(results, asked.file, asked.name, asked.image_set, told), file=sys.stderr)
    print(f"Measure them with: python -m studies all --results {asked.results}", file=sys.stderr)
    return 0


def _index(results: Folder, asked: argparse.Namespace) -> None:
    """Enter the set and its clean set where RESULTS does not hold them, with those pictures that cannot be read."""
    wanted = image_sets.read(Folder.of(asked.data), asked.image_set)
    clean = wanted.image_set.clean
    for prepared in (wanted, *([image_sets.read(Folder.of(asked.data), clean)] if clean != asked.image_set else [])):
        name = prepared.image_set.name
        if name in {each.name for each in predictions.image_sets(results)}:
            continue
        decoder = Decoder(str(asked.data), str(asked.results), uuid.uuid4().hex, ())
        try:
            files = [shard.file for shard in prepared.shards]
            outcomes = grid.each(decoder, prepared.shards, names=files, title="reading", starting=True)
        finally:
            shutil.rmtree(decoder.scratch, ignore_errors=True)
        if failed := [outcome.error for outcome in outcomes if outcome.error]:
            raise BadRequest(f"Image set '{name}' in {asked.data} cannot be read: {failed[0]}")
        ledger.finish_indices(results, [prepared])


def _run(asked: argparse.Namespace) -> int:
    names = study.select(asked.studies)
    if asked.list:
        return _list(asked)
    if not asked.results:
        raise BadRequest("No --results. Give the folder or URI where results are kept.")
    if asked.plan or asked.data:
        todo, prepared = _plan(asked)
        if asked.plan:
            return 0
    else:
        todo, prepared = None, ()
        _check_grid(asked)
    with grid.session() if todo and todo.specs else nullcontext():
        failures = _show(asked, todo, prepared) if todo else []
        results = Folder.of(asked.results)
        if not failures or results.exists("models.parquet"):
            failures += _measure(results, asked.results, names, anew="all" not in asked.studies)
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


def _plan(asked: argparse.Namespace) -> tuple[plan.Plan, tuple[PreparedSet, ...]]:
    if not asked.data:
        raise BadRequest("No --data. A plan needs the folder or URI of the prepared image sets.")
    every = models.read_grid(asked.grid or models.OUR_GRID)
    prepared = tuple(image_sets.read_all(Folder.of(asked.data)))
    mirror = str(Path(asked.weights).resolve()) if asked.weights else ""
    chosen = models.select(every, asked.model)
    todo = plan.make(Folder.of(asked.results), prepared, chosen, mirror, asked.precision, half=asked.half)
    ledger.refresh_models(Folder.of(asked.results), every)
    for sentence in todo.notes():
        print(f"note: {sentence}", file=sys.stderr)
    print(todo.summary(), file=sys.stderr)
    if asked.plan and todo.specs:
        machine = passes.here()
        known = account.measured(Folder.of(asked.results), machine.device)
        print(passes.forecast(todo, machine, known), file=sys.stderr)
    return todo, prepared


def _check_grid(asked: argparse.Namespace) -> None:
    if asked.grid:
        specs = models.select(models.read_grid(asked.grid), asked.model)
        plan.refuse_other_grid(Folder.of(asked.results), specs)
    elif asked.model:
        raise BadRequest("--model chooses what is shown: give --grid and --data with it.")


def _show(asked: argparse.Namespace, todo: plan.Plan, prepared: Sequence[PreparedSet]) -> list[str]:
    if not todo.specs:
        lock.clear(Folder.of(asked.results))  # killed when only this was left
        ledger.finish_indices(Folder.of(asked.results), prepared)
        return [f"{name}: {reason}" for name, reason in todo.failed]
    outcomes = grid.show(todo, prepared, asked.data, asked.results)
    twice = ledger.refresh_models(Folder.of(asked.results), models.read_grid(asked.grid or models.OUR_GRID))
    for sentence in plan.alike(each for each in twice if each not in todo.duplicates):
        print(f"note: {sentence}", file=sys.stderr)
    for sentence in ledger.unreadable(Folder.of(asked.results)):
        print(f"note: {sentence}", file=sys.stderr)
    return [f"{outcome.name}: {outcome.error}" for outcome in outcomes if outcome.error]


def _measure(results: Folder, uri: str, names: Sequence[str], *, anew: bool) -> list[str]:
    """Run the studies over every model of RESULTS; up-to-date files are left alone unless `anew`."""
    known = [str(name) for name in predictions.models(results).index]
    inputs = study.inputs(results)
    due = tuple(name for name in names if anew or not measurements.is_current(results, name, inputs))
    if not due:
        print(f"measurements of {len(names)} studies are up to date", file=sys.stderr)
        return []
    halves.record_halves(results)
    measure = partial(study.measure, uri, studies=due)
    outcomes = grid.each(measure, known, names=known, title="measuring", starting=True)
    failed = [f"{outcome.name}: {outcome.error}" for outcome in outcomes if outcome.error]
    rows = [row for outcome in outcomes for row in outcome.value or ()]
    for name in due:
        identity = {"inputs": inputs, "failed": failed}
        measurements.write(results, name, (row for row in rows if row.study == name), identity)
    print(
        f"{len(rows)} measurements of {len(known)} models in {', '.join(due)}: {results}/measurements", file=sys.stderr
    )
    for sentence in study.left_out(results, due):
        print(f"note: {sentence}", file=sys.stderr)
    return failed


def _list(asked: argparse.Namespace) -> int:
    print("Studies")
    for name in study.STUDIES:
        print(f"  {name:<12} {study.question(name)}")
    if asked.data:
        print(f"\nImage sets in {asked.data}")
        for prepared in image_sets.read_all(Folder.of(asked.data)):
            each = prepared.image_set
            print(f"  {each.name:<20} {each.role:<9} {each.n_images:>7} images, {len(each.classes)} labels")
    specs = models.read_grid(asked.grid or models.OUR_GRID)
    shown = Folder.of(asked.results) / "features" if asked.results else None
    print(f"\nModels in {asked.grid or models.OUR_GRID}")
    for spec in specs:
        cells = sum(spec.name in (shown / each).folders() for each in shown.folders()) if shown else 0
        print(f"  {spec.name:<48} {spec.group:<15} {spec.train_source:<16} shown {cells} sets")
    if asked.results:
        _list_imported(Folder.of(asked.results))
    return 0


def _list_imported(results: Folder) -> None:
    facts = predictions.models(results) if results.exists("models.parquet") else pd.DataFrame()
    kinds = {str(name): predictions.imported(row) for name, row in facts.iterrows()}
    if any(kinds.values()):
        print(f"\nModels imported into {results}")
    for name, kind in kinds.items():
        if kind:
            sets = predictions.given(results, name, kind)
            print(f"  {name:<48} {kind} on {', '.join(each.name for each in sets)}")


if __name__ == "__main__":
    sys.exit(main())
