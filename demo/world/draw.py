"""Scenes to pictures."""

from __future__ import annotations

import dataclasses
import functools
import random

from PIL import Image, ImageChops, ImageDraw

from demo.world.backgrounds import HORIZON, paint_background
from demo.world.brands import Brand
from demo.world.catalogue import kind_named
from demo.world.kind import Kind
from demo.world.pen import BODY_PAINTS, CANVAS, MARGIN, Pen, paint_number
from demo.world.places import Place
from demo.world.scene import ObjectSpec, Scene, background_variant
from demo.world.surfaces import material_overlay, palette, pattern_overlay

IMAGE_SIDE = 224
"""Side of a picture in pixels, unless asked otherwise."""

_SIZE_FACTORS = {"small": 0.66, "medium": 1.0, "large": 1.32}


@dataclasses.dataclass(frozen=True, slots=True)
class _Spot:
    """Where an object stands: centre and foot, and its height, in shares of the image's side."""

    x: float
    foot: float
    height: float


def _mask(tile: Image.Image, paints: tuple[str, ...]) -> Image.Image:
    wanted = {paint_number(paint) for paint in paints}
    return tile.point([255 if number in wanted else 0 for number in range(256)])


@functools.lru_cache(maxsize=1024)
def _tile(name: str, side: int) -> tuple[Image.Image, Image.Image, Image.Image, Image.Image]:
    """Paint numbers of a kind's glyph; masks of all of it, its body, and its body with shades."""
    pen = Pen(side)
    kind_named(name).glyph(pen)
    outline = pen.tile.point([0] + [255] * 255)
    return (
        pen.tile,
        outline,
        _mask(pen.tile, BODY_PAINTS[:1]),
        _mask(pen.tile, BODY_PAINTS[:3]),
    )


@functools.lru_cache(maxsize=128)
def _mark(owner: Place | Brand, side: int) -> Image.Image:
    """RGBA picture of a landmark or a logo."""
    pen = Pen(4 * side)
    (owner.landmark if isinstance(owner, Place) else owner.logo)(pen)
    return _coloured(pen.tile, pen.tile.point([0] + [255] * 255), "gray").resize(
        (side, side), Image.Resampling.BOX
    )


def _coloured(tile: Image.Image, outline: Image.Image, colour: str) -> Image.Image:
    indexed = Image.frombytes("P", tile.size, tile.tobytes())
    indexed.putpalette(palette(colour))
    picture = indexed.convert("RGBA")
    picture.putalpha(outline)
    return picture


def _lay(picture: Image.Image, overlay: Image.Image | None, mask: Image.Image) -> None:
    if overlay is not None:
        alpha = ImageChops.multiply(overlay.getchannel("A"), mask)
        picture.paste(overlay.convert("RGB"), mask=alpha)


def draw_object(spec: ObjectSpec, side: int = 288) -> Image.Image:
    """Square RGBA picture of one object, transparent around it.

    Args:
        spec: the object; its size does not matter here.
        side: side of the picture in pixels.
    """
    tile, outline, body, shaded = _tile(spec.kind.name, side)
    indexed = Image.frombytes("P", tile.size, tile.tobytes())
    indexed.putpalette(palette(spec.colour))
    picture = indexed.convert("RGB")
    _lay(picture, pattern_overlay(spec.pattern, spec.colour, side), body)
    _lay(picture, material_overlay(spec.material, side), shaded)
    picture.putalpha(outline)
    return picture


def _foot_share(kind: Kind) -> float:
    """How far down its square a glyph reaches, 0 to 1."""
    outline = _tile(kind.name, 144)[1]
    box = outline.getbbox()
    if box is None:
        raise ValueError(f"the glyph of {kind.name} draws nothing")
    return box[3] / outline.height


def _height(spec: ObjectSpec, base: float) -> float:
    return min(0.9, base * _SIZE_FACTORS[spec.size] * spec.kind.scale**0.6)


def _spots(scene: Scene, rng: random.Random) -> list[_Spot]:
    """Where each object stands; two objects stand as their relation says."""
    sway = rng.uniform(-0.06, 0.06)
    first = scene.objects[0]
    if len(scene.objects) == 1:
        height = _height(first, rng.uniform(0.5, 0.68))
        return [_Spot(0.5 + 2 * sway, rng.uniform(0.84, 0.95), height)]
    second = scene.objects[1]
    if scene.relation == "on":
        below = _Spot(0.48 + sway, 0.96, _height(second, 0.5))
        surface = (MARGIN + CANVAS * second.kind.surface) / (CANVAS + 2 * MARGIN)
        top = below.foot - below.height * (_foot_share(second.kind) - surface)
        spots = [_Spot(below.x + sway, top, min(_height(first, 0.36), top - 0.02)), below]
    elif scene.relation == "under":
        above = _Spot(0.46 + sway, 0.86, max(0.6, _height(second, 0.66)))
        spots = [_Spot(above.x + sway, 0.95, min(0.4, _height(first, 0.32))), above]
    elif scene.relation == "next to":
        left, right = (
            (0.27 + sway, 0.71 + sway) if rng.random() < 0.5 else (0.71 + sway, 0.27 + sway)
        )
        spots = [
            _Spot(left, rng.uniform(0.86, 0.95), _height(first, 0.44)),
            _Spot(right, rng.uniform(0.86, 0.95), _height(second, 0.42)),
        ]
    else:
        near, far = _Spot(0.38 + sway, 0.96, 0.42), _Spot(0.58 + sway, 0.78, 0.5)
        place = {"in front of": (near, far), "behind": (far, near)}[scene.relation]
        spots = [
            dataclasses.replace(spot, height=_height(spec, spot.height))
            for spot, spec in zip(place, scene.objects, strict=False)
        ]
    if len(scene.objects) == 3:
        x = 0.87 if spots[0].x + spots[1].x < 1 else 0.13
        spots.append(_Spot(x, 0.95, min(0.3, _height(scene.objects[2], 0.28))))
    return spots


def _order(scene: Scene) -> list[int]:
    """Objects from back to front."""
    first, *others = range(len(scene.objects))
    if scene.relation == "behind":
        return [first, *others]
    return [*others[:1], first, *others[1:]]


def _stand(
    canvas: Image.Image, spec: ObjectSpec, spot: _Spot, rng: random.Random
) -> tuple[int, int, int, int]:
    """Paste an object, turned and stretched a little, and return its box in pixels."""
    side = canvas.width
    picture = draw_object(spec, 288 if side >= 160 else 144)
    if rng.random() < 0.5 and spec.kind.name != "stop sign":
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.5:
        picture = picture.rotate(rng.uniform(-7, 7), Image.Resampling.BILINEAR)
    high = max(6, round(spot.height * side))
    wide = max(6, round(high * rng.uniform(0.92, 1.08)))
    picture = picture.resize((wide, high), Image.Resampling.BILINEAR, reducing_gap=2.0)
    # Glyphs end where their feet are, not at the foot of their square.
    x = round(spot.x * side - wide / 2)
    y = round(spot.foot * side - high * _foot_share(spec.kind))
    # Keeps most of every object inside the picture, whatever its relation asked for.
    x = min(max(x, -wide // 10), side - wide + wide // 10)
    canvas.paste(picture, (x, max(y, -high // 12)), picture)
    return x, y, x + wide, y + high


def _shadow(canvas: Image.Image, spot: _Spot) -> None:
    side = canvas.width
    rx, ry = spot.height * side * 0.4, spot.height * side * 0.055
    shade = Image.new("L", canvas.size, 0)
    x, y = spot.x * side, spot.foot * side - ry * 0.4
    ImageDraw.Draw(shade).ellipse((x - rx, y - ry, x + rx, y + ry), fill=70)
    canvas.paste((30, 28, 40), mask=shade)


def _show_place(canvas: Image.Image, scene: Scene, place: Place, rng: random.Random) -> None:
    """Landmark on the horizon; indoors, as a picture on the wall."""
    side = canvas.width
    left = rng.random() < 0.5
    if scene.background.indoors:
        extent = round(side * 0.24)
        x, y = round(side * (0.06 if left else 0.7)), round(side * 0.07)
        draw = ImageDraw.Draw(canvas)
        rim = max(2, side // 60)
        draw.rectangle((x - rim, y - rim, x + extent + rim, y + extent + rim), (110, 76, 48))
        draw.rectangle((x, y, x + extent, y + extent), (206, 228, 240))
    else:
        extent = round(side * rng.uniform(0.34, 0.42))
        x = round(side * (rng.uniform(0.0, 0.08) if left else rng.uniform(0.54, 0.64)))
        y = round(side * (HORIZON + 0.03)) - extent
    mark = _mark(place, extent)
    canvas.paste(mark, (x, y), mark)


def _show_brand(canvas: Image.Image, brand: Brand, box: tuple[int, int, int, int]) -> None:
    """Swing tag with the logo, hanging from the lower corner of an object."""
    side = canvas.width
    extent = round(side * 0.17)
    x = min(max(round(box[2] - (box[2] - box[0]) * 0.22), 2), side - extent - 2)
    y = min(max(round(box[3] - (box[3] - box[1]) * 0.42), extent // 3), side - extent - 2)
    draw = ImageDraw.Draw(canvas)
    ink = (60, 56, 64)
    draw.line((x - extent // 5, y - extent // 3, x + extent // 2, y + 2), ink, max(1, side // 120))
    draw.rounded_rectangle(
        (x, y, x + extent, y + extent), extent // 6, (255, 255, 252), ink, max(1, side // 150)
    )
    pad = max(1, extent // 10)
    mark = _mark(brand, extent - 2 * pad)
    canvas.paste(mark, (x + pad + 1, y + pad + 1), mark)


def draw(scene: Scene, size: int = IMAGE_SIDE) -> Image.Image:
    """Draw a scene.

    Args:
        scene: what to draw.
        size: side of the square picture in pixels.

    Returns:
        An RGB picture; equal scenes and sizes give equal pixels.
    """
    rng = random.Random(f"draw {scene.domain} {scene.seed}")
    canvas = paint_background(scene.background, background_variant(scene), size).copy()
    if rng.random() < 0.5:
        canvas = canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if scene.place:
        _show_place(canvas, scene, scene.place, rng)
    spots = _spots(scene, rng)
    boxes = {}
    for i in _order(scene):
        if not (i == 0 and scene.relation == "on"):
            _shadow(canvas, spots[i])
        boxes[i] = _stand(canvas, scene.objects[i], spots[i], rng)
    if scene.brand:
        _show_brand(canvas, scene.brand, boxes[0])
    return canvas


def glyph(kind: Kind, colour: str | None = None, side: int = 288) -> Image.Image:
    """RGBA picture of a kind in one of its colours, the first by default."""
    return draw_object(ObjectSpec(kind, colour or kind.colours[0]), side)
