"""Shards from a web server that refuses, is busy, or breaks off."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tagmine import retries
from tagmine.errors import ConfigurationError
from tagmine.sources import Source, expand_shards
from tagmine.stage import SourceError, open_source

SHARD = bytes(range(256)) * 100_000


class Server(ThreadingHTTPServer):
    """Sends `SHARD` under any path.

    Attributes:
        seen: the method of every request.
        answer: for the number of a request, a status to answer, or None to send the shard.
        ranges: whether parts of it are sent; otherwise half of it, and the connection ends.
    """

    daemon_threads = True
    seen: list[str]
    answer: Callable[[int], int | None]
    ranges: bool


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # noqa: N802
        server: Server = self.server
        server.seen.append(self.command)
        status = server.answer(len(server.seen))
        asked = self.headers.get("Range")
        start, end = 0, len(SHARD)
        if asked and server.ranges:
            start, last = map(int, asked.removeprefix("bytes=").split("-"))
            end = min(end, last + 1)
        self.send_response(status or (206 if asked and server.ranges else 200))
        self.send_header("Content-Type", "application/x-tar")
        self.send_header("Accept-Ranges", "bytes" if server.ranges else "none")
        self.send_header("Content-Length", "0" if status else str(end - start))
        self.end_headers()
        if not status and self.command == "GET":
            # Whoever wanted to see the headers alone hangs up.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(SHARD[start : end if server.ranges else end // 2])

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(retries, "_FIRST_WAIT", 0.001)
    running = Server(("127.0.0.1", 0), Handler)
    running.seen, running.answer, running.ranges = [], lambda number: None, True
    running.url = f"http://127.0.0.1:{running.server_port}/toys/0.tar"
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def read(url: str) -> bytes:
    with open_source(Source(0, "toys/0", url)) as stream:
        return b"".join(iter(lambda: stream.read(1 << 20), b""))


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_is_asked_again(server, status):
    # HEAD and GET, and later single requests.
    server.answer = lambda number: status if number in (1, 2, 4, 6, 7) else None
    assert expand_shards([server.url]) == [server.url]
    server.seen.clear()
    assert read(server.url) == SHARD
    assert len(server.seen) > 7


def test_a_server_that_stays_busy_has_not_said_that_there_is_no_file(server):
    server.answer = lambda number: 503
    with pytest.raises(ConfigurationError, match="the shard cannot be looked up"):
        expand_shards([server.url])
    assert len(server.seen) == 2 * retries.TRIES


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_refused_is_not_asked_for_again(server, status):
    server.answer = lambda number: status
    with pytest.raises(ConfigurationError, match="there is no such file"):
        expand_shards([server.url])
    assert server.seen == ["HEAD", "GET"]
    # A signed URL that ends while its shard is read.
    server.seen.clear()
    server.answer = lambda number: status if number > 3 else None
    with pytest.raises(SourceError, match=str(status)):
        read(server.url)
    assert len(server.seen) == 4


def test_a_stream_that_cannot_seek_and_breaks_off_ends_in_a_sentence(server):
    server.ranges = False
    with pytest.raises(SourceError, match="cannot be read: .* run the same command again"):
        read(server.url)
