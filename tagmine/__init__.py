"""Captions to tags, and the on-disk contract of a datastore. Imports no Beam, torch or faiss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagmine.tags import Tag

if TYPE_CHECKING:
    from tagmine.tagger import load_tagger

__version__ = "0.1.0"
__all__ = ["Tag", "__version__", "load_tagger"]


def __getattr__(name: str):
    # Late, so that importing the package does not load spaCy.
    if name == "load_tagger":
        from tagmine.tagger import load_tagger

        return load_tagger
    raise AttributeError(f"module 'tagmine' has no attribute {name!r}")
