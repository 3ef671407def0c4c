"""Is every node fit for a study?

::

    python -m cluster.check --data DATA --results RESULTS

Looks from every node of the cluster that RAY_ADDRESS names (as under ``ray job submit``), or from this computer where
it names none: versions, imports, GPUs, whether DATA can be read and RESULTS be written to, and whether they are what the
driver sees, room for decoded images, the clock. A table, then a sentence for each problem, with the next step. Exit
status: 0 where all is well, 1 where there is a problem, 2 where there is no answer.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import logging
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

LIBRARIES = ("ray", "torch", "torchvision", "timm", "open_clip_torch", "numpy", "pandas", "pyarrow", "scipy", "pillow")
IMPORTS = ("torch", "timm", "open_clip")
SCRATCH_GIB = 5.0  # decoded images that wait for a model take up to 4 GiB
GPU_SHARE = 0.5  # of its memory should be free: less means that somebody else is on it
CLOCK_SECONDS = 60.0
PATIENCE_SECONDS = 180.0
GIB = 2**30


@dataclass(frozen=True)
class Seen:
    """What one node, or the driver, saw.

    Attributes
    ----------
    host : name of the computer
    versions : (name, version) of Python and the libraries; empty where one is not installed
    import_errors : one sentence per library that cannot be imported
    gpus : (free GiB, total GiB) of each GPU that torch sees
    image_sets : names of the folders in DATA
    data_error, results_error : why DATA cannot be read, RESULTS not be written to; empty where they can
    scratch : folder for decoded images; scratch_gib is what is free there
    clock : seconds since 1970
    """

    host: str
    versions: tuple[tuple[str, str], ...]
    import_errors: tuple[str, ...]
    gpus: tuple[tuple[float, float], ...]
    image_sets: tuple[str, ...]
    data_error: str
    results_error: str
    scratch: str
    scratch_gib: float
    clock: float


def look(data: str, results: str, mark: str) -> Seen:
    """What can be seen from where this runs; `mark` is a hidden file of RESULTS that the driver has written."""
    image_sets, data_error = _read(data)
    import_errors = tuple(_import_errors())
    return Seen(
        host=socket.gethostname(),
        versions=(("python", platform.python_version()), *((name, _version(name)) for name in LIBRARIES)),
        import_errors=import_errors,
        gpus=() if any(error.startswith("torch") for error in import_errors) else _gpus(),
        image_sets=image_sets,
        data_error=data_error,
        results_error=_write(results, mark),
        scratch=tempfile.gettempdir(),
        scratch_gib=shutil.disk_usage(tempfile.gettempdir()).free / GIB,
        clock=time.time(),
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _import_errors() -> Iterator[str]:
    for name in IMPORTS:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a broken installation throws
            yield f"{name}: {_last_line(error)}"


def _gpus() -> tuple[tuple[float, float], ...]:
    import torch

    found = [torch.cuda.mem_get_info(number) for number in range(torch.cuda.device_count())]
    return tuple((free / GIB, total / GIB) for free, total in found)


def _open(uri: str) -> tuple[pafs.FileSystem, str]:
    if "://" in uri:
        filesystem, path = pafs.FileSystem.from_uri(uri)
        return filesystem, path.rstrip("/")
    return pafs.LocalFileSystem(), str(Path(uri).expanduser().resolve())


def _read(data: str) -> tuple[tuple[str, ...], str]:
    """Names of the image sets in DATA, the first of which is read from; and what went wrong."""
    try:
        filesystem, path = _open(data)
        entries = filesystem.get_file_info(pafs.FileSelector(path))
        names = tuple(sorted(entry.base_name for entry in entries if entry.type == pafs.FileType.Directory))
        names = tuple(name for name in names if not name.startswith("."))
        if not names:
            return (), f"no image set in {data}"
        with filesystem.open_input_file(f"{path}/{names[0]}/00000.parquet") as file:
            file.read(4)
        return names, ""
    except (OSError, ValueError) as error:
        return (), _last_line(error)


def _write(results: str, mark: str) -> str:
    """What hindered this place from seeing `mark` in RESULTS and writing a file of its own, which it deletes."""
    try:
        filesystem, path = _open(results)
        if filesystem.get_file_info(f"{path}/{mark}").type != pafs.FileType.File:
            return f"{results} is another folder here than for the driver"
        own = f"{path}/.check-{uuid.uuid4().hex}"
        put(filesystem, own)
        filesystem.delete_file(own)
    except (OSError, ValueError) as error:
        return _last_line(error)
    return ""


def put(filesystem: pafs.FileSystem, path: str) -> None:
    """Write a small file."""
    with filesystem.open_output_stream(path) as file:
        file.write(b"cluster.check")


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check every node; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cluster.check", description="Is every node fit for a study?")
    parser.add_argument("--data", metavar="DATA", required=True, help="folder or URI of the image sets")
    parser.add_argument("--results", metavar="RESULTS", required=True, help="folder or URI that is written to")
    asked = parser.parse_args(arguments)
    try:
        filesystem, path = _open(asked.results)
        filesystem.create_dir(path, recursive=True)
        mark = f".check-{uuid.uuid4().hex}"
        put(filesystem, f"{path}/{mark}")
    except (OSError, ValueError) as error:
        print(f"error: RESULTS cannot be written from here ({_last_line(error)}). Give another --results, or the right "
              "to write there.", file=sys.stderr)  # fmt: skip
        return 2
    try:
        return _check(asked.data, asked.results, mark)
    except ConnectionError as error:
        address = os.environ.get("RAY_ADDRESS")
        print(
            f"error: no cluster answers at RAY_ADDRESS={address} ({_last_line(error)}). See that it runs, with: ray status; "
            "or unset RAY_ADDRESS to check this computer alone.",
            file=sys.stderr,
        )
        return 2
    finally:
        filesystem.delete_file(f"{path}/{mark}")


def _check(data: str, results: str, mark: str) -> int:
    driver = look(data, results, mark)
    started = time.time()
    nodes = _ask_nodes(data, results, mark)
    print(_table(nodes, started))
    problems = [problem for node in nodes for problem in _problems(node, driver, started)]
    for problem in problems:
        print(f"PROBLEM {problem}")
    if not problems:
        print(f"{len(nodes)} node{'s are' if len(nodes) > 1 else ' is'} fit.")
    return 1 if problems else 0


@dataclass(frozen=True)
class Node:
    """A node of the cluster: its address, the GPUs that Ray counts there, what was seen from it, when the answer came."""

    address: str
    ray_gpus: int
    seen: Seen | None
    error: str
    answered: float


def _ask_nodes(data: str, results: str, mark: str) -> list[Node]:
    import ray

    _connect()
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]
        asked = {node["NodeID"]: _on(node["NodeID"]).remote(data, results, mark) for node in alive}
        return [_answer(node, asked[node["NodeID"]]) for node in alive]
    finally:
        ray.shutdown()


def _connect() -> None:
    import ray

    # With no GPU asked for, Ray would hide them; a local session turns tokens on, its clients must be told.
    for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}.items():
        os.environ.setdefault(name, value)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if "RAY_ADDRESS" in os.environ:
        ray.init(**quiet)
        return
    ray.init(address="local", include_dashboard=False, **quiet)
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    if token.exists():
        token.chmod(0o600)  # Ray writes it readable for everyone on the computer


def _on(node: str) -> Any:
    """`look`, on that node and no other, in a worker that ends with it and so gives its GPU memory back."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_calls=1, max_retries=1, scheduling_strategy=here)(look)


def _answer(node: dict[str, Any], reference: Any) -> Node:
    import ray

    seen, error = None, ""
    try:
        seen = ray.get(reference, timeout=PATIENCE_SECONDS)
    except ray.exceptions.RayError as failure:
        error = _last_line(failure)
    return Node(node["NodeManagerAddress"], int(node["Resources"].get("GPU", 0)), seen, error, time.time())


def _clock_off(node: Node, seen: Seen, started: float) -> float:
    """Seconds by which the node's clock is off at least, given that it was read between asking and answer."""
    return max(0.0, started - seen.clock, seen.clock - node.answered)


def _problems(node: Node, driver: Seen, started: float) -> Iterator[str]:
    """A sentence for each thing that is wrong with a node."""
    seen = node.seen
    if seen is None:
        yield f"{node.address} gave no answer ({node.error}). See its logs in the dashboard, or take it away."
        return
    where = f"{node.address} ({seen.host})"
    yield from (f"{where}: {problem}" for problem in _software_problems(seen, driver))
    if node.ray_gpus != len(seen.gpus):
        yield (
            f"{where}: Ray counts {node.ray_gpus} GPUs, torch sees {len(seen.gpus)}. "
            "See nvidia-smi there; driver and torch build must fit each other."
        )
    for number, (free, total) in enumerate(seen.gpus):
        if free < GPU_SHARE * total:
            yield f"{where}: GPU {number} has {free:.0f} of {total:.0f} GiB free. End what else runs on it: nvidia-smi."
    yield from (f"{where}: {problem}" for problem in _storage_problems(seen, driver))
    off = _clock_off(node, seen, started)
    if off > CLOCK_SECONDS:
        yield f"{where}: its clock is off by {off:.0f} s. Set it by NTP; object stores refuse wrong clocks."


def _software_problems(seen: Seen, driver: Seen) -> Iterator[str]:
    theirs = dict(seen.versions)
    for name, ours in driver.versions:
        if theirs[name] != ours:
            yield (
                f"{name} is {theirs[name] or 'not installed'}, the driver has {ours or 'none'}. "
                "Give every node the same image or environment."
            )
    for error in seen.import_errors:
        yield f"cannot import {error}. Install with: pip install --constraint constraints.txt '.[engine]'"


def _storage_problems(seen: Seen, driver: Seen) -> Iterator[str]:
    if seen.data_error:
        yield f"DATA cannot be read ({seen.data_error}). Mount it on every node, or give the node the right to read it."
    elif seen.image_sets != driver.image_sets:
        yield (
            f"DATA holds {len(seen.image_sets)} image sets here, {len(driver.image_sets)} for the driver. "
            "Name a folder or URI that is the same from everywhere."
        )
    if seen.results_error:
        yield f"RESULTS is not usable ({seen.results_error}). Name shared storage that the node may write to."
    if seen.scratch_gib < SCRATCH_GIB:
        yield (
            f"{seen.scratch} has {seen.scratch_gib:.1f} GiB free; decoded images need {SCRATCH_GIB:.0f}. "
            "Make room, or point TMPDIR elsewhere."
        )


def _table(nodes: Sequence[Node], started: float) -> str:
    """The nodes as lines of text."""
    rows = [("node", "host", "python", "ray", "torch", "GPUs", "free GiB", "DATA", "RESULTS", "scratch GiB", "clock")]
    for node in nodes:
        seen = node.seen
        if seen is None:
            rows.append((node.address, "no answer", *["-"] * 9))
            continue
        versions = dict(seen.versions)
        free = " ".join(f"{free:.0f}/{total:.0f}" for free, total in seen.gpus) or "-"
        storage = ("no" if seen.data_error else f"{len(seen.image_sets)} sets", "no" if seen.results_error else "yes")
        software = (versions["python"], versions["ray"] or "-", versions["torch"] or "-")
        off = _clock_off(node, seen, started)
        rows.append(
            (node.address, seen.host, *software, str(len(seen.gpus)), free, *storage, f"{seen.scratch_gib:.0f}", f"{off:.0f} s")
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
