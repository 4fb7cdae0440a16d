"""Masks whose numbers tell class and object together: class * 1000 + object, and the like."""

from __future__ import annotations

from collections.abc import Collection

_BASES = (1000, 256, 65536)
"""Cityscapes writes class * 1000 + object, KITTI class * 256 + object; others leave 16 bits to the object."""
_DECIMAL, _NEAR = 1000, 256
_FIRST = 100
_LABELS = 255
"""Numbers up to this are classes without objects, such as a road."""


def object_code(values: Collection[int]) -> int | None:
    """Return N, where numbers beyond 255 are class * N + object; None: they are not.

    Args:
        values: the numbers of all masks.
    """
    high = [value for value in values if value > _LABELS]
    for base in _BASES if high else ():
        classes = {value // base for value in high}
        # Where no two objects are of a class, only small numbers of objects tell a code from numbers of any size.
        alike = (
            len(classes) < len(high) or len(high) == 1 or (base == _DECIMAL and max(v % base for v in high) < _FIRST)
        )
        small = all(value % base < base // 2 for value in high)
        if min(high) >= base and max(classes) <= _LABELS and alike and small:
            return base
    return None


def coded_classes(values: Collection[int], base: int) -> list[int]:
    """Return the classes that numbers tell, ascending.

    Args:
        values: class * base + object, or below 256 a class alone.
        base: N.
    """
    return sorted({value if value <= _LABELS else value // base for value in values})


def told_classes(values: Collection[int]) -> tuple[int, list[int]] | None:
    """Return N and the classes of masks that were taken for plain numbers of objects; None: they are these.

    More is asked for than by `object_code`, as numbers up to 300 could be objects of a class 1: with 256, each class
    must begin to count at 0 or 1.

    Args:
        values: the numbers of all masks, 0 where nothing is.
    """
    objects = {value for value in values if value}
    base = object_code(objects)
    if base is None:
        return None
    classes = coded_classes(objects, base)
    first = {each // base: each % base for each in sorted((one for one in objects if one > _LABELS), reverse=True)}
    if base == _NEAR and (len(first) < 2 or max(first.values()) > 1):
        return None
    return (base, classes) if len(classes) > 1 else None
