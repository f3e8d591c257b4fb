"""Answers as they come, a line each, so that a run that was interrupted goes on."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from tagmine.errors import ConfigurationError
from tuna_model.question_files import read_rows


class AnswerLog:
    """A JSONL file: the run that it is of, then rows with a `question_id`; the last one counts.

    A line that was torn off by a kill is cut away when the file is opened again. The file is
    locked while it is open.

    Args:
        path: the file; made where it is not there.
        run: what the rows depend on.

    Raises:
        ConfigurationError: when the file is of another run, naming what differs, or is in use.
    """

    def __init__(self, path: Path, run: Mapping[str, object]) -> None:
        self.path = path
        self.rows: dict[str, dict] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("a+b")
        try:
            self._lock()
            self._cut_torn_line()
            self._read(json.loads(json.dumps(dict(run))))
        except BaseException:
            self._stream.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"{self.path} is being written by another run. Wait for it, or give another --out."
            ) from error

    def _cut_torn_line(self) -> None:
        end = self._stream.seek(0, os.SEEK_END)
        whole = end
        while whole:
            start = max(0, whole - 65536)
            self._stream.seek(start)
            newline = self._stream.read(whole - start).rfind(b"\n")
            if newline >= 0:
                whole = start + newline + 1
                break
            whole = start
        if whole < end:
            self._stream.truncate(whole)

    def _read(self, run: dict) -> None:
        lines = read_rows(self.path)
        _, header = next(lines, (0, None))
        if header is None:
            self._write({"run": run})
            return
        found = header.get("run")
        if found != run:
            known = found if isinstance(found, dict) else {}
            names = sorted(k for k in known.keys() | run.keys() if known.get(k) != run.get(k))
            said = "; ".join(f"{k}: {known.get(k)!r} then, {run.get(k)!r} now" for k in names)
            raise ConfigurationError(
                f"{self.path} holds answers of another run ({said or 'it has no header'}). Give "
                "another --out, or remove the file."
            )
        self.rows = {str(row.get("question_id")): row for _, row in lines}

    def add(self, row: Mapping[str, object]) -> None:
        """Write a row; it is on disk, but for a power cut, when this returns."""
        self._write(row)
        self.rows[str(row["question_id"])] = dict(row)

    def _write(self, row: Mapping[str, object]) -> None:
        self._stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._stream.flush()

    def __enter__(self) -> AnswerLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
