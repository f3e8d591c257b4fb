"""One fuzzer of atheris; `campaigns.fuzz` starts it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tagmine", "index", "tarfile"]):
    from campaigns.seeds import make_seeds
    from campaigns.targets import TARGETS

if __name__ == "__main__":
    name, *flags = sys.argv[1:]
    corpus = Path(flags[-1])
    with tempfile.TemporaryDirectory(prefix="tagmine-fuzz-") as folder:
        for number, data in enumerate(make_seeds(Path(folder))[name]):
            (corpus / f"seed-{number}").write_bytes(data)
    atheris.Setup([sys.argv[0], *flags], TARGETS[name])
    atheris.Fuzz()
