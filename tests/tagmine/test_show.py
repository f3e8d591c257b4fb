"""Spans that nest, cross and touch are drawn so that every character is there once."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tagmine.printable import printable
from tagmine.show import Piece, ShownCaption, ShownImage, Span, nest
from tagmine.show_html import render_page
from tagmine.tags import KINDS, Tag

TAG = Tag("red car", "red car", "attribute", "car", ("red",))
TEXT = "a red car & <b>two</b> dogs"


def spans_of(places) -> tuple[Span, ...]:
    spans = {Span(min(p), max(p) + 1, Tag("x", "x", KINDS[sum(p) % 5], "x"), True) for p in places}
    return tuple(sorted(spans, key=lambda span: (span.start, -span.end, span.tag.kind)))


def check(pieces, start: int, end: int, found: list[Piece]) -> None:
    for piece in pieces:
        assert start <= piece.start < piece.end <= end
        start = piece.end
        found.append(piece)
        check(piece.inner, piece.start, piece.end, found)


PLACES = st.lists(st.tuples(st.integers(0, 26), st.integers(0, 26)), max_size=8)


@given(PLACES)
def test_pieces_lie_within_each_other_and_cover_their_spans(places):
    spans = spans_of(places)
    found: list[Piece] = []
    check(nest(spans), 0, 27, found)
    for span in spans:
        own = sorted((p.start, p.end) for p in found if p.span is span)
        assert own[0][0] == span.start and own[-1][1] == span.end
        assert all(a[1] == b[0] for a, b in zip(own, own[1:], strict=False))
        assert sum(p.last for p in found if p.span is span) == 1


class _Reader(HTMLParser):
    """The text of a caption without labels, and every element of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in ("meta",):
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        if "bdi" in self.opened and "small" not in self.opened:
            self.text += data


def page_of(text: str, spans: tuple[Span, ...] = (), key: str = "k") -> str:
    caption = ShownCaption(text, "txt", 1, spans)
    return render_page([ShownImage(key, (caption,), (TAG,))], "t", "s")


@given(PLACES)
def test_the_page_is_well_formed_and_says_the_caption(places):
    reader = _Reader()
    reader.feed(page_of(TEXT, spans_of(places)))
    reader.close()
    assert reader.opened == [] and reader.text == TEXT
    assert "b" in reader.seen and "script" not in reader.seen


def test_nothing_of_a_stranger_acts():
    evil = "<script>x</script><img src=x onerror=y> \" ' &lt; \u202e\u2066\x1b[31m"
    tag = Tag(evil, evil, "entity", evil, (evil,), evil)
    caption = ShownCaption(evil, evil, 2, (Span(0, 8, tag, True),))
    shown = [ShownImage(evil, (caption,), (tag,)), ShownImage(evil, rejected=(evil, evil))]
    page = render_page(shown, evil, evil)
    body = page.split("</style>")[1]
    assert "<script" not in body and "<img" not in body
    assert not any(c in page for c in "\u202e\u2066\x1b")
    assert (
        "http://" not in page and "https://" not in page and "src=" not in page.replace("src=x", "")
    )
    assert "default-src 'none'" in page


def test_printable_keeps_places():
    text = "a\u202eb\x07c\u200d日 \x1b[0m"
    assert printable(text) == "a\ufffdb\ufffdc\ufffd日 \ufffd[0m"


def test_what_is_not_kept_says_so():
    page = page_of("a car", (Span(2, 5, TAG, False),))
    assert '<mark class="attribute dropped">car' in page
