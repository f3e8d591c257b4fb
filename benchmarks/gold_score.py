"""Objects and attributes of captions against gold scene graphs.

    python -m benchmarks.gold_score --gold factual_test.csv --spacy-model en_core_web_sm

Scores are micro-averaged over captions, each caption's objects and (object, attribute) pairs
taken as sets. Objects are every subject and object of the graph; attributes are the pairs of
predicate `is`. Both sides are lower-cased, articles are taken off, number words become digits,
and plural endings come off each word by rule. Each pipeline is scored twice: with
SceneGraphParser's output as it comes, and with tagmine's scene graph.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagmine.scene_graph import DependencyBackend, SceneGraph
from tagmine.tag_policy import load_policy
from tagmine.tagger import embedded_pipeline, load_tagger
from tagmine.tags import Tag

if TYPE_CHECKING:
    from spacy.tokens import Doc

ARTICLES = frozenset({"a", "an", "the"})
NUMBERS = {
    **{"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6"},
    **{"seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12"},
}
TRIPLE = re.compile(r"\(\s*(.*?)\s*\)(?=\s*(?:,\s*\(|$))")


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """Objects of one caption, and its (object, attribute) pairs, in comparable form."""

    objects: frozenset[str]
    attributes: frozenset[tuple[str, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """Micro precision, recall and F1, from 0 to 1."""

    precision: float
    recall: float
    f1: float


def singular(word: str) -> str:
    """The word without a regular plural ending."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def comparable(phrase: str) -> str:
    """A phrase as it is compared: see the head of this module."""
    words = [word for word in phrase.lower().split() if word not in ARTICLES]
    return " ".join(singular(NUMBERS.get(word, word)) for word in words)


def read_gold(path: Path) -> Iterator[tuple[str, Facts]]:
    """Captions and their gold facts."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["caption"], gold_facts(row["scene_graph"])


def gold_facts(graph: str) -> Facts:
    """The facts of a graph written as "( subject , predicate , object ) , ( object )"."""
    objects: set[str] = set()
    attributes: set[tuple[str, str]] = set()
    for triple in TRIPLE.findall(graph):
        parts = [part.strip() for part in triple.split(" , ")]
        objects.add(comparable(parts[0]))
        if len(parts) == 3 and parts[1] == "is":
            attributes.add((comparable(parts[0]), comparable(parts[2])))
        elif len(parts) == 3:
            objects.add(comparable(parts[2]))
    return Facts(frozenset(objects - {""}), frozenset(attributes))


def raw_facts(parser: Any, doc: Doc) -> Facts:
    """What SceneGraphParser itself says, determiners left out."""
    entities = parser.parse(doc)["entities"]
    return Facts(
        frozenset(comparable(e["head"]) for e in entities),
        frozenset(
            (comparable(e["head"]), comparable(m["span"]))
            for e in entities
            for m in e["modifiers"]
            if m["dep"] != "det"
        ),
    )


def graph_facts(graph: SceneGraph) -> Facts:
    """What tagmine's scene graph says."""
    return Facts(
        frozenset(comparable(e.noun) for e in graph.entities),
        frozenset(
            (comparable(e.noun), comparable(a)) for e in graph.entities for a in e.attributes
        ),
    )


def tag_facts(tags: Iterable[Tag]) -> Facts:
    """What the tags say that a datastore keeps: a name counts as an object."""
    tags = list(tags)
    return Facts(
        frozenset(comparable(tag.head) for tag in tags),
        frozenset((comparable(t.head), comparable(a)) for t in tags for a in t.attributes),
    )


def is_held_out(caption: str) -> bool:
    """Whether a caption is of the half whose errors nobody looked at while making the rules."""
    return int(hashlib.md5(caption.encode(), usedforsecurity=False).hexdigest(), 16) % 2 == 1


def micro(found: Iterable[frozenset], wanted: Iterable[frozenset]) -> Score:
    """Micro-averaged agreement of two sequences of sets."""
    pairs = list(zip(found, wanted, strict=True))
    both = sum(len(f & w) for f, w in pairs)
    precision = both / max(1, sum(len(f) for f, _ in pairs))
    recall = both / max(1, sum(len(w) for _, w in pairs))
    return Score(precision, recall, 2 * precision * recall / max(1e-12, precision + recall))


def score(found: Iterable[Facts], gold: Sequence[Facts]) -> tuple[Score, Score]:
    """Scores of objects and of attributes."""
    found = list(found)
    return (
        micro([f.objects for f in found], [g.objects for g in gold]),
        micro([f.attributes for f in found], [g.attributes for g in gold]),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """Scores of one pipeline, read by one reader."""

    pipeline: str
    reader: str
    objects: Score
    attributes: Score


def score_pipelines(gold_file: Path, models: Sequence[str | Path | None]) -> Iterator[Row]:
    """Rows of the table: each pipeline with SceneGraphParser as it comes, then with tagmine.

    tagmine has three rows: its scene graph over all captions, that over the held-out half, and the
    tags that are kept of it, with their stop lists and canonical forms.

    Args:
        gold_file: factual_test.csv.
        models: spaCy pipelines by name or folder; None for the embedded one.
    """
    captions, gold = zip(*read_gold(gold_file), strict=True)
    backend = DependencyBackend(load_policy())
    for model in models:
        tagger = load_tagger(model)
        nlp = tagger.nlp
        name = Path(model or embedded_pipeline()).name
        readers = {
            "SceneGraphParser": lambda doc: raw_facts(backend.parser, doc),
            "tagmine": lambda doc: graph_facts(backend.parse(doc)),
        }
        for reader, read in readers.items():
            # Parsed anew for each reader: tagmine mends the Doc it reads.
            found = [read(doc) for doc in nlp.pipe(captions)]
            yield Row(name, reader, *score(found, gold))
        half = [i for i, caption in enumerate(captions) if is_held_out(caption)]
        scores = score([found[i] for i in half], [gold[i] for i in half])
        yield Row(name, f"tagmine, {len(half)} held out", *scores)
        yield Row(name, "tagmine, tags as kept", *score(map(tag_facts, tagger.tag(captions)), gold))


def main(argv: list[str]) -> None:
    """Prints a table, one row for each pipeline and reader."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gold_score")
    parser.add_argument("--gold", type=Path, required=True, help="factual_test.csv")
    parser.add_argument(
        "--spacy-model", action="append", default=[], help="a further pipeline to score; repeatable"
    )
    options = parser.parse_args(argv)
    print(f"{'':52}objects  P     R     F1   attributes  P     R     F1")
    for row in score_pipelines(options.gold, [None, *options.spacy_model]):
        cells = [
            f"{s.precision:.3f} {s.recall:.3f} {s.f1:.3f}" for s in (row.objects, row.attributes)
        ]
        print(f"{row.pipeline:28.28} {row.reader:22}  {cells[0]}       {cells[1]}")


if __name__ == "__main__":
    main(sys.argv[1:])
