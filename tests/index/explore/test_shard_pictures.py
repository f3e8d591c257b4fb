"""Pictures from source shards: by their place, where they were or where the user says."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
from types import SimpleNamespace

import fsspec
import pytest

from index.explore.shard_pictures import NoPictureError, ShardPictures
from tagmine.archive import BrokenArchiveError, HashingReader, find_members, read_members
from tagmine.errors import ConfigurationError
from tagmine.layout import sample_id
from tagmine.sources import Source, write_sources


@dataclasses.dataclass(frozen=True)
class Part:
    """What is read of a part's card."""

    part: int
    source: str
    source_bytes: int


def manifest(*parts: Part) -> SimpleNamespace:
    return SimpleNamespace(parts=parts, tagger=SimpleNamespace(image_keys=("jpg", "png")))


@pytest.fixture
def shard(tmp_path, write_tar):
    """A shard with dotted keys, folders, a second picture, a mask, and a link."""
    members = [("a.jpg", b"picture a"), ("a.txt", b"x"), ("b/c.d.png", b"picture b/c.d")]
    members += [("e.png", b"lesser"), ("e.jpg", b"better"), ("e.seg.png", b"mask"), ("f.txt", b"")]
    return write_tar(tmp_path / "in" / "toys" / "00000.tar", members)


@pytest.fixture
def store(tmp_path, shard):
    """The folder of a datastore that was built from it, and its manifest."""
    root = tmp_path / "store"
    root.mkdir()
    write_sources(root, [Source(0, "toys/00000", str(shard))])
    return root, manifest(Part(0, "toys/00000", shard.stat().st_size))


def test_a_picture_is_read_by_its_key(store):
    pictures = ShardPictures(*store)
    for key in ("a", "b/c.d"):
        assert pictures.read(0, f"toys/00000/{key}") == f"picture {key}".encode()
    # As in a build, the first of the image keys counts.
    assert pictures.read(2, "toys/00000/e") == b"better"
    for key in ("f", "z", "../a"):
        with pytest.raises(NoPictureError, match="has no picture of"):
            pictures.read(3, f"toys/00000/{key}")


def test_headers_are_read_once(store, monkeypatch):
    pictures = ShardPictures(*store)
    assert pictures.read(0, "toys/00000/a") == b"picture a"
    monkeypatch.setattr("index.explore.shard_pictures.find_members", None)
    assert pictures.read(2, "toys/00000/e") == b"better"


def test_a_shard_that_moved_is_found_where_the_user_says(store, shard, tmp_path):
    moved = tmp_path / "elsewhere" / "00000.tar"
    moved.parent.mkdir()
    shutil.move(shard, moved)
    with pytest.raises(NoPictureError, match="cannot be read.*--shards"):
        ShardPictures(*store).read(0, "toys/00000/a")
    pictures = ShardPictures(*store, [f"{moved.parent}/*.tar"])
    assert pictures.read(0, "toys/00000/a") == b"picture a"
    with pytest.raises(ConfigurationError, match="matches no file"):
        ShardPictures(*store, [f"{tmp_path}/nowhere/*.tar"])


def test_a_shard_on_an_object_store_is_read_when_the_user_says_so(store, shard):
    with fsspec.open("memory://bucket/toys/00000.tar", "wb") as file:
        file.write(shard.read_bytes())
    shard.unlink()
    pictures = ShardPictures(*store, ["memory://bucket/toys/00000.tar"])
    assert pictures.read(1, "toys/00000/b/c.d") == b"picture b/c.d"


def test_of_shards_alike_only_the_one_of_that_name(store, write_tar, tmp_path, shard):
    size = shard.stat().st_size
    shard.unlink()
    for folder in ("one", "two"):
        write_tar(tmp_path / folder / "00000.tar", [("a.jpg", folder.encode())])
    both = [f"{tmp_path}/one/00000.tar", f"{tmp_path}/two/00000.tar"]
    parts = [Part(0, "toys/00000", size), Part(1, "two/00000", size)]
    pictures = ShardPictures(store[0], manifest(*parts), both)
    assert pictures.read(sample_id(1, 0), "two/00000/a") == b"two"
    with pytest.raises(NoPictureError):
        pictures.read(0, "toys/00000/a")


def test_a_strangers_sources_lead_nowhere(store, tmp_path, write_tar):
    """Another file, a folder, a device or a URL in sources.json is not opened, or not believed."""
    secret = write_tar(tmp_path / "secret.tar", [("a.jpg", b"secret " * 3000)])
    fsspec.filesystem("memory").pipe("/secret.tar", secret.read_bytes())
    for url in (str(secret), "/dev/zero", str(tmp_path), "memory://secret.tar", "in/toys/0.tar"):
        record = {"sources": [{"part": 0, "name": "toys/00000", "url": url}]}
        (store[0] / "sources.json").write_text(json.dumps(record))
        with pytest.raises(NoPictureError) as caught:
            ShardPictures(*store).read(0, "toys/00000/a")
        assert "--shards" in str(caught.value)


def test_a_shard_that_breaks_off_shows_what_came_before(tmp_path, write_tar):
    whole = write_tar(tmp_path / "w.tar", [("a.jpg", b"first"), ("b.jpg", b"second" * 500)])
    cut = tmp_path / "d" / "cut.tar"
    cut.parent.mkdir()
    cut.write_bytes(whole.read_bytes()[:1024] + b"\xff" * 512)
    made = manifest(Part(0, "d/cut", 1536))
    assert ShardPictures(tmp_path, made, [str(cut)]).read(0, "d/cut/a") == b"first"
    cut.write_bytes(b"\xff" * 1536)
    with pytest.raises(NoPictureError, match="no tar archive"):
        ShardPictures(tmp_path, made, [str(cut)]).read(0, "d/cut/a")


def test_places_are_those_that_a_build_reads(shared_data):
    """Every member that a build reads has its place, in shards that others wrote."""
    for path in sorted((shared_data / "shards").glob("*/*0000.tar"))[:2]:
        data = path.read_bytes()
        read = read_members(HashingReader(io.BytesIO(data)), lambda name: 1 << 30)
        found = {place.name: place for place in find_members(io.BytesIO(data))}
        for member in read:
            place = found.pop(member.name)
            there = data[place.offset : place.offset + place.size]
            assert hashlib.sha256(there).digest() == hashlib.sha256(member.data).digest()
        assert not found


def test_hostile_headers_end_the_reading(write_tar, tmp_path):
    good = write_tar(tmp_path / "g.tar", [("a.jpg", b"x"), ("../b.jpg", b"y"), ("/c.jpg", b"z")])
    assert [p.name for p in find_members(io.BytesIO(good.read_bytes()))] == ["a.jpg"]
    for data in (b"", b"\xff" * 1024, good.read_bytes()[:700]):
        with pytest.raises(BrokenArchiveError):
            list(find_members(io.BytesIO(data)))
