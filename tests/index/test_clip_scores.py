"""CLIP scores: what is measured, stored, hashed, and left out of the index for it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index import clip_scores
from index.build import plan_shards
from index.embed import EmbedOptions, embed_fingerprint, embed_part
from index.encoder import load_encoder
from index.verify import verify_datastore
from tagmine.embeddings import open_embeddings, write_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import embeddings_path
from tagmine.manifest import EncoderPin, read_manifest, read_pin, write_pin
from tagmine.samples import SampleFields
from tagmine.sources import Source, read_sources

CAPTIONS = (
    "a red car",
    "two dogs on a beach",
    "a blue bicycle",
    "a tall old tower",
    "a striped hat",
)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("demo", device="cpu", num_threads=2)


@pytest.fixture
def source(tmp_path, write_tar, jpeg):
    """A shard of 40 pictures with one to five captions each; two have none that can be read."""
    members = []
    for number in range(40):
        captions = [CAPTIONS[(number + i) % 5] for i in range(number % 5 + 1)]
        record = b"{" if number == 7 else json.dumps({"captions": captions}).encode()
        if number == 9:
            record = json.dumps({"captions": ["  "]}).encode()
        members += [(f"{number:03d}.jpg", jpeg(number)), (f"{number:03d}.json", record)]
    members.append(("broken.jpg", b"no picture"))
    members.append(("broken.json", b'{"captions": ["a car"]}'))
    return Source(0, "in/0", str(write_tar(tmp_path / "in" / "0.tar", members)))


def options(batch_size=64, scored=True, field="captions"):
    fields = SampleFields(caption_json_fields=(field,) if field else ())
    return EmbedOptions(fields, batch_size, 2, clip_scores=scored)


def embedded(root, source, encoder, **changes):
    embed_part(root, source, options(**changes), encoder)
    return open_embeddings(root / embeddings_path(0))


def test_the_score_is_the_best_cosine_with_a_caption(tmp_path, source, encoder, jpeg):
    part = embedded(tmp_path, source, encoder)
    scores = part.clip_scores()
    assert scores.dtype == np.float32 and scores.shape == (40,)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [7, 9]
    texts = encoder.embed_texts(list(CAPTIONS)).astype(np.float64)
    for number in (0, 3, 14, 38):
        chosen = [(number + i) % 5 for i in range(number % 5 + 1)]
        expected = (texts[chosen] @ part.vectors[number].astype(np.float64)).max()
        assert scores[number] == pytest.approx(expected, abs=1e-3)
    assert part.footer.rejected == {"image_undecodable": 1}


def test_scores_do_not_change_the_vectors_and_are_only_there_when_asked_for(
    tmp_path, source, encoder
):
    scored = embedded(tmp_path / "a", source, encoder)
    plain = embedded(tmp_path / "b", source, encoder, scored=False)
    assert plain.clip_scores() is None
    assert scored.vectors.tobytes() == plain.vectors.tobytes()
    with pa.memory_map(str(plain.path)) as stream:
        assert pa.ipc.open_file(stream).schema.names == ["id", "key", "embedding"]
    with pa.memory_map(str(scored.path)) as stream:
        column = pa.ipc.open_file(stream).read_all().column("clip_score")
    assert (column.type, column.null_count) == (pa.float32(), 2)


def test_scores_depend_on_neither_batch_nor_threads_nor_blocks(
    tmp_path, source, encoder, monkeypatch
):
    expected = embedded(tmp_path / "a", source, encoder).path.read_bytes()
    other = load_encoder("demo", device="cpu", num_threads=3)
    monkeypatch.setattr(clip_scores, "TEXTS_A_BLOCK", 16)
    assert embedded(tmp_path / "b", source, other, batch_size=3).path.read_bytes() == expected


def test_parts_are_kept_for_the_same_captions_and_made_again_for_others(tmp_path, source, encoder):
    first = embed_part(tmp_path, source, options(), encoder)
    assert first.made and not embed_part(tmp_path, source, options(), encoder).made
    makers = {
        embed_fingerprint(encoder, options()),
        embed_fingerprint(encoder, options(scored=False)),
        embed_fingerprint(encoder, options(field="others")),
    }
    assert len(makers) == 3
    assert embed_part(tmp_path, source, options(scored=False), encoder).made


def test_the_hash_of_the_rows_covers_the_scores(tmp_path, source, encoder):
    part = embedded(tmp_path, source, encoder)
    data, score = part.path.read_bytes(), part.clip_scores()[20:22].tobytes()
    place = data.find(score)
    assert place > 0
    part.path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(DatastoreError, match="scores have changed"):
        open_embeddings(part.path).check_rows()


def test_scores_of_another_shape_are_refused(tmp_path, make_datastore):
    made = make_datastore(sizes=(40,))
    part = open_embeddings(made.root / embeddings_path(0))
    keys = part.keys().to_pylist()
    for scores in (np.zeros(39, np.float32), np.zeros(40)):
        with pytest.raises(ValueError, match="float32 scores"):
            write_embeddings(tmp_path / "p", part.ids, keys, part.vectors, part.footer, scores)


def score_parts(root, scores_of):
    """Give the parts of a datastore scores, as an embed stage that measured them would."""
    write_pin(
        root / "encoder.json",
        dataclasses.replace(read_pin(root / "encoder.json", EncoderPin, "embed"), clip_scores=True),
    )
    for path in sorted((root / "embeddings").glob("*.arrow")):
        part = open_embeddings(path)
        columns = part.ids.copy(), part.keys().to_pylist(), part.vectors.copy()
        write_embeddings(path, *columns, part.footer, scores_of(len(part.ids)))


def fill(made, rebuild_index, limit):
    rows = [(number, 50) for number in range(2)]
    return rebuild_index(made.root, read_sources(made.root), plan_shards(rows), "Flat", limit)


def spread(count):
    scores = np.linspace(0, 0.49, count, dtype=np.float32)
    scores[[10, 30]] = np.nan
    return scores


def test_images_below_the_limit_are_rejects_of_the_index(make_datastore, rebuild_index):
    made = make_datastore(sizes=(50, 50), untagged=5)
    score_parts(made.root, spread)
    fill(made, rebuild_index, 0.2)
    manifest = read_manifest(made.root)
    # Of each part's 50: 20 are below and one has no score, 5 of the others have no tags.
    assert manifest.parts[0].stages["index"].rejected == {"low_clip_score": 21, "no_tags_row": 5}
    assert (manifest.images, manifest.index.min_clip_score) == (48, 0.2)
    verify_datastore(made.root)
    rows = pq.read_table(made.root / "rejects/index/part-00001.parquet").to_pylist()
    details = {row["id"] & 0xFFFF: (row["reason"], row["detail"]) for row in rows}
    assert details[3] == ("low_clip_score", "0.0300, below 0.2")
    assert details[30] == ("low_clip_score", "it has none")
    assert details[49] == ("no_tags_row", "") and 20 not in details
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)


def test_another_limit_fills_again_and_does_not_train(make_datastore, rebuild_index):
    made = make_datastore(sizes=(50, 50))
    score_parts(made.root, spread)
    assert fill(made, rebuild_index, 0.2) == [True, True]
    assert fill(made, rebuild_index, 0.2) == [False, False]
    assert fill(made, rebuild_index, 0.3) == [False, True]
    assert read_manifest(made.root).images == 2 * 19
    assert fill(made, rebuild_index, None) == [False, True]
    assert read_manifest(made.root).images == 100
    verify_datastore(made.root)


@pytest.mark.parametrize("lie", ["limit", "reason", "cosine", "unmeasured"])
def test_verify_knows_of_scores(make_datastore, rebuild_index, lie):
    made = make_datastore(sizes=(50, 50))
    score_parts(made.root, lambda count: spread(count) * (3 if lie == "cosine" else 1))
    fill(made, rebuild_index, 0.2)
    record = json.loads((made.root / "manifest.json").read_text())
    if lie == "limit":
        record["index"]["min_clip_score"] = 0.3
    elif lie == "reason":
        count = record["parts"][0]["stages"]["index"]
        count["rejected"] = {"no_tags_row": count["rejected"]["low_clip_score"]}
        totals = {"low_clip_score": 21, "no_tags_row": 21}
        record["totals"]["index"]["rejected"] = totals
    elif lie == "unmeasured":
        del record["encoder"]["clip_scores"]
        pin = EncoderPin(**record["encoder"])
        write_pin(made.root / "encoder.json", pin)
    (made.root / "manifest.json").write_text(json.dumps(record))
    says = {
        "limit": "too low a CLIP score",
        "reason": "reasons do not add up",
        "cosine": "no cosines",
        "unmeasured": "where the manifest has none",
    }
    with pytest.raises(DatastoreError, match=says[lie]):
        verify_datastore(made.root)


def test_a_limit_without_scores_is_an_error(make_datastore, rebuild_index):
    made = make_datastore(sizes=(50, 50))
    with pytest.raises(DatastoreError, match="tagmine embed --clip-scores"):
        fill(made, rebuild_index, 0.2)
