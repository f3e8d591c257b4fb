"""The review of the locks: pinned, hashed, of the registry, asked for by us, and installed."""

from __future__ import annotations

import importlib.metadata
import itertools
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# What builds packages, and what installs them.
OUR_TOOLS = {"pip", "setuptools", "wheel", "build"}
# What of the project each lock is made from.
EXTRAS = {"requirements.lock": ("gs", "s3"), "requirements-test.lock": ("gs", "s3", "test")}
HASH = re.compile(r"\s--hash=sha256:[0-9a-f]{64}(?=\s|$)")


def parse_lock(text: str) -> dict[str, Requirement]:
    """Requirements by name.

    Raises:
        AssertionError: for a line that is not one package of the registry with its hashes.
    """
    found: dict[str, Requirement] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        # An option, such as another index, or a file of more lines.
        assert not line.lstrip().startswith("-"), f"{line}: an option"
        assert HASH.search(line), f"{line[:80]}: no hash"
        requirement = Requirement(HASH.sub("", line).strip())
        assert requirement.url is None, f"{line}: not of the registry"
        assert [one.operator for one in requirement.specifier] == ["=="], f"{line}: not pinned"
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name}: twice"
        found[name] = requirement
    return found


@pytest.fixture(scope="module", params=EXTRAS)
def lock(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def locked(lock) -> dict[str, Requirement]:
    return parse_lock((ROOT / lock).read_text())


def test_every_package_is_pinned_to_one_version_of_the_registry(locked):
    assert len(locked) > 100


GOOD = f"a==1 --hash=sha256:{'0' * 64}\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--extra-index-url https://elsewhere.example/simple\n", "an option"),
        ("--index-url=https://elsewhere.example/simple\n", "an option"),
        ("  -i https://elsewhere.example/simple\n", "an option"),
        ("--find-links ./wheels\n", "an option"),
        ("-r more.txt\n", "an option"),
        ("b==1\n", "no hash"),
        (GOOD.replace("a==1", "b>=1"), "not pinned"),
        (GOOD.replace("a==1", "b==1,>0"), "not pinned"),
        (GOOD.replace("a==1", "b @ https://elsewhere.example/b.whl"), "not of the registry"),
        (GOOD.replace("a==1", "A==2"), "twice"),
    ],
)
def test_a_line_that_leads_elsewhere_or_pins_nothing_is_seen(line, says):
    assert set(parse_lock(GOOD)) == {"a"}
    with pytest.raises(AssertionError, match=says):
        parse_lock(GOOD + line)


def test_what_is_installed_is_what_is_locked():
    differing = {}
    for name, requirement in parse_lock((ROOT / "requirements-test.lock").read_text()).items():
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        if version == "not installed" or not requirement.specifier.contains(version, True):
            differing[name] = f"{version}, locked {requirement.specifier}"
    assert not differing, "run make setup"


def test_every_package_is_asked_for_by_us_or_by_one_that_is(lock, locked):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][name] for name in EXTRAS[lock]]
    ours = [Requirement(text) for text in (*project["dependencies"], *itertools.chain(*extras))]
    waiting = [(one.name, tuple(sorted(one.extras))) for one in ours]
    waiting += [(name, ()) for name in OUR_TOOLS]
    wanted = {canonicalize_name(name) for name, _ in waiting}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for text in needs:
            need = Requirement(text)
            markers = need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            )
            if markers:
                wanted.add(canonicalize_name(need.name))
                waiting.append((canonicalize_name(need.name), tuple(sorted(need.extras))))
    assert set(locked) - wanted == set()
