"""Held-out shards as queries: embedded and mined like the datastore, in a folder of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from index.queries import Queries, held_out_queries
from index.search import Datastore, is_local_checkpoint
from pipelines import embed, mine
from pipelines.options import EmbedOptions, InputOptions, MineOptions
from pipelines.shards import Plan
from pipelines.validate_options import ValidateOptions
from tagmine.errors import ConfigurationError, DatastoreError, TagmineError
from tagmine.manifest import Manifest
from tagmine.samples import SampleFields, datastore_fields
from tagmine.sources import Source, expand_shards, number_sources
from tagmine.stage import open_source
from tagmine.tagger import EMBEDDED_PIPELINE


@dataclasses.dataclass(frozen=True, slots=True)
class QueryShards:
    """Query shards, of which none is in the datastore.

    Attributes:
        sources: the shards.
        fields: which members are image and captions.
    """

    sources: tuple[Source, ...]
    fields: SampleFields


def plan_query_shards(options: ValidateOptions, manifest: Manifest) -> QueryShards:
    """Find the query shards.

    Each is read once to the end for its hash, which takes a small part of the time of embedding it.

    Raises:
        ConfigurationError: for shards that are not there, or are in the datastore.
        SourceError: for a shard that cannot be read.
    """
    sources = number_sources(expand_shards(options.queries), None)
    refuse_stored([manifest], sources)
    # Annotations are the datastore's, not of these images.
    fields = dataclasses.replace(datastore_fields(manifest.tagger), annotations_key=None)
    return QueryShards(tuple(sources), fields)


def encoder_name(datastore: str, clip_model: str | None, manifest: Manifest) -> str:
    """The encoder that queries are embedded with.

    Args:
        datastore: the folder, as it was given.
        clip_model: the encoder that was given, if one was.
        manifest: the datastore's.

    Raises:
        ConfigurationError: when it is a local checkpoint and was not given.
    """
    name = clip_model or manifest.encoder.clip_model
    if clip_model is None and is_local_checkpoint(name):
        raise ConfigurationError(
            f"{datastore} was embedded with a local checkpoint, {name}, which is not "
            "opened unasked. Give it with --clip-model."
        )
    return name


def embed_queries(
    options: ValidateOptions,
    shards: QueryShards,
    datastore: Datastore,
    scratch: Path,
    console: Console,
) -> tuple[Queries, list[str]]:
    """Embed the query shards, and mine them where that can be done as for the datastore.

    Returns:
        The queries, and notes for the report.

    Raises:
        ConfigurationError: when no shard holds a usable image.
        DatastoreError: when the encoder is not the datastore's.
    """
    manifest = datastore.manifest
    plan = Plan(scratch, shards.sources, ())
    inputs = InputOptions(options.queries, shards.fields)
    name = encoder_name(options.datastore, options.clip_model, manifest)
    embed_options = EmbedOptions(str(scratch), inputs, options.runner, name)
    pin = embed.prepare(embed_options)
    if pin.fingerprint != manifest.encoder.fingerprint:
        raise DatastoreError(wrong_encoder(manifest, pin.weights_sha256, name))
    embed.embed(embed_options, plan, pin, console)
    notes = _mine(options, inputs, plan, manifest, console)
    queries = held_out_queries(scratch, shards.sources, not notes, options.sample, options.seed)
    if not len(queries):
        raise ConfigurationError("--queries: none of the shards holds an image that can be used.")
    return queries, notes


def wrong_encoder(manifest: Manifest, weights_sha256: str, name: str) -> str:
    """What is said of an encoder that is not the datastore's."""
    pinned = manifest.encoder
    return (
        f"the datastore pins {pinned.clip_model} with weights {pinned.weights_sha256[:12]} as its "
        f"encoder, but {name} here has weights {weights_sha256[:12]} (swapped encoder). Give the "
        "encoder that it was embedded with as --clip-model, or run tagmine embed again"
    )


def refuse_stored(manifests: Sequence[Manifest], sources: Sequence[Source]) -> None:
    """Stop where a query shard is in a datastore; each is read to the end for its hash.

    Raises:
        ConfigurationError: naming the shard and the datastore.
        SourceError: for a shard that cannot be read.
    """
    stored = {
        part.source_sha256: (manifest.name, part.source)
        for manifest in manifests
        for part in manifest.parts
    }
    with ThreadPoolExecutor() as pool:
        hashes = list(pool.map(_hash, sources))
    for source, sha256 in zip(sources, hashes, strict=True):
        if sha256 in stored:
            name, held = stored[sha256]
            raise ConfigurationError(
                f"--queries {source.url}: this shard is in the datastore {name}, as {held}, so its "
                "images would find themselves. Give shards that are not."
            )


def _hash(source: Source) -> str:
    with open_source(source) as stream:
        return stream.drain()


def _mine(
    options: ValidateOptions, inputs: InputOptions, plan: Plan, manifest: Manifest, console: Console
) -> list[str]:
    """Mine the captions; returns why not, if they could not be mined alike."""
    pinned = manifest.tagger
    own = None if pinned.pipeline == EMBEDDED_PIPELINE else pinned.pipeline
    mine_options = MineOptions(
        str(plan.root),
        inputs,
        options.runner,
        options.spacy_model or own,
        options.tag_policies,
        options.vocabularies,
        pinned.relations,
    )
    try:
        pin = mine.prepare(mine_options)
    except TagmineError as error:
        return [f"agreement of tags was not measured: the datastore's tagger cannot load ({error})"]
    if pin.fingerprint != pinned.fingerprint:
        return [
            "agreement of tags was not measured: the datastore was mined by "
            f"{pinned.pipeline} {pinned.version}, {pinned.backend}, with other word lists or "
            f"versions than {pin.pipeline} {pin.version}, {pin.backend} here; give its own with "
            "--spacy-model, --tag-policy and --vocabulary"
        ]
    mine.mine(mine_options, plan, pin, console)
    return []
