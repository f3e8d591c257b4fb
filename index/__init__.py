"""Images to vectors to a sharded FAISS index; search and verification. Imports no Beam."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from index.encoder import load_encoder
    from index.search import open_datastore

__all__ = ["load_encoder", "open_datastore"]


def __getattr__(name: str):
    # Late, so that importing the package does not load torch and faiss.
    if name == "open_datastore":
        from index.search import open_datastore

        return open_datastore
    if name == "load_encoder":
        from index.encoder import load_encoder

        return load_encoder
    raise AttributeError(f"module 'index' has no attribute {name!r}")
