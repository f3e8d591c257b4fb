"""`tagmine compare`: what a swap is worth, in precision and recall of the retrieved tags."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from index.copy_plan import taggers_of
from index.encoder import load_encoder
from index.pictures import read_from_shards, thumbnail
from index.pooling import Neighbour
from index.queries import Queries, held_out_queries, stored_queries
from index.report import GalleryTag
from index.search import Datastore, open_datastore
from index.stack import Stack, open_stack
from index.stack_plan import StackPlan, check_encoders
from index.swap_report import (
    Comparison,
    ShownAnswer,
    ShownNeighbour,
    ShownQuery,
    interval_text,
    write_page,
)
from index.swap_scores import (
    CUTS,
    Retrieved,
    known_words,
    most_different,
    ranked_tags,
    retrieve,
    score_stores,
)
from pipelines import embed, mine
from pipelines.compare_options import CompareOptions
from pipelines.options import EmbedOptions, InputOptions, MineOptions, RunnerOptions
from pipelines.pages import page_path, write_or_explain
from pipelines.query_shards import datastore_fields, encoder_name, refuse_stored
from pipelines.shards import Plan
from pipelines.tables import make_table
from tagmine.errors import ConfigurationError
from tagmine.manifest import TaggerPin
from tagmine.printable import printable
from tagmine.samples import SampleFields
from tagmine.sources import Source, expand_shards, number_sources, read_sources

_CAPTIONS_SHOWN = 5


class _Asked(NamedTuple):
    """Queries with tags, what made these, those left out, and where their pictures are."""

    queries: Queries
    tagger: TaggerPin
    without_tags: int
    sources: Sequence[Source]
    fields: SampleFields


def run(options: CompareOptions, console: Console) -> None:
    """Look the queries up in every datastore and stack; print, and write, what it was worth.

    Raises:
        ConfigurationError: for queries that cannot be used, or a page that cannot be written.
        DatastoreError: for a folder that is no datastore, or encoders that differ.
    """
    page = page_path(options.html)
    opened = {folder: open_datastore(folder) for side in options.sides for folder in side.folders}
    check_encoders([(store.root, store.manifest.encoder) for store in opened.values()])
    asked = _ask(options, opened)
    stacks = [_stack(side, opened) for side in options.sides]
    found = [retrieve(stack, asked.queries, options.k) for stack in stacks]
    names = _names(options.sides)
    rows = most_different(found, options.shown)
    comparison = Comparison(
        queries=len(asked.queries),
        without_tags=asked.without_tags,
        known=float(np.mean([len(known) for known in known_words(asked.queries)])),
        k=options.k,
        seed=options.seed,
        stores=score_stores(names, [len(stack) for stack in stacks], found, options.seed),
        differ=tuple(_shown(asked, row, names, found) for row in rows),
        notes=_notes(asked.tagger, list(opened.values())),
    )
    if page is not None:
        pictured = _with_pictures(comparison, rows, asked, stacks, found)
        write_or_explain(lambda: write_page(pictured, page), page)
    if options.json:
        json.dump(dataclasses.asdict(comparison), sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    _print(console, comparison)
    if page is not None:
        console.print(f"written: {printable(str(page))}")


def _stack(side: StackPlan, opened: dict[str, Datastore]) -> Stack:
    return open_stack([opened[folder] for folder in side.folders], side.weights, side.shares)


def _names(sides: Sequence[StackPlan]) -> list[str]:
    counts = Counter(side.short for side in sides)
    return [side.short if counts[side.short] == 1 else str(side) for side in sides]


def _ask(options: CompareOptions, opened: dict[str, Datastore]) -> _Asked:
    """The queries, less those without a tag that is known."""
    stores = list(opened.values())
    if len(options.queries) == 1 and Path(options.queries[0]).is_dir():
        asked = _stored(options, stores)
    else:
        asked = _embedded(options, stores)
    queries = asked.queries
    kept = [row for row, tags in enumerate(queries.tags) if tags]
    if not kept:
        raise ConfigurationError(
            f"{', '.join(options.queries)}: none of {len(queries):,} images has a tag, so nothing "
            "can be compared. Give shards with captions, or --tag-fields."
        )
    chosen = dataclasses.replace(
        queries,
        ids=queries.ids[kept],
        vectors=queries.vectors[kept],
        keys=tuple(queries.keys[row] for row in kept),
        captions=tuple(queries.captions[row] for row in kept),
        tags=tuple(queries.tags[row] for row in kept),
    )
    return asked._replace(queries=chosen, without_tags=len(queries) - len(kept))


def _stored(options: CompareOptions, stores: Sequence[Datastore]) -> _Asked:
    """The images of a datastore, none of whose shards the others hold."""
    held = open_datastore(options.queries[0])
    check_encoders([(store.root, store.manifest.encoder) for store in (held, *stores)])
    own = {part.source_sha256: part.source for part in held.manifest.parts}
    for store in stores:
        for part in store.manifest.parts:
            if part.source_sha256 in own:
                raise ConfigurationError(
                    f"{held.root}: its shard {own[part.source_sha256]} is in {store.root} too, so "
                    "its images would find themselves. Give images that are not."
                )
    queries = stored_queries(held, options.sample or len(held), options.seed)
    tagger = held.manifest.tagger
    return _Asked(queries, tagger, 0, read_sources(held.root), datastore_fields(tagger))


def _embedded(options: CompareOptions, stores: Sequence[Datastore]) -> _Asked:
    """Shards, embedded and mined in a folder of their own; progress goes to standard error."""
    sources = tuple(number_sources(expand_shards(options.queries), None))
    refuse_stored([store.manifest for store in stores], sources)
    console = Console(stderr=True, markup=False, highlight=False)
    inputs = InputOptions(options.queries, options.fields)
    runner = RunnerOptions()
    name = encoder_name(str(stores[0].root), options.clip_model, stores[0].manifest)
    with tempfile.TemporaryDirectory(prefix="tagmine-compare-") as scratch:
        plan = Plan(Path(scratch), sources, ())
        mining = MineOptions(
            scratch,
            inputs,
            runner,
            options.spacy_model,
            options.tag_policies,
            options.vocabularies,
        )
        embedding = EmbedOptions(scratch, inputs, runner, name)
        tagger, encoder = mine.prepare(mining), embed.prepare(embedding)
        stores[0].accept(load_encoder(name))
        embed.embed(embedding, plan, encoder, console)
        mine.mine(mining, plan, tagger, console)
        queries = held_out_queries(plan.root, sources, True, options.sample, options.seed)
    return _Asked(queries, tagger, 0, sources, options.fields)


def _notes(asked: TaggerPin, stores: Sequence[Datastore]) -> tuple[str, ...]:
    """Which datastores know their tags by other rules or names than the queries do."""
    return tuple(
        f"{_unlike(store, asked)}, so that some may count as wrong which are right. --spacy-model, "
        "--tag-policy and --vocabulary say how the queries are mined."
        for store in stores
        if store.manifest.tagger.fingerprint != asked.fingerprint
    )


def _unlike(store: Datastore, asked: TaggerPin) -> str:
    name = store.root.name
    if len(taggers_of(store.root, store.manifest)) > 1:
        return f"{name} holds tags that were mined in several ways"
    return (
        f"the tags of {name} were mined by {_mined_by(store.manifest.tagger)}, those of the "
        f"queries by {_mined_by(asked)}, and not alike"
    )


def _mined_by(pin: TaggerPin) -> str:
    names = ", ".join(name for name, _ in pin.vocabularies)
    return f"{pin.pipeline} {pin.version} {f'with names of {names}' if names else 'without names'}"


def _shown(asked: _Asked, row: int, names: Sequence[str], found: Sequence[Retrieved]) -> ShownQuery:
    queries = asked.queries
    own = known_words(queries)[row]
    column = CUTS.index(10)
    answers = tuple(
        ShownAnswer(
            name,
            float(one.precision[row, column]),
            float(one.recall[row, column]),
            tuple(
                GalleryTag(
                    pooled.tag.text,
                    pooled.tag.kind,
                    round(min(1.0, pooled.score), 6),
                    pooled.tag.lemma.casefold() in own,
                )
                for pooled in ranked_tags(one.answers[row].tags)[:10]
            ),
            tuple(_neighbour(near) for near in one.answers[row].neighbours),
        )
        for name, one in zip(names, found, strict=True)
    )
    captions = queries.captions[row][:_CAPTIONS_SHOWN]
    known = tuple(sorted({lemma for _, _, lemma in queries.tags[row]}))
    return ShownQuery(queries.keys[row], captions, known, answers)


def _neighbour(near: Neighbour) -> ShownNeighbour:
    caption = near.captions[0] if near.captions else ""
    return ShownNeighbour(near.key, near.datastore, round(near.score, 6), caption)


def _with_pictures(
    comparison: Comparison,
    rows: Sequence[int],
    asked: _Asked,
    stacks: Sequence[Stack],
    found: Sequence[Retrieved],
) -> Comparison:
    """The same with thumbnails of all that can be read from its shards."""
    queries = asked.queries
    wanted = {int(queries.ids[row]): queries.keys[row] for row in rows}
    theirs = read_from_shards(asked.sources, wanted, asked.fields)
    near: dict[tuple[str, str], str] = {}
    for stack, one in zip(stacks, found, strict=True):
        for name, store in zip(stack.names, stack.datastores, strict=True):
            keys = {
                neighbour.id: neighbour.key
                for row in rows
                for neighbour in one.answers[row].neighbours
                if neighbour.datastore == name and (name, neighbour.key) not in near
            }
            fields = datastore_fields(store.manifest.tagger)
            read = read_from_shards(read_sources(store.root), keys, fields)
            near |= {(name, keys[row_id]): thumbnail(data) for row_id, data in read.items()}
    differ = []
    for query, row in zip(comparison.differ, rows, strict=True):
        data = theirs.get(int(queries.ids[row]))
        answers = tuple(_picture(answer, near) for answer in query.answers)
        own = thumbnail(data) if data else ""
        differ.append(dataclasses.replace(query, answers=answers, thumbnail=own))
    return dataclasses.replace(comparison, differ=tuple(differ))


def _picture(answer: ShownAnswer, pictures: dict[tuple[str, str], str]) -> ShownAnswer:
    neighbours = tuple(
        dataclasses.replace(one, thumbnail=pictures.get((one.datastore, one.key), ""))
        for one in answer.neighbours
    )
    return dataclasses.replace(answer, neighbours=neighbours)


def _print(console: Console, comparison: Comparison) -> None:
    left_out = ""
    if comparison.without_tags:
        left_out = f"; {comparison.without_tags:,} more have no known tag and are left out"
    console.print(
        f"{comparison.queries:,} queries, {comparison.known:.1f} known tags each; tags of "
        f"{comparison.k} neighbours{left_out}",
        soft_wrap=True,
    )
    for note in comparison.notes:
        console.print(f"note: {printable(note)}", soft_wrap=True)
    for kind in ("precision", "recall"):
        shown = make_table(f"{kind} of the retrieved tags, and the middle 95 % of resamplings")
        shown.add_column("datastore")
        for cut in CUTS:
            shown.add_column(f"at {cut}", justify="right")
        for store in comparison.stores:
            cells = [interval_text(getattr(score, kind)) for score in store.scores]
            shown.add_row(Text(printable(store.name)), *cells)
        console.print(shown)
    if comparison.differ:
        shown = make_table("where they differ most, by recall at 10")
        shown.add_column("query")
        for store in comparison.stores:
            shown.add_column(Text(printable(store.name)), justify="right")
        for query in comparison.differ:
            cells = [f"{answer.recall:.2f}" for answer in query.answers]
            shown.add_row(Text(printable(query.key)), *cells)
        console.print(shown)
