"""The drawn world: kinds that look different, scenes that repeat, captions that tell the truth."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from demo.world import (
    BRANDS,
    COLOURS,
    DOMAINS,
    MATERIALS,
    PATTERNS,
    PLACES,
    SPLITS,
    ObjectSpec,
    Scene,
    all_kinds,
    captions,
    draw,
    draw_object,
    glyph,
    kind_named,
    sample_scene,
    scene_tags,
)

ROOT = Path(__file__).resolve().parents[2]

DIGEST_SCENES = """
import hashlib
from demo.world import captions, draw, sample_scene
digest = hashlib.sha256()
for domain in ("street", "fashion"):
    for seed in range(12):
        scene = sample_scene(domain, seed)
        digest.update(draw(scene).tobytes())
        digest.update(repr([(c.text, c.tags) for c in captions(scene, 3)]).encode())
print(digest.hexdigest())
"""


def some_scenes(count: int) -> list[Scene]:
    return [sample_scene(DOMAINS[i % 2], i) for i in range(count)]


def digest_in_new_process(hash_seed: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", DIGEST_SCENES],
        cwd=ROOT,
        env={"PYTHONHASHSEED": hash_seed, "PATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


def test_equal_seeds_give_equal_pictures_and_captions_in_any_process():
    digest = hashlib.sha256()
    for domain in ("street", "fashion"):
        for seed in range(12):
            scene = sample_scene(domain, seed)
            digest.update(draw(scene).tobytes())
            digest.update(repr([(c.text, c.tags) for c in captions(scene, 3)]).encode())
    assert {digest_in_new_process("1"), digest_in_new_process("2")} == {digest.hexdigest()}


def test_another_seed_gives_another_picture():
    pictures = {draw(sample_scene("street", seed), 64).tobytes() for seed in range(40)}
    assert len(pictures) == 40


def test_world_is_as_large_as_promised():
    kinds = all_kinds()
    assert len(kinds) >= 120
    assert len({kind.name for kind in kinds}) == len(kinds)
    assert min(len(all_kinds(domain)) for domain in DOMAINS) >= 40
    assert len(COLOURS) >= 10
    assert {material for kind in kinds for material in kind.materials} == set(MATERIALS)


def grey_glyph(name: str) -> np.ndarray:
    """Glyph in grey on grey, 32 by 32: its shape and shading, whatever its colour."""
    kind = kind_named(name)
    colour = "gray" if "gray" in kind.colours else kind.colours[0]
    picture = glyph(kind, colour, 128)
    ground = picture.copy()
    ground.paste((128, 128, 128, 255), (0, 0, 128, 128))
    ground.alpha_composite(picture)
    return np.asarray(ground.convert("L").resize((32, 32)), np.float64)


def test_glyphs_differ_in_shape_and_not_in_colour_alone():
    names = [kind.name for kind in all_kinds()]
    outlines = np.array(
        [
            np.asarray(glyph(kind, side=96).getchannel("A").resize((32, 32)), np.float64) / 255
            for kind in all_kinds()
        ]
    )
    greys = np.array([grey_glyph(name) for name in names]) / 255
    for i in range(len(names)):
        both = np.minimum(outlines[i], outlines).sum(axis=(1, 2))
        either = np.maximum(outlines[i], outlines).sum(axis=(1, 2))
        overlap = both / either
        contrast = np.abs(greys[i] - greys).mean(axis=(1, 2))
        # Two kinds may share an outline only if what is drawn inside it differs: a silhouette
        # merely recoloured would have both in common.
        alike = [
            names[j]
            for j in range(len(names))
            if j != i and overlap[j] > 0.93 and contrast[j] < 0.05
        ]
        assert not alike, f"{names[i]} looks like {alike}"


@pytest.mark.parametrize("field", ["colour", "pattern", "material"])
def test_each_attribute_can_be_seen(field):
    kind = next(k for k in all_kinds() if k.patterned and "leather" in k.materials)
    values = {"colour": kind.colours, "pattern": PATTERNS, "material": ("", *kind.materials)}
    plain = ObjectSpec(kind, "blue")
    pictures = [
        np.asarray(draw_object(dataclasses.replace(plain, **{field: value}), 96), np.float64)
        for value in values[field]
    ]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one - other).mean() > 1.0


def test_places_and_brands_can_be_seen():
    scene = sample_scene("fashion", 3, count=1)
    for field, entities in (("place", PLACES), ("brand", BRANDS)):
        pictures = [
            draw(dataclasses.replace(scene, **{field: entity})).tobytes()
            for entity in (None, *entities)
        ]
        assert len(set(pictures)) == len(entities) + 1


def test_kinds_can_be_held_out_and_forced():
    allowed = all_kinds("street")[::3]
    for seed in range(60):
        scene = sample_scene("street", seed, kinds=allowed)
        assert {spec.kind for spec in scene.objects} <= set(allowed)
    teapot = kind_named("teapot")
    forced = sample_scene("street", 5, main=teapot, count=1)
    assert [spec.kind for spec in forced.objects] == [teapot]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="'sea' is none of"):
        sample_scene("sea", 0)
    with pytest.raises(ValueError, match="none of the given kinds"):
        sample_scene("fashion", 0, kinds=all_kinds("street"))
    with pytest.raises(ValueError, match="no kind is called 'unicorn'"):
        kind_named("unicorn")
    with pytest.raises(ValueError, match="colour 'blue' is none of"):
        ObjectSpec(kind_named("banana"), "blue")


def test_held_out_and_training_scenes_never_meet():
    drawn = {
        split: {draw(sample_scene(d, first + i), 48).tobytes() for i in range(150) for d in DOMAINS}
        for split, first in SPLITS.items()
    }
    names = list(drawn)
    for i, name in enumerate(names):
        for other in names[:i]:
            assert not drawn[name] & drawn[other]


def words_of(text: str) -> list[str]:
    return re.findall(r"[\w-]+", text.lower())


def test_gold_tags_are_words_of_their_caption():
    for scene in some_scenes(400):
        for caption in captions(scene, 3):
            said = words_of(caption.text)
            for tag in caption.tags:
                missing = set(words_of(tag.text)) - set(said)
                assert not missing, f"{tag.text!r} is not in {caption.text!r}"


def test_every_colour_pattern_and_entity_that_a_caption_says_is_in_its_gold():
    telling = {*COLOURS, *PATTERNS[1:], *(place.name.lower() for place in PLACES)}
    telling |= {brand.name.lower() for brand in BRANDS} | {"small", "large", *MATERIALS}
    for scene in some_scenes(400):
        for caption in captions(scene, 3):
            gold = {word for tag in caption.tags for word in words_of(tag.text)}
            said = set(words_of(caption.text)) & telling
            assert said <= gold, caption


def test_gold_tags_say_nothing_that_is_not_there():
    for scene in some_scenes(300):
        there = {(tag.kind, tag.head, attribute) for tag in scene_tags(scene)
                 for attribute in (tag.attributes or ("",))}  # fmt: skip
        for caption in captions(scene, 3):
            for tag in caption.tags:
                for attribute in tag.attributes or ("",):
                    assert (tag.kind, tag.head, attribute) in there, (tag, caption.text)


def test_captions_vary():
    texts = [caption.text for scene in some_scenes(500) for caption in captions(scene, 2)]
    shapes = {
        (text.endswith("."), text[0].isupper(), " and " in text, " is " in text or " are " in text)
        for text in texts
    }
    assert len(shapes) >= 12
    for relation in ("next to", "beside", "under", "behind", "in front of", " on "):
        assert any(relation in text for text in texts)
