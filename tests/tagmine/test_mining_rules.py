"""What the miner makes of the constructions of captions, with a small and a full-size pipeline."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tagmine.cleaning import clean_caption
from tagmine.domain_vocabulary import load_vocabulary
from tagmine.errors import ConfigurationError
from tagmine.tag_policy import LISTS, load_policy, shipped_policy
from tagmine.tagger import load_tagger

PORT = Path(__file__).parents[3] / "shared" / "data" / "models" / "en_core_web_sm-2.2.5-as-v3"


@pytest.fixture(scope="module")
def tagger():
    return load_tagger()


@pytest.fixture(scope="module", params=["embedded", "port"])
def either(request, tagger):
    if request.param == "embedded":
        return tagger
    if not PORT.exists():
        pytest.skip(f"{PORT} is not here")
    return load_tagger(PORT)


def lemmas(tagger, caption):
    return [tag.lemma for tag in next(tagger.tag([caption])) if tag.kind != "entity"]


RULES = {
    "quantities": [
        ("three elephants near two jeeps", ["three elephant", "two jeep"]),
        ("several boats and one kayak", ["boat", "kayak"]),
        ("4 horses in a field", ["four horse", "field"]),
    ],
    "compounds": [
        ("a stop sign beside a fire hydrant", ["stop sign", "fire hydrant"]),
        ("a stop sign on a corner", ["stop sign", "corner"]),
        ("a polar bear with a hot dog", ["polar bear", "hot dog"]),
    ],
    "colours, materials and patterns before a noun": [
        ("a metal fence and a plastic bucket", ["metal fence", "plastic bucket"]),
        ("a turquoise scarf with a plaid jacket", ["turquoise scarf", "plaid jacket"]),
        ("a wood cabin near a wooden cabin", ["wooden cabin"]),
    ],
    "conjoined adjectives": [
        ("a red and white umbrella", ["red white umbrella"]),
        ("a large, empty parking lot", ["large empty parking lot"]),
    ],
    "conjoined nouns": [
        ("a spoon and a blue bowl", ["spoon", "blue bowl"]),
        ("knives, forks and green plates", ["knife", "fork", "green plate"]),
    ],
    "predicative adjectives": [
        ("the car is red", ["red car"]),
        ("the walls are blue and white", ["blue white wall"]),
        ("the bench by the river is empty", ["empty bench", "river"]),
        ("the bucket is full of apples", ["bucket", "apple"]),
    ],
    "past participles": [
        ("a parked car", ["parked car"]),
        ("a car parked on the street", ["car", "street"]),
        ("grilled sausages on a paved road", ["grilled sausage", "paved road"]),
    ],
    "participles joined to a noun": [
        ("a snow covered mountain", ["snow", "snow covered mountain"]),
        (
            "a chicken walking through a grass covered landscape",
            ["chicken", "grass", "grass covered landscape"],
        ),
        ("a heart shaped balloon", ["heart shaped balloon"]),
        ("a light colored jacket", ["light colored jacket"]),
    ],
    "participles behind the noun": [
        ("a girl smiling", ["smiling girl"]),
        ("a girl eating an apple", ["girl", "apple"]),
    ],
    "material": [
        ("a bench made of stone", ["stone bench", "stone"]),
        ("a bowl made out of wood", ["wooden bowl", "wood"]),
    ],
    "clothes": [("a man in a blue shirt", ["man", "blue shirt"])],
    "partitives": [
        ("a slice of pizza", ["pizza"]),
        ("a row of bicycles on the side of the road", ["bicycle", "road"]),
        ("a piece of chocolate cake", ["chocolate cake"]),
    ],
    "collectives": [
        ("a group of people", ["group of people"]),
        ("a herd of brown cows in a meadow", ["herd of brown cow", "meadow"]),
    ],
    "places": [
        ("a cake with a candle on top", ["cake", "candle"]),
        ("a tower in the distance", ["tower"]),
        ("a dog in front of a door", ["dog", "door"]),
    ],
    "existential openings": [
        ("there is a horse in the barn", ["horse", "barn"]),
        ("there are two cups on a tray", ["two cup", "tray"]),
    ],
    "passives": [("a kite is held by a young boy", ["kite", "young boy"])],
    "relative clauses": [
        ("a woman who wears a green coat", ["woman", "green coat"]),
        ("the horse that pulls a cart", ["horse", "cart"]),
    ],
    "possessors": [("a woman's leather purse", ["woman", "leather purse"])],
    "fragments": [
        ("cat laying on bed", ["cat", "bed"]),
        ("bear standing near a rock", ["bear", "rock"]),
        ("building with large windows", ["building", "large window"]),
        ("sign on a pole", ["sign", "pole"]),
    ],
    "pronouns": [("they look at it and she holds something", [])],
    "hyphens": [("a red t-shirt", ["red t-shirt"])],
    "one rule for plurals": [
        ("blue skies", ["blue sky"]),
        ("a blue sky", ["blue sky"]),
        ("pants and jeans", ["pants", "jeans"]),
        ("two women and a child", ["two woman", "child"]),
    ],
    "spelling is left alone": [
        ("a grey mould", ["grey mould"]),
        ("a gray mold", ["gray mold"]),
    ],
}


@pytest.mark.parametrize(
    ("rule", "caption", "expected"),
    [(rule, caption, expected) for rule, cases in RULES.items() for caption, expected in cases],
)
def test_rules(either, rule, caption, expected):
    assert lemmas(either, caption) == expected, rule


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a close up photo of a bee", ["bee"]),
        ("stock photo of an apple on a white background", ["apple"]),
        ("cartoon illustration of a fox", ["fox"]),
        ("view of the harbour", ["harbour"]),
        ("image of the 24 and 7", []),
        ("a fox https://example.com/fox.jpg?x=1 www.example.com", ["fox"]),
        ("IMG_2041.JPG a fox", ["fox"]),
        ("a fox at #sunset #wildlife", ["fox", "sunset", "wildlife"]),
        ("<PERSON> feeds a fox", ["fox"]),
        ("a fox &amp; a hen &lt;b&gt;here&lt;/b&gt;", ["fox", "hen"]),
        ("a fox , 50mm f/2.8 ISO 400 1/250s 1920x1080", ["fox"]),
        ("a fox © someone@example.com", ["fox"]),
        ("A FOX NEAR A FENCE", ["fox", "fence"]),
    ],
)
def test_what_is_no_tag(either, caption, expected):
    assert [tag.lemma for tag in next(either.tag([caption]))] == expected


def test_watermarks_are_no_names(either):
    names = [
        tag.text
        for tag in next(either.tag(["A harbour in Lisbon, Shutterstock, Getty Images"]))
        if tag.kind == "entity"
    ]
    assert names == ["Lisbon"]


def test_text_is_what_was_said_and_the_lemma_merges(tagger):
    many, one = list(tagger.tag(["Blue skies over the Colorful Facades", "a blue sky"]))
    assert [tag.text for tag in many] == ["Blue skies", "Colorful Facades"]
    assert many[0].merge_key == one[0].merge_key
    (tag,) = next(tagger.tag(["a bench made of stone"]))[:1]
    assert (tag.text, tag.head, tag.attributes) == ("stone bench", "bench", ("stone",))
    (tag,) = next(tagger.tag(["the old walls are blue and white"]))
    assert tag.text == "old blue and white walls"


def test_relations_only_when_asked_for(tagger):
    caption = "A woman is riding a brown horse on the beach."
    assert "relation" not in {tag.kind for tag in next(tagger.tag([caption]))}
    tags = next(load_tagger(relations=True).tag([caption]))
    found = {(tag.text, tag.lemma, tag.head) for tag in tags if tag.kind == "relation"}
    assert ("woman riding horse", "woman ride horse", "woman") in found


# --- word lists ---------------------------------------------------------------------------


def test_every_shipped_list_says_what_it_is_for():
    assert {path.stem for path in shipped_policy().iterdir()} == set(LISTS)
    for path in shipped_policy().iterdir():
        assert path.read_text(encoding="utf-8").startswith("# "), path


def folder_with(tmp_path, **lists):
    for name, text in lists.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return tmp_path


def test_own_lists_add_to_the_shipped_ones(tmp_path):
    folder = folder_with(
        tmp_path,
        stop_heads="# people by trade\nactor\nperson\n",
        photo_words="!view\n",
        canonical="sofa = couch\n",
        attribute_nouns="sparkle\n",
        entity_labels="!GPE\nDATE\n",
        stop_attributes="big\n",
    )
    policy = load_policy(folder)
    assert policy.fingerprint != load_policy().fingerprint
    tagger = load_tagger(policy=policy)
    assert tagger.fingerprint != load_tagger().fingerprint
    captions = ["an actor and a person on a big sofa", "view of a sparkle dress", "a bus in Rome"]
    assert [[tag.lemma for tag in tags] for tags in tagger.tag(captions)] == [
        ["couch"],
        ["view", "sparkle dress"],
        ["bus"],
    ]


def test_keep_heads_keep_nothing_else(tmp_path):
    tagger = load_tagger(policy=load_policy(folder_with(tmp_path, keep_heads="dog\nball\n")))
    tags = next(tagger.tag(["a brown dog with a ball and a stick in Rome"]))
    assert [tag.lemma for tag in tags] == ["brown dog", "ball", "Rome"]


def test_the_lists_for_cc3m(tagger):
    caption = "actor attends the premiere with a person and a red umbrella"
    own = load_tagger(policy=load_policy("cc3m"))
    assert lemmas(tagger, caption) == ["actor", "premiere", "person", "red umbrella"]
    assert lemmas(own, caption) == ["premiere", "red umbrella"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("stop_words", "a\n", "is no list of the tag policy"),
        ("canonical", "sofa couch\n", "not of the form 'said = canonical'"),
        ("stop_heads", "!zebra\n", "does not have"),
        ("stop_heads", "x" * 300, "the limit is 200"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, name, text, message):
    with pytest.raises(ConfigurationError, match=message):
        load_policy(folder_with(tmp_path, **{name: text}))


def test_a_policy_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="stop_heads.txt"):
        load_policy(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="has no list"):
        load_policy(tmp_path)


# --- a domain's names ---------------------------------------------------------------------


def test_names_of_a_domain_are_found_whatever_their_case(tmp_path):
    brands, species = tmp_path / "brand.txt", tmp_path / "bird_species.txt"
    brands.write_text("# brands\nLouis Philippe\nUnited Colors of Benetton\n", encoding="utf-8")
    species.write_text("blue jay\nÉmeraude\n", encoding="utf-8")
    vocabulary = load_vocabulary([brands, species])
    assert [name for name, _ in vocabulary.files] == ["brand.txt", "bird_species.txt"]
    tagger = load_tagger(vocabulary=vocabulary)
    assert tagger.fingerprint != load_tagger().fingerprint
    tags = next(tagger.tag(["louis philippe men striped shirt beside a Blue Jay"]))
    names = [(t.text, t.lemma, t.label) for t in tags if t.kind == "entity"]
    assert names == [
        ("louis philippe", "Louis Philippe", "BRAND"),
        ("Blue Jay", "blue jay", "BIRD_SPECIES"),
    ]
    assert "shirt" in {t.head for t in tags}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("brand.txt", "# only a comment\n", "has no name"),
        ("9.txt", "Nike\n", "makes no label"),
        ("brand.txt", "x" * 300, "one entry a line"),
    ],
)
def test_a_wrong_vocabulary_is_refused(tmp_path, file, text, message):
    (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        load_vocabulary([tmp_path / file])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_vocabulary([tmp_path / "nowhere.txt"])


# --- cleaning -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog &amp;amp; a cat", "A dog & a cat"),
        ("a 1950s car, 3 dogs", "a 1950s car, 3 dogs"),
        ("<b>bold</b> move < 3 and > 2", "bold move 3 and 2"),
        ("<person> at home", "someone at home"),
        ("AT & T logo", "AT & T logo"),
        ("state-of-the-art kitchen", "state-of-the-art kitchen"),
        ("U.S.A. flag", "U.S.A. flag"),
    ],
)
def test_cleaning(caption, expected):
    assert clean_caption(caption) == expected


def test_a_policy_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_policy().stop_heads = frozenset()
