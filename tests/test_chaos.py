"""Runs killed at a random moment and resumed: the store is that of an uninterrupted run, and nothing was done twice."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small

ROOT = Path(__file__).parents[1]
MODELS = {"test_vit.a": "timm", "test_resnet.b": "timm", "test_vit2.c": "timm"}
FILES = 3 * 26  # shown shards of a whole run
LIMIT = 150.0  # seconds after which a process hangs
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
LINGER = 20.0  # seconds that what a dead process has started may take to notice

CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": int(sys.argv[1]), "include_dashboard": False})
others = [cluster.add_node(num_cpus=int(number)) for number in sys.argv[2:]]
print(cluster.address, flush=True)
for _ in sys.stdin:
    cluster.remove_node(others.pop(), allow_graceful=False)
"""


@dataclass(frozen=True)
class World:
    """A grid with its image sets, and the rows of an uninterrupted run by file."""

    root: Path
    rows: dict[str, pa.Table] = field(repr=False)

    def start(self, results: Path, address: str = "") -> subprocess.Popen[str]:
        """Start the command that shows and measures everything, in a session of processes of its own."""
        command = [sys.executable, "-m", "studies", "all", "--grid", str(self.root / "models.csv")]
        command += ["--data", str(self.root / "images"), "--results", str(results)]
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        environment |= {"CLOSERLOOK_COMMIT": "one for all"} | ({"RAY_ADDRESS": address} if address else {})
        with results.with_suffix(".said").open("a") as said:
            options = {"stdout": said, "stderr": said, "text": True, "start_new_session": True}
            return subprocess.Popen(command, cwd=ROOT, env=environment, **options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("chaos")
    for name, role, labels, count in (
        ("colours", "clean", (0, 1, 2), 60),
        ("colours-shift", "shift", (2, 0, 1), 40),
        ("greys", "out", (None,), 30),
    ):
        small.prepared(root / "images", name, role, small.rows(count, labels=labels, seed=count), shard_rows=5)
    for seed, name in enumerate(MODELS):
        small.save_timm(root / name, name.partition(".")[0], seed=seed)
    small.grid(root / "models.csv", MODELS)
    whole = World(root, {})
    run = whole.start(root / "whole")
    assert (wait(run), leave_nothing(run.pid)) == (0, ())
    rows = rows_of(root / "whole")
    assert sum(name.startswith("features/") for name in rows) == FILES
    return World(root, rows)


def rows_of(results: Path) -> dict[str, pa.Table]:
    """The rows of every file that a reader could see, by its path in RESULTS; all of them are Parquet.

    Where the time went differs from run to run, and is left out.
    """
    files = [file for file in sorted(results.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    files = [file for file in files if file.parent.name != "runs"]
    assert {file.suffix for file in files} <= {".parquet"}
    return {str(file.relative_to(results)): pq.read_table(file).replace_schema_metadata() for file in files}


def stamps(results: Path) -> dict[str, tuple[int, int, str]]:
    """Inode, time of writing and content of every shown shard that is there."""
    found = {}
    for file in results.glob("features/*/*/[!.]*.parquet"):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        found[str(file.relative_to(results))] = (file.stat().st_ino, file.stat().st_mtime_ns, content)
    return found


def processes(session: int) -> dict[int, str]:
    """Command lines of what is alive in a session of processes, by number."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, itsession = (place / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(itsession) == session and state not in "ZX":
                found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def leave_nothing(session: int) -> tuple[str, ...]:
    """Wait until nothing of the session is alive; what lingers is ended, and named."""
    until = time.monotonic() + LINGER
    while (left := ours(session)) and time.monotonic() < until:
        time.sleep(0.1)
    end(session)
    return left


def ours(session: int) -> tuple[str, ...]:
    """Command lines of what is alive in a session, without Ray's agents: they tell a dead head for a minute."""
    return tuple(line for line in processes(session).values() if not line.startswith(AGENTS))


def end(session: int) -> None:
    """End what is alive in a session of processes."""
    for process in processes(session):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def wait(run: subprocess.Popen[str]) -> int:
    """Exit status of a run; one that hangs is ended, and fails."""
    try:
        return run.wait(LIMIT)
    except subprocess.TimeoutExpired:
        hung = processes(run.pid)
        end(run.pid)
        run.wait()
        raise AssertionError(f"the run hangs; alive: {hung}") from None


@contextmanager
def cluster(*cpus: int) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A cluster with a node for each number of CPUs: its address, and a process that drops a node for each line."""
    command = [sys.executable, "-c", CLUSTER, *map(str, cpus)]
    pipe = subprocess.PIPE
    environment = {**os.environ, "RAY_worker_niceness": "0"}  # as in a session of our own
    options = {"env": environment, "text": True, "start_new_session": True}
    holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, **options)
    assert holder.stdin
    assert holder.stdout
    try:
        lines = iter(holder.stdout.readline, "")
        yield next(line.strip() for line in lines if re.fullmatch(r"[\d.]+:\d+\n", line)), holder
    finally:
        end(holder.pid)
        holder.stdin.close()
        holder.stdout.close()
        holder.wait()


def until_shown(run: subprocess.Popen[str], results: Path, count: int) -> None:
    """Wait until so many shards have been committed, or the run has ended."""
    until = time.monotonic() + LIMIT
    while run.poll() is None and len(list(results.glob("features/*/*/[!.]*.parquet"))) < count:
        assert time.monotonic() < until, "nothing is shown"
        time.sleep(0.01)


VICTIMS = {
    "worker": r"ray::(Map|ReadMap|.*decode)",
    "actor": r"ray::Member",
    "raylet": r"\S*/raylet/raylet ",
}
"""What the command line of a victim begins with."""


def victim(kind: str, run: subprocess.Popen[str]) -> int:
    """Number of a process of this kind that the run has started; its own where the kind is driver, or all are gone."""
    while kind != "driver" and run.poll() is None:
        for process, line in processes(run.pid).items():
            if re.match(VICTIMS[kind], line):
                return process
    return run.pid


def strike(kind: str, seed: int, run: subprocess.Popen[str], results: Path, holder: subprocess.Popen[str]) -> None:
    """Kill something of this kind at a moment drawn from the seed."""
    moment = random.Random(f"{kind} {seed}")  # noqa: S311
    until_shown(run, results, moment.randint(1, FILES * 3 // 4))
    time.sleep(moment.uniform(0, 0.3))
    if kind == "node":
        assert holder.stdin
        print("drop one", file=holder.stdin, flush=True)
        return
    with suppress(ProcessLookupError):
        os.kill(victim(kind, run), signal.SIGKILL)


@contextmanager
def surroundings(kind: str) -> Iterator[tuple[str, subprocess.Popen[str] | None]]:
    """Where the first run finds Ray: a cluster of two nodes where one of them is to be killed, else its own."""
    if kind != "node":
        yield "", None
        return
    with cluster(2, 1) as made:
        yield made


def struck(kind: str, seed: int, world: World, results: Path) -> tuple[int, list[str]]:
    """A run that something happens to: its exit status, and what it did twice. Nothing of it is left afterwards."""
    with surroundings(kind) as (address, holder):
        run = world.start(results, address)
        try:
            strike(kind, seed, run, results, holder or run)
            before = stamps(results)
            status = wait(run)
            left = leave_nothing(run.pid)
        finally:
            end(run.pid)
    assert left == (), "what the run had started lives on"
    now = stamps(results)
    return status, [name for name, stamp in before.items() if now.get(name) != stamp]


def check(kind: str, seed: int, world: World, results: Path) -> None:
    status, twice = struck(kind, seed, world, results)
    said = results.with_suffix(".said").read_text()
    assert "Traceback" not in said, said
    assert status in ((-signal.SIGKILL,) if kind == "driver" else (0, 1, 2)), said
    kept = stamps(results)
    print(f"{kind} {seed}: {status}, {len(kept)} of {FILES} kept, {len(twice)} done twice", flush=True)
    if status:
        with cluster(1 + 2 * (seed % 2)) as (address, _):
            again = world.start(results, address)
            assert (wait(again), leave_nothing(again.pid)) == (0, ()), results.with_suffix(".said").read_text()
    found = rows_of(results)
    assert found.keys() == world.rows.keys()
    different = [name for name, rows in world.rows.items() if not found[name].equals(rows)]
    assert different == []
    now = stamps(results)
    assert {name: now[name] for name in kept} == kept, "committed shards were shown again"
    assert twice == [], "committed shards were shown again by the run itself"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["driver", "worker", "actor", "raylet", "node"])
@pytest.mark.parametrize("seed", range(10))
def test_a_killed_run_is_resumed_to_the_same_store(kind: str, seed: int, world: World, tmp_path: Path) -> None:
    check(kind, seed, world, tmp_path / "results")
