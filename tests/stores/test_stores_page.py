"""docs/stores.md: each of its commands runs, in a folder and a bucket that have what it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from pipelines.main import main

PAGE = Path(__file__).parents[2] / "docs/stores.md"


def test_the_commands_of_the_page(door, bucket, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(Path(bucket.photo).read_bytes())
    bucket.mkdir("my-bucket")
    for shard in range(2):
        bucket.copy(f"bkt/toys/{shard}.tar", f"my-bucket/toys/{shard:05d}.tar")
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("tagmine")]
    assert len(lines) == 8
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line
    assert "toys/00001/1" in capfd.readouterr().out
