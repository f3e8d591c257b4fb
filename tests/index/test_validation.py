"""A whole validation without Beam: what is measured, judged, shown, written and read."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from index import open_datastore
from index.duplicates import find_duplicates
from index.exact import search_part
from index.gallery import choose_queries
from index.pictures import read_from_shards, read_pictures, thumbnail
from index.queries import sample_images, stored_queries
from index.report import NearDuplicates, RecallAt, Report, TagAgreement
from index.report_file import read_report, write_report
from index.shard_health import check_shard
from index.thresholds import Thresholds
from index.validation import Measured, Outcome, Settings, make_report, measure
from tagmine.errors import DatastoreError
from tagmine.layout import sample_id
from tagmine.samples import SampleFields
from tagmine.sources import Source


def truth_of(made, queries, k):
    return search_part(made.vectors, made.ids, np.ones(len(made.ids), bool), queries, k)


def validated(made, settings, **changes) -> Report:
    """The report of a datastore, with its stored images as queries."""
    datastore = open_datastore(made.root)
    queries = stored_queries(datastore, 40, settings.seed)
    measured = measure(
        datastore, queries, truth_of(made, queries.vectors, settings.depth), settings
    )
    manifest = datastore.manifest
    health = tuple(check_shard(made.root, manifest, card) for card in manifest.index.shards)
    outcome = Outcome(
        manifest, "0" * 64, queries, False, measured, health, "", (), "", 1.0, "", "", ("note",)
    )
    return make_report(dataclasses.replace(outcome, **changes), settings)


@pytest.mark.parametrize("key", ["Flat", "IVF16,PQ8x4"])
def test_a_good_datastore_passes_every_gate(make_datastore, key):
    made = make_datastore(sizes=(900, 800), index_key=key, limit=1000)
    report = validated(made, Settings())
    assert report.passed and all(gate.passed for gate in report.gates), report.gates
    counted = [gate.name for gate in report.gates if gate.counts]
    assert len(counted) == 3 and counted[0] == "the datastore opens and answers"
    assert (report.images, report.queries, report.held_out) == (1700, 40, False)
    assert [r.k for r in report.recall] == [1, 5, 10]
    assert report.recall[1].overlap > 0.98 and report.recall[1].one_recall == 1
    assert (report.lists is None) == (key == "Flat") == (report.score_error is None)
    assert report.index_bytes == sum(p.stat().st_size for p in made.root.glob("index/shard*.faiss"))
    # Every image has one of seven tags, so five neighbours reach some of them.
    assert (report.tags.unique, report.tags.mean, report.tags.images_without_tags) == (7, 1.0, 0)
    assert report.tags.reachable == 1.0
    assert 0 < report.agreement.exact < 1 and report.agreement.same > 0.9
    assert report.index_bytes == pytest.approx(report.predicted_bytes, rel=0.1)


def test_the_agreement_is_that_of_a_plain_count(make_datastore):
    made = make_datastore()
    datastore = open_datastore(made.root)
    queries = stored_queries(datastore, 60, 3)
    settings = Settings()
    measured = measure(datastore, queries, truth_of(made, queries.vectors, 11), settings)
    scores = queries.vectors @ made.vectors.astype(np.float32).T
    scores[made.ids == queries.ids[:, None]] = -2
    near = made.ids[np.argsort(-scores, axis=1)[:, :5]]
    share = np.mean(((near % 7) == (queries.ids[:, None] % 7)).any(axis=1))
    assert measured.agreement.exact == pytest.approx(share) == measured.agreement.approximate
    assert measured.agreement.same == 1.0


def test_a_sample_is_uniform_over_indexed_images_and_seeded(make_datastore):
    datastore = open_datastore(make_datastore(sizes=(300, 500, 200), untagged=50).root)
    ids, vectors = sample_images(datastore, 400, 0)
    assert len(np.unique(ids)) == 400 and (np.diff(ids) > 0).all()
    assert max(ids & 0xFFFFFFFF) < 450, "images without a tag row are not in the index"
    counts = np.bincount(ids >> 32)
    np.testing.assert_allclose(counts / 400, np.array([250, 450, 150]) / 850, atol=0.06)
    assert (sample_images(datastore, 400, 0)[0] == ids).all()
    assert (sample_images(datastore, 400, 1)[0] != ids).any()
    assert len(sample_images(datastore, 10_000, 0)[0]) == 850
    found, _ = datastore.search(vectors[:9], 1)
    assert (found[:, 0] == ids[:9]).all()


def test_near_duplicates_are_joined_through_each_other(make_datastore, rebuild_index):
    from tagmine.embeddings import open_embeddings, write_embeddings

    made = make_datastore(sizes=(60, 50))
    path = made.root / "embeddings/part-00000.arrow"
    part = open_embeddings(path)
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 32)))[0].astype(np.float16)
    vectors = np.concatenate([vectors, -vectors])[:60]
    # 1, 2 and 3 in a chain whose ends are too far apart; 10 and 11 the same.
    chain = np.radians([0, 8, 16])
    vectors[1:4] = np.outer(np.cos(chain), vectors[1]) + np.outer(np.sin(chain), vectors[20])
    vectors[10] = vectors[11]
    write_embeddings(path, part.ids.copy(), part.keys().to_pylist(), vectors, part.footer)
    from index.build import plan_shards
    from tagmine.sources import read_sources

    sources = read_sources(made.root)
    rebuild_index(made.root, sources, plan_shards([(0, 60), (1, 50)]), "Flat")
    datastore = open_datastore(made.root)
    ids = part.ids
    found = find_duplicates(datastore, ids, vectors.astype(np.float32), 0.985)
    assert (found.clusters, found.images, found.largest, found.looked_at) == (2, 5, 3, 60)
    assert found.examples[0] == tuple(f"d/s0/{n:06d}" for n in (1, 2, 3))
    assert found.examples[1] == ("d/s0/000010", "d/s0/000011")
    few = find_duplicates(datastore, ids[:1], vectors[:1].astype(np.float32), 0.985)
    assert (few.clusters, few.looked_at) == (0, 1)


def test_the_gallery_is_a_mix_of_best_middle_and_worst():
    overlap = np.linspace(0, 1, 30)
    chosen = choose_queries(overlap, np.zeros(30), 9, 0)
    assert chosen[:3] == [29, 28, 27] and chosen[6:] == [2, 1, 0]
    assert all(10 <= row < 20 for row in chosen[3:6])
    by_tags = choose_queries(np.ones(30), overlap, 3, 0)
    assert by_tags[0] == 29 and by_tags[2] == 0
    assert sorted(choose_queries(overlap[:4], np.zeros(4), 9, 0)) == [0, 1, 2, 3]
    assert choose_queries(overlap, np.zeros(30), 0, 0) == []
    for count in range(31):
        chosen = choose_queries(np.ones(30), np.zeros(30), count, 5)
        assert len(set(chosen)) == count
        assert chosen == choose_queries(np.ones(30), np.zeros(30), count, 5)


@pytest.mark.parametrize(
    ("changes", "failing", "words"),
    [
        ({"trouble": "shard gone"}, "opens and answers", "shard gone"),
        ({"parts": ("p1: bad", "p2: bad")}, "sound vectors", "p1: bad; p2: bad"),
        ({"encoder": "another one"}, "gives the stored vectors again", "another one"),
        ({"same_embedding": 0.3, "worst_part": "d/s1"}, "stored vectors again", "vectors of d/s1"),
        ({"same_embedding": float("nan")}, "stored vectors again", "swapped encoder"),
        ({"measured": Measured()}, "overlap with exact search", "not measured"),
    ],
)
def test_each_gate_fails_by_itself_and_says_why(make_datastore, changes, failing, words):
    report = validated(make_datastore(sizes=(60, 50)), Settings(), **changes)
    failed = [gate for gate in report.gates if not gate.passed]
    assert not report.passed and len(failed) == 1
    assert failing in failed[0].name and words in failed[0].detail


@pytest.mark.parametrize(
    ("limit", "failing"),
    [
        ({"min_recall": 1.0}, "overlap of the 5 nearest"),
        ({"max_imbalance": 1.0}, "imbalance"),
        ({"max_duplicates": 0.0}, "near-duplicate"),
    ],
)
def test_thresholds_are_what_the_verdict_hangs_on(make_datastore, limit, failing):
    made = make_datastore(sizes=(900, 800), index_key="IVF16,PQ8x4")
    root = json.loads((made.root / "manifest.json").read_text())
    root["index"] |= {"nprobe": 1, "rerank": 5}
    (made.root / "manifest.json").write_text(json.dumps(root))
    lax = Thresholds(0, 0, 0, 0, 1e9, 1, 1)
    settings = Settings(limits=lax, duplicate_cosine=0.9)
    assert validated(made, settings).passed
    strict = dataclasses.replace(settings, limits=dataclasses.replace(lax, **limit))
    failed = [gate.name for gate in validated(made, strict).gates if not gate.passed]
    assert len(failed) == 1 and failing in failed[0]


def gate_of(report, name):
    return next(gate for gate in report.gates if gate.name == name)


def test_images_without_tags_are_a_share_of_all(make_datastore):
    made = make_datastore(sizes=(60, 40), bare=15)
    gate = gate_of(validated(made, Settings()), "share of images without tags")
    assert gate.value == 0.3 and gate.passed == (gate.value <= gate.limit)
    for limit, passed in ((0.3, True), (0.29, False)):
        settings = Settings(limits=Thresholds(max_untagged=limit))
        gate = gate_of(validated(made, settings), "share of images without tags")
        assert (gate.limit, gate.passed) == (limit, passed)


def test_vectors_that_do_not_find_themselves_fail(make_datastore):
    """Codes of two bits, and nothing scored again: ids and codes are right, and too coarse."""
    made = make_datastore(sizes=(900, 800), index_key="IVF1,PQ1x2", limit=900)
    manifest = json.loads((made.root / "manifest.json").read_text())
    manifest["index"]["rerank"] = 20
    (made.root / "manifest.json").write_text(json.dumps(manifest))
    report = validated(made, Settings())
    gate = gate_of(report, "stored vectors find themselves")
    assert not gate.passed and "codes are too coarse" in gate.detail
    # Each of four codes is that of hundreds, of which the first twenty are looked at.
    assert 0 < gate.value == min(shard.self_lookup for shard in report.shards) < 0.2
    assert all(shard.problems == () for shard in report.shards)
    healthy = dataclasses.replace(report.shards[0], self_lookup=1.0)
    mixed = validated(made, Settings(), shards=(healthy, report.shards[1]))
    assert gate_of(mixed, "stored vectors find themselves").value == report.shards[1].self_lookup
    found = validated(made, Settings(), shards=(healthy, healthy))
    assert gate_of(found, "stored vectors find themselves").passed


def test_tags_that_only_exact_search_finds_fail(make_datastore):
    made = make_datastore(sizes=(60,))
    recall = (RecallAt(5, 1.0, 1.0, 0.9, 1.0),)
    found = Measured(recall=recall, agreement=TagAgreement(5, 0.5, 0.4, 0.7))
    gates = {gate.name: gate for gate in validated(made, Settings(), measured=found).gates}
    gate = gates["own tags found, against exact search"]
    assert (gate.value, gate.limit, gate.passed) == (0.8, 0.9, False)
    lax = Settings(limits=Thresholds(min_tag_agreement=0.75))
    assert validated(made, lax, measured=found).passed


@pytest.mark.parametrize(
    ("agreement", "says"),
    [
        (None, "no query has tags of its own"),
        (TagAgreement(5, 0.0, 0.0, 1.0), "no true neighbour has a tag of its query"),
    ],
)
def test_none_of_no_tags_is_no_success(make_datastore, agreement, says):
    made = make_datastore(sizes=(60,))
    found = Measured(recall=(RecallAt(5, 1.0, 1.0, 0.9, 1.0),), agreement=agreement)
    report = validated(made, Settings(), measured=found)
    gate = next(gate for gate in report.gates if "own tags found" in gate.name)
    assert gate.value is None and gate.passed and report.passed
    assert gate.detail.startswith("not measured") and says in gate.detail


def test_images_without_tags_and_queries_without_tags(make_datastore):
    made = make_datastore(sizes=(60, 50))
    datastore = open_datastore(made.root)
    queries = stored_queries(datastore, 10, 0)
    nothing = {"captions": ((),) * 10, "tags": (frozenset(),) * 10}
    bare = dataclasses.replace(queries, **nothing, held_out=True)
    settings = Settings(gallery=2)
    measured = measure(datastore, bare, truth_of(made, bare.vectors, 11), settings)
    assert measured.agreement is None and measured.copies == 10
    assert all(not tag.own for entry in measured.gallery for tag in entry.tags)
    # Not left out: these queries are said to be from elsewhere.
    assert measured.gallery[0].neighbours[0].key == measured.gallery[0].key


# --- the file -------------------------------------------------------------------------------


def test_a_report_is_read_as_it_was_written(make_datastore, tmp_path):
    report = validated(make_datastore(sizes=(60, 50)), Settings(), cautions=("mind this",))
    path = tmp_path / "reports" / "report.json"
    write_report(path, report)
    assert read_report(path) == report
    data = path.read_bytes()
    write_report(path, read_report(path))
    assert path.read_bytes() == data
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]
    again = validated(make_datastore(sizes=(60, 50), name="again"), Settings())
    untimed = [
        dataclasses.replace(
            r,
            name="",
            cautions=(),
            sweep=tuple(dataclasses.replace(p, milliseconds=0.0) for p in r.sweep),
        )
        for r in (report, again)
    ]
    assert untimed[0] == untimed[1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r | {"format_version": 2}, "format version 2"),
        (lambda r: r | {"extra": 1}, "extra"),
        (lambda r: r | {"images": "many"}, "images"),
        (lambda r: {k: v for k, v in r.items() if k != "gates"}, "gates"),
        (lambda r: [], "no tagmine report"),
    ],
)
def test_reports_that_are_refused(make_datastore, tmp_path, change, says):
    path = tmp_path / "report.json"
    with pytest.raises(DatastoreError, match="Run tagmine validate first"):
        read_report(path)
    write_report(path, validated(make_datastore(sizes=(60,)), Settings()))
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(DatastoreError, match=says):
        read_report(path)


def test_a_report_of_before_a_field_was_added_is_read(make_datastore, tmp_path):
    path = tmp_path / "report.json"
    write_report(path, validated(make_datastore(sizes=(60,)), Settings()))
    record = json.loads(path.read_text())
    del record["notes"], record["cautions"], record["queries_sha256"]
    del record["duplicates"]["looked_at"], record["gates"][0]["counts"]
    path.write_text(json.dumps(record))
    report = read_report(path)
    assert report.notes == report.cautions == () and isinstance(report.duplicates, NearDuplicates)


# --- pictures -------------------------------------------------------------------------------


@pytest.fixture
def shard(tmp_path, write_tar, jpeg):
    members = [(f"{n:04d}.jpg", jpeg(n)) for n in range(6)]
    members[2] = ("0002.jpg", b"no picture")
    path = write_tar(tmp_path / "in" / "s.tar", [*members, ("../0006.jpg", jpeg(6))])
    return Source(3, "in/s", str(path))


def test_pictures_are_read_by_their_keys(shard, jpeg):
    wanted = {sample_id(3, n): f"in/s/{n:04d}" for n in (1, 2, 4)}
    wanted[sample_id(3, 3)] = "in/s/another"
    wanted[sample_id(3, 6)] = "in/s/../0006"
    found = read_from_shards([shard, Source(4, "x/y", "/gone.tar")], wanted, SampleFields())
    assert found == {
        sample_id(3, 1): jpeg(1),
        sample_id(3, 2): b"no picture",
        sample_id(3, 4): jpeg(4),
    }
    assert thumbnail(found[sample_id(3, 2)]) == "" and len(thumbnail(jpeg(1))) > 100


def test_pictures_of_a_subset_are_read_whatever_their_new_ids(shard, jpeg):
    wanted = {sample_id(3, new): f"in/s/{old:04d}" for new, old in enumerate((5, 0, 3))}
    found = read_from_shards([shard], wanted, SampleFields())
    assert found == {sample_id(3, new): jpeg(old) for new, old in enumerate((5, 0, 3))}


def test_a_shard_that_is_gone_gives_no_pictures(tmp_path):
    gone = Source(4, "x/y", str(tmp_path / "gone.tar"))
    assert read_pictures(gone, {sample_id(4, 0): "x/y/0"}, SampleFields()) == {}


def test_a_picture_far_into_a_shard_is_not_worth_it(shard, monkeypatch):
    from index import pictures

    monkeypatch.setattr(pictures, "MAX_BYTES_READ", 100)
    wanted = {sample_id(3, n): f"in/s/{n:04d}" for n in (0, 5)}
    assert set(read_pictures(shard, wanted, SampleFields())) == {sample_id(3, 0)}


def test_thumbnails_are_small(jpeg):
    import base64
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (1200, 700), "red").save(buffer, "PNG")
    image = Image.open(io.BytesIO(base64.b64decode(thumbnail(buffer.getvalue()))))
    assert image.format == "JPEG" and max(image.size) == 160
