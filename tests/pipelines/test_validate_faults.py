"""Planted faults turn the verdict of `tagmine validate` red, and a crash leaves what was there."""

from __future__ import annotations

import json
import subprocess
import sys

import faiss
import numpy as np
import pytest

from index.report_file import read_report
from pipelines.main import main
from tagmine.embeddings import open_embeddings, write_embeddings
from tagmine.errors import DatastoreError

# Blocks of random colours all look alike to a model of pictures.
ALIKE = ("--max-duplicates", "1", "--duplicate-cosine", "1")


def read(root):
    return read_report(root / "report/report.json")


def refill(root, repin, change):
    """Fill the shard again with what `change` makes of ids and vectors, and hash it again."""
    parts = [open_embeddings(path) for path in sorted((root / "embeddings").iterdir())]
    ids = np.concatenate([part.ids for part in parts])
    vectors = np.concatenate([part.vectors for part in parts]).astype(np.float32)
    index = faiss.read_index(str(root / "index/trained.faiss"))
    index, ids, vectors = change(index, ids, vectors)
    index.add_with_ids(np.ascontiguousarray(vectors), ids)
    faiss.write_index(index, str(root / "index/shard-00000.faiss"))
    repin(root, "index/shard-00000.faiss")


def shuffled_ids(root, repin):
    rng = np.random.default_rng(0)
    refill(root, repin, lambda index, ids, vectors: (index, rng.permutation(ids), vectors))


def another_training(root, repin):
    def change(index, ids, vectors):
        other = faiss.index_factory(index.d, "IVF16,PQ16x4", faiss.METRIC_INNER_PRODUCT)
        other.train(np.ascontiguousarray(vectors[:650]))
        return other, ids, vectors

    refill(root, repin, change)


def wrong_metric(root, repin):
    def change(index, ids, vectors):
        other = faiss.index_factory(index.d, "IVF16,PQ16x4", faiss.METRIC_L2)
        other.train(vectors)
        return other, ids, vectors

    refill(root, repin, change)


def unnormalised_index(root, repin):
    def change(index, ids, vectors):
        lengths = np.random.default_rng(0).uniform(0.4, 4, (len(ids), 1)).astype(np.float32)
        return index, ids, vectors * lengths

    refill(root, repin, change)


def rewrite_part(root, repin, number, change):
    name = f"embeddings/part-{number:05d}.arrow"
    part = open_embeddings(root / name)
    vectors = change(part.vectors.astype(np.float32)).astype(np.float16)
    rows = (part.ids.copy(), part.keys().to_pylist(), vectors)
    write_embeddings(root / name, *rows, part.footer)
    repin(root, name)


def unnormalised_embeddings(root, repin):
    rewrite_part(root, repin, 2, lambda vectors: vectors * 1.7)


def truncated_shard(root, repin):
    path = root / "index/shard-00000.faiss"
    path.write_bytes(path.read_bytes()[:-2000])
    repin(root, "index/shard-00000.faiss")


def truncated_shard_unpinned(root, repin):
    path = root / "index/shard-00000.faiss"
    path.write_bytes(path.read_bytes()[:-2000])


def swapped_encoder_of_one_part(root, repin):
    """Another model's vectors, and an index that was honestly filled with them."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(128, 128)))
    rewrite_part(root, repin, 3, lambda vectors: vectors @ turn)
    refill(root, repin, lambda index, ids, vectors: (index, ids, vectors))


def swapped_encoder_pin(root, repin):
    for name in ("manifest.json", "encoder.json"):
        record = json.loads((root / name).read_text())
        pin = record.get("encoder", record)
        pin |= {"weights_sha256": "a" * 64, "fingerprint": "b" * 64}
        # A liar would leave the seal out, or make another.
        record.pop("sha256", None)
        (root / name).write_text(json.dumps(record, indent=1) + "\n")


def junk_embeddings(root, repin):
    (root / "embeddings/part-00001.arrow").write_bytes(b"junk" * 99)
    repin(root, "embeddings/part-00001.arrow")


FAULTS = {
    junk_embeddings: "part-00001.arrow cannot be read as an embeddings part",
    shuffled_ids: "its ids are shuffled",
    another_training: "filled from another training",
    wrong_metric: "its metric is L2 distance",
    unnormalised_index: "shard-00000.faiss: its vectors are not normalised",
    unnormalised_embeddings: "part-00002.arrow: its vectors are not normalised: their norms are 1.",
    truncated_shard: "it is truncated or damaged",
    truncated_shard_unpinned: "bytes, the manifest says",
    swapped_encoder_of_one_part: "another encoder made the vectors of blocks/00003",
    swapped_encoder_pin: "(swapped encoder)",
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_turns_the_verdict_red_and_names_itself(copied_store, repin, plant, capsys):
    plant(copied_store, repin)
    assert main(["validate", str(copied_store), "--sample", "30", *ALIKE]) == 1
    assert "does not pass" in capsys.readouterr().err
    report = read(copied_store)
    assert not report.passed
    failed = [gate for gate in report.gates if not gate.passed]
    assert any(FAULTS[plant] in gate.detail for gate in failed), [g.detail for g in failed]


def test_a_swapped_encoder_cannot_embed_queries(copied_store, repin, blocks, capsys):
    swapped_encoder_pin(copied_store, repin)
    command = ["validate", str(copied_store), "--queries", str(blocks / "held-out.tar")]
    assert main(command) == 1
    report = read(copied_store)
    assert report.recall == () and report.queries == 0 and report.held_out
    assert any("(swapped encoder)" in gate.detail for gate in report.gates)
    assert main([*command, "--clip-model", "demo"]) == 1
    assert "the datastore pins demo with weights aaaaaaaaaaaa" in capsys.readouterr().err


# --- a crash during indexing ----------------------------------------------------------------


@pytest.mark.parametrize("renames", [0, 1, 2, 4])
def test_a_crash_during_indexing_opens_as_before_or_says_what_to_run(
    killed_at_a_rename, copied_store, renames, capsys
):
    """Another index is block_store over a finished datastore and killed at some rename."""
    from index import open_datastore

    vectors = open_embeddings(copied_store / "embeddings/part-00000.arrow").vectors[:9]
    before = open_datastore(copied_store).search(vectors.astype(np.float32), 5)
    command = ["index", str(copied_store), "--index-key", "IVF8,Flat"]
    words = [sys.executable, "-c", killed_at_a_rename, str(renames), *command]
    killed = subprocess.run(words, capture_output=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    try:
        after = open_datastore(copied_store).search(vectors.astype(np.float32), 5)
    except DatastoreError as error:
        assert "Run tagmine build again" in str(error)
        assert main(["validate", str(copied_store), "--sample", "5"]) == 1
        assert "the datastore opens and answers" in capsys.readouterr().err
    else:
        np.testing.assert_array_equal(before[0], after[0])
    if renames == 4:
        assert main(command) == 0
        assert main(["validate", str(copied_store), "--sample", "5", *ALIKE]) == 0
        assert read(copied_store).index_key == "IVF8,Flat"
