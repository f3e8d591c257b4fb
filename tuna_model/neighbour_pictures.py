"""Small pictures of what was found, for the page of one answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from index.pictures import read_from_shards, thumbnail
from index.retrievals import RetrievedNeighbour
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
        datastores: folders, one of which each neighbour is of.
        neighbours: what was retrieved.
    """
    wanted = {one.id: one.key for one in neighbours}
    found: dict[str, str] = {}
    for folder in datastores:
        try:
            fields = datastore_fields(read_manifest(Path(folder)).tagger)
            here = [s for s in read_sources(Path(folder)) if Path(s.url).is_file()]
        except TagmineError:
            # It answered a moment ago; a page without pictures is better than none.
            continue
        for row_id, data in read_from_shards(here, wanted, fields).items():
            found.setdefault(wanted[row_id], thumbnail(data))
    return tuple(found.get(one.key, "") for one in neighbours)
