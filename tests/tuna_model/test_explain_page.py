"""The page of one answer: what it says, what it must not let through, how a browser shows it."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from index.retrievals import RetrievedNeighbour
from tuna_model.explain_page import render_page, write_page
from tuna_model.explanation import ExplainedTag, Explanation
from tuna_model.heat import even_scale, heat_map, where

HOSTILE = (
    '"><script>alert(1)</script>',
    "</style><img src=http://example.com/x onerror=alert(1)>",
    "\u202egnp.exe\u2066 &amp; \x1b[31m\x00",
    "<svg onload='alert(1)'>",
)
VOID = {"meta", "img", "br", "path", "rect", "input", "link", "stop"}
CROP = (0.25, 0.0, 0.75, 1.0)


def grid(row: int, column: int, side: int = 4, floor: float = 0.01) -> tuple:
    cells = np.full((side, side), floor)
    cells[row, column] += 1
    return tuple(map(tuple, (cells / cells.sum()).tolist()))


TAGS = (
    ExplainedTag("toilet", "object", 3, 0.9, (0, 1, 2), 0.6, 0.31, grid(3, 0)),
    ExplainedTag("tiled bathroom", "attribute", 1, 0.3, (0,), 0.3, 0.25, grid(0, 3)),
    ExplainedTag(HOSTILE[0], "entity", 1, 0.2, (2,), 0.1, -0.02, grid(1, 1, floor=5)),
)
NEAR = (
    RetrievedNeighbour(1, "coco/one", "coco", 0.91, ("A toilet.", HOSTILE[1], "A third caption.")),
    RetrievedNeighbour(2, HOSTILE[2], HOSTILE[3], 0.82, (HOSTILE[3],)),
    RetrievedNeighbour(3, "coco/three", "coco", 0.7, ()),
)
SHOWN = Explanation(
    image="photo<b>.jpg",
    question=f"What is this?\n{HOSTILE[0]}",
    answer="A Toilet, in a tiled bathroom.",
    answer_without=HOSTILE[1],
    model="models/tuna",
    control="tuna",
    weighting="softmax, temperature 1",
    crop=CROP,
    tags=TAGS,
    neighbours=NEAR,
)
PHOTO = Image.effect_mandelbrot((400, 200), (-2, -1, 1, 1), 20).convert("RGB")


class Page(HTMLParser):
    """Elements of a page with their attributes and the text below them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict, list[str]]] = []
        self.open: list[tuple[str, dict, list[str]]] = []
        self.loose = ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), "an attribute stands twice"
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if not {"bdi", "title"} & {element[0] for element in self.open}:
            self.loose += data
        for element in self.open:
            element[2].append(data)

    def all(self, tag: str, kind: str = "") -> list[tuple[dict, str]]:
        found = [(attrs, "".join(said)) for name, attrs, said in self.elements if name == tag]
        return [one for one in found if kind in one[0].get("class", "").split() or not kind]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_page(SHOWN, PHOTO))


def test_nothing_of_strangers_becomes_markup(page):
    assert not page.all("script")
    # The photo, and a map of each tag.
    assert len(page.all("img")) == 4
    for _, attributes, _ in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/")), value
    assert "alert(1)" not in page.loose and "example.com" not in page.loose
    everything = render_page(SHOWN, PHOTO)
    assert not {"\u202e", "\x1b", "\x00"} & set(everything)
    for said in (HOSTILE[0], HOSTILE[1], HOSTILE[3]):
        assert said in page.all("body")[0][1]


def test_the_page_may_load_nothing(page):
    style = page.all("style")[0][1]
    assert "@import" not in style and "url(" not in style
    policy = next(a["content"] for a, _ in page.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy and "script-src" not in policy


def test_it_says_what_the_explanation_says(page):
    inputs = [attributes for attributes, _ in page.all("input")]
    # Radio buttons of one name: arrow keys go from one to the next without a script.
    assert {(a["type"], a["name"]) for a in inputs} == {("radio", "tag")}
    assert [a["id"] for a in inputs] == ["t0", "t1", "t2", "none"]
    assert [a["id"] for a in inputs if "checked" in a] == ["t0"]
    rows = [said for _, said in page.all("label")]
    assert "toilet" in rows[0] and "✓ in the answer" in rows[0] and "0.600" in rows[0]
    assert "cosine 0.310 · 3 of 3 neighbours · looked bottom left (14\u00a0×)" in rows[0]
    assert "✓ in the answer" in rows[1] and "✓" not in rows[2]
    assert "cosine -0.020" in rows[2] and "looked evenly" in rows[2]
    answers = [said for _, said in page.all("dd")][:2]
    assert answers == [SHOWN.answer, HOSTILE[1]]
    near = [said for attributes, said in page.all("li") if attributes.get("class") in ("n0", "n1")]
    assert "0.910" in near[0] and "A toilet." in near[0] and "2 more captions" in near[0]
    assert "toilet, tiled bathroom" in near[0] and "tiled" not in near[1]


def test_the_maps_are_those_of_the_tags(page):
    maps = [a for a, _ in page.all("img", "map")]
    assert [a["class"] for a in maps] == ["map m0", "map m1", "map m2"]
    scale = even_scale([tag.attention for tag in TAGS])
    for tag, attributes in zip(TAGS, maps, strict=True):
        data = base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,"))
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        assert pixels.shape == (4, 4, 4)
        brightest = (pixels[..., :3].sum(-1) * pixels[..., 3].astype(int)).argmax()
        assert brightest == np.argmax(tag.attention)
        assert attributes["src"].endswith(heat_map(tag.attention, scale))
        assert where(tag.attention) in attributes["alt"]


def pixels_of(attention: tuple, scale: float) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(heat_map(attention, scale)))))


def test_a_map_is_not_stretched_to_look_like_more():
    even = grid(0, 0, floor=1e6)
    assert even_scale([even]) == 2
    assert even_scale([even, grid(0, 0)]) == pytest.approx(16 * 1.01 / 1.16)
    # The photo is seen as it is.
    assert pixels_of(even, 2)[..., 3].max() == 0


def test_less_than_even_darkens_and_more_is_warm():
    pixels = pixels_of(((0.0, 0.25), (0.3, 0.45)), 2).astype(int)
    colours, opacity = pixels[..., :3].sum(-1), pixels[..., 3]
    assert colours[0, 0] < 60 and opacity[0, 0] > 100
    assert opacity[0, 1] == 0
    assert 0 < opacity[1, 0] < opacity[1, 1] and colours[1, 0] < colours[1, 1]
    assert pixels[1, 1, 0] > pixels[1, 1, 2]


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [(0, 0, "top left"), (1, 1, "centre"), (2, 1, "bottom centre"), (1, 2, "middle right")],
)
def test_places_have_names(row, column, said):
    assert where(grid(row, column, side=3)) == said
    assert where(()) == "evenly"


def test_an_answer_without_tags_has_a_page():
    empty = dataclasses.replace(SHOWN, tags=(), neighbours=(), answer_without=None, answer=" ")
    page = Page(render_page(empty, PHOTO))
    assert len(page.all("img")) == 1 and not page.all("input")
    body = page.all("body")[0][1]
    assert "read no tags" in body and "(nothing)" in body and "with tags" not in body


def test_tags_as_plain_text_have_neither_weight_nor_map():
    plain = tuple(
        dataclasses.replace(tag, weight=None, cosine=None, attention=()) for tag in TAGS[:2]
    )
    page = Page(render_page(dataclasses.replace(SHOWN, tags=plain, control="lion"), PHOTO))
    assert len(page.all("img")) == 1 and not page.all("svg")
    assert "cosine" not in page.all("fieldset")[0][1]


def test_long_texts_and_many_tags_are_cut():
    many = tuple(dataclasses.replace(TAGS[0], text=f"tag {i}" + "x" * 9999) for i in range(90))
    page = Page(render_page(dataclasses.replace(SHOWN, tags=many, answer="y " * 9999), PHOTO))
    assert len(page.all("input")) == 65 and "26 more are in the JSON" in page.all("body")[0][1]
    assert max(len(said) for _, said in page.all("bdi")) <= 4000


@pytest.mark.parametrize("attention", [((0.5,), (0.2, 0.3)), ((0.5, 0.6),), ((-1.0, 2.0),), ((),)])
def test_an_attention_that_is_no_grid_of_shares_is_refused(attention):
    with pytest.raises(ValueError, match="attention of 'toilet'"):
        dataclasses.replace(TAGS[0], attention=attention)


def test_the_json_holds_everything_and_can_be_read():
    record = json.loads(json.dumps(SHOWN.as_record(), allow_nan=False))
    assert record["format"] == 1 and record["crop"] == list(CROP)
    assert [tag["text"] for tag in record["tags"]] == [tag.text for tag in TAGS]
    assert np.allclose(record["tags"][0]["attention"], TAGS[0].attention, atol=1e-6)
    assert record["neighbours"][0]["captions"] == list(NEAR[0].captions)
    broken = dataclasses.replace(SHOWN, tags=(dataclasses.replace(TAGS[0], cosine=float("nan")),))
    assert broken.as_record()["tags"][0]["cosine"] is None


def test_what_the_photo_file_says_beside_its_pixels_is_not_on_the_page():
    tagged = PHOTO.copy()
    tagged.info = {"comment": b"taken at home", "exif": b"Exif\0\0secret", "icc_profile": b"x"}
    data = re.search(r"data:image/jpeg;base64,([^\"]+)", render_page(SHOWN, tagged))[1]
    raw = base64.b64decode(data)
    assert b"secret" not in raw and b"home" not in raw


# Writes what it measured where --dump-dom shows it; the policy is taken out to let it run.
PROBE = """<script>
addEventListener('load', () => {
  document.querySelectorAll('details').forEach(d => { d.open = true; });
  const look = (choice) => {
    document.getElementById(choice).click();
    return [...document.querySelectorAll('.map')].map(m => +getComputedStyle(m).opacity);
  };
  const outlined = () => [...document.querySelectorAll('.near > li')]
    .map(n => +(getComputedStyle(n).boxShadow != 'none'));
  const found = {};
  for (const choice of ['t0', 't1', 'none']) found[choice] = [look(choice), outlined()];
  const frame = document.querySelector('.frame > img').getBoundingClientRect();
  const seen = document.querySelector('.seen').getBoundingClientRect();
  found.crop = [(seen.left - frame.left) / frame.width, (seen.top - frame.top) / frame.height,
    (seen.right - frame.left) / frame.width, (seen.bottom - frame.top) / frame.height]
    .map(x => Math.round(100 * x) / 100);
  const outer = [...document.querySelectorAll('body *')];
  found.wide = outer.filter(e => !e.closest('.skip, svg, .frame')
    && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '.' + e.className);
  const photo = document.querySelector('.photo');
  scrollTo({top: photo.getBoundingClientRect().top + scrollY + 100, behavior: 'instant'});
  found.stuck = Math.round(photo.getBoundingClientRect().top) == 0;
  found.scroll = document.documentElement.scrollWidth;
  document.title = JSON.stringify(found);
});
</script>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Runs headless Chromium."""
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


@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_the_chosen_map_in_its_place(browser, tmp_path, width):
    source = render_page(SHOWN, PHOTO).replace("Content-Security-Policy", "x-policy")
    inner = html.escape(source.replace("</head>", f"{PROBE}</head>"), quote=True)
    outer = tmp_path / "frame.html"
    outer.write_text(
        f'<!doctype html><meta charset="utf-8"><iframe width="{width}" height="800" '
        f'style="border:0" srcdoc="{inner}"></iframe><script>addEventListener("load", () => {{'
        "document.title = document.querySelector('iframe').contentDocument.title; });</script>"
    )
    dumped = browser(outer, "--hide-scrollbars", "--dump-dom").stdout
    assert json.loads(html.unescape(re.search(r"<title>(\{.*?\})</title>", dumped)[1])) == {
        "t0": [[1, 0, 0], [1, 1, 1]],
        "t1": [[0, 1, 0], [1, 0, 0]],
        "none": [[0, 0, 0], [0, 0, 0]],
        "crop": list(CROP),
        "wide": [],
        "scroll": width,
        # On a phone the photo stays in sight while the list of tags scrolls.
        "stuck": width < 500,
    }


def test_the_policy_lets_the_page_through(browser, tmp_path):
    """A blocked style sheet or picture would be a message in the console."""
    path = tmp_path / "answer.html"
    write_page(SHOWN, PHOTO, path)
    flags = ("--enable-logging=stderr", "--v=0", f"--screenshot={tmp_path / 'page.png'}")
    messages = [line for line in browser(path, *flags).stderr.splitlines() if "CONSOLE" in line]
    assert messages == []
    assert (tmp_path / "page.png").stat().st_size > 10_000
