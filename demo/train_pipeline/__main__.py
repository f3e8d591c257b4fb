"""Trains and packs the caption pipeline.

    python -m demo.train_pipeline --data SILVER --lemma-tables MODEL/lemmatizer/lookups

SILVER holds train.spacy and dev.spacy. MODEL is a folder of an English spaCy pipeline whose
rule lemmatizer tables are packed into the result.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from demo.train_pipeline import evaluate, pack

CONFIG = Path(__file__).with_name("config.cfg")
DEFAULT_OUT = Path(__file__).parents[1] / "en_caption_sm"


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line as options."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.train_pipeline",
        description="Trains demo/en_caption_sm on silver captions; about half an hour on one core.",
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train.spacy and dev.spacy"
    )
    parser.add_argument(
        "--lemma-tables",
        type=Path,
        required=True,
        help="the lemmatizer/lookups folder of an English spaCy pipeline",
    )
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="default: %(default)s")
    parser.add_argument("--max-steps", type=int, help="default: as in config.cfg")
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Trains, packs and prints the scores on the dev set."""
    from spacy.cli.train import train

    options = parse(argv)
    train_file, dev_file = options.data / "train.spacy", options.data / "dev.spacy"
    overrides = {"paths.train": str(train_file), "paths.dev": str(dev_file)}
    if options.max_steps:
        overrides["training.max_steps"] = options.max_steps
    with tempfile.TemporaryDirectory(prefix="en_caption_sm.") as work:
        train(CONFIG, work, overrides=overrides)
        pack.pack_pipeline(Path(work) / "model-best", options.lemma_tables, options.out)
    scores = evaluate.score_pipeline(options.out, dev_file, train_file)
    pack.write_scores(options.out, scores)
    for name, score in scores.items():
        print(f"{name:18} {score:.4f}")


if __name__ == "__main__":
    main(sys.argv[1:])
