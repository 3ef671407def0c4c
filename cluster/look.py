"""What one place of a cluster sees: software, GPUs, DATA and RESULTS, room, clock. Runs on any node, without Ray."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

LIBRARIES = ("ray", "torch", "torchvision", "timm", "open_clip_torch", "numpy", "pandas", "pyarrow", "scipy", "pillow")
IMPORTS = ("torch", "timm", "open_clip")
GIB = 2**30


@dataclass(frozen=True)
class Seen:
    """What one place saw.

    Attributes
    ----------
    versions : of Python and each library; empty where one is not installed
    import_errors : one sentence per library that cannot be imported
    gpus : (free GiB, total GiB) of each GPU that torch sees
    image_sets : names of the folders in DATA
    data_error, results_error : why DATA cannot be read, RESULTS not be written to; empty where they can
    scratch : folder for decoded images; scratch_gib is what is free there
    clock : seconds since 1970
    """

    host: str
    versions: dict[str, str]
    import_errors: tuple[str, ...]
    gpus: tuple[tuple[float, float], ...]
    image_sets: tuple[str, ...]
    data_error: str
    results_error: str
    scratch: str
    scratch_gib: float
    clock: float


def look(data: str, results: str, mark: str) -> Seen:
    """What is seen from where this runs; `mark` is a hidden file of RESULTS that the driver has written."""
    image_sets, data_error = _read(data)
    import_errors = tuple(_import_errors())
    return Seen(
        host=socket.gethostname(),
        versions={"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        import_errors=import_errors,
        gpus=() if any(error.startswith("torch:") for error in import_errors) else _gpus(),
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
        except Exception as error:  # a broken installation may throw anything
            yield f"{name}: {last_line(error)}"


def _gpus() -> tuple[tuple[float, float], ...]:
    torch = importlib.import_module("torch")
    found = [torch.cuda.mem_get_info(number) for number in range(torch.cuda.device_count())]
    return tuple((free / GIB, total / GIB) for free, total in found)


def open_folder(uri: str) -> tuple[pafs.FileSystem, str]:
    """File system and path of a path or URI."""
    if "://" in uri:
        filesystem, path = pafs.FileSystem.from_uri(uri)
        return filesystem, path.rstrip("/")
    return pafs.LocalFileSystem(), str(Path(uri).expanduser().resolve())


def _read(data: str) -> tuple[tuple[str, ...], str]:
    """Names of the image sets in DATA, the first of which is read from; and what went wrong."""
    try:
        filesystem, path = open_folder(data)
        entries = filesystem.get_file_info(pafs.FileSelector(path))
        folders = (entry.base_name for entry in entries if entry.type == pafs.FileType.Directory)
        names = tuple(sorted(name for name in folders if not name.startswith(".")))
        if not names:
            return (), f"no image set in {data}"
        with filesystem.open_input_file(f"{path}/{names[0]}/00000.parquet") as file:
            file.read(4)
        return names, ""
    except (OSError, ValueError) as error:
        return (), last_line(error)


def _write(results: str, mark: str) -> str:
    """What hindered this place from seeing `mark` in RESULTS and writing a file of its own, which it deletes."""
    try:
        filesystem, path = open_folder(results)
        if filesystem.get_file_info(f"{path}/{mark}").type != pafs.FileType.File:
            return f"{results} is another folder there than for the driver"
        own = f"{path}/.check-{uuid.uuid4().hex}"
        put(filesystem, own)
        filesystem.delete_file(own)
    except (OSError, ValueError) as error:
        return last_line(error)
    return ""


def put(filesystem: pafs.FileSystem, path: str) -> None:
    """Write a small file."""
    with filesystem.open_output_stream(path) as file:
        file.write(b"cluster.check")


def last_line(error: BaseException) -> str:
    """Type and last line of an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"
