"""Each fault of an index shard is named, though every hash is true."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from index.shard_health import check_shard
from tagmine.manifest import read_manifest

TRANSFORMED = ("PCA16,IVF8,PQ8x4", "IVF8,RaBitQ")
FIRST = "index/shard-00000.faiss"


def check(root, number=0):
    manifest = read_manifest(root)
    return check_shard(root, manifest, manifest.index.shards[number])


def refill(root, repin, ids, vectors, index=None, rows=None):
    """Fill the first shard with something else, and hash it again."""
    index = index if index is not None else faiss.read_index(str(root / "index/trained.faiss"))
    index.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(ids))
    faiss.write_index(index, str(root / FIRST))
    repin(root, FIRST, rows)


def held(made):
    """Ids and vectors of the first shard, which holds the first of two parts."""
    first = made.ids < 1 << 32
    return made.ids[first], made.vectors[first].astype(np.float32)


@pytest.mark.parametrize(
    "key",
    ["Flat", "IVF16,Flat", "IVF16,PQ8x4", "HNSW16", "PQ8x4", *TRANSFORMED],
)
def test_sound_shards_have_no_problem(make_datastore, key):
    # tagmine trains transforms with 9,984 vectors at least.
    sizes = (9900, 150) if key in TRANSFORMED else (900, 800)
    made = make_datastore(sizes=sizes, index_key=key, limit=max(sizes), untagged=7)
    for number, vectors in enumerate(size - 7 for size in sizes):
        health = check(made.root, number)
        assert health.problems == () and (health.parts, health.vectors) == (1, vectors)
        assert health.self_lookup > 0.95
        exact = "Flat" in key or "HNSW" in key
        assert health.quantization_error < 1e-5 if exact else 0 < health.quantization_error < 1.2


def test_copies_of_a_picture_find_themselves(make_datastore, repin):
    made = make_datastore(sizes=(400, 300), limit=400)
    ids, vectors = held(made)
    vectors = np.repeat(vectors[:80], 5, axis=0)
    refill(made.root, repin, ids, vectors)
    assert check(made.root).self_lookup < 1, "the embeddings are others"
    from tagmine.embeddings import open_embeddings, write_embeddings

    name = "embeddings/part-00000.arrow"
    part = open_embeddings(made.root / name)
    write = (part.ids.copy(), part.keys().to_pylist(), vectors.astype(np.float16), part.footer)
    write_embeddings(made.root / name, *write)
    refill(made.root, repin, ids, vectors.astype(np.float16))
    assert check(made.root).self_lookup == 1 and check(made.root).problems == ()


def like(made, metric):
    """An untrained index of the datastore's kind."""
    key = read_manifest(made.root).index.index_key
    return faiss.index_factory(32, key if "IVF" in key else f"IDMap2,{key}", metric)


def shuffle(made, fill):
    ids, vectors = held(made)
    fill(np.random.default_rng(0).permutation(ids), vectors)


def shift(made, fill):
    ids, vectors = held(made)
    fill(np.roll(ids, 1), vectors)


def lengthen(made, fill):
    ids, vectors = held(made)
    fill(ids, vectors * np.random.default_rng(0).uniform(0.4, 4, size=(len(ids), 1)))


def turn(made, fill):
    ids, vectors = held(made)
    turned, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 32)))
    fill(ids, vectors @ turned)


def change_metric(made, fill):
    ids, vectors = held(made)
    other = like(made, faiss.METRIC_L2)
    other.train(vectors)
    fill(ids, vectors, other)


def lose_vectors(made, fill):
    ids, vectors = held(made)
    fill(ids[:600], vectors[:600], rows=600)


def mix_ids(made, fill):
    ids, vectors = held(made)
    strange = np.concatenate([ids[:-1], [made.ids[-1]], ids[:1]])
    fill(strange, np.concatenate([vectors, vectors[:1]]))


def train_again(made, fill):
    ids, vectors = held(made)
    other = like(made, faiss.METRIC_INNER_PRODUCT)
    other.train(np.ascontiguousarray(vectors[::-1][:700]))
    fill(ids, vectors, other)


def train_again_in_secret(made, fill):
    """Codes of another training, in a file that carries the true quantizers."""
    ids, vectors = held(made)
    other = like(made, faiss.METRIC_INNER_PRODUCT)
    other.train(np.ascontiguousarray(vectors[::-1][:700]))
    other.add_with_ids(vectors, ids)
    trained = faiss.read_index(str(made.root / "index/trained.faiss"))
    trained.replace_invlists(other.invlists, False)
    trained.ntotal = other.ntotal
    fill(ids[:0], vectors[:0], trained)


FAULTS = {
    shuffle: "its ids are shuffled: of 256",
    shift: "its ids are shuffled: of 256",
    lengthen: "its vectors are not normalised",
    turn: "other vectors than the embeddings",
    change_metric: "its metric is L2 distance, not inner product",
    lose_vectors: "truncated: 300 of the 900 vectors are missing",
    mix_ids: "1 ids that are not of its parts; it holds 1 ids twice; it has 901 vectors, the mani",
    train_again: "filled from another training",
    train_again_in_secret: "as by another training or encoder",
}


@pytest.mark.parametrize("key", ["Flat", "IVF16,PQ8x4", "PQ8x4"])
def test_each_fault_is_named_though_every_hash_is_true(make_datastore, repin, key):
    made = make_datastore(sizes=(900, 800), index_key=key, limit=1000)
    kept = {path: path.read_bytes() for path in made.root.rglob("*.*") if path.is_file()}

    def fill(ids, vectors, index=None, rows=None):
        refill(made.root, repin, ids, vectors, index, rows)

    for plant, words in FAULTS.items():
        if (key == "Flat" and "train_again" in plant.__name__) or (
            "IVF" not in key and plant is train_again_in_secret
        ):
            continue
        plant(made, fill)
        health = check(made.root)
        assert words in "; it ".join(p.removeprefix("it ") for p in health.problems), (
            plant.__name__,
            health.problems,
        )
        assert check(made.root, 1).problems == ()
        if key == "Flat" and plant in (shuffle, shift, turn):
            assert health.self_lookup < 0.2
        for path, data in kept.items():
            path.write_bytes(data)
    assert check(made.root).problems == ()


@pytest.mark.parametrize("key", ["Flat", "IVF16,PQ8x4"])
def test_a_file_cut_short_is_named_though_its_hash_is_true(make_datastore, repin, key):
    root = make_datastore(sizes=(900,), index_key=key).root
    data = (root / FIRST).read_bytes()
    for size in (0, 3, 100, len(data) // 2, len(data) - 1):
        (root / FIRST).write_bytes(data[:size])
        repin(root, FIRST)
        assert "truncated or damaged" in check(root).problems[0], size


def test_parts_that_are_gone_are_named(make_datastore):
    made = make_datastore(sizes=(60, 50))
    (made.root / "embeddings/part-00001.arrow").unlink()
    assert "its parts cannot be read" in check(made.root).problems[0]
