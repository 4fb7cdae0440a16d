"""Times and large numbers as people write them, the same on the command line, on pages and in a notebook."""

from __future__ import annotations

import math
import re

from ablata.base.errors import SettingsError

NOTHING = "–"
"""What stands for a value that there is not."""

_TIMES = (("min", "s", 1, 60, 60), ("h", "min", 60, 60, 24), ("d", "h", 3600, 24, math.inf))
"""Larger unit, smaller unit, seconds in the smaller, its number in the larger, and from where the next is used."""


def duration(seconds: float | None) -> str:
    """Write a time: `0.4 s`, `42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    for big, small, part, parts, limit in _TIMES:
        whole, rest = divmod(round(seconds / part), parts)
        if whole < limit:
            return f"{whole} {big} {rest} {small}" if rest else f"{whole} {big}"
    raise AssertionError("days take any length")


def two_digits(value: float, sign: str = "") -> str:
    """Write a number with two significant digits: `0.53`, `7.1`, `110`, `1.1e+07`.

    Args:
        value: any number.
        sign: `+` where positive numbers have a sign, too.
    """
    digits = f"{value:{sign}.2g}"
    return f"{float(digits):{sign}.0f}" if "e" in digits and 1 <= abs(value) < 1e6 else digits


def counted(number: int, one: str, several: str | None = None) -> str:
    """Write how many there are: `1 image`, `1,200 images`, `2 classes`, `1 file is`, `2 files are`.

    Args:
        number: how many.
        one: what there is one of.
        several: what there are several of; None: `one` with the ending of English nouns.
    """
    if number == 1:
        return f"1 {one}"
    if several is None:
        vowel = one[-2:-1] in "aeiou"
        several = f"{one[:-1]}ies" if one.endswith("y") and not vowel else one + "es" * one.endswith(("s", "x", "ch"))
        several = several if several != one else f"{one}s"
    return f"{number:,} {several}"


_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str, example: str = "10m") -> float:
    """Read a time such as `90`, `90s`, `10m`, `1.5h` or `2d` and return its seconds.

    Args:
        text: as typed.
        example: what to type instead, for the message.

    Raises:
        SettingsError: it is none, or not above 0.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d|)\s*", text)
    if match is None or float(match[1]) == 0:
        raise SettingsError("A time must be a number with s, m, h or d", found=text, do=example)
    return float(match[1]) * _UNITS[match[2]]


def quantity(value: float | None, unit: str = "") -> str:
    """Write a large number with a prefix: `1.82 G`; bytes (unit B) with those of 1024: `512 MiB`."""
    if value is None or not math.isfinite(value):
        return NOTHING
    base = 1024 if unit == "B" else 1000
    prefixes = ("", "Ki", "Mi", "Gi", "Ti", "Pi") if unit == "B" else ("", "k", "M", "G", "T", "P")
    power = 0
    while abs(value) >= base and power < len(prefixes) - 1:
        value, power = value / base, power + 1
    digits = f"{value:.0f}" if power == 0 or abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {prefixes[power]}{unit}".rstrip()
