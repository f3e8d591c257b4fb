"""Glyphs of garments."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

from demo.world.kind import Collection
from demo.world.pen import Pen

GARMENTS = Collection("fashion", "clothing", patterned=True)


@GARMENTS.kind(name="t-shirt")
def t_shirt(p: Pen) -> None:
    p.poly("body", 34, 14, 66, 14, 97, 34, 86, 52, 76, 46, 76, 92, 24, 92, 24, 46, 14, 52, 3, 34)
    p.pie("dark", 50, 14, 14, 12, 0, 180)
    p.line("edge", 1.2, 76, 30, 76, 46, mirror=True)


@GARMENTS.kind(materials="denim", name="shirt")
def shirt(p: Pen) -> None:
    p.poly(
        "body", 34, 10, 66, 10, 84, 18, 99, 80, 86, 84, 76, 46, 76, 94, 24, 94, 24, 46, 14, 84, 1,
        80, 16, 18
    )
    p.poly("light", 50, 24, 36, 6, 30, 16, 42, 30, mirror=True)
    p.line("edge", 1.6, 50, 26, 50, 93)
    for y in (36, 50, 64, 78):
        p.oval("white", 50, y, 2.4)
    p.box("dark", 58, 38, 70, 52, 1)
    p.box("light", 2, 74, 15, 84, 1, mirror=True, edge=1.2)


@GARMENTS.kind()
def blouse(p: Pen) -> None:
    p.blob(
        "body", 36, 12, 20, 18, 8, 40, 4, 62, 20, 66, 26, 50, 26, 70, 18, 92, 50, 96, 82, 92, 74,
        70, 74, 50, 80, 66, 96, 62, 92, 40, 80, 18, 64, 12, 50, 20
    )
    p.box("dark", 3, 60, 21, 68, 3, mirror=True)
    p.poly("white", 50, 22, 36, 14, 34, 28, mirror=True)
    p.poly("white", 50, 22, 44, 48, 40, 44, mirror=True)
    p.oval("white", 50, 22, 4)
    p.line("edge", 1.6, 26, 68, 50, 72, 74, 68)


@GARMENTS.kind(materials="", scale=1.15)
def dress(p: Pen) -> None:
    p.line("body", 4, 38, 16, 36, 2, mirror=True)
    p.blob(
        "body", 34, 14, 50, 20, 66, 14, 64, 34, 62, 44, 74, 66, 90, 92, 50, 98, 10, 92, 26, 66,
        38, 44, 36, 34
    )
    p.poly("dark", 37, 40, 63, 40, 63, 47, 37, 47)
    p.curve("edge", 1.6, 42, 52, 36, 74, 30, 94)
    p.curve("edge", 1.6, 58, 52, 64, 74, 70, 94)


@GARMENTS.kind(materials="leather denim")
def skirt(p: Pen) -> None:
    p.poly("body", 28, 22, 72, 22, 98, 84, 74, 92, 50, 88, 26, 92, 2, 84)
    p.box("dark", 27, 12, 73, 23, 2)
    for x, to in ((38, 26), (50, 50), (62, 74)):
        p.line("edge", 1.6, x, 26, to, 86)


@GARMENTS.kind("blue black gray white", "denim", patterned=False, plural=True, scale=1.1)
def jeans(p: Pen) -> None:
    p.poly("body", 22, 4, 78, 4, 86, 96, 60, 96, 51, 40, 49, 40, 40, 96, 14, 96)
    p.line("gold", 1.4, 24, 14, 36, 20, 36, 26, mirror=True)
    p.line("gold", 1.4, 50, 14, 50, 36, 46, 38)
    p.box("dark", 22, 2, 78, 11, 1)
    p.oval("gold", 50, 6.5, 2.6)
    p.box("light", 15, 88, 39, 96, mirror=True, edge=1.2)
    p.line("gold", 1, 21, 30, 17, 86, mirror=True)


@GARMENTS.kind(plural=True, scale=1.1)
def trousers(p: Pen) -> None:
    p.poly("body", 30, 4, 70, 4, 76, 36, 70, 96, 54, 96, 50, 34, 46, 96, 30, 96, 24, 36)
    p.line("edge", 1.8, 36, 16, 38, 94, mirror=True)
    p.box("dark", 30, 2, 70, 9)
    p.line("dark", 2, 27, 24, 34, 14, mirror=True)


@GARMENTS.kind(materials="denim", plural=True, scale=0.9)
def shorts(p: Pen) -> None:
    p.poly("body", 16, 22, 84, 22, 97, 82, 56, 86, 50, 52, 44, 86, 3, 82)
    p.box("light", 15, 14, 85, 25, 2)
    p.curve("white", 2, 46, 22, 42, 34, 40, 44)
    p.curve("white", 2, 54, 22, 56, 34, 60, 42)
    p.line("edge", 1.8, 5, 74, 44, 78, mirror=True)


@GARMENTS.kind(materials="leather denim", patterned=False)
def jacket(p: Pen) -> None:
    p.poly(
        "body", 32, 10, 68, 10, 86, 20, 97, 78, 84, 84, 75, 48, 75, 84, 25, 84, 25, 48, 16, 84, 3,
        78, 14, 20
    )
    p.poly("dark", 50, 40, 32, 8, 22, 18, 38, 36, mirror=True)
    p.box("dark", 25, 78, 75, 88, 2)
    p.line("steel", 2.4, 50, 38, 50, 86)
    p.line("steel", 1.8, 30, 56, 42, 62, mirror=True)
    p.oval("steel", 50, 44, 2.4)


@GARMENTS.kind(materials="", scale=1.2)
def coat(p: Pen) -> None:
    p.poly(
        "body", 34, 6, 66, 6, 82, 14, 92, 66, 80, 70, 76, 44, 82, 97, 18, 97, 24, 44, 20, 70, 8,
        66, 18, 14
    )
    p.poly("dark", 50, 36, 34, 4, 24, 12, 32, 30, mirror=True)
    p.box("dark", 25, 48, 75, 55, 1)
    p.box("gold", 45, 47, 55, 56, 1)
    p.line("edge", 1.6, 54, 56, 54, 96)
    for y in (40, 64, 76):
        p.oval("ink", 42, y, 2.4)
        p.oval("ink", 60, y, 2.4)


@GARMENTS.kind(materials="knitted")
def sweater(p: Pen) -> None:
    p.blob(
        "body", 36, 16, 20, 20, 8, 46, 2, 82, 16, 88, 26, 54, 24, 88, 50, 90, 76, 88, 74, 54, 84,
        88, 98, 82, 92, 46, 80, 20, 64, 16
    )
    p.box("dark", 36, 6, 64, 20, 5)
    p.box("dark", 24, 84, 76, 95, 2)
    p.box("dark", 1, 80, 18, 91, 2, mirror=True)
    for x in (32, 40, 48, 56, 64):
        p.line("edge", 1.2, x, 86, x, 94)
    p.line("light", 3, 26, 40, 33, 48, 42, 40, 50, 48, 58, 40, 67, 48, 74, 40)


@GARMENTS.kind(materials="knitted")
def cardigan(p: Pen) -> None:
    p.blob(
        "body", 34, 10, 18, 18, 8, 46, 4, 80, 16, 84, 26, 52, 24, 92, 36, 94, 46, 92, 48, 56, 36,
        30, mirror=True
    )
    p.line("light", 4.5, 36, 12, 47, 54, 46, 92, mirror=True)
    for y in (60, 72, 84):
        p.oval("wood", 47, y, 2.6)
    p.box("dark", 28, 66, 42, 80, 1, mirror=True)


@GARMENTS.kind()
def hoodie(p: Pen) -> None:
    p.poly(
        "body", 30, 26, 70, 26, 86, 34, 98, 86, 86, 92, 76, 58, 76, 95, 24, 95, 24, 58, 14, 92, 2,
        86, 14, 34
    )
    p.blob("dark", 50, 2, 72, 12, 74, 30, 50, 42, 26, 30, 28, 12)
    p.blob("ink", 50, 10, 64, 18, 62, 30, 50, 36, 38, 30, 36, 18)
    p.line("white", 2.2, 43, 36, 42, 56, mirror=True)
    p.poly("light", 34, 66, 66, 66, 74, 86, 26, 86)


@GARMENTS.kind(materials="knitted denim leather", scale=0.9)
def vest(p: Pen) -> None:
    p.poly(
        "body", 26, 8, 40, 4, 50, 44, 60, 4, 74, 8, 72, 30, 82, 44, 82, 84, 60, 88, 50, 98, 40,
        88, 18, 84, 18, 44, 28, 30
    )
    p.line("edge", 1.8, 50, 46, 50, 96)
    p.line("light", 3, 40, 6, 50, 42, 60, 6)
    for y in (54, 66, 78):
        p.oval("gold", 46, y, 2.6)
    p.line("edge", 2, 24, 62, 40, 60, mirror=True)


@GARMENTS.kind("black gray blue brown white", scale=1.2)
def suit(p: Pen) -> None:
    p.poly("dark", 36, 60, 64, 60, 68, 98, 54, 98, 50, 74, 46, 98, 32, 98)
    p.poly(
        "body", 34, 6, 66, 6, 80, 12, 90, 58, 78, 62, 74, 38, 76, 70, 24, 70, 26, 38, 22, 62, 10,
        58, 20, 12
    )
    p.poly("white", 36, 4, 64, 4, 50, 44)
    p.poly("red", 46, 8, 54, 8, 52, 14, 55, 32, 50, 40, 45, 32, 48, 14)
    p.poly("dark", 36, 4, 28, 12, 30, 24, 50, 46, mirror=True)
    p.oval("ink", 48, 54, 2)
    p.oval("ink", 48, 62, 2)


@GARMENTS.kind(patterned=True, scale=0.75)
def swimsuit(p: Pen) -> None:
    p.line("body", 4, 34, 24, 38, 2, mirror=True)
    p.blob(
        "body", 28, 20, 50, 32, 72, 20, 68, 44, 76, 70, 60, 80, 54, 96, 46, 96, 40, 80, 24, 70,
        32, 44
    )
    p.poly("light", 50, 50, 38, 44, 38, 56, mirror=True)
    p.oval("light", 50, 50, 3.4)


@GARMENTS.kind(materials="denim leather", patterned=False, plural=True, scale=1.15)
def overalls(p: Pen) -> None:
    p.line("dark", 5, 36, 30, 28, 2, mirror=True)
    p.poly(
        "body", 34, 24, 66, 24, 70, 48, 80, 52, 84, 97, 58, 97, 51, 68, 49, 68, 42, 97, 16, 97,
        20, 52, 30, 48
    )
    p.box("light", 40, 30, 60, 44, 1)
    p.oval("gold", 38, 28, 3.4, mirror=True)
    p.line("gold", 1.4, 24, 56, 76, 56)
    p.box("dark", 17, 88, 42, 97, mirror=True, edge=1.2)


@GARMENTS.kind(scale=1.2)
def kimono(p: Pen) -> None:
    p.poly(
        "body", 38, 4, 62, 4, 99, 16, 99, 60, 76, 58, 76, 36, 80, 97, 20, 97, 24, 36, 24, 58, 1,
        60, 1, 16
    )
    p.line("light", 4, 60, 4, 36, 50)
    p.line("light", 4, 40, 4, 52, 34)
    p.box("dark", 24, 46, 76, 64, 1)
    p.box("gold", 24, 52, 76, 57, edge=0)
    p.line("edge", 1.8, 40, 66, 44, 96)


@GARMENTS.kind(materials="knitted", scale=1.0)
def poncho(p: Pen) -> None:
    p.poly("body", 50, 6, 98, 62, 50, 94, 2, 62)
    p.line("light", 4, 12, 60, 50, 82, 88, 60)
    p.line("dark", 4, 22, 50, 50, 68, 78, 50)
    p.blob("ink", 38, 16, 50, 10, 62, 16, 50, 26)
    for k in range(13):
        x = 4 + k * 7.7
        y = 63 + (x - 2) * 0.66 if x < 50 else 94 - (x - 50) * 0.66
        p.line("cream", 1.8, x, y, x, y + 5)


@GARMENTS.kind(materials="leather denim", scale=0.95)
def apron(p: Pen) -> None:
    p.arc("dark", 3, 50, 14, 16, 12, 180, 360)
    p.line("dark", 3, 24, 48, 2, 54, mirror=True)
    p.blob("body", 34, 14, 66, 14, 67, 34, 80, 48, 82, 92, 50, 97, 18, 92, 20, 48, 33, 34)
    p.box("light", 34, 58, 66, 78, 2)
    p.line("edge", 1.6, 50, 58, 50, 78)


@GARMENTS.kind(plural=True, scale=1.1)
def pajamas(p: Pen) -> None:
    p.poly("body", 34, 56, 66, 56, 72, 98, 54, 98, 50, 72, 46, 98, 28, 98)
    p.poly(
        "body", 36, 4, 64, 4, 78, 10, 92, 46, 80, 52, 73, 34, 74, 60, 26, 60, 27, 34, 20, 52, 8,
        46, 22, 10
    )
    p.poly("light", 50, 22, 36, 3, 30, 10, 36, 20, mirror=True)
    for y in (28, 38, 48):
        p.oval("yellow", 50, y, 2.4)
    p.box("light", 8, 42, 21, 52, 1, mirror=True, edge=1.2)
    p.box("light", 28, 92, 46, 98, mirror=True, edge=1.2)
