"""Glyphs of food and drink."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

import math

from demo.world.kind import Collection
from demo.world.pen import Pen

FOOD = Collection("street", "food", "red yellow green")


@FOOD.kind(scale=0.65)
def apple(p: Pen) -> None:
    p.blob("body", 50, 30, 70, 22, 90, 38, 86, 68, 66, 93, 50, 89, 34, 93, 14, 68, 10, 38, 30, 22)
    p.curve("bark", 4, 50, 32, 50, 18, 56, 8)
    p.blob("leaf", 54, 18, 66, 6, 82, 8, 72, 20)
    p.blob("light", 24, 40, 32, 34, 32, 50, 26, 58, edge=0)


@FOOD.kind("yellow green", scale=0.75)
def banana(p: Pen) -> None:
    p.blob("body", 16, 14, 24, 14, 30, 46, 54, 68, 88, 66, 94, 74, 78, 90, 46, 88, 20, 62, 14, 34)
    p.curve("dark", 2.4, 20, 22, 26, 54, 50, 76, 86, 76)
    p.box("bark", 15, 6, 23, 16, 2)
    p.oval("bark", 93, 72, 3, 5, turn=-30)


@FOOD.kind("orange yellow green", scale=0.62)
def tangerine(p: Pen) -> None:
    p.oval("body", 50, 54, 40)
    for i in range(16):
        angle = i * 2.4
        radius = 8 + 1.6 * i
        p.oval("dark", 50 + radius * math.cos(angle), 56 + radius * math.sin(angle), 1.4, edge=0)
    p.star("moss", 50, 18, 3, 8, 5)
    p.blob("leaf", 54, 14, 70, 2, 86, 8, 70, 18)


@FOOD.kind("red pink", scale=0.62)
def strawberry(p: Pen) -> None:
    p.blob("body", 50, 24, 78, 22, 88, 42, 72, 76, 50, 96, 28, 76, 12, 42, 22, 22)
    for x, y in ((32, 40), (50, 44), (68, 40), (40, 58), (60, 58), (50, 74), (24, 50), (76, 50)):
        p.oval("yellow", x, y, 1.8, 3, edge=0)
    p.poly(
        "leaf", 50, 4, 56, 18, 74, 10, 70, 24, 86, 28, 62, 32, 50, 40, 38, 32, 14, 28, 30, 24, 26,
        10, 44, 18
    )


@FOOD.kind("purple green red", name="grapes", plural=True, scale=0.75)
def grapes(p: Pen) -> None:
    p.line("bark", 4, 50, 28, 52, 8)
    p.blob("leaf", 54, 20, 66, 4, 86, 8, 84, 24, 68, 28)
    for y, xs in (
        (34, (26, 42, 58, 74)), (48, (34, 50, 66)), (62, (42, 58)), (60, (30, 70)),
        (76, (50, 36, 62)), (90, (50,))
    ):
        for x in xs:
            p.oval("body", x, y, 9.5)
            p.oval("light", x - 3, y - 3, 2.4, edge=0)


@FOOD.kind("green", scale=0.85)
def watermelon(p: Pen) -> None:
    p.pie("body", 50, 34, 47, 54, 0, 180)
    p.pie("white", 50, 34, 41, 47, 0, 180, edge=0)
    p.pie("red", 50, 34, 37, 43, 0, 180, edge=0)
    for x, y in (
        (26, 44), (42, 44), (58, 44), (74, 44), (34, 56), (50, 58), (66, 56), (44, 68), (57, 68)
    ):
        p.oval("ink", x, y, 2, 3.2, edge=0)


@FOOD.kind("yellow orange brown", scale=0.85)
def pineapple(p: Pen) -> None:
    for dx, top in ((-22, 14), (22, 14), (-12, 5), (12, 5), (0, 0)):
        p.poly("leaf", 44, 40, 50 + dx, top, 56, 40)
    p.oval("body", 50, 66, 26, 31)
    for k in range(-4, 5):
        for slant in (-1, 1):
            # Ends of each chord of slope 1 are where it leaves the ellipse, a little inside.
            offset = k * 8.5
            a, b = 1 / 24**2 + 1 / 29**2, -slant * offset / 29**2
            root = math.sqrt(max(0.0, b * b - a * (offset**2 / 29**2 - 1)))
            x0, x1 = (b - root) / a, (b + root) / a
            p.line(
                "dark", 1.5, 50 + x0, 66 + slant * x0 + offset, 50 + x1, 66 + slant * x1 + offset
            )


@FOOD.kind("green yellow brown", scale=0.65)
def pear(p: Pen) -> None:
    p.curve("bark", 4, 52, 16, 52, 8, 60, 2)
    p.blob("body", 52, 12, 64, 22, 66, 42, 82, 64, 76, 88, 50, 95, 24, 88, 18, 64, 34, 42, 40, 20)
    p.blob("light", 30, 62, 38, 56, 36, 74, 30, 78, edge=0)
    p.blob("leaf", 50, 10, 34, 0, 22, 8, 34, 16)


@FOOD.kind("red pink purple", name="cherries", plural=True, scale=0.6)
def cherries(p: Pen) -> None:
    p.curve("moss", 3, 28, 62, 40, 36, 62, 8)
    p.curve("moss", 3, 72, 66, 70, 36, 62, 8)
    p.blob("leaf", 62, 10, 74, 0, 96, 10, 82, 22)
    p.oval("body", 28, 74, 20)
    p.oval("body", 72, 78, 20)
    p.oval("white", 21, 68, 5, 4, edge=0)
    p.oval("white", 65, 72, 5, 4, edge=0)


@FOOD.kind("yellow green", scale=0.6)
def lemon(p: Pen) -> None:
    p.blob(
        "body", 2, 56, 16, 46, 30, 28, 60, 24, 82, 42, 97, 50, 96, 60, 84, 66, 66, 84, 34, 84, 14,
        68
    )
    p.oval("cream", 68, 62, 22)
    p.oval("body", 68, 62, 18, edge=0)
    for i in range(8):
        angle = math.pi * i / 4
        p.line("cream", 1.6, 68, 62, 68 + 18 * math.cos(angle), 62 + 18 * math.sin(angle))


@FOOD.kind("orange purple", scale=0.75)
def carrot(p: Pen) -> None:
    for x, y in ((62, 2), (78, 4), (92, 12), (97, 28)):
        p.curve("leaf", 5, 74, 26, (74 + x) / 2 + 2, (26 + y) / 2 - 2, x, y)
    p.blob("body", 62, 22, 78, 24, 80, 40, 56, 66, 4, 97, 32, 48)
    for x, y in ((58, 34), (66, 50), (44, 48), (46, 66), (28, 68)):
        p.line("dark", 1.8, x, y, x + 8, y + 5)


@FOOD.kind("red orange green", scale=0.6)
def tomato(p: Pen) -> None:
    p.blob("body", 50, 28, 78, 24, 95, 50, 84, 82, 50, 92, 16, 82, 5, 50, 22, 24)
    p.curve("dark", 1.6, 50, 34, 66, 44, 72, 62)
    p.curve("dark", 1.6, 50, 34, 34, 44, 28, 62)
    p.star("moss", 50, 30, 6, 22, 6)
    p.line("moss", 4, 50, 28, 52, 16)


@FOOD.kind("orange white green", scale=0.85)
def pumpkin(p: Pen) -> None:
    p.blob("moss", 44, 30, 46, 14, 58, 8, 62, 14, 55, 20, 57, 30)
    p.oval("dark", 16, 62, 15, 26)
    p.oval("dark", 84, 62, 15, 26)
    p.oval("body", 30, 61, 18, 31)
    p.oval("body", 70, 61, 18, 31)
    p.oval("light", 50, 61, 16, 34)


@FOOD.kind("red brown white orange", scale=0.7)
def mushroom(p: Pen) -> None:
    p.blob("cream", 38, 50, 62, 50, 64, 78, 68, 94, 32, 94, 36, 78)
    p.pie("body", 50, 54, 46, 46, 180, 360)
    p.poly("cream", 12, 54, 88, 54, 66, 62, 34, 62)
    for x, y, r in ((34, 30, 7), (58, 22, 6), (70, 42, 7), (20, 46, 5), (48, 44, 5)):
        p.oval("white", x, y, r, r * 0.8, edge=0)


@FOOD.kind("brown", scale=0.8)
def bread(p: Pen) -> None:
    p.blob("body", 6, 50, 12, 34, 36, 26, 66, 26, 90, 36, 96, 52, 88, 64, 90, 84, 12, 84, 12, 64)
    for x in (28, 46, 64):
        p.curve("cream", 4, x, 34, x + 6, 42, x + 4, 54)
    p.line("dark", 1.6, 14, 78, 88, 78)


@FOOD.kind("brown yellow", scale=0.75)
def croissant(p: Pen) -> None:
    p.blob(
        "body", 4, 78, 6, 48, 26, 26, 50, 20, 74, 26, 94, 48, 96, 78, 84, 80, 74, 60, 50, 54, 26,
        60, 16, 80
    )
    p.curve("dark", 2, 30, 26, 24, 44, 30, 60)
    p.curve("dark", 2, 44, 20, 40, 38, 44, 56)
    p.curve("dark", 2, 58, 20, 62, 38, 58, 56)
    p.curve("dark", 2, 72, 26, 78, 44, 72, 60)
    p.line("dark", 2, 6, 60, 18, 66)
    p.line("dark", 2, 94, 60, 82, 66)


@FOOD.kind("yellow red", scale=0.85)
def pizza(p: Pen) -> None:
    p.poly("body", 8, 24, 92, 24, 50, 97)
    p.blob("toast", 2, 20, 20, 8, 50, 4, 80, 8, 98, 20, 92, 30, 50, 20, 8, 30)
    p.curve("body", 6, 38, 74, 38, 84)
    for x, y in ((32, 38), (62, 34), (50, 56), (50, 78)):
        p.oval("meat", x, y, 8)
    for x, y in ((46, 32), (74, 42), (38, 54), (58, 66)):
        p.oval("moss", x, y, 3, 2, edge=0)


@FOOD.kind("brown", scale=0.75)
def hamburger(p: Pen) -> None:
    p.pie("body", 50, 44, 44, 38, 180, 360)
    for x, y in ((30, 24), (46, 16), (62, 20), (72, 32), (40, 32), (56, 30)):
        p.oval("cream", x, y, 2.6, 1.8, edge=0)
    p.blob("leaf", 4, 50, 20, 44, 50, 46, 80, 44, 96, 50, 84, 58, 68, 52, 50, 60, 32, 52, 16, 58)
    p.box("choc", 6, 56, 94, 70, 7)
    p.poly("yellow", 14, 56, 86, 56, 64, 68, 48, 57)
    p.box("body", 8, 70, 92, 88, 9)


@FOOD.kind("brown", name="hot dog", scale=0.8)
def hot_dog(p: Pen) -> None:
    p.box("body", 4, 32, 96, 54, 11)
    p.box("meat", 0, 42, 100, 62, 10)
    p.box("body", 4, 56, 96, 78, 11)
    p.curve("yellow", 4, 10, 52, 22, 46, 34, 56, 46, 46, 58, 56, 70, 46, 82, 56, 92, 50)


@FOOD.kind("pink white brown green yellow", name="ice cream", scale=0.75)
def ice_cream(p: Pen) -> None:
    p.poly("toast", 26, 48, 74, 48, 50, 98)
    for k in range(4):
        p.line("bark", 1.2, 32 + k * 11, 49, 50 + (k - 1) * 5, 76 + (3 - k) * 3)
        p.line("bark", 1.2, 68 - k * 11, 49, 50 - (k - 1) * 5, 76 + (3 - k) * 3)
    p.oval("body", 36, 40, 17)
    p.oval("body", 64, 40, 17)
    p.oval("light", 50, 22, 18)
    p.oval("red", 50, 5, 5)


@FOOD.kind("pink white brown yellow", scale=0.85)
def cake(p: Pen) -> None:
    p.box("toast", 10, 52, 90, 90, 3)
    p.box("cream", 10, 68, 90, 74, edge=0)
    p.blob(
        "body", 8, 50, 12, 42, 50, 40, 88, 42, 92, 50, 88, 66, 80, 58, 72, 70, 60, 58, 48, 68, 38,
        58, 26, 70, 18, 60, 10, 64
    )
    for x in (28, 50, 72):
        p.box("sky", x - 2.5, 22, x + 2.5, 44)
        p.blob("orange", x, 8, x + 4, 16, x, 22, x - 4, 16)
    p.box("steel", 2, 90, 98, 95, 2)


@FOOD.kind("pink brown white", scale=0.7)
def donut(p: Pen) -> None:
    p.oval("toast", 50, 54, 45, 41)
    p.blob(
        "body", 50, 15, 76, 20, 92, 42, 86, 66, 74, 72, 62, 84, 50, 78, 36, 86, 26, 74, 12, 66, 8,
        42, 24, 20
    )
    p.oval("toast", 50, 51, 16, 14)
    p.oval("cream", 50, 53, 11, 10)
    colours = ("yellow", "sky", "red", "lime", "white")
    for i in range(13):
        angle = i * 0.49 * math.pi
        x, y = 50 + (21 + 5 * (i % 3)) * math.cos(angle), 50 + (20 + 4 * (i % 3)) * math.sin(angle)
        p.line(colours[i % 5], 2.6, x, y, x + 3 * math.cos(i), y + 3 * math.sin(i))


@FOOD.kind("pink white brown yellow purple", scale=0.65)
def cupcake(p: Pen) -> None:
    p.poly("sea", 20, 56, 80, 56, 70, 95, 30, 95)
    for x in (32, 44, 56, 68):
        p.line("sky", 2.4, x, 58, 50 + (x - 50) * 0.7, 94)
    p.oval("body", 50, 52, 40, 12)
    p.oval("body", 50, 38, 30, 12)
    p.oval("body", 50, 25, 20, 11)
    p.oval("red", 50, 12, 6)
    p.line("moss", 1.6, 50, 8, 56, 1)


@FOOD.kind("yellow orange white", scale=0.7)
def cheese(p: Pen) -> None:
    p.poly("light", 6, 52, 60, 22, 94, 46)
    p.poly("body", 6, 52, 94, 46, 94, 80, 6, 84)
    for x, y, r in ((26, 66, 7), (52, 60, 5), (72, 70, 8), (44, 78, 4), (86, 56, 4)):
        p.oval("dark", x, y, r)


@FOOD.kind("brown yellow", scale=0.7)
def pretzel(p: Pen) -> None:
    p.curve("body", 9, 66, 84, 36, 54, 14, 52, 8, 30, 26, 14, 46, 28, 50, 44)
    p.curve("body", 9, 34, 84, 64, 54, 86, 52, 92, 30, 74, 14, 54, 28, 50, 44)
    for x, y in (
        (14, 24), (30, 17), (86, 24), (70, 17), (44, 62), (56, 62), (36, 78), (64, 78), (12, 44),
        (88, 44)
    ):
        p.box("white", x - 1.4, y - 1.4, x + 1.4, y + 1.4, edge=0)


@FOOD.kind("yellow", scale=0.75)
def corn(p: Pen) -> None:
    p.blob("body", 50, 2, 66, 22, 68, 60, 50, 90, 32, 60, 34, 22)
    for y in range(12, 70, 8):
        p.line("dark", 1, 36, y, 64, y)
    for x in (42, 50, 58):
        p.line("dark", 1, x, 8, x, 74)
    p.blob("leaf", 48, 97, 24, 84, 12, 40, 34, 58, 44, 78)
    p.blob("moss", 52, 97, 76, 84, 88, 40, 66, 58, 56, 78)


@FOOD.kind("purple white", scale=0.75)
def eggplant(p: Pen) -> None:
    p.blob("body", 66, 24, 82, 38, 78, 66, 52, 92, 22, 92, 8, 74, 18, 54, 40, 44, 54, 26)
    p.blob("light", 22, 66, 38, 54, 46, 54, 30, 70, edge=0)
    p.star("leaf", 70, 26, 9, 19, 6)
    p.line("moss", 6, 74, 22, 88, 6)


@FOOD.kind("green brown", scale=0.65)
def avocado(p: Pen) -> None:
    p.blob("body", 50, 4, 66, 18, 74, 44, 86, 66, 74, 90, 50, 97, 26, 90, 14, 66, 26, 44, 34, 18)
    p.blob("lime", 50, 12, 60, 24, 66, 48, 77, 66, 68, 84, 50, 90, 32, 84, 23, 66, 34, 48, 40, 24)
    p.oval("bark", 50, 68, 16)
    p.oval("toast", 45, 62, 5, 4, edge=0)


@FOOD.kind("white red green blue yellow black", patterned=True, materials="ceramic", scale=0.65)
def mug(p: Pen) -> None:
    p.arc("body", 7, 74, 60, 17, 17, -80, 80)
    p.box("body", 14, 30, 72, 94, 7)
    p.oval("dark", 43, 31, 29, 8)
    p.oval("choc", 43, 32, 25, 6)
    p.curve("white", 3, 34, 22, 30, 14, 36, 4)
    p.curve("white", 3, 52, 22, 48, 14, 54, 4)


@FOOD.kind("green brown red blue white", materials="glass", scale=0.8)
def bottle(p: Pen) -> None:
    p.blob("body", 43, 16, 57, 16, 58, 34, 70, 48, 70, 92, 50, 96, 30, 92, 30, 48, 42, 34)
    p.box("choc", 42, 4, 58, 17, 2)
    p.box("cream", 31, 58, 69, 80)
    p.star("red", 50, 69, 3.5, 8, 5, edge=0)
    p.line("white", 2, 36, 52, 36, 56)


@FOOD.kind("white blue red green yellow", patterned=True, materials="ceramic metal", scale=0.8)
def teapot(p: Pen) -> None:
    p.arc("body", 6, 82, 56, 14, 18, -90, 90)
    p.blob("body", 26, 70, 12, 56, 2, 36, 10, 34, 22, 46, 32, 50)
    p.oval("body", 52, 60, 32, 29)
    p.pie("light", 52, 36, 20, 10, 180, 360)
    p.oval("dark", 52, 24, 5)
    p.box("dark", 36, 86, 68, 92, 2)


@FOOD.kind("red yellow green orange", scale=0.6)
def pepper(p: Pen) -> None:
    p.blob(
        "body", 50, 30, 66, 24, 84, 30, 86, 56, 72, 92, 60, 90, 50, 94, 40, 90, 28, 92, 14, 56,
        16, 30, 34, 24
    )
    p.curve("dark", 2, 40, 36, 36, 60, 40, 86)
    p.curve("dark", 2, 60, 36, 64, 60, 60, 86)
    p.oval("moss", 50, 28, 18, 6)
    p.curve("moss", 6, 50, 26, 50, 14, 58, 6)


@FOOD.kind("white", scale=0.7)
def egg(p: Pen) -> None:
    p.blob("body", 8, 58, 22, 34, 40, 24, 62, 30, 80, 24, 95, 50, 84, 76, 60, 82, 42, 92, 18, 82)
    p.oval("orange", 52, 54, 19, 18)
    p.oval("yellow", 52, 53, 16, 15, edge=0)
    p.oval("white", 46, 47, 5, 4, edge=0)
