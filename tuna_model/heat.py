"""Attention over a grid as a picture to lay over a photo, and as words."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tuna_model.explanation import Grid

# Red, green, blue, opacity by place on the scale, on which an even look stands at a third: less
# than that darkens, more is warm, and an even map leaves the photo as it is. Beyond the third
# lightness rises, so that it reads in grey and to the colour-blind too.
_EVEN = 1 / 3
_STOPS = (
    (0.0, (8, 7, 30, 0.62)),
    (_EVEN, (8, 7, 30, 0.0)),
    (_EVEN, (190, 20, 60, 0.0)),
    (0.6, (225, 70, 40, 0.6)),
    (1.0, (255, 232, 100, 0.8)),
)
# Below twice an even look a map shows little but noise, and is not stretched to look like more.
_LEAST_SCALE = 2.0


def even_scale(grids: Sequence[Grid]) -> float:
    """The top of one scale for several maps, in multiples of an even look; at least 2."""
    peaks = [max(max(row) for row in grid) * len(grid) * len(grid[0]) for grid in grids]
    return max([_LEAST_SCALE, *peaks])


def heat_map(grid: Grid, scale: float) -> str:
    """A PNG of a pixel a cell, as base64.

    Args:
        grid: rows of cells, of sum 1.
        scale: the multiple of an even look that has the brightest colour, above 1.
    """
    cells = np.asarray(grid, np.float64)
    looks = np.clip(cells * cells.size, 0, scale)
    above = _EVEN + (1 - _EVEN) * (looks - 1) / (scale - 1)
    place = np.where(looks < 1, _EVEN * looks, above)
    less, more = _STOPS[:2], _STOPS[2:]
    bands = [
        np.where(looks < 1, _between(place, less, band), _between(place, more, band))
        for band in range(4)
    ]
    bands[3] = 255 * bands[3]
    pixels = np.stack(bands, axis=-1).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _between(place: np.ndarray, stops: Sequence[tuple], band: int) -> np.ndarray:
    return np.interp(place, [at for at, _ in stops], [colour[band] for _, colour in stops])


def legend(scale: float) -> str:
    """The colours with their meaning, as SVG with numbers below."""
    stops = "".join(
        f'<stop offset="{place:.4f}" stop-color="rgb{colour[:3]}" stop-opacity="{colour[3]:g}"/>'
        for place, colour in _STOPS
    )
    return (
        '<div class="scale" role="img" aria-label="Dark: looked at less than evenly; clear: '
        f'evenly; warm and bright: more, up to {scale:.2g} times">'
        '<svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><defs>'
        f'<linearGradient id="heat">{stops}</linearGradient></defs>'
        '<rect width="100" height="4" fill="url(#heat)"/></svg>'
        f"<div><span>0</span><span>even</span><span>{scale:.2g} ×</span></div></div>"
    )


def where(grid: Grid) -> str:
    """Which ninth of the picture was looked at most, in words; "evenly" below the least scale."""
    cells = np.asarray(grid, np.float64)
    if cells.size == 0 or cells.max() * cells.size < _LEAST_SCALE:
        return "evenly"
    row, column = np.unravel_index(int(cells.argmax()), cells.shape)
    down = ("top", "middle", "bottom")[int(3 * (row + 0.5) / cells.shape[0])]
    across = ("left", "centre", "right")[int(3 * (column + 0.5) / cells.shape[1])]
    return "centre" if (down, across) == ("middle", "centre") else f"{down} {across}"
