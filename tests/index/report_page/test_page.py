"""The page of a report: what it says, and what it must not let through."""

from __future__ import annotations

import base64
import dataclasses
import re

import pytest

from index.report import NearDuplicates, RecallAt, SweepPoint, TagHealth
from index.report_page import render_page, write_page
from index.report_page.document import apart, size
from index.report_page.recall import sweep_lines


def test_nothing_of_strangers_becomes_markup(report, page, hostile):
    assert not page.all("script")
    assert not {e.tag for e in page.elements} & {"iframe", "object", "embed", "link", "form", "x"}
    # Only the gallery's pictures, and no link but those within the page.
    assert len(page.all("img")) == 5 and len(page.all("a")) == 7
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"]
    everything = render_page(report)
    assert "\u202e" not in everything and "\x1b" not in everything and "\x00" not in everything
    # What was said is there to read.
    shown = page.all("body")[0].text
    for text in (hostile[0], hostile[1], hostile[3]):
        assert shown.count(text) > 5


def test_texts_of_strangers_are_isolated(page, hostile):
    isolated = [e.text for e in page.all("bdi")]
    assert sum(hostile[0] in text for text in isolated) > 5
    assert "alert(1)" not in page.loose and "example.com" not in page.loose


def test_the_page_refers_to_nothing_outside(page):
    for element in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            value = element.attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/jpeg;base64,")), value
    style = page.all("style")[0].text
    assert "@import" not in style and "url(" not in style
    policy = next(e.attributes["content"] for e in page.all("meta") if "http-equiv" in e.attributes)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy


def test_the_verdict_names_its_gates(report, page, hostile):
    verdict = page.section("verdict")
    assert "Failed: 2 of 4 gates do not hold" in verdict
    gates = [e.text for e in page.all("li") if "ul" in e.path and "asked:" in e.text]
    assert len(gates) == 4
    assert [("✗ fails" in gate, "✓ holds" in gate) for gate in gates] == [
        (True, False),
        (True, False),
        (False, True),
        (False, True),
    ]
    assert "1.234, asked: at most 1.2" in gates[0] or "1.235, asked: at most 1.2" in gates[0]
    assert hostile[1] in gates[0]
    assert "not measured" in gates[1] and "It could not be measured." in gates[1]
    assert "0.9534, asked: at least 0.95" in gates[2]
    # Rounded alike, one could not see what fails.
    assert "0.94999999, asked: at least 0.95" in gates[3]
    assert "The sweep was cut short." in verdict
    holding = dataclasses.replace(report, gates=report.gates[:1], passed=True)
    assert "Passed: the gate holds" in render_page(holding)
    none = dataclasses.replace(report, gates=(), passed=True)
    assert "Passed: nothing was asked" in render_page(none)


def test_numbers_of_the_page_are_those_of_the_report(report, page):
    rows = [re.sub(r"\s+", " ", e.text) for e in page.all("tr")]
    for one in report.recall:
        values = [f"{v:.4f}" for v in (one.overlap, one.low, one.high, one.one_recall)]
        assert f"k = {one.k}" + "".join(values) in rows
    for point in report.sweep:
        depth = point.rerank or "none"
        assert any(r.startswith(f"{point.nprobe}{depth}{point.overlap:.4f}") for r in rows)
    for bound, count in report.lists.histogram:
        assert f"≤ {bound:,}{count}" in rows
    assert any(r.startswith("index/shard-00001.faiss✗ 4 problems") for r in rows)
    assert any(r.endswith("461,7290.43210.2345") for r in rows)
    # Shards with problems come first.
    body = page.section("index")
    assert body.index("shard-00001") < body.index("shard-00000")
    assert "mineempty_caption41" in rows and "embedimage_too_large7,654" in rows
    tags = page.section("tags")
    for value in ("98,765", "76.5\u00a0%", "1,234", "4.56", "0.4123", "0.4067", "0.9456"):
        assert value in tags
    whole = page.all("body")[0].text
    for value in (
        "123,457",
        "4.6\u00a0MB",
        "4,567,890",
        "1.5\u00a0% larger",
        "1,111",
        "7,695 samples",
    ):
        assert value in whole
    for value in ("0.01234"[:6], "0.6543", "34 images form 12 groups", "777 images were compared"):
        assert value in whole


def test_the_default_stands_out(report, page):
    marked = [e for e in page.all("tr") if e.attributes.get("class") == "marked"]
    assert len(marked) == 1 and marked[0].text.startswith("16200")
    assert [line.name for line in sweep_lines(report.sweep)] == ["no re-rank", "200 re-ranked"]
    assert "the default, nprobe 16, 200 re-ranked" in page.section("recall")
    rings = [e for e in page.all("circle") if e.attributes.get("class") == "ring"]
    assert len(rings) == 2  # in the plot and in its legend
    other = dataclasses.replace(report, nprobe=17)
    assert "the default, nprobe" not in render_page(other)


def test_the_plot_stands_where_the_numbers_are(report, page):
    """More time is further right, more recall further up, and all is inside the drawing."""
    svg = render_page(report).split("Recall against time of a query</title>")[1].split("</svg>")[0]
    joined = re.findall(r'class="lines"[^>]* d="M([^"]+)"', svg)
    assert len(joined) == 2
    for line, drawn in zip(sweep_lines(report.sweep), joined, strict=True):
        places = [tuple(map(float, pair.split())) for pair in drawn.split("L")]
        assert len(places) == len(line.points) == 3
        assert places == sorted(places) and line.points == tuple(sorted(line.points))
        assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
        assert all(0 < x < 400 and 0 < y < 270 for x, y in places)


def test_headings_landmarks_and_names(page):
    levels = [int(e.tag[1]) for e in page.elements if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    for tag in ("header", "main", "footer", "nav"):
        assert len(page.all(tag)) == 1
    assert page.all("html")[0].attributes["lang"] == "en"
    idents = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(idents) == len(set(idents))
    links = [e.attributes["href"].removeprefix("#") for e in page.all("a")]
    assert links[0] == "main" and set(links) <= set(idents)
    named = [
        e.attributes["aria-labelledby"] for e in page.elements if "aria-labelledby" in e.attributes
    ]
    assert {ident for names in named for ident in names.split()} <= set(idents)
    assert len(page.all("img")) == 5
    assert all(e.attributes["alt"] for e in page.all("img"))
    plots = [e for e in page.all("svg") if e.attributes.get("role") == "img"]
    assert len(plots) == 4
    assert len([e for e in page.all("title") if "svg" in e.path]) == len(plots)
    assert len([e for e in page.all("desc") if e.text]) == len(plots)
    others = [e for e in page.all("svg") if e not in plots]
    assert all(e.attributes["aria-hidden"] == "true" for e in others)


def test_the_gallery_marks_what_exact_search_has_too(page):
    captions = [e.text for e in page.all("figcaption")]
    assert [("✓ exact, too" in c, "≠ not exact" in c) for c in captions[1:]] == [
        (True, False),
        (False, True),
    ] * 2
    assert [c[:6] for c in captions[1:]] == ["0.9000", "0.8000", "0.7000", "0.6000"]
    tags = [e for e in page.all("li") if "article" in e.path and "object" in e.text]
    assert ["✓ own" in tag.text for tag in tags] == [False, True, False, False]
    bars = [e.attributes["width"] for e in page.all("rect") if "article" in e.path]
    assert bars == ["100.0", "85.7", "71.4", "57.1"]


@pytest.mark.parametrize(
    "thumbnail",
    [
        'x" onerror="alert(1)',
        base64.b64encode(b"<svg onload=alert(1)>").decode(),
        "/9j/4A==\n",
        "/9j/4",
        "/9j/" + "A" * (1 << 20),
    ],
)
def test_a_thumbnail_that_is_no_jpeg_is_not_shown(report, parse_page, thumbnail):
    entry = dataclasses.replace(report.gallery[0], thumbnail=thumbnail)
    page = parse_page(render_page(dataclasses.replace(report, gallery=(entry,))))
    assert len(page.all("img")) == 4
    assert [e.text for e in page.all("div") if "gone" in (e.attributes.get("class") or "")] == [
        "picture out of reach"
    ]


def test_long_texts_and_many_rows_are_cut(report, parse_page):
    long = "word " * 100_000
    neighbour = dataclasses.replace(report.gallery[0].neighbours[0], captions=(long,) * 500)
    entry = dataclasses.replace(
        report.gallery[0], captions=(long,) * 500, key=long, neighbours=(neighbour,) * 500
    )
    shards = (dataclasses.replace(report.shards[0], path=long),) * 5_000
    big = dataclasses.replace(
        report,
        name=long,
        gallery=(entry,) * 60,
        shards=shards,
        gates=(dataclasses.replace(report.gates[1], name=long, detail=long),),
        lists=dataclasses.replace(report.lists, histogram=tuple((i, i) for i in range(5_000))),
    )
    source = render_page(big)
    page = parse_page(source)
    pictures = sum(len(e.attributes["src"]) for e in page.all("img"))
    assert len(source) - pictures < 10_000_000
    assert "4,600 more are not shown." in page.section("index")
    assert "10 more are in report.json." in page.section("gallery")
    assert max(len(e.text) for e in page.all("bdi")) <= 600


def test_a_report_of_little_has_a_page(report, parse_page):
    """What is wrong with a datastore that cannot even be opened is a report, too."""
    bare = dataclasses.replace(
        report,
        images=0,
        recall=(),
        sweep=(),
        score_error=None,
        lists=None,
        shards=(),
        tags=TagHealth(0, 0, 0.0, 0.0, 0.0, 0.0),
        agreement=None,
        duplicates=NearDuplicates(0.98, 0, 0, 0, ()),
        rejected={},
        gallery=(),
        predicted_bytes=0,
        index_bytes=0,
    )
    page = parse_page(render_page(bare))
    assert "Nothing was measured." in page.section("recall")
    assert "No sample was left out." in page.section("left-out")
    assert "gallery" not in [e.attributes["id"] for e in page.all("section")]
    odd = dataclasses.replace(
        report,
        recall=(RecallAt(5, float("nan"), float("nan"), 0.0, float("inf")),),
        sweep=(SweepPoint(0, 0, float("nan"), 1.0), SweepPoint(0, 10, 1.0, 0.0)),
        tags=TagHealth(0, 0, float("nan"), float("inf"), 0.0, float("nan")),
    )
    assert "nan" not in parse_page(render_page(odd)).all("body")[0].text.replace("not an", "")


def test_numbers_are_written_to_be_told_apart():
    assert apart(0.9500001, 0.95) == ("0.9500001", "0.95")
    assert apart(0.95, 0.95) == ("0.95", "0.95")
    assert apart(None, 1200.0) == ("–", "1,200")
    sizes = [size(n) for n in (0, 999, 1_000, 61_970, 999_499, 999_600, 5_250_000_000_000_000)]
    assert [s.replace("\u00a0", " ") for s in sizes] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "62.0 kB",
        "999 kB",
        "1.0 MB",
        "5,250 TB",
    ]


def test_a_page_replaces_another_whole(report, tmp_path):
    path = tmp_path / "report/index.html"
    write_page(report, path)
    first = path.read_bytes()
    write_page(report, path)
    assert path.read_bytes() == first == render_page(report).encode()
    assert [p.name for p in path.parent.iterdir()] == ["index.html"]
