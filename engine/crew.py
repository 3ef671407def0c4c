"""The actors that hold a pack of models, one per device, and the shards that are handed to them; on Ray."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from engine import packs
from engine.account import Account, Measured, Spent
from engine.decode import put_down, take_away, warm_up
from engine.files import Unwritable
from engine.ledger import Loaded
from engine.models import ModelSpec
from engine.outcomes import Outcome, last_line
from engine.packs import Machine
from engine.passes import spare_bytes
from engine.plan import Need
from engine.preprocess import Preprocess
from engine.progress import Progress
from engine.stream import Answer, Arrival, NobodyLeft, Receipt

HIRES = 3  # attempts to put an actor in the place of a dead one
PATIENCE = 120.0  # seconds in which a new actor must answer
CALLS_AT_ONCE = 2  # of an actor: pixels are brought to the device for one while the other computes


def outcome(name: str, reference: Any) -> Outcome[Any]:
    """What came of one remote call; `Unwritable` is raised, for it is nobody's fault alone."""
    import ray

    try:
        return Outcome(name, ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        _raise_unwritable(error)
        return Outcome(name, error=last_line(error))
    except ray.exceptions.RayError as error:
        return Outcome(name, error=f"its worker died ({last_line(error)})")


class Member:
    """A `Pack` as an actor, which alone imports what models need."""

    def __init__(self, *given: Any) -> None:
        from engine.show import Pack

        self.pack = Pack(*given)

    def node(self) -> str:
        """Id of its node."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def about(self) -> tuple[str, int]:
        """See `Pack.about`."""
        return self.pack.about()

    def drop(self) -> None:
        """See `Pack.drop`."""
        self.pack.drop()

    def load(self, *what: Any) -> Loaded:
        """See `Pack.load`."""
        return self.pack.load(*what)

    def show(self, *what: Any) -> Receipt:
        """See `Pack.show`."""
        return self.pack.show(*what)


class Crew:
    """The actors that hold the pack: one per GPU, or one per node where there is none.

    An actor that dies is replaced, and the replacement loads the pack again. None is given work before it has answered.
    """

    def __init__(self, given: tuple[object, ...], progress: Progress) -> None:
        self.given, self.progress = given, progress  # what a Pack is made of
        self.account = Account()
        self.seen: Callable[[Need], object] = id
        self.pack: dict[ModelSpec, int] = {}
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

    def start(self) -> Machine:
        """Start the actors; what there is to work with, a device being as small as the smallest."""
        import ray

        self.gpus = int(ray.cluster_resources().get("GPU", 0))
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        actors = [self._hire() for _ in range(self.gpus or len(nodes))]
        decoders: Any = ray.remote(num_cpus=1)(warm_up)
        for _ in range(int(ray.cluster_resources().get("CPU", 1))):
            decoders.remote()  # not waited for: they get ready while the models are loaded
        cores = int(ray.cluster_resources().get("CPU", 1)) if "RAY_ADDRESS" in os.environ else os.cpu_count() or 1
        if "RAY_ADDRESS" not in os.environ and not self.gpus:  # known here: the actor gets ready meanwhile
            self.nodes = {actors[0]: nodes[0]["NodeID"]}
            return Machine("cpu", 1, spare_bytes(), cores)
        self.progress.note = f"waiting for {len(actors)} {'GPUs' if self.gpus else 'nodes'}"
        self.nodes = dict(zip(actors, ray.get([actor.node.remote() for actor in actors]), strict=True))
        about = ray.get([actor.about.remote() for actor in actors])
        return Machine(about[0][0], len(actors), min(free for _, free in about), cores)

    def _hire(self) -> Any:
        import ray

        remote: Any = ray.remote(Member)
        # No CPU is held, so that decoding is never starved; no restarts, so that a shard which kills is noticed here.
        options = {"num_cpus": 0, "num_gpus": min(1, self.gpus), "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        return remote.options(**options, max_concurrency=CALLS_AT_ONCE).remote(*self.given)

    def load(self, pack: Sequence[ModelSpec], machine: Machine, known: Measured) -> list[Loaded]:
        """Load the pack in every actor; what each model turned out to be. One that kills its actor is left out."""
        import ray

        self.pack = {}
        self.progress.note = "starting"
        ray.get([actor.drop.remote() for actor in self.nodes])
        found = []
        for spec in pack:
            self.progress.note, started = f"loading {spec.name}", time.perf_counter()
            size = known.batches.get(spec.name, packs.batch_size(spec, machine))
            asked = {actor: actor.load.remote(spec, size) for actor in self.nodes}
            outcomes = {actor: outcome(spec.name, reference) for actor, reference in asked.items()}
            for actor, each in outcomes.items():
                if each.value is None:
                    self.replace(actor)
            answers = [each.value or Loaded(spec.name, error=each.error) for each in outcomes.values()]
            found.append(next((answer for answer in answers if answer.error), answers[0]))
            self.account.add([Spent("load", spec.name, time.perf_counter() - started, 0)])
            if not found[-1].error:
                self.pack[spec] = size
        self.account.batches = {spec.name: size for spec, size in self.pack.items()}
        return found

    def replace(self, dead: Any) -> None:
        """Put a new actor, with the pack, in the place of one that died; none where its node died with it.

        Raises
        ------
        NobodyLeft : where no actor is left
        """
        import ray

        if self.nodes.pop(dead, None) is None:
            return
        sizes = {spec: self.account.batches.get(spec.name, size) for spec, size in self.pack.items()}
        for attempt in range(HIRES):
            actor = self._hire()
            try:
                node = ray.get(actor.node.remote(), timeout=PATIENCE)
                ray.get([actor.load.remote(spec, size) for spec, size in sizes.items()])
            except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
                ray.kill(actor)
                time.sleep(attempt)  # a node that is dying is soon known to be dead
                continue
            self.nodes[actor] = node
            return
        if not self.nodes:
            raise NobodyLeft(
                f"The worker that holds the models died, and {HIRES} in its place could not be started. See that the "
                "nodes of the cluster are alive (ray status); what is finished is kept, and the same command goes on."
            )

    def give(self, need: Need, arrival: Arrival) -> None:
        """Hand a decoded shard to the actor that has least to do, on the shard's own node where there is a choice."""
        load = Counter(actor for actor, _ in self.busy.values())
        actor = min(self.nodes, key=lambda each: (load[each], self.nodes[each] != arrival.node))
        here = self.nodes[actor]
        folder: Any = arrival.folder if here == arrival.node else _moved(arrival.folder, arrival.node, here)
        reference = actor.show.remote(need.shard, folder, self.geometries, need.models)
        self.busy[reference] = (actor, need)

    def collect(self) -> Answer:
        """Wait for one shard that was given.

        Raises
        ------
        Unwritable : where RESULTS cannot be written to
        """
        import ray

        ready, _ = ray.wait(list(self.busy), num_returns=1)
        actor, need = self.busy.pop(ready[0])
        try:
            receipt: Receipt = ray.get(ready[0])
        except ray.exceptions.RayTaskError as error:  # first: the shard's fault, the actor lives
            _raise_unwritable(error)
            return Answer(need, None, last_line(error))
        except ray.exceptions.RayError as error:
            self.replace(actor)
            return Answer(need, None, f"its worker died ({last_line(error)})")
        self.account.add(receipt.spent)
        self.account.batches |= dict(receipt.batches)
        self.account.drift |= dict(receipt.drift)
        self.seen(need)
        return Answer(need, receipt)

    def settle(self) -> None:
        """Let the actors finish the shard in hand, as after Ctrl-C."""
        import ray

        if self.busy:
            ray.wait(list(self.busy), num_returns=len(self.busy), timeout=10)
            self.busy.clear()


def _raise_unwritable(error: Any) -> None:
    if isinstance(error.cause, Unwritable):
        raise error.cause from None


def _moved(folder: str, source: str, target: str) -> Any:
    """A decoded shard brought from one node to another, through the object store; a reference to its folder there."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def on(node: str) -> dict[str, Any]:
        return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}

    read: Any = ray.remote(**on(source))(take_away)
    write: Any = ray.remote(**on(target))(put_down)
    return write.remote(folder, read.remote(folder))
