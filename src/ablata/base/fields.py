"""What a field of a settings class allows, in words, and pydantic's complaints turned into such words."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo


class Incidental:
    """Field mark: the value does not change what a training computes (a folder, a number of worker processes)."""


def parts(annotation: Any) -> dict[str, type[BaseModel]]:
    """Return the settings classes that a field accepts, by their `kind` (by class name where a class has none)."""
    found: dict[str, type[BaseModel]] = {}
    for option in options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            kind = option.model_fields.get("kind")
            found[kind.default if kind else option.__name__.lower()] = option
    return found


def options(annotation: Any) -> list[Any]:
    """Return the alternatives of an annotation, unions taken apart; a plain value keeps its `Annotated` bounds."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        found = options(inner)
        bounded = len(found) == 1 and any(isinstance(mark, Gt | Ge | Lt | Le) for mark in _marks(marks))
        return [Annotated[inner, *_marks(marks)]] if bounded else found
    if origin in (Union, types.UnionType):
        return [inner for option in get_args(annotation) for inner in options(option)]
    return [annotation]


def _marks(marks: Sequence[Any]) -> list[Any]:
    """Return what marks say, with pydantic's `Field(gt=0, ...)` taken apart."""
    return [part for mark in marks for part in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]


def allows_none(annotation: Any) -> bool:
    """Tell whether a field may be null."""
    return type(None) in options(annotation)


def describe(field: FieldInfo) -> str:
    """Say what a field allows: `a number > 0`, `one of nearest, bilinear`, `true or false`, `... or null`."""
    annotation = field.annotation
    kinds = parts(annotation)
    plain = [option for option in options(annotation) if option is not type(None) and option not in kinds.values()]
    words = [_describe_option(option, field.metadata) for option in plain]
    if kinds:
        words.insert(0, f"one of {', '.join(kinds)}" if len(kinds) > 1 else f"the part {next(iter(kinds))}")
    if allows_none(annotation):
        words.append("null")
    return " or ".join(words)


def _describe_option(option: Any, metadata: Sequence[Any]) -> str:
    if get_origin(option) is Annotated:
        inner, *marks = get_args(option)
        return _describe_option(inner, [*metadata, *marks])
    if get_origin(option) is Literal:
        values = [str(value) for value in get_args(option)]
        return f"one of {', '.join(values)}" if len(values) > 1 else values[0]
    if get_origin(option) in (tuple, list):
        inner = [argument for argument in get_args(option) if argument is not Ellipsis]
        return (
            f"a list of {_describe_option(inner[0], ()).removeprefix('a ').removeprefix('whole ')}s"
            if inner
            else "a list"
        )
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
    return names.get(option, getattr(option, "__name__", str(option))) + _bounds(metadata)


def _bounds(metadata: Sequence[Any]) -> str:
    signs = {Gt: (">", "gt"), Ge: (">=", "ge"), Lt: ("<", "lt"), Le: ("<=", "le")}
    texts = [
        f"{signs[type(mark)][0]} {getattr(mark, signs[type(mark)][1])}" for mark in metadata if type(mark) in signs
    ]
    return f" {' and '.join(texts)}" if texts else ""


def locate(kind: type[BaseModel], location: Sequence[Any]) -> tuple[list[str], FieldInfo | None]:
    """Follow pydantic's error location through the settings classes.

    Args:
        kind: the class at the root.
        location: keys as pydantic gives them; inside a union it inserts the alternative's kind, which is no key.

    Returns:
        The dotted keys without those insertions, and the last field that exists.
    """
    keys: list[str] = []
    current: type[BaseModel] | None = kind
    alternatives: dict[str, type[BaseModel]] = {}
    field: FieldInfo | None = None
    for step in location:
        if current is None and step in alternatives:
            current = alternatives[step]
            continue
        keys.append(str(step))
        if current is not None and step in current.model_fields:
            field = current.model_fields[step]
            alternatives = parts(field.annotation)
            current = next(iter(alternatives.values())) if len(alternatives) == 1 else None
        else:
            current = None
    return keys, field


def path_text(kind: type[BaseModel], location: Sequence[Any]) -> str:
    """Return the dotted key of a pydantic error location."""
    return ".".join(locate(kind, location)[0])


def explain(kind: type[BaseModel], error: Any) -> tuple[str, str]:
    """Turn one of pydantic's error dicts into (what must hold, the dotted key)."""
    keys, field = locate(kind, error["loc"])
    path = ".".join(keys)
    if error["type"] == "value_error":
        return f"{path + ': ' if path else ''}{error['ctx']['error']}", path
    if error["type"] == "extra_forbidden":
        return f"{path} must be a known key", path
    if error["type"] == "missing":
        return f"{path} must be given", path
    if field is not None:
        return f"{path} must be {describe(field)}", path
    return f"{path}: {error['msg']}", path
