"""A recipe's settings and their JSON schema, as forms show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def written_value(value: Any) -> str:
    """Write a value as it is typed after `key=`: text without quotation marks, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return every plain value of a tree under its dotted key."""
    if isinstance(tree, dict) and tree:
        return [
            leaf for key, value in tree.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, tree)]


def like_own(key: str, written: str) -> dict[str, Any]:
    """Return a schema for a setting that the recipe's has none for: of a part that may be one of the user's own.

    Args:
        key: dotted.
        written: the recipe's own value; a number or a yes or no stays one, all else may be anything.
    """
    try:
        value = json.loads(written)
    except ValueError:
        return {}
    if isinstance(value, bool):
        made: dict[str, Any] = {"type": "boolean"}
    elif isinstance(value, int | float):
        made = {"anyOf": [{"type": "number"}, {"type": "null"}]}
    else:
        return {}
    for part in reversed(key.split(".")):
        made = {"properties": {part: made}}
    return made


def allowed(places: Sequence[dict[str, Any]]) -> str:
    """Say what a setting allows, as the parts of a schema that describe it have it."""
    found = [_allows(one) for one in places]
    return " | ".join(dict.fromkeys(filter(None, found)))


def described(schema: dict[str, Any], key: str, settings: Mapping[str, str]) -> str:
    """Return a setting's description; that of a part's kind is what the part is."""
    part, _, last = key.rpartition(".")
    told = [str(one["description"]) for one in places_of(schema, key, settings) if "description" in one]
    if part and last == "kind":
        told = [str(one["description"]) for one in places_of(schema, part, settings) if "description" in one] + told
    return told[0].partition("\n\n")[0].replace("`", "") if told else ""


def is_reference(place: Mapping[str, Any]) -> bool:
    """Whether a part of a schema stands for a class of the user's own, which no form names."""
    return bool(place.get("properties", {}).get("kind", place).get("pattern") == ":")


def _allows(one: dict[str, Any]) -> str:
    if is_reference(one):
        return "file.py:Class"
    if "const" in one:
        return str(one["const"])
    if (kind := one.get("properties", {}).get("kind", {}).get("const")) is not None:
        return str(kind)
    if "enum" in one:
        return ", ".join(map(str, one["enum"]))
    limits = [f"{sign} {one[name]:g}" for name, sign in _LIMITS.items() if name in one]
    return " ".join([str(one.get("type", "")), *limits]).strip()


def places_of(
    schema: dict[str, Any], key: str, settings: Mapping[str, str] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Return the parts of a schema that describe a dotted key: several where it takes values of several types.

    Args:
        schema: the recipe's.
        key: dotted.
        settings: values by dotted key: of a part that has kinds, the chosen one's settings are described.
    """
    places, path = _resolved(schema, schema), ""
    for part in key.split("."):
        path = f"{path}.{part}" if path else part
        places = [
            deeper for place in places if part in place.get("properties", {})
            for deeper in _resolved(schema, place["properties"][part])
        ]  # fmt: skip
        if key != f"{path}.kind":
            places = _of_kind(places, settings.get(f"{path}.kind")) or places
    return places


def _of_kind(places: list[dict[str, Any]], kind: str | None) -> list[dict[str, Any]]:
    return [one for one in places if one.get("properties", {}).get("kind", {}).get("const") == kind is not None]


def _resolved(schema: dict[str, Any], place: dict[str, Any]) -> list[dict[str, Any]]:
    """Follow references and alternatives; a description beside a reference is kept."""
    if "$ref" in place:
        name = str(place["$ref"]).rpartition("/")[2]
        told = {"description": place["description"]} if "description" in place else {}
        return [{**one, **told} for one in _resolved(schema, schema.get("$defs", {}).get(name, {}))]
    for kind in ("anyOf", "oneOf"):
        if kind in place:
            told = {"description": place["description"]} if "description" in place else {}
            return [{**one, **told} for each in place[kind] for one in _resolved(schema, each)]
    return [place]
