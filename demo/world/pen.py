"""The pen that every glyph is drawn with: shapes on a 100 by 100 canvas, kept as paint numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

Point = tuple[float, float]
RGB = tuple[int, int, int]

CANVAS = 100.0
"""Side of the canvas in drawing units; x grows to the right, y downwards."""

MARGIN = 3.0
"""Room around the canvas, so that outlines at its border are not cut."""

BODY_PAINTS = ("body", "dark", "light", "edge")
"""Paints that follow the object's colour: as it is, in shade, in light, and its outline."""

FIXED_PAINTS: dict[str, RGB] = {
    "ink": (44, 42, 50),
    "white": (250, 249, 244),
    "cream": (244, 226, 190),
    "skin": (232, 180, 140),
    "steel": (176, 184, 194),
    "iron": (98, 104, 114),
    "wood": (168, 112, 62),
    "bark": (112, 74, 44),
    "gold": (232, 184, 54),
    "leaf": (78, 158, 66),
    "moss": (46, 108, 58),
    "sky": (168, 214, 238),
    "sea": (62, 130, 188),
    "red": (216, 56, 48),
    "rose": (240, 140, 160),
    "orange": (242, 146, 44),
    "yellow": (250, 216, 72),
    "plum": (112, 58, 128),
    "toast": (206, 146, 76),
    "choc": (92, 56, 36),
    "meat": (160, 72, 52),
    "lime": (150, 206, 70),
}
"""Paints that stay what they are whatever the object's colour."""

_FIXED_NAMES = tuple(FIXED_PAINTS)
_FIXED_EDGE = 40
"""Paint number of the first fixed paint's outline; fixed paints themselves start at 5."""


def paint_number(name: str, *, edge: bool = False) -> int:
    """Number under which a paint, or the outline of its shapes, stands in a tile; 0 is nothing."""
    if name in BODY_PAINTS:
        return BODY_PAINTS.index("edge" if edge else name) + 1
    return (_FIXED_EDGE if edge else 5) + _FIXED_NAMES.index(name)


def fixed_palette() -> dict[int, RGB]:
    """Colour of every paint number that does not depend on the object."""
    palette = {}
    for name, rgb in FIXED_PAINTS.items():
        palette[paint_number(name)] = rgb
        red, green, blue = (int(channel * 0.55) for channel in rgb)
        palette[paint_number(name, edge=True)] = (red, green, blue)
    return palette


def spline(points: Sequence[Point], *, closed: bool, steps: int = 8) -> list[Point]:
    """Points of the Catmull-Rom curve through `points` (uniform, tension 1/2)."""
    count = len(points)
    curve: list[Point] = []
    for i in range(count if closed else count - 1):
        picks = [i - 1, i, i + 1, i + 2]
        a, b, c, d = (
            points[k % count] if closed else points[min(max(k, 0), count - 1)] for k in picks
        )
        for step in range(steps):
            t = step / steps
            curve.append(
                tuple(
                    0.5
                    * (
                        2 * b[j]
                        + (c[j] - a[j]) * t
                        + (2 * a[j] - 5 * b[j] + 4 * c[j] - d[j]) * t * t
                        + (3 * b[j] - a[j] - 3 * c[j] + d[j]) * t**3
                    )
                    for j in (0, 1)
                )
            )
    if not closed:
        curve.append(points[-1])
    return curve


def ellipse(cx: float, cy: float, rx: float, ry: float, a0: float, a1: float) -> list[Point]:
    """Points along an ellipse from angle `a0` to `a1`: degrees, clockwise from three o'clock."""
    steps = max(3, int(abs(a1 - a0) / 9))
    angles = [math.radians(a0 + (a1 - a0) * i / steps) for i in range(steps + 1)]
    return [(cx + rx * math.cos(angle), cy + ry * math.sin(angle)) for angle in angles]


def _pairs(xy: Sequence[float]) -> list[Point]:
    if len(xy) % 2:
        raise ValueError(f"points are x, y, x, y, ...: got {len(xy)} numbers, an odd count")
    return list(zip(xy[::2], xy[1::2], strict=True))


class Pen:
    """Draws shapes into a tile of paint numbers.

    A tile keeps which paint lies where and not its colour, so that one drawing serves every
    colour, pattern and material of its kind. Shapes take the name of a paint and coordinates
    on the 100 by 100 canvas; `mirror` draws the shape a second time with x turned to 100 - x.

    Args:
        side: side of the square tile in pixels.
    """

    def __init__(self, side: int) -> None:
        self.tile = Image.new("L", (side, side), 0)
        self._draw = ImageDraw.Draw(self.tile)
        self._scale = side / (CANVAS + 2 * MARGIN)

    def _fill(self, paint: str, points: Sequence[Point], mirror: bool, edge: float) -> None:
        for flip in (False, True) if mirror else (False,):
            scaled = self._scaled(points, flip)
            self._draw.polygon(scaled, fill=paint_number(paint))
            if edge:
                self._stroke(paint_number(paint, edge=True), edge, [*scaled, *scaled[:2]])

    def _scaled(self, points: Sequence[Point], flip: bool) -> list[Point]:
        return [
            (((CANVAS - x if flip else x) + MARGIN) * self._scale, (y + MARGIN) * self._scale)
            for x, y in points
        ]

    def _stroke(self, number: int, width: float, scaled: Sequence[Point]) -> None:
        pixels = max(1, round(width * self._scale))
        self._draw.line(scaled, fill=number, width=pixels, joint="curve")

    def poly(self, paint: str, *xy: float, mirror: bool = False, edge: float = 1.2) -> None:
        """Polygon through corners x, y, x, y, ...; `edge` is the outline's width, 0 for none."""
        self._fill(paint, _pairs(xy), mirror, edge)

    def blob(self, paint: str, *xy: float, mirror: bool = False, edge: float = 1.2) -> None:
        """Smooth closed shape through the points."""
        self._fill(paint, spline(_pairs(xy), closed=True), mirror, edge)

    def oval(
        self,
        paint: str,
        cx: float,
        cy: float,
        rx: float,
        ry: float | None = None,
        *,
        turn: float = 0.0,
        mirror: bool = False,
        edge: float = 1.2,
    ) -> None:
        """Ellipse of radii rx, ry (a circle without ry), turned clockwise by `turn` degrees."""
        points = ellipse(0, 0, rx, rx if ry is None else ry, 0, 351)
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        turned = [(cx + x * cos - y * sin, cy + x * sin + y * cos) for x, y in points]
        self._fill(paint, turned, mirror, edge)

    def box(
        self,
        paint: str,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        r: float = 0.0,
        *,
        mirror: bool = False,
        edge: float = 1.2,
    ) -> None:
        """Rectangle with corners rounded by `r`."""
        if r:
            points = [
                *ellipse(x1 - r, y0 + r, r, r, -90, 0),
                *ellipse(x1 - r, y1 - r, r, r, 0, 90),
                *ellipse(x0 + r, y1 - r, r, r, 90, 180),
                *ellipse(x0 + r, y0 + r, r, r, 180, 270),
            ]
        else:
            points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        self._fill(paint, points, mirror, edge)

    def pie(
        self,
        paint: str,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        a0: float,
        a1: float,
        *,
        mirror: bool = False,
        edge: float = 1.2,
    ) -> None:
        """Part of an ellipse between two angles, closed by its chord."""
        self._fill(paint, ellipse(cx, cy, rx, ry, a0, a1), mirror, edge)

    def _thread(self, paint: str, width: float, points: Sequence[Point], mirror: bool) -> None:
        # Threads in the object's colour would drown in a background of that colour without
        # an outline; those in fixed paints are details on a body and need none.
        layers = [(paint_number(paint), width)]
        if paint in BODY_PAINTS[:3] and width >= 2.5:
            layers.insert(0, (paint_number(paint, edge=True), width + 2.2))
        for flip in (False, True) if mirror else (False,):
            scaled = self._scaled(points, flip)
            for number, wide in layers:
                self._stroke(number, wide, scaled)
                radius = wide * self._scale / 2
                for x, y in (scaled[0], scaled[-1]):
                    self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), number)

    def line(self, paint: str, width: float, *xy: float, mirror: bool = False) -> None:
        """Straight segments with round ends."""
        self._thread(paint, width, _pairs(xy), mirror)

    def curve(self, paint: str, width: float, *xy: float, mirror: bool = False) -> None:
        """Smooth open curve through the points, with round ends."""
        self._thread(paint, width, spline(_pairs(xy), closed=False), mirror)

    def arc(
        self,
        paint: str,
        width: float,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        a0: float,
        a1: float,
        *,
        mirror: bool = False,
    ) -> None:
        """Stroke along an ellipse between two angles."""
        self._thread(paint, width, ellipse(cx, cy, rx, ry, a0, a1), mirror)

    def eye(self, x: float, y: float, r: float = 2.4, *, mirror: bool = False) -> None:
        """Round eye with a glint."""
        self.oval("ink", x, y, r, mirror=mirror, edge=0)
        self.oval("white", x - r * 0.3, y - r * 0.35, r * 0.35, mirror=mirror, edge=0)

    def wheel(self, cx: float, cy: float, r: float) -> None:
        """Tyre with a hub."""
        self.oval("ink", cx, cy, r)
        self.oval("steel", cx, cy, r * 0.5)
        self.oval("iron", cx, cy, r * 0.16, edge=0)

    def spokes(self, cx: float, cy: float, r: float, paint: str = "ink") -> None:
        """Thin spoked wheel."""
        for degrees in range(0, 180, 30):
            dx = r * math.cos(math.radians(degrees))
            dy = r * math.sin(math.radians(degrees))
            self.line("steel", 0.7, cx - dx, cy - dy, cx + dx, cy + dy)
        self.arc(paint, 2.6, cx, cy, r, r, 0, 360)
        self.oval("steel", cx, cy, r * 0.14)

    def fan(self, cx: float, cy: float, r0: float, r1: float, count: int) -> list[Point]:
        """Corners of a star with `count` tips at r1 and notches at r0, the first tip upwards."""
        corners = []
        for i in range(2 * count):
            radius = r0 if i % 2 else r1
            angle = math.pi * i / count - math.pi / 2
            corners.append((cx + radius * math.cos(angle), cy + radius * math.sin(angle)))
        return corners

    def star(
        self,
        paint: str,
        cx: float,
        cy: float,
        r0: float,
        r1: float,
        count: int = 5,
        *,
        edge: float = 1.2,
    ) -> None:
        """Star of `count` tips."""
        self._fill(paint, self.fan(cx, cy, r0, r1, count), False, edge)
