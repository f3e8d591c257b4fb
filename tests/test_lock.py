"""The review of the lock: every package is pinned, from the registry, and asked for by us."""

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


@pytest.fixture(scope="module")
def locked() -> dict[str, Requirement]:
    text = (ROOT / "requirements-test.lock").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    lines = [re.sub(r"\s+--hash=\S+", "", line) for line in lines if line and line[0] != "#"]
    found = [Requirement(line) for line in lines if not line.startswith("--")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def test_every_package_is_pinned_to_one_version_of_the_registry(locked):
    assert len(locked) > 100
    for name, requirement in locked.items():
        assert requirement.url is None, name
        assert [one.operator for one in requirement.specifier] == ["=="], name


def test_every_package_is_asked_for_by_us_or_by_one_that_is(locked):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
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
