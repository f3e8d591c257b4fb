"""`make bench` calls its scripts with flags that they have."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.__main__ import plan


def test_every_script_knows_its_flags(shared_data: Path):
    commands = plan(shared_data)
    assert len(commands) >= 6
    for module, *arguments in commands:
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
        )
        flags = {word for word in arguments if word.startswith("--")}
        assert flags <= set(re.findall(r"--[a-z-]+", done.stdout)), module
