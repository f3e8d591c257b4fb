"""As much of the Hugging Face hub as a push and a pull speak to, on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

REPOSITORY = "/datasets/me/ds"


class Hub(ThreadingHTTPServer):
    """One dataset repository, me/ds.

    Attributes:
        files: content by path.
        commits: for each commit, the paths that it added and those that it deleted.
        created: what was asked when the repository was made.
        fail_commits: how many commits from now on are answered with 503.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.commits: list[tuple[list[str], list[str]]] = []
        self.created: dict = {}
        self.fail_commits = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def _entry(path: str, data: bytes) -> dict:
    oid = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    return {"type": "file", "path": path, "size": len(data), "oid": oid}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        if path == "/api/repos/create":
            self.server.created = json.loads(body)
            self._json({"url": self.server.url + REPOSITORY})
        elif path == "/api/validate-yaml":
            # Asked of a card at the top of a repository.
            self._json({"errors": [], "warnings": []})
        elif path.startswith(f"/api{REPOSITORY}/preupload/"):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for f in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif path.startswith(f"/api{REPOSITORY}/commit/"):
            self._commit([json.loads(line) for line in body.splitlines()])
        elif path.startswith(f"/api{REPOSITORY}/paths-info/"):
            self._paths_info(json.loads(body)["paths"])
        else:
            self._send(404, b"")

    def _commit(self, lines: list[dict]) -> None:
        if self.server.fail_commits:
            self.server.fail_commits -= 1
            self._send(503, b"")
            return
        added = {
            line["value"]["path"]: line["value"]["content"]
            for line in lines
            if line["key"] == "file"
        }
        deleted = [line["value"]["path"] for line in lines if line["key"] == "deletedFile"]
        self.server.files.update({p: base64.b64decode(data) for p, data in added.items()})
        for path in deleted:
            del self.server.files[path]
        self.server.commits.append((sorted(added), deleted))
        url = f"{self.server.url}{REPOSITORY}/commit/{'0' * 40}"
        self._json({"success": True, "commitOid": "0" * 40, "commitUrl": url})

    def _paths_info(self, paths: list[str]) -> None:
        found = []
        for path in paths:
            if path in self.server.files:
                found.append(_entry(path, self.server.files[path]))
            elif any(name.startswith(f"{path}/") for name in self.server.files):
                found.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
        self._json(found)

    def do_GET(self) -> None:  # noqa: N802
        path = unquote(urlsplit(self.path).path)
        info = f"/api{REPOSITORY}"
        if path == info or path.startswith(f"{info}/revision/"):
            names = [{"rfilename": name} for name in self.server.files]
            self._json({"id": "me/ds", "sha": "0" * 40, "private": True, "siblings": names})
        elif path.startswith(f"{info}/tree/"):
            folder = path.removeprefix(f"{info}/tree/").partition("/")[2]
            names = [n for n in self.server.files if not folder or n.startswith(f"{folder}/")]
            self._json([_entry(name, self.server.files[name]) for name in sorted(names)])
        elif path.startswith(f"{REPOSITORY}/resolve/"):
            name = path.removeprefix(f"{REPOSITORY}/resolve/").partition("/")[2]
            data = self.server.files.get(name)
            self._send(404 if data is None else 200, data or b"")
        else:
            self._send(404, b"")

    do_HEAD = do_GET  # noqa: N815

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), "application/json")

    def _send(self, status: int, data: bytes, kind: str = "application/octet-stream") -> None:
        start, whole = 0, data
        asked = self.headers.get("Range", "")
        if status == 200 and asked.startswith("bytes="):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first)
            data, status = data[start : int(last) + 1 if last else None], 206
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{hashlib.sha1(whole).hexdigest()}"')
        if status == 206:
            end = f"bytes {start}-{start + len(data) - 1}/{len(whole)}"
            self.send_header("Content-Range", end)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments) -> None:
        pass
