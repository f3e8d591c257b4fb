"""How a file becomes an object, whole or not at all, on each kind of store."""

from __future__ import annotations

import pytest

from tagmine import stores
from tagmine.stores import open_store


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "part"
    path.write_bytes(b"old " * 100)
    return path


def test_where_objects_appear_bit_by_bit_a_file_is_written_aside_and_moved(
    source, tmp_path, monkeypatch
):
    folder = tmp_path / "store"
    store = open_store(f"file://{folder}", "--out")
    store.put(source, "tags/part-0")
    seen, put_file = [], store._filesystem.put_file

    def watched(local, remote):
        put_file(local, remote)
        seen.append((remote, store.read("tags/part-0"), sorted(store.list())))

    monkeypatch.setattr(store._filesystem, "put_file", watched)
    source.write_bytes(b"new")
    assert store.put(source, "tags/part-0").size == 3
    ((aside, during, listed),) = seen
    assert aside.startswith(f"{folder}/tags/.part-0.tmp-")
    # Until it is moved, what was there is there, and no listing has the other.
    assert during == b"old " * 100 and listed == ["tags/part-0"]
    assert store.read("tags/part-0") == b"new"
    assert [path.name for path in (folder / "tags").iterdir()] == ["part-0"]


def test_a_file_that_breaks_off_on_the_way_replaces_nothing(source, tmp_path, monkeypatch):
    store = open_store(f"file://{tmp_path}/store", "--out")
    store.put(source, "part-0")

    def break_off(local, remote):
        with open(remote, "wb") as stream:
            stream.write(b"n")
        raise PermissionError("the disk was taken away")

    monkeypatch.setattr(store._filesystem, "put_file", break_off)
    source.write_bytes(b"new")
    with pytest.raises(stores.StoreError, match="the disk was taken away"):
        store.put(source, "part-0")
    assert store.read("part-0") == b"old " * 100 and list(store.list()) == ["part-0"]


@pytest.mark.parametrize(("limit", "streams"), [(399, True), (400, False)])
def test_a_large_file_is_not_read_into_memory(source, door, monkeypatch, limit, streams):
    store = open_store("s3://bkt/put", "--out")
    put_file, streamed = store._filesystem.put_file, []

    def watched(local, remote):
        streamed.append(local)
        put_file(local, remote)

    monkeypatch.setattr(store._filesystem, "put_file", watched)
    monkeypatch.setattr(stores, "_WHOLE_BYTES", limit)
    assert store.put(source, "part-0").size == 400
    assert streamed == ([str(source)] if streams else [])
    assert store.read("part-0") == source.read_bytes()
    # No other name is seen on the way.
    assert {path for method, path in door.seen if method == "PUT"} == {"/bkt/put/part-0"}
