"""Runs the commands that a page shows and puts in what they print.

    python docs/run_examples.py docs/merging.md

A block of the page that begins with a `$ tagmine` line is a command and its output; a block that
is introduced as "```jsonl NAME" is a file that the commands may read.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
import tempfile
from pathlib import Path

from pipelines.main import main

_FILE = re.compile(r"^```jsonl (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^```\n(\$ tagmine .*?[^\\]\n)(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_examples(page: str) -> str:
    """The page with the output of each of its commands as it is now.

    Raises:
        RuntimeError: for a command that fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _FILE.findall(page):
            (Path(folder) / Path(name).name).write_text(content)
        return _COMMAND.sub(lambda block: _rerun(block, Path(folder)), page)


def _rerun(block: re.Match[str], folder: Path) -> str:
    words = shlex.split(block[1].removeprefix("$ tagmine ").replace("\\\n", " "))
    words = [str(folder / word) if (folder / word).is_file() else word for word in words]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(words)
    if status:
        raise RuntimeError(f"{block[1].strip()} failed with status {status}")
    lines = [line.rstrip() for line in printed.getvalue().splitlines()]
    return "```\n" + block[1] + "\n".join(lines) + "\n```"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(run_examples(path.read_text()))
