"""A key twice in one object of JSON is refused."""

from __future__ import annotations

import pytest

from ablata.base.json_text import RepeatedKeyError, parse_json


def test_a_key_twice_is_refused_with_the_object_s_id() -> None:
    assert parse_json('\ufeff{"a": {"b": 1}, "b": [{"a": 1}, {"a": 2}]}'.encode()) == {
        "a": {"b": 1},
        "b": [{"a": 1}, {"a": 2}],
    }
    for text, told in (
        ('[{"a": 1}, {"a": 1, "b": 2, "a": 1}]', "an object holds the key 'a' twice"),
        ('{"list": [{"id": 7, "bbox": [], "bbox": [1]}]}', "an object with id 7 holds the key 'bbox' twice"),
    ):
        with pytest.raises(RepeatedKeyError, match=told):
            parse_json(text)
