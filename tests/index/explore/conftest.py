"""Three small datastores, and the real command that serves their page."""

from __future__ import annotations

import dataclasses
import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.shards import main as draw_shards
from pipelines.main import main as tagmine

HOSTILE = '<script>document.title="owned"</script> a <b>red</b> "car" \u202eteksab ' + "x" * 120
CARD = "---\nlicense: mit\n---\n# A card\n\n<img src=x onerror=\"document.title='owned'\">\n"


@dataclasses.dataclass(frozen=True)
class Folders:
    """Folders of the datastores street, fashion and odd, and of shards and photos.

    The shard of odd is gone, its texts are hostile, and its card leads out of its folder.
    """

    root: Path

    @property
    def stores(self) -> list[str]:
        return [str(self.root / name) for name in ("street", "fashion", "odd")]

    def photo(self, store: str) -> Path:
        """The picture of the first image of a datastore."""
        return self.root / f"{store}.jpg"


@pytest.fixture(scope="session")
def folders(tmp_path_factory, write_tar, jpeg) -> Folders:
    root = tmp_path_factory.mktemp("explore")
    for domain in ("street", "fashion"):
        shards = root / "shards" / domain
        draw_shards(["--out", str(shards), "--count", "24", "--domain", domain])
        command = ["build", f"{shards}/*.tar", "--out", str(root / domain), "--clip-model", "demo"]
        assert tagmine([*command, "--caption-json-field", "captions"]) == 0
        _first_picture(shards, root / f"{domain}.jpg")
    odd = write_tar(
        root / "shards" / "odd" / "0.tar",
        [
            *(("0.jpg", jpeg(0)), ("0.txt", HOSTILE.encode())),
            *(("1.jpg", jpeg(1)), ("1.txt", b"a blue boat")),
        ],
    )
    command = ["build", str(odd), "--out", str(root / "odd"), "--clip-model", "demo"]
    assert tagmine(command) == 0
    odd.unlink()
    (root / "secret.md").write_text("a secret that lies elsewhere")
    (root / "odd" / "README.md").unlink()
    (root / "odd" / "README.md").symlink_to(root / "secret.md")
    (root / "street" / "README.md").write_text(CARD)
    return Folders(root)


def _first_picture(shards: Path, target: Path) -> None:
    import tarfile

    with tarfile.open(sorted(shards.glob("*.tar"))[0]) as archive:
        member = next(m for m in archive if m.name.endswith(".jpg"))
        target.write_bytes(archive.extractfile(member).read())


@dataclasses.dataclass(frozen=True)
class Page:
    """The address of a running page, and requests to it that say what a browser would not."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, method: str = "GET", body=None, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers of an answer; `path` is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            return answer.status, text, {k.lower(): v for k, v in answer.getheaders()}
        finally:
            connection.close()


@pytest.fixture(scope="session")
def page(folders) -> Iterator[Page]:
    """`tagmine explore` of the three, in a process of its own."""
    command = [sys.executable, "-m", "pipelines.main", "explore", *folders.stores]
    process = subprocess.Popen(
        [*command, "--no-browser", "--port", "0"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stderr:
            if found := re.match(r"http://127\.0\.0\.1:(\d+)/ shows street, fashion, odd", line):
                break
        else:
            pytest.fail(f"the page was not served, exit {process.wait()}")
        yield Page(int(found[1]))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=300) == 0
    finally:
        process.kill()
        process.wait()
