"""What covers an object: its colour, its pattern and the texture of its material."""

from __future__ import annotations

import functools
import random

from PIL import Image, ImageDraw

from demo.world.pen import RGB, fixed_palette, paint_number

COLOUR_RGB: dict[str, RGB] = {
    "red": (212, 44, 44),
    "orange": (242, 134, 36),
    "yellow": (248, 208, 48),
    "green": (60, 160, 76),
    "blue": (44, 96, 204),
    "purple": (128, 70, 178),
    "pink": (244, 142, 184),
    "brown": (134, 86, 50),
    "black": (58, 56, 64),
    "white": (246, 244, 238),
    "gray": (146, 150, 156),
    "turquoise": (50, 196, 192),
}

_TRANSPARENT = (0, 0, 0, 0)


def _mix(a: RGB, b: RGB, share: float) -> RGB:
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _luminance(rgb: RGB) -> float:
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]


@functools.cache
def palette(colour: str) -> tuple[int, ...]:
    """Palette of 256 RGB triples for a tile of paint numbers, bodies being of this colour."""
    body = COLOUR_RGB[colour]
    edge = _mix(body, (20, 16, 28), 0.62 if _luminance(body) > 80 else 0.75)
    table = fixed_palette()
    for name, rgb in {
        "body": body,
        "dark": _mix(body, (24, 18, 40), 0.28),
        "light": _mix(body, (255, 255, 255), 0.38),
        "edge": edge,
    }.items():
        table[paint_number(name)] = rgb
    # What is not painted takes the outline's colour, so that scaling bleeds no black into it.
    return tuple(channel for i in range(256) for channel in table.get(i, edge))


@functools.cache
def pattern_overlay(pattern: str, colour: str, side: int) -> Image.Image | None:
    """RGBA square to lay over the body; None for a plain one."""
    if pattern == "plain":
        return None
    body = COLOUR_RGB[colour]
    other = (255, 252, 240) if _luminance(body) < 165 else _mix(body, (60, 40, 110), 0.72)
    overlay = Image.new("RGBA", (side, side), _TRANSPARENT)
    _PATTERNS[pattern](ImageDraw.Draw(overlay), side, (*other, 235))
    return overlay


def _striped(draw: ImageDraw.ImageDraw, side: int, ink: tuple[int, ...]) -> None:
    step = side / 9
    for k in range(10):
        draw.rectangle((k * step, 0, k * step + step * 0.45, side), fill=ink)


def _dotted(draw: ImageDraw.ImageDraw, side: int, ink: tuple[int, ...]) -> None:
    step = side / 9
    for row in range(11):
        for column in range(11):
            x, y = (column + row % 2 / 2) * step, row * step * 0.87
            draw.ellipse((x - step * 0.27, y - step * 0.27, x + step * 0.27, y + step * 0.27), ink)


def _checkered(draw: ImageDraw.ImageDraw, side: int, ink: tuple[int, ...]) -> None:
    step = side / 10
    for row in range(10):
        for column in range(row % 2, 10, 2):
            x, y = column * step, row * step
            draw.rectangle((x, y, x + step - 1, y + step - 1), fill=ink)


def _zigzag(draw: ImageDraw.ImageDraw, side: int, ink: tuple[int, ...]) -> None:
    step = side / 12
    for row in range(9):
        y = row * side / 8
        corners = [(k * step, y + (step * 0.8 if k % 2 else 0)) for k in range(14)]
        draw.line(corners, fill=ink, width=max(2, side // 34))


def _floral(draw: ImageDraw.ImageDraw, side: int, ink: tuple[int, ...]) -> None:
    step, petal = side / 5, side / 26
    for row in range(7):
        for column in range(6):
            x, y = (column + row % 2 / 2) * step, row * step * 0.84
            for dx, dy in ((0, -1.05), (1, -0.32), (0.62, 0.85), (-0.62, 0.85), (-1, -0.32)):
                px, py = x + dx * petal, y + dy * petal
                draw.ellipse(
                    (px - petal * 0.72, py - petal * 0.72, px + petal * 0.72, py + petal * 0.72),
                    ink,
                )
            draw.ellipse(
                (x - petal * 0.5, y - petal * 0.5, x + petal * 0.5, y + petal * 0.5),
                (240, 180, 40, 255),
            )


_PATTERNS = {
    "striped": _striped,
    "dotted": _dotted,
    "checkered": _checkered,
    "zigzag": _zigzag,
    "floral": _floral,
}


@functools.cache
def material_overlay(material: str, side: int) -> Image.Image | None:
    """RGBA square with the texture of a material; None for an object that names none."""
    if not material:
        return None
    overlay = Image.new("RGBA", (side, side), _TRANSPARENT)
    _MATERIALS[material](ImageDraw.Draw(overlay), side, random.Random(f"material {material}"))
    return overlay


def _wooden(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    draw.rectangle((0, 0, side, side), fill=(150, 96, 40, 70))
    for k in range(16):
        y = (k + rng.random() * 0.6) * side / 16
        bend = rng.uniform(-4, 4)
        points = [(x * side / 6, y + bend * (x % 3 - 1)) for x in range(7)]
        draw.line(points, fill=(70, 40, 14, 130), width=max(1, side // 90), joint="curve")
    for _ in range(5):
        x, y, r = rng.random() * side, rng.random() * side, side / 30
        draw.ellipse((x - r * 1.6, y - r, x + r * 1.6, y + r), outline=(70, 40, 14, 150), width=2)


def _metal(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    del rng
    draw.rectangle((0, 0, side, side), fill=(150, 160, 175, 80))
    for k in range(-1, 4):
        x, w = k * side / 3, side / 11
        draw.polygon(
            [(x, side), (x + w, side), (x + w + side / 2, 0), (x + side / 2, 0)],
            fill=(255, 255, 255, 150),
        )
        x += w * 1.5
        draw.polygon(
            [(x, side), (x + w / 3, side), (x + w / 3 + side / 2, 0), (x + side / 2, 0)],
            fill=(30, 40, 60, 90),
        )


def _glass(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    del rng
    draw.rectangle((0, 0, side, side), fill=(214, 240, 250, 96))
    for x, w in ((side * 0.28, side / 16), (side * 0.42, side / 40), (side * 0.66, side / 28)):
        draw.rounded_rectangle((x, 0, x + w, side), w / 2, fill=(255, 255, 255, 190))


def _knitted(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    del rng
    step = side / 18
    for column in range(18):
        for row in range(27):
            x, y = column * step, row * step * 0.7
            draw.line([(x, y), (x + step / 2, y + step * 0.6)], fill=(0, 0, 0, 110), width=2)
            draw.line(
                [(x + step / 2, y + step * 0.6), (x + step, y)], fill=(255, 255, 255, 100), width=2
            )


def _leather(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    for _ in range(260):
        x, y = rng.random() * side, rng.random() * side
        r = side / rng.uniform(70, 140)
        draw.arc(
            (x - r, y - r, x + 2 * r, y + r),
            rng.randrange(360),
            rng.randrange(360),
            (20, 8, 0, 110),
            2,
        )
    draw.polygon(
        [(0, side * 0.2), (side, 0), (side, side * 0.16), (0, side * 0.4)], (255, 255, 255, 76)
    )
    draw.polygon(
        [(0, side * 0.7), (side, side * 0.5), (side, side * 0.56), (0, side * 0.8)],
        (255, 255, 255, 56),
    )


def _denim(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    del rng
    for k in range(-40, 40):
        x = k * side / 40
        draw.line([(x, 0), (x + side, side)], fill=(255, 255, 255, 90), width=max(1, side // 150))
    for k in range(0, 40):
        x = k * side / 40
        draw.line([(x, 0), (x, side)], fill=(10, 14, 50, 60), width=1)


def _straw(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    del rng
    step = side / 14
    for row in range(15):
        for column in range(15):
            x, y = column * step, row * step
            if (row + column) % 2:
                draw.line([(x, y + step / 2), (x + step, y + step / 2)], (255, 240, 180, 150), 3)
            else:
                draw.line([(x + step / 2, y), (x + step / 2, y + step)], (90, 60, 10, 130), 3)


def _ceramic(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    del rng
    draw.ellipse((side * 0.2, side * 0.3, side * 0.36, side * 0.62), fill=(255, 255, 255, 180))
    draw.ellipse((side * 0.22, side * 0.68, side * 0.3, side * 0.76), fill=(255, 255, 255, 160))
    draw.rectangle((0, side * 0.84, side, side), fill=(20, 20, 60, 50))


_MATERIALS = {
    "wooden": _wooden,
    "metal": _metal,
    "glass": _glass,
    "knitted": _knitted,
    "leather": _leather,
    "denim": _denim,
    "straw": _straw,
    "ceramic": _ceramic,
}
