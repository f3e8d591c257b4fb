"""Take images out of a datastore: at once for every reader that opens it from now on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from index.publish import removed_card
from index.unpublished import UnpublishedPart, read_samples_of, unpublished_parts
from index.vocabulary import publish_vocabulary, vocabulary_maker
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
from tagmine.sources import Source, read_sources
from tagmine.staging import finish_staged, mirror, publish_staged, remove_unnamed

ReportStep = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class TakenOut:
    """What came of it.

    Attributes:
        samples: samples that were found, rejects among them.
        hidden: images that readers no longer see, beside those of before.
        left: images that they do see.
        unmade: parts that a killed build had finished, and which held something that was asked for
            or could not be read; the next build makes them anew.
        known: requests that were found nowhere, but had been taken out before.
        unmatched: requests that were found nowhere.
        no_urls: whether URLs were asked for and no sample of the shards says where its picture was.
    """

    samples: int
    hidden: int
    left: int
    unmade: int
    known: tuple[Request, ...]
    unmatched: tuple[Request, ...]
    no_urls: bool = False


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
    unpublished = unpublished_parts(root, manifest)
    if matcher.lookups:
        sources = _shards_of(root, manifest, unpublished)
        matcher.search_shards(sources, fields, lambda source: report(f"reading {source.name}"))
    found = [before.pending]
    for part in manifest.parts:
        if matcher.reaches(part.part, part.source):
            report(f"searching {part.source}")
            found.append(matcher.match(part.part, part.source, *every_sample(root, part)))
    holding = [part for part in unpublished if part.holds(matcher)]
    pending = np.unique(np.concatenate(found))
    known = Identities(before.identities.known | matcher.identities.known)
    if known != before.identities or len(pending) != len(before.pending):
        write_removed(root / next_record(root), Removed(known, pending))
    # After the record, by which a build leaves out what they had.
    for part in holding:
        part.delete()
    manifest, hidden = _publish(root, manifest, report)
    old, unmatched = _tell_apart(requests, matcher, before)
    return TakenOut(
        len(np.unique(np.concatenate([[], *found[1:]]))),
        hidden,
        manifest.live_images,
        len(holding),
        old,
        unmatched,
        bool(matcher.lookups.of_kind("url")) and not matcher.saw_url,
    )


def _tell_apart(
    requests: Sequence[Request], matcher: Matcher, before: Removed
) -> tuple[tuple[Request, ...], tuple[Request, ...]]:
    """Of the requests that were not found those that an earlier one recorded, and the others."""
    missed = [request for request in requests if request not in matcher.matched]
    known = before.identities.known
    old = tuple(r for r in missed if identify(r.kind, r.value) in known)
    return old, tuple(request for request in missed if request not in old)


def _shards_of(
    root: Path, manifest: Manifest, unpublished: Sequence[UnpublishedPart]
) -> list[tuple[Source, str]]:
    """The shards that finished parts were made of, each with the sha256 that it had."""
    hashes: dict[int, str | None] = {part.part: part.source_sha256 for part in manifest.parts}
    hashes |= {part.source.part: part.source_sha256() for part in unpublished}
    pairs = [(source, hashes.get(source.part)) for source in read_sources(root)]
    return [(source, sha256) for source, sha256 in pairs if sha256 is not None]


def every_sample(root: Path, part: PartCard) -> tuple[np.ndarray, pa.Array]:
    """Ids int64 [n] and keys of a part's samples, as often as its files name them.

    Raises:
        DatastoreError: for a file that cannot be read.
    """
    cards = (part.embeddings, part.tags, *part.rejects)
    return read_samples_of([root / card.path for card in cards])


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
