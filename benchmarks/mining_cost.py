"""What each step of mining costs, in microseconds a caption.

    python -m benchmarks.mining_cost --captions cc3m_val.tsv -n 2000

Each step is timed by itself over the same captions, in CPU seconds, and the best of several
repetitions is taken. The components of the pipeline are timed one after another on the Docs
that the one before leaves; the steps behind them on Docs that are parsed anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.mining_speed import BATCH_SIZE, read_captions, seconds
from tagmine.cleaning import clean_caption
from tagmine.mending import mend_caption
from tagmine.objects import read_objects
from tagmine.scene_graph import DependencyBackend
from tagmine.tag_rules import doc_mentions, merge_mentions
from tagmine.tagger import Tagger, load_tagger


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """One step of mining, and what it costs in microseconds a caption."""

    step: str
    microseconds: float


def measure(tagger: Tagger, captions: Sequence[str], repeats: int = 3) -> list[Cost]:
    """The cost of each step, the pipeline's components first."""
    runs = [_one_run(tagger, captions) for _ in range(repeats)]
    return [Cost(step, min(run[step] for run in runs) / len(captions) * 1e6) for step in runs[0]]


def _one_run(tagger: Tagger, captions: Sequence[str]) -> dict[str, float]:
    costs = {"clean the caption": seconds(lambda: [clean_caption(text) for text in captions])}
    nlp = tagger.nlp
    docs: list = []
    costs["tokenize"] = seconds(lambda: docs.extend(map(nlp.make_doc, captions)))
    for name, component in nlp.pipeline:
        costs[name] = seconds(lambda pipe=component.pipe: _drain(pipe, docs))
    return costs | _rule_costs(tagger, docs)


def _drain(pipe: Callable, docs: list) -> None:
    for _ in pipe(docs, batch_size=BATCH_SIZE):
        pass


def _rule_costs(tagger: Tagger, docs: list) -> dict[str, float]:
    backend, policy = DependencyBackend(tagger.rules.policy), tagger.rules.policy
    mended: list = []
    found: list = []
    graphs: list = []

    def mend() -> None:
        for doc in docs:
            tokens = list(doc)
            mended.append((tokens, *mend_caption(tokens, policy)))

    def parse() -> None:
        for doc, (tokens, _, _) in zip(docs, mended, strict=True):
            found.append(backend.parse_chunks(doc, tokens))

    def read() -> None:
        for (tokens, words, tags), chunks in zip(mended, found, strict=True):
            bounds = [entity["span_bounds"] for entity in chunks["entities"]]
            read_objects(tokens, words, tags, bounds, policy)

    def tag() -> None:
        for doc, graph in zip(docs, graphs, strict=True):
            merge_mentions(doc_mentions(doc, graph, tagger.rules))

    costs = {"mend the parse": seconds(mend), "SceneGraphParser": seconds(parse)}
    costs["read objects and attributes"] = seconds(read)
    graphs.extend(backend.parse_batch(docs))
    return costs | {"names, policy, merging": seconds(tag)}


def main(argv: list[str]) -> None:
    """Prints a table of the steps."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mining_cost")
    parser.add_argument("--captions", type=Path, help="a .tsv, .jsonl or .txt file")
    parser.add_argument("--spacy-model", help="default: the embedded pipeline")
    parser.add_argument("-n", type=int, default=2000, help="captions to mine")
    options = parser.parse_args(argv)
    costs = measure(load_tagger(options.spacy_model), read_captions(options.captions, options.n))
    total = sum(cost.microseconds for cost in costs)
    for cost in costs:
        share = cost.microseconds / total
        print(f"{cost.step:30} {cost.microseconds:8.1f} µs a caption {share:7.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
