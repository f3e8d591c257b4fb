"""Kinds of objects: a name, how it is drawn, and which attributes it can take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from demo.world.pen import Pen

COLOURS = (
    *("red", "orange", "yellow", "green", "blue", "purple"),
    *("pink", "brown", "black", "white", "gray", "turquoise"),
)
PATTERNS = ("plain", "striped", "dotted", "checkered", "zigzag", "floral")
MATERIALS = ("wooden", "metal", "glass", "knitted", "leather", "denim", "straw", "ceramic")
SIZES = ("small", "medium", "large")
DOMAINS = ("street", "fashion")

_PLURALIA_TANTUM = frozenset(
    ["jeans", "trousers", "shorts", "overalls", "pajamas", "sunglasses", "glasses", "scissors"]
)


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object that can stand in a scene.

    Attributes:
        name: its English name ("traffic light", "jeans").
        domain: "street" or "fashion".
        category: what a shop or a guide would file it under ("animal", "footwear").
        glyph: draws it with a pen.
        colours: the colours it comes in.
        patterned: whether its body can carry a pattern.
        materials: the materials it can be made of; empty where that says nothing.
        scale: its natural size beside the others, 1 being that of most.
        surface: how far down its glyph, 0 to 1, another object can stand on it; 0 for nowhere.
        plural: whether the name is a plural ("jeans").
    """

    name: str
    domain: str
    category: str
    glyph: Callable[[Pen], None]
    colours: tuple[str, ...]
    patterned: bool
    materials: tuple[str, ...]
    scale: float
    surface: float
    plural: bool

    @property
    def lemma(self) -> str:
        """Its name in the singular, where it has one ("boot" for "boots")."""
        if not self.plural or self.name in _PLURALIA_TANTUM:
            return self.name
        return self.name[:-3] + "y" if self.name.endswith("ies") else self.name[:-1]

    def __post_init__(self) -> None:
        for value in self.colours:
            if value not in COLOURS:
                raise ValueError(f"{self.name}: colour {value!r} is none of {COLOURS}")
        for value in self.materials:
            if value not in MATERIALS:
                raise ValueError(f"{self.name}: material {value!r} is none of {MATERIALS}")
        if self.domain not in DOMAINS:
            raise ValueError(f"{self.name}: domain {self.domain!r} is none of {DOMAINS}")


class Collection:
    """Kinds of one category, gathered by the decorator of their glyphs.

    Args:
        domain: "street" or "fashion".
        category: category of every kind in it.
        colours: colours of a kind that names none of its own, separated by spaces.
        patterned: whether its kinds carry patterns unless they say otherwise.
    """

    def __init__(
        self, domain: str, category: str, colours: str | None = None, patterned: bool = False
    ) -> None:
        self.kinds: list[Kind] = []
        self._domain = domain
        self._category = category
        self._colours = tuple((colours or " ".join(COLOURS)).split())
        self._patterned = patterned

    def kind(
        self,
        colours: str = "",
        materials: str = "",
        *,
        name: str = "",
        patterned: bool | None = None,
        scale: float = 1.0,
        surface: float = 0.0,
        plural: bool = False,
    ) -> Callable[[Callable[[Pen], None]], Callable[[Pen], None]]:
        """Decorator that makes a kind of a glyph; the function's name is the kind's."""

        def register(glyph: Callable[[Pen], None]) -> Callable[[Pen], None]:
            self.kinds.append(
                Kind(
                    name=name or glyph.__name__.replace("_", " "),
                    domain=self._domain,
                    category=self._category,
                    glyph=glyph,
                    colours=tuple(colours.split()) or self._colours,
                    patterned=self._patterned if patterned is None else patterned,
                    materials=tuple(materials.split()),
                    scale=scale,
                    surface=surface,
                    plural=plural,
                )
            )
            return glyph

        return register
