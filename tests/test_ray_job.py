"""A study as a job of a real cluster on this computer: what comes out is what comes out without one."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import small

from engine.files import Folder

ROOT = Path(__file__).parents[1]
KEY = ["study", "model", "head", "image_set", "subset", "metric", "method"]
IMAGES = {"colours": 24, "colours-shift": 12, "greys": 10}


@dataclass(frozen=True)
class Cluster:
    """A head on this computer, and the environment in which its clients run."""

    address: str
    environment: Mapping[str, str]


def checkout(target: Path) -> Path:
    """A clean checkout of the files that a clone would have, and of those not yet committed."""
    for name in filter(None, git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    git(target, "init", "--quiet")
    git(target, "add", "--all")
    git(target, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "--message=checkout")
    return target


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def token(path: Path) -> Path:
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    return path


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, outside the range that Ray gives to its workers."""
    found = []
    for port in range(21000 + os.getpid() % 8000, 32000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


def processes_of(folder: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue  # it has just ended
    return found


def end(head: subprocess.Popen[bytes], folder: Path) -> None:
    """End this head and what it started; no other Ray of this computer."""
    head.terminate()
    with suppress(subprocess.TimeoutExpired):
        head.wait(5)
    with suppress(ProcessLookupError):
        os.killpg(head.pid, signal.SIGKILL)
    head.wait()
    for process in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    port, dashboard, client, agent = free_ports(4)
    short = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # paths of sockets must be short
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "CLOSERLOOK_"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token(tmp_path / "token")),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = ["ray", "start", "--head", "--block", f"--port={port}", "--dashboard-host=127.0.0.1"]
    command += [f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
    command += [f"--dashboard-agent-listen-port={agent}", "--num-cpus=2", f"--object-store-memory={100 << 20}"]
    command += [f"--temp-dir={short}"]
    with (tmp_path / "head.log").open("wb") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(dashboard, head, tmp_path / "head.log")
        yield Cluster(f"http://127.0.0.1:{dashboard}", environment)
    finally:
        end(head, short)
        shutil.rmtree(short, ignore_errors=True)


def wait_for(port: int, head: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and head.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"Ray did not start:\n{log.read_text()}")


def run(command: list[str], code: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=code, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240
    )
    return done.returncode, done.stdout


def studies(code: Path, cluster: Cluster, *arguments: str) -> None:
    """Run the studies without a cluster."""
    status, output = run([sys.executable, "-m", "studies", *arguments], code, cluster.environment)
    assert status == 0, output


def submit(code: Path, cluster: Cluster, *arguments: str) -> tuple[int, str]:
    """Run the studies as a job."""
    command = ["ray", "job", "submit", "--address", cluster.address, "--working-dir", "."]
    return run([*command, "--", "python", "-m", "studies", *arguments], code, cluster.environment)


def cover(code: Path, cluster: Cluster, *arguments: str) -> tuple[int, str]:
    """Run the studies as a job, by our own command."""
    command = [sys.executable, "-m", "cluster.submit", "--address", cluster.address, "--", *arguments]
    return run(command, code, cluster.environment)


def measurements(results: Path) -> pd.DataFrame:
    files = sorted((results / "measurements").glob("*.parquet"))
    assert len(files) == 7
    return pd.concat([pd.read_parquet(file) for file in files]).sort_values(KEY).reset_index(drop=True)


def assert_shown(results: Path, model: str) -> None:
    """Every image of every set has features of the model, once."""
    for image_set, count in IMAGES.items():
        shards = sorted((results / "features" / image_set / model).glob("*.parquet"))
        ids = pd.concat([pq.read_table(shard, columns=["image_id"]).to_pandas() for shard in shards])["image_id"]
        assert len(ids) == ids.nunique() == count


@pytest.mark.timeout(600)
def test_a_job_does_what_the_same_command_does_here_and_fails_where_a_model_fails(
    tmp_path: Path, cluster: Cluster
) -> None:
    code = checkout(tmp_path / "code")
    data, job, here = tmp_path / "data", tmp_path / "job", tmp_path / "here"
    small.world(data)
    small.save_timm(tmp_path / "r18.a")
    small.save_open_clip(tmp_path / "clip.a")
    grid = small.grid(tmp_path / "grid.csv", {"r18.a": "timm", "clip.a": "open_clip"})
    both = ("all", "--grid", str(grid), "--data", str(data), "--results")

    wrong = {**cluster.environment, "RAY_AUTH_TOKEN_PATH": str(token(tmp_path / "wrong"))}
    status, output = submit(code, Cluster(cluster.address, wrong), *both, str(job))
    assert status == 1
    assert "Invalid authentication token" in output
    status, output = cover(code, Cluster(cluster.address, wrong), *both, str(job))
    assert status == 2
    assert f"does not take the token of this computer ({tmp_path / 'wrong'})" in output
    assert not job.exists()

    status, output = submit(code, cluster, *both, str(job))
    assert status == 0, output
    studies(code, cluster, *both, str(here))
    for model in ("r18.a", "clip.a"):
        assert_shown(job, model)
    assert set(measurements(here)["model"]) == {"r18.a", "clip.a"}
    pd.testing.assert_frame_equal(measurements(job), measurements(here), check_exact=False, rtol=0, atol=1e-6)

    ood = job / "measurements" / "ood.parquet"
    ood.unlink()
    status, output = submit(code, cluster, "ood", "--results", str(job))
    assert status == 0, output
    as_a_job = ood.read_bytes()
    ood.unlink()
    studies(code, cluster, "ood", "--results", str(job))
    assert ood.read_bytes() == as_a_job

    small.save_timm(tmp_path / "r18.b", seed=1)
    small.save_timm(tmp_path / "r18.broken", seed=2)
    (tmp_path / "r18.broken" / "model.safetensors").write_bytes(b"no weights")
    grid = small.grid(tmp_path / "grid.csv", {"r18.a": "timm", "r18.broken": "timm", "r18.b": "timm"})
    status, output = cover(code, cluster, *both, str(job))
    assert status == 1
    assert "FAILED r18.broken" in output
    assert_shown(job, "r18.b")
    identity = Folder.of(job / "features" / "colours" / "r18.b").identity("00000.parquet")
    assert identity["commit"] == git(code, "rev-parse", "HEAD")
    assert set(measurements(job)["model"]) == {"r18.a", "r18.b", "clip.a"}
