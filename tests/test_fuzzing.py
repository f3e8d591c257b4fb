"""A bounded run of the fuzzers; `make fuzz` is the longer one."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.seeds import make_seeds
from campaigns.targets import TARGETS
from index import tag_rows
from tagmine.arrow_files import read_file
from tagmine.errors import DatastoreError
from tagmine.layout import MANIFEST
from tagmine.manifest import read_manifest

EXAMPLES = {"caption": 60, "faiss": 100}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return make_seeds(tmp_path_factory.mktemp("seeds"))


@pytest.mark.parametrize("name", TARGETS)
def test_true_files_with_some_bytes_changed(name, seeds):
    for seed in seeds[name]:
        TARGETS[name](seed)

    @settings(
        max_examples=EXAMPLES.get(name, 150),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(seeds[name]), st.data())
    def change(seed, data):
        changed = bytearray(seed)
        for _ in range(data.draw(st.integers(1, 6))):
            place = data.draw(st.integers(0, len(changed)))
            width = data.draw(st.sampled_from((0, 1, 4, 8)))
            changed[place : place + width] = data.draw(st.binary(max_size=8))
        TARGETS[name](bytes(changed))

    change()


def test_what_is_changed_in_the_seed_of_a_manifest_is_seen_and_no_hash_stops_it(seeds, tmp_path):
    (seed,) = [seed for seed in seeds["json"] if b"tagmine-datastore" in seed]
    (tmp_path / MANIFEST).write_bytes(seed)
    manifest = read_manifest(tmp_path)
    unused = [f.name for f in dataclasses.fields(manifest) if getattr(manifest, f.name) is None]
    assert unused == ["sha256"]
    (tmp_path / MANIFEST).write_bytes(seed.replace(b'"images": 1', b'"images": 2'))
    with pytest.raises(DatastoreError, match="2 images, but 1 vectors"):
        read_manifest(tmp_path)


def test_the_reader_of_parts_that_is_fuzzed_has_the_limits_of_row_groups(seeds, monkeypatch):
    seen = []
    monkeypatch.setattr(tag_rows, "check_claims", lambda metadata: seen.append(metadata.num_rows))
    TARGETS["parquet"](seeds["parquet"][0])
    assert seen == [2]


@pytest.mark.parametrize("number", [0, 1])
def test_an_arrow_file_without_a_schema_is_refused(seeds, tmp_path, number):
    seed = seeds["arrow"][number]
    ended = seed[:8] + b"\xff\xff\xff\xff\0\0\0\0" + seed[16:]
    # Found by fuzzing; Arrow ends the process where it takes another message for a schema.
    batch = pa.ipc.MessageReader.open_stream(pa.BufferReader(seed[8:]))
    record = next(itertools.islice(batch, 1, None)).serialize().to_pybytes()
    for changed in (ended, seed[:8] + record + seed[8 + len(record) :]):
        with pytest.raises(ValueError, match="does not begin with a schema"):
            read_file(pa.BufferReader(changed))
        TARGETS["arrow"](changed)


@pytest.mark.parametrize("ids", [["a", "b"], [b"a", b"b"], [1.0, 2.0], [0, None], [[0], [1]]])
def test_a_part_whose_ids_are_none_is_refused(seeds, tmp_path, ids):
    path = tmp_path / "part.parquet"
    true = pq.ParquetFile(pa.BufferReader(seeds["parquet"][0]))
    footer = {b"tagmine": true.metadata.metadata[b"tagmine"]}
    table = true.read().set_column(0, "id", pa.array(ids))
    pq.write_table(table.replace_schema_metadata(footer), path)
    with pytest.raises(DatastoreError, match="its column id is .*, expected"):
        tag_rows.read_tag_rows(path, (0, 1), lambda footer: None)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=200))
def test_any_text_is_a_caption(text):
    TARGETS["caption"](text.encode("utf-8", "surrogatepass"))


@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed")
def test_the_fuzzers_run_and_find_nothing():
    command = [sys.executable, "-m", "campaigns.fuzz", "--seconds", "250", "--runs", "500"]
    done = subprocess.run(
        [*command, "shard", "json"], capture_output=True, text=True, env={**os.environ}, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no faults found" in done.stdout
    assert done.stderr.count("stat::number_of_executed_units: 500") == 2
