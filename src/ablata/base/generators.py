"""Generators whose result counts, and not what they yield."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")


def result_of(generator: Generator[Any, None, T]) -> T:
    """Run a generator to its end and return what it returns; what it raises is raised."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            result: T = end.value
            return result
