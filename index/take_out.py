"""Take images out of a datastore: at once for every reader that opens it from now on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index.publish import removed_card
from index.vocabulary import publish_vocabulary, vocabulary_maker
from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.manifest import Manifest, PartCard, write_manifest
from tagmine.removed import (
    Identities,
    Removed,
    identify,
    newest_record,
    next_record,
    read_newest,
    write_removed,
)
from tagmine.requests import Matcher, Request
from tagmine.samples import SampleFields
from tagmine.sources import read_sources
from tagmine.staging import finish_staged, mirror, publish_staged, remove_unnamed

ReportStep = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class TakenOut:
    """What came of it.

    Attributes:
        samples: samples that were found, rejects among them.
        hidden: images that readers no longer see, beside those of before.
        left: images that they do see.
        known: requests that were found nowhere, but had been taken out before.
        unmatched: requests that were found nowhere.
    """

    samples: int
    hidden: int
    left: int
    known: tuple[Request, ...]
    unmatched: tuple[Request, ...]


def take_out(
    root: Path, requests: Sequence[Request], fields: SampleFields, report: ReportStep
) -> TakenOut:
    """Hide what is asked for, durably, and keep it out of later builds.

    One write of the manifest makes it so; after it the vocabulary is counted again. Killed between
    or before, the same call finishes.

    Args:
        root: the datastore's folder, locked.
        requests: what to take out.
        fields: which members of the shards are images and JSON.
        report: told of each step.

    Raises:
        DatastoreError: when the datastore cannot be read.
        SourceError, ConfigurationError: when shards have to be read for URLs or hashes and cannot
            be, or have changed.
    """
    manifest = finish_staged(root)
    before = read_newest(root)
    matcher = Matcher(requests)
    if matcher.lookups:
        hashes = {part.part: part.source_sha256 for part in manifest.parts}
        sources = [(source, hashes[source.part]) for source in read_sources(root)]
        matcher.search_shards(sources, fields, lambda source: report(f"reading {source.name}"))
    found = [before.pending]
    for part in manifest.parts:
        if matcher.reaches(part.part, part.source):
            report(f"searching {part.source}")
            found.append(matcher.match(part.part, part.source, *every_sample(root, part)))
    pending = np.unique(np.concatenate(found))
    known = Identities(before.identities.known | matcher.identities.known)
    if known != before.identities or len(pending) != len(before.pending):
        write_removed(root / next_record(root), Removed(known, pending))
    manifest, hidden = _publish(root, manifest, report)
    missed = [request for request in requests if request not in matcher.matched]
    old = [r for r in missed if identify(r.kind, r.value) in before.identities.known]
    return TakenOut(
        len(np.unique(np.concatenate([[], *found[1:]]))),
        hidden,
        manifest.live_images,
        tuple(old),
        tuple(request for request in missed if request not in old),
    )


def every_sample(root: Path, part: PartCard) -> tuple[np.ndarray, pa.Array]:
    """Ids int64 [n] and keys of a part's samples, as often as its files name them.

    Raises:
        DatastoreError: for a file that cannot be read.
    """
    embeddings = open_embeddings(root / part.embeddings.path)
    ids, keys = [embeddings.ids], [embeddings.keys()]
    for card in (part.tags, *part.rejects):
        try:
            table = pq.read_table(
                root / card.path, columns=["id", "key"], page_checksum_verification=True
            )
        except (OSError, pa.ArrowException) as error:
            raise DatastoreError(
                f"{root / card.path} cannot be read: {error}. Run tagmine verify."
            ) from error
        ids.append(table.column("id").to_numpy())
        keys += table.column("key").chunks
    return np.concatenate(ids), pa.concat_arrays(keys)


def _publish(root: Path, manifest: Manifest, report: ReportStep) -> tuple[Manifest, int]:
    """Let the manifest name the newest record; returns it, and how many images that hid."""
    seen = manifest.live_images
    record = newest_record(root)
    card = removed_card(root, manifest.parts)
    if card != manifest.removed:
        manifest = dataclasses.replace(manifest, removed=card)
        write_manifest(root, manifest)
    if vocabulary_maker(root, manifest.parts, record) != manifest.vocabulary.maker:
        report("counting the tags again")
        floor = manifest.vocabulary.min_tag_images
        staging = mirror(root, manifest)
        vocabulary = publish_vocabulary(staging, manifest.parts, floor, record)
        manifest = publish_staged(root, dataclasses.replace(manifest, vocabulary=vocabulary))
    remove_unnamed(root, manifest)
    return manifest, seen - manifest.live_images
