"""Replace files of a finished datastore so that it opens at every moment, killed or not.

What is new is made in `staged/`, a folder of links to all that stays. One write of the manifest
then names the staged files; they are linked to where they belong, and a second one names them
there. Whoever has the old files open keeps them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter

from tagmine.errors import DatastoreError
from tagmine.layout import (
    ENCODER_PIN,
    MANIFEST,
    SOURCES,
    TAGGER_PIN,
    flush_to_disk,
    remove_leftovers,
    temporary_path,
)
from tagmine.manifest import FileCard, Manifest, read_manifest, write_manifest
from tagmine.removed import FOLDER as RECORDS

STAGING = "staged"
_OWNED = ("index", "thumbnails", RECORDS)


def is_staged(manifest: Manifest) -> bool:
    """Whether the manifest names staged files, as between the two writes of it."""
    return any(card.path.startswith(f"{STAGING}/") for card in manifest.files())


def mirror(root: Path, manifest: Manifest) -> Path:
    """A new folder of links to the datastore's files, to be changed by replacing them.

    Raises:
        DatastoreError: on a file system without links.
    """
    staging = root / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    for path in (*(card.path for card in manifest.files()), SOURCES, TAGGER_PIN, ENCODER_PIN):
        (staging / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(root / path, staging / path)
        except OSError as error:
            raise DatastoreError(
                f"{root / path} cannot be linked to ({error.strerror}). Copy the datastore to a "
                "file system with hard links, such as a local disk, and run the command there."
            ) from error
    return staging


def publish_staged(root: Path, manifest: Manifest) -> Manifest:
    """Let the staged files take the place of those they differ from.

    Args:
        root: the datastore's folder, with a mirror that was changed.
        manifest: of the mirror.
    """

    def stage(card: FileCard) -> str:
        ours, theirs = root / card.path, root / STAGING / card.path
        same = ours.exists() and ours.samefile(theirs)
        return card.path if same else f"{STAGING}/{card.path}"

    for card in manifest.files():
        flush_to_disk(root / STAGING / card.path)
    write_manifest(root, _renamed(manifest, stage))
    return finish_staged(root)


def finish_staged(root: Path) -> Manifest:
    """Finish what a killed process left: staged files to their places, others away.

    Raises:
        DatastoreError: when there is no finished datastore.
    """
    manifest = read_manifest(root)
    if is_staged(manifest):
        for card in manifest.files():
            if card.path.startswith(f"{STAGING}/"):
                _link(root / card.path, root / _plain(card.path))
        manifest = _renamed(manifest, lambda card: _plain(card.path))
        write_manifest(root, manifest)
    shutil.rmtree(root / STAGING, ignore_errors=True)
    remove_leftovers(root)
    return manifest


def finish_if_staged(root: Path) -> None:
    """`finish_staged` for a job that is about to write, where there may be no datastore yet."""
    if (root / STAGING).exists() and (root / MANIFEST).exists():
        finish_staged(root)


def remove_unnamed(root: Path, manifest: Manifest) -> None:
    """Delete index files, thumbnails and records that the manifest does not name."""
    named = {card.path for card in manifest.files()}
    for folder in _OWNED:
        for path in sorted((root / folder).glob("*")):
            if path.relative_to(root).as_posix() not in named:
                path.unlink()


def _plain(path: str) -> str:
    return path.removeprefix(f"{STAGING}/")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_path(target) as temporary:
        os.link(source, temporary)
        os.replace(temporary, target)
    flush_to_disk(target.parent)


def _renamed(manifest: Manifest, path_of: Callable[[FileCard], str]) -> Manifest:
    """The manifest with other paths in its files."""

    def rename(value: object) -> object:
        if isinstance(value, list):
            return [rename(item) for item in value]
        if not isinstance(value, dict):
            return value
        if {"path", "sha256"} <= value.keys():
            return value | {"path": path_of(FileCard(**value))}
        return {name: rename(item) for name, item in value.items()}

    adapter = TypeAdapter(Manifest)
    record = json.loads(adapter.dump_json(manifest))
    return adapter.validate_json(json.dumps(rename(record)))
