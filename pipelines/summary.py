"""What a command prints when a stage or a build is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from tagmine.annotations import AnnotationCounts, AnnotationTable
from tagmine.embeddings import EmbeddingsParts, open_embeddings
from tagmine.errors import ConfigurationError
from tagmine.layout import embeddings_path, tags_path
from tagmine.manifest import StageCount, VocabularyCard, sum_counts
from tagmine.parts import PartFooter, read_tags_footer
from tagmine.rejects import REASONS
from tagmine.sources import Source
from tagmine.vocabulary import open_vocabulary

_QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5)


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
    dropped = sum((Counter(f.captions_dropped) for f in footers), start=Counter())
    if dropped:
        reasons = ", ".join(f"{count:,} × {reason}" for reason, count in sorted(dropped.items()))
        console.print(
            f"         {dropped.total():,} captions left out of images that stay: {reasons}",
            highlight=False,
            soft_wrap=True,
        )


def print_clip_scores(console: Console, root: Path, sources: Sequence[Source]) -> None:
    """Print how the CLIP scores of the job's shards are spread, for whoever sets a limit."""
    # Copied, so that no part stays mapped for the sake of its column.
    measured = [
        scores[~np.isnan(scores)]
        for part in EmbeddingsParts(root, [source.part for source in sources])
        if (scores := part.clip_scores()) is not None
    ]
    known = np.concatenate(measured)
    if len(known):
        pairs = zip(_QUANTILES, np.quantile(known, _QUANTILES), strict=True)
        text = ", ".join(f"{share:.0%} below {score:.3f}" for share, score in pairs)
        console.print(f"         CLIP scores: {text}", highlight=False, soft_wrap=True)


def print_annotations(
    console: Console,
    root: Path,
    sources: Sequence[Source],
    table: AnnotationTable,
    counts: AnnotationCounts,
) -> None:
    """Print how much of a table of annotations the shards could use.

    Raises:
        ConfigurationError: when no key of it matches a sample.
    """
    matched = sum(_footer(root, "mine", source.part).annotated for source in sources)
    said = f"{counts.rows:,} rows"
    if counts.silent:
        said += f", {counts.silent:,} of them answers that say nothing of the picture"
    if counts.unusable:
        said += f", {counts.unusable:,} that cannot be used ({counts.first_unusable})"
    if not matched:
        found = ", ".join(repr(key) for key in counts.first_keys) or "none"
        raise ConfigurationError(
            f"--annotations {table.path}: none of its keys matches a sample that was kept. "
            f"It has {said}; its keys are such as {found}. If these are not the samples' own keys, "
            "join it by a field of the JSON with --annotations-key; if they are, see why the "
            f"samples were rejected in {root / 'rejects' / 'mine'}."
        )
    # A key that samples of two shards have is matched in each.
    unmatched = max(0, counts.keys - matched)
    console.print(
        f"       annotations: {said}; {counts.keys:,} keys, of which {unmatched:,} match no sample",
        soft_wrap=True,
    )


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
