"""Takes out of a caption what is markup, address or camera talk, before it is parsed."""

from __future__ import annotations

import html
import re

from tagmine.captions import MAX_CAPTION_CHARACTERS

# spaCy's tokenizer takes a word apart in time that grows with the square of its length: ten
# thousand brackets without a space take half a minute. No tag comes of a word this long.
MAX_WORD_CHARACTERS = 100
# Noun chunks of a chain of conjunctions take the square of its length, too.
MAX_WORDS = 1_000

_CONTROL_CHARACTERS = dict.fromkeys([*range(32), *range(127, 160)], " ")
# What any of the patterns below needs to match at all; most captions have none of it.
_SUSPICIOUS = re.compile(r"[<>&#@|~_*©®™\\{}\[\]^`=]|://|www\.|\.\w|\d| '| n't|[^\x00-\x7f]")

# Each is bounded, so that no text takes more than linear time.
_PATTERNS = (
    # CC12M's stand-in for a name. A pronoun keeps the sentence whole and is no tag.
    (re.compile(r"<(?:person|name)>", re.IGNORECASE), "someone"),
    (re.compile(r"<(script|style)\b[^<>]{0,200}>[^<]{0,1000}</\1>", re.IGNORECASE), " "),
    (re.compile(r"</?[a-zA-Z!][^<>]{0,200}>"), " "),
    (re.compile(r"\b(?:https?|ftp)://\S{1,500}", re.IGNORECASE), " "),
    (re.compile(r"\bwww\.\S{1,300}", re.IGNORECASE), " "),
    (re.compile(r"\S{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}"), " "),
    (re.compile(r"(?<!\w)@\w{1,64}"), " "),
    (
        re.compile(
            r"\b[\w-]{1,80}\.(?:jpe?g|png|gif|webp|tiff?|bmp|svg|psd|raw|cr2|nef|pdf|mp4|mov)\b",
            re.IGNORECASE,
        ),
        " ",
    ),
    (re.compile(r"\b(?:img|dsc[nf]?|pict?|mvi|gopr)_?\d{3,8}\b", re.IGNORECASE), " "),
    (re.compile(r"\b[\w-]{1,40}\.(?:com|net|org|info|co\.uk|de|io)\b", re.IGNORECASE), " "),
    (re.compile(r"\b\d{3,5} ?(?:x|×) ?\d{3,5}(?: ?(?:px|pixels))?\b", re.IGNORECASE), " "),
    (re.compile(r"\b\d{1,5} ?(?:px|pixels)\b", re.IGNORECASE), " "),
    (re.compile(r"[©®™]"), " "),
    # A hashtag is a word with a mark before it; those at the end are a list.
    (re.compile(r"\s*#\s?(?=\w{1,64}(?:\s*#\s?\w{1,64}){0,50}\s*$)"), " , "),
    (re.compile(r"#"), " "),
    # Tokenized captions, which spaCy would take for other words: "you 've", "the dog 's".
    (re.compile(r"(?<=\w) ('(?:s|ve|re|ll|d|m)|n't)\b", re.IGNORECASE), r"\1"),
    (re.compile(r"[|~_*\\{}\[\]^`=<>]+"), " "),
)
# What a camera writes; one of them alone may be anything ("an F/18 jet", "a 50 mm screw").
_EXPOSURE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b[fƒ] ?/ ?\d{1,2}(?:\.\d)?\b",
        r"\biso[ -]?\d{2,6}\b",
        r"\b1/\d{1,5} ?(?:s|sec|secs|second|seconds)\b",
        r"\b\d{1,4}(?:\.\d)? ?mm\b(?: lens)?",
    )
)
_ALL_CAPITALS_WORDS = 3


def clean_caption(text: str) -> str:
    """A caption on one line, in characters that spaCy can store, without what is no language.

    HTML entities become their characters; markup, addresses, file names, image sizes, exposure
    settings and the marks of hashtags go; `<PERSON>` becomes "someone". A caption all in
    capitals is set in small letters, since taggers take capitals for names.

    Args:
        text: a caption. No more of it is read than its first 10,000 characters and 1,000 words,
            and words beyond 100 characters are left out.

    Raises:
        TypeError: for a caption that is not a string.
    """
    if not isinstance(text, str):
        raise TypeError(f"a caption must be a string, got {type(text).__name__}: {text!r:.80}")
    text = text[:MAX_CAPTION_CHARACTERS]
    if not text.isascii():
        # Half of a surrogate pair, which JSON can carry, has no UTF-8 form.
        text = text.encode("utf-8", "replace").decode("utf-8")
    if not text.isprintable():
        text = text.translate(_CONTROL_CHARACTERS)
    words = text.split()
    if len(text) > MAX_WORD_CHARACTERS and max(map(len, words), default=0) > MAX_WORD_CHARACTERS:
        words = [word for word in words if len(word) <= MAX_WORD_CHARACTERS]
    text = " ".join(words[:MAX_WORDS])
    if _SUSPICIOUS.search(text):
        text = _without_markup(text)
    if text.isupper() and text.count(" ") + 1 >= _ALL_CAPITALS_WORDS:
        text = text.lower()
    return text


def _without_markup(text: str) -> str:
    if "&" in text:
        # Twice, since captions scraped from pages are often escaped twice.
        text = html.unescape(html.unescape(text)).translate(_CONTROL_CHARACTERS)
        text = text.encode("utf-8", "replace").decode("utf-8")
    if sum(1 for pattern in _EXPOSURE if pattern.search(text)) > 1:
        for pattern in _EXPOSURE:
            text = pattern.sub(" ", text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())
