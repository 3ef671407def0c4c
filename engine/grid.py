"""Ray: a session, work handed out item by item, and the stream of shards to packs of models.

Ray Data decodes each shard once and streams descriptors; long-lived actors, one per GPU, hold packs of model replicas
and commit what they saw. The committed files are the only state: what is missing is streamed until nothing is missing
or a shard has had its attempts, so that a first run, a resumed one and a retry are the same code.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from engine import foreseen, ledger, lock, plan
from engine.account import Account, measured
from engine.crew import Crew, outcome
from engine.decode import Decoder, new_stream, sweep
from engine.decoding import Decoding
from engine.files import BadStore, Folder
from engine.image_sets import PreparedSet
from engine.outcomes import Outcome, last_line
from engine.passes import Pass, passes
from engine.plan import Need, Plan
from engine.progress import Progress
from engine.state import lacks
from engine.stream import NobodyLeft, Stream
from engine.watched import Watched

T = TypeVar("T")
R = TypeVar("R")

STARTING_PAYS = 20.0  # seconds of work left that make up for those in which Ray starts
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else `uv run` would build the environment again in every worker
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "token",  # a local session turns tokens on by itself, its clients must be told
    "RAY_idle_worker_killing_time_threshold_ms": "120000",  # else decoding workers are gone when models are loaded
    "RAY_worker_niceness": "0",  # Ray renices its workers to 15: beside any other load they would starve
}


@contextmanager
def session() -> Iterator[None]:
    """A Ray session: the cluster that RAY_ADDRESS names (as under ``ray job submit``), else one on this computer."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    start = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR)
    if "RAY_ADDRESS" in os.environ:
        start()
    else:
        # With one CPU, a stream and a pack would wait for each other.
        start(address="local", num_cpus=max(2, os.cpu_count() or 1), include_dashboard=False)
        _keep_token_private()
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is told here, in a sentence
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a slow shard is no hang: attempts are counted here instead
    ray.data.range(1).materialize()  # starts Ray Data's own actors
    if "RAY_ADDRESS" not in os.environ:
        _start_workers()
    try:
        yield
    finally:
        ray.shutdown()


def _start_workers() -> None:
    # A process per CPU, for Ray Data's actors took those that Ray had started.
    import ray

    def start() -> None:
        import ray.data  # noqa: F401 - it takes a worker half a second

    remote: Any = ray.remote(num_cpus=1)(start)
    ray.get([remote.remote() for _ in range(int(ray.cluster_resources()["CPU"]))])


def _keep_token_private() -> None:
    # Ray writes its token readable for everyone on the computer.
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    if token.exists():
        token.chmod(0o600)


def each(
    function: Callable[[T], R], items: Sequence[T], *, names: Sequence[str], title: str, starting: bool = False
) -> list[Outcome[R]]:
    """Outcome of `function` for every item, in their order; one that fails ends nothing but itself.

    On Ray where a session is on, an item a CPU; else one after the other, here. With `starting`, a session is started
    for the items that are left as soon as that pays: there are several CPUs, or a cluster, and enough left to do.
    """
    on_ray = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    way = _on_ray if on_ray else _here_at_first if starting else _here
    with Progress(title, len(items), "done") as progress:
        return way(function, items, names, progress)


def _here_at_first(
    function: Callable[[T], R], items: Sequence[T], names: Sequence[str], progress: Progress
) -> list[Outcome[R]]:
    helped = "RAY_ADDRESS" in os.environ or (os.cpu_count() or 1) > 1
    started, outcomes = time.monotonic(), list[Outcome[R]]()
    for done in range(len(items)):
        left = (time.monotonic() - started) / done * (len(items) - done) if done else 0.0
        if helped and left > STARTING_PAYS and len(items) - done > 1 and _has_ray():
            with session():
                return outcomes + _on_ray(function, items[done:], names[done:], progress)
        outcomes += _here(function, items[done : done + 1], names[done : done + 1], progress)
    return outcomes


def _has_ray() -> bool:
    try:
        return find_spec("ray") is not None  # not imported yet: Ray reads its settings once, and `session` sets them
    except ModuleNotFoundError:
        return False


def _here(function: Callable[[T], R], items: Sequence[T], names: Sequence[str], progress: Progress) -> list[Outcome[R]]:
    outcomes = []
    for item, name in zip(items, names, strict=True):
        try:
            outcomes.append(Outcome(name, function(item)))
        except Exception as error:
            outcomes.append(Outcome(name, error=last_line(error)))
        progress.advance(note=name)
    return outcomes


def _on_ray(
    function: Callable[[T], R], items: Sequence[T], names: Sequence[str], progress: Progress
) -> list[Outcome[R]]:
    import ray

    def call(function: Callable[[T], R], item: T) -> R:
        return function(item)

    remote: Any = ray.remote(num_cpus=1, max_retries=2)(call)
    shared = ray.put(function)  # once for all items: an archive's index can be large
    waiting = {remote.remote(shared, item): place for place, item in enumerate(items)}
    outcomes: dict[int, Outcome[R]] = {}
    while waiting:
        ready, _ = ray.wait(list(waiting), num_returns=1)
        place = waiting.pop(ready[0])
        outcomes[place] = outcome(names[place], ready[0])
        progress.advance(note=names[place])
    return [outcomes[place] for place in range(len(items))]


def show(todo: Plan, prepared: Sequence[PreparedSet], data: str, results: str) -> list[Outcome[int]]:
    """Show every model of the plan what it lacks; the outcome of a model is the number of images it was shown.

    Needs a `session`. What was committed before an error, a kill or Ctrl-C stays, and is not done again.

    Raises
    ------
    BadRequest : where another driver is showing images for the same RESULTS
    Unwritable : where RESULTS cannot be written to
    NobodyLeft : where Ray itself failed, or no actor is left
    """
    sweep()
    store = Folder.of(results)
    accounts: list[Account] = []
    failed, lost, shown = dict(todo.failed), dict[str, str](), Counter[str]()
    with lock.alone(store), Progress("showing", todo.images, "images") as progress, _ray_told():
        chosen = todo.mirror, todo.precision, todo.half
        given = results, plan.clean_set(prepared).class_names, *chosen, plan.own_names(prepared)
        crew = Crew(given, progress)
        machine = crew.start()
        known = measured(store, machine.device)
        rounds = passes(todo, machine, known)
        watched = Watched(progress, rounds, machine)
        for number, each in enumerate(rounds):
            crew.account = Account(machine.device)
            accounts.append(crew.account)
            crew.seen = partial(watched.seen, number, crew.account)
            with _decoding(data, results, crew, each) as decoding, _kept(crew.account, store):
                loaded = crew.load(each.models, machine, known)
                progress.begin()
                failed |= {found.name: found.error for found in loaded if found.error}
                ledger.note_models(store, each.models, loaded)
                decoding.turn_to(tuple(dict.fromkeys(found.preprocess for found in loaded if found.preprocess)))
                crew.geometries = decoding.decoder.geometries
                lacking = partial(_lacking, store, {found.name: found.digest for found in loaded}, todo.precision)
                lost |= Stream(crew, decoding, lacking, failed, shown).run(each.needs)
    for spent in accounts:
        print(f"{machine.device}: {spent.summary()}", file=sys.stderr)
    ledger.finish_indices(store, prepared)
    reasons = lost | failed
    names = dict.fromkeys([*(spec.name for spec in todo.specs), *reasons])
    return [Outcome(name, shown[name], reasons.get(name, "")) for name in names]


def _lacking(store: Folder, digests: Mapping[str, str], precision: str, need: Need) -> tuple[str, ...]:
    return tuple(name for name in need.models if lacks(store, need.shard, name, digests[name], precision))


@contextmanager
def _ray_told() -> Iterator[None]:
    """What ends Ray itself ends the run with a sentence."""
    import ray

    try:
        yield
    except ray.exceptions.RayError as error:
        raise NobodyLeft(
            f"Ray itself failed ({last_line(error)}). See that its nodes are alive (ray status); what is finished is "
            "kept, and the same command goes on."
        ) from error


@contextmanager
def _kept(spent: Account, store: Folder) -> Iterator[None]:
    """However a pass ends, where its time went is kept in RESULTS."""
    try:
        yield
    finally:
        with suppress(BadStore):  # which is told already
            spent.commit(store)


@contextmanager
def _decoding(data: str, results: str, crew: Crew, todo: Pass) -> Iterator[Decoding]:
    """A pass's pictures, begun where all geometries are foreseen; however it ends, shards in hand are finished."""
    decoding = Decoding(Decoder(data, results, new_stream(), foreseen.geometries(todo.models)), crew.account)
    if decoding.decoder.geometries:
        decoding.begin([need.shard for need in todo.needs])
    try:
        yield decoding
    finally:
        crew.settle()
        decoding.close()
