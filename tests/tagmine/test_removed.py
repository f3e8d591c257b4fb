"""What a sample is known by to those who want it taken out."""

from __future__ import annotations

import json

import pytest

from tagmine.removed import Identities, identify
from tagmine.samples import SampleFields


@pytest.mark.parametrize(
    ("field", "held", "is_asked_for"),
    [
        ("url", "https://Me:Pw@shop.example/A.jpg?Q=1", True),
        ("Url", "https://Me:Pw@shop.example/A.jpg?Q=1", True),
        ("URL", "HTTPS://Me:Pw@SHOP.example/A.jpg?Q=1", True),
        ("url", "https://me:pw@shop.example/A.jpg?Q=1", False),
        ("url", "https://Me:Pw@shop.example/a.jpg?Q=1", False),
        ("curl", "https://Me:Pw@shop.example/A.jpg?Q=1", False),
    ],
)
def test_a_url_is_the_same_in_capitals_where_addresses_are(field, held, is_asked_for):
    asked = Identities(frozenset({identify("url", "https://Me:Pw@Shop.Example/A.jpg?Q=1")}))
    members = {"json": json.dumps({field: held}).encode()}
    assert bool(asked.found_in("shop/0/0", members, SampleFields())) == is_asked_for
