"""From what a user types to numbered shards."""

from __future__ import annotations

import fsspec
import pytest

from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.sources import (
    Source,
    expand_shards,
    name_shard,
    number_sources,
    read_sources,
    write_sources,
)


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "coco"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:05d}.tar").touch()
    return folder


def test_paths_globs_braces_and_lists(shards):
    every = [str(shards / f"{number:05d}.tar") for number in range(12)]
    assert expand_shards([str(shards / "*.tar")]) == every
    assert expand_shards([str(shards / "{00003..00005}.tar")]) == every[3:6]
    assert expand_shards([every[1], str(shards / "0000[0-1].tar")]) == [every[1], every[0]]
    listing = shards / "list.txt"
    listing.write_text(f"# two\n{every[4]}\n\n{shards}/{{00006..00007}}.tar\n")
    assert expand_shards([f"@{listing}"]) == [every[4], every[6], every[7]]


def test_any_fsspec_url():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe({"/bucket/b.tar": b"", "/bucket/a.tar": b""})
    assert expand_shards(["memory://bucket/*.tar"]) == [
        "memory:///bucket/a.tar",
        "memory:///bucket/b.tar",
    ]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("pipe:cat x.tar", "refused"),
        ("{folder}/*.zip", "0 shards"),
        ("{folder}/00099.tar", "no such file"),
        ("{folder}", "is a folder"),
        ("@{folder}/none.txt", "cannot be read"),
        ("nonsense://x.tar", "cannot be looked up"),
    ],
)
def test_what_matches_nothing_is_an_error_that_names_it(shards, pattern, says):
    text = pattern.replace("{folder}", str(shards))
    with pytest.raises(ConfigurationError, match=says) as caught:
        expand_shards([text])
    assert text.removeprefix("@") in str(caught.value)


def test_a_list_may_not_name_a_list(shards):
    listing = shards / "list.txt"
    listing.write_text(f"@{listing}\n")
    with pytest.raises(ConfigurationError, match="another list"):
        expand_shards([f"@{listing}"])


def test_names_are_dataset_and_shard():
    assert name_shard("/data/coco/train-0001.tar", None) == "coco/train-0001"
    assert name_shard("s3://bucket/cc3m/00000.tar", None) == "cc3m/00000"
    assert name_shard("s3://bucket/cc3m/00000.tar", "cc") == "cc/00000"


def test_a_known_shard_keeps_its_number_and_a_new_one_takes_the_next():
    known = number_sources(["/d/a.tar", "/d/b.tar"], None)
    again = number_sources(["/d/c.tar", "/elsewhere/d/b.tar"], None, known)
    assert [(s.part, s.name) for s in again] == [(2, "d/c"), (1, "d/b")]


def test_shards_whose_keys_would_clash_are_refused():
    with pytest.raises(ConfigurationError, match="--dataset"):
        number_sources(["/a/d/0.tar", "/b/d/0.tar"], None)


def test_the_record_of_sources_only_grows(tmp_path):
    first = write_sources(tmp_path, [Source(0, "d/a", "/d/a.tar")])
    second = write_sources(tmp_path, [Source(1, "d/b", "/d/b.tar")])
    assert first == [second[0]] and read_sources(tmp_path) == second
    (tmp_path / "sources.json").write_text('{"sources": [{"part": -1}]}')
    with pytest.raises(DatastoreError, match="not a list of sources"):
        read_sources(tmp_path)
