"""Who is answered, what is refused, and that nothing but the page is served."""

from __future__ import annotations

import struct
import zlib

import pytest
from starlette.datastructures import Headers

from index.explore.guard import POLICY, refusal
from index.explore.requests import MAX_UPLOAD_BYTES

LARGE = MAX_UPLOAD_BYTES + 1
OWN = "127.0.0.1:8765"


@pytest.mark.parametrize(
    "method, headers, why",
    [
        ("GET", {"host": OWN}, None),
        ("GET", {"host": "localhost:1"}, None),
        ("GET", {"host": "[::1]:8765"}, None),
        ("POST", {"host": OWN, "origin": f"http://{OWN}", "sec-fetch-site": "same-origin"}, None),
        ("GET", {"host": OWN, "sec-fetch-site": "none"}, None),
        ("GET", {}, "loopback"),
        ("GET", {"host": "rebound.example:8765"}, "loopback"),
        ("GET", {"host": "127.0.0.1.example"}, "loopback"),
        ("GET", {"host": "evil@127.0.0.1.example"}, "loopback"),
        ("GET", {"host": "["}, "loopback"),
        ("GET", {"host": OWN, "sec-fetch-site": "cross-site"}, "another origin"),
        ("GET", {"host": OWN, "sec-fetch-site": "same-site"}, "another origin"),
        ("POST", {"host": OWN, "origin": "http://127.0.0.1:9999"}, "another origin"),
        ("POST", {"host": OWN, "origin": "https://evil.example"}, "another origin"),
        ("POST", {"host": OWN, "origin": "null"}, "another origin"),
        ("OPTIONS", {"host": OWN}, "no method"),
    ],
)
def test_only_the_page_itself_is_answered(method, headers, why):
    problem = refusal(method, Headers(headers))
    assert problem is None if why is None else why in problem


def test_another_origin_is_refused_by_the_running_page(page, folders):
    photo = folders.photo("street").read_bytes()
    for headers in ({"Host": "rebound.example"}, {"Origin": "https://evil.example"}):
        status, text, _ = page.ask("/look", "POST", photo, Content_Type="image/jpeg", **headers)
        assert status == 403 and text.startswith("Refused")
    status, text, _ = page.ask("/picture/0/0/small", Sec_Fetch_Site="cross-site")
    assert status == 403 and "JFIF" not in text
    status, text, _ = page.ask("/look", "POST", photo, Content_Type="image/jpeg")
    assert status == 200 and 'class="near"' in text


def test_every_answer_is_bound(page):
    for path in ("/", "/vocabulary/0", "/picture/0/0/small", "/nowhere", "/look"):
        _, _, headers = page.ask(path)
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers and "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "//etc/passwd",
        "/../../../../etc/passwd",
        "/picture/0/..%2f..%2fmanifest.json/small",
        "/picture/0/0/..%2f..%2f",
        "/card/0/../../manifest.json",
        "/street/manifest.json",
        "/picture/-1/0/small",
        "/picture/3/0/small",
        "/picture/0/99999999999999999999999/small",
        "/picture/0/18446744073709551615/small",
        "/picture/0/4294967296/huge",
        "/image/0/77",
        "/tag/0?kind=object&lemma=unheard-of",
        "/report/0",
    ],
)
def test_nothing_else_is_served(page, path):
    status, text, _ = page.ask(path)
    assert status == 404
    assert "import " not in text and "root:" not in text and "sha256" not in text


def test_uploads_are_bounded(page):
    kind = {"Content_Type": "image/jpeg"}
    status, text, _ = page.ask("/look", "POST", b"", **kind, Content_Length=str(1 << 40))
    assert status == 413 and "32 MiB" in text
    status, text, _ = page.ask("/look", "POST", b"", **kind, Content_Length=str(LARGE))
    assert status == 413
    chunked = {"Transfer_Encoding": "chunked", "Content_Length": "5"}
    status, text, _ = page.ask("/look", "POST", iter([b"\xff\xd8"]), **kind, **chunked)
    assert status == 411 and "Content-Length" in text
    status, text, _ = page.ask("/look", "POST", b"photo=1", Content_Type="text/plain")
    assert status == 415 and "picture" in text


def _png_header(width: int, height: int) -> bytes:
    chunks = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT"
    framed = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.parametrize(
    "photo, says",
    [
        (b"no picture", "no JPEG, PNG or WebP"),
        (b"", "no JPEG, PNG or WebP"),
        (_png_header(12_000, 12_000), "12000 x 12000 pixels"),
    ],
)
def test_photos_that_cannot_be_used(page, photo, says):
    status, text, headers = page.ask("/look", "POST", photo, Content_Type="image/png")
    assert status == 400 and says in text and headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "query, says",
    [
        ("", "Nothing was asked"),
        ("words=car&k=0", "from 1 to 50"),
        ("words=car&k=51", "from 1 to 50"),
        ("words=car&k=many", "whole number"),
        ("words=car&store=7", "3 datastores"),
        ("words=car&arrange=heap", "apart, stacked or both"),
        ("like=0:99", "no image"),
        ("like=../0", "no image"),
        ("words=" + "x" * 501, "at most 500"),
    ],
)
def test_questions_that_make_no_sense(page, query, says):
    status, text, _ = page.ask(f"/look?{query}")
    assert status == 400 and says in text


def test_no_model_was_given(page, folders):
    photo = folders.photo("street").read_bytes()
    status, text, _ = page.ask("/ask?question=what", "POST", photo, Content_Type="image/jpeg")
    assert status == 400 and "--model" in text
