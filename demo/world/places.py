"""Named places, each with the silhouette of a landmark."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

import dataclasses
from collections.abc import Callable

from demo.world.pen import Pen


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A named place and the landmark that shows it.

    Attributes:
        name: its name ("San Francisco").
        landmark: draws the landmark with a pen, standing on y = 100.
    """

    name: str
    landmark: Callable[[Pen], None]


_PLACES: list[Place] = []


def _place(name: str) -> Callable[[Callable[[Pen], None]], Callable[[Pen], None]]:
    def register(landmark: Callable[[Pen], None]) -> Callable[[Pen], None]:
        _PLACES.append(Place(name, landmark))
        return landmark

    return register


@_place("Paris")
def _eiffel_tower(p: Pen) -> None:
    p.poly(
        "bark", 12, 100, 34, 62, 44, 30, 49, 0, 51, 0, 56, 30, 66, 62, 88, 100, 70, 100, 50, 76,
        30, 100
    )
    p.box("wood", 30, 60, 70, 66)
    p.box("wood", 40, 34, 60, 39)
    p.line("cream", 1.4, 42, 58, 56, 42)
    p.line("cream", 1.4, 58, 58, 44, 42)


@_place("London")
def _clock_tower(p: Pen) -> None:
    p.box("toast", 36, 28, 64, 100)
    p.poly("moss", 34, 20, 50, 0, 66, 20)
    p.box("wood", 33, 20, 67, 48)
    p.oval("white", 50, 34, 11)
    p.line("ink", 2, 50, 34, 50, 26)
    p.line("ink", 2, 50, 34, 56, 37)
    for x in (42, 50, 58):
        p.line("bark", 1.6, x, 54, x, 98)


@_place("Pisa")
def _leaning_tower(p: Pen) -> None:
    for k in range(7):
        x, y = 26 + k * 4.6, 100 - k * 14
        p.box("white", x, y - 14, x + 34 - k * 0.8, y)
        for step in range(4):
            p.box("iron", x + 4 + step * 7.4, y - 10, x + 8 + step * 7.4, y - 1, edge=0)


@_place("Rome")
def _colosseum(p: Pen) -> None:
    p.poly("toast", 2, 100, 2, 52, 30, 34, 74, 34, 98, 62, 98, 100)
    for row, y in enumerate((46, 64, 82)):
        for k in range(8):
            x = 8 + k * 11.5
            if row == 0 and not 1 < k < 6:
                continue
            p.box("bark", x, y, x + 6, y + 12, 3, edge=0)


@_place("Cairo")
def _pyramids(p: Pen) -> None:
    p.poly("gold", 44, 100, 72, 48, 100, 100)
    p.poly("toast", 72, 48, 100, 100, 82, 100)
    p.poly("gold", 0, 100, 34, 34, 68, 100)
    p.poly("toast", 34, 34, 68, 100, 46, 100)


@_place("Sydney")
def _opera_house(p: Pen) -> None:
    p.box("toast", 2, 84, 98, 100)
    for x, height in ((4, 34), (22, 54), (44, 68), (70, 40)):
        p.blob(
            "white", x, 86, x + 4, 86 - height * 0.6, x + 26, 86 - height, x + 24,
            86 - height * 0.4, x + 28, 86
        )


@_place("Tokyo")
def _gate(p: Pen) -> None:
    p.box("red", 16, 30, 26, 100)
    p.box("red", 74, 30, 84, 100)
    p.box("red", 8, 40, 92, 49)
    p.poly("ink", 0, 12, 50, 20, 100, 12, 96, 30, 4, 30)
    p.box("gold", 46, 28, 54, 41)


@_place("Venice")
def _bridge(p: Pen) -> None:
    p.box("sea", 0, 88, 100, 100, edge=0)
    p.poly("cream", 0, 92, 0, 70, 36, 40, 64, 40, 100, 70, 100, 92)
    p.pie("sea", 50, 93, 32, 34, 180, 360)
    p.box("white", 38, 22, 62, 44)
    p.poly("meat", 34, 23, 50, 10, 66, 23)
    for x in (14, 26, 70, 82):
        p.box("bark", x, 60, x + 5, 72, edge=0)


@_place("Athens")
def _temple(p: Pen) -> None:
    p.poly("white", 2, 44, 50, 18, 98, 44)
    p.box("cream", 4, 44, 96, 52)
    for k in range(6):
        p.box("white", 8 + k * 15.2, 52, 16 + k * 15.2, 92)
    p.box("cream", 0, 92, 100, 100)


@_place("Istanbul")
def _mosque(p: Pen) -> None:
    for x in (6, 88):
        p.box("white", x, 26, x + 6, 100)
        p.poly("sea", x - 1, 26, x + 3, 4, x + 7, 26)
    p.box("cream", 16, 66, 84, 100)
    p.pie("sea", 50, 66, 27, 32, 180, 360)
    p.pie("sea", 24, 72, 9, 11, 180, 360, mirror=True)
    p.line("gold", 2, 50, 34, 50, 24)


@_place("Moscow")
def _domes(p: Pen) -> None:
    for x, top, paint in ((18, 44, "leaf"), (82, 44, "sea"), (50, 18, "gold")):
        p.box("meat", x - 13, top + 22, x + 13, 100)
        p.blob(
            paint, x, top - 14, x + 4, top, x + 15, top + 10, x + 10, top + 24, x - 10, top + 24,
            x - 15, top + 10, x - 4, top
        )
        p.box("white", x - 4, top + 40, x + 4, top + 54, 2)


@_place("San Francisco")
def _suspension_bridge(p: Pen) -> None:
    p.box("sea", 0, 90, 100, 100, edge=0)
    for k in range(9):
        x = 26 + k * 6
        p.line("orange", 1.2, x, 34 + 30 * (1 - ((x - 50) / 24) ** 2), x, 76)
    p.curve("red", 2.4, 0, 70, 24, 28, 50, 66, 76, 28, 100, 70)
    p.box("red", 20, 18, 28, 94, mirror=True)
    p.box("red", 0, 75, 100, 80)


@_place("Amsterdam")
def _canal_houses(p: Pen) -> None:
    for k, (paint, top) in enumerate((("meat", 34), ("moss", 24), ("sea", 38), ("plum", 28))):
        x = 1 + k * 24.6
        p.poly(
            paint, x, 100, x, top + 14, x + 6, top + 14, x + 6, top + 6, x + 12, top - 6, x + 18,
            top + 6, x + 18, top + 14, x + 24, top + 14, x + 24, 100
        )
        for y in range(top + 22, 90, 18):
            p.box("white", x + 4, y, x + 9, y + 9, edge=0)
            p.box("white", x + 15, y, x + 20, y + 9, edge=0)


@_place("Lisbon")
def _belem_tower(p: Pen) -> None:
    p.box("sea", 0, 92, 100, 100, edge=0)
    p.box("white", 6, 66, 94, 94)
    p.box("white", 42, 20, 84, 66)
    for x in (42, 52, 62, 72):
        p.box("white", x + 1, 13, x + 8, 21)
    p.pie("toast", 43, 24, 6, 10, 180, 360)
    p.pie("toast", 83, 24, 6, 10, 180, 360)
    p.pie("toast", 10, 66, 8, 11, 180, 360)
    for x in (54, 70):
        p.box("bark", x, 34, x + 6, 46, 2, edge=0)
    p.poly("red", 62, 12, 62, 0, 80, 6)


@_place("New York")
def _skyline(p: Pen) -> None:
    for x, top, paint in (
        (0, 52, "iron"), (16, 36, "steel"), (64, 44, "iron"), (82, 58, "steel"), (36, 28, "sea")
    ):
        p.box(paint, x, top, x + 20, 100)
        for y in range(top + 6, 94, 9):
            p.line("yellow", 1.8, x + 4, y, x + 16, y)
    p.poly("sea", 40, 28, 46, 0, 52, 28)


@_place("Agra")
def _mausoleum(p: Pen) -> None:
    for x in (4, 90):
        p.box("white", x, 40, x + 6, 100)
        p.pie("white", x + 3, 40, 5, 7, 180, 360)
    p.box("white", 18, 58, 82, 100)
    p.blob("white", 50, 14, 56, 22, 68, 40, 64, 58, 36, 58, 32, 40, 44, 22)
    p.pie("white", 26, 58, 8, 11, 180, 360, mirror=True)
    p.box("sky", 40, 68, 60, 100, 10)


@_place("Beijing")
def _round_temple(p: Pen) -> None:
    p.box("white", 4, 90, 96, 100)
    for top, half, foot in ((62, 44, 90), (38, 34, 64), (14, 24, 40)):
        p.box("red", 50 - half * 0.62, top, 50 + half * 0.62, foot)
        p.poly(
            "sea", 50 - half, top + 8, 50 - half * 0.4, top - 10, 50 + half * 0.4, top - 10,
            50 + half, top + 8
        )
    p.oval("gold", 50, 3, 5)


@_place("Rio de Janeiro")
def _statue_on_peak(p: Pen) -> None:
    p.blob("moss", 0, 100, 20, 84, 38, 54, 50, 46, 62, 54, 82, 80, 100, 100)
    p.box("white", 45, 14, 55, 50)
    p.box("white", 22, 18, 78, 25)
    p.oval("white", 50, 9, 5, 6)


PLACES: tuple[Place, ...] = tuple(_PLACES)
"""Every place, in one fixed order."""
