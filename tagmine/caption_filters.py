"""Which captions are worth mining: by their length, their language, and words that are not wanted.

filters = CaptionFilters(min_words=3, language="en")
judge = load_judge(filters)
judge.fault("Ein roter Sportwagen auf der Rennstrecke")  # ("caption_language", "de, not en")
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from tagmine.errors import ConfigurationError

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MAX_BLOCKLIST_BYTES = 1 << 20
MAX_PHRASE_WORDS = 32
_RULES_VERSION = 1
# What the identifier calls text without a language: code, names of files.
_NO_LANGUAGE = "zxx"


@dataclasses.dataclass(frozen=True, slots=True)
class CaptionFilters:
    """Which captions are kept; the default keeps every one.

    Attributes:
        min_words: fewest words of a caption, as white space parts them.
        max_words: most words, None for no limit.
        language: code of the language that captions must be in (ISO 639, "en"), None for any.
        language_odds: a caption is in another language when one is more than this many times as
            likely as `language`. Captions are short, so that often nothing is sure.
        blocklist: words and phrases that no caption may hold, folded and sorted, as
            `read_blocklist` gives them.

    Raises:
        ConfigurationError: for numbers that let no caption pass, or no code of a language.
    """

    min_words: int = 0
    max_words: int | None = None
    language: str | None = None
    language_odds: float = 20.0
    blocklist: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.min_words < 0:
            raise ConfigurationError(f"--min-caption-words {self.min_words}: give 0 or more.")
        if self.max_words is not None and self.max_words < max(self.min_words, 1):
            raise ConfigurationError(
                f"--max-caption-words {self.max_words}: no caption could pass; give at least "
                f"{max(self.min_words, 1)}."
            )
        if self.language is not None and not re.fullmatch("[a-z]{2,3}", self.language):
            raise ConfigurationError(
                f"--language {self.language!r} is no language code; give one such as en or de."
            )
        if not self.language_odds >= 1:
            raise ConfigurationError(f"language_odds {self.language_odds}: give 1 or more.")
        if list(self.blocklist) != sorted({fold(phrase) for phrase in self.blocklist} - {""}):
            raise ValueError("the blocklist is not as read_blocklist gives it")

    @property
    def active(self) -> bool:
        """Whether any caption could be dropped."""
        return bool(self.min_words or self.max_words or self.language or self.blocklist)

    @property
    def blocklist_sha256(self) -> str | None:
        """Hash of the phrases, each with a line feed behind it, as UTF-8; None without any."""
        if not self.blocklist:
            return None
        return hashlib.sha256("".join(p + "\n" for p in self.blocklist).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all that decides which captions are kept."""
        # Here, since help must not wait for what the manifest needs.
        from tagmine.manifest import fingerprint

        values = dataclasses.asdict(dataclasses.replace(self, blocklist=()))
        identifier = _identifier_version() if self.language is not None else None
        return fingerprint(_RULES_VERSION, values, self.blocklist_sha256, identifier)


NO_FILTERS = CaptionFilters()


class CaptionJudge:
    """Filters, ready for captions; made by `load_judge`. May be called from several threads."""

    def __init__(self, filters: CaptionFilters, identifier: LanguageIdentifier | None) -> None:
        self._filters = filters
        self._identifier = identifier
        phrases = [tuple(phrase.split()) for phrase in filters.blocklist]
        self._blocked = frozenset(phrases)
        self._lengths = sorted({len(phrase) for phrase in phrases})

    def fault(self, caption: str) -> tuple[str, str] | None:
        """Why a caption is dropped: a key of `tagmine.rejects.REASONS` and what was found, or None.

        Args:
            caption: with its white space folded, as `tagmine.captions.read_captions` gives it.
        """
        return self._length_fault(caption) or self._language_fault(caption) or self._block(caption)

    def _length_fault(self, caption: str) -> tuple[str, str] | None:
        words = caption.count(" ") + 1
        least, most = self._filters.min_words, self._filters.max_words
        if words < least:
            return "caption_too_few_words", f"{words:,} words, fewer than {least:,}"
        if most is not None and words > most:
            return "caption_too_many_words", f"{words:,} words, more than {most:,}"
        return None

    def _language_fault(self, caption: str) -> tuple[str, str] | None:
        wanted = self._filters.language
        if self._identifier is None or wanted is None:
            return None
        likeliest, probability = self._identifier.classify(caption)
        # Ranking all languages takes twice as long, and most captions are as they should be.
        if likeliest == wanted:
            return None
        ours = dict(self._identifier.rank(caption))[wanted]
        if probability <= self._filters.language_odds * ours:
            return None
        return "caption_language", f"{likeliest}, not {wanted}"

    def _block(self, caption: str) -> tuple[str, str] | None:
        if not self._lengths:
            return None
        words = fold(caption).split()
        for start in range(len(words)):
            for length in self._lengths:
                phrase = tuple(words[start : start + length])
                if phrase in self._blocked:
                    return "caption_blocked", f"holds {' '.join(phrase)!r}"
        return None


@functools.lru_cache(maxsize=4)
def load_judge(filters: CaptionFilters) -> CaptionJudge:
    """Load what the filters need: for a language, its identifier (0.8 s, 100 MB), once.

    Raises:
        ConfigurationError: for a language that the identifier does not know.
    """
    identifier = None if filters.language is None else _load_identifier()
    if identifier is not None and filters.language not in identifier.labels:
        raise ConfigurationError(
            f"--language {filters.language}: this language cannot be told from others; known are "
            f"{', '.join(sorted(identifier.labels))}."
        )
    return CaptionJudge(filters, identifier)


def _load_identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in identifier.labels if code != _NO_LANGUAGE])
    return identifier


def _identifier_version() -> str:
    from importlib.metadata import version

    return version("py3langid")


def fold(text: str) -> str:
    """The words of a text, case-folded, with one space between and without punctuation.

    Letters, digits and the marks that belong to them make words; compatible forms (full-width
    letters, ligatures) are made one.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(c if _in_word(c) else " " for c in folded).split())


def _in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


def read_blocklist(path: Path) -> tuple[str, ...]:
    """The words and phrases of a file: one a line, `#` starts a comment, empty lines are skipped.

    Returns:
        The phrases as `fold` gives them, each once, sorted.

    Raises:
        ConfigurationError: for a file that cannot be read, is no UTF-8 text, is too large or has
            no entry, or a line without a word or with too many.
    """
    phrases: set[str] = set()
    for number, line in enumerate(_read_lines(path), start=1):
        entry = line.split("#", 1)[0].strip()
        phrase = fold(entry)
        if entry and not 1 <= len(phrase.split()) <= MAX_PHRASE_WORDS:
            raise ConfigurationError(
                f"--blocklist {path}, line {number}: {entry!r:.60} has "
                f"{len(phrase.split()):,} words; a line holds 1 to {MAX_PHRASE_WORDS}."
            )
        phrases.add(phrase)
    phrases.discard("")
    if not phrases:
        raise ConfigurationError(
            f"--blocklist {path} names no word; write one word or phrase a line."
        )
    return tuple(sorted(phrases))


def _read_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BLOCKLIST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--blocklist {path} cannot be read: {error}.") from error
    if len(data) > MAX_BLOCKLIST_BYTES:
        raise ConfigurationError(
            f"--blocklist {path} has more than {MAX_BLOCKLIST_BYTES:,} bytes; give a shorter one."
        )
    return text.splitlines()
