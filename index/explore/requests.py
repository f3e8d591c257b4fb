"""What requests ask for: parameters and uploads of strangers, checked and bounded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request

from index.explore.stores import MAX_K, Query, Store
from tagmine.errors import ConfigurationError
from tagmine.vocabulary_summary import Selection

MAX_UPLOAD_BYTES = 32 << 20
MAX_WORDS = 500

Arrangement = Literal["apart", "stacked", "both"]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is to be looked up, and where.

    Attributes:
        query: words or an image of a datastore; None where a photo is sent, or nothing asked yet.
        stores: the datastores that are searched.
        arrangement: each apart, all stacked, or both.
        k: neighbours a column.
    """

    query: Query | None
    stores: tuple[Store, ...]
    arrangement: Arrangement
    k: int

    @property
    def columns(self) -> tuple[tuple[Store, ...], ...]:
        """The datastores of each column."""
        apart = tuple((store,) for store in self.stores)
        if len(self.stores) == 1 or self.arrangement == "apart":
            return apart
        return (self.stores,) if self.arrangement == "stacked" else (*apart, self.stores)


def asked_of(given: QueryParams, stores: Sequence[Store]) -> Asked:
    """What a request's parameters ask for.

    Raises:
        ConfigurationError: for values that cannot be.
    """
    numbers = given.getlist("store") or [str(store.number) for store in stores]
    known = {str(store.number): store for store in stores}
    unknown = [number for number in numbers if number not in known]
    if unknown:
        raise ConfigurationError(f"store {unknown[0]!r}: there are {len(stores)} datastores here.")
    arrangement = given.get("arrange", "both")
    if arrangement not in ("apart", "stacked", "both"):
        raise ConfigurationError(f"arrange {arrangement!r}: expected apart, stacked or both.")
    k = number_of(given, "k", 5)
    if not 1 <= k <= MAX_K:
        raise ConfigurationError(f"k is {k}; give a number from 1 to {MAX_K}.")
    chosen = tuple(known[number] for number in dict.fromkeys(numbers))
    return Asked(_query_of(given, known), chosen, arrangement, k)


def _query_of(given: QueryParams, known: Mapping[str, Store]) -> Query | None:
    words, like = given.get("words", "").strip(), given.get("like", "")
    if len(words) > MAX_WORDS:
        raise ConfigurationError(f"{len(words)} characters; give at most {MAX_WORDS}.")
    if like:
        number, _, row_id = like.partition(":")
        digits = row_id.isascii() and row_id.isdecimal()
        store = known.get(number)
        if store is None or not digits or store.key_of(int(row_id)) is None:
            raise ConfigurationError(f"There is no image {like[:40]!r} here.")
        return Query(like=(store, int(row_id)))
    return Query(words=words) if words else None


def number_of(given: Mapping[str, str], name: str, default: int) -> int:
    """A whole number of 0 or more among the parameters.

    Raises:
        ConfigurationError: for anything else.
    """
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ConfigurationError(f"{name} is {text[:40]!r}; expected a whole number.")
    return int(text)


@dataclasses.dataclass(frozen=True)
class TagsAsked:
    """Which page, from 1, of which tags, in which order."""

    selection: Selection
    page: int
    rarest: bool

    @property
    def parameters(self) -> dict[str, str]:
        """What asks for the same, but for the page."""
        chosen = {"kind": self.selection.kind, "contains": self.selection.contains}
        order = {"order": "rarest"} if self.rarest else {}
        return {name: value for name, value in chosen.items() if value} | order


def tags_asked_of(given: QueryParams) -> TagsAsked:
    """Which tags a request's parameters ask for; empty ones are as none."""
    contains = given.get("contains", "").strip()[:MAX_WORDS]
    selection = Selection(given.get("kind") or None, None, contains or None)
    return TagsAsked(selection, max(number_of(given, "page", 1), 1), given.get("order") == "rarest")


async def read_upload(request: Request) -> bytes:
    """The body of a request, bounded.

    Raises:
        HTTPException: 411 or 413 for one that does not say how long it is, or is too long, unread;
            415 for one that is no picture by its type, as a form of another page could send.
    """
    length = request.headers.get("content-length", "")
    # Without chunks, the server reads no more than that.
    if "transfer-encoding" in request.headers or not (length.isascii() and length.isdecimal()):
        raise HTTPException(411, "Say how long the photo is, by Content-Length.")
    if int(length) > MAX_UPLOAD_BYTES:
        raise HTTPException(413, f"The photo has more than {MAX_UPLOAD_BYTES >> 20} MiB.")
    kind = request.headers.get("content-type", "")
    if not kind.startswith(("image/", "application/octet-stream")):
        raise HTTPException(415, f"Send a picture as the body; this is {kind[:80]!r}.")
    return await request.body()
