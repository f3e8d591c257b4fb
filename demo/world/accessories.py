"""Glyphs of shoes, bags and accessories."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

from demo.world.kind import Collection
from demo.world.pen import Pen

FOOTWEAR = Collection("fashion", "footwear")
BAGS = Collection("fashion", "bag", patterned=True)
ACCESSORIES = Collection("fashion", "accessory")


@FOOTWEAR.kind("", "leather", plural=True, scale=0.9)
def boots(p: Pen) -> None:
    for dx in (0, 42):
        p.box("ink", 6 + dx, 88, 54 + dx, 96, 2)
        p.blob(
            "body", 10 + dx, 12, 32 + dx, 12, 32 + dx, 56, 52 + dx, 74, 54 + dx, 89, 30 + dx, 90,
            8 + dx, 89
        )
        p.box("dark", 9 + dx, 8, 33 + dx, 20, 3)
        for y in (34, 44, 54):
            p.line("cream", 1.8, 22 + dx, y, 31 + dx, y + 2)


@FOOTWEAR.kind("", "leather", patterned=True, plural=True, scale=0.85)
def sneakers(p: Pen) -> None:
    for dx, dy in ((18, -34), (0, 0)):
        p.blob(
            "body", 6 + dx, 58 + dy, 22 + dx, 62 + dy, 36 + dx, 54 + dy, 56 + dx, 74 + dy,
            78 + dx, 78 + dy, 80 + dx, 90 + dy, 6 + dx, 90 + dy
        )
        p.box("white", 2 + dx, 87 + dy, 83 + dx, 96 + dy, 4)
        p.pie("white", 72 + dx, 88 + dy, 11, 9, 180, 360)
        for k in range(3):
            p.line("white", 2.4, 36 + k * 8 + dx, 62 + k * 6 + dy, 44 + k * 8 + dx, 58 + k * 6 + dy)
        p.curve("light", 3, 14 + dx, 84 + dy, 26 + dx, 72 + dy, 40 + dx, 82 + dy)


@FOOTWEAR.kind("", "leather", plural=True, scale=0.8)
def sandals(p: Pen) -> None:
    for dx in (0, 48):
        p.blob(
            "toast", 14 + dx, 8, 34 + dx, 6, 46 + dx, 26, 38 + dx, 58, 40 + dx, 88, 26 + dx, 96,
            12 + dx, 88, 12 + dx, 56, 6 + dx, 28
        )
        p.line("body", 6, 8 + dx, 34, 25 + dx, 24, 43 + dx, 34)
        p.line("body", 6, 10 + dx, 44, 42 + dx, 44)
        p.line("body", 5, 12 + dx, 72, 39 + dx, 72)
        p.oval("gold", 36 + dx, 72, 3)


@FOOTWEAR.kind("", "leather", plural=True, name="high heels", scale=0.8)
def high_heels(p: Pen) -> None:
    for dx, dy in ((20, -24), (0, 0)):
        p.poly("dark", 6 + dx, 58 + dy, 14 + dx, 62 + dy, 11 + dx, 97 + dy, 7 + dx, 97 + dy)
        p.blob(
            "body", 4 + dx, 44 + dy, 12 + dx, 46 + dy, 34 + dx, 72 + dy, 58 + dx, 82 + dy,
            78 + dx, 90 + dy, 74 + dx, 97 + dy, 50 + dx, 96 + dy, 28 + dx, 82 + dy, 6 + dx,
            62 + dy
        )
        p.blob(
            "ink", 15 + dx, 52 + dy, 34 + dx, 74 + dy, 54 + dx, 83 + dy, 44 + dx, 84 + dy,
            24 + dx, 72 + dy, edge=0
        )


@FOOTWEAR.kind("", "knitted", patterned=True, plural=True, scale=0.75)
def slippers(p: Pen) -> None:
    for dx, dy in ((14, -30), (0, 4)):
        p.box("cream", 2 + dx, 80 + dy, 84 + dx, 90 + dy, 5)
        p.blob(
            "body", 34 + dx, 82 + dy, 40 + dx, 58 + dy, 66 + dx, 56 + dy, 84 + dx, 74 + dy,
            82 + dx, 83 + dy
        )
        for y in (62, 70, 78):
            p.oval("white", 36 + dx, y + dy, 6)
        p.oval("light", 62 + dx, 62 + dy, 6)


@FOOTWEAR.kind("", "knitted", patterned=True, plural=True, scale=0.8)
def socks(p: Pen) -> None:
    for dx, dy in ((34, -4), (0, 0)):
        p.blob(
            "body", 12 + dx, 14 + dy, 38 + dx, 14 + dy, 38 + dx, 56 + dy, 56 + dx, 80 + dy,
            48 + dx, 96 + dy, 30 + dx, 92 + dy, 12 + dx, 70 + dy
        )
        p.box("dark", 10 + dx, 6 + dy, 40 + dx, 20 + dy, 4)
        p.blob("light", 42 + dx, 72 + dy, 56 + dx, 80 + dy, 50 + dx, 96 + dy, 38 + dx, 94 + dy)
        p.oval("light", 19 + dx, 72 + dy, 7, 10, turn=-35)


@BAGS.kind("", "leather", patterned=False)
def handbag(p: Pen) -> None:
    p.arc("dark", 5, 50, 44, 26, 34, 180, 360)
    p.poly("body", 18, 42, 82, 42, 96, 92, 4, 92)
    p.poly("light", 17, 42, 83, 42, 76, 66, 24, 66)
    p.box("gold", 44, 58, 56, 72, 3)
    p.oval("gold", 24, 42, 3.4, mirror=True)


@BAGS.kind("", "leather denim")
def backpack(p: Pen) -> None:
    p.arc("ink", 4, 50, 12, 12, 9, 180, 360)
    p.box("dark", 6, 46, 22, 86, 6, mirror=True)
    p.blob("body", 50, 8, 74, 14, 82, 40, 82, 94, 50, 96, 18, 94, 18, 40, 26, 14)
    p.arc("ink", 2, 50, 46, 28, 22, 195, 345)
    p.box("light", 26, 54, 74, 88, 6)
    p.line("ink", 2, 28, 62, 72, 62)
    p.box("gold", 47, 61, 53, 72, 1)


@BAGS.kind(name="tote bag", materials="denim straw")
def tote_bag(p: Pen) -> None:
    p.arc("body", 4, 50, 40, 19, 36, 180, 360)
    p.poly("body", 8, 38, 92, 38, 86, 97, 14, 97)
    p.line("edge", 1.8, 9, 45, 91, 45)
    p.blob("red", 50, 84, 34, 68, 36, 58, 44, 57, 50, 63, 56, 57, 64, 58, 66, 68)


@BAGS.kind("", "leather", patterned=False, scale=0.65)
def wallet(p: Pen) -> None:
    p.box("leaf", 12, 18, 84, 50)
    p.oval("lime", 48, 32, 9, edge=0)
    p.box("body", 4, 30, 92, 88, 6)
    p.box("cream", 14, 34, 52, 40, edge=1)
    p.line("light", 1.4, 9, 36, 9, 82, 87, 82)
    p.box("dark", 62, 50, 98, 68, 5)
    p.oval("gold", 72, 59, 4)


@BAGS.kind("", "leather metal", patterned=True, surface=0.21)
def suitcase(p: Pen) -> None:
    p.line("steel", 3.4, 38, 24, 38, 4, 62, 4, 62, 24)
    p.box("body", 14, 20, 86, 90, 6)
    p.box("dark", 26, 20, 33, 90, mirror=True)
    p.box("wood", 14, 20, 26, 30, 2, mirror=True)
    p.box("wood", 14, 80, 26, 90, 2, mirror=True)
    p.oval("ink", 24, 94, 5, mirror=True)
    p.oval("yellow", 52, 48, 8)
    p.poly("sea", 42, 62, 60, 60, 62, 74, 44, 76)


@ACCESSORIES.kind("", "knitted", patterned=True, scale=0.9)
def scarf(p: Pen) -> None:
    p.poly("dark", 54, 36, 78, 32, 88, 88, 66, 92)
    p.poly("body", 30, 36, 56, 40, 50, 94, 24, 90)
    p.blob("body", 14, 24, 34, 10, 66, 10, 86, 24, 82, 42, 50, 50, 18, 42)
    p.blob("ink", 30, 22, 50, 17, 70, 22, 50, 30)
    for k in range(5):
        p.line("cream", 2, 25 + k * 6, 91 + k * 0.6, 24 + k * 6, 99)
        p.line("cream", 2, 68 + k * 4.6, 92 - k * 0.8, 69 + k * 4.6, 99 - k)


@ACCESSORIES.kind(patterned=True, scale=0.8)
def tie(p: Pen) -> None:
    p.poly("body", 42, 18, 58, 18, 68, 78, 50, 99, 32, 78)
    p.poly("dark", 36, 2, 64, 2, 58, 19, 42, 19)
    p.line("gold", 3, 34, 54, 62, 54)


@ACCESSORIES.kind(patterned=True, name="bow tie", scale=0.65)
def bow_tie(p: Pen) -> None:
    p.line("dark", 5, 2, 42, 98, 42)
    p.blob("body", 50, 50, 26, 28, 6, 26, 4, 50, 6, 76, 26, 72, mirror=True)
    p.line("edge", 1.8, 40, 46, 20, 40, mirror=True)
    p.line("edge", 1.8, 40, 54, 20, 62, mirror=True)
    p.box("light", 42, 38, 58, 62, 5)


@ACCESSORIES.kind("", "straw leather", scale=0.85)
def hat(p: Pen) -> None:
    p.oval("body", 50, 70, 48, 14)
    p.blob("body", 24, 68, 28, 34, 38, 24, 50, 30, 62, 24, 72, 34, 76, 68, 50, 74)
    p.poly("dark", 25, 56, 75, 56, 76, 68, 50, 73, 24, 68)
    p.poly("red", 68, 58, 84, 30, 88, 34, 76, 64)


@ACCESSORIES.kind("", "denim leather", patterned=True, scale=0.8)
def cap(p: Pen) -> None:
    p.blob("dark", 58, 56, 82, 54, 99, 68, 84, 74, 56, 70)
    p.pie("body", 42, 66, 38, 46, 180, 360)
    p.curve("edge", 1.6, 42, 22, 58, 40, 62, 64)
    p.curve("edge", 1.6, 42, 22, 26, 40, 22, 64)
    p.oval("light", 42, 20, 5, 3)
    p.box("light", 4, 62, 80, 70, 3)
    p.star("white", 46, 48, 4, 9, 5)


@ACCESSORIES.kind("", "knitted", patterned=True, scale=0.75)
def beanie(p: Pen) -> None:
    p.star("light", 50, 14, 9, 14, 14)
    p.pie("body", 50, 72, 40, 52, 180, 360)
    p.box("dark", 6, 64, 94, 88, 7)
    for x in range(14, 92, 8):
        p.line("edge", 1.4, x, 67, x, 85)


@ACCESSORIES.kind("", scale=0.75)
def beret(p: Pen) -> None:
    p.curve("dark", 4, 48, 28, 46, 18, 52, 10)
    p.blob("body", 4, 52, 22, 28, 54, 22, 86, 34, 97, 56, 84, 72, 60, 64, 34, 66, 14, 68)
    p.curve("dark", 6, 22, 68, 52, 66, 82, 74)
    p.curve("light", 3, 20, 46, 36, 36, 54, 32)


@ACCESSORIES.kind("", "leather knitted", patterned=False, plural=True, scale=0.75)
def gloves(p: Pen) -> None:
    for x, y0, y1 in ((8, 30, 60), (17, 18, 60), (27, 14, 60), (37, 22, 60)):
        p.box("body", x, y0, x + 9, y1, 4, mirror=True)
    p.blob("body", 6, 52, 46, 52, 46, 66, 42, 84, 12, 84, 6, 70, mirror=True, edge=0)
    p.box("dark", 10, 80, 42, 96, 3, mirror=True)
    p.line("edge", 1.4, 16, 64, 16, 74, mirror=True)
    p.line("edge", 1.4, 26, 62, 26, 74, mirror=True)
    p.line("edge", 1.4, 36, 64, 36, 74, mirror=True)


@ACCESSORIES.kind("", "knitted", patterned=True, plural=True, scale=0.75)
def mittens(p: Pen) -> None:
    p.curve("ink", 1.8, 24, 92, 36, 98, 64, 98, 76, 92)
    p.blob("body", 46, 50, 36, 42, 32, 50, 40, 66, 46, 70, mirror=True)
    p.blob("body", 8, 70, 4, 36, 14, 12, 30, 14, 36, 40, 38, 72, mirror=True)
    p.box("light", 6, 70, 40, 88, 4, mirror=True)
    p.star("white", 20, 42, 4, 9, 6)
    p.star("white", 80, 42, 4, 9, 6)


@ACCESSORIES.kind("", "leather", patterned=False, scale=0.8)
def belt(p: Pen) -> None:
    p.arc("dark", 8, 50, 44, 42, 20, 180, 360)
    p.curve("body", 11, 8, 46, 20, 64, 50, 70, 80, 64, 92, 46)
    p.box("gold", 38, 56, 64, 82, 3)
    p.box("body", 44, 62, 58, 76, 1)
    p.line("gold", 3, 51, 60, 51, 78)
    for x in (70, 78):
        p.oval("ink", x, 66 - (x - 70) * 0.3, 1.6, edge=0)


@ACCESSORIES.kind("red blue green white purple turquoise black", scale=0.75)
def necklace(p: Pen) -> None:
    p.curve("gold", 3, 12, 6, 16, 44, 50, 70, 84, 44, 88, 6)
    for x, y in ((18, 42), (30, 58), (70, 58), (82, 42)):
        p.oval("light", x, y, 5)
    p.poly("body", 50, 62, 66, 76, 50, 97, 34, 76)
    p.line("white", 1.6, 42, 76, 50, 68, 58, 76)


@ACCESSORIES.kind("red blue green purple turquoise pink black", scale=0.65)
def bracelet(p: Pen) -> None:
    p.arc("gold", 5, 50, 52, 38, 34, 0, 360)
    for x, y in ((50, 86), (24, 78), (76, 78), (12, 56), (88, 56), (20, 32), (80, 32), (50, 18)):
        p.oval("body", x, y, 9)
        p.oval("white", x - 3, y - 3, 2, edge=0)


@ACCESSORIES.kind("red blue green white purple turquoise", scale=0.55)
def ring(p: Pen) -> None:
    p.arc("gold", 7, 50, 66, 29, 28, 0, 360)
    p.poly("body", 34, 6, 66, 6, 80, 20, 50, 46, 20, 20)
    p.line("edge", 1.6, 20, 20, 80, 20)
    p.line("edge", 1.6, 38, 20, 50, 44, 62, 20, 50, 7, 38, 20)


@ACCESSORIES.kind("red blue green white purple turquoise pink", plural=True, scale=0.6)
def earrings(p: Pen) -> None:
    p.arc("gold", 3, 26, 14, 8, 10, 90, 380, mirror=True)
    p.oval("gold", 26, 32, 7, mirror=True)
    p.blob("body", 26, 40, 38, 66, 36, 88, 26, 95, 16, 88, 14, 66, mirror=True)
    p.oval("white", 21, 72, 3, 6, mirror=True, edge=0)


@ACCESSORIES.kind("", "leather metal", scale=0.7)
def watch(p: Pen) -> None:
    p.box("body", 36, 0, 64, 34, 3)
    p.box("body", 36, 66, 64, 100, 3)
    for y in (80, 88):
        p.oval("ink", 50, y, 2, edge=0)
    p.box("gold", 78, 45, 86, 55, 2)
    p.oval("gold", 50, 50, 30)
    p.oval("white", 50, 50, 23)
    for x, y in ((50, 32), (68, 50), (50, 68), (32, 50)):
        p.oval("ink", x, y, 2, edge=0)
    p.line("ink", 3, 50, 50, 50, 37)
    p.line("ink", 3, 50, 50, 60, 56)


@ACCESSORIES.kind(plural=True, scale=0.75)
def sunglasses(p: Pen) -> None:
    p.line("body", 4, 4, 36, 10, 24, mirror=True)
    p.line("body", 5, 42, 42, 58, 42)
    p.blob("body", 0, 34, 24, 30, 48, 36, 46, 58, 34, 72, 14, 70, 3, 54, mirror=True)
    p.blob("ink", 6, 39, 24, 36, 42, 41, 40, 56, 32, 65, 16, 64, 8, 53, mirror=True)
    p.line("white", 3, 14, 54, 24, 42)
    p.line("white", 3, 64, 54, 74, 42)


@ACCESSORIES.kind(plural=True, scale=0.7)
def glasses(p: Pen) -> None:
    p.line("body", 3.4, 6, 48, 14, 26, mirror=True)
    p.oval("sky", 26, 54, 20)
    p.oval("sky", 74, 54, 20)
    p.arc("body", 5, 26, 54, 20, 20, 0, 360)
    p.arc("body", 5, 74, 54, 20, 20, 0, 360)
    p.arc("body", 4, 50, 52, 6, 6, 180, 360)
    p.line("white", 2.4, 18, 58, 28, 44)
    p.line("white", 2.4, 66, 58, 76, 44)


@ACCESSORIES.kind(patterned=True, scale=1.0)
def umbrella(p: Pen) -> None:
    p.line("iron", 3, 50, 8, 50, 84)
    p.arc("wood", 5, 42, 86, 8, 9, 0, 180)
    p.pie("body", 50, 52, 47, 44, 180, 360)
    for x in (18.7, 50, 81.3):
        p.pie("dark", x, 52, 15.6, 8, 180, 360)
    p.curve("edge", 1.6, 50, 8, 38, 26, 34, 48)
    p.curve("edge", 1.6, 50, 8, 62, 26, 66, 48)
    p.line("iron", 3, 50, 8, 50, 2)


@ACCESSORIES.kind("", "wooden", patterned=True, name="hand fan", scale=0.8)
def hand_fan(p: Pen) -> None:
    p.pie("body", 50, 84, 49, 66, 190, 350)
    p.poly("body", 2, 72, 98, 72, 50, 88, edge=0)
    for x, y in ((4, 62), (16, 40), (32, 26), (50, 20), (68, 26), (84, 40), (96, 62)):
        p.line("edge", 1.6, 50, 86, x, y)
    p.pie("wood", 50, 86, 18, 22, 190, 350)
    p.oval("gold", 50, 88, 4)
    p.curve("red", 2, 50, 90, 44, 94, 48, 99)


@ACCESSORIES.kind("yellow gray", "metal", scale=0.75)
def crown(p: Pen) -> None:
    p.poly("body", 6, 84, 2, 30, 26, 54, 50, 14, 74, 54, 98, 30, 94, 84)
    p.box("dark", 6, 76, 94, 88, 2)
    for x, y in ((2, 28), (50, 12), (98, 28)):
        p.oval("red", x, y, 4.4)
    p.poly("sea", 50, 52, 58, 62, 50, 72, 42, 62)
    p.oval("leaf", 24, 68, 4.4, mirror=True)


@ACCESSORIES.kind("", patterned=True, scale=0.65)
def bandana(p: Pen) -> None:
    p.blob("dark", 74, 34, 92, 18, 99, 28, 86, 42, 96, 54, 84, 56)
    p.poly("body", 2, 28, 86, 28, 76, 46, 44, 92, 10, 46)
    p.line("light", 2.4, 12, 40, 44, 82, 74, 42)
    p.oval("edge", 82, 36, 6)
    p.oval("white", 36, 44, 3, edge=0)
    p.oval("white", 52, 44, 3, edge=0)
    p.oval("white", 44, 58, 3, edge=0)
