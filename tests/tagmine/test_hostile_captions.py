"""Captions from strangers: whatever they hold, mining ends, and its trees stay trees."""

from __future__ import annotations

import resource
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagmine.cleaning import MAX_WORD_CHARACTERS, MAX_WORDS, clean_caption
from tagmine.tag_policy import MAX_TAG_CHARACTERS, load_policy
from tagmine.tagger import load_tagger

POLICY = load_policy()
# Words that set off one rule or another, so that chance meets several at once.
TRIGGERS = sorted(
    {word for compound in POLICY.compounds for word in compound}
    | set(list(sorted(POLICY.nouns))[:60])
    | POLICY.verbs
    | POLICY.collectives
    | POLICY.places
    | {"is", "are", "made", "of", "from", "and", ",", ".", "-", "the", "a", "red", "colored"}
    | {"style", "who", "that", "'s"}
)
MARKS = st.sampled_from(["<", ">", "&amp;", "&#0;", "&#xD800;", "#", "@", "[", "(", "{", "\u202e"])
WORDS = st.one_of(st.sampled_from(TRIGGERS), MARKS, st.text(max_size=8))
RELAXED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def tagger():
    return load_tagger(relations=True, batch_size=16)


@RELAXED
@given(st.one_of(st.text(max_size=400), st.lists(WORDS, max_size=30).map(" ".join)))
def test_any_text_is_mined_into_sound_tags(tagger, caption):
    doc, mentions = tagger.mentions(caption)
    for token in doc:
        # A loop among the mended arcs would make one of these longer than the caption.
        assert sum(1 for _ in token.ancestors) < max(1, len(doc))
    for mention in mentions:
        tag = mention.tag
        assert 0 <= mention.start <= mention.end <= len(doc)
        assert tag.text == tag.text.strip() and 0 < len(tag.text) <= MAX_TAG_CHARACTERS
        assert any(character.isalpha() for character in tag.lemma)
        tag.text.encode("utf-8")
    assert next(tagger.tag([caption])) == next(tagger.tag([caption]))


@RELAXED
@given(st.text(max_size=600))
def test_cleaning_is_bounded_and_settles(text):
    once = clean_caption(text)
    assert once.isprintable() or not text.isprintable() or "&" in text
    assert len(once.split()) <= MAX_WORDS
    once.encode("utf-8")


@pytest.mark.parametrize(
    "caption",
    [
        "a" * 100_000,
        "[({<" * 25_000,
        "<" * 100_000,
        "<a " * 30_000,
        "# " * 50_000,
        "&amp;" * 20_000,
        "&" * 100_000,
        "a@" * 40_000,
        "x." * 40_000,
        "1/" * 40_000,
        "stop sign " * 10_000,
        "of " * 30_000,
        "a man and " * 10_000,
        "group of " * 10_000,
        "is red and " * 10_000,
        "made of " * 10_000,
        "http://" * 20_000,
        "\u0300" * 100_000,
    ],
    ids=lambda caption: repr(caption[:9]),
)
def test_long_hostile_captions_end(tagger, caption):
    cleaned = clean_caption(caption)
    assert all(len(word) <= MAX_WORD_CHARACTERS for word in cleaned.split())
    assert len(cleaned) <= 10_000
    assert isinstance(next(tagger.tag([caption])), list)


def test_hostile_captions_do_not_grow_memory(tagger):
    """The peak after thousands of them is that after the first hundreds."""

    def mine(start, count):
        hostile = (
            f"{chr(0x4E00 + i % 20_000)}wug{i} " * 40 + "[(" * 200
            for i in range(start, start + count)
        )
        for _ in tagger.tag(hostile):
            pass
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    unit = 1024 if sys.platform == "darwin" else 1
    first = mine(0, 300) // unit
    later = mine(1_000, 1_500) // unit
    assert later - first < 150
