"""The page of a report: what it says, what it must not let through, how a browser shows it."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from index.report import (
    GalleryEntry,
    GalleryNeighbour,
    GalleryTag,
    Gate,
    ListBalance,
    NearDuplicates,
    RecallAt,
    Report,
    ScoreError,
    ShardHealth,
    SweepPoint,
    TagAgreement,
    TagHealth,
)
from index.report_page import render_page, write_page
from index.report_page.document import apart, size
from index.report_page.recall import best_points, sweep_series
from index.report_page.style import DARK, LIGHT, SERIES

HOSTILE = (
    '"><script>alert(1)</script>',
    "</style><img src=http://example.com/x onerror=alert(1)>",
    "\u202egnp.exe\u2066 &amp; \x1b[31m\x00",
    "<svg onload='alert(1)'><a href=\"javascript:alert(1)\">",
)
VOID = {"meta", "img", "br", "path", "rect", "circle", "input", "link"}


@dataclasses.dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    path: tuple[str, ...]
    said: list[str] = dataclasses.field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.said)


class Page(HTMLParser):
    """Every element of a page with the text below it; fails on tags that do not nest."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.loose = ""
        self.feed(source)
        self.close()
        assert not self.open, [element.tag for element in self.open]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), tuple(e.tag for e in self.open))
        assert len(element.attributes) == len(attrs), "an attribute stands twice"
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, dict(attrs), tuple(e.tag for e in self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        if not {"bdi", "title"} & {element.tag for element in self.open}:
            self.loose += data
        for element in self.open:
            element.said.append(data)

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def section(self, ident: str) -> str:
        return next(e.text for e in self.all("section") if e.attributes["id"] == ident)


@pytest.fixture(scope="module")
def report(jpeg) -> Report:
    """Two of four gates fail; everything that comes from strangers is hostile."""
    picture = base64.b64encode(jpeg(1)).decode()
    neighbours = tuple(
        GalleryNeighbour(
            i, f"{text}/{i}", text, 0.9 - i / 10, (text, f"more {text}"), i % 2 == 0, picture
        )
        for i, text in enumerate(HOSTILE)
    )
    tags = tuple(GalleryTag(t, "object", 1 - i / 7, i == 1) for i, t in enumerate(HOSTILE))
    entry = GalleryEntry(HOSTILE[0], HOSTILE, neighbours, tags, picture)
    return Report(
        format_version=1,
        tagmine="0.1",
        name=HOSTILE[0],
        manifest_sha256="ab" * 32,
        images=123_457,
        dim=512,
        encoder=HOSTILE[1],
        tagger=HOSTILE[2],
        index_key=HOSTILE[3],
        index_bytes=4_567_890,
        predicted_bytes=4_500_000,
        drift=None,
        tuned=None,
        nprobe=16,
        rerank=200,
        queries=1_111,
        held_out=True,
        recall=(
            RecallAt(1, 0.9712, 0.9712, 0.9613, 0.9811),
            RecallAt(5, 0.9987, 0.9534, 0.9431, 0.9637),
            RecallAt(10, 0.9991, 0.9321, 0.9211, 0.9431),
        ),
        sweep_k=5,
        sweep=tuple(
            SweepPoint(probes, depth, 0.5 + probes / 100 + depth / 1000, 0.1 * probes + depth / 500)
            for depth in (200, 0)
            for probes in (4, 16, 32)
        ),
        score_error=ScoreError(0.01234, 0.03456, 0.07891, 0.6543),
        lists=ListBalance(64, 3, 4_321, 1.2345, ((0, 3), (100, 21), (2_000, 30), (5_000, 10))),
        shards=(
            ShardHealth("index/shard-00000.faiss", 3, 61_728, 0.9998, 0.0812),
            ShardHealth("index/shard-00001.faiss", 4, 61_729, 0.4321, 0.2345, HOSTILE),
        ),
        tags=TagHealth(98_765, 1_234, 4.56, 4.0, 11.0, 0.7654),
        agreement=TagAgreement(5, 0.4123, 0.4067, 0.9456),
        duplicates=NearDuplicates(0.98, 12, 34, 5, (HOSTILE[:2], HOSTILE[2:]), 777),
        rejected={"mine": {"empty_caption": 41}, "index": {}, "embed": {"image_too_large": 7_654}},
        gates=(
            Gate("overlap of the 5 nearest", 0.9534, 0.95, True, True),
            Gate("list imbalance", 1.2345, 1.2, False, False, HOSTILE[1]),
            Gate(HOSTILE[0], None, 1.0, True, False, "It could not be measured."),
            Gate("nearly", 0.94999999, 0.95, True, True),
        ),
        passed=False,
        gallery=(entry,),
        cautions=(HOSTILE[0], "The sweep was cut short."),
        notes=(HOSTILE[1], "1 picture was embedded again"),
    )


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(render_page(report))


def test_nothing_of_strangers_becomes_markup(report, page):
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
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[3]):
        assert shown.count(text) > 5


def test_texts_of_strangers_are_isolated(page):
    isolated = [e.text for e in page.all("bdi")]
    assert sum(HOSTILE[0] in text for text in isolated) > 5
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


def test_the_verdict_names_its_gates(report, page):
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
    assert HOSTILE[1] in gates[0]
    assert "not measured" in gates[1] and "It could not be measured." in gates[1]
    assert "0.9534, asked: at least 0.95" in gates[2]
    # Rounded alike, one could not see what fails.
    assert "0.94999999, asked: at least 0.95" in gates[3]
    assert "The sweep was cut short." in verdict
    kinds = {e.text: e.path for e in page.all("li") if "1 picture" in e.text or "cut" in e.text}
    lists = [e.attributes.get("class") for e in page.all("ul") if "section" in e.path]
    assert len(kinds) == 2 and lists[:3] == ["gates", "cautions", "remarks"]
    amber = next(e.text for e in page.all("ul") if e.attributes.get("class") == "cautions")
    assert "cut short" in amber and "1 picture" not in amber
    holding = dataclasses.replace(report, gates=report.gates[:1], passed=True)
    assert "Passed: the gate holds" in render_page(holding)
    unknown = Gate("own tags found", None, 0.9, True, True, "not measured: no query has tags")
    sound = Gate("the datastore opens and answers", 0.0, 0.0, False, True, counts=True)
    both = dataclasses.replace(report, gates=(report.gates[0], sound, unknown), passed=True)
    said = Page(render_page(both))
    assert "Passed: all 2 gates hold, 1 could not be measured" in said.section("verdict")
    gates = [e.text for e in said.all("li") if "section" in e.path]
    assert gates[1] == "✓ holdsthe datastore opens and answersno problems"
    assert gates[2].startswith("– unknownown tags foundnot measured, asked: at least 0.9")
    broken = dataclasses.replace(sound, value=3.0, passed=False, detail="a; b; c")
    red = Page(render_page(dataclasses.replace(report, gates=(broken,))))
    assert "✗ failsthe datastore opens and answers3 problemsa; b; c" in red.section("verdict")
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
    assert [one.name for one in sweep_series(report.sweep)] == ["no re-rank", "200 re-ranked"]
    assert "the default, nprobe 16, 200 re-ranked" in page.section("recall")
    rings = [e for e in page.all("circle") if e.attributes.get("class") == "ring"]
    assert len(rings) == 2  # in the plot and in its legend
    other = dataclasses.replace(report, nprobe=17)
    assert "the default, nprobe" not in render_page(other)


def test_the_plot_stands_where_the_numbers_are(report, page):
    """More time is further right, more recall further up, and all is inside the drawing."""
    svg = render_page(report).split("Recall against time of a query</title>")[1].split("</svg>")[0]
    shapes = r'class="mark" (?:c?x="([\d.]+)" c?y="([\d.]+)"|d="M([\d.]+) (-?[\d.]+)l)'
    marks = re.findall(shapes, svg)
    assert len(marks) == len(report.sweep) == 6
    places = [(float(a or c), float(b) if b else float(d) + 6) for a, b, c, d in marks]
    assert all(0 < x < 400 and 0 < y < 270 for x, y in places)
    points = [point for one in sweep_series(report.sweep) for point in one.points]
    for axis, sign in ((0, 1), (1, -1)):
        by_number = sorted(range(6), key=lambda i: points[i][axis])
        assert by_number == sorted(range(6), key=lambda i: sign * places[i][axis])


def test_the_line_joins_what_nothing_beats_and_never_runs_back(report):
    """Times are noise: of two settings, the slower may well find less."""
    timed = [(0, 1, 0.3, 2.0), (0, 4, 0.5, 1.0), (50, 4, 0.8, 1.5), (50, 16, 0.7, 3.0)]
    timed += [(200, 4, 0.8, 1.7), (200, 16, 0.9, 4.0), (0, 16, 0.9, 4.0), (0, 64, 0.4, 1.0)]
    sweep = tuple(SweepPoint(nprobe, depth, overlap, ms) for depth, nprobe, overlap, ms in timed)
    best = best_points(sweep)
    assert [(p.milliseconds, p.overlap) for p in best] == [(1.0, 0.5), (1.5, 0.8), (4.0, 0.9)]
    page = render_page(dataclasses.replace(report, sweep=sweep))
    svg = page.split("Recall against time of a query</title>")[1].split("</svg>")[0]
    drawn = re.findall(r'class="path" d="M([^"]+)"', svg)
    assert len(drawn) == 1 and 'class="lines"' not in svg
    places = [tuple(map(float, pair.split())) for pair in drawn[0].split("L")]
    assert len(places) == 3 and places == sorted(places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
    rows = [e.text for e in Page(page).all("tr") if e.text.endswith("✓")]
    assert [row[:4] for row in rows] == ["4non", "4500", "1620"] and "most for its time" in page


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
def test_a_thumbnail_that_is_no_jpeg_is_not_shown(report, thumbnail):
    entry = dataclasses.replace(report.gallery[0], thumbnail=thumbnail)
    page = Page(render_page(dataclasses.replace(report, gallery=(entry,))))
    assert len(page.all("img")) == 4
    assert [e.text for e in page.all("div") if "gone" in (e.attributes.get("class") or "")] == [
        "picture out of reach"
    ]


def test_long_texts_and_many_rows_are_cut(report):
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
    page = Page(source)
    pictures = sum(len(e.attributes["src"]) for e in page.all("img"))
    assert len(source) - pictures < 10_000_000
    assert "4,600 more are not shown." in page.section("index")
    assert "10 more are in report.json." in page.section("gallery")
    assert max(len(e.text) for e in page.all("bdi")) <= 600


def test_a_report_of_little_has_a_page(report):
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
    page = Page(render_page(bare))
    assert "Nothing was measured." in page.section("recall")
    assert "No sample was left out." in page.section("left-out")
    assert "gallery" not in [e.attributes["id"] for e in page.all("section")]
    odd = dataclasses.replace(
        report,
        recall=(RecallAt(5, float("nan"), float("nan"), 0.0, float("inf")),),
        sweep=(SweepPoint(0, 0, float("nan"), 1.0), SweepPoint(0, 10, 1.0, 0.0)),
        tags=TagHealth(0, 0, float("nan"), float("inf"), 0.0, float("nan")),
    )
    assert "nan" not in Page(render_page(odd)).all("body")[0].text.replace("not an", "")


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


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_colours_can_be_read(palette):
    assert contrast("#000000", "#ffffff") == 21
    for ground in ("page", "card", "soft"):
        for ink in ("text", "quiet", "link"):
            assert contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground)
    for kind in ("good", "bad", "note"):
        assert contrast(palette[kind], palette[f"{kind}-fill"]) >= 4.5, kind
        assert contrast(palette[kind], palette["card"]) >= 4.5, kind
    for number in range(SERIES):
        assert contrast(palette[f"series-{number}"], palette["card"]) >= 3
        assert contrast(palette[f"series-{number}"], palette["soft"]) >= 3


def test_a_page_replaces_another_whole(report, tmp_path):
    path = tmp_path / "report/index.html"
    write_page(report, path)
    first = path.read_bytes()
    write_page(report, path)
    assert path.read_bytes() == first == render_page(report).encode()
    assert [p.name for p in path.parent.iterdir()] == ["index.html"]


# Writes what it measured where --dump-dom shows it; the policy is taken out to let it run.
PROBE = """<script>
addEventListener('load', () => {
  document.querySelectorAll('details').forEach(d => { d.open = true; });
  const outer = [...document.querySelectorAll('body *')];
  const wide = outer.filter(e => !e.closest('.scroll, .skip, svg')
    && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '.' + e.className);
  const clipped = [...document.querySelectorAll('.plot > svg')].filter(s => {
    const box = s.getBoundingClientRect();
    return [...s.querySelectorAll('text')].some(t => { const r = t.getBoundingClientRect();
      return r.left < box.left - 1 || r.right > box.right + 1 || r.bottom > box.bottom + 1; });
  }).map(s => s.querySelector('title').textContent);
  document.title = JSON.stringify({width: innerWidth, scroll: document.documentElement.scrollWidth,
    wide: wide, clipped: clipped, plots: document.querySelectorAll('.plot > svg').length});
});
</script>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Runs headless Chromium; a page is shown in a frame, whose width has no least value."""
    program = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None:
        pytest.skip("no Chromium is installed, so the page is not looked at")
    folder = tmp_path_factory.mktemp("chromium")

    def run(page: Path, *flags: str) -> subprocess.CompletedProcess:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--disable-background-networking", f"--user-data-dir={folder}", *flags]
        return subprocess.run(
            [*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
        )

    return run


@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_it_without_overflow(report, browser, tmp_path, width):
    source = render_page(report).replace("Content-Security-Policy", "x-policy")
    inner = html.escape(source.replace("</head>", f"{PROBE}</head>"), quote=True)
    outer = tmp_path / "frame.html"
    outer.write_text(
        f'<!doctype html><meta charset="utf-8"><iframe width="{width}" height="800" '
        f'style="border:0" srcdoc="{inner}"></iframe><script>addEventListener("load", () => {{'
        "document.title = document.querySelector('iframe').contentDocument.title; });</script>"
    )
    dumped = browser(outer, "--hide-scrollbars", "--dump-dom").stdout
    measured = json.loads(html.unescape(re.search(r"<title>(\{.*?\})</title>", dumped)[1]))
    assert measured == {"width": width, "scroll": width, "wide": [], "clipped": [], "plots": 4}


def test_the_policy_lets_the_page_through(report, browser, tmp_path):
    """A blocked style sheet or picture would be a message in the console."""
    path = tmp_path / "index.html"
    write_page(report, path)
    flags = ("--enable-logging=stderr", "--v=0", f"--screenshot={tmp_path / 'page.png'}")
    messages = [line for line in browser(path, *flags).stderr.splitlines() if "CONSOLE" in line]
    assert messages == []
    broken = tmp_path / "broken.html"
    broken.write_text(render_page(report).replace("<style>", "<style> "))
    said = browser(broken, *flags).stderr
    assert "CONSOLE" in said and "Content Security Policy" in said
    assert os.path.getsize(tmp_path / "page.png") > 10_000
