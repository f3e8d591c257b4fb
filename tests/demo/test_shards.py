"""Shards of the drawn world: read back by webdataset, equal bytes from equal options."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest
import webdataset
from PIL import Image

from demo.shards import ShardOptions, main, parse, scenes_of, write_shards
from tagmine.errors import ConfigurationError
from tagmine.tags import Tag


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[Path]:
    out = tmp_path_factory.mktemp("shards")
    return write_shards(ShardOptions(out, count=26, shard_size=10, image_side=96))


def test_shards_are_named_by_domain_and_number(shards):
    assert [path.name for path in shards] == [
        "street-00000.tar",
        "street-00001.tar",
        "fashion-00000.tar",
        "fashion-00001.tar",
    ]
    assert sorted(path.name for path in shards[0].parent.iterdir()) == sorted(
        path.name for path in shards
    )


def test_webdataset_reads_every_sample(shards):
    samples = list(webdataset.WebDataset([str(path) for path in shards], shardshuffle=False))
    assert len({sample["__key__"] for sample in samples}) == len(samples) == 26
    for sample in samples:
        fields = json.loads(sample["json"])
        assert Image.open(io.BytesIO(sample["jpg"])).size == (96, 96)
        assert sample["txt"].decode() == fields["caption"] == fields["captions"][0]
        assert fields["key"] == sample["__key__"]
        assert len(set(fields["captions"])) == len(fields["captions"]) == len(fields["gold"])
        assert fields["colour"] and fields["kind"] and fields["category"]
        for tag in (tag for tags in fields["gold"] for tag in tags):
            Tag(**tag | {"attributes": tuple(tag["attributes"])})


def test_images_have_several_captions(shards):
    samples = webdataset.WebDataset([str(path) for path in shards], shardshuffle=False)
    counts = [len(json.loads(sample["json"])["captions"]) for sample in samples]
    assert min(counts) >= 1
    assert sum(count >= 2 for count in counts) >= 0.9 * len(counts)


def test_equal_options_give_equal_bytes(shards, tmp_path):
    write_shards(ShardOptions(tmp_path, count=26, shard_size=10, image_side=96))
    assert digests(tmp_path) == digests(shards[0].parent)


def test_seeds_and_splits_share_no_scene(tmp_path):
    seen: set[int] = set()
    for split in ("datastore", "heldout"):
        for seed in (0, 1, 2):
            options = ShardOptions(tmp_path, count=500, domain="street", seed=seed, split=split)
            seeds = {scene.seed for scene in scenes_of(options)["street"]}
            assert not seeds & seen
            seen |= seeds


def test_command_writes_plain_photos(tmp_path, capsys):
    main(
        ["--out", str(tmp_path), "--count", "4", "--domain", "fashion"]
        + ["--split", "heldout", "--seed", "3", "--plain"]
    )
    assert "4 pictures in 4 files" in capsys.readouterr().out
    photos = sorted(tmp_path.iterdir())
    assert [path.suffix for path in photos] == [".jpg"] * 4
    assert {Image.open(path).size for path in photos} == {(224, 224)}


def test_command_line_becomes_options(tmp_path):
    options, plain = parse(["--out", str(tmp_path), "--shard-size", "7", "--domain", "street"])
    assert options == ShardOptions(tmp_path, domain="street", shard_size=7)
    assert not plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"shard_size": 0}, "shard_size is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"domain": "sea"}, "domain 'sea'"),
        ({"split": "encoder"}, "split 'encoder'"),
    ],
)
def test_options_that_cannot_work_are_refused(tmp_path, change, message):
    with pytest.raises(ConfigurationError, match=message):
        ShardOptions(tmp_path, **change)
