"""What follows the filling of an index: merge it, look for drift, tune the search."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from rich.console import Console

from index.drift import advise, measure_drift
from index.files import read_card
from index.ondisk import merge_on_disk, merged_cards
from index.search import Datastore
from index.tuning import tune
from pipelines.options import DEFAULT_RECALL_AT, IndexOptions
from tagmine.layout import TRAINED_INDEX
from tagmine.manifest import IndexCard, Manifest
from tagmine.mirror import address_of
from tagmine.parts import file_sha256


def finish(
    options: IndexOptions,
    root: Path,
    manifest: Manifest,
    published: Manifest | None,
    console: Console,
) -> Manifest:
    """The manifest with what was merged, measured and tuned.

    Args:
        options: what was asked for.
        root: the datastore's folder, with every file of the manifest in place.
        manifest: what is in it.
        published: the manifest before, whose results are taken over where nothing changed.
        console: where results are printed.
    """
    before = published.index if published else None
    index = manifest.index
    same = before is not None and (before.trained, before.shards) == (index.trained, index.shards)
    if options.merge_ondisk:
        index = dataclasses.replace(index, merged=_merge(root, index, before if same else None))
    elif before and before.merged:
        console.print(
            "merge  the one-file index of before is left out and removed; give --merge-ondisk each "
            "time to keep one"
        )
    index = _with_drift(root, manifest, index, console)
    index = _tuned(options, root, manifest, index, before, same, console)
    return dataclasses.replace(manifest, index=index)


def _merge(root: Path, index: IndexCard, before: IndexCard | None):
    files = before.merged if before else ()
    paths = [root / card.path for card in files]
    if files and all(
        path.is_file() and file_sha256(path) == card.sha256
        for path, card in zip(paths, files, strict=True)
    ):
        return files
    merge_on_disk(root, [shard.file.path for shard in index.shards])
    return merged_cards(root, index.vectors)


def _with_drift(root: Path, manifest: Manifest, index: IndexCard, console: Console) -> IndexCard:
    drift = measure_drift(root, [part.part for part in manifest.parts])
    if drift is None:
        return index
    rows = [part.stages["embed"].written for part in manifest.parts]
    console.print(
        f"drift  quantization error {drift.trained_error:.4f} in the {drift.trained_parts:,} parts "
        f"that the index was trained on, {drift.added_error:.4f} in those added since; imbalance "
        f"{drift.trained_imbalance:.2f}, now {drift.imbalance:.2f}",
        highlight=False,
    )
    trained = set(read_card(root / TRAINED_INDEX).parts)
    known = [part.stages["embed"].written for part in manifest.parts if part.part in trained]
    reasons = advise(drift, sum(known), sum(rows))
    if reasons:
        console.print(
            f"drift  {reasons}: train again with tagmine index {shlex.quote(address_of(root))} "
            "--retrain",
            highlight=False,
            soft_wrap=True,
        )
    return dataclasses.replace(index, drift=drift)


def _tuned(
    options: IndexOptions,
    root: Path,
    manifest: Manifest,
    index: IndexCard,
    before: IndexCard | None,
    same: bool,
    console: Console,
) -> IndexCard:
    known = before.tuned if before else None
    goal = options.recall if options.recall is not None else known.goal if known else None
    if goal is None:
        return index
    asked = options.at or (known.at if known and options.recall is None else DEFAULT_RECALL_AT)
    if same and known and (known.goal, known.at) == (goal, asked):
        return dataclasses.replace(index, nprobe=before.nprobe, rerank=before.rerank, tuned=known)
    if index.vectors < 2:
        console.print("tuned  not at all: a single image has no neighbours to find")
        return index
    datastore = Datastore(root, dataclasses.replace(manifest, index=index))
    found = tune(datastore, goal, asked)
    setting, card = found.setting, found.card
    clipped = "" if card.at == asked else f", all there are beside a query, not {asked:,}"
    trained = "not trained on them" if card.held_out else "trained on nearly all images, also these"
    console.print(
        f"tuned  nprobe {setting.nprobe}, re-rank {setting.rerank}: finds {card.recall:.3f} of the "
        f"{card.at:,} nearest{clipped} (goal {goal:g}), measured on {card.queries:,} images of the "
        f"datastore, each left out of its own answer; the index was {trained}",
        highlight=False,
        soft_wrap=True,
    )
    if not found.met:
        console.print(
            f"tuned  {goal:g} cannot be reached with {index.index_key}; the setting above comes "
            "nearest. Give an --index-key of longer codes, or more --max-index-memory-usage.",
            highlight=False,
        )
    return dataclasses.replace(index, nprobe=setting.nprobe, rerank=setting.rerank, tuned=card)
