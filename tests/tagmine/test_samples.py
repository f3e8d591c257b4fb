"""Shards as strangers write them: every sample is found, or its trouble is named."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmine.archive import HashingReader
from tagmine.errors import ConfigurationError
from tagmine.samples import SampleFields, read_samples

EVERYTHING = dict.fromkeys(("jpg", "jpeg", "png", "webp", "txt", "json"), 1 << 20)


def read(data: bytes, fields: SampleFields | None = None, limits: dict | None = None):
    stream = HashingReader(io.BytesIO(data))
    samples = list(read_samples(stream, fields or SampleFields(), limits or EVERYTHING))
    assert stream.drain() == hashlib.sha256(data).hexdigest()
    return samples


def tar_of(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def keys_and_reasons(samples):
    return [(s.key, s.problem[0] if s.problem else None) for s in samples]


def test_members_may_come_in_any_order_within_a_sample():
    data = tar_of(
        ("0.txt", b"a"), ("0.jpg", b"A"), ("0.json", b"{}"), ("1.jpg", b"B"), ("1.txt", b"b")
    )
    samples = read(data)
    assert [(s.position, s.key) for s in samples] == [(0, "0"), (1, "1")]
    assert samples[0].members == {"txt": b"a", "jpg": b"A", "json": b"{}"}


def test_agrees_with_webdataset_on_a_shard_that_it_wrote(tmp_path):
    path = tmp_path / "0.tar"
    with webdataset.TarWriter(str(path)) as writer:
        for number in range(20):
            writer.write({"__key__": f"{number:05d}", "jpg": b"x" * number, "txt": f"c {number}"})
    theirs = [
        (sample["__key__"], sample["jpg"], sample["txt"])
        for sample in webdataset.WebDataset(str(path), shardshuffle=False)
    ]
    ours = [(s.key, s.members["jpg"], s.members["txt"]) for s in read(path.read_bytes())]
    assert ours == theirs and len(ours) == 20


def test_keys_may_have_dots():
    data = tar_of(
        ("photo.v1.jpg", b"1"),
        ("photo.v1.txt", b"one"),
        ("photo.v2.jpg", b"2"),
        ("photo.v2.txt", b"two"),
        ("photo.jpg", b"0"),
        ("photo.txt", b"none"),
    )
    assert [s.key for s in read(data)] == ["photo.v1", "photo.v2", "photo"]


def test_a_member_with_a_longer_extension_is_no_sample_of_its_own():
    data = tar_of(
        ("x.jpg", b"1"), ("x.seg.png", b"s"), ("x.txt", b"one"), ("y.jpg", b"2"), ("y.txt", b"t")
    )
    samples = read(data)
    assert keys_and_reasons(samples) == [("x", None), ("y", None)]
    assert samples[0].members == {"jpg": b"1", "txt": b"one"}


def test_only_what_is_asked_for_is_read():
    data = tar_of(("0.jpg", b"A" * 10_000), ("0.txt", b"a"), ("0.pyd", b"pickle"))
    sample = read(data, limits={"txt": 100})[0]
    assert sample.members == {"txt": b"a"}
    assert set(sample.extensions) == {"jpg", "txt", "pyd"}


def test_folders_and_upper_case_extensions():
    data = tar_of(("a.b/0.JPG", b"A"), ("a.b/0.Txt", b"a"))
    assert [(s.key, s.members) for s in read(data)] == [("a.b/0", {"jpg": b"A", "txt": b"a"})]


@pytest.mark.parametrize("name", ["../../x.jpg", "/etc/x.jpg", "a/../../x.jpg", "..\\x.jpg"])
def test_a_path_out_of_the_archive_is_rejected_and_the_rest_goes_on(name):
    data = tar_of((name, b"evil"), ("1.jpg", b"B"), ("1.txt", b"b"))
    samples = read(data)
    assert [s.problem and s.problem[0] for s in samples] == ["unsafe_path", None]
    assert samples[0].members == {}


def test_links_are_rejected():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("0.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    assert keys_and_reasons(read(buffer.getvalue())) == [("0", "unsafe_member")]


def test_the_second_of_two_equal_keys_is_rejected():
    members = [("0.jpg", b"A"), ("0.txt", b"a")]
    data = tar_of(*members, ("1.jpg", b"B"), ("1.txt", b"b"), *members)
    assert keys_and_reasons(read(data)) == [("0", None), ("1", None), ("0", "duplicate_key")]
    adjacent = tar_of(*members, *members)
    assert keys_and_reasons(read(adjacent)) == [("0", None), ("0", "duplicate_key")]


def test_a_member_over_its_limit_is_rejected():
    data = tar_of(("0.jpg", b"A" * 600), ("0.txt", b"a"), ("1.jpg", b"B"), ("1.txt", b"b"))
    samples = read(data, limits={"jpg": 500, "txt": 500})
    assert keys_and_reasons(samples) == [("0", "member_too_large"), ("1", None)]
    assert "600" in samples[0].problem[1] and "500" in samples[0].problem[1]


def test_an_auxiliary_member_over_the_limit_of_one_stage_shifts_no_position():
    data = tar_of(
        ("x.jpg", b"A"),
        ("x.txt", b"a"),
        ("x.ocr.txt", b"z" * 900),
        ("y.jpg", b"B"),
        ("y.txt", b"b"),
    )
    mine, embed = read(data, limits={"txt": 500}), read(data, limits={"jpg": 500})
    assert [s.key for s in mine] == [s.key for s in embed] == ["x", "y"]
    assert [s.problem for s in mine] == [None, None]


def test_nothing_at_all_and_no_tar_at_all():
    for data in (b"", b"this is no tar" * 100, b"\x1f\x8b" + bytes(2000)):
        assert keys_and_reasons(read(data)) == [("", "broken_shard")]


@pytest.mark.parametrize("wanted", [("txt",), ("jpg",), ("jpg", "txt", "json")])
def test_wherever_a_shard_is_cut_every_stage_sees_the_same_samples(wanted):
    members = []
    for number in range(4):
        members += [(f"{number}.jpg", b"A" * 700), (f"{number}.txt", b"caption")]
    data = tar_of(*members)
    limits = dict.fromkeys(wanted, 10_000)
    whole = [(s.position, s.key) for s in read(data, limits=limits)]
    end = data.index(bytes(1024 + 512))
    for cut in range(0, end, 100):
        samples = read(data[:cut], limits=limits)
        everything = read(data[:cut])
        assert [(s.position, s.key, s.problem) for s in samples] == [
            (s.position, s.key, s.problem) for s in everything
        ]
        assert samples[-1].problem[0] == "broken_shard"
        assert [(s.position, s.key) for s in samples[:-1]] == whole[: len(samples) - 1]


def test_a_chain_of_headers_and_a_header_of_a_gigabyte_break_the_shard_only():
    good = tar_of(("0.jpg", b"A"), ("0.txt", b"a"))[: 4 * 512]
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    huge = good + header.tobuf(tarfile.USTAR_FORMAT) + bytes(512)
    header.size = 0
    chained = good + header.tobuf(tarfile.USTAR_FORMAT) * 5000
    for data in (huge, chained):
        assert keys_and_reasons(read(data)) == [("0", None), ("", "broken_shard")]


def test_names_that_are_no_utf8_or_endless():
    data = tar_of(("\udcff.jpg", b"A"), ("x" * 3000 + ".jpg", b"A"))
    samples = read(data)
    assert samples[0].key == "\ufffd" and samples[0].problem is None
    assert samples[1].problem[0] == "unsafe_path" and len(samples[1].key) <= 1024


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_flipped_bytes_never_raise_and_never_lose_count(data):
    original = bytearray(
        tar_of(*[(f"{n}.{e}", b"z" * 300) for n in range(3) for e in ("jpg", "txt")])
    )
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(original) - 1))
        original[place] = data.draw(st.integers(0, 255))
    samples = read(bytes(original))
    assert [s.position for s in samples] == list(range(len(samples)))


def test_member_keys_are_checked():
    for wrong in (".jpg", "JPG", ""):
        with pytest.raises(ConfigurationError, match="extension"):
            SampleFields(caption_key=wrong)
