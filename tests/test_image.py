"""What goes into the image and to Beam's workers: the lock, the sdist, the entry point."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import fsspec
import pytest
from apache_beam.runners.portability.stager import Stager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("demo", "index", "pipelines", "tagmine", "tuna_model")


def read_lock(name: str) -> dict[str, str]:
    """Versions by name; fails where a line has no hash."""
    pins = {}
    for block in re.split(r"\n(?=\S)", (ROOT / name).read_text()):
        if block.startswith("#") or not block.strip():
            continue
        assert "--hash=sha256:" in block, f"{name} has no hash of {block!r}: run make lock"
        requirement = Requirement(block.split("\\")[0].strip())
        pins[canonicalize_name(requirement.name)] = str(requirement.specifier)
    return pins


def test_the_locks_pin_all_that_the_project_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, everything = read_lock("requirements.lock"), read_lock("requirements-test.lock")
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["gs"], *extras["s3"]]
    for lock, named in ((runtime, needed), (everything, [*needed, *extras["test"]])):
        for requirement in map(Requirement, named):
            version = lock[canonicalize_name(requirement.name)].removeprefix("==")
            assert requirement.specifier.contains(version), f"{requirement}: run make lock"
    assert runtime.items() <= everything.items()
    assert "pytest" not in runtime


def test_what_reads_the_shards_of_a_dataflow_job_is_installed_with_it():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(extras["gs"]) <= set(extras["dataflow"])
    assert fsspec.get_filesystem_class("gs").protocol[0] == "gs"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """What .dockerignore lets into the image, which is also what the sdist is made from."""
    target = tmp_path_factory.mktemp("source")
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines
    for name in allowed:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, target / name)
    return target


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory) -> Path:
    """As `--setup_file` has Beam make it on the launcher."""
    folder = tmp_path_factory.mktemp("sdist")
    return Path(Stager._build_setup_package(str(source / "setup.py"), str(folder)))


def test_beams_workers_get_every_file_of_the_packages_and_no_test(sdist: Path, source: Path):
    with tarfile.open(sdist) as tar:
        names = {member.name.split("/", 1)[1] for member in tar if member.isfile()}
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    wanted = listed or [
        path.relative_to(source).as_posix()
        for package in PACKAGES
        for path in (source / package).rglob("*")
        if path.is_file()
    ]
    assert len(wanted) > 200 and set(wanted) <= names
    assert not fnmatch.filter(names, "tests/*") and not fnmatch.filter(names, "benchmarks/*")


def test_the_sdist_installs_and_runs_outside_the_checkout(sdist: Path, tmp_path: Path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", tmp_path / "site", sdist], check=True)
    script = (
        "import pathlib, tagmine, index, tuna_model, pipelines.main, demo\n"
        "assert pathlib.Path('site').resolve() in pathlib.Path(tagmine.__file__).parents\n"
        "from tagmine import load_tagger\n"
        "print(next(iter(load_tagger().tag(['a red car'])))[0].text)\n"
    )
    environment = {**os.environ, "PYTHONPATH": "site"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, env=environment, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "car" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--id=1-2", "--control_endpoint=x"], "boot --id=1-2 --control_endpoint=x"),
        (["--worker_pool"], "boot --worker_pool"),
        (["build", "a b.tar"], "tagmine build a b.tar"),
        (["--help"], "tagmine --help"),
        (["tagmine-tuna", "chat"], "tagmine-tuna chat"),
        ([], "tagmine "),
    ],
)
def test_the_entry_point_tells_beam_from_people(tmp_path: Path, arguments, expected):
    for name in ("boot", "tagmine", "tagmine-tuna"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*"\n')
        program.chmod(0o755)
    script = (ROOT / "docker-entrypoint.sh").read_text()
    assert "/opt/apache/beam/boot" in script
    entry = tmp_path / "entry.sh"
    entry.write_text(script.replace("/opt/apache/beam/boot", str(tmp_path / "boot")))
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", entry, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == expected + "\n"


def test_the_dockerfile_copies_what_is_let_in_and_runs_as_nobody_special():
    text = (ROOT / "Dockerfile").read_text()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text, re.M)
    assert copied and {f"!{name}" for name in copied if name != "."} <= set(lines)
    stages = text.split("\nFROM ")
    assert "--require-hashes" in text and re.search(r"^USER [1-9]\d*$", stages[-1], re.M)
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
