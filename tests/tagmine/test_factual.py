"""FACTUAL's output as scene graphs: documented forms, gold graphs, and whatever else comes."""

from __future__ import annotations

import csv
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.gold_score import comparable, gold_facts, graph_facts
from tagmine.factual import MAX_FACTS, merge_graphs, read_facts, read_graph
from tagmine.tag_policy import load_policy
from tagmine.tag_rules import TagRules, doc_mentions, merge_mentions
from tagmine.tagger import Tagger, load_tagger

# What the model writes, with nothing stopped or written in another form.
RULES = TagRules(
    dataclasses.replace(
        load_policy(),
        canonical={},
        canonical_attributes={},
        photo_words=frozenset(),
        stop_attributes=frozenset(),
        stop_heads=frozenset(),
    )
)
PIGS = "2 beautiful pigs are flying on the sky with 2 bags on their backs"


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return load_tagger()


def said(facts):
    """Facts as plain tuples, each the elements that it has."""
    return [
        (f.subject.name, f.attribute)
        if f.attribute
        else (f.subject.name, f.predicate, f.object.name)
        if f.object
        else (f.subject.name,)
        for f in facts
    ]


def graph_of(tagger, caption, output):
    doc = tagger.nlp(caption)
    return doc, read_graph(doc, output)


def tags_of(tagger, caption, output):
    doc, graph = graph_of(tagger, caption, output)
    return [(tag.text, tag.lemma) for tag in merge_mentions(doc_mentions(doc, graph, RULES))]


@pytest.mark.parametrize(
    ("output", "facts"),
    [
        (
            "( pigs , is , 2 ) , ( bags , on back of , pigs ), ( pigs , fly on , sky )",
            [("pigs", "2"), ("bags", "on back of", "pigs"), ("pigs", "fly on", "sky")],
        ),
        ("( bridge )", [("bridge",)]),
        ("(bench,is,wooden),(bench,v:face,sea)", [("bench", "wooden"), ("bench", "face", "sea")]),
        ("( car, pv:park on, ground )", [("car", "park on", "ground")]),
        ("( car , pv:park , on , ground )", [("car", "park on", "ground")]),
        ("( shirt , is , red , white )", [("shirt", "red"), ("shirt", "white")]),
        ("( pigs , has_attribute , pink )", [("pigs", "pink")]),
        ("( people , is , 1,000 )", [("people", "1,000")]),
        ("( a dog , wear , the hat )", [("dog", "wear", "hat")]),
        ("( small pieces of pizza , on , plate )", [("pizza", "on", "plate")]),
        ("( stacks of books , v:cover , table )", [("books", "cover", "table")]),
    ],
)
def test_documented_outputs(output, facts):
    assert said(read_facts(output)) == facts


@pytest.mark.parametrize(
    ("output", "facts"),
    [
        ("", []),
        ("the dog is brown", []),
        ("()", []),
        ("( , is , red )", []),
        ("( bench , is , woo", [("bench",)]),
        ("( ben", []),
        ("( bench , is , wooden ) ,", [("bench", "wooden")]),
        ("( dog , is , big ) , ( bench , on , gra", [("dog", "big"), ("bench",)]),
        ("( dog , brown )", [("dog",)]),
        ("( dog , on , )", [("dog",)]),
        ("( dog , is , )", [("dog",)]),
        ("( dog , on , mat ) , ( dog , on , mat )", [("dog", "on", "mat")]),
        ("dog , on , mat ) , cat , is , black )", [("dog", "on", "mat"), ("cat", "black")]),
        ("( dog , on , mat ( cat , is , black )", [("dog", "on", "mat"), ("cat", "black")]),
        ("((( dog , is , big )))", [("dog", "big")]),
        ("( ... , is , big )", []),
        (f"( {'x' * 500} , is , big ) , ( dog )", [("dog",)]),
        ("( dog\ud800\0 , is , big )", [("dog", "big")]),
    ],
)
def test_what_can_be_read_of_a_bad_output_is_kept(output, facts):
    assert said(read_facts(output)) == facts


def test_objects_of_one_name_are_told_apart_by_number(tagger):
    doc, graph = graph_of(
        tagger,
        "A monkey is sitting next to another monkey",
        "( monkey, v:sit next to, monkey:1 ) , ( monkey:1 , is , big )",
    )
    assert [(e.start, e.end) for e in graph.entities] == [(1, 2), (7, 8)]
    (relation,) = graph.relations
    assert (relation.subject, relation.predicate, relation.object) == (0, "sit next to", 1)


def test_tags_are_worded_as_the_caption_says_them(tagger):
    output = "( pigs , is , beautiful ) , ( pigs , is , 2 ) , ( bags , is , 2 ) , ( sky )"
    assert tags_of(tagger, PIGS, output) == [
        ("2 beautiful pigs", "2 beautiful pig"),
        ("sky", "sky"),
        ("2 bags", "2 bag"),
    ]
    output = "( cats , is , 2 ) , ( cats , is , white ) , ( cats , is , black )"
    assert tags_of(tagger, "Two black and white cats", output) == [
        ("Two black and white cats", "two black white cat")
    ]
    output = "( cats , is , 2 ) , ( cats , is , white )"
    assert tags_of(tagger, "Two black and white cats", output) == [
        ("two white cats", "two white cat")
    ]
    assert tags_of(tagger, "the cat on the sofa is black", "( cat , is , black )") == [
        ("black cat", "black cat")
    ]


def test_heads_are_those_of_the_default_parser(tagger):
    caption = "three men beside two stop signs and a narrow street with colorful facades"
    output = (
        "( men , beside , stop signs ) , ( street , is , narrow ) , ( facades , is , colorful ) , "
        "( stop signs , is , 2 ) , ( men , is , 3 )"
    )
    default = {(tag.text, tag.lemma, tag.head) for tag in next(tagger.tag([caption]))}
    doc, graph = graph_of(tagger, caption, output)
    tags = merge_mentions(doc_mentions(doc, graph, RULES))
    assert {(tag.text, tag.lemma, tag.head) for tag in tags} == default
    assert {"man", "stop sign", "street", "facade"} == {tag.head for tag in tags}


def test_an_attribute_goes_to_the_mention_that_it_depends_on(tagger):
    output = "( car , is , blue ) , ( car , is , red ) , ( car , next to , car )"
    assert tags_of(tagger, "a red car next to a blue car", output) == [
        ("red car", "red car"),
        ("blue car", "blue car"),
    ]


def test_an_object_in_other_words_has_no_place(tagger):
    output = "( person , is , tall ) , ( person , in , rome )"
    _, graph = graph_of(tagger, "a tall guy in Rome", output)
    person = graph.entities[-1]
    assert (person.start, person.end) == (0, 0)
    assert (person.text, person.head, person.attributes) == ("tall person", "person", ("tall",))
    assert [t for t, _ in tags_of(tagger, "a guy in Rome", "( person , in , rome )")] == [
        "person",
        "Rome",
    ]


def test_pronouns_are_no_entities(tagger):
    _, graph = graph_of(tagger, "it is on a mat", "( it , on , mat )")
    assert [e.head for e in graph.entities] == ["mat"]
    assert not graph.relations


def test_graphs_of_pieces_keep_their_relations(tagger):
    doc = tagger.nlp("A dog is on a mat. A cat is on a mat.")
    graph = merge_graphs(
        [read_graph(doc, "( dog , on , mat )", 0, 7), read_graph(doc, "( cat , on , mat )", 7)]
    )
    heads = [entity.head for entity in graph.entities]
    assert [(heads[r.subject], heads[r.object]) for r in graph.relations] == [
        ("dog", "mat"),
        ("cat", "mat"),
    ]
    assert len({entity.start for entity in graph.entities}) == 4


OUTPUT_PARTS = st.sampled_from(
    [*"(), ", " , ", "is", "dog", "dogs", "red", "v:", ":1", "2", "of", "pieces of", "it"]
)
OUTPUTS = st.one_of(st.text(), st.lists(OUTPUT_PARTS, max_size=60).map("".join))
CAPTIONS = (PIGS, "a red car and it is big", "", "Montepulciano, Italy", "...")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CAPTIONS), OUTPUTS)
def test_any_output_gives_a_sound_graph(tagger, caption, output):
    doc, graph = graph_of(tagger, caption, output)
    for entity in graph.entities:
        assert 0 <= entity.start <= entity.end <= len(doc)
        assert entity.head and entity.noun and entity.text.isprintable()
    for relation in graph.relations:
        assert max(relation.subject, relation.object) < len(graph.entities)
    for mention in doc_mentions(doc, graph, RULES):
        mention.tag.text.encode()
        mention.tag.lemma.encode()


@pytest.mark.parametrize(
    "output",
    ["(" * 1_000_000, "( a , on , b ) , " * 100_000, ", " * 1_000_000, "dog" * 1_000_000]
    + [" , ".join(f"( dog{i} , is , red{i} )" for i in range(100_000))],
    ids=["brackets", "repeats", "commas", "word", "facts"],
)
def test_output_is_bounded(tagger, output):
    assert len(read_facts(output)) <= MAX_FACTS
    graph_of(tagger, "a red dog " * 300, output)


@pytest.fixture(scope="module")
def gold(shared_data, tagger):
    path = shared_data / "gold" / "factual_test.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    docs = tagger.nlp.pipe(row["caption"] for row in rows)
    return [(doc, row["scene_graph"]) for doc, row in zip(docs, rows, strict=True)]


def test_gold_graphs_come_out_as_they_are(gold):
    other = [
        doc.text for doc, text in gold if graph_facts(read_graph(doc, text)) != gold_facts(text)
    ]
    assert len(gold) > 700
    # A gold "man" of "two men" is an entity of the noun "men", as the caption says it.
    assert len(other) <= 0.01 * len(gold), other


def test_gold_objects_and_attributes_become_tags(gold):
    checked = 0
    for doc, text in gold:
        graph = read_graph(doc, text)
        if doc.ents or graph_facts(graph) != gold_facts(text):
            continue
        tags = merge_mentions(doc_mentions(doc, graph, RULES))
        nouns = {entity.head: comparable(entity.noun) for entity in graph.entities}
        wanted = gold_facts(text)
        found = {(nouns[tag.head], comparable(word)) for tag in tags for word in tag.attributes}
        assert wanted.attributes == found, doc.text
        assert wanted.objects == {nouns[tag.head] for tag in tags}, doc.text
        checked += 1
    assert checked > 500
