"""Glyphs of animals."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

from demo.world.kind import Collection
from demo.world.pen import Pen

ANIMALS = Collection("street", "animal", "brown black white gray orange")


@ANIMALS.kind()
def dog(p: Pen) -> None:
    p.curve("body", 5, 78, 58, 88, 48, 90, 36)
    p.box("dark", 38, 70, 46, 95, 3)
    p.box("dark", 66, 70, 74, 95, 3)
    p.blob("body", 28, 52, 50, 50, 74, 50, 82, 62, 78, 74, 52, 76, 34, 74)
    p.box("body", 30, 68, 39, 95, 3)
    p.box("body", 72, 66, 81, 95, 3)
    p.blob("body", 18, 24, 32, 18, 44, 26, 44, 46, 34, 56, 22, 50)
    p.blob("light", 6, 40, 20, 34, 28, 44, 22, 54, 10, 52)
    p.oval("ink", 8, 41, 4, 3)
    p.blob("dark", 38, 20, 50, 24, 54, 44, 46, 50, 40, 38)
    p.eye(24, 32)
    p.line("red", 4, 30, 58, 44, 54)


@ANIMALS.kind()
def cat(p: Pen) -> None:
    p.curve("body", 6, 64, 86, 86, 88, 92, 68, 84, 58)
    p.blob("body", 34, 56, 50, 50, 64, 58, 72, 84, 66, 95, 32, 95, 28, 82)
    p.poly("body", 24, 34, 24, 8, 42, 22)
    p.poly("body", 74, 34, 74, 8, 56, 22)
    p.poly("rose", 28, 28, 28, 15, 37, 22, mirror=False, edge=0)
    p.poly("rose", 70, 28, 70, 15, 61, 22, edge=0)
    p.oval("body", 49, 38, 27, 22)
    p.oval("lime", 39, 35, 5, 6)
    p.oval("lime", 59, 35, 5, 6)
    p.oval("ink", 39, 35, 1.6, 5, edge=0)
    p.oval("ink", 59, 35, 1.6, 5, edge=0)
    p.poly("rose", 46, 44, 52, 44, 49, 48)
    p.line("ink", 0.9, 24, 44, 10, 41)
    p.line("ink", 0.9, 24, 48, 10, 50)
    p.line("ink", 0.9, 74, 44, 88, 41)
    p.line("ink", 0.9, 74, 48, 88, 50)
    p.oval("light", 42, 92, 7, 5)
    p.oval("light", 57, 92, 7, 5)
    p.line("dark", 1.5, 44, 20, 45, 28)
    p.line("dark", 1.5, 50, 19, 50, 28)
    p.line("dark", 1.5, 56, 20, 55, 28)


@ANIMALS.kind("brown black white gray", scale=1.2)
def horse(p: Pen) -> None:
    p.curve("ink", 5, 84, 48, 94, 58, 92, 78)
    for x in (36, 76):
        p.line("dark", 5, x, 62, x + 1, 94)
    p.blob("body", 30, 46, 54, 44, 80, 42, 88, 54, 82, 68, 56, 66, 36, 68)
    for x in (42, 83):
        p.line("body", 6, x, 62, x - 1, 94)
        p.line("ink", 6, x - 1, 93, x - 1, 95)
    p.poly("body", 26, 10, 40, 14, 52, 44, 34, 58, 26, 40, 16, 34)
    p.blob("light", 8, 28, 22, 18, 28, 30, 14, 42, 6, 38)
    p.poly("body", 26, 14, 30, 4, 34, 12)
    p.curve("ink", 4, 32, 8, 42, 20, 48, 32, 54, 42)
    p.eye(22, 20)
    p.oval("ink", 9, 34, 1.4, edge=0)


@ANIMALS.kind("brown black white", scale=1.15)
def cow(p: Pen) -> None:
    p.curve("dark", 2.5, 88, 44, 95, 54, 93, 70)
    p.oval("ink", 93, 72, 3, 5)
    for x in (36, 44, 76, 84):
        p.box("body", x - 4, 66, x + 4, 95, 2)
        p.box("ink", x - 4, 90, x + 4, 95, 1)
    p.box("body", 28, 36, 90, 74, 12)
    p.blob("white", 50, 38, 66, 40, 64, 54, 52, 52)
    p.blob("white", 74, 56, 86, 54, 86, 68, 76, 70)
    p.oval("rose", 64, 76, 8, 5)
    p.poly("cream", 14, 24, 6, 12, 20, 18)
    p.poly("cream", 34, 24, 44, 12, 30, 18)
    p.oval("dark", 6, 32, 6, 4, turn=20)
    p.oval("dark", 43, 32, 6, 4, turn=-20)
    p.box("body", 12, 20, 37, 56, 9)
    p.oval("rose", 24, 52, 14, 9)
    p.eye(18, 34)
    p.eye(31, 34)
    p.oval("ink", 20, 52, 2, edge=0)
    p.oval("ink", 29, 52, 2, edge=0)


@ANIMALS.kind("white gray brown black", scale=0.9)
def sheep(p: Pen) -> None:
    for x in (36, 48, 66, 76):
        p.box("ink", x - 3, 72, x + 3, 95)
    for x, y in ((36, 50), (48, 42), (62, 40), (76, 46), (84, 58), (76, 70), (60, 74), (44, 72)):
        p.oval("body", x, y, 13)
    p.oval("body", 60, 57, 28, 20, edge=0)
    for x, y in ((52, 54), (64, 62), (72, 52), (58, 66)):
        p.arc("edge", 1.2, x, y, 6, 5, 200, 400)
    p.oval("ink", 40, 42, 9, 4, turn=20)
    p.oval("ink", 22, 50, 12, 16, turn=15)
    p.oval("body", 26, 36, 10, 7)
    p.oval("white", 18, 47, 3, edge=0)
    p.oval("ink", 18, 47, 1.4, edge=0)


@ANIMALS.kind("pink brown black white", scale=0.9)
def pig(p: Pen) -> None:
    p.curve("body", 3, 86, 56, 94, 50, 90, 44, 86, 50, 96, 56)
    for x in (34, 46, 70, 80):
        p.box("dark", x - 5, 74, x + 5, 95, 2)
    p.oval("body", 56, 60, 34, 24)
    p.oval("body", 28, 50, 20, 19)
    p.poly("dark", 18, 34, 16, 20, 30, 32)
    p.poly("dark", 34, 33, 42, 20, 46, 38)
    p.oval("light", 17, 54, 9, 8)
    p.oval("ink", 14, 54, 1.6, 2.6, edge=0)
    p.oval("ink", 20, 54, 1.6, 2.6, edge=0)
    p.eye(26, 44)


@ANIMALS.kind("white brown black orange", scale=0.8)
def hen(p: Pen) -> None:
    p.line("orange", 2.5, 46, 78, 44, 94, 36, 94)
    p.line("orange", 2.5, 58, 78, 58, 94, 50, 94)
    p.blob("body", 20, 34, 34, 46, 56, 48, 72, 26, 92, 30, 88, 62, 66, 82, 38, 80, 24, 62)
    p.blob("dark", 42, 56, 60, 54, 76, 50, 70, 68, 52, 72)
    p.oval("body", 28, 30, 13)
    p.blob("red", 20, 18, 22, 8, 28, 14, 32, 6, 36, 14, 40, 12, 38, 22)
    p.poly("yellow", 16, 28, 4, 33, 17, 36)
    p.oval("red", 20, 43, 4, 6)
    p.eye(25, 28)


@ANIMALS.kind("yellow white brown green", scale=0.75)
def duck(p: Pen) -> None:
    p.blob("body", 24, 46, 38, 56, 60, 52, 94, 42, 90, 66, 74, 84, 42, 86, 24, 72)
    p.blob("dark", 46, 62, 64, 58, 82, 56, 74, 72, 56, 76)
    p.oval("body", 34, 32, 19, 18)
    p.blob("orange", 18, 32, 4, 34, 2, 41, 18, 42, 24, 38)
    p.eye(30, 27, 3)
    p.curve("sea", 2, 10, 90, 24, 87, 40, 91, 56, 87, 72, 91, 90, 88)


@ANIMALS.kind("gray white brown blue", scale=0.7)
def pigeon(p: Pen) -> None:
    p.line("rose", 2.5, 46, 76, 46, 92, 38, 93)
    p.line("rose", 2.5, 56, 76, 58, 92, 50, 93)
    p.blob("body", 28, 22, 38, 30, 46, 48, 72, 60, 96, 80, 78, 82, 54, 82, 32, 72, 24, 48)
    p.blob("dark", 44, 52, 66, 58, 88, 78, 62, 74, 46, 66)
    p.line("ink", 2, 60, 62, 66, 74)
    p.line("ink", 2, 68, 64, 74, 76)
    p.oval("body", 28, 24, 12, 11)
    p.blob("moss", 22, 36, 36, 34, 40, 44, 26, 46, edge=0)
    p.poly("ink", 17, 24, 6, 28, 18, 29)
    p.oval("orange", 25, 22, 3)
    p.oval("ink", 25, 22, 1.5, edge=0)


@ANIMALS.kind("red green blue yellow", scale=0.85)
def parrot(p: Pen) -> None:
    p.line("wood", 5, 10, 74, 90, 74)
    p.poly("dark", 50, 66, 64, 98, 56, 99, 44, 72)
    p.poly("yellow", 54, 66, 74, 96, 66, 99, 48, 72)
    p.blob("body", 36, 30, 56, 28, 66, 50, 60, 74, 44, 76, 34, 54)
    p.blob("sea", 52, 40, 66, 48, 68, 70, 58, 74, 50, 58)
    p.oval("body", 44, 22, 17, 16)
    p.oval("white", 36, 22, 8, 7)
    p.blob("ink", 30, 16, 20, 22, 22, 36, 30, 32, 34, 24)
    p.eye(38, 20, 2.6)
    p.line("iron", 3, 44, 74, 44, 78)
    p.line("iron", 3, 54, 74, 54, 78)


@ANIMALS.kind("gray brown blue pink", scale=1.25)
def elephant(p: Pen) -> None:
    p.curve("dark", 2.5, 92, 50, 97, 60, 94, 72)
    for x in (44, 82):
        p.box("dark", x - 7, 64, x + 7, 95, 3)
    p.blob("body", 34, 36, 60, 26, 88, 34, 95, 56, 86, 74, 56, 76, 38, 70)
    for x in (54, 72):
        p.box("body", x - 7, 66, x + 7, 95, 3)
        p.line("white", 1.6, x - 4, 94, x + 4, 94)
    p.blob("body", 22, 26, 40, 20, 52, 36, 46, 56, 28, 58, 18, 44)
    p.curve("body", 9, 22, 48, 14, 62, 14, 80, 6, 86)
    p.curve("white", 3.5, 26, 58, 20, 68, 12, 68)
    p.blob("dark", 40, 24, 56, 22, 64, 40, 56, 58, 44, 52)
    p.eye(27, 36)


@ANIMALS.kind("yellow orange brown", scale=1.3)
def giraffe(p: Pen) -> None:
    p.curve("dark", 2, 86, 60, 92, 68, 90, 80)
    for x in (46, 54, 74, 82):
        p.line("body", 3.6, x, 70, x, 94)
    p.poly("body", 24, 18, 36, 16, 56, 56, 40, 66)
    p.blob("body", 42, 56, 64, 54, 86, 58, 86, 72, 62, 76, 44, 74)
    p.line("bark", 2, 26, 10, 26, 3)
    p.line("bark", 2, 33, 10, 34, 3)
    p.blob("body", 8, 20, 24, 8, 38, 12, 36, 24, 20, 28, 8, 28)
    for x, y in ((33, 28), (38, 40), (44, 50), (42, 60), (52, 62), (62, 60), (72, 62), (80, 64)):
        p.star("bark", x, y, 3, 4.6, 5, edge=0)
    for x, y in ((57, 70), (68, 70), (77, 71)):
        p.star("bark", x, y, 2.4, 3.8, 5, edge=0)
    p.eye(24, 15, 2)


@ANIMALS.kind("orange yellow brown white", scale=1.1)
def lion(p: Pen) -> None:
    p.curve("body", 4, 84, 62, 96, 56, 92, 38)
    p.oval("bark", 91, 35, 6, 7)
    for x in (52, 78):
        p.box("dark", x - 5, 70, x + 5, 95, 3)
    p.blob("body", 44, 50, 70, 50, 88, 58, 86, 76, 62, 78, 44, 76)
    for x in (42, 86):
        p.box("body", x - 5, 70, x + 5, 95, 3)
    p.star("bark", 32, 44, 25, 32, 13)
    p.oval("body", 32, 45, 19, 20)
    p.oval("body", 17, 27, 5)
    p.oval("body", 47, 27, 5)
    p.oval("light", 32, 54, 10, 8)
    p.poly("ink", 28, 48, 36, 48, 32, 53)
    p.eye(25, 41)
    p.eye(39, 41)


@ANIMALS.kind("white brown gray black", scale=0.75)
def rabbit(p: Pen) -> None:
    p.oval("body", 38, 22, 7, 22, turn=-10)
    p.oval("body", 58, 22, 7, 22, turn=14)
    p.oval("rose", 38, 22, 3.4, 17, turn=-10, edge=0)
    p.oval("rose", 58, 22, 3.4, 17, turn=14, edge=0)
    p.oval("body", 54, 78, 26, 18)
    p.oval("white", 82, 80, 8)
    p.oval("body", 46, 50, 20, 18)
    p.eye(39, 47, 3)
    p.eye(54, 47, 3)
    p.poly("rose", 43, 54, 50, 54, 46.5, 58)
    p.box("white", 43.5, 59, 49.5, 65)
    p.oval("light", 36, 92, 10, 5)
    p.oval("light", 62, 92, 12, 5)
