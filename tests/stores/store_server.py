"""A real S3 server on loopback, and a door before it that can be made to fail."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Door(ThreadingHTTPServer):
    """Passes requests on to an S3 server, unless it is told to fail them.

    Attributes:
        seen: every request's method and path.
        answer: decides on (method, path): None to pass it on, an HTTP status to answer, or 0 to
            read the request and close the connection without an answer.
        pause: decides on (method, path) how many seconds pass in the middle of an answer.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = (host, port)
        self.seen: list[tuple[str, str]] = []
        self.answer: Callable[[str, str], int | None] = lambda method, path: None
        self.pause: Callable[[str, str], float] = lambda method, path: 0.0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reset(self) -> None:
        self.seen.clear()
        self.answer = lambda method, path: None
        self.pause = lambda method, path: 0.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        self.server.seen.append((self.command, self.path))
        body = self._body()
        status = self.server.answer(self.command, self.path)
        if status == 0:
            self.close_connection = True
            return
        if status is not None:
            self._send(status, [], b"")
            return
        connection = http.client.HTTPConnection(*self.server.behind)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        data = response.read()
        self._send(response.status, response.getheaders(), data)
        connection.close()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _send(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = next((v for k, v in headers if k.lower() == "content-length"), len(data))
        self.send_header("Content-Length", str(length if self.command == "HEAD" else len(data)))
        self.end_headers()
        half = len(data) // 2
        self.wfile.write(data[:half])
        if seconds := self.server.pause(self.command, self.path):
            time.sleep(seconds)
        self.wfile.write(data[half:])

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815

    def handle(self) -> None:
        # A client that was killed hangs up in the middle of a sentence.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *arguments) -> None:
        pass
