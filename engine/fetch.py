"""Bring the checkpoints of a grid to this computer, before anything runs.

::

    python -m engine.fetch                                   all 210, into the cache of the Hugging Face hub
    python -m engine.fetch --model ViT-B-32.openai           one of them; --model may be repeated
    python -m engine.fetch --grid GRID --weights DIR         a grid of your own, into a mirror folder

What is at hand is not fetched again; what was killed goes on where it stopped; what one model lacks does not keep the
others. Of a repository one file is fetched, safetensors where it has them. Exit status: 0 when every checkpoint is at
hand, 1 when some could not be fetched (each is named), 2 for a bad request.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engine import models, weights
from engine.download import BadDownload, Remote, ask, download
from engine.models import BadRequest, ModelSpec
from engine.outcomes import Outcome, last_line
from engine.progress import Progress
from engine.weights import AtHand, Source

SECONDS_TO_ANSWER = 5.0
ASKED_AT_ONCE = 8
SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that the hub or a server has: which file of its source, and what is known of it."""

    spec: ModelSpec
    origin: Source
    file: str
    remote: Remote


def unreachable() -> str:
    """Why nothing can be fetched, as half a sentence; empty where the hub answers."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        asked = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310 - the user's own hub
        urllib.request.urlopen(asked, timeout=SECONDS_TO_ANSWER).close()  # noqa: S310
    except urllib.error.HTTPError:
        return ""  # it answers, though not to this
    except OSError as error:
        return f"{constants.ENDPOINT} cannot be reached ({getattr(error, 'reason', error)})"
    return ""


def missing(spec: ModelSpec, mirror: str, why: str) -> str:
    """The sentence for a checkpoint that is not at hand and cannot be fetched now."""
    searched = f"in {mirror} nor in {weights.hub_cache()}" if mirror else f"in {weights.hub_cache()}"
    option = f" --weights {mirror}" if mirror else ""
    return (
        f"The checkpoint of '{spec.name}' is not at hand: {weights.source(spec)} is {'neither' if mirror else 'not'} "
        f"{searched}, and {why}. Where there is a network: python -m engine.fetch --model {spec.name}{option}"
    )


def locate(spec: ModelSpec) -> Found:
    """The file of a model's checkpoint that the hub has: the first of those that would do.

    Raises
    ------
    BadRequest : where the hub has none of them, or keeps it from this user
    """
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    origin = weights.source(spec)
    if origin.url:
        return Found(spec, origin, "", ask(origin.url))
    for file in origin.files:
        url = hf_hub_url(origin.repository, file, revision=origin.revision or None)
        try:
            facts = get_hf_file_metadata(url, timeout=SECONDS_TO_ANSWER)
        except EntryNotFoundError:
            continue
        # The content may lie elsewhere, and a token must not travel there.
        own = urlsplit(facts.location).netloc == urlsplit(url).netloc
        token = get_token() if own else None
        mark = facts.etag or ""
        remote = Remote(
            facts.location,
            facts.size or 0,
            mark,
            mark if len(mark) == SHA256_DIGITS else "",
            {"Authorization": f"Bearer {token}"} if token else {},
        )
        return Found(spec, origin, file, remote)
    raise BadRequest(f"The hub has no {' or '.join(origin.files)} in {origin.repository}, which '{spec.name}' needs.")


def bring(found: Found, mirror: str, progress: Progress | None = None) -> None:
    """Fetch one checkpoint into the mirror, or into the hub's cache, laid out as the hub's own client does."""
    from huggingface_hub import hf_hub_download

    before = progress.done if progress else 0

    def tick(have: int) -> None:
        if progress:
            progress.done = before + have // 10**6

    origin, place = found.origin, weights.place(found.origin, mirror)
    if origin.url:
        download(found.remote, place, tick)
    elif mirror:
        download(found.remote, place / found.file, tick)
    else:
        download(found.remote, place / "blobs" / found.remote.mark, tick)
        # The content is there under its name: the client adds what points to it.
        hf_hub_download(origin.repository, found.file, revision=origin.revision or None)


def obtain(spec: ModelSpec, mirror: str = "") -> AtHand:
    """A model's checkpoint, fetched into the hub's cache where it is not at hand; a mirror is only read.

    Raises
    ------
    BadRequest : where it is neither at hand nor to be had
    """
    found = weights.at_hand(spec, mirror)
    if found is None:
        if why := unreachable():
            raise BadRequest(missing(spec, mirror, why))
        bring(locate(spec), "")
        found = weights.at_hand(spec, mirror)
    if found is None:
        raise BadRequest(f"The checkpoint of '{spec.name}' was fetched, and is gone. Does something empty the cache?")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch what the arguments ask for; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.fetch", description="Bring checkpoints to this computer.", allow_abbrev=False
    )
    parser.add_argument("--grid", metavar="CSV", default=models.OUR_GRID, help="the models; our own 210 without it")
    parser.add_argument("--model", metavar="NAME", action="append", default=[], help="only this model; may be repeated")
    parser.add_argument("--weights", metavar="DIR", default="", help="a mirror folder; without it the hub's cache")
    asked = parser.parse_args(arguments)
    try:
        return _run(models.select(models.read_grid(asked.grid), asked.model), asked.weights)
    except (BadRequest, BadDownload) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. What came is kept; the same command goes on from there.", file=sys.stderr)
        return 130


def _run(specs: Sequence[ModelSpec], mirror: str) -> int:
    if mirror:
        Path(mirror).mkdir(parents=True, exist_ok=True)
    known = weights.survey(specs, mirror)
    failures = [f"{each.name}: {each.error}" for each in known if each.error]
    wanted = [spec for spec, each in zip(specs, known, strict=True) if not each.error and each.value is None]
    if wanted:
        failures += _fetch(wanted, mirror)
    print(f"{len(specs) - len(failures)} of {len(specs)} checkpoints are at hand", file=sys.stderr)
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


def _fetch(wanted: Sequence[ModelSpec], mirror: str) -> list[str]:
    if why := unreachable():
        return [f"{spec.name}: {missing(spec, mirror, why)}" for spec in wanted]
    with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
        asked = list(threads.map(_located, wanted))
    failures = [f"{each.name}: {each.error}" for each in asked if each.error]
    found = [each.value for each in asked if each.value]
    _refuse_full_disk(found, mirror)
    with Progress("fetching", sum(each.remote.size for each in found) // 10**6, "MB") as progress:
        for each in found:
            before, progress.note = progress.done, each.spec.name
            try:
                bring(each, mirror, progress)
            except Exception as error:
                failures.append(f"{each.spec.name}: {last_line(error)}")
            progress.done = before + each.remote.size // 10**6
    return failures


def _located(spec: ModelSpec) -> Outcome[Found]:
    try:
        return Outcome(spec.name, locate(spec))
    except Exception as error:
        return Outcome(spec.name, error=f"{weights.source(spec)}: {last_line(error)}")


def _refuse_full_disk(found: Sequence[Found], mirror: str) -> None:
    place = Path(mirror) if mirror else weights.own_cache().parent
    place.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(place).free, sum(each.remote.size for each in found)
    said = f"{len(found)} checkpoints of {needed / 1e9:.1f} GB; {place} has {free / 1e9:.1f} GB free"
    if needed > free:
        raise BadRequest(f"{said}. Give another folder to --weights or as HF_HOME, or choose models with --model.")
    print(f"to fetch: {said}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
