"""A file server on loopback for tests: a hub in small, with ranges, that can be told to break off or to lie."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


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
