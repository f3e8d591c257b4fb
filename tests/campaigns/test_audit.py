"""What `make audit` makes of pip-audit's answers, which need no network here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNKNOWN = {"name": "b", "skip_reason": "Dependency not found on PyPI"}
HOLE = {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1"}, {"id": "GHSA-2"}]}
SOUND = {"name": "c", "version": "2", "vulns": []}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([UNKNOWN], 0, "NOT AUDITED: the database of pip-audit cannot be reached here"),
        (None, 0, "cannot be reached here (ERROR: no network)"),
        ([SOUND, UNKNOWN], 0, "1 packages asked for, 0 with holes\n  not in the database: b"),
        ([SOUND, HOLE], 1, "2 packages asked for, 1 with holes\n  a 1: PYSEC-1, GHSA-2"),
    ],
)
def test_holes_fail_and_a_database_that_is_away_is_said(tmp_path, packages, code, says):
    answer = json.dumps({"dependencies": packages, "fixes": []}) if packages else ""
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\necho '{answer}'\necho 'ERROR: no network' >&2\n")
    program.chmod(0o755)
    command = [sys.executable, "-m", "campaigns.audit", str(program), "requirements.lock"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code and says in done.stdout, done
