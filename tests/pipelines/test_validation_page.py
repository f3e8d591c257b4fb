"""The commands of docs/validation.md that make reports of real photos and real products."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from pipelines.main import main

PAGE = Path(__file__).parents[2] / "docs/validation.md"


@pytest.mark.parametrize("name", ["coco-mini", "fashion"])
def test_the_commands_of_the_page_end_in_a_report(shared_data, tmp_path, monkeypatch, name):
    commands = [
        shlex.split(line)[1:]
        for line in re.findall(rf"^tagmine (?:build|validate) .*{name}/.*$", PAGE.read_text(), re.M)
    ]
    assert [command[0] for command in commands] == ["build", "validate"]
    (tmp_path / name).symlink_to(shared_data / "shards" / name)
    monkeypatch.chdir(tmp_path)
    build, validate = commands
    assert main(build) == 0
    status = main(validate)
    folder = tmp_path / validate[1] / "report"
    report = json.loads((folder / "report.json").read_text())
    assert status == (0 if report["passed"] else 1) and report["passed"], report["gates"]
    assert report["held_out"] and report["queries"] > 0 and len(report["recall"]) == 3
    page = (folder / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") > 10
