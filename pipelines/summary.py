"""What a command prints when a stage or a build is over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tagmine.embeddings import open_embeddings
from tagmine.layout import embeddings_path, tags_path
from tagmine.manifest import StageCount, VocabularyCard, sum_counts
from tagmine.parts import PartFooter, read_tags_footer
from tagmine.rejects import REASONS
from tagmine.sources import Source
from tagmine.vocabulary import open_vocabulary


def _footer(root: Path, stage: str, part: int) -> PartFooter:
    if stage == "mine":
        return read_tags_footer(root / tags_path(part))
    return open_embeddings(root / embeddings_path(part)).footer


def print_stage(
    console: Console, root: Path, stage: str, sources: Sequence[Source], kept: int
) -> None:
    """Print what a stage read, wrote and rejected, with a line for each reason.

    Args:
        console: where to.
        root: the datastore's folder.
        stage: "mine" or "embed".
        sources: the shards of the job.
        kept: how many parts were found finished.
    """
    footers = [_footer(root, stage, source.part) for source in sources]
    total = sum_counts([StageCount(f.read, f.written, f.rejected) for f in footers])
    before = f"; {kept:,} of {len(sources):,} parts were finished before" if kept else ""
    print_count(console, stage, total, before)


def print_count(console: Console, stage: str, total: StageCount, more: str = "") -> None:
    """Print a stage's count, and a line for each reason of its rejects."""
    console.print(f"{stage:<6} {describe_count(total)}{more}", soft_wrap=True)
    for reason, count in total.rejected.items():
        console.print(f"         {count:,} × {reason}: {REASONS[reason]}", soft_wrap=True)


def describe_count(total: StageCount) -> str:
    """ "1,200 read = 1,197 written + 3 rejected"."""
    rejected = sum(total.rejected.values())
    return f"{total.read:,} read = {total.written:,} written + {rejected:,} rejected"


def print_vocabulary(console: Console, root: Path, card: VocabularyCard) -> None:
    """Print how many unique tags a datastore has, and how many of them the floor leaves out."""
    floor = card.min_tag_images
    rare = open_vocabulary(root / card.file.path).left_out(floor) if floor > 1 else 0
    pruned = f"; {rare:,} in fewer than {floor:,} images are left out" if floor > 1 else ""
    console.print(f"tags   {card.file.rows:,} unique tags{pruned}", soft_wrap=True)
