"""Invented brands, each with a logo."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from demo.world.pen import Pen


@dataclasses.dataclass(frozen=True, slots=True)
class Brand:
    """A brand and its logo.

    Attributes:
        name: its name ("Norvik").
        logo: draws the logo with a pen.
    """

    name: str
    logo: Callable[[Pen], None]


_BRANDS: list[Brand] = []


def _brand(name: str) -> Callable[[Callable[[Pen], None]], Callable[[Pen], None]]:
    def register(logo: Callable[[Pen], None]) -> Callable[[Pen], None]:
        _BRANDS.append(Brand(name, logo))
        return logo

    return register


@_brand("Norvik")
def _peaks(p: Pen) -> None:
    p.poly("sea", 4, 84, 34, 18, 50, 52, 66, 30, 96, 84, edge=0)
    p.poly("white", 34, 18, 26, 36, 42, 36, edge=0)


@_brand("Calenta")
def _sun(p: Pen) -> None:
    p.star("orange", 50, 50, 30, 46, 12, edge=0)
    p.oval("yellow", 50, 50, 22, edge=0)


@_brand("Ostara")
def _leaves(p: Pen) -> None:
    p.blob("leaf", 50, 90, 12, 66, 14, 16, 46, 44, edge=0)
    p.blob("moss", 50, 90, 88, 66, 86, 16, 54, 44, edge=0)


@_brand("Brimley")
def _diamond(p: Pen) -> None:
    p.poly("red", 50, 4, 96, 50, 50, 96, 4, 50, edge=0)
    p.box("white", 36, 34, 64, 44, edge=0)
    p.box("white", 36, 56, 64, 66, edge=0)


@_brand("Zephyra")
def _waves(p: Pen) -> None:
    for y, paint in ((26, "sky"), (50, "sea"), (74, "sky")):
        p.curve(paint, 13, 8, y, 28, y - 10, 50, y, 72, y + 10, 92, y)


@_brand("Tavano")
def _letter(p: Pen) -> None:
    p.oval("ink", 50, 50, 46, edge=0)
    p.box("yellow", 24, 24, 76, 38, edge=0)
    p.box("yellow", 43, 24, 57, 80, edge=0)


@_brand("Lumora")
def _crescent(p: Pen) -> None:
    p.oval("plum", 46, 50, 42, edge=0)
    p.oval("white", 64, 42, 34, edge=0)
    p.star("gold", 72, 40, 7, 17, 5, edge=0)


@_brand("Hexel")
def _hexagon(p: Pen) -> None:
    p.poly("iron", 50, 4, 90, 27, 90, 73, 50, 96, 10, 73, 10, 27, edge=0)
    p.poly("lime", 50, 28, 70, 39, 70, 61, 50, 72, 30, 61, 30, 39, edge=0)


@_brand("Marlow")
def _anchor(p: Pen) -> None:
    p.arc("sea", 9, 50, 52, 36, 38, 10, 170)
    p.line("sea", 10, 50, 26, 50, 90)
    p.line("sea", 9, 32, 38, 68, 38)
    p.arc("red", 8, 50, 16, 10, 10, 0, 360)


@_brand("Solvane")
def _rings(p: Pen) -> None:
    p.arc("gold", 10, 34, 50, 24, 26, 0, 360)
    p.arc("ink", 10, 66, 50, 24, 26, 0, 360)


@_brand("Quilla")
def _feather(p: Pen) -> None:
    p.blob("rose", 20, 80, 26, 36, 60, 8, 92, 6, 82, 44, 54, 72, edge=0)
    p.line("red", 6, 8, 94, 82, 16)


@_brand("Pomello")
def _slice(p: Pen) -> None:
    p.pie("red", 50, 34, 46, 52, 0, 180, edge=0)
    p.pie("rose", 50, 34, 34, 38, 0, 180, edge=0)
    p.blob("leaf", 50, 28, 60, 6, 86, 4, 74, 24, edge=0)


BRANDS: tuple[Brand, ...] = tuple(_BRANDS)
"""Every brand, in one fixed order."""
