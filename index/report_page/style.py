"""How our pages look: colours for light and dark, and the one style sheet."""

from __future__ import annotations

# Text has a contrast of 4.5 or more with what it stands on, and lines of a plot 3, as WCAG asks;
# a test computes it.
LIGHT = {
    "page": "#f5f5f2",
    "card": "#ffffff",
    "text": "#1b1c1e",
    "quiet": "#55585e",
    "line": "#d9dadd",
    "soft": "#eef0f3",
    "link": "#1d4fae",
    "good": "#13602f",
    "good-fill": "#e1f3e5",
    "bad": "#9c2117",
    "bad-fill": "#fde9e6",
    "note": "#6a4700",
    "note-fill": "#fbeecb",
    "series-0": "#1f5fbf",
    "series-1": "#b3541e",
    "series-2": "#25784a",
    "series-3": "#8a3ea8",
    "series-4": "#a8336b",
    "series-5": "#5c6470",
}
DARK = {
    "page": "#141517",
    "card": "#1d1f22",
    "text": "#e8e9eb",
    "quiet": "#a9adb5",
    "line": "#3a3d43",
    "soft": "#292c31",
    "link": "#9cc1ff",
    "good": "#8fe0a8",
    "good-fill": "#15321f",
    "bad": "#ffaba2",
    "bad-fill": "#45201c",
    "note": "#f3d27e",
    "note-fill": "#3a2f12",
    "series-0": "#7fb0ff",
    "series-1": "#f0a060",
    "series-2": "#6fcf97",
    "series-3": "#cf9cf0",
    "series-4": "#f08ab0",
    "series-5": "#aeb4c0",
}
SERIES = 6


def _variables(palette: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in palette.items())


_COLOURS = f"""
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
"""

_PAGE = """
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
body > header, main, body > footer { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
body > header { padding-top: 2rem; }
body > footer { padding-top: 1rem; padding-bottom: 3rem; color: var(--quiet); font-size: .85rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: .2rem; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .3rem .7rem; z-index: 1; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 0 0 .25rem; }
h3 { font-size: 1rem; line-height: 1.4; margin: 0 0 .25rem; }
section > * + h3 { margin-top: 1.25rem; }
section > h2 + h3 { margin-top: .5rem; }
p { margin: 0 0 .75rem; max-width: 44rem; }
.quiet, figcaption, caption { color: var(--quiet); }
.lead { color: var(--quiet); margin: .3rem 0 1rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: 0 0 1.25rem;
  padding: 0; font-size: .95rem; }
nav a { display: inline-block; padding: .15rem 0; }
main > section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1.25rem 1.25rem 1rem; margin: 0 0 1.25rem; }
.two { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem 2.5rem;
  align-items: start; margin-top: .75rem; }
.two > :last-child:nth-child(odd) { grid-column: 1 / -1; }
.number, td.number, th.number { font-variant-numeric: tabular-nums; }
code { font: .9em ui-monospace, monospace; }
"""

_VERDICT = """
main > section.passed { border-left: .5rem solid var(--good); }
main > section.failed { border-left: .5rem solid var(--bad); }
.passed > h2, .failed > h2 { font-size: 1.5rem; }
.passed > h2 { color: var(--good); } .failed > h2 { color: var(--bad); }
.gates { list-style: none; margin: 1rem 0 .5rem; padding: 0; }
.gates li { display: grid; grid-template-columns: 5.2rem minmax(0, 1fr) auto; gap: 0 .75rem;
  padding: .55rem 0; border-top: 1px solid var(--line); align-items: baseline; }
.gates .detail { grid-column: 2 / -1; margin: .2rem 0 0; }
.gates .measured { font-variant-numeric: tabular-nums; text-align: right; }
.badge { display: inline-block; border-radius: .3rem; padding: .05rem .45rem; font-size: .8rem;
  font-weight: 600; white-space: nowrap; }
.badge.good { background: var(--good-fill); color: var(--good); }
.badge.bad { background: var(--bad-fill); color: var(--bad); }
.badge.note { background: var(--note-fill); color: var(--note); }
.badge.idle { background: var(--soft); color: var(--quiet); }
.cautions { list-style: none; padding: 0; margin: 0 0 1rem; }
.cautions li { background: var(--note-fill); color: var(--note); border-radius: .4rem;
  padding: .4rem .75rem; margin: 0 0 .4rem; }
.remarks { color: var(--quiet); font-size: .92rem; padding-left: 1.1rem; margin: 0 0 .75rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 1rem 0; }
.tiles div { background: var(--soft); border-radius: .5rem; padding: .6rem .8rem; }
.tiles dt { font-size: .82rem; }
.tiles dd { margin: 0; font-size: 1.3rem; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.tiles dd small { display: block; font-size: .8rem; font-weight: 400; }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .2rem 1rem;
  margin: 0 0 .75rem; font-size: .92rem; }
.facts dt { color: var(--quiet); } .facts dd { margin: 0; }
"""

_TABLES = """
.scroll { overflow-x: auto; margin: .25rem 0 .75rem; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: baseline; overflow-wrap: break-word; }
th { font-weight: 600; }
thead th { color: var(--quiet); font-size: .82rem; vertical-align: bottom; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.change, th.change { text-align: right; font-variant-numeric: tabular-nums; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th:last-child, td:last-child { padding-right: .25rem; }
td.wide { width: 40%; min-width: 4rem; } td bdi { unicode-bidi: isolate; }
tr.marked td, tr.marked th { background: var(--soft); }
details { margin: .25rem 0 .75rem; }
summary { cursor: pointer; color: var(--link); padding: .2rem 0; font-size: .92rem; }
summary:hover { text-decoration: underline; }
"""

_PLOTS = """
figure { margin: 0; }
.plot > svg { display: block; width: 100%; max-width: 29rem; height: auto; overflow: visible; }
.plot text { fill: var(--text); font-size: 14px; font-family: inherit; paint-order: stroke;
  stroke: var(--card); stroke-width: 4px; stroke-linejoin: round; }
.plot .tick { fill: var(--quiet); font-variant-numeric: tabular-nums; }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot .axis { stroke: var(--quiet); stroke-width: 1; }
.plot .ring { fill: none; stroke: var(--text); stroke-width: 2; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: .25rem 0;
  padding: 0; font-size: .88rem; }
.legend svg { width: 2rem; height: .9rem; vertical-align: -.1rem; margin-right: .3rem; }
.legend .ring { fill: none; stroke: var(--text); stroke-width: 2; }
.lines { fill: none; stroke-width: 2; }
.path { fill: none; stroke: var(--quiet); stroke-width: 2; stroke-dasharray: 5 4; }
.plot .mark { stroke: var(--card); stroke-width: 1; }
.bar { display: block; width: 100%; height: .6rem; border-radius: .3rem; background: var(--soft); }
""" + "".join(
    f".s{i} {{ --series: var(--series-{i}); }} .s{i} .lines {{ stroke: var(--series-{i}); }} "
    f".s{i} .mark {{ fill: var(--series-{i}); }}\n"
    for i in range(SERIES)
)

_GALLERY = """
main article { border-top: 1px solid var(--line); padding: 1.1rem 0 .75rem; margin-top: 1rem; }
.row { display: grid; gap: .9rem; grid-template-columns: repeat(6, minmax(0, 1fr));
  list-style: none; margin: .6rem 0 1rem; padding: 0; }
.row img { border: 1px solid var(--line); }
.row img, .row .gone { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: .5rem;
  display: block; background: var(--soft); }
.row .gone { display: grid; place-items: center; color: var(--quiet); font-size: .8rem;
  text-align: center; padding: .5rem; }
.row .query img, .row .query .gone { outline: 3px solid var(--link); outline-offset: 2px; }
.row figcaption { font-size: .82rem; line-height: 1.4; margin-top: .45rem; }
.row .caption { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 5;
  overflow: hidden; margin: .2rem 0 0; color: var(--text); }
.row ul { padding-left: 1rem; margin: .2rem 0; }
.row .score { font-weight: 600; color: var(--text); font-variant-numeric: tabular-nums; }
.row details { margin: .1rem 0 0; } .row summary { font-size: .82rem; }
.tags { list-style: none; margin: .3rem 0 0; padding: 0; display: grid; gap: .3rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); }
.tags li { display: grid; grid-template-columns: minmax(0, 1fr) 5rem 2.6rem; gap: .6rem;
  align-items: center; font-size: .9rem; }
.tags .kind { color: var(--quiet); font-size: .8rem; }
.tags .number { text-align: right; }
"""

_NARROW = """
@media (max-width: 60rem) { .row { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
@media (min-width: 48rem) { thead th:first-child { width: 34%; } }
@media (max-width: 48rem) { .two { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 34rem) {
  body > header, main, body > footer { padding-left: .75rem; padding-right: .75rem; }
  body > header { padding-top: 1.25rem; }
  h1 { font-size: 1.4rem; }
  nav a { padding: .35rem 0; }
  main > section { padding: 1rem .85rem .75rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .facts { grid-template-columns: minmax(0, 1fr); gap: 0; } .facts dd { margin-bottom: .4rem; }
  .gates li { grid-template-columns: max-content minmax(0, 1fr); gap: .15rem .6rem; }
  .gates .measured, .gates .detail { grid-column: 1 / -1; text-align: left; }
  .row { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .tags { grid-template-columns: minmax(0, 1fr); }
  th, td { padding-right: .6rem; } td .badge { white-space: normal; }
  tbody th, td { vertical-align: top; }
}
@media print {
  body { background: none; font-size: 11pt; } nav, .skip { display: none; }
  main > section { border: 0; border-top: 1px solid var(--line); border-radius: 0;
    padding: 1rem 0 0; }
  article, figure, table, .gates li, .tiles { break-inside: avoid; } h2, h3 { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .row details { display: none; }
  .row { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
"""

STYLE = _COLOURS + _PAGE + _VERDICT + _TABLES + _PLOTS + _GALLERY + _NARROW
