"""How a browser shows the page of a report, and whether its colours can be read."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from index.report_page import render_page, write_page
from index.report_page.style import DARK, LIGHT, SERIES


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
