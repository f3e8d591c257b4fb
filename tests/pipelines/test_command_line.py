"""The command line: what is typed, what is meant, and what the docs say of it."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.command_docs import render
from pipelines.command_line import make_parser, parse
from pipelines.main import main
from pipelines.options import BuildOptions
from tagmine.errors import ConfigurationError
from tagmine.rejects import REASONS

ROOT = Path(__file__).parents[2]


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = make_parser()
    return next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices


def examples() -> list[str]:
    found = []
    for command in commands().values():
        text = command.epilog.replace("\\\n", " ")
        found += re.findall(r"^  (tagmine .*)$", text, re.MULTILINE)
    return found


@pytest.mark.parametrize("example", examples())
def test_every_example_of_the_help_is_understood(example):
    words = shlex.split(example.split(">")[0])
    assert parse(words[1:]) is not None


def test_every_command_has_an_example():
    named = {example.split()[1] for example in examples()}
    assert named == set(commands())


def test_the_page_of_commands_is_what_the_program_says():
    page = (ROOT / "docs/commands.md").read_text()
    assert page == render(), "run: python -m pipelines.command_docs > docs/commands.md"


def test_the_format_page_names_every_reason_and_column():
    from tagmine.parts import REJECTS_SCHEMA, TAG_TYPE, TAGS_SCHEMA, embeddings_schema

    page = (ROOT / "docs/format.md").read_text()
    for reason, meaning in REASONS.items():
        assert f"| `{reason}` | {meaning} |" in page
    schemas = (TAGS_SCHEMA, REJECTS_SCHEMA, embeddings_schema(4))
    names = {name for schema in schemas for name in schema.names}
    for name in names | {TAG_TYPE.field(i).name for i in range(TAG_TYPE.num_fields)}:
        assert f"| `{name}` |" in page


def test_the_format_page_names_every_field():
    from index.files import IndexFileCard
    from tagmine import manifest
    from tagmine.parts import PartFooter
    from tagmine.sources import Source
    from tagmine.vocabulary import VOCABULARY_SCHEMA, VocabularyFooter

    page = (ROOT / "docs/format.md").read_text()
    kinds = [PartFooter, IndexFileCard, Source, manifest.Manifest, manifest.FileCard]
    kinds += [manifest.StageCount, manifest.PartCard, manifest.TaggerPin, manifest.EncoderPin]
    kinds += [manifest.IndexCard, manifest.IndexShardCard]
    kinds += [manifest.TuningCard, manifest.DriftCard]
    kinds += [manifest.VocabularyCard, VocabularyFooter]
    for kind in kinds:
        for field in dataclasses.fields(kind):
            assert re.search(rf"\b{field.name}\b", page), f"{kind.__name__}.{field.name}"
    section = page.split("## vocabulary/tags.arrow")[1].split("##")[0]
    for name in VOCABULARY_SCHEMA.names:
        assert re.search(rf"^\|.*`{name}`.*\|", section, re.MULTILINE), name


def test_the_readme_and_the_pages_name_only_flags_that_exist():
    known = {flag for command in commands().values() for flag in command._option_string_actions}
    known |= {"--version", "--name", "--flink_master", "--parallelism", "--wds_image_key"}
    known |= {"--wds_caption_key", "--batch_size"}
    for page in ("README.md", "docs/commands.md"):
        text = (ROOT / page).read_text()
        # `tagmine-tuna` has flags of its own; its guide is run by a test.
        lines = [
            line
            for line in text.splitlines()
            if "tagmine" in line.replace("tagmine-tuna", "") or line.startswith("| `--")
        ]
        used = set(re.findall(r"(?<![\w-])(--[a-z][a-z_-]*)", "\n".join(lines)))
        assert used <= known, used - known


def test_names_from_clip_retrieval_and_img2dataset():
    options = parse(
        [
            "build",
            "a.tar",
            "--out",
            "d",
            "--wds_image_key",
            "png",
            "--wds_caption_key",
            "cap.txt",
            "--batch_size=8",
            "--clip_model",
            "demo",
            "--num_prepro_workers",
            "2",
            "--index_key",
            "Flat",
            "--max_index_memory_usage",
            "1G",
            "--tag_fields=a,b",
            "--caption_json_field",
            "c",
        ]
    )
    assert isinstance(options, BuildOptions)
    fields = options.mine.inputs.fields
    assert (fields.image_keys, fields.caption_key) == (("png",), "cap.txt")
    assert (fields.tag_fields, fields.caption_json_fields) == (("a", "b"), ("c",))
    assert (options.embed.batch_size, options.embed.num_prepro_workers) == (8, 2)
    assert (options.embed.clip_model, options.index.index_key) == ("demo", "Flat")
    assert options.index.max_index_memory_usage == "1G"


def test_beams_own_options_are_passed_on():
    options = parse(
        [
            "build",
            "a.tar",
            "--out",
            "d",
            "--runner=FlinkRunner",
            "--flink_master=h:1",
            "--parallelism=2",
        ]
    )
    runner = options.mine.runner
    assert runner.runner == "FlinkRunner"
    assert runner.beam_args == ("--flink_master=h:1", "--parallelism=2")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("build x.tar --out d --num-workers 0", "give 1 or more"),
        ("remove s3://b/d --keys x.txt", "Run tagmine pull, remove and compact there, and push"),
        ("compact s3://b/d", "Run tagmine pull, remove and compact there, and push"),
        ("shards s3://b/x.csv --out d", "reads files of this machine"),
        ("build x.tar --out d --num-workers 2 --runner=FlinkRunner", "for the local runner"),
        ("build x.tar --out d --batch-size 0", "give 1 or more"),
        ("embed x.tar --out d --num-prepro-workers 0", "give 1 or more"),
        ("build x.tar --out d --dataset a/b", "without a slash"),
        ("build x.tar --out d --image-key .jpg", "not an extension"),
        ("query d p.jpg -k 0", "give 1 or more"),
        ("index d --min-tag-images 0", "give 1 or more; 1 keeps every tag"),
        ("tags d -n -1", "give 0 or more"),
        ("tags d --kind thing", "give one of object, attribute, entity"),
        ("tags d --write tags.xlsx", "ends in .csv or .parquet"),
    ],
)
def test_values_that_cannot_work(line, says):
    with pytest.raises(ConfigurationError, match=says):
        parse(line.split())


@pytest.mark.parametrize(
    "line", ["", "build", "build a.tar", "query d", "verify d --frobnicate", "bild a.tar --out d"]
)
def test_usage_errors(line, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(line.split())
    assert caught.value.code == 2
    assert "usage: tagmine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("build x.tar --out d --num-worker 2", "--num-worker 2. Did you mean --num-workers?"),
        ("mine x.tar --out d --runer FlinkRunner", "Did you mean --runner?"),
        ("mine x.tar --out d --flink_master h:1", "Write Beam's options as --name=value."),
        ("verify d --frobnicate", "tagmine verify: error: unrecognized arguments: --frobnicate"),
        ("tags d --kinds object", "Did you mean --kind?"),
    ],
)
def test_an_unknown_flag_with_a_value_of_its_own_is_named(line, says, capsys):
    with pytest.raises(SystemExit):
        parse(line.split())
    said = capsys.readouterr().err
    assert said.startswith(f"usage: tagmine {line.split()[0]} ") and says in said


def test_a_misspelled_flag_stops_before_any_work(tmp_path, shards, capfd):
    out = tmp_path / "store"
    line = ["mine", f"{shards}/*.tar", "--out", str(out), "--flink_mastr=h:1"]
    assert main(line) == 1
    assert "Did you mean --flink_master?" in capfd.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("line", [["--help"], ["build", "--help"], ["tags", "--help"]])
def test_help_loads_nothing_heavy(line):
    code = (
        "import sys\nfrom pipelines.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'apache_beam', 'spacy', 'torch', 'faiss', 'open_clip', 'pyarrow', 'pydantic'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: tagmine")
