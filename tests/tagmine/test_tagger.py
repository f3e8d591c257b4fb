"""Captions to tags, with the embedded pipeline and with a full-size one."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path

import pytest

from tagmine import tagger as tagger_module
from tagmine.errors import ConfigurationError
from tagmine.field_tags import field_tags
from tagmine.tagger import Tagger, embedded_pipeline, load_tagger

SHARED = Path(__file__).parents[3] / "shared" / "data"
PORT = SHARED / "models" / "en_core_web_sm-2.2.5-as-v3"
STREET = "A narrow street with colorful facades under a blue sky in Montepulciano, Italy."


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return load_tagger()


@pytest.fixture(scope="module", params=["embedded", "port"])
def either_tagger(request, tagger):
    if request.param == "embedded":
        return tagger
    if not PORT.exists():
        pytest.skip(f"{PORT} is not here")
    return load_tagger(PORT)


def tags_of(tagger, caption):
    return next(tagger.tag([caption]))


def said(tagger, caption):
    return [(tag.text, tag.kind) for tag in tags_of(tagger, caption)]


def test_the_caption_of_the_figure(either_tagger):
    tags = tags_of(either_tagger, STREET)
    assert [(t.text, t.kind, t.label) for t in tags] == [
        ("narrow street", "attribute", ""),
        ("colorful facades", "attribute", ""),
        ("blue sky", "attribute", ""),
        ("Montepulciano", "entity", "GPE"),
        ("Italy", "entity", "GPE"),
    ]
    facades = tags[1]
    assert (facades.lemma, facades.head, facades.attributes) == (
        "colorful facade",
        "facade",
        ("colorful",),
    )


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("it is next to a dog", [("dog", "object")]),
        ("a dog beside a brown dog", [("brown dog", "attribute")]),
        ("a dog, a cat and a dog", [("dog", "object"), ("cat", "object")]),
        ("a photo of a group of people", [("group of people", "attribute")]),
        ("two parked cars in Lisbon", [("two parked cars", "attribute"), ("Lisbon", "entity")]),
        ("a French flag", [("French flag", "attribute"), ("French", "entity")]),
    ],
)
def test_what_is_a_tag(either_tagger, caption, expected):
    assert said(either_tagger, caption) == expected


def test_ordinary_nouns_are_no_names(tagger):
    assert said(tagger, "zebras near a motorcycle") == [
        ("zebras", "object"),
        ("motorcycle", "object"),
    ]


def test_a_name_is_no_part_of_an_object(tagger):
    tags = {tag.text: tag for tag in tags_of(tagger, "a woman with a red Nike bag in Paris")}
    assert tags["Nike"].label == "ORG"
    assert tags["Paris"].label == "GPE"
    assert (tags["red bag"].head, tags["red bag"].attributes) == ("bag", ("red",))


def test_entities_of_number_and_time_are_no_tags(tagger):
    tags = tags_of(tagger, "three dogs on 5 May 2011 in Rome")
    assert [tag.label for tag in tags if tag.kind == "entity"] == ["GPE"]


def test_tagging_is_lazy_and_in_order():
    tagger = load_tagger(batch_size=4)
    read = []

    def captions():
        for i in itertools.count():
            read.append(i)
            yield f"a photo of a dog and {'a cat' if i % 2 else 'a horse'}"

    first = list(itertools.islice(tagger.tag(captions()), 6))
    assert [tags[-1].head for tags in first] == ["horse", "cat"] * 3
    assert len(read) == 8


def test_batches_and_forgetting_words_change_nothing(tagger, monkeypatch):
    captions = [STREET, "", "a dog in Rome", "quxly frobs on a zorpish table", "two men"] * 3
    expected = list(tagger.tag(captions))
    assert list(load_tagger(batch_size=2).tag(captions)) == expected
    monkeypatch.setattr(tagger_module, "MAX_CACHED_STRINGS", 0)
    assert list(load_tagger(batch_size=2).tag(captions)) == expected


def test_vocabulary_stops_growing(monkeypatch):
    tagger = load_tagger(batch_size=8)
    monkeypatch.setattr(tagger_module, "MAX_CACHED_STRINGS", len(tagger.nlp.vocab.strings) + 50)
    sizes = []
    for start in range(0, 400, 100):
        words = (f"a wug{i}ly blick{i} near a dog" for i in range(start, start + 100))
        for tags in tagger.tag(words):
            assert tags[-1].text == "dog"
        sizes.append(len(tagger.nlp.vocab.strings))
    # Each hundred captions say two hundred new words.
    assert sizes[-1] - sizes[0] < 20


HOSTILE = {
    "empty": "",
    "blank": " \n\t ",
    "one long word": "a" * 100_000,
    "nested brackets": "[({<" * 25_000,
    "brackets in words": ("(" * 90 + " ") * 20,
    "quotes": "'" * 50_000,
    "emoji": "😀👩‍👩‍👧‍👦" * 5_000,
    "right to left": "שלום עולם مرحبا " * 50,
    "control characters": "".join(map(chr, range(32))) * 10 + "a\0dog\x7f\x85",
    "half a surrogate pair": "a \ud800 dog",
    "combining marks": "e" + "\u0301" * 5_000,
    "direction overrides": "\u202ea dog\u202c on a \u2066mat\u2069",
    "markup": "<b>&lt;dog&gt;</b> {{7*7}} ${HOME} $(id) '; DROP TABLE tags; --",
    "only punctuation": "... !!! ??? ,,, --- ///",
    "conjunctions": "dog, " * 300,
}


@pytest.mark.parametrize("caption", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_gives_sane_tags_and_spares_its_neighbours(tagger, caption):
    before, tags, after = tagger.tag(["a red car", caption, "a red car"])
    assert before == after
    assert [tag.text for tag in before] == ["red car"]
    for tag in tags:
        assert 0 < len(tag.text) <= 100
        tag.text.encode("utf-8")
        assert not any(ord(char) < 32 for char in tag.text)


def test_a_caption_that_is_no_text_is_refused(tagger):
    with pytest.raises(TypeError, match="must be a string, got NoneType"):
        list(tagger.tag([None]))


def test_fingerprint_is_of_content_and_not_of_place(tagger, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(embedded_pipeline(), copy)
    assert load_tagger(copy).fingerprint == tagger.fingerprint
    (copy / "README.md").write_text("another card", encoding="utf-8")
    assert load_tagger(copy).fingerprint == tagger.fingerprint
    meta = copy / "meta.json"
    meta.write_text(
        meta.read_text()
        .replace('"version":"1.0.0"', '"version":"1.0.1"')
        .replace('"version": "1.0.0"', '"version": "1.0.1"')
    )
    changed = load_tagger(copy)
    assert changed.fingerprint != tagger.fingerprint
    assert changed.card.version == "1.0.1"


def test_card_names_what_made_the_tags(tagger):
    import spacy

    card = tagger.card
    assert (card.pipeline, card.spacy) == ("en_caption_sm", spacy.__version__)
    assert card.backend.startswith("SceneGraphParser ")
    assert len(bytes.fromhex(card.fingerprint)) == 32


def test_a_missing_pipeline_is_named():
    with pytest.raises(ConfigurationError, match=r"'en_nothing_sm' is installed.*spacy download"):
        load_tagger("en_nothing_sm")


def test_a_folder_that_is_no_pipeline_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="is not the folder of a spaCy pipeline"):
        load_tagger(tmp_path)


def test_a_pipeline_without_what_tags_need_is_refused(tagger, tmp_path):
    import spacy

    spacy.load(embedded_pipeline(), exclude=["ner", "parser"]).to_disk(tmp_path / "bare")
    with pytest.raises(ConfigurationError, match="has no parser and no ner"):
        load_tagger(tmp_path / "bare")
    spacy.blank("de").to_disk(tmp_path / "german")
    with pytest.raises(ConfigurationError, match="for language 'de'"):
        load_tagger(tmp_path / "german")


def test_components_that_tags_do_not_need_are_left_out(tmp_path):
    import spacy

    nlp = spacy.load(embedded_pipeline())
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "more")
    assert "sentencizer" not in load_tagger(tmp_path / "more").nlp.pipe_names


def test_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        load_tagger(batch_size=0)


def test_field_tags():
    fields = {
        "brand": " Nike ",
        "year": 2011.0,
        "size": 9.5,
        "baseColour": ["Blue", "Red", "Blue", None],
        "season": None,
        "price": math.nan,
        "note": "  ",
    }
    names = ["brand", "year", "size", "baseColour", "season", "price", "note", "absent"]
    tags = field_tags(fields, names)
    assert [(t.label, t.text) for t in tags] == [
        ("brand", "Nike"),
        ("year", "2011"),
        ("size", "9.5"),
        ("baseColour", "Blue"),
        ("baseColour", "Red"),
    ]
    assert {tag.kind for tag in tags} == {"field"}
    assert tags[0].head == tags[0].lemma == "Nike"


@pytest.mark.parametrize("value", [{"a": 1}, [["Blue"]], [{"a": 1}]])
def test_nested_field_is_refused(value):
    with pytest.raises(ValueError, match="'colour' holds a"):
        field_tags({"colour": value}, ["colour"])
