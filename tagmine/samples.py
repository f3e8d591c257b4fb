"""Group the members of a shard into samples, as img2dataset and pixparse write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tagmine.archive import BrokenArchiveError, HashingReader, Member, read_members
from tagmine.errors import ConfigurationError

if TYPE_CHECKING:
    from tagmine.manifest import TaggerPin

IMAGE_KEYS = ("jpg", "jpeg", "png", "webp")
_MAX_OPEN_GROUPS = 16


@dataclasses.dataclass(frozen=True, slots=True)
class SampleFields:
    """Which members of a sample are read, and what for.

    Attributes:
        image_keys: extensions of the image member, the first present one being used.
        caption_key: extension of the caption member, unless `caption_json_fields` are set.
        json_key: extension of the member with structured fields.
        caption_json_fields: fields of the JSON member that hold captions, or questions with their
            answers.
        tag_fields: fields of the JSON member whose values are tags.
        annotations_key: field of the JSON member that further annotations are joined by; None
            for the sample's key.

    Raises:
        ConfigurationError: for an empty key, or one that webdataset would unpickle.
    """

    image_keys: tuple[str, ...] = IMAGE_KEYS
    caption_key: str = "txt"
    json_key: str = "json"
    caption_json_fields: tuple[str, ...] = ()
    tag_fields: tuple[str, ...] = ()
    annotations_key: str | None = None

    def __post_init__(self) -> None:
        for key in (*self.image_keys, self.caption_key):
            if not key or key != key.lower() or key.startswith(".") or "/" in key:
                raise ConfigurationError(
                    f"the member key {key!r} is not an extension; give it in lower case and "
                    "without the leading dot, such as jpg or txt."
                )
        if not self.image_keys:
            raise ConfigurationError("no image key was given; give one, such as jpg.")

    @property
    def needs_json(self) -> bool:
        return bool(self.caption_json_fields or self.tag_fields or self.annotations_key)

    @property
    def grouping(self) -> tuple:
        """All that decides which members make a sample, and so the samples' positions."""
        keys = (self.image_keys, self.caption_key, self.json_key)
        return (*keys, self.caption_member, self.needs_json)

    @property
    def caption_member(self) -> str:
        """Extension of the member that the caption is read from."""
        return self.json_key if self.caption_json_fields else self.caption_key


def datastore_fields(pin: TaggerPin) -> SampleFields:
    """Which members the datastore was made from, and so what its ids count."""
    return SampleFields(
        pin.image_keys,
        pin.caption_key,
        pin.json_key,
        pin.caption_json_fields,
        pin.tag_fields,
        pin.annotations_key,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a shard.

    Attributes:
        position: its place in the shard, counting every sample, good or bad, from 0.
        key: its key in the shard, "" where the shard breaks off.
        members: data of the members that were asked for, by extension.
        extensions: extensions of all its members, in the order met.
        problem: (reject reason, detail) when the whole sample must not be used, else None.
    """

    position: int
    key: str
    members: dict[str, bytes]
    extensions: tuple[str, ...]
    problem: tuple[str, str] | None = None


@dataclasses.dataclass(slots=True)
class _Group:
    key: str
    members: dict[str, bytes] = dataclasses.field(default_factory=dict)
    extensions: list[str] = dataclasses.field(default_factory=list)
    problem: tuple[str, str] | None = None
    oversize: tuple[str, str] | None = None

    def add(self, extension: str, member: Member) -> None:
        self.extensions.append(extension)
        if member.data is not None:
            self.members[extension] = member.data
        elif member.problem and member.problem[0] == "member_too_large":
            # Apart, since it depends on what a stage reads: it must not decide what is a sample,
            # or mining and embedding would number the samples differently.
            self.oversize = self.oversize or member.problem
        else:
            self.problem = self.problem or member.problem


def split_name(name: str, fields: SampleFields) -> tuple[str, str]:
    """A member's key and extension (lower case).

    The extension is the longest configured one that the name ends in, else what follows the
    last dot, so that keys may contain dots.
    """
    folder, slash, base = name.rpartition("/")
    lowered = base.lower()
    configured = (*fields.image_keys, fields.caption_key, fields.json_key)
    for extension in sorted(configured, key=len, reverse=True):
        if lowered.endswith("." + extension) and len(base) > len(extension) + 1:
            return folder + slash + base[: -len(extension) - 1], extension
    stem, dot, extension = base.rpartition(".")
    return (folder + slash + stem, extension.lower()) if dot and stem else (name, "")


def read_samples(
    stream: HashingReader, fields: SampleFields, limits: dict[str, int]
) -> Iterator[Sample]:
    """The samples of a shard, in order; every member belongs to exactly one, or is auxiliary.

    Consecutive members with one key are a sample, in any order within it. A member such as
    `x.seg.png` between those of `x` is auxiliary to `x`, not a sample of its own.

    Args:
        stream: the tar archive.
        fields: which extensions are images, captions and structured fields.
        limits: for each extension that is to be read, the most bytes; others are not read.

    Yields:
        Samples; a last one of reason "broken_shard" where the archive breaks off.
    """
    seen: set[str] = set()
    position = 0
    groups = _group(_named(stream, fields, limits), fields)
    while True:
        try:
            group = next(groups, None)
        except BrokenArchiveError as error:
            yield Sample(position, "", {}, (), ("broken_shard", str(error)))
            return
        if group is None:
            return
        problem = group.problem or group.oversize
        if group.key in seen:
            problem = ("duplicate_key", f"{group.key} stands earlier in the shard")
        seen.add(group.key)
        members = {} if problem else group.members
        yield Sample(position, group.key, members, tuple(group.extensions), problem)
        position += 1


def _named(
    stream: HashingReader, fields: SampleFields, limits: dict[str, int]
) -> Iterator[tuple[str, str, Member]]:
    def limit(name: str) -> int:
        return limits.get(split_name(name, fields)[1], 0)

    for member in read_members(stream, limit):
        yield (*split_name(member.name, fields), member)


def _group(named: Iterable[tuple[str, str, Member]], fields: SampleFields) -> Iterator[_Group]:
    opened: list[_Group] = []
    try:
        for key, extension, member in named:
            group = next(
                (g for g in opened if g.key == key and extension not in g.extensions), None
            )
            if group is None:
                related = any(_extends(key, g.key) or _extends(g.key, key) for g in opened)
                if not related or len(opened) >= _MAX_OPEN_GROUPS:
                    yield from _close(opened, fields)
                    opened = []
                group = _Group(key)
                opened.append(group)
            group.add(extension, member)
    except BrokenArchiveError:
        # The group that the break fell into may lack members that were never read.
        whole = opened if opened and _complete(opened[-1], fields) else opened[:-1]
        yield from _close(whole, fields)
        raise
    yield from _close(opened, fields)


def _close(groups: list[_Group], fields: SampleFields) -> Iterator[_Group]:
    """The groups that are samples: all but those auxiliary to another."""
    extensions = [g for g in groups if any(_extends(g.key, other.key) for other in groups)]
    dotted_keys = any(_complete(group, fields) for group in extensions)
    for group in groups:
        auxiliary = group in extensions and not dotted_keys and group.problem is None
        if not auxiliary:
            yield group


def _extends(key: str, base: str) -> bool:
    return key.startswith(base + ".")


def _complete(group: _Group, fields: SampleFields) -> bool:
    has_image = any(key in group.extensions for key in fields.image_keys)
    has_json = not fields.needs_json or fields.json_key in group.extensions
    return has_image and has_json and fields.caption_member in group.extensions
