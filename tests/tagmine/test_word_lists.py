"""The lists that decide what is a tag: those shipped, one's own, and the names of a domain."""

from __future__ import annotations

import dataclasses

import pytest

from tagmine.domain_vocabulary import load_vocabulary
from tagmine.errors import ConfigurationError
from tagmine.tag_policy import LISTS, load_policy, shipped_policy
from tagmine.tagger import load_tagger


@pytest.fixture(scope="module")
def tagger():
    return load_tagger()


def lemmas(tagger, caption):
    return [tag.lemma for tag in next(tagger.tag([caption])) if tag.kind != "entity"]


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


def test_folders_add_up_and_a_path_is_no_name(tmp_path, monkeypatch):
    (tmp_path / "cc3m").mkdir()
    own = folder_with(tmp_path / "cc3m", stop_heads="bicycle\n")
    both = load_policy("cc3m", own)
    assert {"actor", "bicycle"} <= both.stop_heads
    monkeypatch.chdir(tmp_path)
    assert "actor" not in load_policy("./cc3m").stop_heads


def test_own_forms_win_over_shipped_ones(tmp_path):
    folder = folder_with(
        tmp_path, canonical="Cell Phone = aphone\nsurf board = zboard\n", photo_words="!View\n"
    )
    policy = load_policy(folder)
    assert (policy.canonical["cell phone"], policy.canonical["surf board"]) == ("aphone", "zboard")
    assert "view" not in policy.photo_words


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
        ("canonical", "person = human\nhuman = person\n", "Name the last form in both"),
        ("canonical", "a = b = c\n", "not of the form 'said = canonical'"),
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


def test_a_policy_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_policy().stop_heads = frozenset()


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


def test_a_vocabulary_wins_over_stop_names_and_other_names_stay(tmp_path):
    (tmp_path / "brand.txt").write_text("Canon\n", encoding="utf-8")
    tagger = load_tagger(vocabulary=load_vocabulary([tmp_path / "brand.txt"]))
    names = {
        (t.text, t.label)
        for t in next(tagger.tag(["A woman with a Canon camera in Paris"]))
        if t.kind == "entity"
    }
    assert names == {("Canon", "BRAND"), ("Paris", "GPE")}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("brand.txt", "Booking.com\n", "captions are cleaned"),
        ("brand.txt", "501\n", "has a letter"),
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
