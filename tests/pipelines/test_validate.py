"""`tagmine validate` on real shards: what it measures, and what it says of planted faults."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import faiss
import numpy as np
import pytest

from index.report_file import read_report
from pipelines.main import main
from tagmine.embeddings import open_embeddings, write_embeddings
from tagmine.errors import DatastoreError
from tagmine.tags import KINDS

IMAGES = 160
CAPTIONS = (
    "a red car parked next to a yellow bicycle",
    "Two dogs are playing with a wooden stick on the beach.",
    "an old man in a striped shirt reading a newspaper",
    "The cat on the sofa is black and white.",
    "a bowl of green apples on a kitchen table",
)
# Blocks of random colours all look alike to a model of pictures.
ALIKE = ("--max-duplicates", "1", "--duplicate-cosine", "1")


def write_shard(folder, name, seeds, write_tar, jpeg):
    members = []
    for seed in seeds:
        caption = f"{CAPTIONS[seed % 5]} with a number {seed % 13}"
        members += [(f"{seed:05d}.jpg", jpeg(seed)), (f"{seed:05d}.txt", caption.encode())]
    return write_tar(folder / f"{name}.tar", members)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_tar, jpeg):
    """Five shards of a datastore, and a held-out one."""
    folder = tmp_path_factory.mktemp("input") / "blocks"
    for shard in range(5):
        seeds = range(shard * IMAGES, (shard + 1) * IMAGES)
        write_shard(folder, f"{shard:05d}", seeds, write_tar, jpeg)
    write_shard(folder, "held-out", range(9000, 9040), write_tar, jpeg)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory, folder):
    root = tmp_path_factory.mktemp("built") / "store"
    shards = [str(folder / f"{n:05d}.tar") for n in range(5)]
    command = ["build", *shards, "--out", str(root), "--clip-model", "demo"]
    assert main([*command, "--index-key", "IVF16,PQ16x4"]) == 0
    return root


@pytest.fixture
def copied(built, tmp_path):
    """A copy of the datastore, to be damaged."""
    root = tmp_path / "store"
    shutil.copytree(built, root, ignore=shutil.ignore_patterns("report"))
    return root


def read(root):
    return read_report(root / "report/report.json")


def test_held_out_shards_are_embedded_mined_and_looked_up(built, folder, tmp_path, capfd):
    out = tmp_path / "reports"
    command = ["validate", str(built), "--queries", str(folder / "held-out.tar"), *ALIKE]
    assert main([*command, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "report.json"]
    report = read_report(out / "report.json")
    assert report.passed and report.held_out and report.queries == 40
    assert (report.images, report.index_key) == (5 * IMAGES, "IVF16,PQ16x4")
    assert [recall.k for recall in report.recall] == [1, 5, 10]
    assert all(recall.overlap > 0.9 and recall.low < recall.overlap for recall in report.recall)
    assert report.agreement.k == 5 and 0 < report.agreement.approximate <= 1
    assert report.agreement.exact > 0.2 and report.agreement.same > 0.9
    assert report.lists.lists == 16 and report.score_error.ceiling < report.recall[1].overlap
    assert {point.rerank for point in report.sweep} >= {0, 50, 200}
    assert report.tags.unique > 10 and report.tags.images_without_tags == 0
    assert report.rejected == {"mine": {}, "embed": {}, "index": {}}
    assert [(s.path, s.vectors, s.problems) for s in report.shards] == [
        ("index/shard-00000.faiss", 5 * IMAGES, ())
    ]
    same = next(gate for gate in report.gates if "gives the stored vectors" in gate.name)
    assert same.value > 0.999
    printed = capfd.readouterr().err
    assert "40 held-out queries" in printed and "passed  overlap of the 5 nearest" in printed
    assert "passed  the datastore opens and answers: no problems\n" in printed


def test_the_gallery_shows_queries_and_neighbours_as_pictures(built, folder, tmp_path):
    import base64
    import io

    from PIL import Image

    command = ["validate", str(built), "--queries", str(folder / "held-out.tar"), *ALIKE]
    assert main([*command, "--out", str(tmp_path), "--gallery", "6"]) == 0
    gallery = read_report(tmp_path / "report.json").gallery
    assert len(gallery) == len({entry.key for entry in gallery}) == 6
    for entry in gallery:
        seed = int(entry.key.removeprefix("blocks/held-out/"))
        assert entry.captions[0].startswith(CAPTIONS[seed % 5])
        scores = [near.score for near in entry.neighbours]
        assert len(scores) == 5 and scores == sorted(scores, reverse=True)
        assert {tag.kind for tag in entry.tags} <= set(KINDS)
        for jpeg in (entry.thumbnail, *(near.thumbnail for near in entry.neighbours)):
            image = Image.open(io.BytesIO(base64.b64decode(jpeg)))
            assert image.format == "JPEG" and image.size == (96, 80)


def test_stored_images_without_themselves_and_several_processes(built, tmp_path):
    command = ["validate", str(built), "--sample", "60", *ALIKE]
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    assert main([*command, "--out", str(tmp_path / "two"), "--num-workers", "2"]) == 0
    one, two = (read_report(tmp_path / name / "report.json") for name in ("one", "two"))
    assert not one.held_out and one.queries == 60 and "without their own match" in one.cautions[0]
    assert one.notes == (
        "15 pictures were embedded again, to see that the encoder is the datastore's",
    )
    assert not any("own match" in note for note in one.notes)
    for entry in one.gallery:
        assert entry.key not in {near.key for near in entry.neighbours}
    assert one.sweep != ()
    untimed = [
        dataclasses.replace(
            report,
            sweep=tuple(dataclasses.replace(point, milliseconds=0.0) for point in report.sweep),
        )
        for report in (one, two)
    ]
    assert untimed[0] == untimed[1]


def test_shards_that_are_out_of_reach_cost_pictures_and_nothing_else(copied, tmp_path):
    sources = json.loads((copied / "sources.json").read_text())
    for source in sources["sources"]:
        source["url"] = str(tmp_path / "gone.tar")
    (copied / "sources.json").write_text(json.dumps(sources))
    assert main(["validate", str(copied), "--sample", "20", *ALIKE]) == 0
    report = read(copied)
    assert {near.thumbnail for entry in report.gallery for near in entry.neighbours} == {""}
    assert any("some pictures are missing" in note for note in report.notes)
    same = next(gate for gate in report.gates if "gives the stored vectors" in gate.name)
    assert same.passed and same.value is None and "not measured" in same.detail


def test_a_threshold_that_is_missed_stops_a_batch_job(built, tmp_path, capsys):
    command = ["validate", str(built), "--sample", "20", "--out", str(tmp_path), *ALIKE]
    assert main([*command, "--max-imbalance", "1"]) == 1
    said = capsys.readouterr().err
    assert "does not pass: imbalance of the inverted lists" in said and "index.html" in said
    report = read_report(tmp_path / "report.json")
    failed = [gate for gate in report.gates if not gate.passed]
    assert [gate.name for gate in failed] == ["imbalance of the inverted lists"]
    assert not report.passed and failed[0].value > 1 and failed[0].detail


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "validate needs queries"),
        (["--sample", "0"], "--sample 0"),
        (["--sample", "5", "--at", "7"], "none of -k 1,5,10"),
        (["--sample", "5", "-k", "five"], "give numbers"),
        (["--sample", "5", "-k", "0,5"], "from 1 to 1,000"),
        (["--sample", "5", "--min-recall", "1.5"], "--min-recall 1.5"),
        (["--sample", "5", "--max-imbalance", "0.5"], "--max-imbalance 0.5"),
        (["--sample", "5", "--duplicate-cosine", "2"], "--duplicate-cosine 2"),
        (["--sample", "5", "--gallery", "101"], "--gallery 101"),
        (["--sample", "5", "--seed", "-1"], "--seed -1"),
        (["--queries", "nowhere/*.tar"], "matches no file"),
        (["--sample", "5", "--clip-model", "nothing"], "no architecture of open_clip"),
        (["--sample", "5", "--spacy-model", "no"], "--spacy-model: it says how the captions of"),
        (["--sample", "5", "--tag-policy", "/no"], "--tag-policy: it says how the captions of"),
        (["--sample", "5", "--vocabulary", "/no"], "--vocabulary: it says how the captions of"),
        (["--sample", "5", "--flink_masterr=x"], "neither tagmine nor Beam"),
    ],
)
def test_what_cannot_work_is_said_before_any_work(built, tmp_path, capsys, flags, says):
    out = tmp_path / "report"
    assert main(["validate", str(built), *flags, "--out", str(out)]) == 1
    assert says in capsys.readouterr().err and not (out / "report.json").exists()


def test_a_shard_of_the_datastore_is_no_held_out_one(built, folder, tmp_path, capfd):
    """It is refused before anything is embedded, however many good shards come with it."""
    shutil.copy(folder / "00003.tar", tmp_path / "other-name.tar")
    command = ["validate", str(built), "--queries", str(folder / "held-out.tar")]
    command += [str(tmp_path / "other-name.tar"), "--out", str(tmp_path / "r")]
    assert main(command) == 1
    said = capfd.readouterr().err
    assert "other-name.tar: this shard is in the datastore, as blocks/00003" in said
    assert "embed" not in said and not (tmp_path / "r").exists()


def test_queries_that_are_mined_otherwise_have_no_agreement(built, folder, tmp_path):
    brands = tmp_path / "brand.txt"
    brands.write_text("Acme\n")
    command = ["validate", str(built), "--queries", str(folder / "held-out.tar"), *ALIKE]
    command += ["--sample", "10", "--vocabulary", str(brands), "--out", str(tmp_path)]
    assert main(command) == 0
    report = read_report(tmp_path / "report.json")
    assert report.agreement is None and report.queries == 10
    assert any("agreement of tags was not measured" in one for one in report.cautions)
    gate = next(gate for gate in report.gates if "own tags found" in gate.name)
    assert gate.value is None and gate.passed and "not measured" in gate.detail


def test_the_format_page_names_every_field_of_the_report():
    from pathlib import Path

    from index import report

    page = (Path(__file__).parents[2] / "docs/format.md").read_text()
    section = page.split("## report/")[1].split("\n## ")[0]
    kinds = [kind for kind in vars(report).values() if dataclasses.is_dataclass(kind)]
    assert len(kinds) > 10
    for kind in kinds:
        for field in dataclasses.fields(kind):
            named = re.search(rf"`{field.name}(\[\])?`", section)
            assert named, f"{kind.__name__}.{field.name}"


def test_the_page_on_validation_states_the_defaults():
    from pathlib import Path

    from index.thresholds import Thresholds

    page = (Path(__file__).parents[2] / "docs/validation.md").read_text()
    for field in dataclasses.fields(Thresholds):
        flag = "--" + field.name.replace("_", "-")
        assert f"| `{flag}` | {field.default:g} |" in page


# --- planted faults -------------------------------------------------------------------------


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
def test_a_planted_fault_turns_the_verdict_red_and_names_itself(copied, repin, plant, capsys):
    plant(copied, repin)
    assert main(["validate", str(copied), "--sample", "30", *ALIKE]) == 1
    assert "does not pass" in capsys.readouterr().err
    report = read(copied)
    assert not report.passed
    failed = [gate for gate in report.gates if not gate.passed]
    assert any(FAULTS[plant] in gate.detail for gate in failed), [g.detail for g in failed]


def test_a_swapped_encoder_cannot_embed_queries(copied, repin, folder, capsys):
    swapped_encoder_pin(copied, repin)
    command = ["validate", str(copied), "--queries", str(folder / "held-out.tar")]
    assert main(command) == 1
    report = read(copied)
    assert report.recall == () and report.queries == 0 and report.held_out
    assert any("(swapped encoder)" in gate.detail for gate in report.gates)
    assert main([*command, "--clip-model", "demo"]) == 1
    assert "the datastore pins demo with weights aaaaaaaaaaaa" in capsys.readouterr().err


def test_a_datastore_without_a_manifest_says_what_to_run(copied, capsys):
    (copied / "manifest.json").unlink()
    assert main(["validate", str(copied), "--sample", "5"]) == 1
    assert "run the same tagmine build again" in capsys.readouterr().err
    assert not (copied / "report").exists()


# --- a crash during indexing ----------------------------------------------------------------

CRASH = """
import os, signal, sys
from pipelines.main import main
left, rename = int(sys.argv[1]), os.replace
def replace(source, target):
    global left
    left -= "tagmine-progress-" not in str(target)
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("renames", [0, 1, 2, 4])
def test_a_crash_during_indexing_opens_as_before_or_says_what_to_run(copied, renames, capsys):
    """Another index is built over a finished datastore and killed at some rename."""
    from index import open_datastore

    vectors = open_embeddings(copied / "embeddings/part-00000.arrow").vectors[:9]
    before = open_datastore(copied).search(vectors.astype(np.float32), 5)
    command = ["index", str(copied), "--index-key", "IVF8,Flat"]
    words = [sys.executable, "-c", CRASH, str(renames), *command]
    killed = subprocess.run(words, capture_output=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    try:
        after = open_datastore(copied).search(vectors.astype(np.float32), 5)
    except DatastoreError as error:
        assert "Run tagmine build again" in str(error)
        assert main(["validate", str(copied), "--sample", "5"]) == 1
        assert "the datastore opens and answers" in capsys.readouterr().err
    else:
        np.testing.assert_array_equal(before[0], after[0])
    if renames == 4:
        assert main(command) == 0
        assert main(["validate", str(copied), "--sample", "5", *ALIKE]) == 0
        assert read(copied).index_key == "IVF8,Flat"
