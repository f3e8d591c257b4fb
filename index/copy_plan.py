"""What merge and subset copy: which parts, under which numbers and names, and what made them."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from index.live import removed_of
from index.stack_plan import check_encoders
from index.take_out import every_sample
from tagmine.copy_part import PartCopy
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import COPY_PIN, MANIFEST, MAX_PARTS, part_of
from tagmine.manifest import (
    EncoderPin,
    Manifest,
    PartCard,
    TaggerPin,
    fingerprint,
    read_manifest,
)
from tagmine.opened import local_folder
from tagmine.parts import file_sha256, read_tags_footer
from tagmine.removed import Identities, Removed, identify
from tagmine.sources import Source, read_sources

_MINED_WITH = {
    "pipelines": ("pipeline", "version", "spacy", "backend"),
    "tag policies": ("policy",),
    "lists of names": ("vocabularies",),
    "choices of relations": ("relations",),
}
"""What a tagger is made of, as people call it, and the fields of its pin that say so."""


@dataclasses.dataclass(frozen=True, slots=True)
class CopyPlan:
    """A datastore that is made of others.

    Attributes:
        copies: its parts, by number.
        tagger, encoder: its pins.
        min_clip_score: the limit of its index, None for none.
        min_tag_images: the floor for rare tags that all its datastores have.
        origin: what `copied.json` says: what it was made of.
        removed: what was taken out of any of its datastores, and stays out.
        notes: what its maker should know.
    """

    copies: tuple[PartCopy, ...]
    tagger: TaggerPin
    encoder: EncoderPin
    min_clip_score: float | None
    min_tag_images: int
    origin: dict[str, Any]
    removed: Identities
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Store:
    """One of the datastores."""

    name: str
    root: Path
    manifest: Manifest
    sources: dict[int, Source]
    sha256: str
    removed: Removed
    shards: dict[str, str]
    hidden: np.ndarray | None = None


def _hidden_ids(store: _Store, others: Sequence[_Store]) -> np.ndarray:
    """Ids int64 [n] of a datastore's samples that no copy may have, ascending.

    What was taken out of another datastore is taken out here, too; but not where that one's shard
    of the name is another shard, since its keys then mean other images.
    """
    found = [store.removed.pending]
    for part in store.manifest.parts:
        gone = {
            digest
            for other in others
            if other.shards.get(part.source, part.source_sha256) == part.source_sha256
            for _, digest in other.removed.identities.of_kind("key")
        }
        if gone:
            ids, keys = every_sample(store.root, part)
            known = [identify("key", key)[1] in gone for key in keys.to_pylist()]
            found.append(ids[np.array(known, bool)])
    return np.unique(np.concatenate(found))


def _read(folders: Sequence[str]) -> list[_Store]:
    paths = [local_folder(folder) for folder in folders]
    twice = [path for path, count in Counter(p.resolve() for p in paths).items() if count > 1]
    if twice:
        raise ConfigurationError(f"{twice[0]} was given twice; give each datastore once.")
    stores, names = [], Counter()
    for folder, path in zip(folders, paths, strict=True):
        manifest = read_manifest(path)
        name = Path(folder).absolute().name
        names[name] += 1
        stores.append(
            _Store(
                name if names[name] == 1 else f"{name} ({names[name]})",
                path,
                manifest,
                {source.part: source for source in read_sources(path)},
                file_sha256(path / MANIFEST),
                removed_of(path, manifest),
                {part.source: part.source_sha256 for part in manifest.parts},
            )
        )
    return [dataclasses.replace(one, hidden=_hidden_ids(one, stores)) for one in stores]


def plan_merge(folders: Sequence[str], min_clip_score: float | None = None) -> CopyPlan:
    """One datastore out of several.

    Parts are numbered in the order given. A shard that several hold alike is taken from the first;
    a name that two different shards have is changed for the later one.

    Args:
        folders: the datastores.
        min_clip_score: limit of the index; by default the one that all have, and images that one
            of them left out for its own stay out.

    Raises:
        ConfigurationError: for datastores that cannot be one.
        DatastoreError: for a folder that is no datastore.
    """
    stores = _read(folders)
    check_encoders([(store.root, store.manifest.encoder) for store in stores])
    manifests = [store.manifest for store in stores]
    limits = {manifest.index.min_clip_score for manifest in manifests}
    common = limits.pop() if len(limits) == 1 else None
    limit = common if min_clip_score is None else min_clip_score
    scored = all(manifest.encoder.clip_scores for manifest in manifests)
    if min_clip_score is not None and not scored:
        without = next(store.root for store in stores if not store.manifest.encoder.clip_scores)
        raise ConfigurationError(
            f"--min-clip-score {min_clip_score:g}: the CLIP scores of {without} were not measured."
        )
    tagger, encoder = merge_taggers(manifests), merge_encoders(manifests, scored)
    chosen, notes = _choose_parts(stores)
    copies = [
        _copy(store, card, _renamed(store, card, number, name), tagger, encoder, scored)
        for number, (store, card, name) in enumerate(chosen)
    ]
    dropped = limit is None and any(m.index.min_clip_score is not None for m in manifests)
    copies = [dataclasses.replace(copy, drop_low=dropped) for copy in copies]
    return CopyPlan(
        tuple(copies),
        tagger,
        encoder,
        limit,
        min(manifest.vocabulary.min_tag_images for manifest in manifests),
        _origin_of("merge", stores),
        _removed_of(stores, chosen),
        (*notes, *_notes_of(manifests, stores, scored)),
    )


def plan_subset(folder: str, where: str, min_clip_score: float | None = None) -> CopyPlan:
    """The rows of a datastore that a condition holds for, under its part numbers.

    Args:
        folder: the datastore.
        where: see `select_ids`.
        min_clip_score: limit of the index; by default the datastore's.

    Raises:
        DatastoreError: for a folder that is no datastore.
    """
    (store,) = _read([folder])
    before = store.manifest
    # Positions are counted anew, so that nothing may be built on as if it were of the shards.
    tagger = dataclasses.replace(
        before.tagger, maker=fingerprint("subset", before.tagger.maker, where)
    )
    encoder = dataclasses.replace(
        before.encoder, maker=fingerprint("subset", before.encoder.maker, where)
    )
    copies = []
    for card in before.parts:
        source = _renamed(store, card, card.part, card.source)
        copy = _copy(store, card, source, tagger, encoder, before.encoder.clip_scores)
        copies.append(dataclasses.replace(copy, where=where))
    origin = {**_origin_of("subset", [store]), "where": where}
    limit = before.index.min_clip_score if min_clip_score is None else min_clip_score
    floor = before.vocabulary.min_tag_images
    removed = store.removed.identities
    return CopyPlan(tuple(copies), tagger, encoder, limit, floor, origin, removed)


def _origin_of(command: str, stores: Sequence[_Store]) -> dict[str, Any]:
    taggers = {tagger for store in stores for tagger in taggers_of(store.root, store.manifest)}
    return {
        "command": command,
        "datastores": [[store.name, store.sha256] for store in stores],
        "taggers": sorted(taggers),
    }


def taggers_of(root: Path, manifest: Manifest) -> tuple[str, ...]:
    """Fingerprints of the taggers that mined a datastore: several of what was merged from such.

    Raises:
        DatastoreError: when what says so is damaged.
    """
    copied = read_copy_pin(root) or {}
    return tuple(copied.get("taggers") or (manifest.tagger.fingerprint,))


def _renamed(store: _Store, card: PartCard, number: int, name: str) -> Source:
    """The shard of a part under the number and name that its copy has."""
    return dataclasses.replace(store.sources[card.part], part=number, name=name)


def _copy(
    store: _Store,
    card: PartCard,
    source: Source,
    tagger: TaggerPin,
    encoder: EncoderPin,
    scored: bool,
) -> PartCopy:
    hidden = store.hidden[part_of(store.hidden) == card.part]
    return PartCopy(
        root=str(store.root.absolute()),
        datastore=store.name,
        card=card,
        source=source,
        tags_maker=tagger.maker,
        embed_maker=encoder.maker,
        scored=scored,
        drop_low=False,
        hidden=tuple(hidden.tolist()),
    )


def _choose_parts(
    stores: Sequence[_Store],
) -> tuple[list[tuple[_Store, PartCard, str]], list[str]]:
    """The parts of all datastores in order, with their names; and notes on those left out."""
    held: dict[str, tuple[_Store, PartCard]] = {}
    chosen, notes = [], []
    for store in stores:
        same = 0
        for card in store.manifest.parts:
            name = card.source
            if name in held:
                before, other = held[name]
                if other.source_sha256 == card.source_sha256:
                    _check_alike(store, card, before, other)
                    same += 1
                    continue
                name = _free_name(store.name, name, held)
                notes.append(
                    f"{card.source} is another shard in {before.root} than in {store.root}; its "
                    f"keys begin with {name}/ now"
                )
            held[name] = store, card
            chosen.append((store, card, name))
        if same:
            notes.append(f"{same:,} shards of {store.root} were taken from a datastore before it")
    if len(chosen) > MAX_PARTS:
        raise ConfigurationError(f"{len(chosen):,} parts; at most {MAX_PARTS:,} can be one.")
    return chosen, notes


def _removed_of(
    stores: Sequence[_Store], chosen: Sequence[tuple[_Store, PartCard, str]]
) -> Identities:
    """What was taken out of any datastore, by the keys that the merge has.

    Where two shards had one name, a key that was taken out of one datastore is in the merge that of
    an image of the other.
    """
    known = frozenset().union(*(store.removed.identities.known for store in stores))
    clashing = {card.source for _, card, name in chosen if name != card.source}
    for store, card, name in chosen if known else ():
        if card.source in clashing:
            ids, keys = every_sample(store.root, card)
            hidden = np.isin(ids, store.hidden)
            kept = () if name != card.source else keys.filter(pa.array(~hidden)).to_pylist()
            known -= {identify("key", key) for key in kept}
            gone = keys.filter(pa.array(hidden)).to_pylist()
            known |= {identify("key", name + key.removeprefix(card.source)) for key in gone}
    return Identities(known)


def _check_alike(store: _Store, card: PartCard, before: _Store, other: PartCard) -> None:
    """A shard that two datastores hold, one of them in part, is no shard to take from one."""
    one = read_tags_footer(before.root / other.tags.path)
    two = read_tags_footer(store.root / card.tags.path)
    if (one.samples, one.read) != (two.samples, two.read):
        raise ConfigurationError(
            f"{before.root} and {store.root} both hold images of the shard {card.source}, and not "
            "the same ones: one is a subset, or was read with other member options. An image "
            "would be there twice. Leave one of them out."
        )


def _free_name(store: str, name: str, held: dict[str, Any]) -> str:
    """Another name of two halves that no shard has yet."""
    prefix = store.replace("/", "_").replace(" ", "-")
    renamed = f"{prefix}.{name}"
    while renamed in held:
        renamed = f"{prefix}.{renamed}"
    return renamed


def _notes_of(manifests: Sequence[Manifest], stores: Sequence[_Store], scored: bool) -> list[str]:
    notes = []
    if not scored and any(manifest.encoder.clip_scores for manifest in manifests):
        without = next(store.root for store in stores if not store.manifest.encoder.clip_scores)
        notes.append(f"CLIP scores are left out, since those of {without} were never measured")
    if len({manifest.tagger.fingerprint for manifest in manifests}) > 1:
        pins = [manifest.tagger for manifest in manifests]
        differ = [
            what
            for what, fields in _MINED_WITH.items()
            if len({tuple(getattr(pin, field) for field in fields) for pin in pins}) > 1
        ]
        notes.append(
            f"the datastores were mined with different {' and '.join(differ) or 'taggers'}; their "
            "tags stay as they are, and validate cannot measure agreement of tags"
        )
    return notes


def merge_taggers(manifests: Sequence[Manifest]) -> TaggerPin:
    """One pin for several: what they agree in, and of the rest what readers need of all."""
    pins = [manifest.tagger for manifest in manifests]
    if len({pin.maker for pin in pins}) == 1:
        return pins[0]
    names = [field.name for field in dataclasses.fields(TaggerPin)]
    merged = {name: _merge([getattr(pin, name) for pin in pins]) for name in names}
    lowest = min(pin.min_caption_words for pin in pins)
    return TaggerPin(**merged | {"min_caption_words": lowest})


def merge_encoders(manifests: Sequence[Manifest], scored: bool) -> EncoderPin:
    """The pin of the encoder that all share; what made the vectors may differ in other options."""
    pins = [manifest.encoder for manifest in manifests]
    makers = list(dict.fromkeys(pin.maker for pin in pins))
    if len(makers) == 1 and pins[0].clip_scores == scored:
        return pins[0]
    return dataclasses.replace(pins[0], maker=fingerprint("merge", makers), clip_scores=scored)


def _merge(values: list) -> Any:
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return distinct[0]
    if all(isinstance(value, tuple) for value in distinct):
        return tuple(dict.fromkeys(item for value in distinct for item in value))
    if all(isinstance(value, bool) for value in distinct):
        return any(distinct)
    hashes = [value for value in distinct if isinstance(value, str)]
    if hashes and all(len(value) == 64 for value in hashes):
        return fingerprint("merge", distinct)
    if all(isinstance(value, str) for value in distinct):
        return "+".join(distinct)
    # Limits that differ are none.
    return None


def read_copy_pin(root: Path) -> dict[str, Any] | None:
    """What a datastore that was copied together was made of; None for one that was built.

    Raises:
        DatastoreError: when the file is damaged.
    """
    path = root / COPY_PIN
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError, RecursionError) as error:
        raise DatastoreError(f"{path} is damaged: {error}. Restore it from a copy.") from error
