"""Ray: a session, work handed out item by item, and the stream of shards to packs of models.

Ray Data decodes each shard once and streams descriptors; long-lived actors, one per GPU, hold packs of model replicas
and commit what they saw. The committed files are the only state: what is missing is streamed until nothing is missing
or a shard has had its attempts, so that a first run, a resumed one and a retry are the same code.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from engine import ledger, plan
from engine.decode import Decoder, put_down, sweep, take_away
from engine.files import Folder
from engine.image_sets import PreparedSet, Shard
from engine.ledger import Loaded
from engine.models import ModelSpec
from engine.outcomes import Outcome, last_line
from engine.plan import Need, Plan
from engine.preprocess import Preprocess
from engine.progress import Progress
from engine.stream import Answer, Arrival, Receipt, Stream

T = TypeVar("T")
R = TypeVar("R")

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else `uv run` would build the environment again in every worker
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "token",  # a local session turns tokens on by itself, its clients must be told
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
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a slow shard is no hang: attempts are counted here instead
    try:
        yield
    finally:
        ray.shutdown()


def _keep_token_private() -> None:
    # Ray writes its token readable for everyone on the computer.
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    if token.exists():
        token.chmod(0o600)


def each(function: Callable[[T], R], items: Sequence[T], *, names: Sequence[str], title: str) -> list[Outcome[R]]:
    """Outcome of `function` for every item, in their order; one that fails ends nothing but itself.

    On Ray where a session is on, an item a CPU; else one after the other, here.
    """
    on_ray = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    with Progress(title, len(items), "done") as progress:
        return (_on_ray if on_ray else _here)(function, items, names, progress)


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
        outcomes[place] = _outcome(names[place], ready[0])
        progress.advance(note=names[place])
    return [outcomes[place] for place in range(len(items))]


def _outcome(name: str, reference: Any) -> Outcome[Any]:
    import ray

    try:
        return Outcome(name, ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        return Outcome(name, error=last_line(error))
    except ray.exceptions.RayError as error:
        return Outcome(name, error=f"its worker died ({last_line(error)})")


def show(todo: Plan, prepared: Sequence[PreparedSet], data: str, results: str) -> list[Outcome[int]]:
    """Show every model of the plan what it lacks; the outcome of a model is the number of images it was shown.

    Needs a `session`. What was committed before an error, a kill or Ctrl-C stays, and is not done again.
    """
    sweep()
    failed, lost, shown = dict(todo.failed), dict[str, str](), Counter[str]()
    with Progress("showing", todo.images, "images") as progress:
        crew = Crew((results, plan.clean_set(prepared).class_names, todo.mirror), progress)
        for pack in plan.packs(todo.specs, crew.start()):
            loaded = crew.load(pack)
            failed |= {each.name: each.error for each in loaded if each.error}
            ledger.note_models(Folder.of(results), pack, loaded)
            crew.geometries = tuple(dict.fromkeys(each.preprocess for each in loaded if each.preprocess))
            needs = [need.of({spec.name for spec in pack}) for need in todo.needs]
            with _decoder(data, results, crew) as decoder:
                lost |= Stream(crew, partial(_decoded, decoder), failed, shown).run(needs)
    ledger.finish_indices(Folder.of(results), prepared)
    reasons = lost | failed
    names = dict.fromkeys([*(spec.name for spec in todo.specs), *reasons])
    return [Outcome(name, shown[name], reasons.get(name, "")) for name in names]


@contextmanager
def _decoder(data: str, results: str, crew: Crew) -> Iterator[Decoder]:
    """A decoder for the crew's geometries; however it ends, shards in hand are finished and the scratch is emptied."""
    decoder = Decoder(data, results, uuid.uuid4().hex, crew.geometries)
    try:
        yield decoder
    finally:
        crew.settle()
        shutil.rmtree(decoder.scratch, ignore_errors=True)


class Crew:
    """The actors that hold the pack: one per GPU, or one per node where there is none.

    An actor that dies is replaced, and the replacement loads the pack again. None is given work before it has answered.
    """

    def __init__(self, given: tuple[str, tuple[str, ...], str], progress: Progress) -> None:
        self.given, self.progress = given, progress  # what a Pack is made of
        self.pack: list[ModelSpec] = []
        self.geometries: tuple[Preprocess, ...] = ()
        self.nodes: dict[Any, str] = {}
        self.busy: dict[Any, tuple[Any, Need]] = {}

    @property
    def actors(self) -> int:
        """Number of actors."""
        return len(self.nodes)

    @property
    def at_work(self) -> int:
        """Number of shards that were given and not collected."""
        return len(self.busy)

    def start(self) -> int:
        """Start the actors; bytes that the smallest device has free."""
        import ray

        self.gpus = int(ray.cluster_resources().get("GPU", 0))
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        actors = [self._hire() for _ in range(self.gpus or len(nodes))]
        self.nodes = dict(zip(actors, ray.get([actor.node.remote() for actor in actors]), strict=True))
        return int(min(ray.get([actor.free_bytes.remote() for actor in actors])))

    def _hire(self) -> Any:
        import ray

        from engine.show import Pack

        class Member(Pack):
            def node(self) -> str:
                return str(ray.get_runtime_context().get_node_id())

        remote: Any = ray.remote(Member)
        # No CPU is held, so that decoding is never starved; no restarts, so that a shard which kills is noticed here.
        options = {"num_cpus": 0, "num_gpus": min(1, self.gpus), "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        return remote.options(**options).remote(*self.given)

    def load(self, pack: Sequence[ModelSpec]) -> list[Loaded]:
        """Load the pack in every actor; what each model turned out to be. One that kills its actor is left out."""
        self.pack = []
        for actor in self.nodes:
            actor.drop.remote()
        found = []
        for spec in pack:
            self.progress.note = f"loading {spec.name}"
            asked = {actor: actor.load.remote(spec) for actor in self.nodes}
            outcomes = {actor: _outcome(spec.name, reference) for actor, reference in asked.items()}
            for actor, outcome in outcomes.items():
                if outcome.value is None:
                    self.replace(actor)
            answers = [each.value or Loaded(spec.name, error=each.error) for each in outcomes.values()]
            found.append(next((answer for answer in answers if answer.error), answers[0]))
            if not found[-1].error:
                self.pack.append(spec)
        return found

    def replace(self, dead: Any) -> None:
        """Put a new actor, with the pack, in the place of one that died."""
        import ray

        if self.nodes.pop(dead, None) is None:
            return
        actor = self._hire()
        ray.get([actor.load.remote(spec) for spec in self.pack])
        self.nodes[actor] = ray.get(actor.node.remote())

    def give(self, need: Need, arrival: Arrival) -> None:
        """Hand a decoded shard to the actor that has least to do, on the shard's own node where there is a choice."""
        load = Counter(actor for actor, _ in self.busy.values())
        actor = min(self.nodes, key=lambda each: (load[each], self.nodes[each] != arrival.node))
        here = self.nodes[actor]
        folder: Any = arrival.folder if here == arrival.node else _moved(arrival.folder, arrival.node, here)
        reference = actor.show.remote(need.shard, folder, self.geometries, need.models)
        self.busy[reference] = (actor, need)

    def collect(self) -> Answer:
        """Wait for one shard that was given."""
        import ray

        ready, _ = ray.wait(list(self.busy), num_returns=1)
        actor, need = self.busy.pop(ready[0])
        try:
            receipt: Receipt = ray.get(ready[0])
        except ray.exceptions.RayTaskError as error:  # first: the shard's fault, the actor lives
            return Answer(need, None, last_line(error))
        except ray.exceptions.RayError as error:
            self.replace(actor)
            return Answer(need, None, f"its worker died ({last_line(error)})")
        self.progress.advance(need.shard.rows, note=need.shard.image_set)
        return Answer(need, receipt)

    def settle(self) -> None:
        """Let the actors finish the shard in hand, as after Ctrl-C."""
        import ray

        if self.busy:
            ray.wait(list(self.busy), num_returns=len(self.busy), timeout=10)
            self.busy.clear()


def _decoded(decoder: Decoder, shards: Sequence[Shard]) -> Iterator[Arrival]:
    """The shards as they come from Ray Data."""
    import ray.data

    def decode(row: dict[str, Any]) -> dict[str, Any]:
        found = {"place": row["place"], "folder": "", "error": "", "node": ray.get_runtime_context().get_node_id()}
        try:
            return {**found, "folder": str(decoder(shards[int(row["place"])]))}
        except Exception as error:
            return {**found, "error": last_line(error)}

    tables = [pa.table({"place": [place]}) for place in range(len(shards))]
    for row in ray.data.from_arrow(tables).map(decode, num_cpus=1).iter_rows():
        yield Arrival(int(row["place"]), str(row["folder"]), str(row["node"]), str(row["error"]))


def _moved(folder: str, source: str, target: str) -> Any:
    """A decoded shard brought from one node to another, through the object store; a reference to its folder there."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def on(node: str) -> dict[str, Any]:
        return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}

    read: Any = ray.remote(**on(source))(take_away)
    write: Any = ray.remote(**on(target))(put_down)
    return write.remote(folder, read.remote(folder))
