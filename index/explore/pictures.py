"""Small pictures for the page, kept in memory for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict

from index.explore.shard_pictures import NoPictureError
from index.explore.stores import Store
from index.images import ImageRejected
from index.pictures import shrink
from tagmine.layout import part_of

SIDES = {"small": 320, "large": 960}
_CACHE_BYTES = 64 << 20
# A picture may have 89 million pixels, a quarter of a gibibyte decoded.
_AT_ONCE = 4


class PictureCache:
    """JPEGs of stored images, the latest 64 MiB of them; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._kept: OrderedDict[tuple[int, int, str], bytes] = OrderedDict()
        self._bytes = 0

    def get(self, store: Store, row_id: int, size: str) -> bytes:
        """A JPEG of an image, `size` being one of `SIDES`.

        Decoded and encoded anew: what a browser gets is no stranger's file, and has no metadata.

        Raises:
            NoPictureError: when there is no such image, or its picture cannot be shown.
        """
        place = store.number, row_id, size
        with self._lock:
            if place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]
        key = store.key_of(row_id)
        if key is None:
            raise NoPictureError(f"{store.name} has no image {row_id}.")
        try:
            with self._turns:
                made = shrink(_stored(store, row_id, key, size), SIDES[size])
        except ImageRejected as rejected:
            raise NoPictureError(f"The picture of {key} cannot be shown: {rejected.detail}.") from (
                rejected
            )
        self._keep(place, made)
        return made

    def _keep(self, place: tuple[int, int, str], made: bytes) -> None:
        with self._lock:
            if place not in self._kept:
                self._bytes += len(made)
            self._kept[place] = made
            while self._bytes > _CACHE_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])


def _stored(store: Store, row_id: int, key: str, size: str) -> bytes:
    """A picture of an image: for a small one its thumbnail, else that of the shard, if any."""
    thumbnail = store.thumbnails.read(part_of(row_id), row_id)
    if thumbnail is not None and size == "small":
        return thumbnail
    try:
        return store.pictures.read(row_id, key)
    except NoPictureError:
        if thumbnail is None:
            raise
        return thumbnail
