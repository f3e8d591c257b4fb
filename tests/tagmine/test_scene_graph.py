"""The scene graph parser over a parsed Doc, against SceneGraphParser itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tagmine import scene_graph
from tagmine.errors import ConfigurationError
from tagmine.scene_graph import DependencyBackend, Relation
from tagmine.tag_policy import load_policy
from tagmine.tagger import load_tagger

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def nlp():
    return load_tagger().nlp


@pytest.fixture(scope="module")
def backend():
    return DependencyBackend(load_policy())


def heads(graph):
    return [(entity.attributes, entity.head) for entity in graph.entities]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (
            "A narrow street with colorful facades",
            [(("narrow",), "street"), (("colorful",), "facade")],
        ),
        ("a red and white umbrella", [(("red", "white"), "umbrella")]),
        (
            "a fire hydrant next to two parked cars",
            [((), "fire hydrant"), (("two", "parked"), "car")],
        ),
        ("an older couple in a living room", [(("older",), "couple"), ((), "living room")]),
        ("a tall man's blue shirt", [(("tall",), "man"), (("blue",), "shirt")]),
    ],
)
def test_entities_have_heads_and_attributes(nlp, backend, caption, expected):
    assert heads(backend.parse(nlp(caption))) == expected


def test_pronouns_are_no_entities_and_relations_still_point_right(nlp, backend):
    graph = backend.parse(nlp("it is next to a dog that wears a red hat on a beach"))
    assert "it" not in [entity.head for entity in graph.entities]
    for relation in graph.relations:
        assert 0 <= relation.subject < len(graph.entities)
        assert 0 <= relation.object < len(graph.entities)


def test_relations_join_subject_and_object(nlp, backend):
    graph = backend.parse(nlp("A woman is riding a horse on the beach."))
    assert [entity.head for entity in graph.entities] == ["woman", "horse", "beach"]
    assert Relation(0, "ride", 1, "riding") in graph.relations


def test_position_and_wording_of_an_entity(nlp, backend):
    doc = nlp("There are some brightly colored umbrellas on the beach")
    entity = backend.parse(doc).entities[0]
    assert doc[entity.start : entity.end].text.endswith("umbrellas")
    assert (entity.text, entity.noun) == ("brightly colored umbrellas", "umbrellas")


def coco_captions(count):
    path = SHARED / "captions" / "coco_val2017.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with path.open(encoding="utf-8") as lines:
        return [json.loads(next(lines))["captions"][0] for _ in range(count)]


def test_real_captions_give_what_scene_graph_parser_gives(nlp, backend):
    """Its entities and relations on the mended Doc, but for what the class says it mends."""
    same = total = relations = 0
    for doc in nlp.pipe(coco_captions(300)):
        ours = backend.parse(doc)
        theirs = backend.parser.parse(doc)
        by_end = {entity.end: i for i, entity in enumerate(ours.entities)}
        for i, their in enumerate(theirs["entities"]):
            start, end = their["span_bounds"]
            if end not in by_end:
                assert _is_mended_away(doc, start, end, backend), doc[start:end]
                continue
            total += 1
            entity = ours.entities[by_end[end]]
            modifiers = [m["span"].casefold() for m in their["modifiers"] if m["dep"] != "det"]
            same += entity.noun == their["head"].casefold() and list(entity.attributes) == modifiers
            for relation in theirs["relations"]:
                other = theirs["entities"][relation["object"]]["span_bounds"][1]
                if relation["subject"] == i and other in by_end:
                    found = [(r.subject, r.predicate, r.object) for r in ours.relations]
                    assert (by_end[end], relation["lemma_relation"], by_end[other]) in found
                    relations += 1
    assert total > 500
    assert relations > 200
    assert same / total > 0.8


def _is_mended_away(doc, start, end, backend):
    policy, root = backend._policy, doc[end - 1]
    measures = policy.partitives | policy.collectives
    before_of = doc[end : end + 1].text == "of" and {root.lower_, root.lemma_} & measures
    place = root.lower_ in policy.places and doc[start - 1].tag_ == "IN"
    return root.pos_ == "PRON" or before_of or place


def import_only_from(monkeypatch, folder):
    for name in [n for n in sys.modules if n.partition(".")[0] == scene_graph.MODULE]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(folder))
    scene_graph._dependency_parser_class.cache_clear()


@pytest.fixture
def forget_parser_class():
    yield
    scene_graph._dependency_parser_class.cache_clear()


def test_the_unrelated_sng_parser_is_refused(tmp_path, monkeypatch, forget_parser_class):
    (tmp_path / "sng_parser.py").write_text("def parse_song(path):\n    return {}\n")
    import_only_from(monkeypatch, tmp_path)
    with pytest.raises(ConfigurationError, match="unrelated song-file reader") as error:
        DependencyBackend(load_policy())
    assert str(tmp_path / "sng_parser.py") in str(error.value)
    assert "pip uninstall sng-parser" in str(error.value)


def test_a_missing_parser_is_named(tmp_path, monkeypatch, forget_parser_class):
    (tmp_path / "sng_parser.py").write_text("raise ImportError('not here')\n")
    import_only_from(monkeypatch, tmp_path)
    with pytest.raises(ConfigurationError, match="pip install SceneGraphParser"):
        DependencyBackend(load_policy())
