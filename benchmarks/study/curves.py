"""Curves as SVG files that stand alone, drawn like those of the report page."""

from __future__ import annotations

from collections.abc import Sequence

from index.report_page.plots import Frame, Series, line_plot
from index.report_page.style import DARK, LIGHT, SERIES

_ROW = 20


def _colours(palette: dict[str, str]) -> str:
    series = "".join(f".s{i}{{--series:{palette[f'series-{i}']}}}" for i in range(SERIES))
    return (
        f"svg{{background:{palette['card']}}}text{{fill:{palette['text']}}}"
        f".grid{{stroke:{palette['line']}}}.axis{{stroke:{palette['quiet']}}}{series}"
    )


_STYLE = (
    "<style>text{font:12px system-ui,sans-serif}path{fill:none}"
    f"{_colours(LIGHT)}@media (prefers-color-scheme:dark){{{_colours(DARK)}}}"
    ".lines{stroke:var(--series);stroke-width:2}.mark{fill:var(--series)}</style>"
)


def curve_file(frame: Frame, lines: Sequence[Series]) -> str:
    """A line plot with its legend below, as the text of an SVG file."""
    plot = line_plot(frame, lines)
    height = 270 + _ROW * len(lines)
    plot = plot.replace(
        '<svg viewBox="0 0 400 270"',
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 {height}"',
        1,
    ).replace(">", ">" + _STYLE, 1)
    keys = "".join(
        f'<g class="s{i % SERIES}"><path class="lines" d="M20 {_place(i)}h30"/></g>'
        f'<text x="58" y="{_place(i) + 4}">{line.name}</text>'
        for i, line in enumerate(lines)
    )
    return plot.removesuffix("</svg>") + keys + "</svg>\n"


def _place(row: int) -> int:
    return 270 + _ROW * row + 8
