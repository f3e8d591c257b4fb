"""Glyphs of musical instruments."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

from demo.world.kind import Collection
from demo.world.pen import Pen

INSTRUMENTS = Collection("street", "instrument", "brown red black white blue")


@INSTRUMENTS.kind("brown red black blue orange", "wooden")
def guitar(p: Pen) -> None:
    p.box("bark", 46, 12, 54, 56)
    p.poly("ink", 43, 2, 57, 2, 55, 14, 45, 14)
    p.blob(
        "body", 50, 42, 66, 42, 70, 54, 64, 64, 76, 80, 66, 95, 50, 97, 34, 95, 24, 80, 36, 64,
        30, 54, 34, 42
    )
    p.oval("ink", 50, 64, 9)
    p.box("bark", 40, 82, 60, 86)
    for x in (48, 50, 52):
        p.line("white", 0.6, x, 8, x, 84)


@INSTRUMENTS.kind("brown orange red", "wooden", scale=0.95)
def violin(p: Pen) -> None:
    p.line("cream", 2, 86, 4, 64, 96)
    p.line("bark", 3, 82, 2, 60, 94)
    p.curve("bark", 4, 38, 12, 32, 8, 36, 2, 42, 6)
    p.box("ink", 35, 8, 43, 58)
    p.blob(
        "body", 39, 36, 56, 38, 58, 50, 51, 58, 52, 66, 62, 76, 58, 94, 39, 97, 20, 94, 16, 76,
        26, 66, 27, 58, 20, 50, 22, 38
    )
    p.curve("ink", 2, 30, 62, 27, 68, 30, 76)
    p.curve("ink", 2, 48, 62, 51, 68, 48, 76)
    p.poly("ink", 36, 40, 42, 40, 44, 62, 34, 62)
    p.poly("ink", 36, 80, 42, 80, 41, 96, 37, 96)


@INSTRUMENTS.kind("black brown white red", "wooden", surface=0.19, scale=1.25)
def piano(p: Pen) -> None:
    p.line("dark", 5, 16, 70, 16, 96)
    p.line("dark", 5, 78, 70, 78, 96)
    p.blob("body", 6, 48, 8, 20, 40, 8, 74, 16, 80, 36, 96, 44, 96, 54, 8, 54)
    p.box("body", 4, 50, 96, 74, 2)
    p.box("white", 8, 56, 92, 68)
    for k in range(13):
        x = 8 + 84 * (k + 1) / 14
        p.line("iron", 0.7, x, 56, x, 68)
        if k % 7 not in (2, 6):
            p.box("ink", x - 1.6, 56, x + 1.6, 63, edge=0)


@INSTRUMENTS.kind("red blue green yellow white", patterned=True, scale=0.9)
def drum(p: Pen) -> None:
    p.box("body", 12, 40, 88, 86)
    p.pie("body", 50, 86, 38, 10, 0, 180)
    p.line("white", 1.8, 14, 48, 26, 88, 38, 50, 50, 92, 62, 50, 74, 88, 86, 48)
    p.oval("gold", 50, 42, 40, 12)
    p.oval("white", 50, 40, 35, 9)
    p.line("wood", 3.4, 40, 38, 6, 10)
    p.line("wood", 3.4, 60, 38, 94, 10)
    p.oval("wood", 40, 38, 4)
    p.oval("wood", 60, 38, 4)


@INSTRUMENTS.kind("yellow gray red", "metal", scale=0.95)
def trumpet(p: Pen) -> None:
    p.poly("body", 64, 44, 84, 36, 97, 20, 97, 72, 84, 56, 64, 50)
    p.line("body", 4, 4, 47, 70, 47)
    p.arc("body", 4, 46, 58, 26, 11, 0, 360)
    for x in (38, 47, 56):
        p.box("body", x - 3, 36, x + 3, 68, 2)
        p.box("white", x - 2.6, 28, x + 2.6, 34, 1)
    p.poly("steel", 0, 42, 7, 45, 7, 49, 0, 52)


@INSTRUMENTS.kind("yellow gray black", "metal", scale=1.0)
def saxophone(p: Pen) -> None:
    p.curve("ink", 4, 18, 16, 26, 10, 34, 8)
    p.curve("body", 7, 34, 9, 46, 12, 46, 30, 46, 74, 56, 88, 70, 80, 74, 62)
    p.poly("body", 68, 64, 80, 66, 97, 36, 62, 36)
    p.oval("dark", 79, 37, 18, 5)
    for y in (28, 40, 52, 64):
        p.oval("white", 46, y, 4)
    p.line("iron", 2, 54, 26, 54, 66)


@INSTRUMENTS.kind("red black blue green", scale=1.0)
def accordion(p: Pen) -> None:
    for k in range(8):
        x = 32 + k * 5
        p.poly("dark" if k % 2 else "cream", x, 24, x + 5, 20, x + 5, 84, x, 80)
    p.box("body", 4, 16, 32, 88, 4)
    p.box("body", 70, 16, 96, 88, 4)
    for y in range(24, 84, 8):
        p.box("white", 8, y, 22, y + 6)
    for y in range(26, 84, 11):
        p.oval("white", 79, y, 2.8)
        p.oval("white", 88, y, 2.8)


@INSTRUMENTS.kind("yellow brown white", "wooden", scale=1.2)
def harp(p: Pen) -> None:
    for k in range(9):
        x = 32 + k * 6
        p.line("steel", 1.1, x, 15 + 9 * (k / 8) ** 2 + k * 0.4, x, 92 - k * 7)
    p.curve("body", 6, 24, 95, 24, 8, 40, 12, 60, 26, 84, 18)
    p.curve("body", 6, 26, 95, 60, 70, 84, 20)
    p.oval("body", 24, 8, 6)
    p.box("dark", 14, 92, 44, 98, 2)


@INSTRUMENTS.kind("brown yellow red", "wooden metal", scale=1.0)
def xylophone(p: Pen) -> None:
    p.poly("body", 2, 40, 98, 48, 98, 56, 2, 50)
    p.poly("body", 2, 84, 98, 72, 98, 80, 2, 94)
    for k, paint in enumerate(("red", "orange", "yellow", "leaf", "sea", "plum", "rose")):
        x = 6 + k * 13
        p.box(paint, x, 30 + k * 2, x + 10, 96 - k * 3, 2)
    p.line("wood", 2.6, 60, 22, 24, 6)
    p.oval("ink", 62, 23, 6)


@INSTRUMENTS.kind("yellow gray brown", "metal", scale=0.75)
def bell(p: Pen) -> None:
    p.arc("dark", 5, 50, 12, 9, 9, 0, 360)
    p.oval("dark", 50, 88, 9)
    p.blob("body", 50, 14, 68, 24, 72, 54, 90, 82, 50, 86, 10, 82, 28, 54, 32, 24)
    p.curve("dark", 3, 14, 76, 50, 80, 86, 76)
    p.curve("white", 3, 40, 28, 36, 44, 34, 58)


@INSTRUMENTS.kind("red brown yellow white", scale=0.85)
def banjo(p: Pen) -> None:
    p.box("bark", 46, 8, 54, 56)
    p.poly("body", 42, 1, 58, 1, 55, 13, 45, 13)
    p.oval("body", 50, 72, 26)
    p.oval("cream", 50, 72, 20)
    p.box("ink", 42, 80, 58, 83)
    for x in (48, 52):
        p.line("ink", 0.6, x, 10, x, 82)
    p.oval("gold", 38, 26, 3)


@INSTRUMENTS.kind("red blue black gray yellow", scale=0.75)
def microphone(p: Pen) -> None:
    p.curve("ink", 3, 34, 78, 20, 96, 50, 97, 84, 92)
    p.poly("body", 56, 36, 70, 50, 36, 86, 26, 76)
    p.oval("steel", 72, 28, 22)
    for k in (-12, -4, 4, 12):
        p.line("iron", 1.4, 58 + k, 14 + abs(k) * 0.4, 86 + k * 0.6, 42 - abs(k) * 0.4)
        p.line("iron", 1.4, 86 + k * 0.6, 14 + abs(k) * 0.4, 58 + k, 42 - abs(k) * 0.4)
    p.line("red", 2.6, 50, 56, 46, 60)
