"""Which encoder a datastore is asked with, and what is said where there is none."""

from __future__ import annotations

import pytest

from index.explore.options import ExploreOptions
from index.explore.stores import Query, look_up, open_stores
from index.stack_plan import parse_stack
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.manifest import read_manifest, write_manifest, write_pin


@pytest.fixture
def foreign(folders, tmp_path):
    """A copy of street whose manifest names an encoder that is on another machine."""
    import dataclasses
    import shutil

    root = tmp_path / "foreign"
    shutil.copytree(folders.root / "street", root, symlinks=True)
    manifest = read_manifest(root)
    pin = dataclasses.replace(
        manifest.encoder, clip_model="/their/weights.pt", fingerprint="f" * 64
    )
    write_pin(root / "encoder.json", pin)
    write_manifest(root, dataclasses.replace(manifest, encoder=pin))
    return root


def opened(*folders, **options):
    return open_stores(ExploreOptions(parse_stack([str(f) for f in folders]), **options))


def test_without_its_encoder_a_datastore_still_opens(folders, foreign, caplog):
    street, other = opened(folders.root / "street", foreign)
    assert street.encoder is not None and other.encoder is None
    assert caplog.messages == [
        "photos and words cannot be looked up in foreign: it was embedded with /their/weights.pt, "
        "a file of weights that is not opened unasked. Give it as --clip-model."
    ]
    with pytest.raises(DatastoreError, match="^Photos and words cannot be looked up in foreign: "):
        look_up([other], Query(words="a car"), 3)
    assert other.summary.images == 24 and other.key_of(0)
    # Its own images need none.
    assert len(look_up([other], Query(like=(other, 0)), 3).stores) == 3


def test_other_encoders_are_not_stacked_but_named(folders, foreign):
    street, other = opened(folders.root / "street", foreign)
    with pytest.raises(DatastoreError, match="/their/weights.pt"):
        look_up([street, other], Query(words="a car"), 3)
    with pytest.raises(DatastoreError, match="another encoder than street"):
        look_up([other], Query(like=(street, 0)), 3)


def test_an_encoder_of_another_is_said_to_be_one(folders, foreign):
    street, other = opened(folders.root / "street", foreign, clip_model="demo")
    assert street.encoder is not None and other.encoder is None
    assert "--clip-model names the encoder of another datastore. Open this one" in other.problem


def test_an_encoder_that_made_none_of_them_is_refused(foreign):
    with pytest.raises(DatastoreError, match="was embedded with /their/weights.pt"):
        opened(foreign, clip_model="demo")


def test_a_stack_counts_by_weight_and_share(folders):
    roots = [f"{folders.root / 'street'}=60%", f"{folders.root / 'fashion'}=40%"]
    both = opened(*roots)
    found = look_up(both, Query(words="a red car"), 5)
    assert [store.name for store in found.stores].count("street") == 3
    # Of one alone, its share is the whole.
    assert len(look_up(both[1:], Query(words="a red car"), 5).stores) == 5
    for near, store in zip(found.answer.neighbours, found.stores, strict=True):
        assert store.key_of(near.id) == near.key


def test_a_share_of_nothing_still_has_a_column_of_its_own(folders):
    street, fashion = opened(f"{folders.root / 'street'}=0%", f"{folders.root / 'fashion'}=100%")
    assert len(look_up([street], Query(words="a red car"), 5).stores) == 5
    stacked = look_up([street, fashion], Query(words="a red car"), 5)
    assert {store.name for store in stacked.stores} == {"fashion"}


def test_an_image_is_not_like_itself(folders):
    (street,) = opened(folders.root / "street")
    found = look_up([street], Query(like=(street, 3)), 23)
    assert len(found.stores) == 23 and 3 not in [near.id for near in found.answer.neighbours]


def test_a_photo_that_is_none(folders):
    (street,) = opened(folders.root / "street")
    with pytest.raises(ConfigurationError, match="no JPEG, PNG or WebP"):
        look_up([street], Query(photo=b"no picture"), 3)
