"""`tagmine merge` and `tagmine subset`: real datastores of two taggers made one and cut down."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest

from index.search import open_datastore
from index.stack import open_stack
from pipelines.main import main
from tagmine.embeddings import open_embeddings
from tagmine.layout import sample_id
from tagmine.manifest import read_manifest
from tagmine.sources import read_sources

WORDS = ("red car", "blue boat", "yellow bus", "green tree", "old house", "black dog")


def write_world(write_tar, jpeg, folder: Path, shards: int, first: int) -> None:
    """Shards of eight samples each, the third without a caption and the fifth no picture."""
    for shard in range(shards):
        members = []
        for number in range(8):
            seed = first + 8 * shard + number
            caption = f"a {WORDS[seed % 6]} and a {WORDS[(seed + 2) % 6]}"
            data = b"no picture" if number == 4 else jpeg(seed)
            members.append((f"{number}.jpg", data))
            members.append((f"{number}.json", json.dumps({"brand": f"Élan {seed % 3}"}).encode()))
            if number != 2:
                members.append((f"{number}.txt", caption.encode()))
        write_tar(folder / f"{shard:05d}.tar", members)


@pytest.fixture(scope="module")
def world(tmp_path_factory, write_tar, jpeg) -> Path:
    """Two datastores, `one` and `two`, whose shards have the same names."""
    root = tmp_path_factory.mktemp("copying")
    for name, shards, first, more in (
        ("one", 3, 0, ["--clip-scores", "--min-clip-score", "0.1", "--thumbnails", "48"]),
        ("two", 2, 100, ["--tag-fields", "brand", "--license", "cc-by-4.0"]),
    ):
        write_world(write_tar, jpeg, root / f"{name}-in" / "shards", shards, first)
        line = ["build", f"{root}/{name}-in/shards/*.tar", "--out", str(root / name)]
        assert main([*line, "--clip-model", "demo", *more]) == 0
    return root


@pytest.fixture(scope="module")
def merged(world) -> Path:
    out = world / "both"
    assert main(["merge", str(world / "one"), str(world / "two"), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def photos(world, jpeg) -> list[Path]:
    paths = []
    for seed in (0, 9, 101, 110, 500):
        paths.append(world / f"photo-{seed}.jpg")
        paths[-1].write_bytes(jpeg(seed))
    return paths


def rows_of(root: Path, columns: str = "*") -> list[tuple]:
    query = f"SELECT {columns} FROM '{root}/tags/*.parquet' ORDER BY key"
    return duckdb.sql(query).fetchall()


def test_a_merge_of_two_taggers_says_in_what_they_differ(world, write_tar, jpeg, tmp_path, capfd):
    (tmp_path / "shade.txt").write_text("red\n")
    write_world(write_tar, jpeg, tmp_path / "third-in/thirds", 1, 200)
    line = ["build", f"{tmp_path}/third-in/thirds/*.tar", "--out", str(tmp_path / "third")]
    line += ["--clip-model", "demo", "--vocabulary", str(tmp_path / "shade.txt")]
    assert main(line) == 0
    both = tmp_path / "mixed"
    assert main(["merge", str(world / "one"), str(tmp_path / "third"), "--out", str(both)]) == 0
    assert "were mined with different lists of names; their tags stay" in capfd.readouterr().err
    cut = tmp_path / "cut"
    assert main(["subset", str(both), "--where", "len(tags) > 0", "--out", str(cut)]) == 0
    queries = str(next((world / "two-in/shards").glob("*.tar")))
    line = ["compare", queries, "--datastores", str(both), str(cut), str(world / "one")]
    assert main([*line, "--sample", "4"]) == 0
    printed = capfd.readouterr().out
    for name in ("mixed", "cut"):
        assert f"note: {name} holds tags that were mined in several ways, so that" in printed
    assert printed.count("several ways") == 2


def test_a_merge_holds_what_its_datastores_hold(world, merged):
    one, two, both = (read_manifest(root) for root in (world / "one", world / "two", merged))
    assert both.images == one.images + two.images and [p.part for p in both.parts] == [*range(5)]
    for stage in ("mine", "embed"):
        counts = [manifest.totals[stage] for manifest in (one, two)]
        total = both.totals[stage]
        assert total.read == sum(count.read for count in counts)
        low = total.rejected.get("low_clip_score", 0)
        assert total.written + low == sum(count.written for count in counts)
    # What the index of one left out for its score stays out, though the new one has no limit.
    low = one.totals["index"].rejected["low_clip_score"]
    assert 0 < low == both.totals["embed"].rejected["low_clip_score"]
    assert both.index.min_clip_score is None and not both.encoder.clip_scores
    assert both.tagger.tag_fields == ("brand",)
    said = "caption, more_captions, tags, caption_sources"
    expected = sorted(rows_of(world / "one", said) + rows_of(world / "two", said), key=str)
    assert sorted(rows_of(merged, said), key=str) == expected
    assert main(["verify", str(merged)]) == 0


def test_every_row_of_a_merge_knows_where_it_came_from(world, merged):
    found = duckdb.sql(
        f"SELECT o.datastore, o.source, o.origin_id, t.id, t.key, t.caption FROM "
        f"'{merged}/origins/*.parquet' o JOIN '{merged}/tags/*.parquet' t USING (id)"
    ).fetchall()
    assert len(found) == len(rows_of(merged, "id"))
    stores = {name: open_datastore(world / name) for name in ("one", "two")}
    for datastore, source, origin, row_id, key, caption in found:
        row = stores[datastore].rows([origin])[origin]
        assert (row["caption"], row["source"]) == (caption, source)
        # Two shards of one name: the later one's keys say which datastore they are of.
        prefix = "" if datastore == "one" else "two."
        assert key == prefix + row["key"] and origin & 0xFFFFFFFF == row_id & 0xFFFFFFFF


def test_licences_go_with_their_shards(world, merged, tmp_path):
    out = tmp_path / "of-two"
    line = ["subset", str(merged), "--where", "key LIKE 'two.%'", "--out", str(out)]
    assert main(line) == 0
    for root, licences in ((merged, ["", "", "", *["cc-by-4.0"] * 2]), (out, ["cc-by-4.0"] * 2)):
        assert [source.license for source in read_sources(root)] == licences
    assert "| two.shards | cc-by-4.0 |" in (merged / "README.md").read_text()
    assert "\nlicense: cc-by-4.0\n" in (out / "README.md").read_text()


def pictures_of(root: Path) -> dict[str, bytes]:
    """The thumbnails of a datastore, by the shard and place that their images first had."""
    query = f"SELECT o.source || o.origin_id, p.jpeg FROM '{root}/thumbnails/*.parquet' p JOIN "
    return dict(duckdb.sql(f"{query} '{root}/origins/*.parquet' o USING (id)").fetchall())


def test_thumbnails_go_with_their_images(world, merged, tmp_path):
    place = "format('shards/{:05d}', id >> 32) || id"
    rows = duckdb.sql(f"SELECT {place}, jpeg FROM '{world}/one/thumbnails/*.parquet'")
    before = dict(rows.fetchall())
    kept = pictures_of(merged)
    # An image that the index of one left out for its score has none any more.
    assert 0 < len(kept) < len(before) and kept.items() <= before.items()
    ids = {i for p in read_manifest(merged).parts[:3] for i in embedded_ids(merged, p)}
    assert len(kept) == len(ids)
    assert [p.thumbnails is None for p in read_manifest(merged).parts] == [False] * 3 + [True] * 2
    out = tmp_path / "cars"
    assert main(["subset", str(merged), "--where", "caption LIKE '%car%'", "--out", str(out)]) == 0
    cars = pictures_of(out)
    assert 0 < len(cars) < len(kept) and cars.items() <= kept.items()
    path = merged / "thumbnails/part-00001.parquet"
    line = ["merge", str(world / "one"), str(world / "two"), "--out", str(merged)]
    whole = path.read_bytes()
    path.unlink()
    assert main(line) == 0 and path.read_bytes() == whole


def embedded_ids(root: Path, part) -> list[int]:
    return open_embeddings(root / part.embeddings.path).ids.tolist()


def test_a_merge_answers_as_the_stack_of_its_datastores(world, merged, photos):
    stack = open_stack([world / "one", world / "two"])
    alone = open_datastore(merged)
    for ours, theirs in zip(
        alone.query_files(photos, 6), stack.query_files(photos, 6), strict=True
    ):
        assert [n.score for n in ours.neighbours] == pytest.approx(
            [n.score for n in theirs.neighbours], abs=1e-6
        )
        assert [n.captions for n in ours.neighbours] == [n.captions for n in theirs.neighbours]


def test_damaged_and_missing_parts_of_a_merge_are_copied_again(
    world, merged, tmp_path, read_folder
):
    again = tmp_path / "both"
    shutil.copytree(merged, again)
    (again / "tags/part-00001.parquet").write_bytes(b"damaged")
    (again / "origins/part-00003.parquet").unlink()
    assert main(["merge", str(world / "one"), str(world / "two"), "--out", str(again)]) == 0
    assert read_folder(again) == read_folder(merged)


def test_killed_half_way_a_merge_goes_on(world, merged, tmp_path, start_tagmine, read_folder):
    out = tmp_path / "both"
    line = ["merge", str(world / "one"), str(world / "two"), "--out", str(out)]
    process = start_tagmine(*line)
    deadline = time.monotonic() + 120
    while not list(out.glob("origins/part-*.parquet")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (out / "manifest.json").exists()
    assert main(line) == 0
    assert read_folder(out) == read_folder(merged)


def test_a_merge_grows_where_its_datastores_were_made_alike(world, tmp_path, capfd):
    halves = []
    for name, shards in (("a", "0000[01]"), ("b", "00002")):
        halves.append(str(tmp_path / name))
        line = ["build", f"{world}/one-in/shards/{shards}.tar", "--out", halves[-1]]
        assert main([*line, "--clip-model", "demo"]) == 0
    out = tmp_path / "ab"
    assert main(["merge", *halves, "--out", str(out)]) == 0
    shards = f"{world}/one-in/shards/*.tar"
    assert main(["build", shards, "--out", str(out), "--clip-model", "demo"]) == 0
    printed = capfd.readouterr().err
    assert printed.count("3 of 3 parts were finished before") == 2
    a, b, ab = (read_manifest(Path(root)).totals for root in (*halves, out))
    assert {stage: a[stage] + b[stage] for stage in ab} == ab


def test_a_shard_that_both_hold_is_taken_once(world, tmp_path, capfd):
    copy = tmp_path / "copy"
    shutil.copytree(world / "two", copy)
    assert main(["merge", str(world / "two"), str(copy), "--out", str(tmp_path / "out")]) == 0
    assert f"2 shards of {copy} were taken" in capfd.readouterr().err
    assert read_manifest(tmp_path / "out").images == read_manifest(copy).images
    part = ["subset", str(copy), "--where", "id % 2 = 0", "--out", str(tmp_path / "part")]
    assert main(part) == 0
    for order in ([copy, tmp_path / "part"], [tmp_path / "part", copy]):
        line = ["merge", *map(str, order), "--out", str(tmp_path / "x")]
        assert main(line) == 1
        assert "both hold images of the shard" in capfd.readouterr().err


def test_a_subset_holds_the_chosen_rows_and_no_others(world, merged, tmp_path, photos):
    out = tmp_path / "boats"
    where = "list_contains(heads, 'boat') AND caption NOT LIKE '%dog%'"
    line = ["subset", str(merged), "--where", where, "--out", str(out)]
    assert main(line) == 0
    chosen = [row for row in rows_of(merged, "key, caption, tags") if "boat" in row[1]]
    chosen = [row for row in chosen if "dog" not in row[1]]
    assert rows_of(out, "key, caption, tags") == chosen and 0 < len(chosen) < 20
    manifest = read_manifest(out)
    mine, embed = manifest.totals["mine"], manifest.totals["embed"]
    assert (mine.read, mine.rejected) == (len(chosen), {})
    assert embed.read == len(chosen) == embed.written + sum(embed.rejected.values())
    assert embed.rejected.keys() <= {"image_undecodable", "low_clip_score"}
    origins = duckdb.sql(f"SELECT DISTINCT datastore FROM '{out}/origins/*.parquet'").fetchall()
    assert {name for (name,) in origins} <= {"one", "two"}
    for part in manifest.parts:
        held = open_embeddings(out / part.embeddings.path)
        assert np.all(held.ids < sample_id(part.part, part.tags.rows))
        for key, vector in zip(held.keys().to_pylist(), held.vectors, strict=True):
            before = open_embeddings(merged / f"embeddings/part-{part.part:05d}.arrow")
            row = before.keys().to_pylist().index(key)
            np.testing.assert_array_equal(vector, before.vectors[row])
    assert main(["verify", str(out)]) == 0
    answer = open_datastore(out).query_files(photos[:1], 3)[0]
    assert all("boat" in neighbour.captions[0] for neighbour in answer.neighbours)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("(SELECT count(*) FROM read_csv('/etc/passwd')) > 0", "disabled by configuration"),
        ("key IN (SELECT content FROM read_text('/etc/hostname'))", "disabled by configuration"),
        ("1 = 1; COPY (SELECT 1) TO '/tmp/stolen'", "Parser Error"),
        ("1 = 1) OR (1 = 1", "Parser Error"),
        ("nothing = 1", "nothing"),
        ("sum(id) > 3", "aggregates"),
        ("random() < 0.1", "random gives something else each time"),
        ("len(list_filter(tags, lambda tag: RANDOM() < 0.5)) > 1", "random gives something else"),
        ("current_date > '2020-01-01' OR id > 0", "current_date gives something else"),
        ("CURRENT_TIMESTAMP IS NOT NULL", "current_timestamp gives something else"),
        (" ", "empty"),
        ("caption = 'nobody said this'", "holds for no row"),
    ],
)
def test_conditions_that_cannot_be(world, tmp_path, capfd, where, says):
    out = tmp_path / "out"
    line = ["subset", str(world / "two"), "--where", where, "--out", str(out)]
    assert main(line) == 1
    assert says in capfd.readouterr().err
    assert not (out / "manifest.json").exists()


def test_folders_and_datastores_that_cannot_be(world, merged, tmp_path, capfd):
    one, two = str(world / "one"), str(world / "two")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    damaged = tmp_path / "damaged"
    shutil.copytree(two, damaged)
    path = damaged / "embeddings/part-00001.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for words, says in (
        (["merge", one, "--out", "x"], "two datastores or more"),
        (["merge", one, one, "--out", "x"], "given twice"),
        (["merge", one, two, "--out", two], "read from"),
        (["merge", one, two, "--out", "s3://bucket/both"], "written to a local folder"),
        (["merge", one, str(tmp_path), "--out", "x"], "manifest.json"),
        (["merge", two, str(merged), "--out", one], "this is a datastore"),
        (["merge", two, one, "--out", str(merged)], "was begun by tagmine merge"),
        (["merge", one, two, "--out", str(tmp_path / "mine")], "letter.txt"),
        (["merge", one, two, "--min-clip-score", "0.2", "--out", "x"], "were not measured"),
        (["merge", one, str(damaged), "--out", str(tmp_path / "y")], "have changed since"),
        (["subset", two, "--where", "true", "--out", str(merged)], "was begun by tagmine merge"),
    ):
        assert main(words) == 1, words
        assert says in capfd.readouterr().err, words
