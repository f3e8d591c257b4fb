"""Images with a tag, a bounded stretch at a time, and the vocabulary page by page."""

from __future__ import annotations

import pytest

from index.explore.tagged import Place, find_tagged
from index.search import Datastore, open_datastore
from tagmine.errors import DatastoreError
from tagmine.layout import rejects_path
from tagmine.manifest import read_manifest
from tagmine.parts import write_rejects
from tagmine.rejects import Reject
from tagmine.vocabulary_summary import Selection, list_tags


def everything(datastore, key, count, max_rows=10**6) -> tuple[list[int], int]:
    """All images with a tag, and how many times it took."""
    found, place, times = [], Place(), 0
    while place is not None:
        tagged = find_tagged(datastore, key, place, count, max_rows)
        assert len(tagged.ids) <= count
        found += tagged.ids
        place, times = tagged.following, times + 1
    return found, times


def test_images_of_a_tag_are_those_that_the_vocabulary_counts(make_datastore):
    datastore = open_datastore(make_datastore((70, 50, 30), untagged=3).root)
    for number in range(7):
        key = ("object", "", f"kind{number}")
        (entry,) = datastore.vocabulary.look_up([key])
        for count, max_rows in ((1000, 10**6), (5, 10**6), (5, 20), (1, 10**6)):
            ids, _ = everything(datastore, key, count, max_rows)
            assert len(ids) == entry.images and ids == sorted(set(ids))
            assert all(row_id % 7 == number for row_id in ids)
    assert everything(datastore, ("object", "", "kind"), 5)[0] == []
    assert everything(datastore, ("entity", "", "kind1"), 5)[0] == []


def test_a_search_looks_through_so_many_rows_and_no_more(make_datastore):
    datastore = open_datastore(make_datastore((70, 50, 30)).root)
    first = find_tagged(datastore, ("object", "", "unheard-of"), Place(), 5, max_rows=60)
    assert (first.ids, first.looked_through, first.following) == ((), 70, Place(0, 70))
    rest = find_tagged(datastore, ("object", "", "unheard-of"), first.following, 5)
    assert rest.looked_through == 80 and rest.following is None


def test_an_image_that_the_index_left_out_is_no_answer(make_datastore):
    made = make_datastore((20,))
    ids, _ = everything(open_datastore(made.root), ("object", "", "kind1"), 10)
    path = made.root / rejects_path("index", 0)
    write_rejects(path, [Reject(ids[0], "d/s0/1", "index", "low_clip_score")], "x")
    # Its size is no longer the manifest's, so that opening as a user does would refuse it.
    datastore = Datastore(made.root, read_manifest(made.root))
    assert everything(datastore, ("object", "", "kind1"), 10)[0] == ids[1:]


def test_a_damaged_part_is_named(make_datastore):
    made = make_datastore((20,))
    datastore = open_datastore(made.root)
    path = made.root / datastore.manifest.parts[0].tags.path
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatastoreError, match="is damaged"):
        find_tagged(datastore, ("object", "", "kind1"), Place(), 5)


def test_the_vocabulary_page_by_page(make_datastore):
    vocabulary = open_datastore(make_datastore((70, 50, 30)).root).vocabulary
    total, all_of_them = list_tags(vocabulary, Selection(), 0, 100)
    assert total == 7 == len(all_of_them)
    pages = [list_tags(vocabulary, Selection(), start, 3)[1] for start in (0, 3, 6, 9)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [entry for page in pages for entry in page] == list(all_of_them)
    counts = [entry.images for entry in all_of_them]
    assert counts == sorted(counts, reverse=True)
    assert list_tags(vocabulary, Selection(), 0, 1, rarest=True)[1][0].images == counts[-1]
    assert list_tags(vocabulary, Selection(contains="KIND3"), 0, 9)[0] == 1
    assert list_tags(vocabulary, Selection(kind="entity"), 0, 9) == (0, ())
