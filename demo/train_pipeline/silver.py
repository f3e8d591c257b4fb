"""Silver captions as spaCy training examples: labels mended, variants added.

The silver entities are one model's opinion of text that it was never trained for: "motorcycle"
is an ORG in them, "zebras" a NORP, and a whole product name a PERSON. Training on that would
teach the noise, so entities are mended by counting over the silver itself, before training.
Tags, dependencies and lemmas are taken as they are.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import random
from collections.abc import Callable, Iterable, Iterator

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.vocab import Vocab

from demo.train_pipeline import variants

NUMERIC_LABELS = frozenset(["CARDINAL", "ORDINAL", "DATE", "TIME", "QUANTITY", "MONEY", "PERCENT"])
AUDIENCE_WORDS = frozenset(
    {"men", "women", "boys", "girls", "kids", "unisex"}
    | {"men's", "women's", "boy's", "girl's", "kid's", "boys'", "girls'"}
)
BRAND_MIN_PRODUCTS = 3
BRAND_MAX_WORDS = 4

# The rule lemmatizer leaves a word alone where the morphology says it is a base form; without
# these features it would turn "bus" into "bu".
MORPH_BY_TAG = {
    "NN": "Number=Sing",
    "NNS": "Number=Plur",
    "NNP": "Number=Sing",
    "NNPS": "Number=Plur",
    "VB": "VerbForm=Inf",
    "VBP": "Tense=Pres|VerbForm=Fin",
    "VBZ": "Number=Sing|Person=3|Tense=Pres|VerbForm=Fin",
    "VBD": "Tense=Past|VerbForm=Fin",
    "VBG": "Aspect=Prog|Tense=Pres|VerbForm=Part",
    "VBN": "Aspect=Perf|Tense=Past|VerbForm=Part",
    "JJ": "Degree=Pos",
    "JJR": "Degree=Cmp",
    "JJS": "Degree=Sup",
}


def read_docs(path: str | os.PathLike[str], vocab: Vocab) -> list[Doc]:
    """The docs of one DocBin file."""
    return list(DocBin().from_disk(path).get_docs(vocab))


@dataclasses.dataclass(frozen=True, slots=True)
class Lexicon:
    """What the silver as a whole says about words, used to mend its entities.

    Attributes:
        common: lower-case words that the captions use as ordinary words.
        brands: word sequences that open at least three product names.
    """

    common: frozenset[str]
    brands: frozenset[tuple[str, ...]]


def is_product_name(doc: Doc) -> bool:
    """Whether a text is a title-cased product name and not a caption."""
    words = [t for t in doc if t.is_alpha]
    if len(words) < 3:
        return False
    if any(t.tag_ in ("VBZ", "VBP", "DT") for t in words):
        return False
    return sum(t.text[0].isupper() for t in words) >= 0.8 * len(words)


def _opening_brand(doc: Doc) -> tuple[str, ...] | None:
    for i in range(1, min(len(doc), BRAND_MAX_WORDS + 1)):
        following = doc[i].lower_ + (doc[i + 1].text if _is_possessive(doc, i + 1) else "")
        if doc[i].lower_ in AUDIENCE_WORDS or following in AUDIENCE_WORDS:
            return tuple(t.text for t in doc[:i])
    return None


def _is_possessive(doc: Doc, i: int) -> bool:
    return i < len(doc) and doc[i].text == "'s"


def build_lexicon(docs: Iterable[Doc]) -> Lexicon:
    """Counts ordinary words and brands over the silver texts."""
    outside: collections.Counter[str] = collections.Counter()
    inside: collections.Counter[str] = collections.Counter()
    openings: collections.Counter[tuple[str, ...]] = collections.Counter()
    for doc in docs:
        if is_product_name(doc):
            brand = _opening_brand(doc)
            if brand:
                openings[brand] += 1
            continue
        for token in doc:
            if token.is_lower:
                (inside if token.ent_type_ else outside)[token.text] += 1
    common = frozenset(w for w, n in outside.items() if n >= 3 and n >= 2 * inside[w])
    brands = frozenset(b for b, n in openings.items() if n >= BRAND_MIN_PRODUCTS)
    return Lexicon(common=common, brands=brands)


def mended_entities(doc: Doc, lexicon: Lexicon) -> list[Span]:
    """The doc's entities with what is plainly wrong in them put right or left out."""
    numeric = [e for e in doc.ents if e.label_ in NUMERIC_LABELS]
    if is_product_name(doc):
        brand = _brand_span(doc, lexicon)
        kept = [e for e in numeric if brand is None or e.start >= brand.end]
        return ([brand] if brand is not None else []) + kept
    named = [e for e in doc.ents if e.label_ not in NUMERIC_LABELS]
    return numeric + [e for e in named if _is_plausible_name(e, lexicon)]


def _brand_span(doc: Doc, lexicon: Lexicon) -> Span | None:
    for length in range(min(BRAND_MAX_WORDS, len(doc)), 0, -1):
        if tuple(t.text for t in doc[:length]) in lexicon.brands:
            return Span(doc, 0, length, label="ORG")
    opens_with_name = bool(doc[0].ent_type_) and doc[0].ent_type_ not in NUMERIC_LABELS
    length = 0
    while length < min(2, len(doc)) and _is_rare_word(doc[length], lexicon):
        length += 1
    return Span(doc, 0, length, label="ORG") if opens_with_name and length else None


def _is_rare_word(token, lexicon: Lexicon) -> bool:
    return token.is_alpha and token.lower_ not in lexicon.common | AUDIENCE_WORDS


def _is_plausible_name(entity: Span, lexicon: Lexicon) -> bool:
    words = [t for t in entity if t.is_alpha]
    if not words or all(t.lower_ in lexicon.common for t in words):
        return False
    if any(not t.is_lower for t in words):
        return True
    if any(t.lower_ in lexicon.common for t in words if t.lower_ not in ("the", "of", "and")):
        return False
    wanted = ("NNP", "NNPS", "JJ") if entity.label_ in ("NORP", "LANGUAGE") else ("NNP", "NNPS")
    return any(t.tag_ in wanted for t in words)


def to_reference(doc: Doc, lexicon: Lexicon) -> Doc:
    """A copy of a silver doc with mended entities and with morphology from its tags."""
    reference = Doc(
        doc.vocab,
        words=[t.text for t in doc],
        spaces=[bool(t.whitespace_) for t in doc],
        tags=[t.tag_ for t in doc],
        pos=[t.pos_ for t in doc],
        morphs=[MORPH_BY_TAG.get(t.tag_, "") for t in doc],
        heads=[t.head.i for t in doc],
        # The silver leaves spaces unlabelled; an empty label would train as "missing".
        deps=[t.dep_ or "dep" for t in doc],
    )
    spans = [Span(reference, e.start, e.end, label=e.label_) for e in mended_entities(doc, lexicon)]
    reference.set_ents(spans, default="outside")
    return reference


@spacy.registry.readers("tagmine.SilverCaptions.v1")
def silver_captions(
    path: str, lexicon_path: str, seed: int, variant_share: float
) -> Callable[[Language], Iterator[Example]]:
    """A corpus reader over one DocBin file of silver captions.

    Args:
        path: the DocBin file.
        lexicon_path: the DocBin file whose counts mend the entities (the training file).
        seed: fixes which captions get a variant, and which variant.
        variant_share: share of captions that are seen a second time, altered (see
            `demo.train_pipeline.variants`); 0 for evaluation.
    """

    references: list[Doc] = []

    def read(nlp: Language) -> Iterator[Example]:
        # spaCy reads the corpus once to initialise each component and once to train.
        if not references:
            references.extend(_read_references(path, lexicon_path, nlp, seed, variant_share))
        for reference in references:
            yield _example(nlp, reference)

    return read


def _read_references(
    path: str, lexicon_path: str, nlp: Language, seed: int, variant_share: float
) -> Iterator[Doc]:
    lexicon = build_lexicon(read_docs(lexicon_path, nlp.vocab))
    brands = sorted(" ".join(brand) for brand in lexicon.brands)
    rng = random.Random(seed)
    for doc in read_docs(path, nlp.vocab):
        reference = to_reference(doc, lexicon)
        yield reference
        if rng.random() < variant_share:
            product = is_product_name(doc)
            variant = variants.make_variant(reference, rng, brands, is_product=product)
            if variant is not None:
                yield variant


def _example(nlp: Language, reference: Doc) -> Example:
    # Predicted tokens are the reference's own: the silver was tokenised by spaCy 2, and what is
    # trained here is not the tokenizer.
    words = [t.text for t in reference]
    spaces = [bool(t.whitespace_) for t in reference]
    return Example(Doc(nlp.vocab, words=words, spaces=spaces), reference)
