"""Folders on disks and in an object store: what is told to other processes, what is left behind, what failures say."""

from __future__ import annotations

import os
import pickle
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from loopback import SECRET, Gate, object_store

from engine import files
from engine.files import BadStore, Folder, Footer

ROOT = Path(__file__).parents[1]
SMALL = pa.table({"n": [1, 2, 3]})
LARGE = pa.table({"content": [np.random.default_rng(seed).bytes(1 << 20) for seed in range(11)]})
PASS = Gate.refuses


@pytest.fixture(scope="module")
def store() -> Iterator[Gate]:
    with object_store("bucket") as opened:
        yield opened


@pytest.fixture
def gate(store: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """The gate, open; a request that fails is not made again."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store.asked.clear()
    yield store
    store.refuses, store.seconds = PASS, 0.0


@pytest.fixture
def folder(gate: Gate, tmp_path: Path) -> Folder:
    """A folder of this test in the store."""
    return Folder.of(f"s3://bucket/{tmp_path.name}")


def start(script: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"from engine.files import *\n{script}", *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes, **options)  # type: ignore[call-overload, no-any-return]


COMMIT_LARGE = """
import sys, numpy as np
content = [np.random.default_rng(seed).bytes(1 << 20) for seed in range(11)]
Folder.of(sys.argv[1]).commit("large.parquet", pa.table({"content": content}), {})
"""


def test_a_store_is_named_by_the_environment_or_by_the_uri(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    Folder.of("s3://bucket/named/").commit("a.parquet", SMALL, {"made": "of"})
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    place = gate.url.removeprefix("http://")
    folder = Folder.of(f"s3://somebody:{SECRET}@bucket/named?endpoint_override={place}&scheme=http&region=us-east-1")
    assert folder.identity("a.parquet") == {"made": "of"}
    assert str(folder) == "s3://bucket/named"
    assert SECRET not in repr(folder)


def test_a_folder_reaches_another_process_with_its_store(gate: Gate) -> None:
    uri = f"s3://somebody:{SECRET}@bucket/sent?endpoint_override={gate.url}&region=us-east-1"
    (Folder.of(uri) / "deep").commit("a.parquet", SMALL, {})
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    script = "import sys, pickle; print(pickle.loads(bytes.fromhex(sys.stdin.read())).read('a.parquet'))"
    said, error = start(script, env=bare).communicate(pickle.dumps(Folder.of(uri) / "deep").hex(), timeout=60)
    assert "n: [[1,2,3]]" in said, error
    assert SECRET.encode() not in pickle.dumps(Folder.of("s3://bucket/sent")), "what comes from the environment stays"


def test_a_folder_that_was_sent_asks_as_often(folder: Folder, gate: Gate) -> None:
    gate.refuses = lambda _: True
    with pytest.raises(BadStore):
        pickle.loads(pickle.dumps(folder)).files()  # noqa: S301
    assert gate.methods() == ["GET"]


def test_a_small_file_is_one_request_and_a_large_one_an_upload(folder: Folder, gate: Gate) -> None:
    (folder / "deep/er").commit("a.parquet", SMALL, {})
    assert gate.methods() == ["PUT"]
    gate.asked.clear()
    folder.commit("large.parquet", LARGE, {})
    assert gate.methods() == ["POST", "PUT", "PUT", "POST"]
    assert folder.read("large.parquet").equals(LARGE)
    assert (folder.folders(), folder.files()) == (("deep",), ("large.parquet",))


@pytest.mark.parametrize(
    ("table", "refused"),
    [
        (SMALL, "PUT .*"),
        (LARGE, r"POST .*\?uploads"),
        (LARGE, "PUT .*partNumber=2&.*"),
        (LARGE, r"POST .*\?uploadId.*"),
    ],
)
def test_what_cannot_be_written_whole_is_absent(table: pa.Table, refused: str, folder: Folder, gate: Gate) -> None:
    folder.commit("before.parquet", SMALL, {})
    gate.refuses = lambda request: bool(re.fullmatch(refused, request))
    for name in ("before.parquet", "new.parquet"):
        with pytest.raises(BadStore, match=rf"{name} cannot be written: SLOW_DOWN .* the same command goes on\.$"):
            folder.commit(name, table, {"later": True})
    gate.refuses = PASS
    assert folder.footers() == {"before.parquet": Footer(3, {})}
    folder.commit("new.parquet", table, {"later": True})
    assert folder.footers()["new.parquet"] == Footer(len(table), {"later": True})


@pytest.mark.parametrize("moment", ["?uploads", "partNumber=2", "?uploadId"])
def test_a_writer_killed_at_any_request_leaves_nothing(moment: str, folder: Folder, gate: Gate) -> None:
    writer = start(COMMIT_LARGE, folder)

    def kill(request: str) -> bool:
        if moment in request:
            writer.kill()
            writer.wait()
        return moment in request

    gate.refuses = kill
    writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL
    assert (folder.files(), folder.folders()) == ((), ())


@pytest.mark.parametrize("moment", ["?uploads", "partNumber=2", "?uploadId"])
def test_ctrl_c_at_any_request_leaves_a_whole_file(moment: str, folder: Folder, gate: Gate) -> None:
    writer = start(COMMIT_LARGE, folder)

    def interrupt(request: str) -> bool:
        if moment in request:
            writer.send_signal(signal.SIGINT)
        return False

    gate.refuses = interrupt
    _, said = writer.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    assert folder.read("large.parquet").equals(LARGE)


def test_a_store_away_for_a_moment_is_asked_again(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    gate.refuses = lambda _: len(gate.asked) <= 2
    Folder.of("s3://bucket/moment").commit("a.parquet", SMALL, {})
    assert gate.methods() == ["PUT"] * 3


@pytest.mark.slow
def test_a_store_that_stays_away_is_given_half_a_minute(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    gate.refuses = lambda _: True
    started = time.monotonic()
    with pytest.raises(BadStore, match="HTTP status 503"):
        Folder.of("s3://bucket/away").exists("a.parquet")
    assert len(gate.asked) == files.ATTEMPTS
    assert 8 < time.monotonic() - started < 90


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        (f"foo://me:{SECRET}@host/x", "foo://host/x cannot be opened: Unrecognized filesystem type .* Give a folder"),
        (f"s3://me:{SECRET}/{SECRET}@bucket/x", "s3://bucket/x cannot be opened: Cannot parse URI"),
        (f"s3://bucket/x?password={SECRET}", "s3://bucket/x cannot be opened: Unexpected query parameter"),
        ("s3://nobucket/x", "s3://nobucket/x/a.parquet cannot be written: NO_SUCH_BUCKET .* Make the bucket"),
        ("s3://bucket/x?endpoint_override=127.0.0.1:1", "NETWORK_CONNECTION .* See that the store can be reached"),
        (__file__, r"test_files.py/a.parquet cannot be written: .*\. Give a folder that you may use"),
        (f"{__file__}/below", r"below/a.parquet cannot be written: Not a directory\. Give a folder that you may use"),
    ],
)
def test_what_cannot_be_written_to_is_told_in_a_sentence(uri: str, sentence: str, gate: Gate) -> None:
    with pytest.raises(BadStore, match=sentence) as told:
        Folder.of(uri).commit("a.parquet", SMALL, {})
    assert SECRET not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("do", [Folder.files, Folder.folders, lambda folder: folder.read("a.parquet")])
def test_a_file_is_no_folder(do: Callable[[Folder], object]) -> None:
    with pytest.raises(BadStore, match=r"test_files.py.* cannot be (listed|read): Not a directory\."):
        do(Folder.of(__file__))


def test_wrong_credentials_are_told_apart(folder: Folder) -> None:
    from moto.core import enable_iam_authentication

    acts: tuple[Callable[[], object], ...] = (
        folder.files,
        lambda: folder.exists("a.parquet"),
        lambda: folder.read("a.parquet"),
        lambda: folder.commit("a.parquet", SMALL, {}),
        lambda: folder.commit("a.parquet", LARGE, {}),
    )
    with enable_iam_authentication():
        for act in acts:
            with pytest.raises(BadStore, match="See that the AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") as told:
                act()
            assert SECRET not in str(told.value)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"nonsense" * 100)
    with pytest.raises(BadStore, match=r"a.parquet cannot be read: .*footer.*\. If the file is damaged, delete it"):
        Folder.of(tmp_path).identity("a.parquet")


FILL = """
import sys
folder, table = Folder.of(sys.argv[1]), pa.table({"content": [b"x" * 300_000]})
try:
    folder.commit("a.parquet", table, {"try": 2})
except BadStore as error:
    print(error)
"""


def test_a_file_over_the_limit_leaves_the_one_before(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path)
    folder.commit("a.parquet", SMALL, {"try": 1})
    limit = (100_000, resource.RLIM_INFINITY)
    writer = start(FILL, tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    said, error = writer.communicate(timeout=60)
    assert said.startswith(f"{tmp_path}/a.parquet cannot be written: File too large. Make room there;"), error
    assert folder.footers() == {"a.parquet": Footer(3, {"try": 1})}
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"], "nothing half-written is left"


MOUNTS = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [("size=100k", "No space left on device. Make room there"), ("ro", "Read-only file system. Give a folder")],
)
def test_a_full_or_read_only_disk_is_told(options: str, reason: str, tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o {options} none '{tmp_path}'"
    if subprocess.run([*MOUNTS, mount], capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    script = f"""{mount} && exec "$0" -c 'from engine.files import *{FILL}' '{tmp_path}'"""
    done = subprocess.run(
        [*MOUNTS, script, sys.executable], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith(f"{tmp_path}/a.parquet cannot be written: {reason}"), done.stderr
    assert done.stdout.count("\n") == 1


def test_a_listing_asks_for_each_page_once(folder: Folder, gate: Gate) -> None:
    from moto.backends import get_backend

    moto = get_backend("s3")["123456789012"]["aws"]
    for number in range(2500):
        moto.put_object("bucket", f"{folder.path.removeprefix('bucket/')}/{number:05d}.parquet", b"")
    assert len(folder.files()) == 2500
    assert gate.methods() == ["GET"] * 3


def test_footers_are_read_together_with_two_requests_each(folder: Folder, gate: Gate) -> None:
    for number in range(20):
        folder.commit(f"{number:02d}.parquet", SMALL, {"number": number})
    gate.asked.clear()
    gate.seconds = 0.1
    started = time.monotonic()
    assert folder.footers() == {f"{number:02d}.parquet": Footer(3, {"number": number}) for number in range(20)}
    assert time.monotonic() - started < 20 * 2 * gate.seconds / 2, "not one after the other"
    assert sorted(gate.methods()) == ["GET"] * 21 + ["HEAD"] * 20


def test_reading_takes_few_requests_however_many_columns(folder: Folder, gate: Gate) -> None:
    wide = pa.table({f"column {number}": [number] * 10 for number in range(50)})
    folder.commit("wide.parquet", wide, {})
    gate.asked.clear()
    assert folder.read("wide.parquet").equals(wide)
    assert gate.methods() == ["HEAD", "GET", "GET"]


def test_a_folder_is_deleted_with_all_in_it(folder: Folder, tmp_path: Path) -> None:
    for place in (folder, Folder.of(tmp_path)):
        (place / "parts").commit("a.parquet", SMALL, {})
        (place / "parts").clear()
        assert (place / "parts").files() == ()
        assert not (place / "parts").exists("a.parquet")
