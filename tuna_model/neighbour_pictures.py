"""Small pictures of what was found, for the page of one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from index.pictures import read_from_shards, thumbnail
from index.retrievals import RetrievedNeighbour
from index.stack import name_stores
from index.stack_plan import parse_stack
from tagmine.errors import TagmineError
from tagmine.manifest import read_manifest
from tagmine.samples import datastore_fields
from tagmine.sources import read_sources


def neighbour_pictures(
    datastores: Sequence[str], neighbours: Sequence[RetrievedNeighbour]
) -> tuple[str, ...]:
    """A JPEG of at most 160 pixels a side, as base64, for each neighbour.

    Pictures are read from the shards that the datastore was built of, where those are files of this
    machine, half a gibibyte of a shard at most. "" for one that is out of reach, or no longer
    there.

    Args:
        datastores: as they were given, `DIR` or `DIR=0.5`; each neighbour is of one of them.
        neighbours: what was retrieved.
    """
    folders = parse_stack(datastores).folders if datastores else ()
    found: dict[tuple[str, str], str] = {}
    for folder, name in zip(folders, name_stores(folders), strict=True):
        # A retrieval from a single datastore does not name it.
        wanted = {one.id: one.key for one in neighbours if one.datastore in ("", name)}
        for row_id, data in _read_pictures(Path(folder), wanted).items():
            found[name, wanted[row_id]] = found["", wanted[row_id]] = thumbnail(data)
    return tuple(found.get((one.datastore, one.key), "") for one in neighbours)


def _read_pictures(folder: Path, wanted: Mapping[int, str]) -> dict[int, bytes]:
    try:
        fields = datastore_fields(read_manifest(folder).tagger)
        here = [source for source in read_sources(folder) if Path(source.url).is_file()]
    except TagmineError:
        # It answered a moment ago; a page without pictures is better than none.
        return {}
    return read_from_shards(here, wanted, fields)
