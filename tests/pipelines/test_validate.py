"""`tagmine validate` on real shards: what it measures, refuses and says."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import pytest

from index.report_file import read_report
from pipelines import validate
from pipelines.main import main
from tagmine.tags import KINDS

IMAGES = 800
# Blocks of random colours all look alike to a model of pictures.
ALIKE = ("--max-duplicates", "1", "--duplicate-cosine", "1")


def read(root):
    return read_report(root / "report/report.json")


def test_held_out_shards_are_embedded_mined_and_looked_up(block_store, blocks, tmp_path, capfd):
    out = tmp_path / "reports"
    command = ["validate", str(block_store), "--queries", str(blocks / "held-out.tar"), *ALIKE]
    assert main([*command, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "jobs", "report.json"]
    report = read_report(out / "report.json")
    assert report.passed and report.held_out and report.queries == 40
    assert (report.images, report.index_key) == (IMAGES, "IVF16,PQ16x4")
    assert [recall.k for recall in report.recall] == [1, 5, 10]
    assert all(recall.overlap > 0.9 and recall.low < recall.overlap for recall in report.recall)
    assert report.agreement.k == 5 and 0 < report.agreement.approximate <= 1
    assert report.agreement.exact > 0.2 and report.agreement.same > 0.9
    assert report.lists.lists == 16 and report.score_error.ceiling < report.recall[1].overlap
    assert {point.rerank for point in report.sweep} >= {0, 50, 200}
    assert report.tags.unique > 10 and report.tags.images_without_tags == 0
    assert report.rejected == {"mine": {}, "embed": {}, "index": {}}
    assert [(s.path, s.vectors, s.problems) for s in report.shards] == [
        ("index/shard-00000.faiss", IMAGES, ())
    ]
    same = next(gate for gate in report.gates if "gives the stored vectors" in gate.name)
    assert same.value > 0.999
    printed = capfd.readouterr().err
    assert "40 held-out queries" in printed and "passed  overlap of the 5 nearest" in printed
    assert "passed  the datastore opens and answers: no problems\n" in printed


def test_the_gallery_shows_queries_and_neighbours_as_pictures(
    block_store, blocks, block_captions, tmp_path
):
    import base64
    import io

    from PIL import Image

    command = ["validate", str(block_store), "--queries", str(blocks / "held-out.tar"), *ALIKE]
    assert main([*command, "--out", str(tmp_path), "--gallery", "6"]) == 0
    gallery = read_report(tmp_path / "report.json").gallery
    assert len(gallery) == len({entry.key for entry in gallery}) == 6
    for entry in gallery:
        seed = int(entry.key.removeprefix("blocks/held-out/"))
        assert entry.captions[0].startswith(block_captions[seed % 5])
        scores = [near.score for near in entry.neighbours]
        assert len(scores) == 5 and scores == sorted(scores, reverse=True)
        assert {tag.kind for tag in entry.tags} <= set(KINDS)
        for jpeg in (entry.thumbnail, *(near.thumbnail for near in entry.neighbours)):
            image = Image.open(io.BytesIO(base64.b64decode(jpeg)))
            assert image.format == "JPEG" and image.size == (96, 80)


def test_stored_images_without_themselves_and_several_processes(block_store, tmp_path):
    command = ["validate", str(block_store), "--sample", "60", *ALIKE]
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


def test_shards_that_are_out_of_reach_cost_pictures_and_nothing_else(copied_store, tmp_path):
    sources = json.loads((copied_store / "sources.json").read_text())
    for source in sources["sources"]:
        source["url"] = str(tmp_path / "gone.tar")
    (copied_store / "sources.json").write_text(json.dumps(sources))
    assert main(["validate", str(copied_store), "--sample", "20", *ALIKE]) == 0
    report = read(copied_store)
    assert {near.thumbnail for entry in report.gallery for near in entry.neighbours} == {""}
    assert any("some pictures are missing" in note for note in report.notes)
    same = next(gate for gate in report.gates if "gives the stored vectors" in gate.name)
    assert same.passed and same.value is None and "not measured" in same.detail


def test_a_threshold_that_is_missed_stops_a_batch_job(block_store, tmp_path, capsys):
    command = ["validate", str(block_store), "--sample", "20", "--out", str(tmp_path), *ALIKE]
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
def test_what_cannot_work_is_said_before_any_work(block_store, tmp_path, capsys, flags, says):
    out = tmp_path / "report"
    assert main(["validate", str(block_store), *flags, "--out", str(out)]) == 1
    assert says in capsys.readouterr().err and not (out / "report.json").exists()


def test_a_shard_of_the_datastore_is_no_held_out_one(block_store, blocks, tmp_path, capfd):
    """It is refused before anything is embedded, however many good shards come with it."""
    shutil.copy(blocks / "00003.tar", tmp_path / "other-name.tar")
    command = ["validate", str(block_store), "--queries", str(blocks / "held-out.tar")]
    command += [str(tmp_path / "other-name.tar"), "--out", str(tmp_path / "r")]
    assert main(command) == 1
    said = capfd.readouterr().err
    assert "other-name.tar: this shard is in the datastore" in said and "as blocks/00003" in said
    assert "embed" not in said and not (tmp_path / "r").exists()


def test_queries_that_are_mined_otherwise_have_no_agreement(block_store, blocks, tmp_path):
    brands = tmp_path / "brand.txt"
    brands.write_text("Acme\n")
    command = ["validate", str(block_store), "--queries", str(blocks / "held-out.tar"), *ALIKE]
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


def test_a_datastore_that_changes_meanwhile_is_not_reported_on(copied_store, monkeypatch, capsys):
    run_job = validate.run_job

    def run_while_another_build_ends(*arguments):
        run_job(*arguments)
        with (copied_store / "manifest.json").open("a") as manifest:
            manifest.write("\n")

    monkeypatch.setattr(validate, "run_job", run_while_another_build_ends)
    assert main(["validate", str(copied_store), "--sample", "5", *ALIKE]) == 1
    assert "was changed while it was validated" in capsys.readouterr().err
    assert list((copied_store / "report").iterdir()) == []


def test_a_datastore_without_a_manifest_says_what_to_run(copied_store, capsys):
    (copied_store / "manifest.json").unlink()
    assert main(["validate", str(copied_store), "--sample", "5"]) == 1
    assert "run the same tagmine build again" in capsys.readouterr().err
    assert not (copied_store / "report").exists()
