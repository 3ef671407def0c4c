"""Where weights come from, and what they are: found on this computer, known by their content.

A checkpoint is looked for in the mirror folder (``--weights DIR``), then in the cache of the Hugging Face hub. A mirror
is laid out as the hub is: ``DIR/<owner>/<repository>/<file>``; a file with an address of its own lies under
``DIR/<host>/<path>``. What is at hand nowhere, ``engine.fetch`` brings. Weights are known by the SHA-256 of their
files, never by their names. Nothing is opened here but to be read as bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from engine.models import HUB_FILE, BadRequest, ModelSpec
from engine.outcomes import Outcome, last_line
from engine.progress import Progress

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".npz")
REMEMBERED_BYTES = 64_000_000  # the digest of a smaller file is computed anew each time
SEEN_BYTES = 2_000_000_000  # reading more than this is worth a progress bar
HASHED_AT_ONCE = 4
_MEMORY = threading.Lock()


@dataclass(frozen=True, slots=True)
class Source:
    """Where a checkpoint comes from: a folder, a file of a hub repository, or an address.

    Attributes
    ----------
    folder : the local folder, where it is one
    repository : ``owner/name`` on the hub; revision : of it, empty for the newest
    files : names that the weights may have in the repository, the preferred first
    url : the address, where there is no repository
    """

    folder: Path | None = None
    repository: str = ""
    revision: str = ""
    files: tuple[str, ...] = ()
    url: str = ""

    def __str__(self) -> str:
        return str(self.folder or self.url or f"{self.repository} ({' or '.join(self.files)})")


@dataclass(frozen=True, slots=True)
class AtHand:
    """A checkpoint on this computer.

    Attributes
    ----------
    path : its file, or its folder
    digest : of all that is loaded: the first 16 digits of a file's SHA-256; of a folder, of every file with its name
    weights : of the weight files alone; equal where the same weights go under two names, empty where there are none
    """

    path: Path
    digest: str
    weights: str


def source(spec: ModelSpec) -> Source:
    """Where the checkpoint of a row of the grid comes from.

    Raises
    ------
    BadRequest : where the library does not know the tag
    """
    if spec.folder is not None:
        return Source(folder=spec.folder)
    if spec.checkpoint.startswith(HUB_FILE):
        parts = spec.checkpoint.removeprefix(HUB_FILE).split("/", 2)
        if len(parts) < 3:
            raise BadRequest(f"Model '{spec.name}': '{spec.checkpoint}' names no file; write hf://OWNER/NAME/FILE.")
        return Source(repository="/".join(parts[:2]), files=(parts[2],))
    from engine import towers  # only a library knows its tags, and it takes seconds to import

    return towers.source(spec)


def hub_cache() -> Path:
    """Folder of the hub's cache: HF_HUB_CACHE, or ``hub`` in HF_HOME."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def own_cache() -> Path:
    """Folder for what has no place in the hub's cache: digests that were computed, files with an address."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME, "closerlook")


def place(origin: Source, mirror: str) -> Path:
    """Folder that holds, or would hold, the files of a source."""
    if origin.url:
        address = urlsplit(origin.url)
        return (Path(mirror) if mirror else own_cache()) / (address.hostname or "") / address.path.lstrip("/")
    if mirror:
        return Path(mirror, origin.repository)
    return hub_cache() / f"models--{origin.repository.replace('/', '--')}"


def find(origin: Source, mirror: str) -> Path | None:
    """The checkpoint's file or folder; None where it is neither in the mirror nor in a cache."""
    from huggingface_hub import try_to_load_from_cache

    if origin.folder:
        return origin.folder if any(_files(origin.folder)) else None
    if origin.url:
        places = (place(origin, folder) for folder in dict.fromkeys((mirror, "")))
        return next((file for file in places if file.is_file()), None)
    for file in origin.files if mirror else ():
        if (place(origin, mirror) / file).is_file():
            return place(origin, mirror) / file
    for file in origin.files:
        cached = try_to_load_from_cache(origin.repository, file, revision=origin.revision or None)
        if isinstance(cached, str):
            return Path(cached)
    return None


def at_hand(spec: ModelSpec, mirror: str = "") -> AtHand | None:
    """The checkpoint of a model with its digests; None where a hub checkpoint must be fetched first.

    Raises
    ------
    BadRequest : where a local folder is absent or empty, or the library does not know the tag
    """
    origin = source(spec)
    path = find(origin, mirror)
    if path is None and origin.folder:
        raise BadRequest(
            f"The checkpoint of '{spec.name}' is not at hand: {origin.folder} holds no files. "
            "Put it there, or correct the checkpoint column of the grid."
        )
    if path is None:
        return None
    if path.is_file():
        return AtHand(path, file_digest(path)[:16], file_digest(path)[:16])
    digests = {file: file_digest(file) for file in _files(path)}
    whole, alone = hashlib.sha256(), [digest for file, digest in digests.items() if file.suffix in SUFFIXES]
    for file, digest in digests.items():
        whole.update(str(file.relative_to(path)).encode())
        whole.update(bytes.fromhex(digest))
    several = hashlib.sha256("".join(sorted(alone)).encode()).hexdigest()
    weights = several if len(alone) > 1 else "".join(alone)
    return AtHand(path, whole.hexdigest()[:16], weights[:16])


def survey(specs: Sequence[ModelSpec], mirror: str = "") -> tuple[Outcome[AtHand], ...]:
    """`at_hand` of every model: no value where it must be fetched, an error where it cannot be."""
    if mirror and not Path(mirror).is_dir():
        raise BadRequest(f"No folder of weights '{mirror}'. Give --weights one, or fill it: python -m engine.fetch.")
    unread = sum(file.stat().st_size for spec in specs for file in _unread(spec, mirror))
    with ThreadPoolExecutor(HASHED_AT_ONCE) as threads:
        if unread < SEEN_BYTES:
            return tuple(threads.map(partial(_outcome, mirror), specs))
        with Progress("checksums", len(specs), "models") as progress:
            outcomes = []
            for outcome in threads.map(partial(_outcome, mirror), specs):
                outcomes.append(outcome)
                progress.advance(note=outcome.name)
            return tuple(outcomes)


def duplicates(weights: Mapping[str, str]) -> dict[str, str]:
    """Models whose weights another one has already, each with the name of the first that has them.

    Parameters
    ----------
    weights : digest of each model's weights, in the grid's order; empty where it is not known
    """
    first: dict[str, str] = {}
    owners = {name: first.setdefault(digest, name) for name, digest in weights.items() if digest}
    return {name: owner for name, owner in owners.items() if owner != name}


def _outcome(mirror: str, spec: ModelSpec) -> Outcome[AtHand]:
    try:
        return Outcome(spec.name, at_hand(spec, mirror))
    except (BadRequest, OSError) as error:
        return Outcome(spec.name, error=last_line(error))


def _unread(spec: ModelSpec, mirror: str) -> tuple[Path, ...]:
    try:
        path = find(source(spec), mirror)
    except BadRequest:
        return ()
    known = _remembered()
    files = () if path is None else (path,) if path.is_file() else _files(path)
    return tuple(file for file in files if _key(file) not in known)


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(file for file in folder.rglob("*") if file.is_file())) if folder.is_dir() else ()


def file_digest(file: Path) -> str:
    """SHA-256 of a file, 64 digits; that of a large one is remembered by its path, size and time of change."""
    large = file.stat().st_size > REMEMBERED_BYTES
    if large and (known := _remembered().get(_key(file))):
        return known
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if large:
        _remember(_key(file), digest)
    return digest


def _key(file: Path) -> str:
    facts = file.stat()
    return f"{file.resolve()}:{facts.st_size}:{facts.st_mtime_ns}"


def _remembered() -> Mapping[str, str]:
    try:
        known: dict[str, str] = json.loads((own_cache() / "digests.json").read_text())
    except (OSError, ValueError):
        return {}
    return known


def _remember(key: str, digest: str) -> None:
    memory = own_cache() / "digests.json"
    temporary = memory.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with _MEMORY:
            memory.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({**_remembered(), key: digest}, indent=0))
            temporary.replace(memory)
    except OSError as error:
        logging.getLogger(__name__).info("digest of %s is not remembered: %s", key, error)
