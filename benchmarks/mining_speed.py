"""How much mining costs beside the parse it rests on.

    python -m benchmarks.mining_speed --captions cc3m_val.tsv -n 4000

Two ratios over alternating repetitions in one process: the median of the pairs, and that of the
best runs, which a busy machine disturbs least:

- tag() against the bare `nlp.pipe` of the same pipeline over the same texts: at least 0.90;
- tag() against the obvious loop, `sng_parser.Parser.parse(caption)` and then `nlp(caption)` for
  the entities, a caption at a time: at least 5. The loop is timed on fewer captions.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tagmine.tagger import Tagger, embedded_pipeline, load_tagger

BATCH_SIZE = 256
GENERATED = (
    "A narrow street with colorful facades under a blue sky in Montepulciano, Italy.",
    "two brown dogs running along the beach near a red umbrella",
    "a woman in a striped dress by Velora is standing next to a parked car",
    "a photo of a group of people at a market in Lisbon",
)


def read_captions(path: Path | None, count: int) -> list[str]:
    """Captions of a .tsv (first column), .jsonl (field "captions") or .txt file (lines).

    Without a file, a few captions of our own over and over.
    """
    if path is None:
        return list(itertools.islice(itertools.cycle(GENERATED), count))
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.suffix == ".jsonl":
        captions = [caption for line in lines for caption in json.loads(line)["captions"]]
    else:
        captions = [line.split("\t")[0] for line in lines]
    if len(captions) < count:
        raise SystemExit(f"{path} has {len(captions)} captions; -n {count} asks for more")
    return captions[:count]


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process, so that a neighbour's work does not count."""
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def bare_pipe(tagger: Tagger, captions: Sequence[str]) -> None:
    """The parse alone; each Doc is dropped when the next one comes."""
    for _ in tagger.nlp.pipe(captions, batch_size=BATCH_SIZE):
        pass


def mine(tagger: Tagger, captions: Sequence[str]) -> None:
    """What the job does; the tags of a caption are dropped when the next ones come, too."""
    for _ in tagger.tag(captions):
        pass


def obvious_loop(model: str, captions: Sequence[str]) -> Callable[[], None]:
    """SceneGraphParser as its README shows it, then spaCy again for the entities."""
    import sng_parser
    import spacy

    parser = sng_parser.Parser("spacy", model=model)
    nlp = spacy.load(model)

    def loop() -> None:
        for caption in captions:
            parser.parse(caption)
            _ = nlp(caption).ents

    return loop


def compare(model: str | None, captions: Sequence[str], repeats: int = 5) -> Iterator[str]:
    """Lines that say how fast mining is beside the bare parse and the obvious loop."""
    few = captions[: max(1, len(captions) // 10)]
    tagger = load_tagger(model, batch_size=BATCH_SIZE)
    loop = obvious_loop(str(model or embedded_pipeline()), few)
    mine(tagger, captions)  # Both sides then find every word in the tokenizer's cache.
    loop()
    rows: list[tuple[float, float, float]] = []
    for _ in range(repeats):
        bare = len(captions) / seconds(lambda: bare_pipe(tagger, captions))
        mined = len(captions) / seconds(lambda: mine(tagger, captions))
        looped = len(few) / seconds(loop)
        rows.append((bare, mined, looped))
        yield f"captions/s  nlp.pipe {bare:7.0f}   tag {mined:7.0f}   loop {looped:7.0f}"
    bare, mined, looped = (max(column) for column in zip(*rows, strict=True))
    paired = statistics.median(m / b for b, m, _ in rows)
    yield f"tag / nlp.pipe  median {paired:.3f}, best runs {mined / bare:.3f}  (at least 0.90)"
    paired = statistics.median(m / x for _, m, x in rows)
    yield f"tag / loop      median {paired:.2f}, best runs {mined / looped:.2f}  (at least 5)"


def main(argv: list[str]) -> None:
    """Prints captions a second and the two ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mining_speed")
    parser.add_argument("--captions", type=Path, help="a .tsv, .jsonl or .txt file")
    parser.add_argument("--spacy-model", help="default: the embedded pipeline")
    parser.add_argument("-n", type=int, default=4000, help="captions to mine")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(argv)
    captions = read_captions(options.captions, options.n)
    for line in compare(options.spacy_model, captions, options.repeats):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
