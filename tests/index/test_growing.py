"""Adding parts to an index: what stays, what is filled, and when training again is advised."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from index import open_datastore
from index.build import ShardPlan, fill_shard, keep_shards, plan_shards
from index.drift import advise, imbalance, measure_drift, quantization_error
from index.publish import assemble_manifest
from index.training import sample_rows, train_index, trained_ids
from tagmine.embeddings import EmbeddingsParts
from tagmine.errors import ConfigurationError
from tagmine.layout import TRAINED_INDEX
from tagmine.manifest import read_manifest, write_manifest
from tagmine.sources import Source, read_sources, write_sources

KEY = "IVF16,PQ8x4"
LIMIT = 1000


def state(root):
    """Inode and bytes of each file of the index and its rejects."""
    folders = [root / "index", root / "rejects/index"]
    files = [path for folder in folders for path in sorted(folder.iterdir())]
    return {p.relative_to(root).as_posix(): (p.stat().st_ino, p.read_bytes()) for p in files}


@pytest.fixture
def grow(write_part_of):
    """A function that adds a part to a datastore and fills it in; returns the new plan."""

    def add(root, vectors, publish=True):
        known = read_sources(root)
        number = len(known)
        source = Source(number, f"d/s{number}", f"/d/s{number}.tar")
        sources = write_sources(root, [source])
        write_part_of(root, source, vectors)
        manifest = read_manifest(root)
        rows = [(part.part, part.embeddings.rows) for part in manifest.parts]
        published = [(n, card.parts) for n, card in enumerate(manifest.index.shards)]
        plans = keep_shards(plan_shards([*rows, (number, len(vectors))], LIMIT), published)
        assert not train_index(root, [s.part for s in sources], KEY)
        for plan in plans:
            fill_shard(root, plan, KEY)
        if publish:
            write_manifest(root, assemble_manifest(root, sources, plans, KEY))
        return plans

    return add


def test_finished_shards_stay_and_a_group_that_grew_gets_a_file_of_its_own(
    make_datastore, clustered, grow
):
    made = make_datastore(sizes=(900, 700), index_key=KEY, limit=LIMIT)
    before = state(made.root)
    plans = grow(made.root, clustered(250, 7))
    assert plans == [ShardPlan(0, (0,)), ShardPlan(2, (1, 2))]
    after = state(made.root)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        "index/shard-00002.faiss",
        "index/shard-00002.json",
        "rejects/index/part-00002.parquet",
    }
    datastore = open_datastore(made.root)
    assert len(datastore) == 1850 and datastore.manifest.index.shards[1].parts == (1, 2)
    found, _ = datastore.search(clustered(250, 7)[:9].astype(np.float32), 1)
    assert (found[:, 0] >> 32 == 2).all()


def test_a_crash_while_growing_leaves_what_was_there(make_datastore, clustered, grow, queries):
    made = make_datastore(sizes=(900, 700), index_key=KEY, limit=LIMIT)
    expected = open_datastore(made.root).search(queries, 5)
    # Everything but the manifest, which a killed build does not come to.
    grow(made.root, clustered(250, 7), publish=False)
    found = open_datastore(made.root).search(queries, 5)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_a_training_is_kept_while_its_parts_are_and_made_anew_when_asked(
    make_datastore, rebuild_index, clustered, grow
):
    made = make_datastore(sizes=(900, 700), index_key=KEY, limit=LIMIT)
    grow(made.root, clustered(250, 7))
    trained = (made.root / TRAINED_INDEX).read_bytes()
    assert train_index(made.root, [0, 1, 2], KEY, retrain=True)
    assert (made.root / TRAINED_INDEX).read_bytes() != trained
    assert not train_index(made.root, [0, 1, 2], KEY, retrain=True)
    # Trained on a part that is not asked for, on other vectors, or for another key: not current.
    assert train_index(made.root, [0, 1], KEY)
    assert (made.root / TRAINED_INDEX).read_bytes() == trained
    assert train_index(made.root, [0, 1], "IVF8,PQ8x4")


def test_less_memory_is_a_smaller_sample_and_too_little_is_refused(make_datastore):
    made = make_datastore(sizes=(3000, 3000), index_key="Flat")
    assert train_index(made.root, [0, 1], "IVF64,Flat")
    all_rows = (made.root / "index/trained.json").read_text()
    assert train_index(made.root, [0, 1], "IVF64,Flat", max_bytes=3000 * 32 * 4)
    assert '"vectors": 4096' in all_rows
    assert '"vectors": 3000' in (made.root / "index/trained.json").read_text()
    with pytest.raises(ConfigurationError, match="--max-training-memory"):
        train_index(made.root, [0, 1], "IVF64,Flat", max_bytes=1000 * 32 * 4)


def test_a_sample_of_some_rows_is_the_same_every_time(make_datastore):
    made = make_datastore(sizes=(1500, 1500), index_key="Flat")
    trained = []
    for _ in range(2):
        (made.root / TRAINED_INDEX).unlink()
        assert train_index(made.root, [0, 1], "IVF16,PQ16x2")
        trained.append((made.root / TRAINED_INDEX).read_bytes())
    assert '"vectors": 1024' in (made.root / "index/trained.json").read_text()
    assert trained[0] == trained[1]
    parts = EmbeddingsParts(made.root, (0, 1))
    sample = sample_rows(parts, 1024)
    np.testing.assert_array_equal(sample_rows(parts, 1024), sample)
    held = {row.tobytes(): row_id for row_id, row in zip(made.ids, made.vectors, strict=True)}
    ids = [held[row.tobytes()] for row in sample.astype(np.float16)]
    np.testing.assert_array_equal(trained_ids(made.root), ids)


def test_drift_tells_other_pictures_from_more_of_the_same(make_datastore, clustered, grow):
    made = make_datastore(sizes=(900, 700), index_key=KEY, limit=LIMIT)
    assert measure_drift(made.root, [0, 1]) is None
    grow(made.root, clustered(600, 7))
    same = measure_drift(made.root, [0, 1, 2])
    assert same.trained_parts == 2 and advise(same, 1600, 2200) is None
    # Vectors around one place that no cluster is near.
    rng = np.random.default_rng(3)
    strange = rng.normal(size=32) + 0.2 * rng.normal(size=(3000, 32))
    grow(made.root, strange / np.linalg.norm(strange, axis=1, keepdims=True))
    drift = measure_drift(made.root, [0, 1, 2, 3])
    advice = advise(drift, 1600, 5200)
    assert "quantization error of the added parts is" in advice and "uneven" in advice
    assert "20 times as many" in advise(same, 100, 2000)


def test_errors_and_imbalance_are_those_of_their_definitions(make_datastore):
    made = make_datastore(sizes=(900, 700), index_key="IVF16,Flat", limit=LIMIT)
    index = faiss.read_index(str(made.root / TRAINED_INDEX))
    vectors = made.vectors.astype(np.float32)
    centroids = index.quantizer.reconstruct_n(0, 16)
    lists = (vectors @ centroids.T).argmax(axis=1)
    expected = ((vectors - centroids[lists]) ** 2).sum(axis=1).mean()
    assert quantization_error(index, vectors) == pytest.approx(expected, rel=1e-4)
    sizes = np.bincount(lists, minlength=16)
    assert imbalance(index, vectors) == pytest.approx(16 * (sizes**2).sum() / 1600**2)
    full = open_datastore(made.root)
    assert full.index_shards.ntotal == 1600
    flat = faiss.index_factory(32, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    assert quantization_error(flat, vectors) == 0 and imbalance(flat, vectors) == 1
