"""Servers on loopback for tests: a hub in small, that can be told to break off or to lie; a store, and a gate to it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SECRET = "s3cr3t"  # noqa: S105
STORE = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass
class Shelf:
    """What the server has, how it behaves, and what it was asked.

    Attributes
    ----------
    files : content by path
    cuts : for each path, after how many bytes the next answers break off, one answer each
    ranges : whether it knows ranges
    slow : seconds between two pieces of 64 KiB
    moved : where the content of a path really lies, on another server, as the hub keeps it
    asked : (method, path, first byte) of each request
    tokens : what came as authorization
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    slow: float = 0.0
    moved: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def gets(self, path: str) -> list[int]:
        """First bytes of the requests for the content of a path."""
        return [start for method, name, start in self.asked if (method, name) == ("GET", path)]


@contextmanager
def serving() -> Iterator[Shelf]:
    """A server in a thread of its own."""
    shelf = Shelf()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(shelf))
    server.daemon_threads = True
    shelf.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._head()

        def do_GET(self) -> None:
            content = self._head()
            cuts = shelf.cuts.get(self.path, [])
            if cuts:
                content = content[: cuts.pop(0)]
                self.close_connection = True
            for start in range(0, len(content), 1 << 16):
                self.wfile.write(content[start : start + (1 << 16)])
                time.sleep(shelf.slow)

        def _head(self) -> bytes:
            whole = shelf.files.get(self.path)
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            shelf.asked.append((self.command, self.path, start))
            shelf.tokens.append(self.headers.get("Authorization"))
            start = start if shelf.ranges else 0
            if whole is not None and self.path in shelf.moved:
                self.send_response(302)
                self.send_header("Location", shelf.moved[self.path])
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("X-Linked-Etag", f'"{hashlib.sha256(whole).hexdigest()}"')
                self.send_header("X-Linked-Size", str(len(whole)))
                whole = b""
            elif whole is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
            elif start >= len(whole) > 0:
                self.send_response(416)
            else:
                self.send_response(206 if start else 200)
                self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
            content = whole[start:] if whole is not None and start < len(whole) else b""
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return content

    return Handler


@dataclass
class Gate:
    """The way to an object store.

    Attributes
    ----------
    url : where clients find it
    target : the store's own address
    asked : the requests, as in ``PUT /bucket/key``
    refuses : whether a request, as in ``PUT /bucket/key``, is answered with 503 instead of being passed on
    seconds : how long each request is held
    """

    url: str
    target: str
    asked: list[str] = field(default_factory=list)
    refuses: Callable[[str], bool] = lambda _: False
    seconds: float = 0.0

    def methods(self) -> list[str]:
        """The methods of the requests."""
        return [request.split()[0] for request in self.asked]


@contextmanager
def object_store(*buckets: str) -> Iterator[Gate]:
    """A store of S3's kind with these buckets, behind a gate; the environment names it."""
    store = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    store.start()
    gate = Gate("", "http://{}:{}".format(*store.get_host_and_port()))
    # What an earlier store of this process held lives on in it.
    urlopen(Request(f"{gate.target}/moto-api/reset", method="POST")).close()
    for bucket in buckets:
        urlopen(Request(f"{gate.target}/{bucket}", method="PUT")).close()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Way, gate))
    server.daemon_threads = True
    gate.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**STORE, "AWS_ENDPOINT_URL": gate.url}.items():
                patch.setenv(name, value)
            yield gate
    finally:
        server.shutdown()
        server.server_close()
        store.stop()


class _Way(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else an answer's content waits 40 ms behind its headers

    def __init__(self, gate: Gate, *arguments: Any) -> None:
        self.gate = gate
        super().__init__(*arguments)

    def log_message(self, *_: object) -> None:
        pass

    def _pass_on(self) -> None:
        body, request = b"".join(self._body()), f"{self.command} {self.path}"
        self.gate.asked.append(request)
        time.sleep(self.gate.seconds)
        if self.gate.refuses(request):
            self._answer(503, {}, b"<Error><Code>SlowDown</Code><Message>Later.</Message></Error>")
            return
        store = HTTPConnection(urlsplit(self.gate.target).netloc, timeout=60)
        store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            store.putheader(name, value)
        store.endheaders(body)
        told = store.getresponse()
        self._answer(told.status, dict(told.getheaders()), told.read())
        store.close()

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _pass_on  # noqa: N815

    def _body(self) -> Iterator[bytes]:
        """The body as it comes, with the sizes of its chunks where it has some."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        size = -1
        while size and (line := self.rfile.readline()).strip():
            size = int(line, 16)
            yield line + self.rfile.read(size + 2)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "content-length", "date", "server", "transfer-encoding"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
