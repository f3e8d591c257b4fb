"""The scene graph parsers that can be asked for by name."""

from __future__ import annotations

from pathlib import Path

from tagmine.errors import ConfigurationError
from tagmine.scene_graph import DependencyBackend, SceneGraphBackend
from tagmine.tag_policy import TagPolicy

DEPENDENCY = "dependency"
FACTUAL = "factual"


def check_backend(choice: str) -> str:
    """Refuse a choice that no parser has; returns `choice`.

    Raises:
        ConfigurationError: naming those there are.
    """
    name, colon, path = choice.partition(":")
    if choice in (DEPENDENCY, FACTUAL) or (name == FACTUAL and colon and path):
        return choice
    raise ConfigurationError(
        f"The scene graph parser {choice!r} is unknown: give {DEPENDENCY}, {FACTUAL}, or "
        f"{FACTUAL}:DIR with the folder of a FACTUAL checkpoint."
    )


def load_backend(choice: str, policy: TagPolicy) -> SceneGraphBackend:
    """The scene graph parser of a choice.

    Args:
        choice: "dependency"; "factual" for the public checkpoint; "factual:DIR" for one in a
            folder.
        policy: the word lists that the dependency parser decides by.

    Raises:
        ConfigurationError: for an unknown choice, or a parser that cannot be loaded.
    """
    if check_backend(choice) == DEPENDENCY:
        return DependencyBackend(policy)
    # Late: torch and transformers take seconds to load, and the default needs neither.
    from tagmine.factual_model import FactualBackend

    path = choice.partition(":")[2]
    return FactualBackend(Path(path) if path else None)
