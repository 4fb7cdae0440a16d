"""JSON whose objects hold every key once; Python's own reader keeps the last of two values without a word."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any


class RepeatedKeyError(ValueError):
    """An object of JSON holds a key twice."""


def parse_json(text: str | bytes) -> Any:
    """Read JSON; of bytes, in any of Unicode's encodings with or without byte order mark.

    Raises:
        RepeatedKeyError: an object holds a key twice.
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=with_each_key_once)


def with_each_key_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of its keys and values (an `object_pairs_hook`).

    Raises:
        RepeatedKeyError: a key is there twice.
    """
    item = dict(pairs)
    if len(item) < len(pairs):
        repeated = ", ".join(repr(key) for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        which = f" with id {item['id']!r}" if isinstance(item.get("id"), int | str) else ""
        raise RepeatedKeyError(f"an object{which} holds the key {repeated[:200]} twice")
    return item
