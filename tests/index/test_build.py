"""Choice of the index, training, filling and resuming."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from index import factory
from index.build import plan_shards
from index.factory import create_index, predict_bytes, vectors_per_shard
from index.shards import stored_ids
from index.spec import choose_spec, parse_bytes, training_size
from index.training import train_index
from tagmine.errors import ConfigurationError
from tagmine.layout import TRAINED_INDEX
from tagmine.sources import read_sources


def test_flat_while_small_then_ivf_pq_within_the_memory():
    assert choose_spec(2_000, 512, 1 << 32).index_key == "Flat"
    for allowed in (600 << 20, 1 << 30, 4 << 30):
        spec = choose_spec(15_000_000, 512, allowed)
        assert "IVF" in spec.index_key and "PQ" in spec.index_key
        assert spec.predicted_bytes <= allowed
        assert spec.index_key in spec.reason
    small, large = (choose_spec(15_000_000, 512, int(n * 2**30)).predicted_bytes for n in (0.6, 4))
    assert small < large


@pytest.mark.parametrize(
    "key",
    [
        "Flat",
        "HNSW16",
        "IVF64,Flat",
        "IVF64,PQ8x8",
        "IVF32,PQ16x4fs",
        "OPQ8_32,IVF128_HNSW32,PQ8x8",
        "PCA16,IVF64,SQ8",
        "IVF64,RaBitQ",
        "IVF64,RQ4x4",
    ],
)
def test_predicted_size_is_that_of_the_files(tmp_path, monkeypatch, key):
    monkeypatch.setattr(factory, "OPQ_ROUNDS", 1)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12_000, 32)).astype(np.float32)
    index = create_index(key, 32)
    index.train(vectors[:2500])
    faiss.write_index(index, str(tmp_path / "trained"))
    for number in range(3):
        shard = faiss.read_index(str(tmp_path / "trained"))
        rows = slice(number * 4000, number * 4000 + 4000)
        shard.add_with_ids(vectors[rows], np.arange(4000))
        faiss.write_index(shard, str(tmp_path / f"shard-{number}"))
    size = sum(path.stat().st_size for path in tmp_path.glob("shard-*"))
    assert predict_bytes(key, 32, 12_000, shards=3) == pytest.approx(size, rel=0.05)


@pytest.mark.parametrize(
    ("dim", "code"),
    [(96, 8), (100, 5), (384, 24), (640, 40), (768, 48), (1000, 50), (1024, 64)],
)
def test_the_chosen_code_divides_the_dimensions_and_has_the_predicted_size(tmp_path, dim, code):
    # A quarter of what whole vectors take.
    spec = choose_spec(10_000, dim, 10_000 * dim)
    assert spec.index_key == f"IVF256,PQ{code}x8" and dim % code == 0
    assert f"{code} bytes of code each" in spec.reason
    assert ("the most up to 8 that divides 100 dimensions" in spec.reason) == (dim == 100)
    index = create_index(spec.index_key, dim)
    # How good the centroids are does not change their size.
    index.cp.niter = index.pq.cp.niter = 1
    vectors = np.random.default_rng(0).normal(size=(10_000, dim)).astype(np.float32)
    index.train(vectors[:3000])
    index.add_with_ids(vectors, np.arange(10_000))
    faiss.write_index(index, str(tmp_path / "shard"))
    size = (tmp_path / "shard").stat().st_size
    assert spec.predicted_bytes == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize(("dim", "code"), [(97, "1 byte "), (4, "4 bytes "), (1280, "64 bytes ")])
def test_codes_of_odd_dimensions_are_as_long_as_can_be(dim, code):
    spec = choose_spec(1_000_000, dim, 1 << 40)
    assert f"{code}of code each" in spec.reason
    assert spec.index_key.endswith(f",PQ{code.split()[0]}x8")
    assert create_index(spec.index_key, dim).d == dim


def test_the_size_of_what_is_too_big_to_build_here():
    # 64 + 8 bytes a vector; in each file 131,072 centroids of 512 floats, the codebooks, and
    # eight bytes a list.
    fixed = 131_072 * 2056 + 256 * 512 * 4
    predicted = predict_bytes("IVF131072,PQ64x8", 512, 10**9, shards=30)
    assert predicted == pytest.approx(10**9 * 72 + 30 * fixed, rel=0.001)


def test_what_every_file_repeats_stays_a_small_share_of_it():
    assert vectors_per_shard("Flat", 512) == vectors_per_shard("IVF1024,PQ32x8", 512) == 1 << 20
    for key in ("IVF131072,PQ64x8", "OPQ32_512,IVF8192_HNSW32,PQ32x8"):
        limit = vectors_per_shard(key, 512)
        repeated = predict_bytes(key, 512, 0, shards=1)
        assert limit > 1 << 20
        assert 0.1 < repeated / predict_bytes(key, 512, limit) < 0.12


@pytest.mark.parametrize(
    ("count", "starts"),
    [
        (9_999, "Flat"),
        (10_000, "IVF256,Flat"),
        (99_999, "IVF1024,Flat"),
        (100_000, "IVF1024,PQ32x8"),
        (999_999, "IVF2048,PQ32x8"),
        (1_000_000, "OPQ32_512,IVF2048_HNSW32,PQ32x8"),
        (15_000_000, "OPQ32_512,IVF8192_HNSW32,PQ32x8"),
    ],
)
def test_the_kind_of_index_by_count(count, starts):
    spec = choose_spec(count, 512, 1 << 40)
    assert spec.index_key == starts and f"{count:,}" in spec.reason
    assert create_index(spec.index_key, 512).d == 512
    assert training_size(spec.index_key, spec.nlist, count) <= count


def test_training_memory_bounds_lists_and_sample():
    free = choose_spec(15_000_000, 512, 1 << 40, 8 << 30)
    bound = choose_spec(15_000_000, 512, 1 << 40, 128 << 20)
    assert bound.nlist < free.nlist
    rows = (128 << 20) // 2048
    assert training_size(bound.index_key, bound.nlist, 15_000_000, rows) <= rows
    with pytest.raises(ConfigurationError, match=r"Allow at least 20,447,232 bytes"):
        choose_spec(15_000_000, 512, 1 << 40, 1 << 20)
    with pytest.raises(ConfigurationError, match=r"an index of at most 25 lists"):
        training_size("IVF64,Flat", 64, 5_000, max_rows=1_000)


def test_an_impossible_budget_names_what_would_do():
    with pytest.raises(ConfigurationError, match="smallest index needs ([0-9,]+)") as caught:
        choose_spec(15_000_000, 512, 1 << 20)
    needed = int(str(caught.value).split("needs ")[1].split(" ")[0].replace(",", ""))
    assert choose_spec(15_000_000, 512, needed).predicted_bytes == needed
    with pytest.raises(ConfigurationError, match="Allow at least"):
        choose_spec(5_000, 512, 1 << 20)


@pytest.mark.parametrize(
    ("text", "size"), [("4G", 4 << 30), ("1.5GiB", 3 << 29), ("512m", 512 << 20), ("77", 77)]
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "0", "4 gigs", "1e9"])
def test_sizes_that_are_none(text):
    with pytest.raises(ConfigurationError, match="not a size"):
        parse_bytes(text)


def test_keys_that_cannot_be_are_refused_before_any_work():
    for key, dim in (("Nonsense", 32), ("IVF16,PQ7x8", 32), ("IVF16,PQ8,RFlat", 32)):
        with pytest.raises(ConfigurationError, match=f"--index-key {key!r}"):
            create_index(key, dim)
    with pytest.raises(ConfigurationError, match="at least 39,936 vectors.*there are 1,000"):
        training_size("IVF1k,Flat", 1024, 1000)
    with pytest.raises(ConfigurationError, match="9,984"):
        training_size("PQ8", 0, 1000)


def test_parts_are_grouped_in_order_up_to_the_limit():
    rows = [(0, 5), (1, 5), (2, 1), (3, 20), (5, 0), (6, 9)]
    assert [plan.parts for plan in plan_shards(rows, 10)] == [(0, 1), (2,), (3,), (5, 6)]
    assert plan_shards([], 10) == []


def test_every_shard_is_filled_from_the_one_trained_index(make_datastore):
    made = make_datastore(sizes=(900, 800, 700), index_key="IVF16,PQ8x4", limit=900)
    trained = faiss.read_index(str(made.root / TRAINED_INDEX))
    centroids = faiss.extract_index_ivf(trained).quantizer.reconstruct_n(0, 16)
    held = []
    for path in sorted((made.root / "index").glob("shard-*.faiss")):
        shard = faiss.read_index(str(path))
        assert shard.metric_type == faiss.METRIC_INNER_PRODUCT
        np.testing.assert_array_equal(shard.quantizer.reconstruct_n(0, 16), centroids)
        held.append(stored_ids(shard))
    assert len(held) == 3
    np.testing.assert_array_equal(np.sort(np.concatenate(held)), made.ids)


def test_training_samples_all_parts_alike(make_datastore, monkeypatch):
    made = make_datastore(sizes=(8000, 8000, 8000), index_key="Flat")
    seen = []
    real = faiss.IndexIVFPQ.train
    monkeypatch.setattr(faiss.IndexIVFPQ, "train", lambda i, x: (seen.append(x), real(i, x))[1])
    train_index(made.root, [0, 1, 2], "IVF4,PQ8x6")
    sample = seen[0].astype(np.float16)
    rows = {row.tobytes(): number for number, row in enumerate(made.vectors)}
    parts = np.bincount([rows[row.tobytes()] // 8000 for row in sample], minlength=3)
    assert len(sample) == 64 * 256 and len({row.tobytes() for row in sample}) == len(sample)
    assert parts.min() > 0.9 * len(sample) / 3


def test_a_second_run_makes_nothing_anew_and_a_damaged_shard_only_that(
    make_datastore, rebuild_index
):
    made = make_datastore(sizes=(900, 800), index_key="IVF16,PQ8x4", limit=900)
    sources = read_sources(made.root)
    plans = plan_shards([(0, 900), (1, 800)], 900)
    before = {p: p.read_bytes() for p in made.root.rglob("*") if p.is_file()}
    assert rebuild_index(made.root, sources, plans, "IVF16,PQ8x4") == [False, False, False]
    shard = made.root / "index/shard-00001.faiss"
    shard.write_bytes(b"damaged")
    assert rebuild_index(made.root, sources, plans, "IVF16,PQ8x4") == [False, False, True]
    assert {p: p.read_bytes() for p in made.root.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("HNSW16,PQ16x4", "for L2 distance only"),
        ("NSG32", "this graph cannot grow"),
        ("IVF0,Flat", "no inverted lists"),
        ("IDMap,Flat", "Write IDMap2"),
        ("IVF16,Flat,Refine(Flat)", "takes no ids"),
        ("banana", "could not parse index string banana. Give a string"),
        ("", "cannot make this index"),
    ],
)
def test_an_index_that_a_datastore_cannot_have_is_refused(key, says):
    with pytest.raises(ConfigurationError, match=says):
        create_index(key, 128)


def test_an_index_whose_size_nobody_knows_is_refused():
    with pytest.raises(ConfigurationError, match="its size cannot be predicted"):
        predict_bytes("IVF16(RCQ2x2),Flat", 128, 1000)


@pytest.mark.parametrize("key", ["IVF512,PQ16x8", "IVF512_HNSW16,PQ16x8"])
def test_an_index_whose_tables_are_larger_than_its_file_is_read(key, tmp_path):
    from index.factory import create_index
    from index.files import open_index, read_index

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20_000, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = create_index(key, 32)
    index.train(vectors)
    path = tmp_path / "trained.faiss"
    faiss.write_index(index, str(path))
    limit = faiss.get_deserialization_vector_byte_limit()
    # 256 floats for each list and each of 16 pieces.
    assert path.stat().st_size < 512 * 16 * 256 * 4
    assert read_index(path).ntotal == open_index(path).ntotal == 0
    assert faiss.get_deserialization_vector_byte_limit() == limit
