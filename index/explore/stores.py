"""The datastores of the page, the encoders that they need, and what they answer."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from index.explore.options import ExploreOptions
from index.explore.shard_pictures import ShardPictures
from index.images import ImageLimits, ImageRejected, decode_image
from index.pooling import Answer
from index.search import Datastore, is_local_checkpoint, open_datastore
from index.stack import Stack, name_stores
from index.thumbnails import Thumbnails
from tagmine.errors import ConfigurationError, DatastoreError, TagmineError
from tagmine.layout import MAX_PARTS, part_of, sample_id
from tagmine.vocabulary_summary import Selection, VocabularySummary, summarize

if TYPE_CHECKING:
    import PIL.Image

    from index.encoder import Encoder

logger = logging.getLogger(__name__)

MAX_K = 50
_SAMPLES = 6


@dataclasses.dataclass(frozen=True)
class Store:
    """A datastore as the page shows it.

    Attributes:
        number: its place in the page's list.
        name: of its folder, and its path where two are alike.
        datastore: open.
        pictures: its source shards.
        thumbnails: the small pictures that it keeps itself, if any.
        encoder: what queries are embedded with; None where it cannot be loaded.
        problem: why it cannot, and what to do, else "".
        weight: what its cosines count for in a stack.
        share: its share of a stack's neighbours; None where the nearest of all are taken.
    """

    number: int
    name: str
    datastore: Datastore
    pictures: ShardPictures
    thumbnails: Thumbnails
    encoder: Encoder | None
    problem: str = ""
    weight: float = 1.0
    share: float | None = None

    @cached_property
    def summary(self) -> VocabularySummary:
        """What its vocabulary holds, counted once."""
        return summarize(self.datastore.vocabulary, Selection(), 0)

    def key_of(self, row_id: int) -> str | None:
        """The namespaced key of an image; None for an id that no image has."""
        if row_id >= sample_id(MAX_PARTS - 1, 0):
            return None
        try:
            return self.datastore.locate([row_id])[row_id].key
        except (DatastoreError, KeyError):
            return None

    def samples(self) -> tuple[int, ...]:
        """Ids of a few images from all over the datastore, to begin with."""
        parts = [card for card in self.datastore.manifest.parts if card.stages["index"].written]
        if not parts:
            return ()
        chosen = []
        for place in range(_SAMPLES):
            ids = self.datastore.embeddings(parts[place * len(parts) // _SAMPLES].part).ids
            # Of several from one part, each is another.
            chosen.append(int(ids[place * len(ids) // _SAMPLES]))
        return tuple(row_id for row_id in dict.fromkeys(chosen) if self.key_of(row_id))


@dataclasses.dataclass(frozen=True)
class Query:
    """What is looked up: a photo, words, or an image of a datastore, which is not found itself."""

    photo: bytes = b""
    words: str = ""
    like: tuple[Store, int] | None = None
    _vectors: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def vector(self, store: Store) -> np.ndarray:
        """float16 [1, dim] for the encoder of a datastore.

        Raises:
            DatastoreError: when it has none that can embed this.
            ConfigurationError: when the photo is none.
        """
        fingerprint = store.datastore.manifest.encoder.fingerprint
        if fingerprint not in self._vectors:
            self._vectors[fingerprint] = self._embed(store)
        return self._vectors[fingerprint]

    def _embed(self, store: Store) -> np.ndarray:
        if self.like is not None:
            other, row_id = self.like
            if not _same_encoder(store, other):
                raise DatastoreError(
                    f"{store.name} has another encoder than {other.name}, whose image this is. "
                    "Look up a photo or words instead."
                )
            part = other.datastore.embeddings(part_of(row_id))
            return part.vectors[part.rows_of(np.array([row_id]))]
        if store.encoder is None:
            raise DatastoreError(
                f"Photos and words cannot be looked up in {store.name}: {store.problem}"
            )
        if self.words:
            return store.encoder.embed_texts([self.words])
        # Decoded as `tagmine query` does, so that the answer is the same.
        photo = self.decoded(store.encoder.image_size)
        return store.encoder.embed_images(store.encoder.preprocess(photo)[None])

    def decoded(self, shortest_side: int | None = None) -> PIL.Image.Image:
        """The photo; see `decode_image`.

        Raises:
            ConfigurationError: when it is none that can be used.
        """
        try:
            return decode_image(self.photo, ImageLimits(), shortest_side)
        except ImageRejected as rejected:
            raise ConfigurationError(
                f"The photo cannot be used: {rejected.detail}. Give a JPEG, PNG or WebP file."
            ) from rejected

    @property
    def left_out(self) -> tuple[str, ...]:
        """Keys that are no answers."""
        key = self.like[0].key_of(self.like[1]) if self.like else None
        return () if key is None else (key,)


@dataclasses.dataclass(frozen=True)
class Found:
    """An answer, and the datastore of each neighbour."""

    answer: Answer
    stores: tuple[Store, ...]


def look_up(stores: Sequence[Store], query: Query, k: int) -> Found:
    """The k nearest images of one datastore, or of several stacked.

    Raises:
        DatastoreError: when the query cannot be embedded, the encoders of a stack differ, or a
            part is damaged.
        ConfigurationError: when the photo is none.
    """
    stack = Stack(
        [store.datastore for store in stores],
        [store.name for store in stores],
        [store.weight for store in stores],
        _shares(stores),
    )
    vector = query.vector(stores[0])
    (answer,) = stack.answers(*stack.search(vector, k, exclude_keys=query.left_out))
    named = {store.name: store for store in stores}
    # One datastore alone need not be named.
    alone = stores[0].name
    return Found(answer, tuple(named[near.datastore or alone] for near in answer.neighbours))


def _shares(stores: Sequence[Store]) -> list[float] | None:
    """The shares of some of the datastores, which add up to 1 for all of them.

    None, which takes the nearest of all, where these have no share of anything: a datastore of 0 %
    still has a column of its own.
    """
    given = [store.share for store in stores if store.share is not None]
    total = sum(given)
    return [share / total for share in given] if total else None


def _same_encoder(one: Store, other: Store) -> bool:
    pins = [store.datastore.manifest.encoder.fingerprint for store in (one, other)]
    return pins[0] == pins[1]


def open_stores(options: ExploreOptions) -> tuple[Store, ...]:
    """Open the datastores, and the encoders that they name.

    An encoder that cannot be loaded is no reason not to open the page: vocabulary, pictures and
    cards need none.

    Raises:
        DatastoreError: for a folder that is no datastore, or a --clip-model that made none.
        ConfigurationError: for shards that are not there.
    """
    plan = options.datastores
    opened = [open_datastore(folder) for folder in plan.folders]
    given = _given_encoder(options.clip_model, opened)
    encoders: dict[str, Encoder | str] = {} if given is None else {given.card.fingerprint: given}
    stores = []
    for number, (name, datastore) in enumerate(zip(name_stores(plan.folders), opened, strict=True)):
        root, manifest = datastore.root, datastore.manifest
        pictures = ShardPictures(root, manifest, options.shards)
        kept = {part.part: part.thumbnails for part in manifest.parts if part.thumbnails}
        found = _encoder_of(name, datastore, encoders, given)
        store = Store(
            number=number,
            name=name,
            datastore=datastore,
            pictures=pictures,
            thumbnails=Thumbnails(root, kept),
            encoder=None if isinstance(found, str) else found,
            problem=found if isinstance(found, str) else "",
            weight=plan.weights[number],
            share=None if plan.shares is None else plan.shares[number],
        )
        stores.append(store)
    return tuple(stores)


def _given_encoder(clip_model: str | None, opened: Sequence[Datastore]) -> Encoder | None:
    if clip_model is None:
        return None
    from index.encoder import load_encoder

    encoder = load_encoder(clip_model)
    wanted = {datastore.manifest.encoder.fingerprint for datastore in opened}
    if encoder.card.fingerprint not in wanted:
        opened[0].accept(encoder)
    return encoder


def _encoder_of(
    name: str,
    datastore: Datastore,
    encoders: dict[str, Encoder | str],
    given: Encoder | None,
) -> Encoder | str:
    """The encoder of a datastore, or why there is none; each is loaded once."""
    pinned = datastore.manifest.encoder
    if pinned.fingerprint not in encoders:
        if is_local_checkpoint(pinned.clip_model):
            encoders[pinned.fingerprint] = _not_unasked(pinned.clip_model, given)
        else:
            try:
                encoders[pinned.fingerprint] = datastore.encoder
            except TagmineError as error:
                encoders[pinned.fingerprint] = str(error)
    found = encoders[pinned.fingerprint]
    if isinstance(found, str):
        logger.warning("photos and words cannot be looked up in %s: %s", name, found)
    return found


def _not_unasked(clip_model: str, given: Encoder | None) -> str:
    what = f"it was embedded with {clip_model}, a file of weights that is not opened unasked"
    if given is None:
        return f"{what}. Give it as --clip-model."
    return (
        f"{what}, and --clip-model names the encoder of another datastore. Open this one on a page "
        "of its own, with its own --clip-model."
    )
