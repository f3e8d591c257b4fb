"""A report whose texts are hostile, and a parser of its page."""

from __future__ import annotations

import base64
import dataclasses
from html.parser import HTMLParser

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
from index.report_page import render_page

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


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    """Texts of strangers that stand everywhere in `report`."""
    return HOSTILE


@pytest.fixture(scope="session")
def parse_page() -> type[Page]:
    """What parses the source of a page; see `Page`."""
    return Page


@pytest.fixture(scope="session")
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
        notes=(HOSTILE[0], "The sweep was cut short."),
    )


@pytest.fixture(scope="session")
def page(report) -> Page:
    return Page(render_page(report))
