"""What someone asks to take out: a file of keys, ids, URLs and hashes, a line each."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tagmine.errors import ConfigurationError
from tagmine.layout import part_of
from tagmine.removed import Identities, Identity, identify, identities_of
from tagmine.samples import SampleFields, read_samples
from tagmine.sources import Source
from tagmine.stage import open_source

MAX_LINES = 10_000_000
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_NUMBER = re.compile(r"[0-9]+")
_ID = re.compile(r"id:(0|[1-9][0-9]{0,18})")
_GLOB_CHARACTERS = frozenset("*?[")


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One line.

    Attributes:
        kind: "id", "image" for the sha256 of an image's bytes, "url", "key", or "glob" for a
            pattern of keys.
        value: as it stands there; a hash in lower case, an id without the mark.
    """

    kind: Literal["id", "image", "url", "key", "glob"]
    value: str


def read_requests(path: Path) -> tuple[Request, ...]:
    """The lines of a file, each once; empty ones are left out.

    Raises:
        ConfigurationError: for a file that cannot be read, or a line that is none of these.
    """
    requests: dict[Request, None] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if number > MAX_LINES:
                    raise ConfigurationError(
                        f"--keys {path}: it has more than {MAX_LINES:,} lines. Give it in parts."
                    )
                if line.strip():
                    requests[_request(line.strip(), f"--keys {path}, line {number}")] = None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--keys {path}: the file cannot be read: {error}.") from error
    if not requests:
        raise ConfigurationError(f"--keys {path}: the file is empty; give a key a line.")
    return tuple(requests)


def source_of(key: str) -> str:
    """`dataset/shard` of a key."""
    return "/".join(key.split("/", 2)[:2])


def _request(line: str, place: str) -> Request:
    if _SHA256.fullmatch(line):
        return Request("image", line.lower())
    if _NUMBER.fullmatch(line):
        # COCO and img2dataset name samples by numbers: as an id it would be another image.
        raise ConfigurationError(
            f"{place}: {line[:80]} may be an id or the key of a sample. Write id:{int(line[:80])} "
            f"for the image of this id, or dataset/shard/{line[:80]} for the sample."
        )
    if line.startswith("id:") and "/" not in line:
        return Request("id", _id(line, place))
    if "://" in line:
        return Request("url", line)
    if "/" in line and _GLOB_CHARACTERS & set(line):
        return Request("glob", line)
    if line.count("/") >= 2:
        return Request("key", line)
    raise ConfigurationError(
        f"{place}: {line[:80]!r} is no key (dataset/shard/sample), no id (id:139), no URL and no "
        "sha256 of an image. Give keys as tagmine query prints them."
    )


def _id(line: str, place: str) -> str:
    found = _ID.fullmatch(line)
    if found is None or int(found[1]) >= 1 << 63:
        raise ConfigurationError(
            f"{place}: {line[:80]!r} is no id: a number below 2^63 without zeros before it, such "
            "as id:139. A sample's key is written dataset/shard/sample."
        )
    return found[1]


class Matcher:
    """Finds what is asked for, part by part, and remembers what was found.

    Attributes:
        keys: keys of the samples that were found.
        matched: requests that were found.
        saw_url: whether any sample that was read says where its picture was.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.saw_url = False
        self.keys: set[str] = set()
        self.matched: set[Request] = set()
        self._globs: list[Request] = []
        self._keys: dict[str, set[str]] = {}
        self._ids: dict[int, set[int]] = {}
        self._looked_up: dict[Identity, Request] = {}
        for request in requests:
            match request.kind:
                case "glob":
                    self._globs.append(request)
                    self._ask_for(request.value)
                case "key":
                    self._ask_for(request.value)
                case "id":
                    self._ids.setdefault(part_of(int(request.value)), set()).add(int(request.value))
                case _:
                    self._looked_up[identify(request.kind, request.value)] = request

    def _ask_for(self, key: str) -> None:
        self._keys.setdefault(source_of(key), set()).add(key)

    @property
    def lookups(self) -> Identities:
        """What can only be found in the shards: the datastore has neither URLs nor pictures."""
        return Identities(frozenset(self._looked_up))

    @property
    def identities(self) -> Identities:
        """All that was asked for and found, a glob's keys instead of it."""
        globs = {request.value for request in self._globs}
        asked = {key for keys in self._keys.values() for key in keys} - globs
        named = {identify("key", key) for key in asked | self.keys}
        return Identities(frozenset(named | self._looked_up.keys()))

    def reaches(self, part: int, source: str) -> bool:
        """Whether a part may hold something that is asked for."""
        return bool(self._globs) or part in self._ids or source in self._keys

    def match(self, part: int, source: str, ids: np.ndarray, keys: pa.Array) -> np.ndarray:
        """The ids, int64 [m] ascending, of the rows of one part that are asked for.

        Args:
            part, source: which part.
            ids: int64 [n]; one may stand there several times.
            keys: their keys; two samples may have one, and are both found.
        """
        listed = keys.unique().to_pylist()
        asked_ids = pa.array(sorted(self._ids.get(part, ())), pa.int64())
        by_id = pc.is_in(pa.array(ids), value_set=asked_ids)
        found = set(keys.filter(by_id).to_pylist())
        self._note("id", map(str, set(ids.tolist()) & self._ids.get(part, set())))
        exact = self._keys.get(source, set()) & set(listed)
        self._note("key", exact)
        self._note("glob", exact)
        found |= exact
        for request in self._globs:
            globbed = fnmatch.filter(listed, request.value)
            found.update(globbed)
            self._note("glob", [request.value] if globbed else [])
        chosen = pc.is_in(keys, value_set=pa.array(sorted(found), pa.string()))
        self.keys |= found
        return np.unique(ids[chosen.to_numpy(zero_copy_only=False)])

    def _note(self, kind: str, values: Iterable[str]) -> None:
        self.matched.update(Request(kind, value) for value in values)

    def search_shards(
        self,
        sources: Iterable[tuple[Source, str]],
        fields: SampleFields,
        report: Callable[[Source], None],
    ) -> None:
        """Find URLs and hashes of images by reading the shards; `match` then finds their samples.

        Args:
            sources: the shards, each with the sha256 that it had when it was built from.
            fields: which members are images and JSON.
            report: told of each shard.

        Raises:
            SourceError: for a shard that cannot be read.
            ConfigurationError: for one that has changed since.
        """
        lookups = self.lookups
        limits = lookups.limits(fields)
        for source, sha256 in sources:
            report(source)
            with open_source(source) as stream:
                for sample in read_samples(stream, fields, limits):
                    key = f"{source.name}/{sample.key}"
                    own = set(identities_of(key, sample.members, fields))
                    self.saw_url |= any(kind == "url" for kind, _ in own)
                    found = lookups.known & own
                    self.matched.update(self._looked_up[identity] for identity in found)
                    if found:
                        self._ask_for(key)
                if stream.drain() != sha256:
                    raise ConfigurationError(
                        f"{source.url} has changed since the datastore was built of it, so its "
                        "samples may not be those of the datastore. Restore it, or name what to "
                        "take out by its keys."
                    )
