"""All kinds of the world, in one fixed order."""

from __future__ import annotations

import functools

from demo.world.accessories import ACCESSORIES, BAGS, FOOTWEAR
from demo.world.animals import ANIMALS
from demo.world.food import FOOD
from demo.world.garments import GARMENTS
from demo.world.home import HOME
from demo.world.instruments import INSTRUMENTS
from demo.world.kind import Kind
from demo.world.more_animals import MORE_ANIMALS
from demo.world.street import STREET
from demo.world.vehicles import VEHICLES

_COLLECTIONS = (
    ANIMALS,
    MORE_ANIMALS,
    VEHICLES,
    FOOD,
    HOME,
    STREET,
    INSTRUMENTS,
    GARMENTS,
    FOOTWEAR,
    BAGS,
    ACCESSORIES,
)


@functools.cache
def all_kinds(domain: str = "both") -> tuple[Kind, ...]:
    """Kinds of a domain ("street", "fashion" or "both"), in the order of the catalogue."""
    kinds = [kind for collection in _COLLECTIONS for kind in collection.kinds]
    return tuple(kind for kind in kinds if domain in ("both", kind.domain))


@functools.cache
def _by_name() -> dict[str, Kind]:
    return {kind.name: kind for kind in all_kinds()}


def kind_named(name: str) -> Kind:
    """The kind of this name.

    Raises:
        ValueError: for a name that no kind has.
    """
    try:
        return _by_name()[name]
    except KeyError:
        raise ValueError(f"no kind is called {name!r}; demo.world.all_kinds() lists them") from None
