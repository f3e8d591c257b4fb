"""Glyphs of street furniture, plants and buildings."""

# One coordinate a line, as the formatter would have it, hides the shape.
# fmt: off
from __future__ import annotations

from demo.world.kind import Collection
from demo.world.pen import Pen

STREET = Collection("street", "street furniture")


@STREET.kind("black yellow green gray", name="traffic light", scale=1.1)
def traffic_light(p: Pen) -> None:
    p.box("iron", 46, 66, 54, 97)
    p.box("body", 30, 2, 70, 70, 8)
    for y, paint in ((15, "red"), (36, "yellow"), (57, "leaf")):
        p.oval(paint, 50, y, 9)
        p.arc("ink", 2, 50, y, 10, 10, 190, 350)


@STREET.kind("black green gray", "metal", name="street lamp", scale=1.2)
def street_lamp(p: Pen) -> None:
    p.poly("body", 38, 96, 62, 96, 55, 84, 45, 84)
    p.box("body", 47, 34, 53, 88)
    p.curve("body", 3, 50, 50, 36, 44, 32, 52)
    p.curve("body", 3, 50, 50, 64, 44, 68, 52)
    p.poly("yellow", 36, 12, 64, 12, 58, 34, 42, 34)
    p.line("ink", 1.4, 50, 12, 50, 34)
    p.poly("body", 30, 13, 50, 1, 70, 13)


@STREET.kind("red blue yellow green", "metal", scale=0.95)
def mailbox(p: Pen) -> None:
    p.box("wood", 44, 60, 56, 97)
    p.poly("body", 30, 30, 84, 30, 84, 66, 30, 66)
    p.pie("body", 57, 30, 27, 22, 180, 360)
    p.box("body", 14, 30, 46, 66, edge=1.2)
    p.pie("body", 30, 30, 16, 22, 180, 360)
    p.box("ink", 19, 36, 41, 41, 2)
    p.box("white", 20, 44, 40, 56)
    p.line("red", 1.6, 20, 44, 30, 51, 40, 44)
    p.poly("orange", 74, 42, 74, 14, 88, 14, 88, 22, 78, 22, 78, 42)


@STREET.kind("red yellow blue", "metal", name="fire hydrant", scale=0.8)
def fire_hydrant(p: Pen) -> None:
    p.box("dark", 22, 86, 78, 96, 3)
    p.box("dark", 12, 44, 34, 62, 4, mirror=True)
    p.box("body", 30, 30, 70, 88, 4)
    p.pie("body", 50, 30, 24, 24, 180, 360)
    p.box("light", 24, 28, 76, 36, 2)
    p.oval("steel", 50, 56, 13)
    p.oval("iron", 50, 56, 6)
    p.box("dark", 44, 2, 56, 10, 2)


@STREET.kind("gray white brown", scale=1.2)
def fountain(p: Pen) -> None:
    for x in (14, 30):
        p.curve("sky", 3, 50, 12, 40 - x * 0.1, 4, x, 36, mirror=True)
    p.curve("sky", 3, 28, 44, 20, 48, 16, 74, mirror=True)
    p.box("body", 46, 16, 54, 76)
    p.pie("body", 50, 34, 26, 14, 0, 180)
    p.oval("sea", 50, 34, 26, 4)
    p.oval("sea", 50, 76, 46, 8)
    p.poly("body", 2, 76, 98, 76, 90, 96, 10, 96)
    p.line("light", 2, 6, 82, 94, 82)


@STREET.kind(patterned=True, surface=0.62, scale=1.25)
def stall(p: Pen) -> None:
    p.box("wood", 8, 24, 13, 96)
    p.box("wood", 87, 24, 92, 96)
    p.box("wood", 6, 62, 94, 94)
    p.line("bark", 1.4, 8, 78, 92, 78)
    for k, paint in enumerate(("red", "orange", "lime", "red", "yellow", "plum")):
        p.oval(paint, 18 + k * 13, 60, 7)
    p.poly("body", 12, 6, 88, 6, 98, 30, 2, 30)
    for k in range(6):
        p.pie("light" if k % 2 else "body", 10 + k * 16, 30, 8, 9, 0, 180)


@STREET.kind(patterned=True, surface=0.46, scale=1.0)
def cart(p: Pen) -> None:
    p.line("wood", 4, 80, 58, 99, 44)
    p.line("wood", 2.4, 18, 46, 18, 12)
    p.line("wood", 2.4, 70, 46, 70, 12)
    p.pie("body", 44, 20, 40, 18, 180, 360)
    p.box("wood", 6, 44, 84, 68, 2)
    for x in (24, 44, 64):
        p.line("bark", 1.4, x, 45, x, 67)
    p.spokes(30, 78, 17, "bark")
    p.spokes(66, 78, 17, "bark")


@STREET.kind("green gray black blue", "metal", name="trash can", scale=0.85)
def trash_can(p: Pen) -> None:
    p.poly("body", 16, 28, 84, 28, 76, 96, 24, 96)
    for x in (32, 44, 56, 68):
        p.line("dark", 3.4, x, 36, 50 + (x - 50) * 0.8, 90)
    p.box("light", 8, 18, 92, 29, 4)
    p.arc("iron", 4, 50, 18, 12, 10, 180, 360)


@STREET.kind("red yellow blue", name="telephone booth", scale=1.25)
def telephone_booth(p: Pen) -> None:
    p.box("body", 22, 14, 78, 97)
    p.pie("body", 50, 14, 28, 11, 180, 360)
    p.box("white", 28, 15, 72, 22)
    for row in range(5):
        for column in range(3):
            x, y = 28 + column * 15.5, 27 + row * 12
            p.box("sky", x, y, x + 13, y + 9.6)
    p.box("dark", 20, 92, 80, 97)


@STREET.kind("red yellow blue", name="stop sign", scale=1.1)
def stop_sign(p: Pen) -> None:
    p.box("steel", 46, 56, 54, 97)
    p.poly("white", 32, 2, 68, 2, 92, 22, 92, 48, 68, 66, 32, 66, 8, 48, 8, 22)
    p.poly("body", 34, 6, 66, 6, 88, 24, 88, 46, 66, 62, 34, 62, 12, 46, 12, 24)
    p.curve("white", 4, 32, 27, 26, 26, 25, 32, 31, 36, 29, 42, 23, 41)
    p.line("white", 4, 37, 27, 47, 27)
    p.line("white", 4, 42, 27, 42, 42)
    p.arc("white", 4, 57, 34.5, 6, 7.5, 0, 360)
    p.line("white", 4, 69, 42, 69, 27)
    p.arc("white", 4, 70, 31, 6, 4, -90, 90)


@STREET.kind("green orange red yellow", scale=1.3)
def tree(p: Pen) -> None:
    p.poly("bark", 42, 96, 46, 52, 54, 52, 60, 96)
    p.line("bark", 4, 50, 66, 64, 50)
    for x, y, r in (
        (26, 44, 20), (74, 44, 20), (34, 24, 19), (66, 24, 19), (50, 16, 15), (50, 46, 21)
    ):
        p.oval("body", x, y, r)
    p.oval("body", 50, 36, 28, 22, edge=0)
    for x, y in ((34, 30), (58, 22), (68, 44), (44, 48), (26, 48)):
        p.arc("edge", 1.4, x, y, 6, 5, 190, 350)


@STREET.kind("green yellow", name="palm tree", scale=1.3)
def palm_tree(p: Pen) -> None:
    p.curve("wood", 7, 56, 95, 48, 70, 48, 44, 54, 28)
    for y in (44, 56, 68, 80):
        p.line("bark", 1.6, 45, y, 52, y - 2)
    for x, y, kx, ky in (
        (4, 44, 24, 12), (14, 8, 36, 6), (92, 6, 70, 4), (99, 40, 82, 12), (30, 62, 34, 32),
        (82, 60, 74, 32)
    ):
        p.blob("body", 54, 26, kx, ky, x, y, (kx + 54) / 2, (ky + 34) / 2)
    p.oval("bark", 50, 31, 5)
    p.oval("bark", 59, 32, 5)


@STREET.kind("red pink yellow white", scale=0.7)
def rose(p: Pen) -> None:
    p.curve("moss", 4, 50, 96, 48, 72, 50, 46)
    p.blob("leaf", 50, 78, 68, 64, 84, 68, 70, 82)
    p.blob("leaf", 48, 88, 30, 76, 16, 82, 30, 92)
    p.blob("body", 50, 56, 24, 46, 20, 20, 38, 8, 62, 8, 80, 20, 76, 46)
    p.curve(
        "edge", 2, 34, 44, 28, 28, 44, 16, 66, 20, 68, 36, 56, 44, 42, 38, 46, 26, 58, 28, 56, 34
    )


@STREET.kind("yellow orange", scale=0.95)
def sunflower(p: Pen) -> None:
    p.line("moss", 5, 50, 48, 50, 97)
    p.blob("leaf", 50, 82, 66, 64, 88, 66, 72, 84)
    p.blob("leaf", 50, 90, 34, 72, 12, 74, 28, 92)
    p.star("dark", 50, 32, 20, 32, 16)
    p.star("body", 50, 32, 18, 29, 13)
    p.oval("choc", 50, 32, 15)
    for x, y in ((44, 28), (52, 26), (58, 34), (48, 36), (54, 40)):
        p.oval("toast", x, y, 1.6, edge=0)


@STREET.kind("red yellow pink purple white", scale=0.7)
def tulip(p: Pen) -> None:
    p.line("moss", 5, 50, 50, 50, 97)
    p.blob("leaf", 50, 95, 34, 78, 20, 40, 40, 62)
    p.blob("leaf", 50, 95, 68, 80, 82, 48, 60, 66)
    p.blob("body", 50, 56, 30, 50, 26, 28, 28, 4, 40, 18, 50, 2, 60, 18, 72, 4, 74, 28, 70, 50)
    p.curve("edge", 1.8, 40, 18, 36, 34, 44, 54)
    p.curve("edge", 1.8, 60, 18, 64, 34, 56, 54)


@STREET.kind("white yellow red blue brown pink", patterned=False, scale=1.4)
def house(p: Pen) -> None:
    p.box("meat", 68, 8, 80, 34)
    p.box("body", 12, 44, 88, 96)
    p.poly("meat", 2, 48, 50, 6, 98, 48)
    p.box("wood", 42, 66, 58, 96)
    p.oval("gold", 54, 82, 1.6, edge=0)
    for x in (20, 66):
        p.box("sky", x, 58, x + 15, 74)
        p.line("white", 1.6, x + 7.5, 58, x + 7.5, 74)
        p.line("white", 1.6, x, 66, x + 15, 66)
    p.oval("sky", 50, 32, 7)


@STREET.kind("white brown gray red", scale=1.35)
def windmill(p: Pen) -> None:
    p.poly("body", 34, 96, 40, 34, 60, 34, 66, 96)
    p.pie("meat", 50, 35, 13, 14, 180, 360)
    p.box("wood", 45, 78, 55, 96, 4)
    p.box("sky", 46, 52, 54, 62)
    for dx, dy in ((36, -26), (26, 36), (-36, 26), (-26, -36)):
        x, y = 50 + dx, 32 + dy
        nx, ny = -dy * 0.26, dx * 0.26
        p.poly(
            "cream", 50 + dx * 0.25, 32 + dy * 0.25, x, y, x + nx, y + ny, 50 + dx * 0.25 + nx,
            32 + dy * 0.25 + ny
        )
        p.line("bark", 2, 50, 32, x, y)
    p.oval("iron", 50, 32, 4)


@STREET.kind("red white blue black", patterned=True, scale=1.35)
def lighthouse(p: Pen) -> None:
    p.poly("yellow", 42, 16, 2, 4, 2, 30, edge=0)
    p.poly("yellow", 58, 16, 98, 4, 98, 30, edge=0)
    p.blob("iron", 12, 97, 26, 84, 74, 84, 88, 97)
    p.poly("body", 32, 90, 40, 28, 60, 28, 68, 90)
    p.poly("white", 38, 44, 62, 44, 63.5, 58, 36.5, 58)
    p.poly("white", 34.6, 72, 65.4, 72, 67, 84, 33, 84)
    p.box("yellow", 42, 12, 58, 26)
    p.box("iron", 34, 25, 66, 30)
    p.poly("body", 38, 13, 50, 1, 62, 13)


@STREET.kind(patterned=True, scale=1.2)
def tent(p: Pen) -> None:
    p.line("ink", 2, 2, 96, 14, 88)
    p.line("ink", 2, 98, 96, 86, 88)
    p.poly("body", 50, 10, 96, 92, 4, 92)
    p.poly("dark", 50, 10, 68, 92, 32, 92)
    p.poly("ink", 50, 36, 60, 92, 40, 92)
    p.line("wood", 3, 50, 12, 50, 2)
    p.poly("red", 50, 2, 62, 5, 50, 9)


@STREET.kind(patterned=True, scale=1.2)
def parasol(p: Pen) -> None:
    p.line("wood", 4, 50, 10, 50, 92)
    p.oval("iron", 50, 93, 18, 4)
    p.pie("body", 50, 46, 48, 40, 180, 360)
    for x in (2, 18, 34, 50, 66, 82):
        p.pie("dark", x + 8, 46, 8, 7, 0, 180)
    p.curve("edge", 1.6, 50, 6, 36, 24, 34, 46)
    p.curve("edge", 1.6, 50, 6, 64, 24, 66, 46)
    p.oval("gold", 50, 5, 3)


@STREET.kind("green red blue yellow purple orange pink", patterned=True, scale=0.95)
def kite(p: Pen) -> None:
    p.curve("ink", 1.6, 46, 66, 30, 74, 36, 86, 14, 96)
    for x, y in ((32, 74), (30, 87), (16, 95)):
        p.poly("orange", x, y, x - 6, y - 5, x - 6, y + 5)
        p.poly("orange", x, y, x + 6, y - 5, x + 6, y + 5)
    p.poly("body", 60, 2, 92, 30, 46, 68, 26, 26)
    p.poly("light", 60, 2, 92, 30, 54, 33)
    p.poly("dark", 26, 26, 54, 33, 46, 68)


@STREET.kind(scale=0.85)
def balloon(p: Pen) -> None:
    p.curve("ink", 1.6, 50, 68, 44, 78, 56, 88, 48, 98)
    p.oval("body", 50, 36, 31, 34)
    p.poly("body", 50, 68, 43, 76, 57, 76)
    p.oval("white", 38, 24, 5, 9, turn=30, edge=0)


@STREET.kind(patterned=True, scale=0.65)
def ball(p: Pen) -> None:
    p.oval("body", 50, 54, 42)
    p.star("white", 50, 54, 9, 16, 5)
    p.curve("white", 4, 50, 38, 46, 24, 50, 12)
    p.curve("white", 4, 65, 50, 78, 48, 91, 50)
    p.curve("white", 4, 35, 50, 22, 48, 9, 50)
    p.curve("white", 4, 59, 67, 68, 78, 70, 90)
    p.curve("white", 4, 41, 67, 32, 78, 30, 90)


@STREET.kind("brown pink white yellow", "knitted", name="teddy bear", scale=0.85)
def teddy_bear(p: Pen) -> None:
    p.oval("body", 24, 86, 13, 10, turn=-20, mirror=True)
    p.oval("body", 20, 58, 9, 15, turn=40, mirror=True)
    p.oval("body", 50, 68, 25, 24)
    p.oval("light", 50, 70, 15, 15)
    p.oval("body", 28, 12, 10, mirror=True)
    p.oval("rose", 28, 12, 5, mirror=True, edge=0)
    p.oval("body", 50, 28, 27, 23)
    p.oval("light", 50, 36, 11, 9)
    p.oval("ink", 50, 32, 4, 3)
    p.eye(40, 24, mirror=True)
    p.poly("red", 50, 51, 38, 45, 38, 57, mirror=True)


@STREET.kind("gray blue red green yellow", "metal", scale=0.95)
def robot(p: Pen) -> None:
    p.line("iron", 2.4, 50, 14, 50, 4)
    p.oval("red", 50, 4, 4)
    p.line("iron", 5, 24, 52, 8, 62, 8, 76)
    p.line("iron", 5, 76, 52, 92, 62, 92, 76)
    p.box("dark", 32, 80, 44, 97, mirror=True)
    p.box("body", 24, 46, 76, 84, 4)
    p.box("body", 26, 12, 74, 42, 5)
    p.oval("yellow", 39, 25, 6, mirror=True)
    p.oval("ink", 39, 25, 2.4, mirror=True, edge=0)
    p.box("ink", 38, 34, 62, 38)
    for x, paint in ((36, "red"), (50, "yellow"), (64, "leaf")):
        p.oval(paint, x, 56, 4)
    p.box("ink", 32, 66, 68, 76, 2)


@STREET.kind("white", scale=1.0)
def snowman(p: Pen) -> None:
    p.line("bark", 3, 30, 50, 6, 36)
    p.line("bark", 3, 70, 50, 94, 36)
    p.oval("body", 50, 76, 29, 22)
    p.oval("body", 50, 50, 21, 18)
    p.oval("body", 50, 27, 16)
    p.box("ink", 36, 2, 64, 15, 1)
    p.box("ink", 28, 13, 72, 18, 1)
    p.poly("orange", 50, 28, 50, 33, 68, 32)
    p.eye(44, 24)
    p.eye(56, 24)
    p.line("red", 5, 38, 40, 62, 40)
    p.line("red", 5, 58, 41, 62, 56)
    for y in (50, 58, 72):
        p.oval("ink", 50, y, 2.2, edge=0)


@STREET.kind("red green blue purple", materials="wooden metal", scale=0.9)
def sled(p: Pen) -> None:
    p.curve("iron", 3.4, 4, 62, 4, 80, 16, 84, 96, 84)
    for x in (24, 50, 76):
        p.line("iron", 3, x, 82, x, 60)
    for y in (46, 54, 62):
        p.box("body", 10, y, 94, y + 6, 2)
    p.curve("ink", 1.8, 10, 50, 0, 36, 14, 24, 34, 30)
