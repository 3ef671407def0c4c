"""Fetching from a real server on loopback: broken off, killed, lied to, laid out as the hub lays out its cache."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback import COMMIT, Shelf, serving

from engine import download as downloads
from engine.download import BadDownload, Remote, ask, checksum_in, download

ROOT = Path(__file__).parents[1]
CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0.01)
    with serving() as served:
        yield served


def _ignore(_: int) -> None:
    pass


def test_what_breaks_off_goes_on_where_it_stopped(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["/w.pth"] = CONTENT
    shelf.cuts["/w.pth"] = [1_000_000, 500_000]
    seen: list[int] = []
    download(ask(f"{shelf.url}/w.pth"), tmp_path / "deep/w.pth", seen.append)
    assert (tmp_path / "deep/w.pth").read_bytes() == CONTENT
    assert shelf.gets("/w.pth") == [0, 1_000_000, 1_500_000], "no byte was sent twice"
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["w.pth"], "nothing else is left behind"


def test_a_server_that_gives_up_leaves_what_came(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["/w.pth"] = CONTENT
    shelf.cuts["/w.pth"] = [1_000_000] + [0] * downloads.ATTEMPTS
    with pytest.raises(BadDownload, match=r"stopped coming .*1000000 of 3000000.* The same command goes on from there"):
        download(ask(f"{shelf.url}/w.pth"), tmp_path / "w.pth", _ignore)
    assert not (tmp_path / "w.pth").exists()
    download(ask(f"{shelf.url}/w.pth"), tmp_path / "w.pth", _ignore)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert shelf.gets("/w.pth").count(0) == 1


def test_a_wrong_checksum_is_deleted_and_said(shelf: Shelf, tmp_path: Path) -> None:
    name = f"/resnet-{SHA[:8]}.pth"
    shelf.files[name] = CONTENT[:-1] + b"?"
    with pytest.raises(BadDownload, match=f"has the checksum [0-9a-f]{{16}}, and should have {SHA[:8]}. What came was"):
        download(ask(shelf.url + name), tmp_path / "w.pth", _ignore)
    assert list(tmp_path.iterdir()) == []
    shelf.files[name] = CONTENT
    download(ask(shelf.url + name), tmp_path / "w.pth", _ignore)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_begins_anew(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["/w.pth"] = CONTENT
    shelf.cuts["/w.pth"] = [1_000_000] + [0] * downloads.ATTEMPTS
    with pytest.raises(BadDownload):
        download(ask(f"{shelf.url}/w.pth"), tmp_path / "w.pth", _ignore)
    shelf.files["/w.pth"] = CONTENT[::-1]
    download(ask(f"{shelf.url}/w.pth"), tmp_path / "w.pth", _ignore)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT[::-1]
    assert [file.name for file in tmp_path.iterdir()] == ["w.pth"], "the old part is gone too"


def test_a_server_without_ranges_is_asked_for_everything_again(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["/w.pth"], shelf.ranges = CONTENT, False
    shelf.cuts["/w.pth"] = [1_000_000]
    download(ask(f"{shelf.url}/w.pth"), tmp_path / "w.pth", _ignore)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_an_unknown_size_is_learnt_from_the_answer(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["/w.pth"] = CONTENT
    shelf.cuts["/w.pth"] = [1_000_000]
    download(Remote(f"{shelf.url}/w.pth"), tmp_path / "w.pth", _ignore)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_two_at_once_download_once(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["/w.pth"], shelf.slow = CONTENT, 0.002
    remote = ask(f"{shelf.url}/w.pth")
    threads = [threading.Thread(target=download, args=(remote, tmp_path / "w.pth", _ignore)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert shelf.gets("/w.pth") == [0]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("{}/gone.pth", "404"),
        ("file:///etc/hostname", "is no address of weights; it must begin with https://"),
    ],
)
def test_what_cannot_be_had_gets_a_sentence(url: str, sentence: str, shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(BadDownload, match=sentence):
        download(Remote(url.format(shelf.url)), tmp_path / "w.pth", _ignore)
    assert not (tmp_path / "w.pth").exists()


def test_a_full_disk_is_refused_before_a_byte_comes(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(BadDownload, match=r"GB free, and .* is 1000000000.0 GB. Make room, or give another folder"):
        download(Remote(f"{shelf.url}/w.pth", size=10**18), tmp_path / "w.pth", _ignore)
    assert shelf.asked == []


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("https://github.com/x/releases/download/v0.1/tresnet_m_1k-1c1b6a9f.pth", "1c1b6a9f"),
        ("https://x.net/clip/models/" + "ab" * 32 + "/ViT-B-32.pt", "ab" * 32),
        ("https://x.net/vit-20210526.pth", ""),
        ("https://x.net/models/model.safetensors", ""),
    ],
)
def test_checksums_are_read_from_addresses(url: str, prefix: str) -> None:
    assert checksum_in(url) == prefix


def _grid(folder: Path, *models: tuple[str, str]) -> Path:
    with (folder / "models.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "library", "arch", "checkpoint", "params_m"])
        writer.writerows([name, "timm", "test_vit", checkpoint, "0.75"] for name, checkpoint in models)
    return folder / "models.csv"


def _environment(shelf: Shelf, home: Path) -> dict[str, str]:
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    return {**os.environ, **proxies, "HF_ENDPOINT": shelf.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}


def _fetch(shelf: Shelf, home: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engine.fetch", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=_environment(shelf, home), stderr=subprocess.PIPE, text=True)


def _said(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=120)[1]


ONE, TWO = "/me/one/resolve/main/model.safetensors", "/me/two/resolve/main/model.pth"
TAG = "/timm/test_vit.r160_in1k/resolve/main/pytorch_model.bin"


def test_a_grid_is_fetched_into_the_hubs_cache(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files |= {ONE: CONTENT, TAG: b"tagged"}
    rows = ("a.one", "hf://me/one/model.safetensors"), ("b.gone", "hf://me/gone/w.pth"), ("c.tag", "r160_in1k")
    grid = _grid(tmp_path, *rows)
    first = _fetch(shelf, tmp_path / "home", "--grid", grid)
    said = _said(first)
    assert first.returncode == 1
    assert "2 of 3 checkpoints are at hand" in said
    assert re.search(r"FAILED b.gone: me/gone \(w.pth\): The hub has no w.pth in me/gone", said)
    cache = tmp_path / "home/hub/models--me--one"
    placed = cache / f"snapshots/{COMMIT}/model.safetensors"
    assert placed.read_bytes() == CONTENT
    assert placed.resolve() == (cache / "blobs" / SHA).resolve()
    assert (cache / "refs/main").read_text() == COMMIT
    tagged = tmp_path / f"home/hub/models--timm--test_vit.r160_in1k/snapshots/{COMMIT}/pytorch_model.bin"
    assert tagged.read_bytes() == b"tagged", "no safetensors there: the next name was tried"
    before = len(shelf.gets(ONE))
    again = _fetch(shelf, tmp_path / "home", "--grid", grid, "--model", "a.one", "--model", "c.tag")
    assert "2 of 2 checkpoints are at hand" in _said(again)
    assert again.returncode == 0
    assert len(shelf.gets(ONE)) == before, "what is at hand is not fetched again"


def test_a_killed_fetch_goes_on_into_a_mirror(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files |= {ONE: CONTENT, TWO: b"two"}
    shelf.slow = 0.05
    grid = _grid(tmp_path, ("a.one", "hf://me/one/model.safetensors"), ("b.two", "hf://me/two/model.pth"))
    arguments = ("--grid", grid, "--weights", tmp_path / "mirror")
    first = _fetch(shelf, tmp_path / "home", *arguments)
    until = time.monotonic() + 60
    parts: list[Path] = []
    while time.monotonic() < until and not (parts and parts[0].stat().st_size > 1_000_000):
        parts = list((tmp_path / "mirror/me/one").glob(".model.safetensors.*.part"))
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    _said(first)
    have = parts[0].stat().st_size
    assert 1_000_000 < have < len(CONTENT)
    shelf.slow = 0.0
    second = _fetch(shelf, tmp_path / "home", *arguments)
    assert "2 of 2 checkpoints are at hand" in _said(second)
    assert second.returncode == 0
    assert shelf.gets(ONE) == [0, have]
    assert (tmp_path / "mirror/me/one/model.safetensors").read_bytes() == CONTENT
    assert (tmp_path / "mirror/me/two/model.pth").read_bytes() == b"two"
    assert not list((tmp_path / "home").rglob("*.pth")), "the mirror alone is filled"


def test_a_token_does_not_travel_to_where_the_content_lies(shelf: Shelf, tmp_path: Path) -> None:
    grid = _grid(tmp_path, ("a.one", "hf://me/one/model.safetensors"))
    with serving() as elsewhere:
        shelf.files[ONE], shelf.moved[ONE] = CONTENT, f"{elsewhere.url}/content"
        elsewhere.files["/content"], elsewhere.cuts["/content"] = CONTENT, [1_000_000]
        environment = {**_environment(shelf, tmp_path / "home"), "HF_TOKEN": "hf_secret"}
        command = [sys.executable, "-m", "engine.fetch", "--grid", str(grid)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Bearer hf_secret" in shelf.tokens
        assert elsewhere.gets("/content") == [0, 1_000_000]
        assert set(elsewhere.tokens) == {None}
    assert (tmp_path / f"home/hub/models--me--one/blobs/{SHA}").read_bytes() == CONTENT


def test_ctrl_c_gets_a_sentence(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files[ONE], shelf.slow = CONTENT, 0.1
    grid = _grid(tmp_path, ("a.one", "hf://me/one/model.safetensors"))
    process = _fetch(shelf, tmp_path / "home", "--grid", grid, "--weights", tmp_path / "mirror")
    until = time.monotonic() + 60
    while time.monotonic() < until and not shelf.gets(ONE):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = _said(process)
    assert process.returncode == 130
    assert "Interrupted. What came is kept; the same command goes on from there." in said
    assert "Traceback" not in said


@pytest.mark.parametrize("offline", [True, False])
def test_without_a_network_each_model_is_named(offline: bool, tmp_path: Path) -> None:
    grid = _grid(tmp_path, ("a.one", "hf://me/one/model.safetensors"), ("c.tag", "r160_in1k"))
    nowhere = Shelf(url="http://127.0.0.1:9")
    environment = {**_environment(nowhere, tmp_path / "home"), "HF_HUB_OFFLINE": "1" if offline else "0"}
    command = [sys.executable, "-m", "engine.fetch", "--grid", str(grid)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    why = "HF_HUB_OFFLINE is set" if offline else r"http://127.0.0.1:9 cannot be reached \(.*\)"
    for name, source in (("a.one", "me/one"), ("c.tag", "timm/test_vit.r160_in1k")):
        reason = f"FAILED {name}: The checkpoint of '{name}' is not at hand: {source} "
        assert re.search(rf"{reason}.*and {why}", done.stderr)
    assert "Traceback" not in done.stderr
