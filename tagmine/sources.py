"""The input shards: from what a user types to numbered, named sources."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import MAX_PARTS, SOURCES, write_atomically
from tagmine.redaction import redact, redact_url, refuse_user
from tagmine.retries import is_transient, retry
from tagmine.stores import bucket_trouble, is_remote

_GLOB_CHARACTERS = "*?["


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One input shard.

    Attributes:
        part: the number of the part that it becomes; it never changes within a datastore.
        name: `dataset/shard`, the namespace of its samples' keys.
        url: where it was when the datastore was built: an absolute path or an fsspec URL. What is
            recorded of it has no query, which is the key of a signed URL.
        license: under which its pictures and captions were published, as the Hugging Face hub
            names licences; "" where nobody said.
    """

    part: int
    name: str
    url: str
    # By name only: what is made of a source has fields of its own.
    license: str = dataclasses.field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not 0 <= self.part < MAX_PARTS:
            raise ValueError(f"part {self.part} is outside 0..2^31")
        if not self.name or not self.url:
            raise ValueError(f"a source needs a name and a URL, got {self!r}")


def expand_shards(patterns: Sequence[str]) -> list[str]:
    """The shards that the patterns name, in the order given, each once; globs are sorted.

    Args:
        patterns: local paths, globs, brace ranges (`{00000..00331}.tar`), `@list.txt` with a
            pattern a line, or any URL that fsspec reads.

    Raises:
        ConfigurationError: for a pattern that matches nothing, a shard that does not exist, a
            protocol that fsspec does not know, or `pipe:`.
    """
    shards: dict[str, None] = {}
    for pattern in patterns:
        for url in _expand(pattern):
            shards[url] = None
    if not shards:
        raise ConfigurationError(
            "No shard was given. Name at least one tar file, glob, brace range or @list.txt."
        )
    return list(shards)


def _expand(pattern: str) -> Iterable[str]:
    from braceexpand import UnbalancedBracesError, braceexpand

    if pattern.startswith("@"):
        for line in _read_list(Path(pattern[1:])):
            yield from _expand(line)
        return
    if pattern.startswith("pipe:"):
        raise ConfigurationError(
            f"{pattern}: pipe: runs a shell command and is refused. Give a path, or a URL that "
            "fsspec reads, such as s3://bucket/00000.tar."
        )
    try:
        expanded = list(braceexpand(pattern))
    except UnbalancedBracesError as error:
        raise ConfigurationError(f"{pattern}: the braces do not balance ({error}).") from error
    for name in expanded:
        refuse_user(name)
        yield from _resolve(name)


def _read_list(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"@{path}: the list of shards cannot be read: {error}.") from error
    names = [line.strip() for line in lines]
    # A list that names lists could name itself.
    nested = [name for name in names if name.startswith("@")]
    if nested:
        raise ConfigurationError(f"@{path} names another list, {nested[0]}; list shards only.")
    return [name for name in names if name and not name.startswith("#")]


def _resolve(name: str) -> list[str]:
    if "::" in name:
        # A chain is opened as it was typed; only fsspec knows what a link of it may look like.
        return [name]
    try:
        found, folders, problem = (
            retry(lambda: _look_up(name), name) if is_remote(name) else _look_up(name)
        )
    # Any file system of fsspec may be behind it.
    except Exception as error:
        raise ConfigurationError(
            f"{redact(name)}: the shard cannot be looked up: {type(error).__name__}: "
            f"{redact(str(error))}."
        ) from None
    if not found:
        raise ConfigurationError(
            f"{redact(name)}: {problem}. Check the spelling, and quote globs and braces if the "
            "shell expands them."
        )
    if folders:
        raise ConfigurationError(
            f"{redact(name)}: this is a folder; name its shards: {redact(name)}/*.tar"
        )
    return found


def _look_up(name: str) -> tuple[list[str], list[str], str]:
    """The files that a name means, those that are folders, and what it is if there are none."""
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(name)
    local = "file" in _protocols(filesystem)
    if any(character in path for character in _GLOB_CHARACTERS) and not (
        local and Path(path).exists()
    ):
        found = sorted(filesystem.glob(path))
        problem = "the glob matches no file, so 0 shards were found"
    else:
        found = [path] if _is_there(filesystem, path) else []
        problem = "there is no such file"
    if not found:
        problem = bucket_trouble(filesystem, path) or problem
    folders = [item for item in found if filesystem.isdir(item)]
    return found if local else list(map(filesystem.unstrip_protocol, found)), folders, problem


def _is_there(filesystem, path: str) -> bool:
    if not {"http", "https"} & {*_protocols(filesystem)}:
        return filesystem.exists(path)
    # Its exists() takes a server that is busy for one that has no such file.
    try:
        filesystem.info(path)
    except FileNotFoundError as error:
        if is_transient(error):
            raise
        return False
    return True


def _protocols(filesystem) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def name_shard(url: str, dataset: str | None) -> str:
    """`dataset/shard` for a URL; without `dataset`, the folder that the shard lies in."""
    # Without the query of a signed URL, which is a secret, and only the first link of a chain.
    path = PurePosixPath(url.split("::")[0].split("://", 1)[-1].split("?")[0])
    stem = path.name.removesuffix(".tar")
    return f"{dataset or path.parent.name or 'shards'}/{stem}"


def number_sources(
    urls: Sequence[str],
    dataset: str | None,
    known: Sequence[Source] = (),
    license_name: str = "",
) -> list[Source]:
    """Give each shard its part number: its old one when the datastore knows it, else the next.

    Args:
        urls: the shards.
        dataset: first half of their names, None for the folder of each.
        known: the sources of the datastore.
        license_name: theirs; "" for the one that is known of each.

    Raises:
        ConfigurationError: when two shards would share a name, so that their keys would clash.
    """
    by_name = {source.name: source for source in known}
    following = max((source.part for source in known), default=-1) + 1
    numbered: dict[str, Source] = {}
    for url in urls:
        name = name_shard(url, dataset)
        if name in numbered:
            raise ConfigurationError(
                f"{redact(url)} and {redact(numbered[name].url)} would both be named {name}, and "
                "their keys would clash. Build them one at a time with --dataset NAME, a different "
                "one for each."
            )
        before = by_name.get(name)
        if before is not None:
            part = before.part
        else:
            part, following = following, following + 1
        named = license_name or (before.license if before else "")
        numbered[name] = Source(part, name, url, license=named)
    return list(numbered.values())


def read_sources(root: Path) -> list[Source]:
    """The sources recorded in a datastore, by part; empty when there are none yet.

    Raises:
        DatastoreError: for a file that is no list of sources.
    """
    path = root / SOURCES
    return parse_sources(path.read_bytes(), str(path)) if path.exists() else []


def parse_sources(data: bytes, path: str) -> list[Source]:
    """The sources that the bytes of a `sources.json` name, by part.

    Raises:
        DatastoreError: naming `path`, for bytes that are no list of sources.
    """
    try:
        rows = json.loads(data)["sources"]
        sources = [Source(**row) for row in rows]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DatastoreError(
            f"{path} is not a list of sources ({type(error).__name__}: {error}). Restore it from a "
            "copy, or build into a new folder."
        ) from error
    return sorted(sources, key=lambda source: source.part)


def recorded(source: Source) -> Source:
    """A source as it is written down: without what opens it for whoever has it."""
    return dataclasses.replace(source, url=redact_url(source.url))


def write_sources(root: Path, sources: Iterable[Source]) -> list[Source]:
    """Record `sources` beside those already known, and return them all, by part."""
    known = read_sources(root)
    merged = {source.part: source for source in known}
    merged.update({source.part: recorded(source) for source in sources})
    ordered = [merged[part] for part in sorted(merged)]
    if ordered != known:
        rows = [_record(source) for source in ordered]
        text = json.dumps({"sources": rows}, indent=1, ensure_ascii=False) + "\n"
        write_atomically(root / SOURCES, text.encode())
    return ordered


def _record(source: Source) -> dict:
    record = dataclasses.asdict(source)
    if not source.license:
        del record["license"]
    return record
