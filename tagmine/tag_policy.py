"""What is a tag and what is not: the word lists that the miner decides by, read from text files.

The lists ship in `tagmine/policy/`, one file each, and each file says in its first lines what
it is for. A folder of one's own adds to them: its `stop_heads.txt` adds heads, and a line
"!view" takes one out that the shipped file has.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

from tagmine.errors import ConfigurationError

# Raised by whoever changes what the miner returns for any caption: it is part of the tagger's
# fingerprint, so finished parts are then mined again.
RULES_VERSION = 3

# Longer than this and it is no phrase but a run of characters that no tokenizer could split.
MAX_TAG_CHARACTERS = 100

MAX_POLICY_BYTES = 4 << 20
_MAX_ENTRY_CHARACTERS = 200


@dataclasses.dataclass(frozen=True, slots=True)
class TagPolicy:
    """The miner's word lists, case-folded except for labels.

    Attributes:
        attribute_nouns: nouns that before a noun are its attribute ("metal").
        canonical: lemma of an object to the lemma it merges under ("surf board" to "surfboard").
        canonical_attributes: the same for attributes ("2" to "two").
        collectives: nouns that gather what follows their "of" ("group").
        compounds: word sequences that name one thing ("stop sign"), each as a tuple.
        entity_labels: entity types that are tags ("PERSON").
        imperatives: words that begin a caption and are no objects ("keep").
        joining_participles: participles that make one attribute with the noun before ("covered").
        keep_heads: where not empty, the only heads that are kept.
        lower_case_labels: entity types believed in captions all in small letters.
        nouns: objects that a tagger may take for something else at the start of a fragment.
        partitives: nouns that measure what follows their "of" ("slice").
        photo_words: nouns for the picture itself ("illustration").
        places: nouns that after a preposition only tell where ("top").
        stop_attributes: modifiers that are dropped ("several").
        stop_heads: heads that make no tag ("photo").
        stop_names: names that make no tag ("shutterstock").
        verbs: words that a tagger may take for nouns, and that are no objects.
        fingerprint: sha256, hexadecimal, over all of them.
        compound_starts: the first word of each compound.
    """

    attribute_nouns: frozenset[str]
    canonical: Mapping[str, str]
    canonical_attributes: Mapping[str, str]
    collectives: frozenset[str]
    compounds: frozenset[tuple[str, ...]]
    entity_labels: frozenset[str]
    imperatives: frozenset[str]
    joining_participles: frozenset[str]
    keep_heads: frozenset[str]
    lower_case_labels: frozenset[str]
    nouns: frozenset[str]
    partitives: frozenset[str]
    photo_words: frozenset[str]
    places: frozenset[str]
    stop_attributes: frozenset[str]
    stop_heads: frozenset[str]
    stop_names: frozenset[str]
    verbs: frozenset[str]
    fingerprint: str
    compound_starts: frozenset[str]

    def is_stopped(self, head: str) -> bool:
        """Whether a head makes no tag: stopped itself, for the picture or its seller, no word."""
        return (
            head in self.stop_heads
            or head in self.photo_words
            or head.rpartition(" ")[2] in self.photo_words
            or not head[:1].isalpha()
            or self.is_seller(head)
            or bool(self.keep_heads and head not in self.keep_heads)
        )

    def is_seller(self, name: str) -> bool:
        """Whether a name is that of a picture's maker, seller or camera: it ends with one, begins
        with one of several words, or is one with numbers ("Nikon D850")."""
        words = name.casefold().split()
        for i in range(1, min(len(words), 3) + 1):
            if " ".join(words[-i:]) in self.stop_names:
                return True
            rest = words[i:]
            if " ".join(words[:i]) in self.stop_names and (
                i > 1 or all(any(c.isdigit() for c in word) for word in rest)
            ):
                return True
        return False

    def is_compound(self, first: str, second: str, lemma: str) -> bool:
        """Whether two words, the second as said or by its lemma, name one thing."""
        return (first, second) in self.compounds or (first, lemma.casefold()) in self.compounds


LISTS = tuple(
    field.name
    for field in dataclasses.fields(TagPolicy)
    if field.name not in ("fingerprint", "compound_starts")
)
_LABELS = frozenset({"entity_labels", "lower_case_labels"})
SHIPPED_POLICIES = ("cc3m",)
_MAPPINGS = frozenset({"canonical", "canonical_attributes"})


def shipped_policy() -> Path:
    """Folder of the lists that ship with tagmine."""
    return Path(str(resources.files("tagmine").joinpath("policy")))


def load_policy(*folders: str | os.PathLike[str]) -> TagPolicy:
    """The shipped lists, with those of folders added to them, one after the other.

    Args:
        folders: each a folder with files of the shipped names, or "cc3m" for the one that ships
            for CC3M, whose captions say "actor" and "person" for names. A line "!entry" takes
            out an entry that the shipped file has.

    Raises:
        ConfigurationError: for a folder or file that cannot be read, a file of another name, an
            entry that is too long, a mapping without " = ", or "!" before what is not there.
    """
    lists = {name: _read(shipped_policy() / f"{name}.txt") for name in LISTS}
    for folder in folders:
        for path in _overlay_files(_find_overlay(folder)):
            lists[path.stem] = _overlay(path.stem, lists[path.stem], _read(path), path)
    return _policy(lists)


def _find_overlay(folder: str | os.PathLike[str]) -> Path:
    # "./cc3m" is a folder of one's own.
    if folder in SHIPPED_POLICIES:
        return Path(str(resources.files("tagmine").joinpath("policies", folder)))
    return Path(folder)


def _overlay_files(folder: Path) -> list[Path]:
    known = f"a policy folder has files of these names: {', '.join(f'{n}.txt' for n in LISTS)}"
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ConfigurationError(
            f"the policy folder {str(folder)!r} cannot be read ({error.strerror}); {known}."
        ) from error
    paths = [path for path in paths if path.name.lower() not in ("readme", "readme.md")]
    for path in paths:
        if path.suffix != ".txt" or path.stem not in LISTS:
            raise ConfigurationError(f"{path} is no list of the tag policy; {known}.")
    if not paths:
        raise ConfigurationError(f"the policy folder {str(folder)!r} has no list; {known}.")
    return paths


def read_entries(path: Path, what: str) -> tuple[str, ...]:
    """Entries of a word list, one a line; empty lines and those that begin with "#" are none.

    Raises:
        ConfigurationError: for a file that cannot be read, is no UTF-8, is larger than 4 MiB,
            or has an entry of more than 200 characters.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_POLICY_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{what} {path} is not UTF-8 text: {error}.") from error
    if len(data) > MAX_POLICY_BYTES:
        raise ConfigurationError(
            f"{what} {path} is larger than {MAX_POLICY_BYTES >> 20} MiB; shorten it."
        )
    entries = tuple(" ".join(line.split()) for line in text.splitlines())
    entries = tuple(entry for entry in entries if entry and not entry.startswith("#"))
    for entry in entries:
        if len(entry) > _MAX_ENTRY_CHARACTERS:
            raise ConfigurationError(
                f"{what} {path}: the entry {entry[:40]!r}… has {len(entry)} characters; the limit "
                f"is {_MAX_ENTRY_CHARACTERS}. Is it a list with one entry a line?"
            )
    return entries


def _read(path: Path) -> tuple[str, ...]:
    return read_entries(path, "the policy list")


def _overlay(
    name: str, shipped: tuple[str, ...], own: Iterable[str], path: Path
) -> tuple[str, ...]:
    result = {_key(name, entry): entry for entry in shipped}
    for entry in own:
        if not entry.startswith("!"):
            result[_key(name, entry)] = entry
        elif result.pop(_key(name, entry[1:].strip()), None) is None:
            raise ConfigurationError(
                f"{path}: {entry!r} takes out an entry that the shipped list does not have."
            )
    return tuple(result.values())


def _key(name: str, entry: str) -> str:
    """What an entry is known by: of "sofa = couch" the sofa."""
    if name in _LABELS:
        return entry
    return (entry.partition("=")[0] if name in _MAPPINGS else entry).strip().casefold()


def _policy(lists: Mapping[str, tuple[str, ...]]) -> TagPolicy:
    digest = hashlib.sha256()
    values: dict[str, object] = {}
    for name in LISTS:
        entries = sorted(set(lists[name]))
        digest.update(f"{name}\0{len(entries)}\0".encode() + "\0".join(entries).encode())
        if name in _MAPPINGS:
            values[name] = _mapping(name, entries)
        elif name == "compounds":
            values[name] = frozenset(tuple(entry.casefold().split()) for entry in entries)
        elif name in _LABELS:
            values[name] = frozenset(entries)
        else:
            values[name] = frozenset(entry.casefold() for entry in entries)
    starts = frozenset(compound[0] for compound in values["compounds"])
    return TagPolicy(**values, fingerprint=digest.hexdigest(), compound_starts=starts)


def _mapping(name: str, entries: Iterable[str]) -> dict[str, str]:
    pairs = dict(_pair(name, entry) for entry in entries)
    for said, canonical in pairs.items():
        if canonical != said and pairs.get(canonical, canonical) != canonical:
            raise ConfigurationError(
                f"{name}.txt: {said!r} is to be {canonical!r}, which is to be "
                f"{pairs[canonical]!r}. Name the last form in both."
            )
    return pairs


def _pair(name: str, entry: str) -> tuple[str, str]:
    said, equals, canonical = (part.strip() for part in entry.casefold().partition("="))
    if not (said and equals and canonical) or "=" in canonical:
        raise ConfigurationError(f"{name}.txt: {entry!r} is not of the form 'said = canonical'.")
    return said, canonical
