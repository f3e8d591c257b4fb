"""A shard with every kind of trouble: rows for the good, a reason for each of the bad."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from pipelines.main import main
from tagmine.embeddings import open_embeddings
from tagmine.rejects import REASONS


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    """A well-formed PNG whose header says `side` by `side`, in a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def test_every_kind_of_trouble(tmp_path, tiny_clip, write_tar, jpeg):
    good = jpeg(0)
    rgb = Image.open(io.BytesIO(good))
    deep = Image.fromarray(np.arange(96 * 80, dtype=np.uint16).reshape(80, 96) * 8)
    frames = [Image.new("RGB", (60, 60), colour) for colour in ("red", "blue")]
    pictures = {
        "cmyk": ("jpg", encoded(rgb.convert("CMYK"), "JPEG"), None),
        "deep": ("png", encoded(deep, "PNG"), None),
        "palette": ("png", encoded(rgb.convert("P"), "PNG"), None),
        "transparent": ("png", encoded(rgb.convert("RGBA"), "PNG"), None),
        "grey": ("jpg", encoded(rgb.convert("L"), "JPEG"), None),
        "animated": (
            "webp",
            encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
            None,
        ),
        "gif_named_jpg": ("jpg", encoded(rgb, "GIF"), "image_undecodable"),
        "noise": ("jpg", np.random.default_rng(0).bytes(5000), "image_undecodable"),
        "zero_bytes": ("jpg", b"", "image_undecodable"),
        "half": ("jpg", good[: len(good) // 2], "image_undecodable"),
        "huge": ("png", huge_png(30_000), "image_too_large"),
    }
    texts = {
        "emoji": ("a 🐕 on a 🛹 — très chic".encode(), None),
        "right_to_left": ("قطة سوداء على كرسي\u202e red".encode(), None),
        "control": (b"a red \x00\x1b[31m car\x07", None),
        "one_megabyte": (b"very " * 200_000 + b"long", "caption_too_long"),
        "no_utf8": (b"caf\xe9 \xff\xfe", "caption_not_utf8"),
        "nothing": (b"", "empty_caption"),
        "blanks": (b" \n\t ", "empty_caption"),
    }
    members = [("0000.jpg", good), ("0000.txt", b"a red car")]
    for name, (extension, data, _) in pictures.items():
        members += [(f"{name}.{extension}", data), (f"{name}.txt", b"a blue boat")]
    for name, (data, _) in texts.items():
        members += [(f"{name}.jpg", good), (f"{name}.txt", data)]
    members += [
        ("uncaptioned.jpg", good),
        ("0000.jpg", good),
        ("0000.txt", b"a second with the same key"),
        ("../../escape.jpg", good),
        ("pickled.pyd", b"cos\nsystem\n(S'touch /tmp/owned'\ntR."),
        ("with_pickle.jpg", good),
        ("with_pickle.pyd", b"cos\nsystem\n(S'touch /tmp/owned'\ntR."),
        ("with_pickle.txt", b"a green tree"),
        ("last.jpg", good),
        ("last.txt", b"a yellow bus"),
    ]
    shard = write_tar(tmp_path / "in" / "trouble.tar", members)
    root = tmp_path / "store"
    assert main(["build", str(shard), "--out", str(root), "--clip-model", tiny_clip]) == 0
    mined, refused = read_part(root, "mine")
    embedded, undecoded = read_part(root, "embed")
    bad_texts = {name: reason for name, (_, reason) in texts.items() if reason}
    bad_pictures = {name: reason for name, (_, _, reason) in pictures.items() if reason}
    both = {"../../escape": "unsafe_path", "0000": "duplicate_key"}
    assert refused == {**bad_texts, **both, "uncaptioned": "no_caption", "pickled": "no_caption"}
    assert undecoded == {**bad_pictures, **both, "pickled": "no_image"}
    everything = {"0000", "uncaptioned", "with_pickle", "last", *pictures, *texts}
    assert mined == everything - set(bad_texts) - {"uncaptioned"}
    assert embedded == everything - set(bad_pictures)
    # What stands beside trouble is as if it stood alone.
    part = open_embeddings(root / "embeddings/part-00000.arrow")
    keys = part.keys().to_pylist()
    first, last = (keys.index(f"in/trouble/{name}") for name in ("0000", "last"))
    np.testing.assert_array_equal(part.vectors[first], part.vectors[last])
    rows = {row["key"]: row for row in pq.read_table(root / "tags").to_pylist()}
    assert [t["text"] for t in rows["in/trouble/last"]["tags"]] == ["yellow bus"]


def read_part(root, stage):
    """Sample keys of a part's rows, and the reasons of its rejects."""
    if stage == "mine":
        keys = pq.read_table(root / "tags/part-00000.parquet").column("key").to_pylist()
    else:
        keys = open_embeddings(root / "embeddings/part-00000.arrow").keys().to_pylist()
    rejects = pq.read_table(root / f"rejects/{stage}/part-00000.parquet").to_pylist()
    prefix = "in/trouble/"
    assert len(set(keys)) == len(keys)
    assert all(reject["stage"] == stage for reject in rejects)
    return (
        {key.removeprefix(prefix) for key in keys},
        {reject["key"].removeprefix(prefix): reject["reason"] for reject in rejects},
    )


def test_a_truncated_an_empty_and_a_foreign_shard_beside_good_ones(
    tmp_path, tiny_clip, shards, capfd
):
    folder = tmp_path / "in"
    folder.mkdir()
    whole = (shards / "00000.tar").read_bytes()
    with tarfile.open(shards / "00000.tar") as archive:
        cut = archive.getmembers()[9].offset_data + 100
    (folder / "a_empty.tar").write_bytes(b"")
    (folder / "b_text.tar").write_bytes(b"<html>404 Not Found</html>" * 50)
    (folder / "c_cut.tar").write_bytes(whole[:cut])
    (folder / "d_good.tar").write_bytes(whole)
    root = tmp_path / "store"
    assert main(["build", f"{folder}/*.tar", "--out", str(root), "--clip-model", tiny_clip]) == 0
    parts = json.loads((root / "manifest.json").read_text())["parts"]
    assert [part["stages"]["embed"]["written"] for part in parts] == [0, 0, 3, 6]
    assert [part["stages"]["mine"]["rejected"] for part in parts] == [{"broken_shard": 1}] * 3 + [
        {}
    ]
    assert main(["verify", str(root)]) == 0


def test_json_of_strangers(tmp_path, tiny_clip, write_tar, jpeg):
    records = {
        "good": (b'{"brand": "Nike", "n": 1}', None),
        "bomb": (b"[" * 200_000, "bad_json"),
        "list": (b"[1, 2]", "bad_json"),
        "digits": (b'{"brand": ' + b"9" * 5000 + b"}", "bad_json"),
        "nested": (b'{"brand": {"a": 1}}', "bad_json"),
        "surrogate": (b'{"brand": "\\ud800"}', "bad_json"),
        "many": (json.dumps({"brand": ["x"] * 300}).encode(), "bad_json"),
        "long": (json.dumps({"brand": "x" * 2000}).encode(), "bad_json"),
        "broken": (b'{"brand": "Ni', "bad_json"),
        "null": (b'{"brand": null}', None),
        "enormous": (b'{"brand": "' + b"x" * (5 << 20) + b'"}', "member_too_large"),
    }
    members = []
    for name, (data, _) in records.items():
        members += [(f"{name}.jpg", jpeg(1)), (f"{name}.json", data), (f"{name}.txt", b"a shoe")]
    shard = write_tar(tmp_path / "in" / "trouble.tar", members)
    root = tmp_path / "store"
    command = ["mine", str(shard), "--out", str(root), "--tag-fields", "brand"]
    assert main(command) == 0
    mined, refused = read_part(root, "mine")
    assert refused == {name: reason for name, (_, reason) in records.items() if reason}
    assert mined == {"good", "null"}
    assert "too long" in REASONS["bad_json"]
