"""Where a scene is set."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable

from PIL import Image, ImageDraw

from demo.world.pen import RGB

VARIANTS = 6
"""How many versions of each background there are."""

HORIZON = 0.56
"""Height of the horizon outdoors, from the top, as a share of the image."""

_SKIES: tuple[tuple[RGB, RGB], ...] = (
    ((150, 200, 236), (222, 238, 246)),
    ((180, 210, 230), (240, 236, 226)),
    ((236, 190, 160), (250, 230, 200)),
    ((128, 178, 222), (214, 230, 240)),
    ((198, 206, 216), (230, 232, 234)),
    ((168, 180, 226), (244, 214, 220)),
)


class Board:
    """Draws in shares of the side of a square image."""

    def __init__(self, side: int, rng: random.Random, variant: int) -> None:
        self.image = Image.new("RGB", (side, side))
        self.rng = rng
        self.variant = variant
        self._draw = ImageDraw.Draw(self.image)
        self._side = side

    def box(self, rgb: RGB, x0: float, y0: float, x1: float, y1: float, r: float = 0.0) -> None:
        corners = [value * self._side for value in (x0, y0, x1, y1)]
        self._draw.rounded_rectangle(corners, r * self._side, fill=rgb)

    def poly(self, rgb: RGB, *xy: float) -> None:
        self._draw.polygon([value * self._side for value in xy], fill=rgb)

    def oval(self, rgb: RGB, cx: float, cy: float, rx: float, ry: float) -> None:
        corners = [value * self._side for value in (cx - rx, cy - ry, cx + rx, cy + ry)]
        self._draw.ellipse(corners, fill=rgb)

    def line(self, rgb: RGB, width: float, *xy: float) -> None:
        points = [value * self._side for value in xy]
        self._draw.line(points, fill=rgb, width=max(1, round(width * self._side)), joint="curve")

    def shade(self, top: RGB, bottom: RGB, y0: float, y1: float, steps: int = 24) -> None:
        for k in range(steps):
            share = k / (steps - 1)
            red, green, blue = (
                round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True)
            )
            y = y0 + (y1 - y0) * k / steps
            self.box((red, green, blue), 0, y, 1, y1)

    def sky(self) -> None:
        top, bottom = _SKIES[self.variant % len(_SKIES)]
        self.shade(top, bottom, 0, HORIZON)
        for _ in range(self.rng.randrange(3)):
            x, y, r = self.rng.random(), self.rng.uniform(0.06, 0.24), self.rng.uniform(0.03, 0.05)
            for dx in (-1.2, 0, 1.2):
                self.oval((250, 250, 250), x + dx * r, y, r * 1.2, r * 0.8)


def _street(b: Board) -> None:
    b.sky()
    walls = ((214, 190, 164), (196, 172, 160), (222, 208, 180), (184, 188, 186), (206, 176, 170))
    b.box((190, 188, 184), 0, 0.5, 1, 0.7)
    x = -0.05
    while x < 1:
        width, top = b.rng.uniform(0.17, 0.28), b.rng.uniform(0.16, 0.3)
        b.box(b.rng.choice(walls), x, top, x + width - 0.006, 0.6)
        for row in range(3):
            for column in range(3):
                wx, wy = x + 0.03 + column * width / 3.2, top + 0.04 + row * 0.11
                b.box((142, 160, 172), wx, wy, wx + 0.03, wy + 0.05)
        x += width
    b.box((190, 188, 184), 0, 0.58, 1, 0.7)
    b.shade((118, 120, 126), (136, 138, 144), 0.7, 1)
    for k in range(4):
        b.box((226, 224, 214), 0.04 + k * 0.28, 0.84, 0.18 + k * 0.28, 0.86)


def _market(b: Board) -> None:
    b.sky()
    stripes = (
        ((206, 120, 110), (240, 230, 214)),
        ((112, 160, 140), (238, 234, 216)),
        ((214, 176, 110), (244, 236, 220)),
    )
    b.box((160, 136, 108), 0, 0.46, 1, 0.63)
    for k in range(4):
        dark, light = stripes[(k + b.variant) % 3]
        x = -0.06 + k * 0.29
        for step in range(6):
            b.poly(
                dark if step % 2 else light,
                x + 0.02 + step * 0.038,
                0.26,
                x + 0.058 + step * 0.038,
                0.26,
                x + 0.045 * (step + 1),
                0.38,
                x + 0.045 * step,
                0.38,
            )
        b.box((176, 146, 112), x + 0.01, 0.5, x + 0.26, 0.62)
        for fruit in range(6):
            b.oval(
                b.rng.choice(((216, 132, 96), (220, 190, 110), (142, 172, 110))),
                x + 0.035 + fruit * 0.04,
                0.5,
                0.02,
                0.018,
            )
    b.shade((190, 172, 150), (208, 192, 170), 0.62, 1)
    for row in range(6):
        for column in range(8):
            b.oval((178, 160, 138), (column + row % 2 / 2) * 0.14, 0.66 + row * 0.065, 0.05, 0.018)


def _beach(b: Board) -> None:
    b.sky()
    b.oval((252, 240, 190), 0.8, 0.16, 0.07, 0.07)
    b.shade((70, 150, 190), (120, 200, 212), 0.44, 0.64)
    for k in range(5):
        y = 0.48 + k * 0.03
        x = b.rng.random()
        b.line((170, 220, 230), 0.006, x, y, x + 0.16, y)
    b.shade((236, 216, 170), (244, 228, 190), 0.64, 1)
    b.poly(
        (248, 250, 248),
        0,
        0.63,
        0.3,
        0.655,
        0.6,
        0.635,
        1,
        0.66,
        1,
        0.64,
        0.6,
        0.62,
        0.3,
        0.635,
        0,
        0.615,
    )
    for _ in range(40):
        b.oval((222, 198, 150), b.rng.random(), b.rng.uniform(0.68, 1), 0.006, 0.004)


def _park(b: Board) -> None:
    b.sky()
    for _ in range(7):
        x, r = b.rng.random(), b.rng.uniform(0.07, 0.12)
        b.box((128, 104, 84), x - 0.01, 0.44, x + 0.01, 0.58)
        b.oval(b.rng.choice(((118, 158, 104), (136, 172, 116), (104, 146, 100))), x, 0.4, r, r)
    b.shade((150, 190, 116), (132, 176, 100), 0.54, 1)
    b.poly((222, 208, 178), 0.44, 0.54, 0.54, 0.54, 0.86, 1, 0.3, 1)
    for _ in range(40):
        x, y = b.rng.random(), b.rng.uniform(0.6, 1)
        b.line((112, 156, 88), 0.005, x, y, x + 0.008, y - 0.02)


def _harbor(b: Board) -> None:
    b.sky()
    for k in range(4):
        x = 0.12 + k * 0.26 + b.rng.uniform(-0.04, 0.04)
        b.line((150, 140, 130), 0.008, x, 0.18, x, 0.5)
        b.poly((230, 226, 216), x - 0.08, 0.47, x + 0.08, 0.47, x + 0.05, 0.52, x - 0.05, 0.52)
    b.shade((96, 146, 176), (130, 176, 196), 0.5, 0.7)
    b.box((172, 140, 106), 0, 0.68, 1, 1)
    for k in range(7):
        b.line((146, 116, 86), 0.006, 0, 0.68 + k * 0.048, 1, 0.68 + k * 0.048)


def _square(b: Board) -> None:
    b.sky()
    b.box((220, 200, 170), 0, 0.24, 1, 0.6)
    for k in range(6):
        x = 0.02 + k * 0.17
        b.box((176, 156, 134), x, 0.42, x + 0.11, 0.6, 0.05)
        b.box((160, 172, 178), x + 0.03, 0.29, x + 0.08, 0.36)
    b.shade((202, 196, 186), (216, 210, 200), 0.6, 1)
    for k in range(-4, 13):
        b.line((182, 176, 166), 0.004, 0.5 + (k - 4) * 0.09, 0.6, 0.5 + (k - 4) * 0.3, 1)
    for y in (0.66, 0.74, 0.86):
        b.line((182, 176, 166), 0.004, 0, y, 1, y)


def _snow(b: Board) -> None:
    b.sky()
    for x, height in ((0.1, 0.3), (0.5, 0.38), (0.88, 0.32)):
        b.poly((150, 164, 186), x - 0.34, 0.6, x, 0.6 - height, x + 0.34, 0.6)
        b.poly(
            (246, 248, 252),
            x - 0.1,
            0.6 - height * 0.7,
            x,
            0.6 - height,
            x + 0.1,
            0.6 - height * 0.7,
        )
    b.shade((226, 234, 244), (244, 248, 252), 0.58, 1)
    for _ in range(50):
        b.oval((255, 255, 255), b.rng.random(), b.rng.random() * 0.6, 0.006, 0.006)


def _kitchen(b: Board) -> None:
    walls = (
        (214, 226, 222),
        (236, 226, 206),
        (222, 214, 228),
        (206, 222, 232),
        (232, 216, 210),
        (224, 230, 208),
    )
    b.box(walls[b.variant % 6], 0, 0, 1, 1)
    for k in range(1, 9):
        b.line((250, 250, 246), 0.008, 0, k * 0.08, 1, k * 0.08)
        b.line((250, 250, 246), 0.008, k * 0.125, 0, k * 0.125, 0.68)
    b.box((172, 128, 90), 0.06, 0.1, 0.4, 0.13)
    for k, rgb in enumerate(((200, 120, 100), (120, 150, 170), (210, 180, 110))):
        b.box(rgb, 0.09 + k * 0.1, 0.04, 0.15 + k * 0.1, 0.1, 0.01)
    b.shade((198, 162, 124), (180, 142, 104), 0.68, 1)


def _living_room(b: Board) -> None:
    walls = (
        (232, 218, 196),
        (206, 216, 208),
        (226, 206, 204),
        (204, 212, 226),
        (236, 230, 210),
        (214, 204, 218),
    )
    wall = walls[b.variant % 6]
    b.box(wall, 0, 0, 1, 1)
    red, green, blue = wall
    for k in range(0, 12):
        b.box((red - 8, green - 8, blue - 8), k * 0.09, 0, k * 0.09 + 0.03, 0.68)
    x = 0.64 if b.variant % 2 else 0.08
    b.box((250, 248, 240), x, 0.08, x + 0.28, 0.44)
    b.box((176, 212, 232), x + 0.02, 0.1, x + 0.26, 0.42)
    b.box((250, 248, 240), x + 0.13, 0.08, x + 0.15, 0.44)
    b.box((250, 248, 240), 0, 0.66, 1, 0.69)
    b.shade((186, 146, 106), (168, 128, 90), 0.69, 1)
    for k in range(6):
        b.line((150, 112, 78), 0.004, 0, 0.73 + k * 0.05, 1, 0.73 + k * 0.05)


def _studio(b: Board) -> None:
    tones = (
        (232, 228, 224),
        (214, 224, 232),
        (238, 222, 216),
        (220, 230, 216),
        (230, 224, 238),
        (240, 232, 208),
    )
    top = tones[b.variant % 6]
    red, green, blue = (max(0, channel - 34) for channel in top)
    b.shade(top, (red, green, blue), 0, 0.72)
    b.shade((red, green, blue), top, 0.72, 1)


def _shop(b: Board) -> None:
    b.box(((238, 230, 220), (226, 232, 234), (236, 226, 232))[b.variant % 3], 0, 0, 1, 1)
    b.line((120, 112, 108), 0.012, 0.04, 0.14, 0.96, 0.14)
    for k in range(13):
        x = 0.08 + k * 0.068
        rgb = b.rng.choice(
            ((206, 186, 178), (184, 196, 206), (210, 204, 180), (190, 184, 200), (188, 202, 188))
        )
        b.line((150, 144, 140), 0.006, x + 0.02, 0.14, x + 0.02, 0.18)
        b.poly(rgb, x, 0.2, x + 0.02, 0.17, x + 0.05, 0.2, x + 0.055, 0.44, x - 0.005, 0.44)
    b.shade((206, 190, 172), (192, 176, 158), 0.7, 1)
    b.box((250, 246, 240), 0, 0.68, 1, 0.7)


def _runway(b: Board) -> None:
    b.shade((70, 66, 92), (118, 104, 136), 0, 0.7)
    for k in range(5):
        x = 0.1 + k * 0.2
        b.poly((132, 122, 156), x, 0, x + 0.02, 0, x + 0.1, 0.62, x - 0.08, 0.62)
        b.oval((250, 240, 210), x + 0.01, 0.02, 0.03, 0.02)
    for k in range(12):
        b.oval((54, 50, 70), 0.02 + k * 0.088, 0.62 + 0.01 * (k % 2), 0.036, 0.045)
    b.box((54, 50, 70), 0, 0.64, 1, 0.72)
    b.shade((196, 190, 204), (228, 224, 232), 0.72, 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Background:
    """A setting.

    Attributes:
        name: what it is called ("beach").
        phrase: where something in it is ("on a beach").
        indoors: whether a place's landmark shows as a picture on its wall.
        paint: draws it.
    """

    name: str
    phrase: str
    indoors: bool
    paint: Callable[[Board], None]


BACKGROUNDS: dict[str, tuple[Background, ...]] = {
    "street": (
        Background("street", "on a street", False, _street),
        Background("market", "at a market", False, _market),
        Background("beach", "on a beach", False, _beach),
        Background("park", "in a park", False, _park),
        Background("harbor", "at a harbor", False, _harbor),
        Background("square", "on a square", False, _square),
        Background("snow", "in the snow", False, _snow),
        Background("kitchen", "in a kitchen", True, _kitchen),
        Background("living room", "in a living room", True, _living_room),
    ),
    "fashion": (
        Background("studio", "in a studio", True, _studio),
        Background("shop", "in a shop", True, _shop),
        Background("runway", "on a runway", True, _runway),
        Background("living room", "in a living room", True, _living_room),
        Background("street", "on a street", False, _street),
    ),
}
"""Backgrounds of each domain."""


@functools.lru_cache(maxsize=256)
def paint_background(background: Background, variant: int, side: int) -> Image.Image:
    """Square picture of a background; the caller copies it before drawing on it."""
    board = Board(2 * side, random.Random(f"{background.name} {variant}"), variant)
    background.paint(board)
    return board.image.resize((side, side), Image.Resampling.BOX)
