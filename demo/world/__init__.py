"""The drawn world: kinds of objects, scenes made of them, their pictures and their captions."""

from __future__ import annotations

from demo.world.backgrounds import BACKGROUNDS, Background
from demo.world.brands import BRANDS, Brand
from demo.world.captions import Caption, caption, captions, object_tag, scene_tags
from demo.world.catalogue import all_kinds, kind_named
from demo.world.draw import IMAGE_SIDE, draw, draw_object, glyph
from demo.world.kind import COLOURS, DOMAINS, MATERIALS, PATTERNS, SIZES, Kind
from demo.world.places import PLACES, Place
from demo.world.scene import RELATIONS, SPLITS, ObjectSpec, Scene, sample_object, sample_scene

__all__ = [
    "BACKGROUNDS",
    "BRANDS",
    "COLOURS",
    "DOMAINS",
    "IMAGE_SIDE",
    "MATERIALS",
    "PATTERNS",
    "PLACES",
    "RELATIONS",
    "SIZES",
    "SPLITS",
    "Background",
    "Brand",
    "Caption",
    "Kind",
    "ObjectSpec",
    "Place",
    "Scene",
    "all_kinds",
    "caption",
    "captions",
    "draw",
    "draw_object",
    "glyph",
    "kind_named",
    "object_tag",
    "sample_object",
    "sample_scene",
    "scene_tags",
]
