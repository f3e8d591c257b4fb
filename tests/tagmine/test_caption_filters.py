"""Caption filters: what each drops, what it keeps, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from tagmine.caption_filters import (
    MAX_BLOCKLIST_BYTES,
    NO_FILTERS,
    CaptionFilters,
    fold,
    load_judge,
    read_blocklist,
)
from tagmine.errors import ConfigurationError
from tagmine.mine import mine_fingerprint
from tagmine.samples import SampleFields
from tagmine.tagger import load_tagger

FOREIGN = (
    "Blick über die Altstadt bei Sonnenuntergang",
    "frische Erdbeeren in einer Schüssel",
    "Deux chiens jouent sur la plage avec un bâton",
    "salon moderne avec un canapé gris",
    "una habitación luminosa con vistas al mar",
    "un'auto sportiva rossa in pista",
    "morangos frescos numa tigela",
    "verse aardbeien in een kom",
    "ratusz na rynku głównym",
    "красный спортивный автомобиль на трассе",
    "公園のベンチに座っている女性。",
    "gri kanepeli modern oturma odası",
)
UNTELLABLE = ("", "123 456", "IMG_0001.jpg", "dog", "BMW X5", "🙂", "!!!", "2011 - 2012")


def faults(filters: CaptionFilters, *captions: str) -> list[str | None]:
    judge = load_judge(filters)
    return [found and found[0] for found in map(judge.fault, captions)]


def test_words_are_counted_as_white_space_parts_them():
    filters = CaptionFilters(min_words=2, max_words=4)
    few, many = "caption_too_few_words", "caption_too_many_words"
    captions = ("dog", "red dog", "a red dog .", "a very red dog .")
    assert faults(filters, *captions) == [few, None, None, many]
    assert load_judge(filters).fault("dog") == (few, "1 words, fewer than 2")
    assert faults(CaptionFilters(min_words=2), "a " * 500 + "b") == [None]


def test_other_languages_are_dropped_and_what_cannot_be_told_is_kept():
    filters = CaptionFilters(language="en")
    assert faults(filters, *FOREIGN) == ["caption_language"] * len(FOREIGN)
    assert load_judge(filters).fault(FOREIGN[0]) == ("caption_language", "de, not en")
    kept = (
        *UNTELLABLE,
        "a red car",
        "A NARROW STREET UNDER A BLUE SKY",
        "a cup of coffee at a café",
    )
    assert faults(filters, *kept) == [None] * len(kept)


def test_another_language_can_be_the_wanted_one():
    german, english = FOREIGN[0], "view over the old town in the light of the evening"
    assert faults(CaptionFilters(language="de"), german, english) == [None, "caption_language"]


def test_english_captions_of_a_real_collection_stay(shared_data):
    lines = (shared_data / "captions/cc3m_val.tsv").read_text().splitlines()
    captions = [" ".join(line.split("\t")[0].split()) for line in lines]
    found = faults(CaptionFilters(language="en"), *captions)
    assert len(found) == 12_000 and found.count(None) > 0.999 * len(found)


@pytest.mark.parametrize(
    ("line", "caption", "blocked"),
    [
        ("stock photo", "Stock Photo of a dog", True),
        ("stock photo", "a dog (stock-photo)", True),
        ("stock photo", "stock of a photo", False),
        ("stock photo", "overstock photos", False),
        ("cat", "concatenate", False),
        ("cat", "the cat's whiskers", True),
        ("STRASSE", "eine lange Straße", True),
        ("café", "a cafe\u0301 at night", True),
        ("watermark", "ＷＡＴＥＲＭＡＲＫ", True),
        ("का", "की", False),
        ("t-shirt", "a red T shirt", True),
        ("a b c", "x a b c", True),
        ("a b c", "a b", False),
    ],
)
def test_the_blocklist_matches_whole_words_whatever_their_case(tmp_path, line, caption, blocked):
    path = tmp_path / "block.txt"
    path.write_text(f"unrelated phrase of five words\n{line}\n", encoding="utf-8")
    filters = CaptionFilters(blocklist=read_blocklist(path))
    assert faults(filters, caption) == ["caption_blocked" if blocked else None]


def test_a_blocklist_file_and_its_hash(tmp_path):
    path = tmp_path / "block.txt"
    text = "\ufeff# words\nStock  Photo # of no use\n\nclip-art\nstock photo\n"
    path.write_text(text, encoding="utf-8")
    phrases = read_blocklist(path)
    assert phrases == ("clip art", "stock photo")
    expected = hashlib.sha256(b"clip art\nstock photo\n").hexdigest()
    assert CaptionFilters(blocklist=phrases).blocklist_sha256 == expected
    assert NO_FILTERS.blocklist_sha256 is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"# nothing\n\n", "names no word"),
        (b"dog\n***\n", "line 2: '\\*\\*\\*' has 0 words"),
        (b"a " * 33, "33 words"),
        (b"x\n" * MAX_BLOCKLIST_BYTES, "more than 1,048,576 bytes"),
    ],
)
def test_blocklists_that_are_refused(tmp_path, data, says):
    path = tmp_path / "block.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=says):
        read_blocklist(path)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"min_words": -1}, "--min-caption-words -1"),
        ({"max_words": 0}, "at least 1"),
        ({"min_words": 5, "max_words": 4}, "at least 5"),
        ({"language": "English"}, "en or de"),
        ({"language_odds": float("nan")}, "1 or more"),
    ],
)
def test_filters_that_cannot_be(values, says):
    with pytest.raises(ConfigurationError, match=says):
        CaptionFilters(**values)


def test_a_blocklist_that_could_never_match_is_an_error():
    for blocklist in (("Stock Photo",), ("b", "a"), ("",)):
        with pytest.raises(ValueError, match="read_blocklist"):
            CaptionFilters(blocklist=blocklist)
    assert fold("  Stock-Photo! ") == "stock photo"


def test_a_language_that_nobody_can_tell_names_those_that_can_be():
    with pytest.raises(ConfigurationError, match="--language qq.*known are.* de, .* en, "):
        load_judge(CaptionFilters(language="qq"))


def test_every_filter_is_in_the_fingerprint_and_none_is_not():
    tagger, fields = load_tagger(), SampleFields()
    base = mine_fingerprint(tagger, fields)
    assert mine_fingerprint(tagger, fields, CaptionFilters()) == base
    values = {
        "min_words": 2,
        "max_words": 9,
        "language": "en",
        "language_odds": 30.0,
        "blocklist": ("dog",),
    }
    assert set(values) == {field.name for field in dataclasses.fields(CaptionFilters)}
    whole = CaptionFilters(**values)
    others = [dataclasses.replace(whole, **{name: getattr(NO_FILTERS, name)}) for name in values]
    found = {mine_fingerprint(tagger, fields, filters) for filters in (whole, *others)}
    assert len(found) == len(values) + 1 and base not in found
