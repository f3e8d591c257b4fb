"""Fetches engines into a cache outside the tree, and checks every file against its pin.

    python -m engines.fetch flink beam-flink beam-spark prism

The cache is $TAGMINE_ENGINES, or ~/.cache/tagmine-engines; what lies there and is whole is kept.
pip, Maven and Go fetch, each with its own settings for mirrors.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

_PINS = Path(__file__).parent / "pins"
_FLINK_LIBRARIES = (
    "apache-flink-libraries==1.19.3 "
    "--hash=sha256:4a58e3a1fb7d83340bc96b6c080624c6d792d69fae5d294b96224775204a9c60"
)
_COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies"
_PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"
# As `go version -m` prints the module that a binary was built of.
_PRISM_MODULE = "v2.77.0\th1:RsC61pHEvtySEHAURQyP/+CVOJm/hy5hewuG9JF0+Ow="
# What Beam, Flink and Spark reach into on Java 17.
ADD_OPENS = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/sun.nio.ch",
)
_NEEDS = {
    "flink": ("java",),
    "beam-flink": ("java", "mvn"),
    "beam-spark": ("java", "mvn"),
    "prism": ("go",),
}
JOB_SERVER_JAR = "job-server.jar"
# What no longer holds in a jar of jars: signatures and modules.
_LEFT_OUT = (".SF", ".RSA", ".DSA", "module-info.class")
_DRIVERS = {
    "beam-flink": "org.apache.beam.runners.flink.FlinkJobServerDriver",
    "beam-spark": "org.apache.beam.runners.spark.SparkJobServerDriver",
}


class EngineError(Exception):
    """An engine does not start or is not what its pin says; its text names the reason."""


class MissingEngineError(EngineError):
    """An engine cannot be had on this machine."""


def cache_folder() -> Path:
    """Where engines are kept."""
    default = Path.home() / ".cache" / "tagmine-engines"
    return Path(os.environ.get("TAGMINE_ENGINES") or default)


def fetch(name: str) -> Path:
    """The folder of an engine, fetched if it is not there yet.

    Args:
        name: "flink", "beam-flink", "beam-spark" or "prism".

    Raises:
        MissingEngineError: where a tool or the engine cannot be had.
        EngineError: where a file is not what was pinned.
    """
    missing = [tool for tool in _NEEDS[name] if shutil.which(tool) is None]
    if missing:
        raise MissingEngineError(f"{name} needs {' and '.join(missing)}, which is not installed")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / name
    # Tests in several processes want the same one; the first fetches it.
    with open(cache / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir() and not _differences(name, folder):
            if name in _DRIVERS and not _is_as_made(folder / JOB_SERVER_JAR):
                _merge_jars(folder, _DRIVERS[name])
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = Path(scratch) / name
            made.mkdir()
            _FETCHERS[name](made, Path(scratch))
            if differences := _differences(name, made):
                raise EngineError(f"{name} is not what engines/pins says: {differences}")
            made.rename(folder)
    return folder


def _differences(name: str, folder: Path) -> str:
    """What is not as pinned, as text; nothing where all is well."""
    if name == "prism":
        try:
            report = _run(["go", "version", "-m", str(folder / "prism")])
        except MissingEngineError as error:
            return str(error)
        return "" if _PRISM_MODULE in report else report[:500]
    pinned = dict(reversed(line.split()) for line in (_PINS / f"{name}.sha256").open())
    found = {path.name: _sha256(path) for path in folder.glob("*.jar")}
    # Made here of the others, and compressed, which each zlib does in its own way: no pin.
    found.pop(JOB_SERVER_JAR, None)
    return ", ".join(sorted(n for n in pinned | found if pinned.get(n) != found.get(n)))


def _is_as_made(jar: Path) -> bool:
    """Whether a jar of jars is there with the hash that was recorded when it was made."""
    record = _record(jar)
    return jar.is_file() and record.is_file() and record.read_text() == _sha256(jar)


def _record(jar: Path) -> Path:
    return jar.with_name(f"{jar.name}.sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _run(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise MissingEngineError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
    return done.stdout


def _fetch_flink(folder: Path, scratch: Path) -> None:
    """Flink itself, out of the source distribution of its Python libraries."""
    wanted = scratch / "requirements.txt"
    wanted.write_text(_FLINK_LIBRARIES + "\n")
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(scratch)]
    _run([*pip, *options, "--requirement", str(wanted)])
    names = [line.split()[1] for line in (_PINS / "flink.sha256").open()]
    with tarfile.open(next(scratch.glob("apache*.tar.gz"))) as archive:
        for member in archive:
            name = Path(member.name).name
            if name in names and "/deps/lib/" in member.name:
                with (folder / name).open("wb") as stream:
                    shutil.copyfileobj(archive.extractfile(member), stream)


def _fetch_job_server(folder: Path, scratch: Path) -> None:
    """A Beam job server with all that it needs, and a jar that `java -jar` starts it by."""
    pom = _PINS / f"{folder.name}.xml"
    maven = ["mvn", "--quiet", "--batch-mode", "--file", str(pom), _COPY_DEPENDENCIES]
    _run([*maven, f"-DoutputDirectory={folder}", "-DincludeScope=runtime"])
    _merge_jars(folder, _DRIVERS[folder.name])


def _merge_jars(folder: Path, main: str) -> None:
    """One jar of all, as Beam's own job servers are: a job takes it to the cluster, and 160 files
    take a cluster minutes. The same jars make the same bytes; their hash is recorded beside them.
    """
    target = folder / JOB_SERVER_JAR
    unfinished = target.with_suffix(".unfinished")
    services: dict[str, bytes] = {}
    seen = {"META-INF/MANIFEST.MF"}
    opens = [f"Add-Opens: {ADD_OPENS[0]}", *(f"  {module}" for module in ADD_OPENS[1:])]
    manifest = ["Manifest-Version: 1.0", f"Main-Class: {main}", "Multi-Release: true", *opens]
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as jar:
        _add(jar, "META-INF/MANIFEST.MF", ("\n".join(manifest) + "\n").encode())
        for path in sorted(folder.glob("*.jar")):
            if path.name == JOB_SERVER_JAR:
                continue
            with zipfile.ZipFile(path) as part:
                for name in part.namelist():
                    if name.startswith("META-INF/services/") and not name.endswith("/"):
                        services[name] = services.get(name, b"") + part.read(name) + b"\n"
                    elif name not in seen and not name.endswith(_LEFT_OUT):
                        seen.add(name)
                        _add(jar, name, part.read(name))
        for name, lines in sorted(services.items()):
            _add(jar, name, lines)
    unfinished.replace(target)
    _record(target).write_text(_sha256(target))


def _add(jar: zipfile.ZipFile, name: str, data: bytes) -> None:
    # By itself an entry gets the time of this moment.
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = (0o40755 if name.endswith("/") else 0o100644) << 16
    jar.writestr(entry, data, zipfile.ZIP_DEFLATED, compresslevel=1)


def _fetch_prism(folder: Path, scratch: Path) -> None:
    """Prism, compiled; Go checks the sources by its checksum database. Takes minutes."""
    path = scratch / "gopath"
    _run(["go", "install", _PRISM], GOBIN=str(folder), GOPATH=str(path), GOFLAGS="-modcacherw")


_FETCHERS: dict[str, Callable[[Path, Path], None]] = {
    "flink": _fetch_flink,
    "beam-flink": _fetch_job_server,
    "beam-spark": _fetch_job_server,
    "prism": _fetch_prism,
}


def main() -> int:
    """Fetch what is named and print where it lies; what cannot be had here is said and left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engines", nargs="+", choices=sorted(_FETCHERS), metavar="ENGINE")
    try:
        for name in parser.parse_args().engines:
            try:
                print(fetch(name))
            except MissingEngineError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
    except EngineError as error:
        print(f"engines.fetch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
