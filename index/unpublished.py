"""Parts that a build finished and no manifest names yet, since it was killed while it grew."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import embeddings_path, rejects_path, remove_file, tags_path
from tagmine.manifest import Manifest
from tagmine.parts import read_tags_footer
from tagmine.requests import Matcher
from tagmine.sources import Source, read_sources


@dataclasses.dataclass(frozen=True, slots=True)
class UnpublishedPart:
    """One of them; perhaps mined alone, or embedded alone.

    Attributes:
        source: its number and name.
        root: the datastore's folder.
    """

    source: Source
    root: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of its files that are there."""
        part = self.source.part
        tables = (tags_path(part), rejects_path("mine", part), rejects_path("embed", part))
        paths = (self.root / name for name in (*tables, embeddings_path(part)))
        return tuple(path for path in paths if path.is_file())

    def source_sha256(self) -> str | None:
        """Of the shard that it was made from; None where no sound file says so."""
        tags = self.root / tags_path(self.source.part)
        embeddings = self.root / embeddings_path(self.source.part)
        # A build takes neither that is damaged for finished.
        with contextlib.suppress(DatastoreError):
            if tags.is_file():
                return read_tags_footer(tags).source_sha256
            if embeddings.is_file():
                return open_embeddings(embeddings).footer.source_sha256
        return None

    def holds(self, matcher: Matcher) -> bool:
        """Whether it has, or may have, something that is asked for; the matcher remembers what."""
        if not matcher.reaches(self.source.part, self.source.name):
            return False
        try:
            samples = read_samples_of(self.files)
        except DatastoreError:
            return True
        return len(matcher.match(self.source.part, self.source.name, *samples)) > 0

    def delete(self) -> None:
        """Delete it; the next build makes it anew."""
        for path in self.files:
            remove_file(path)


def unpublished_parts(root: Path, manifest: Manifest) -> list[UnpublishedPart]:
    """Parts of shards that the manifest lacks and the list of shards has."""
    named = {part.part for part in manifest.parts}
    parts = [UnpublishedPart(source, root) for source in read_sources(root)]
    return [part for part in parts if part.source.part not in named and part.files]


def read_samples_of(files: Sequence[Path]) -> tuple[np.ndarray, pa.Array]:
    """Ids int64 [n] and keys in tables of samples and files of embeddings, one after the other.

    Raises:
        DatastoreError: for a file that cannot be read.
    """
    ids, keys = [np.empty(0, np.int64)], [pa.array([], pa.string())]
    for path in files:
        if path.suffix == ".arrow":
            embeddings = open_embeddings(path)
            ids.append(embeddings.ids)
            keys.append(embeddings.keys())
            continue
        try:
            table = pq.read_table(path, columns=["id", "key"], page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise DatastoreError(f"{path} cannot be read: {error}. Run tagmine verify.") from error
        ids.append(table.column("id").to_numpy())
        keys += table.column("key").chunks
    return np.concatenate(ids), pa.concat_arrays(keys)
