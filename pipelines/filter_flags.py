"""The flags of the filters, and the options that they become."""

from __future__ import annotations

import argparse
from pathlib import Path

from tagmine.caption_filters import CaptionFilters, read_blocklist


def add_caption_filters(parser: argparse.ArgumentParser) -> None:
    """The flags that choose which captions are mined."""
    group = parser.add_argument_group(
        "caption filters",
        "A caption that fails is left out; an image none of whose captions is left is a reject "
        "with the reason.",
    )
    group.add_argument(
        "--min-caption-words",
        type=int,
        default=0,
        metavar="N",
        help="drop captions of fewer words, as white space parts them (default: keep all)",
    )
    group.add_argument(
        "--max-caption-words",
        type=int,
        metavar="N",
        help="drop captions of more words (default: keep all)",
    )
    group.add_argument(
        "--language",
        metavar="CODE",
        help="drop captions in another language than this, such as en; those too short to tell "
        "are kept (default: keep all)",
    )
    group.add_argument(
        "--blocklist",
        type=Path,
        metavar="FILE",
        help="drop captions that hold one of these words or phrases, one a line, # for comments; "
        "case and punctuation make no difference, and only whole words count",
    )


def read_caption_filters(arguments: argparse.Namespace) -> CaptionFilters:
    """The filters that the flags ask for.

    Raises:
        ConfigurationError: for values that cannot work, or a blocklist that cannot be read.
    """
    path = arguments.blocklist
    return CaptionFilters(
        min_words=arguments.min_caption_words,
        max_words=arguments.max_caption_words,
        language=arguments.language,
        blocklist=read_blocklist(path) if path is not None else (),
    )


def add_clip_scores(group: argparse._ArgumentGroup) -> None:
    """The flag that has scores measured."""
    group.add_argument(
        "--clip-scores",
        action="store_true",
        help="also store each image's CLIP score: the highest cosine of its vector with one of "
        "its captions' vectors. Costs a pass of the text tower for each caption (ViT-B-32 on a "
        "CPU: 0.7 of an image's). --min-clip-score needs it",
    )


def add_min_clip_score(group: argparse._ArgumentGroup) -> None:
    """The flag that filters by them."""
    group.add_argument(
        "--min-clip-score",
        type=float,
        metavar="X",
        help="leave out of the index images whose CLIP score is below this cosine; another value "
        "fills the index again but embeds nothing. What fits depends on the model; embed prints "
        "how the scores are spread (default: keep all)",
    )
