"""Attention over a grid as a picture to lay over a photo, and as words."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tuna_model.explanation import Grid

# From dark to bright with rising lightness, so that it reads in grey and to the colour-blind too.
_STOPS = (
    (0.0, (10, 7, 34)),
    (0.25, (88, 16, 110)),
    (0.5, (176, 42, 91)),
    (0.75, (237, 105, 37)),
    (1.0, (252, 230, 110)),
)
_OPACITY = (0.3, 0.72)
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
        scale: the multiple of an even look that has the brightest colour.
    """
    cells = np.asarray(grid, np.float64)
    share = np.clip(cells * cells.size / scale, 0, 1)
    places = [place for place, _ in _STOPS]
    bands = [np.interp(share, places, [colour[i] for _, colour in _STOPS]) for i in range(3)]
    bands.append(255 * np.interp(share, (0, 1), _OPACITY))
    pixels = np.stack(bands, axis=-1).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def legend(scale: float) -> str:
    """The colours with their meaning, as SVG with numbers below."""
    stops = "".join(
        f'<stop offset="{place:g}" stop-color="rgb{colour}"/>' for place, colour in _STOPS
    )
    marks = "".join(
        f"<span>{value:.2g} ×</span>" if value else "<span>0</span>"
        for value in (0.0, scale / 2, scale)
    )
    return (
        '<div class="scale" role="img" aria-label="Colours from dark, not looked at, to bright">'
        '<svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><defs>'
        f'<linearGradient id="heat">{stops}</linearGradient></defs>'
        f'<rect width="100" height="4" fill="url(#heat)"/></svg><div>{marks}</div></div>'
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
