"""Glyphs of vehicles."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

from demo.world.kind import Collection
from demo.world.pen import Pen

VEHICLES = Collection(
    "street", "vehicle", "red orange yellow green blue black white gray turquoise"
)


@VEHICLES.kind(patterned=True, scale=1.15)
def car(p: Pen) -> None:
    p.blob("body", 2, 62, 8, 50, 26, 46, 38, 28, 64, 26, 80, 46, 96, 52, 98, 66, 92, 76, 8, 76)
    p.poly("sky", 32, 46, 41, 32, 52, 32, 52, 46)
    p.poly("sky", 56, 46, 56, 32, 64, 32, 74, 46)
    p.line("edge", 1.4, 54, 48, 54, 72)
    p.line("steel", 2, 58, 54, 64, 54)
    p.oval("yellow", 6, 60, 3, 4)
    p.oval("red", 96, 60, 2, 4)
    p.wheel(24, 76, 11)
    p.wheel(76, 76, 11)


@VEHICLES.kind(patterned=True, scale=1.3)
def bus(p: Pen) -> None:
    p.box("body", 3, 24, 97, 80, 6)
    p.box("dark", 3, 62, 97, 68, edge=0)
    for x in (20, 36, 52, 68):
        p.box("sky", x, 32, x + 13, 50, 2)
    p.box("sky", 84, 32, 97, 56, 2)
    p.box("sky", 7, 32, 17, 76, 2)
    p.line("ink", 1, 12, 32, 12, 76)
    p.box("ink", 36, 25, 66, 30)
    p.wheel(30, 82, 9)
    p.wheel(78, 82, 9)


@VEHICLES.kind("red blue green white yellow gray", scale=1.25)
def truck(p: Pen) -> None:
    p.box("cream", 36, 18, 98, 74, 1)
    for y in (30, 42, 54):
        p.line("toast", 1.2, 38, y, 96, y)
    p.box("iron", 4, 74, 98, 80)
    p.poly("body", 4, 76, 4, 56, 12, 36, 34, 36, 34, 76)
    p.poly("sky", 8, 54, 14, 41, 30, 41, 30, 54)
    p.oval("yellow", 7, 66, 2.6, 4)
    p.line("steel", 3, 37, 34, 37, 12)
    p.wheel(18, 82, 10)
    p.wheel(64, 82, 10)
    p.wheel(86, 82, 10)


@VEHICLES.kind("yellow black white green", scale=1.15)
def taxi(p: Pen) -> None:
    p.box("yellow", 40, 16, 64, 26, 2)
    p.line("ink", 2, 44, 21, 60, 21)
    p.poly("body", 4, 74, 4, 54, 24, 50, 34, 27, 72, 27, 84, 50, 97, 54, 97, 74)
    p.poly("sky", 30, 49, 38, 32, 51, 32, 51, 49)
    p.poly("sky", 55, 49, 55, 32, 69, 32, 77, 49)
    for i in range(15):
        p.box("ink" if i % 2 else "white", 8 + i * 5.6, 54, 13.6 + i * 5.6, 58, edge=0)
        p.box("white" if i % 2 else "ink", 8 + i * 5.6, 58, 13.6 + i * 5.6, 62, edge=0)
    p.wheel(25, 76, 11)
    p.wheel(77, 76, 11)


@VEHICLES.kind(scale=1.1)
def bicycle(p: Pen) -> None:
    p.spokes(22, 70, 19)
    p.spokes(78, 70, 19)
    p.line("body", 3.4, 22, 70, 38, 38, 68, 38, 78, 70)
    p.line("body", 3.4, 38, 38, 48, 70, 22, 70)
    p.line("body", 3.4, 48, 70, 68, 38)
    p.line("body", 3.4, 68, 40, 64, 24)
    p.curve("ink", 3, 56, 26, 64, 22, 72, 24, 74, 30)
    p.line("body", 3.4, 38, 40, 35, 30)
    p.blob("ink", 24, 27, 44, 26, 42, 32, 30, 32)
    p.oval("iron", 48, 70, 5)


@VEHICLES.kind("red black blue green orange", scale=1.1)
def motorcycle(p: Pen) -> None:
    p.wheel(20, 74, 17)
    p.wheel(80, 74, 17)
    p.line("steel", 4, 80, 74, 66, 34)
    p.line("steel", 4, 20, 74, 48, 72)
    p.star("iron", 50, 68, 10, 13, 9)
    p.blob("ink", 8, 46, 26, 44, 48, 48, 46, 56, 20, 54)
    p.blob("body", 40, 48, 50, 36, 68, 38, 70, 52, 54, 60)
    p.curve("body", 4, 64, 66, 72, 54, 86, 54, 96, 64)
    p.line("steel", 4, 44, 80, 10, 84)
    p.line("ink", 4, 66, 36, 58, 24)
    p.oval("yellow", 74, 38, 6)


@VEHICLES.kind("red turquoise yellow pink white green", scale=1.0)
def scooter(p: Pen) -> None:
    p.wheel(24, 82, 12)
    p.wheel(80, 82, 12)
    p.blob("body", 6, 74, 10, 52, 40, 50, 46, 72, 62, 74, 70, 30, 78, 28, 80, 76, 60, 84, 40, 82)
    p.blob("ink", 8, 48, 24, 42, 46, 46, 40, 53, 12, 54)
    p.line("ink", 3.4, 72, 28, 60, 22)
    p.blob("body", 66, 20, 82, 18, 84, 34, 70, 34)
    p.oval("yellow", 83, 26, 4, 5)
    p.curve("body", 4, 66, 82, 72, 68, 88, 68, 94, 78)


@VEHICLES.kind(patterned=False, scale=1.3)
def tram(p: Pen) -> None:
    p.line("ink", 1.6, 2, 4, 98, 4)
    p.line("iron", 2, 44, 24, 56, 14, 44, 4)
    p.box("cream", 8, 22, 92, 52, 4)
    p.box("body", 6, 50, 94, 84, 4)
    p.box("dark", 14, 18, 86, 24, 2)
    for x in (14, 29, 44, 59, 74):
        p.box("sky", x, 28, x + 12, 48, 1)
    p.oval("yellow", 50, 66, 5)
    p.line("gold", 1.6, 10, 74, 90, 74)
    p.oval("ink", 28, 88, 6)
    p.oval("ink", 72, 88, 6)
    p.line("iron", 2, 0, 95, 100, 95)


@VEHICLES.kind("red green blue black", scale=1.3)
def train(p: Pen) -> None:
    p.oval("white", 16, 8, 7, edge=0)
    p.oval("white", 28, 5, 6, edge=0)
    p.poly("ink", 12, 42, 9, 18, 27, 18, 24, 42)
    p.box("dark", 40, 26, 48, 40, 3)
    p.box("body", 8, 38, 64, 72, 8)
    p.box("body", 58, 16, 94, 74)
    p.box("dark", 54, 11, 98, 19, 2)
    p.box("sky", 66, 26, 86, 46, 2)
    p.line("gold", 2, 26, 39, 26, 71)
    p.line("gold", 2, 44, 39, 44, 71)
    p.oval("yellow", 9, 50, 5)
    p.poly("iron", 8, 72, 0, 92, 16, 84, 16, 72)
    p.wheel(26, 82, 10)
    p.wheel(48, 82, 10)
    p.wheel(78, 79, 13)
    p.line("red", 2.4, 26, 82, 78, 82)


@VEHICLES.kind("white red blue green yellow", scale=1.1)
def sailboat(p: Pen) -> None:
    p.line("wood", 3, 48, 72, 48, 4)
    p.poly("body", 52, 8, 92, 64, 52, 64)
    p.poly("light", 44, 16, 44, 64, 14, 64)
    p.blob("wood", 6, 70, 50, 73, 96, 70, 82, 90, 50, 92, 20, 90)
    p.poly("red", 48, 2, 60, 5, 48, 9)
    p.curve("sea", 3, 2, 94, 18, 90, 34, 95, 50, 90, 66, 95, 82, 90, 98, 94)


@VEHICLES.kind("red blue white orange green", scale=1.2)
def ship(p: Pen) -> None:
    for x in (36, 54):
        p.box("body", x, 18, x + 12, 44)
        p.box("ink", x, 16, x + 12, 23)
    p.box("white", 24, 40, 82, 56, 2)
    p.box("white", 16, 52, 88, 68, 2)
    for x in range(26, 84, 11):
        p.oval("sea", x, 60, 3)
    p.poly("body", 2, 64, 98, 64, 86, 90, 16, 90)
    p.poly("white", 3.5, 68, 96.5, 68, 95.5, 72, 5.5, 72, edge=0)
    p.curve("sea", 3, 2, 92, 18, 88, 34, 93, 50, 88, 66, 93, 82, 88, 98, 92)


@VEHICLES.kind("white red blue yellow", scale=1.2)
def airplane(p: Pen) -> None:
    p.poly("dark", 52, 44, 72, 12, 80, 12, 70, 46)
    p.poly("dark", 82, 42, 90, 16, 99, 16, 96, 46)
    p.blob("body", 2, 52, 12, 42, 40, 38, 94, 40, 98, 46, 80, 60, 40, 64, 14, 62)
    p.poly("body", 44, 56, 66, 58, 90, 86, 78, 88)
    p.oval("iron", 66, 74, 8, 4)
    for x in range(26, 78, 8):
        p.oval("sky", x, 48, 2.4)
    p.poly("sky", 8, 46, 16, 43, 18, 49, 8, 51)
    p.line("red", 2, 8, 56, 86, 54)


@VEHICLES.kind("red green blue yellow orange black", scale=1.1)
def helicopter(p: Pen) -> None:
    p.line("iron", 3, 42, 32, 42, 18)
    p.line("ink", 3, 2, 18, 84, 18)
    p.poly("dark", 62, 44, 96, 40, 96, 48, 62, 60)
    p.poly("body", 88, 44, 94, 24, 99, 24, 98, 48)
    p.arc("steel", 2, 95, 36, 8, 8, 0, 360)
    p.blob("body", 6, 56, 18, 36, 44, 30, 66, 40, 68, 62, 52, 76, 22, 76)
    p.blob("sky", 10, 55, 22, 40, 36, 38, 36, 58, 14, 62)
    p.line("iron", 2.6, 28, 76, 26, 88)
    p.line("iron", 2.6, 54, 76, 56, 88)
    p.line("iron", 3.4, 10, 84, 18, 89, 72, 89)


@VEHICLES.kind(patterned=True, name="hot air balloon", scale=1.2)
def hot_air_balloon(p: Pen) -> None:
    p.blob("body", 50, 2, 80, 12, 88, 38, 74, 60, 58, 72, 42, 72, 26, 60, 12, 38, 20, 12)
    p.curve("edge", 1.4, 50, 3, 34, 20, 32, 44, 44, 71)
    p.curve("edge", 1.4, 50, 3, 66, 20, 68, 44, 56, 71)
    p.line("ink", 1.2, 40, 72, 42, 84, mirror=True)
    p.box("wood", 40, 82, 60, 97, 2)
    p.line("bark", 1.2, 41, 87, 59, 87)
    p.line("bark", 1.2, 41, 92, 59, 92)


@VEHICLES.kind("green red blue yellow orange", scale=1.15)
def tractor(p: Pen) -> None:
    p.line("iron", 4, 26, 46, 26, 24)
    p.box("body", 8, 44, 54, 68, 4)
    p.line("ink", 3, 50, 50, 52, 18)
    p.line("ink", 3, 84, 54, 82, 18)
    p.box("body", 46, 12, 90, 20, 3)
    p.box("sky", 55, 21, 80, 46)
    p.box("body", 52, 46, 90, 62, 4)
    for y in (50, 55, 60):
        p.line("ink", 1.4, 10, y, 22, y)
    p.oval("ink", 72, 70, 24)
    p.oval("gold", 72, 70, 12)
    p.wheel(20, 80, 14)


@VEHICLES.kind(patterned=True, scale=0.8)
def skateboard(p: Pen) -> None:
    p.curve("body", 7, 4, 42, 16, 54, 50, 56, 84, 54, 96, 42)
    p.poly("iron", 22, 60, 34, 60, 28, 70)
    p.poly("iron", 66, 60, 78, 60, 72, 70)
    for x in (22, 34, 66, 78):
        p.oval("yellow", x, 74, 6)
        p.oval("ink", x, 74, 2, edge=0)


@VEHICLES.kind("red white orange blue gray", scale=1.1)
def rocket(p: Pen) -> None:
    p.blob("orange", 38, 78, 50, 99, 62, 78, 50, 74)
    p.blob("yellow", 44, 78, 50, 92, 56, 78, edge=0)
    p.blob("dark", 34, 54, 16, 70, 16, 88, 36, 76, mirror=True)
    p.blob("body", 50, 2, 66, 24, 68, 56, 62, 78, 38, 78, 32, 56, 34, 24)
    p.pie("red", 50, 25, 15.5, 22, 188, 352)
    p.oval("steel", 50, 40, 10)
    p.oval("sky", 50, 40, 7)
    p.box("dark", 46, 62, 54, 86, 3)


@VEHICLES.kind("brown green red gray", "wooden metal", scale=0.95)
def wheelbarrow(p: Pen) -> None:
    p.line("wood", 4, 96, 40, 62, 62, 22, 78)
    p.line("iron", 4, 66, 66, 74, 92)
    p.wheel(18, 80, 14)
    p.blob("moss", 26, 42, 40, 24, 58, 20, 74, 38)
    p.oval("red", 44, 30, 5)
    p.oval("yellow", 56, 26, 5)
    p.poly("body", 14, 38, 86, 38, 70, 68, 34, 68)
    p.line("light", 1.6, 20, 43, 80, 43)


@VEHICLES.kind("blue pink red green gray black", patterned=True, scale=0.95)
def stroller(p: Pen) -> None:
    p.line("steel", 3, 88, 26, 70, 60, 36, 84)
    p.line("steel", 3, 40, 62, 70, 86)
    p.pie("body", 42, 48, 34, 34, 180, 300)
    p.poly("body", 42, 48, 58, 19, 60, 48)
    p.line("edge", 1.4, 42, 48, 26, 20)
    p.line("edge", 1.4, 42, 48, 42, 14)
    p.blob("dark", 10, 48, 40, 48, 74, 46, 66, 66, 36, 70, 16, 62)
    p.line("ink", 4, 84, 26, 94, 26)
    p.wheel(30, 86, 9)
    p.wheel(74, 86, 9)


@VEHICLES.kind("red brown green yellow blue", "wooden", scale=1.0)
def canoe(p: Pen) -> None:
    p.line("wood", 3, 18, 18, 62, 66)
    p.oval("wood", 17, 16, 5, 11, turn=-42)
    p.blob("body", 1, 46, 14, 56, 50, 60, 86, 56, 99, 46, 92, 76, 68, 84, 32, 84, 8, 76)
    p.line("light", 2, 10, 62, 50, 68, 90, 62)
    p.curve("sea", 3, 0, 86, 16, 82, 32, 88, 50, 83, 68, 88, 84, 82, 100, 86)
