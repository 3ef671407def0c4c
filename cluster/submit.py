"""Submit a study to a Ray cluster.

::

    python -m cluster.submit -- all --grid GRID --data DATA --results RESULTS
    python -m cluster.submit --address http://127.0.0.1:8265 -- ood --results RESULTS

A thin cover for ``ray job submit``, whose plain command is printed: it takes the commit along (results name it, and
``.git`` does not travel), turns token authentication on for itself, and says in a sentence what Ray says at length.
Exit status: Ray's, which is 0 or 1 as the job ends; 2 for a bad request, or a cluster that is not there or refuses it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "http://127.0.0.1:8265"
REASONS = {
    "Failed to connect to Ray": (
        "No Ray cluster answers at {address}. Start one here (ray start --head), bring port 8265 of its head to this "
        "computer (ssh -L 8265:localhost:8265 HEAD, ray dashboard, kubectl port-forward), or give another --address."
    ),
    "AuthenticationError": (
        "The cluster at {address} does not take the token of this computer ({token}). RAY_AUTH_MODE=token is set; "
        "put the cluster's own token into that file, chmod 600, or name another file in RAY_AUTH_TOKEN_PATH."
    ),
    "status code 413": (
        "The working folder {root} is too large to upload: a job takes 100 MiB. Move data and checkpoints out of it, "
        "or name them in .gitignore or under `excludes` in cluster/runtime_env.yaml."
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit what the arguments ask for, and follow it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cluster.submit", description="Submit a study to a Ray cluster.")
    address = os.environ.get("RAY_API_SERVER_ADDRESS", ADDRESS)
    parser.add_argument("--address", metavar="URL", default=address, help="the cluster's dashboard (%(default)s)")
    parser.add_argument("studies", nargs="+", metavar="-- ARGUMENT", help="what follows `python -m studies`")
    asked = parser.parse_args(arguments)
    refusal = refuse_relative(asked.studies)
    if refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    command = plain_command(asked.address, commit(), asked.studies)
    print(f"RAY_AUTH_MODE=token {shlex.join(command)}", file=sys.stderr, flush=True)
    try:
        return _follow(command, asked.address)
    except KeyboardInterrupt:
        print("\nThe job itself goes on. To end it: ray job stop, with the name above.", file=sys.stderr)
        return 130


def refuse_relative(studies: Sequence[str]) -> str:
    """Why DATA or RESULTS cannot be found from a job, which runs in a folder of its own; empty where they can."""
    flat = [part for argument in studies for part in argument.split("=", 1)]
    for flag, value in pairwise(flat):
        if flag in ("--data", "--results") and "://" not in value and not Path(value).is_absolute():
            return (
                f"{flag} '{value}' is relative to a folder of this computer. "
                "Give an absolute path that every node sees, or a URI such as s3://bucket/folder."
            )
    return ""


def commit() -> str:
    """The commit of the code that is submitted, marked where files differ from it; a warning says so."""
    head, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    if head and changes:
        print(
            f"warning: {len(changes.splitlines())} files differ from commit {head[:12]}; results will name it "
            f"'{head[:12]}...-changed'. Commit first where they are to be kept.",
            file=sys.stderr,
        )
    return f"{head}-changed" if head and changes else head or "unknown"


def _git(*arguments: str) -> str:
    asked = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def plain_command(address: str, at_commit: str, studies: Sequence[str]) -> list[str]:
    """The ``ray job submit`` command."""
    runtime_env = yaml.safe_load((ROOT / "cluster" / "runtime_env.yaml").read_text())
    runtime_env["env_vars"]["CLOSERLOOK_COMMIT"] = at_commit
    command = ["ray", "job", "submit", "--address", address, "--working-dir", str(ROOT)]
    return [*command, "--runtime-env-json", json.dumps(runtime_env), "--", "python", "-m", "studies", *studies]


def _follow(command: Sequence[str], address: str) -> int:
    """Run the command, its output here; its exit status."""
    beside = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([beside, os.environ.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "RAY_AUTH_MODE": "token",
    }
    # The job's log comes on the standard output; Ray's own tracebacks come here.
    job = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if job.returncode == 0 or "Traceback" not in job.stderr:
        return job.returncode
    facts = {"address": address, "root": ROOT, "token": _token()}
    known = [sentence for sign, sentence in REASONS.items() if sign in job.stderr]
    print(f"error: {known[0].format(**facts)}" if known else job.stderr, file=sys.stderr)
    return 2 if known else job.returncode


def _token() -> str:
    if "RAY_AUTH_TOKEN" in os.environ:
        return "of RAY_AUTH_TOKEN"
    return os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")


if __name__ == "__main__":
    sys.exit(main())
