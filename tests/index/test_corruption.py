"""Bytes that change in any region of any file are refused in a sentence, or harmless."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index import opening
from index.ondisk import merge_on_disk, merged_cards
from index.search import open_datastore
from index.verify import verify_datastore
from tagmine.errors import DatastoreError
from tagmine.manifest import read_manifest, write_manifest

REGIONS = 16


def damages(data: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """The file with bytes changed in each of its regions, cut short, and with more at its end."""
    chance = random.Random(seed)
    edges = [len(data) * n // REGIONS for n in range(REGIONS + 1)]
    for start, end in zip(edges, edges[1:], strict=False):
        place = chance.randrange(start, max(end, start + 1))
        flipped, blank = bytearray(data), bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        blank[place : place + 16] = bytes(len(blank[place : place + 16]))
        yield f"a bit at {place}", bytes(flipped)
        if blank != data:
            yield f"zeros at {place}", bytes(blank)
    yield "cut", data[: len(data) // 2]
    yield "empty", b""
    yield "longer", data + b"\0"


@pytest.fixture
def made(make_datastore):
    """A datastore with a file of every kind."""
    made = make_datastore(sizes=(400, 300), index_key="IVF4,PQ8x4", limit=400, untagged=2)
    manifest = read_manifest(made.root)
    merge_on_disk(made.root, [shard.file.path for shard in manifest.index.shards])
    merged = merged_cards(made.root, manifest.images)
    index = dataclasses.replace(manifest.index, merged=merged)
    write_manifest(made.root, dataclasses.replace(manifest, index=index))
    return made


def test_verify_takes_no_damaged_file(made):
    kinds = set()
    for number, path in enumerate(sorted(p for p in made.root.rglob("*") if p.is_file())):
        data = path.read_bytes()
        for what, damaged in damages(data, number):
            path.write_bytes(damaged)
            try:
                verify_datastore(made.root)
            except DatastoreError as error:
                assert len(str(error)) > 20
            else:
                assert is_harmless(path, data, damaged), f"{path}: {what}"
        path.write_bytes(data)
        kinds.add(path.suffix)
    assert kinds == {".json", ".parquet", ".arrow", ".faiss", ".ivfdata"}
    assert verify_datastore(made.root).images == 696


def is_harmless(path: Path, data: bytes, damaged: bytes) -> bool:
    """Where a shard lies is for people to read; its number and name are pinned."""
    if path.name != "sources.json":
        return False
    before, after = (json.loads(text)["sources"] for text in (data, damaged))
    return [(s["part"], s["name"]) for s in before] == [(s["part"], s["name"]) for s in after]


def test_what_an_opening_without_hashes_misses_a_query_refuses_or_survives(made, monkeypatch):
    """Above 32 MiB hashes are not checked on opening; what is read then is checked as it is."""
    monkeypatch.setattr(opening, "FULL_CHECK_BYTES", 0)
    vectors = made.vectors[::100].astype(np.float32)
    refused = answered = 0
    for number, path in enumerate(sorted(made.root.glob("[et]*/part-*"))):
        data = path.read_bytes()
        for _, damaged in damages(data, number):
            path.write_bytes(damaged)
            try:
                store = open_datastore(made.root)
                answers = store.query(vectors, 3)
                assert len(answers) == len(vectors)
                answered += 1
            except DatastoreError:
                refused += 1
        path.write_bytes(data)
    assert refused > 20 and answered > 20
