"""Glyphs of further animals, those of water, air and garden first."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

from demo.world.kind import Collection
from demo.world.pen import Pen

MORE_ANIMALS = Collection("street", "animal", "brown black white gray orange")


@MORE_ANIMALS.kind("green brown yellow turquoise", scale=0.8)
def turtle(p: Pen) -> None:
    p.blob("leaf", 80, 70, 92, 62, 99, 66, 96, 76, 84, 80)
    p.oval("leaf", 28, 86, 9, 8)
    p.oval("leaf", 68, 86, 9, 8)
    p.poly("leaf", 12, 76, 2, 84, 14, 84)
    p.pie("body", 47, 80, 38, 46, 180, 360)
    p.star("dark", 47, 58, 10, 12, 6)
    for x, y in ((26, 66), (68, 66), (34, 44), (60, 44)):
        p.line("edge", 1.4, 47, 58, x + (x - 47) * 0.3, y + (y - 58) * 0.3)
    p.box("cream", 8, 78, 86, 84, 3)
    p.eye(92, 68, 2)


@MORE_ANIMALS.kind("orange blue yellow red purple", patterned=True, scale=0.8)
def fish(p: Pen) -> None:
    p.poly("dark", 70, 50, 96, 28, 90, 50, 96, 74)
    p.blob("dark", 34, 32, 48, 16, 66, 20, 62, 36)
    p.blob("dark", 44, 68, 56, 84, 64, 78, 58, 66)
    p.blob("body", 4, 50, 22, 32, 50, 28, 76, 50, 50, 72, 22, 68)
    p.arc("edge", 1.6, 20, 50, 12, 18, -60, 60)
    p.poly("dark", 42, 50, 56, 44, 56, 58)
    p.oval("white", 18, 44, 5)
    p.eye(17, 44, 2.6)


@MORE_ANIMALS.kind("blue orange yellow purple pink red", scale=0.75)
def butterfly(p: Pen) -> None:
    p.blob("body", 49, 46, 34, 18, 12, 10, 4, 30, 18, 50, 46, 54, mirror=True)
    p.blob("dark", 48, 54, 22, 58, 14, 78, 30, 90, 44, 76, mirror=True)
    p.oval("white", 20, 28, 6, mirror=True)
    p.oval("yellow", 30, 74, 5, mirror=True)
    p.curve("ink", 1.4, 49, 34, 44, 18, 36, 12, mirror=True)
    p.oval("ink", 50, 56, 4, 24)


@MORE_ANIMALS.kind("brown orange yellow pink", scale=0.65)
def snail(p: Pen) -> None:
    p.curve("cream", 3, 18, 62, 10, 40)
    p.curve("cream", 3, 24, 60, 24, 38)
    p.blob("cream", 8, 64, 22, 58, 34, 78, 66, 82, 98, 90, 90, 94, 22, 94, 10, 82)
    p.oval("body", 60, 56, 30)
    p.curve(
        "edge", 3, 86, 66, 72, 80, 46, 76, 38, 54, 54, 38, 74, 46, 74, 62, 60, 66, 54, 56, 62, 52
    )
    p.oval("ink", 10, 39, 2.6, edge=0)
    p.oval("ink", 24, 37, 2.6, edge=0)


@MORE_ANIMALS.kind("black blue gray", scale=0.8)
def penguin(p: Pen) -> None:
    p.poly("orange", 30, 95, 48, 95, 44, 86, mirror=True)
    p.blob("dark", 26, 42, 10, 62, 14, 76, 28, 60, mirror=True)
    p.blob("body", 50, 6, 70, 18, 76, 52, 72, 84, 50, 92, 28, 84, 24, 52, 30, 18)
    p.blob("white", 50, 40, 66, 50, 66, 80, 50, 88, 34, 80, 34, 50)
    p.oval("white", 42, 26, 8, 10, mirror=True, edge=0)
    p.eye(43, 26, mirror=True)
    p.poly("orange", 44, 32, 56, 32, 50, 42)


@MORE_ANIMALS.kind("brown gray white", scale=0.75)
def owl(p: Pen) -> None:
    p.poly("body", 22, 30, 22, 6, 42, 18, mirror=True)
    p.blob("body", 50, 14, 78, 24, 82, 60, 68, 90, 50, 94, 32, 90, 18, 60, 22, 24)
    p.blob("dark", 20, 48, 34, 56, 32, 84, 20, 72, mirror=True)
    p.oval("light", 50, 70, 17, 20)
    for y in (60, 70, 80):
        p.line("edge", 1.4, 40, y, 44, y + 4, 48, y, 52, y + 4, 56, y, 60, y + 4)
    p.oval("white", 37, 34, 13, mirror=True)
    p.oval("gold", 37, 34, 8, mirror=True)
    p.eye(37, 34, 5, mirror=True)
    p.poly("orange", 46, 42, 54, 42, 50, 52)
    p.line("orange", 3, 40, 92, 40, 96, mirror=True)


@MORE_ANIMALS.kind("green turquoise blue brown", scale=0.7)
def frog(p: Pen) -> None:
    p.blob("dark", 30, 70, 8, 62, 4, 82, 22, 90, 40, 88, mirror=True)
    p.poly("dark", 4, 94, 24, 84, 30, 94, mirror=True)
    p.blob("body", 50, 40, 78, 54, 76, 84, 50, 92, 24, 84, 22, 54)
    p.oval("light", 50, 78, 17, 12)
    p.oval("body", 50, 48, 34, 20)
    p.oval("body", 30, 30, 12, mirror=True)
    p.oval("white", 30, 29, 8, mirror=True)
    p.eye(30, 29, 4, mirror=True)
    p.curve("edge", 2, 22, 52, 36, 60, 50, 62, 64, 60, 78, 52)
    p.line("body", 4, 42, 84, 38, 95, mirror=True)


@MORE_ANIMALS.kind("green yellow purple red", patterned=True, scale=0.85)
def snake(p: Pen) -> None:
    p.curve(
        "body", 10, 96, 88, 70, 92, 40, 88, 16, 80, 24, 66, 50, 66, 78, 62, 80, 46, 56, 42, 36, 34
    )
    p.blob("body", 14, 18, 30, 12, 44, 24, 42, 38, 26, 40, 12, 30)
    p.line("red", 1.6, 14, 26, 4, 28)
    p.line("red", 1.6, 5, 28, 0, 24)
    p.line("red", 1.6, 5, 28, 0, 32)
    p.eye(26, 22, 2.8)


@MORE_ANIMALS.kind("yellow orange", scale=0.6)
def bee(p: Pen) -> None:
    p.oval("sky", 46, 28, 12, 22, turn=-20)
    p.oval("sky", 66, 28, 12, 22, turn=24)
    p.poly("ink", 86, 56, 99, 62, 86, 68)
    p.oval("body", 52, 60, 36, 24)
    for x, height in ((48, 23), (62, 22), (76, 16)):
        p.box("ink", x - 4, 60 - height, x + 4, 60 + height, 3, edge=0)
    p.oval("ink", 22, 58, 16)
    p.oval("white", 18, 54, 4, edge=0)
    p.curve("ink", 1.8, 18, 44, 14, 32, 6, 28)
    p.curve("ink", 1.8, 26, 43, 26, 30, 20, 22)


@MORE_ANIMALS.kind("red orange blue", scale=0.7)
def crab(p: Pen) -> None:
    for y, dx in ((64, 16), (72, 14), (80, 10)):
        p.line("dark", 3.5, 30, y, dx, y + 2, dx - 6, y + 12, mirror=True)
    p.curve("body", 6, 28, 58, 12, 50, 12, 38)
    p.curve("body", 6, 72, 58, 88, 50, 88, 38)
    p.blob("body", 12, 42, 0, 30, 4, 12, 14, 26, 20, 8, 26, 26, 20, 40, mirror=True)
    p.oval("body", 50, 68, 30, 20)
    p.line("body", 3, 42, 52, 41, 40, mirror=True)
    p.oval("white", 41, 38, 5, mirror=True)
    p.eye(41, 38, 2.6, mirror=True)
    p.arc("edge", 2, 50, 70, 12, 7, 20, 160)


@MORE_ANIMALS.kind("purple red orange turquoise", scale=0.85)
def octopus(p: Pen) -> None:
    for dx in (44, 34, 24, 8):
        p.curve(
            "dark", 7, 50 - dx * 0.4, 56, 50 - dx * 0.8, 74, 46 - dx, 88, 54 - dx, 94, mirror=True
        )
    p.blob("body", 50, 4, 76, 16, 80, 44, 68, 64, 50, 68, 32, 64, 20, 44, 24, 16)
    p.oval("white", 40, 40, 7, 8, mirror=True)
    p.eye(41, 41, 3.6, mirror=True)
    p.oval("light", 36, 18, 4, edge=0)
    p.oval("light", 52, 14, 5, edge=0)
    p.oval("light", 64, 22, 4, edge=0)
    p.arc("edge", 1.8, 50, 52, 7, 5, 20, 160)


@MORE_ANIMALS.kind("brown yellow white", scale=1.2)
def camel(p: Pen) -> None:
    p.curve("dark", 2.5, 90, 56, 96, 64, 94, 76)
    for x in (40, 84):
        p.line("dark", 4, x, 66, x, 94)
    p.blob(
        "body", 32, 56, 40, 46, 46, 26, 56, 46, 62, 48, 72, 26, 80, 46, 92, 54, 88, 70, 60, 72,
        38, 72
    )
    for x in (46, 78):
        p.line("body", 5, x, 68, x, 94)
    p.curve("body", 8, 38, 58, 28, 62, 22, 50, 22, 28)
    p.blob("body", 4, 26, 18, 16, 30, 18, 28, 32, 12, 36, 4, 34)
    p.eye(19, 22, 2)
    p.poly("red", 52, 48, 66, 48, 70, 62, 50, 62)
    p.line("gold", 2, 52, 58, 68, 58)


@MORE_ANIMALS.kind("brown orange gray", scale=0.7)
def squirrel(p: Pen) -> None:
    p.blob("dark", 62, 90, 66, 62, 58, 40, 64, 14, 86, 10, 96, 34, 90, 66, 78, 90)
    p.curve("light", 5, 74, 82, 80, 56, 74, 34, 82, 22)
    p.blob("body", 30, 50, 48, 44, 64, 62, 66, 90, 44, 95, 30, 84)
    p.oval("cream", 38, 72, 8, 15)
    p.poly("body", 34, 18, 36, 6, 46, 18)
    p.oval("body", 34, 32, 18, 16)
    p.oval("ink", 17, 35, 2.6, edge=0)
    p.eye(30, 28, 3)
    p.oval("wood", 22, 62, 8, 9)
    p.box("bark", 14, 54, 30, 59, 2)
    p.line("body", 5, 44, 58, 28, 64)
    p.oval("dark", 40, 93, 12, 4)


@MORE_ANIMALS.kind("pink red white", scale=1.0)
def flamingo(p: Pen) -> None:
    p.line("orange", 2.2, 52, 66, 52, 95, 44, 95)
    p.line("orange", 2.2, 58, 66, 66, 78, 54, 82)
    p.blob("body", 34, 52, 54, 44, 92, 50, 82, 66, 58, 72, 38, 68)
    p.blob("dark", 54, 52, 80, 50, 94, 56, 76, 64, 60, 62)
    p.curve("body", 5, 40, 60, 26, 50, 34, 36, 42, 24, 34, 12, 24, 14)
    p.oval("body", 25, 16, 9, 8)
    p.blob("cream", 18, 14, 8, 20, 10, 32, 16, 26, 20, 22)
    p.blob("ink", 9, 24, 10, 33, 15, 27)
    p.eye(25, 14, 2)


@MORE_ANIMALS.kind("brown gray black", scale=0.6)
def hedgehog(p: Pen) -> None:
    p.oval("cream", 34, 90, 6, 5)
    p.oval("cream", 70, 90, 6, 5)
    p.star("body", 58, 60, 28, 40, 21)
    p.star("dark", 60, 58, 14, 24, 15)
    p.blob("cream", 4, 74, 24, 56, 40, 64, 42, 84, 24, 90)
    p.oval("ink", 5, 74, 4)
    p.eye(22, 68)
    p.oval("cream", 38, 62, 5, 6)


@MORE_ANIMALS.kind("blue gray turquoise", scale=1.1)
def whale(p: Pen) -> None:
    p.curve("sky", 3, 36, 34, 34, 16, 22, 10)
    p.curve("sky", 3, 38, 34, 42, 16, 54, 10)
    p.poly("dark", 82, 54, 80, 26, 90, 34, 99, 24, 98, 44, 92, 60)
    p.blob("body", 4, 62, 14, 42, 38, 34, 64, 42, 88, 50, 94, 62, 76, 84, 40, 92, 14, 84)
    p.blob("white", 6, 70, 30, 76, 58, 80, 42, 91, 16, 84)
    for x in (22, 32, 42):
        p.line("steel", 1.4, x, 76, x + 4, 88)
    p.poly("dark", 50, 74, 66, 92, 42, 88)
    p.eye(22, 58, 3)


@MORE_ANIMALS.kind("white black", scale=0.9)
def swan(p: Pen) -> None:
    p.blob("body", 28, 66, 44, 62, 62, 50, 94, 44, 92, 66, 78, 84, 44, 86, 28, 78)
    p.blob("light", 50, 66, 66, 56, 90, 50, 82, 66, 62, 74)
    p.curve("body", 7, 34, 70, 24, 56, 34, 38, 40, 22, 28, 12, 20, 18)
    p.poly("orange", 18, 14, 4, 24, 18, 24)
    p.oval("ink", 18, 16, 3, edge=0)
    p.eye(24, 14, 1.8)
    p.curve("sea", 2.4, 14, 90, 30, 86, 46, 90, 62, 86, 78, 90, 92, 87)
