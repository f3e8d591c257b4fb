"""Pictures of a datastore's images, read by their place in the source shards."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from index.images import ImageLimits
from tagmine.archive import BrokenArchiveError, find_members
from tagmine.errors import TagmineError
from tagmine.layout import part_of
from tagmine.manifest import Manifest, PartCard
from tagmine.samples import IMAGE_KEYS, SampleFields, split_name
from tagmine.sources import expand_shards, name_shard, read_sources

# Places in a shard of 10,000 samples take about 2 MB.
_SHARDS_KEPT = 32


class NoPictureError(TagmineError):
    """A picture that cannot be shown; the words say why, and what to do."""


class ShardPictures:
    """The source shards of a datastore, opened when a picture of them is asked for.

    The headers of a shard are read once; after that a picture costs one seek. A datastore of a
    stranger may name any file or URL as its source, so without `given` only local files are read,
    and of either only a shard of the length that the manifest says.
    """

    def __init__(self, root: Path, manifest: Manifest, given: Sequence[str] = ()) -> None:
        """Find out where the shards lie.

        Args:
            root: the datastore's folder.
            manifest: its manifest.
            given: patterns of shards that the user names, as `expand_shards` takes them; those of
                other datastores are passed over.

        Raises:
            ConfigurationError: for a pattern without shards.
        """
        self._parts = {part.part: part for part in manifest.parts}
        self._fields = SampleFields(image_keys=manifest.tagger.image_keys or IMAGE_KEYS)
        self._urls = _local_urls(root) | _given_urls(manifest.parts, given)
        self._locks = {number: threading.Lock() for number in self._parts}
        self._places = functools.lru_cache(_SHARDS_KEPT)(self._index)

    def read(self, row_id: int, key: str) -> bytes:
        """The encoded picture of an image.

        Args:
            row_id: the image's id.
            key: its namespaced key.

        Raises:
            NoPictureError: when the shard or the picture in it is not there.
        """
        part = self._parts[part_of(row_id)]
        with self._locks[part.part]:
            places = self._places(part.part)
        place = places.get(key.removeprefix(f"{part.source}/"))
        if place is None:
            raise NoPictureError(f"The shard {part.source} has no picture of {key}.")
        offset, size = place
        if size > ImageLimits().max_bytes:
            raise NoPictureError(f"The picture of {key} has {size:,} bytes, which is too large.")
        with self._open(part) as stream:
            stream.seek(offset)
            return stream.read(size)

    def _index(self, number: int) -> Mapping[str, tuple[int, int]]:
        """Offset and length of each sample's picture, by the sample's key."""
        part = self._parts[number]
        order = {key: place for place, key in enumerate(self._fields.image_keys)}
        found: dict[str, tuple[int, int]] = {}
        ranks: dict[str, int] = {}
        try:
            with self._open(part) as stream:
                for member in find_members(stream):
                    key, extension = split_name(member.name, self._fields)
                    rank = order.get(extension)
                    if rank is not None and rank < ranks.get(key, len(order)):
                        found[key], ranks[key] = (member.offset, member.size), rank
        except BrokenArchiveError:
            # The job has counted what comes after the break as a reject; what came before is good.
            if not found:
                raise NoPictureError(f"The shard {part.source} is no tar archive.") from None
        return found

    def _open(self, part: PartCard) -> BinaryIO:
        import fsspec

        url = self._urls.get(part.part)
        if url is None:
            raise NoPictureError(
                f"Where the shard {part.source} lies is not known. Say so with --shards."
            )
        try:
            filesystem, path = fsspec.core.url_to_fs(url)
            found = filesystem.info(path)
            if found["type"] != "file" or found["size"] != part.source_bytes:
                raise NoPictureError(
                    f"{url} is not the shard {part.source} that the datastore was built from: it "
                    f"has {found['size'] or 0:,} bytes, expected {part.source_bytes:,}. Say where "
                    "that lies with --shards."
                )
            return filesystem.open(path, "rb")
        except NoPictureError:
            raise
        # Whatever a file system of fsspec raises, and they raise all sorts, it is the shard's.
        except Exception as error:
            raise NoPictureError(
                f"The shard {url} cannot be read ({type(error).__name__}: {error}). Say where it "
                "lies with --shards."
            ) from error


def _local_urls(root: Path) -> dict[int, str]:
    sources = read_sources(root)
    return {s.part: s.url for s in sources if "::" not in s.url and Path(s.url).is_absolute()}


def _given_urls(parts: Sequence[PartCard], patterns: Sequence[str]) -> dict[int, str]:
    """Shards by part: those of its very name, else the only one with its last component."""
    urls = expand_shards(patterns) if patterns else []
    by_name = {name_shard(url, None): url for url in urls}
    by_stem: dict[str, list[str]] = {}
    for name, url in by_name.items():
        by_stem.setdefault(PurePosixPath(name).name, []).append(url)
    found: dict[int, str] = {}
    for part in parts:
        alike = by_stem.get(PurePosixPath(part.source).name, [])
        if part.source in by_name:
            found[part.part] = by_name[part.source]
        elif len(alike) == 1:
            found[part.part] = alike[0]
    return found
