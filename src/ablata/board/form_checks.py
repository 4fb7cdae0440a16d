"""What a form says, checked before anything is started: names, numbers, and settings by their recipe's schema."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ablata.base.errors import RecordError, choices
from ablata.board.schemas import allowed, is_reference, like_own, places_of
from ablata.records.studies import check_name

ARM = re.compile(r"(\w[\w.+-]*):([A-Za-z_][\w.@-]*)=(\S.*)")
_MARGIN = re.compile(r"\d*\.?\d+(e-?\d+)?\s*%?", re.IGNORECASE)
_MOST_SEEDS = 10_000


def wrong_fields(fields: Mapping[str, str], settings: Mapping[str, str], schema: Any) -> dict[str, str]:
    """Return what is wrong with a form for a study or a training, by the name of the field; empty where nothing is.

    Args:
        fields: as they were sent.
        settings: the recipe's own, as a form writes them; those that are unchanged are not looked at.
        schema: the recipe's JSON schema; empty where it is not known.
    """
    found: dict[str, list[str]] = {}
    for name, wrong in _wrong(fields, settings, schema or {}):
        found.setdefault(name, []).append(wrong)
    return {name: "; ".join(every) for name, every in found.items()}


def _wrong(fields: Mapping[str, str], settings: Mapping[str, str], schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("name", "arm"):
        if value := fields.get(name, "").strip():
            try:
                check_name(value)
            except RecordError as error:
                yield name, error.must
    for name, least in (("seeds", 2), ("seed", 0)):
        value = fields.get(name, "").strip()
        if value and not (value.isdecimal() and least <= int(value) <= (_MOST_SEEDS if name == "seeds" else 2**32)):
            yield name, f"a whole number, {least} or more"
    margin = fields.get("margin", "").strip()
    if margin and not (_MARGIN.fullmatch(margin) and float(margin.rstrip("% ")) > 0):
        yield "margin", "a number above 0, in the score's unit, or a percentage such as 5%"
    for line in filter(None, map(str.strip, fields.get("arms", "").splitlines())):
        found = ARM.fullmatch(line)
        if found is None:
            yield "arms", f"each line must look like wide:model.width=32, found {line}"
        else:
            # Another line of the arm may choose a part's kind: settings of all kinds are taken.
            kinds = settings if found[2] in settings else {}
            if wrong := _unknown(schema, found[2], kinds) or wrong_setting(schema, found[2], found[3], kinds):
                yield "arms", f"{found[2]} {wrong}, found {found[3]}"
    sent = {name.removeprefix("set."): value.strip() for name, value in fields.items() if name.startswith("set.")}
    chosen = {**settings, **{key: value for key, value in sent.items() if key.endswith(".kind")}}
    for key, value in sent.items():
        if value == settings.get(key):
            continue
        replaced = places_of(schema, key, settings) and _unknown(schema, key, chosen)
        if wrong := replaced or ("must have a value" if not value else wrong_setting(schema, key, value, chosen)):
            yield f"set.{key}", wrong
    for line in filter(None, map(str.strip, fields.get("more", "").splitlines())):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key or not value:
            yield "more", f"each line must look like loss.threshold=0.7, found {line}"
        elif wrong := _unknown(schema, key, chosen) or wrong_setting(schema, key, value, chosen):
            yield "more", f"{key} {wrong}, found {value}"


def _unknown(schema: dict[str, Any], key: str, settings: Mapping[str, str]) -> str:
    """Say that there is no such setting, and what its part has; empty where there is, or that is not known."""
    if not schema or places_of(schema, key, settings):
        return ""
    part, _, last = key.rpartition(".")
    places = places_of(schema, part, settings) if part else [schema]
    known = dict.fromkeys(name for one in places for name in one.get("properties", {}))
    kind = settings.get(f"{part}.kind", "")
    return (
        f"is no setting of {kind or part or 'the recipe'}: it has {choices(known, last)}" if known else "is no setting"
    )


def wrong_setting(
    schema: dict[str, Any], key: str, written: str, settings: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return what is wrong with a setting as it is typed; empty where nothing is, or where that is not known.

    Args:
        schema: the recipe's JSON schema.
        key: dotted.
        written: text, or JSON.
        settings: all settings by dotted key, which tell what kinds the parts are.
    """
    places = places_of(schema, key, settings)
    if not places:
        schema = like_own(key, settings.get(key, ""))
        places = places_of(schema, key)
    try:
        value = json.loads(written)
    except ValueError:
        value = written
    if not places or any(_accepts(one, value, written) for one in places):
        return ""
    return f"must be {allowed([one for one in places if not is_reference(one)])}"


def _accepts(one: Mapping[str, Any], value: Any, written: str) -> bool:
    if "const" in one:
        return value == one["const"] or written == str(one["const"])
    if is_reference(one):
        return False
    if (kind := one.get("properties", {}).get("kind", {}).get("const")) is not None:
        return written == kind or isinstance(value, dict)
    if "enum" in one:
        return value in one["enum"] or written in map(str, one["enum"])
    kind = one.get("type")
    if kind in ("integer", "number"):
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return is_number and (kind == "number" or float(value).is_integer()) and _within(one, value)
    known: dict[str, tuple[type, ...]] = {
        "boolean": (bool,),
        "null": (type(None),),
        "array": (list,),
        "object": (dict,),
    }
    return not isinstance(kind, str) or kind not in known or isinstance(value, known[kind])


def _within(one: Mapping[str, Any], value: float) -> bool:
    low, high = float(one.get("minimum", -math.inf)), float(one.get("maximum", math.inf))
    above, below = float(one.get("exclusiveMinimum", -math.inf)), float(one.get("exclusiveMaximum", math.inf))
    return low <= value <= high and above < value < below
