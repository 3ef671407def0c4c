"""Whether every node is fit for a study.

::

    python -m cluster.check --data DATA --results RESULTS

Looks from every node of the cluster that RAY_ADDRESS names (as under ``ray job submit``), or from this computer where
it names none: versions, imports, GPUs; whether DATA and RESULTS can be used, and are what the driver sees; room for
decoded images; the clock. Prints a table, then a sentence for each problem, with the next step. Exit status: 0 where
all is well, 1 where there is a problem, 2 where there is no answer.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import look
from cluster.look import Seen, last_line, open_folder, put

SCRATCH_GIB = 5.0  # decoded images that wait for a model take up to 4 GiB
GPU_SHARE = 0.5  # of its memory should be free: less means that somebody else is on it
CLOCK_SECONDS = 60.0
PATIENCE_SECONDS = 180.0
TOKEN_FILE = "~/.ray/auth_token"  # noqa: S105 where the token is, not what
QUIET = {  # Ray reads them when it is imported
    "RAY_AUTH_MODE": "token",  # a local session turns tokens on by itself, its clients must be told
    "RAY_USAGE_STATS_ENABLED": "0",
}
COLUMNS = ("node", "host", "python", "ray", "torch", "GPUs", "free GiB", "DATA", "RESULTS", "scratch GiB", "clock")


@dataclass(frozen=True)
class Node:
    """A node as Ray knows it, and what was seen from it, or why nothing was."""

    address: str
    gpus: int
    seen: Seen | None
    error: str = ""
    clock_off: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Check every node; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cluster.check", description="Whether every node is fit.")
    parser.add_argument("--data", metavar="DATA", required=True, help="folder or URI of the image sets")
    parser.add_argument("--results", metavar="RESULTS", required=True, help="folder or URI that is written to")
    asked = parser.parse_args(arguments)
    mark = f".check-{uuid.uuid4().hex}"
    try:
        filesystem, path = open_folder(asked.results)
        filesystem.create_dir(path, recursive=True)
        put(filesystem, f"{path}/{mark}")
    except (OSError, ValueError) as error:
        print(
            f"error: {asked.results} cannot be written to ({last_line(error)}). Give another --results.",
            file=sys.stderr,
        )
        return 2
    try:
        return _check(asked.data, asked.results, mark)
    except NoCluster as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        filesystem.delete_file(f"{path}/{mark}")


def _check(data: str, results: str, mark: str) -> int:
    driver = look.look(data, results, mark)
    nodes = ask_nodes(data, results, mark)
    print(table(nodes))
    found = [problem for node in nodes for problem in problems(node, driver)]
    print("\n".join(f"PROBLEM {problem}" for problem in found) or f"Fit: {len(nodes)} of {len(nodes)} nodes.")
    return 1 if found else 0


class NoCluster(ConnectionError):
    """A cluster that does not answer, or a Ray that does not start."""


def ask_nodes(data: str, results: str, mark: str) -> list[Node]:
    """Every live node with what is seen from it."""
    ray = _connect()
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]
        started = time.time()
        asked = [_on(node["NodeID"]).remote(data, results, mark) for node in alive]
        return [_answer(node, reference, started) for node, reference in zip(alive, asked, strict=True)]
    finally:
        ray.shutdown()


def _connect() -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    by_value: Any = ray.cloudpickle.register_pickle_by_value
    by_value(look)  # a node need not have this code to be looked at
    cluster = os.environ.get("RAY_ADDRESS")
    here: dict[str, Any] = {} if cluster else {"address": "local", "include_dashboard": False}
    try:
        ray.init(**here, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        what = f"No cluster answers at RAY_ADDRESS={cluster}" if cluster else "Ray does not start on this computer"
        raise NoCluster(
            f"{what} ({last_line(error)}). See that the cluster runs, or unset RAY_ADDRESS to check this computer "
            f"alone; and that the token is in {os.environ.get('RAY_AUTH_TOKEN_PATH', TOKEN_FILE)}."
        ) from error
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", TOKEN_FILE)).expanduser()
    if token.exists() and not cluster:
        token.chmod(0o600)  # Ray writes it readable for everyone on the computer
    return ray


def _on(node: str) -> Any:
    """`look`, on that node and no other, in a worker that ends with it and so gives its GPU memory back."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote: Any = ray.remote
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    return remote(num_cpus=0, max_calls=1, max_retries=1, scheduling_strategy=here)(look.look)


def _answer(node: dict[str, Any], reference: Any, started: float) -> Node:
    import ray

    address, gpus = node["NodeManagerAddress"], int(node["Resources"].get("GPU", 0))
    try:
        seen = ray.get(reference, timeout=PATIENCE_SECONDS)
    except ray.exceptions.RayError as error:
        return Node(address, gpus, None, last_line(error))
    # The clock was read between asking and answer: this is by how much it is off at least.
    return Node(address, gpus, seen, clock_off=max(0.0, started - seen.clock, seen.clock - time.time()))


def problems(node: Node, driver: Seen) -> Iterator[str]:
    """A sentence for each thing that is wrong with a node."""
    if node.seen is None:
        yield f"{node.address}: no answer ({node.error}). See the node's logs in the dashboard, or take it away."
        return
    found = (*_software(node.seen, driver), *_gpu(node.gpus, node.seen), *_storage(node.seen, driver))
    yield from (f"{node.address}: {problem}" for problem in found)
    if node.clock_off > CLOCK_SECONDS:
        yield f"{node.address}: clock off by {node.clock_off:.0f} s. Set it by NTP; object stores refuse wrong clocks."


def _software(seen: Seen, driver: Seen) -> Iterator[str]:
    for name, wanted in driver.versions.items():
        if seen.versions[name] != wanted:
            yield (
                f"{name} is {seen.versions[name] or 'absent'}, for the driver it is {wanted or 'absent'}. "
                "Give every node the same image or environment."
            )
    for error in seen.import_errors:
        yield f"cannot import {error}. Run there: pip install --constraint constraints.txt '.[engine]'."


def _gpu(counted: int, seen: Seen) -> Iterator[str]:
    if counted != len(seen.gpus):
        yield f"Ray counts {counted} GPUs, torch sees {len(seen.gpus)}. Compare nvidia-smi; driver and torch must fit."
    for number, (free, total) in enumerate(seen.gpus):
        if free < GPU_SHARE * total:
            yield f"GPU {number} has {free:.0f} of {total:.0f} GiB free. End what else runs on it: nvidia-smi names it."


def _storage(seen: Seen, driver: Seen) -> Iterator[str]:
    if seen.data_error:
        yield f"DATA cannot be read ({seen.data_error}). Mount it on every node, or let the node read it."
    elif seen.image_sets != driver.image_sets:
        yield (
            f"DATA holds {len(seen.image_sets)} image sets there, {len(driver.image_sets)} for the driver. "
            "Name a folder or URI that is the same from everywhere."
        )
    if seen.results_error:
        yield f"RESULTS cannot be used ({seen.results_error}). Name shared storage that the node may write to."
    if seen.scratch_gib < SCRATCH_GIB:
        yield (
            f"{seen.scratch} has {seen.scratch_gib:.1f} GiB free, decoded images need {SCRATCH_GIB:.0f}. "
            "Make room, or set TMPDIR to another disk."
        )


def table(nodes: Sequence[Node]) -> str:
    """The nodes as lines of text."""
    rows = [COLUMNS, *(_row(node) for node in nodes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(node: Node) -> tuple[str, ...]:
    seen = node.seen
    if seen is None:
        return (node.address, "no answer", *["-"] * (len(COLUMNS) - 2))
    software = [seen.versions[name] or "-" for name in ("python", "ray", "torch")]
    free = " ".join(f"{free:.0f}/{total:.0f}" for free, total in seen.gpus) or "-"
    storage = ["no" if seen.data_error else f"{len(seen.image_sets)} sets", "no" if seen.results_error else "yes"]
    rest = [f"{seen.scratch_gib:.0f}", f"{node.clock_off:.0f} s off"]
    return (node.address, seen.host, *software, str(len(seen.gpus)), free, *storage, *rest)


if __name__ == "__main__":
    sys.exit(main())
