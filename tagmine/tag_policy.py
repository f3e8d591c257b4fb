"""What is a tag and what is not: every list that the miner decides by, in one place."""

from __future__ import annotations

# Raised by whoever changes what the miner returns for any caption: it is part of the tagger's
# fingerprint, so finished parts are then mined again.
RULES_VERSION = 1

# OntoNotes entity types that name something. Counts, dates and quantities say nothing that a
# neighbour's picture could lend to this one.
ENTITY_LABELS = frozenset(
    {
        "PERSON",
        "NORP",
        "FAC",
        "ORG",
        "GPE",
        "LOC",
        "PRODUCT",
        "EVENT",
        "WORK_OF_ART",
        "LANGUAGE",
        "LAW",
    }
)

# Entities that are commonly adjectives ("a French flag"): they may modify an object.
ADJECTIVAL_LABELS = frozenset({"NORP", "LANGUAGE"})

# Heads that speak of the picture and not of what is in it.
PHOTO_HEADS = frozenset(
    {
        "background",
        "close up",
        "close - up",
        "closeup",
        "illustration",
        "image",
        "photo",
        "photograph",
        "picture",
        "stock photo",
        "view",
    }
)

# Heads that count what follows their "of": "a group of people" has people in it.
PARTITIVE_HEADS = frozenset(
    {"bunch", "couple", "group", "lot", "number", "pair", "piece", "row", "set", "variety"}
)

# Longer than this and it is no phrase but a run of characters that no tokenizer could split.
MAX_TAG_CHARACTERS = 100
