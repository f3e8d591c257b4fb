"""Glyphs of furniture and of things about the house."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

from demo.world.kind import Collection
from demo.world.pen import Pen

HOME = Collection("street", "furniture")


@HOME.kind("", "wooden metal", surface=0.61)
def chair(p: Pen) -> None:
    p.line("dark", 4, 30, 58, 26, 95)
    p.line("dark", 4, 66, 58, 68, 95)
    p.box("body", 22, 4, 30, 60, 2)
    p.box("body", 62, 4, 70, 60, 2)
    for y in (10, 24, 38):
        p.box("light", 30, y, 62, y + 8)
    p.poly("body", 22, 58, 70, 58, 86, 68, 30, 68)
    p.line("body", 5, 33, 69, 33, 95)
    p.line("body", 5, 82, 69, 82, 95)


@HOME.kind("", "wooden metal glass", surface=0.4, scale=1.15)
def table(p: Pen) -> None:
    p.line("dark", 4, 24, 44, 24, 82)
    p.line("dark", 4, 78, 44, 78, 82)
    p.poly("body", 16, 30, 84, 30, 98, 46, 2, 46)
    p.box("dark", 2, 46, 98, 53)
    p.box("body", 5, 53, 13, 95)
    p.box("body", 87, 53, 95, 95)


@HOME.kind("", "leather knitted", patterned=True, surface=0.6, scale=1.25)
def sofa(p: Pen) -> None:
    p.box("body", 12, 28, 88, 66, 10)
    p.line("edge", 1.6, 50, 30, 50, 56)
    p.box("light", 14, 54, 50, 72, 5)
    p.box("light", 50, 54, 86, 72, 5)
    p.box("body", 2, 44, 18, 84, 8)
    p.box("body", 82, 44, 98, 84, 8)
    p.box("dark", 14, 70, 86, 84, 3)
    p.box("wood", 8, 84, 16, 94, mirror=True)


@HOME.kind("", "wooden metal", patterned=True, surface=0.52, scale=1.3)
def bed(p: Pen) -> None:
    p.box("wood", 2, 18, 12, 94, 4)
    p.box("wood", 90, 46, 98, 94, 3)
    p.box("cream", 10, 56, 92, 70, 4)
    p.box("white", 12, 42, 36, 58, 7)
    p.blob("body", 32, 50, 60, 46, 92, 50, 93, 80, 60, 82, 30, 80)
    p.box("bark", 8, 80, 94, 87)


@HOME.kind("", "metal", patterned=True, scale=0.95)
def lamp(p: Pen) -> None:
    p.line("iron", 4, 50, 48, 50, 90)
    p.oval("iron", 50, 92, 22, 5)
    p.pie("yellow", 50, 47, 22, 9, 0, 180)
    p.poly("body", 34, 8, 66, 8, 86, 48, 14, 48)
    p.line("gold", 1.6, 68, 49, 68, 64)
    p.oval("gold", 68, 65, 2)


@HOME.kind("brown green red blue gray white", "wooden metal", surface=0.68, scale=1.2)
def bench(p: Pen) -> None:
    p.line("iron", 5, 16, 28, 18, 94)
    p.line("iron", 5, 84, 28, 82, 94)
    for y in (26, 38, 50):
        p.box("body", 2, y, 98, y + 8, 2)
    p.box("body", 0, 64, 100, 74, 3)
    p.line("iron", 4, 16, 84, 84, 84)
    p.curve("iron", 4, 8, 48, 4, 58, 12, 64)
    p.curve("iron", 4, 92, 48, 96, 58, 88, 64)


@HOME.kind("brown white black red green", "wooden", surface=0.03, scale=1.15)
def bookcase(p: Pen) -> None:
    p.box("body", 14, 2, 86, 96, 2)
    spines = ("red", "sea", "gold", "moss", "plum", "orange", "cream")
    for row, y in enumerate((8, 38, 67)):
        p.box("bark", 20, y, 80, y + 24)
        x, k = 21.0, row
        while x < 72:
            width = 5 + (k * 3) % 4
            p.box(spines[(k * 3) % 7], x, y + 3 + (k * 5) % 7, x + width, y + 24, edge=0.7)
            x, k = x + width, k + 1


@HOME.kind("", "wooden metal", scale=0.75)
def clock(p: Pen) -> None:
    p.oval("body", 50, 50, 46)
    p.oval("white", 50, 50, 37)
    for x, y in ((50, 18), (82, 50), (50, 82), (18, 50)):
        p.oval("ink", x, y, 3.4, edge=0)
    for x, y in ((66, 22), (78, 34), (78, 66), (66, 78), (34, 78), (22, 66), (22, 34), (34, 22)):
        p.oval("iron", x, y, 1.8, edge=0)
    p.line("ink", 4.4, 50, 50, 36, 36)
    p.line("ink", 3, 50, 50, 68, 26)
    p.oval("red", 50, 50, 4)


@HOME.kind("", "glass ceramic", patterned=True, scale=0.85)
def vase(p: Pen) -> None:
    for x, y, paint in ((28, 16, "rose"), (50, 8, "yellow"), (72, 16, "rose")):
        p.curve("moss", 2.4, 50, 50, (50 + x) / 2, 34, x, y)
        p.star(paint, x, y, 5, 11, 6)
        p.oval("orange", x, y, 3.4, edge=0)
    p.blob("body", 40, 42, 60, 42, 57, 54, 76, 70, 68, 95, 32, 95, 24, 70, 43, 54)


@HOME.kind("brown yellow white", "straw", surface=0.45, scale=0.85)
def basket(p: Pen) -> None:
    p.arc("body", 5, 50, 46, 32, 40, 180, 360)
    p.poly("body", 6, 46, 94, 46, 82, 94, 18, 94)
    for row, y in enumerate((54, 64, 74, 84)):
        for k in range(8):
            x = 13 + k * 10 + (row % 2) * 5
            p.line("dark", 3, x, y, x + 5, y)
    p.box("light", 3, 42, 97, 50, 3)


@HOME.kind("", "metal wooden", surface=0.33, scale=0.75)
def bucket(p: Pen) -> None:
    p.arc("iron", 2.6, 50, 34, 40, 32, 180, 360)
    p.poly("body", 10, 34, 90, 34, 76, 95, 24, 95)
    p.oval("dark", 50, 34, 40, 9)
    p.oval("sea", 50, 36, 34, 6)
    p.curve("light", 3, 14, 54, 50, 62, 86, 54)
    p.oval("iron", 11, 36, 4, mirror=True)


@HOME.kind("white red yellow purple green", scale=0.7)
def candle(p: Pen) -> None:
    p.blob("orange", 50, 2, 60, 18, 56, 28, 44, 28, 40, 18)
    p.blob("yellow", 50, 12, 54, 22, 50, 27, 46, 22, edge=0)
    p.line("ink", 1.8, 50, 26, 50, 36)
    p.blob("body", 38, 36, 50, 34, 62, 36, 62, 82, 38, 82)
    p.curve("light", 5, 40, 38, 41, 52)
    p.curve("light", 5, 57, 38, 57, 46)
    p.oval("gold", 50, 86, 30, 8)
    p.arc("gold", 4, 82, 80, 8, 7, -120, 140)


@HOME.kind("", "wooden metal", scale=1.0)
def mirror(p: Pen) -> None:
    p.poly("dark", 30, 80, 38, 80, 28, 97, 20, 97, mirror=True)
    p.oval("body", 50, 46, 38, 45)
    p.oval("sky", 50, 46, 30, 37)
    p.line("white", 4, 34, 52, 54, 24)
    p.line("white", 4, 42, 62, 66, 28)


@HOME.kind("", "wooden metal", surface=0.25, scale=0.8)
def stool(p: Pen) -> None:
    p.line("dark", 4, 42, 34, 38, 94)
    p.line("dark", 4, 58, 34, 62, 94)
    p.line("body", 5, 28, 32, 14, 95)
    p.line("body", 5, 72, 32, 86, 95)
    p.line("body", 4, 21, 66, 79, 66)
    p.oval("body", 50, 26, 38, 12)
    p.oval("light", 50, 23, 30, 7, edge=0)


@HOME.kind("brown yellow red gray blue", "wooden metal", scale=1.1)
def ladder(p: Pen) -> None:
    p.line("dark", 3.4, 56, 6, 92, 95)
    p.line("dark", 3.4, 74, 52, 44, 56)
    for k in range(6):
        y = 18 + k * 14
        p.line("body", 3.6, 46 - (y - 6) * 0.2, y, 58 - (y - 6) * 0.02, y)
    p.line("body", 4.4, 44, 5, 22, 95)
    p.line("body", 4.4, 58, 5, 56, 95)


@HOME.kind("brown red yellow green blue", scale=0.95)
def broom(p: Pen) -> None:
    p.line("wood", 4.4, 84, 3, 46, 58)
    p.poly("yellow", 36, 52, 56, 66, 36, 97, 2, 86)
    for x in (10, 18, 26):
        p.line("toast", 1.4, 40 + (x - 18) * 0.7, 60 + (x - 18) * 0.3, x, 90 + (x - 18) * 0.4)
    p.poly("body", 38, 48, 60, 64, 54, 72, 32, 56)


@HOME.kind("brown red green blue gray", "wooden metal", surface=0.11, scale=0.9)
def barrel(p: Pen) -> None:
    p.blob("body", 26, 8, 50, 6, 74, 8, 86, 50, 74, 93, 50, 95, 26, 93, 14, 50)
    p.curve("dark", 1.6, 40, 10, 34, 50, 40, 92)
    p.curve("dark", 1.6, 60, 10, 66, 50, 60, 92)
    for y, x in ((20, 20), (50, 14), (80, 20)):
        p.box("iron", x, y - 3, 100 - x, y + 4)
    p.oval("dark", 50, 10, 24, 5)


@HOME.kind("brown yellow red green blue", "wooden", surface=0.25, scale=0.9)
def crate(p: Pen) -> None:
    p.box("dark", 6, 24, 94, 94)
    for y in (26, 44, 62, 80):
        p.box("body", 6, y, 94, y + 12)
    p.box("light", 6, 24, 16, 94)
    p.box("light", 84, 24, 94, 94)
    p.poly("light", 16, 84, 76, 26, 84, 34, 24, 93)


@HOME.kind("", "metal", scale=0.6)
def key(p: Pen) -> None:
    p.line("body", 7, 44, 50, 94, 50)
    p.box("body", 74, 52, 80, 70)
    p.box("body", 86, 52, 93, 66)
    p.arc("body", 9, 24, 50, 18, 18, 0, 360)


@HOME.kind("", "leather", patterned=True, scale=0.7)
def book(p: Pen) -> None:
    p.poly("body", 2, 26, 50, 36, 98, 26, 98, 82, 50, 92, 2, 82)
    p.blob("white", 6, 24, 28, 20, 50, 32, 50, 84, 28, 74, 6, 78)
    p.blob("white", 94, 24, 72, 20, 50, 32, 50, 84, 72, 74, 94, 78)
    for y in (34, 44, 54, 64):
        p.line("steel", 1.8, 14, y, 42, y + 5, mirror=True)
    p.poly("red", 66, 22, 74, 22, 74, 50, 70, 45, 66, 50)


@HOME.kind("red black blue gray white green", "metal", patterned=False, scale=0.8)
def kettle(p: Pen) -> None:
    p.arc("ink", 5, 52, 38, 28, 30, 180, 360)
    p.poly("body", 22, 62, 2, 42, 10, 36, 30, 50)
    p.blob("body", 24, 46, 52, 36, 80, 46, 90, 88, 52, 95, 14, 88)
    p.line("light", 2, 20, 80, 84, 80)
    p.oval("ink", 52, 36, 6, 5)


@HOME.kind("green", scale=0.85)
def cactus(p: Pen) -> None:
    p.curve("body", 9, 36, 58, 18, 56, 16, 36)
    p.curve("body", 9, 62, 48, 82, 46, 84, 24)
    p.box("body", 37, 6, 63, 76, 13)
    for y in (16, 28, 40, 52, 64):
        p.line("white", 1.2, 43, y, 46, y + 3)
        p.line("white", 1.2, 54, y + 5, 57, y + 8)
    p.star("rose", 50, 6, 4, 9, 6)
    p.poly("meat", 24, 74, 76, 74, 68, 97, 32, 97)
    p.box("orange", 20, 70, 80, 78, 2)


@HOME.kind("red black green white yellow", scale=0.75)
def telephone(p: Pen) -> None:
    p.blob("body", 26, 46, 74, 46, 92, 90, 50, 94, 8, 90)
    p.oval("white", 50, 68, 18)
    for x, y in ((50, 56), (60, 60), (62, 70), (56, 79), (44, 79), (38, 70), (40, 60)):
        p.oval("ink", x, y, 2.8, edge=0)
    p.curve("body", 12, 14, 44, 16, 28, 50, 22, 84, 28, 86, 44)
    p.box("dark", 4, 38, 26, 50, 4, mirror=True)


@HOME.kind("black gray brown white red", scale=0.95)
def television(p: Pen) -> None:
    p.line("iron", 2.4, 48, 22, 28, 2)
    p.line("iron", 2.4, 52, 22, 74, 2)
    p.line("ink", 4, 24, 88, 18, 97, mirror=True)
    p.box("body", 4, 22, 96, 88, 6)
    p.box("sky", 10, 28, 74, 82, 7)
    p.blob("leaf", 12, 80, 12, 66, 34, 56, 54, 70, 72, 62, 72, 80, edge=0)
    p.oval("yellow", 60, 42, 6, edge=0)
    p.oval("steel", 85, 40, 6)
    p.oval("steel", 85, 56, 6)
    p.line("ink", 1.4, 80, 72, 90, 72)


@HOME.kind("black gray red white pink blue", "leather metal", scale=0.7)
def camera(p: Pen) -> None:
    p.box("dark", 30, 14, 64, 32, 4)
    p.box("body", 4, 26, 96, 84, 8)
    p.box("steel", 4, 32, 96, 42, edge=0)
    p.oval("ink", 48, 60, 24)
    p.oval("iron", 48, 60, 18)
    p.oval("sea", 48, 60, 11)
    p.oval("white", 43, 55, 4, edge=0)
    p.box("yellow", 76, 30, 90, 42, 2)
    p.box("red", 10, 19, 22, 27, 2)


@HOME.kind("gray black white pink", "metal", scale=0.85)
def laptop(p: Pen) -> None:
    p.box("body", 14, 16, 86, 68, 4)
    p.box("sea", 19, 21, 81, 63)
    for y, x in ((30, 50), (38, 66), (46, 42), (54, 60)):
        p.line("sky", 2.6, 26, y, x, y)
    p.poly("body", 12, 68, 88, 68, 99, 90, 1, 90)
    p.poly("ink", 18, 72, 82, 72, 87, 81, 13, 81)
    p.poly("steel", 42, 83, 58, 83, 60, 88, 40, 88)


@HOME.kind("red brown yellow turquoise white green", "wooden", patterned=False, scale=0.85)
def radio(p: Pen) -> None:
    p.line("steel", 2.4, 76, 30, 96, 4)
    p.arc("ink", 4, 46, 32, 26, 18, 180, 360)
    p.box("body", 4, 30, 96, 90, 7)
    p.oval("iron", 30, 62, 20)
    for r in (14, 8, 3):
        p.arc("ink", 1.6, 30, 62, r, r, 0, 360)
    p.box("cream", 56, 40, 90, 54, 2)
    p.line("red", 1.8, 68, 41, 68, 53)
    p.oval("gold", 64, 72, 7)
    p.oval("gold", 82, 72, 7)


@HOME.kind("gray black", "metal", name="scissors", plural=True, scale=0.7)
def scissors(p: Pen) -> None:
    p.poly("steel", 44, 60, 74, 2, 66, 4, 50, 34, 40, 56)
    p.poly("steel", 56, 60, 26, 2, 34, 4, 50, 34, 60, 56)
    p.arc("red", 7, 30, 78, 14, 16, 0, 360)
    p.arc("red", 7, 70, 78, 14, 16, 0, 360)
    p.oval("body", 50, 50, 5)
