"""Values that stand where others belong, and ways to spoil a file: for tests that throw malformed input at readers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e-300, 1e300, float("nan"),
    float("inf"), "", " ", "0", "1", "1.0", "nan", "1e5", "1,5", "a", "../x", "\0", "x" * 300, "\ud800", "é", "1\n2",
    [], [[]], [[[]]], {}, {"size": [48, 64]}, [1, 2, 3, 4], [1, 2, 3, 4, 5], [[1, 2, 3, 4]], list("1234"),
    [None] * 4, {"size": [48, 64], "counts": []}, {"size": [0, 0], "counts": []}, {"size": "ab", "counts": "ab"},
    {"size": [48, 64], "counts": "\x7f\x00"}, {"size": [48, 64], "counts": [48 * 64]},
    {"size": [48, 64], "counts": "o" * 40 + "0"}, {"counts": [1]}, [[1e308] * 6], [[-5, -5, 90, -5, 90, 90]],
)  # fmt: skip


def spoilt(tree: Any, random: np.random.Generator) -> Any:
    """Return a tree with some of its values replaced, removed or repeated."""
    tree = copy.deepcopy(tree)
    for _ in range(int(random.integers(1, 4))):
        here, key, value = tree, None, tree
        while isinstance(value, dict | list) and len(value) and (key is None or random.random() < 0.95):
            here = value
            key = random.choice(list(here)) if isinstance(here, dict) else int(random.integers(len(here)))
            value = here[key]
        kind = random.random()
        if kind < 0.75:
            here[key] = copy.deepcopy(ODD[int(random.integers(len(ODD)))])
        elif kind < 0.9:
            del here[key]
        elif isinstance(here, list):
            here.append(copy.deepcopy(value))
    return tree


def spoilt_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """Return bytes with a piece cut out, repeated, or replaced."""
    start = int(random.integers(len(content)))
    stop = min(len(content), start + int(random.integers(1, 40)))
    piece = (b"", content[start:stop] * 2, random.bytes(stop - start))[int(random.integers(3))]
    return content[:start] + piece + content[stop:]
