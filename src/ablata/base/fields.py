"""What a field of a settings class allows, in words, and pydantic's complaints turned into such words."""

from __future__ import annotations

import json
import re
import types
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ablata.base.errors import AblataError, SettingsError, at_key, choices, listing, nearest


class Opening(ABC):
    """Field mark: beside the built-in classes of its type, the field takes other classes by reference."""

    @abstractmethod
    def find(self, kind: Any, built_in: Mapping[str, Any]) -> type[BaseModel]:
        """Return the class that a built-in kind or a reference stands for."""


class Named:
    """Type mark: the text names a class or function by reference, `path/to/file.py:Name`."""


class Incidental:
    """Field mark: the value does not change what a training computes (a folder, a number of worker processes)."""


class OnDisk:
    """Field mark: the text names a file or a folder, a relative one below the working folder."""


_TOLD = 8
"""Keys that a refusal of an unknown one lists."""


def marked(field: FieldInfo, mark: type) -> bool:
    """Tell whether a field bears a mark: on the whole of its type, or on one of a union, `Annotated[int, mark] | None`.

    Pydantic keeps only the first in the field's metadata.
    """
    return any(isinstance(one, mark) for one in field.metadata) or _marked_inside(field.annotation, mark)


def _marked_inside(annotation: Any, mark: type) -> bool:
    inside = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return any(isinstance(one, mark) for one in inside[1:]) or _marked_inside(inside[0], mark)
    return get_origin(annotation) in (Union, types.UnionType) and any(_marked_inside(one, mark) for one in inside)


def parts(annotation: Any) -> dict[str, type[BaseModel]]:
    """Return the settings classes that a field accepts, by their `kind` (by class name where a class has none)."""
    found: dict[str, type[BaseModel]] = {}
    for option in options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel) and kind_of(option):
            found[kind_of(option)] = option
    return found


def kind_of(model: type[BaseModel]) -> str:
    """Return the word that tells a settings class from its alternatives: its `kind`, or else its name."""
    kind = model.model_fields.get("kind")
    return str(kind.default) if kind else model.__name__.lower()


def opening(field: FieldInfo) -> Opening | None:
    """Return the mark of a field that takes classes by reference; None for a field that does not."""
    return next(_openings(field.annotation, field.metadata), None)


def _openings(annotation: Any, marks: Sequence[Any]) -> Iterator[Opening]:
    yield from (mark for mark in marks if isinstance(mark, Opening))
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from _openings(inner, more)
    elif get_origin(annotation) in (Union, types.UnionType, tuple, list):
        for option in get_args(annotation):
            yield from _openings(option, ())


def part_class(field: FieldInfo, kind: str) -> type[BaseModel]:
    """Return the settings class that a kind or a reference stands for in a field.

    Raises:
        SettingsError: there is none.
    """
    kinds, mark = parts(field.annotation), opening(field)
    if kind in kinds or mark is None:
        return kinds[kind]
    return mark.find(kind, kinds)


def options(annotation: Any) -> list[Any]:
    """Return the alternatives of an annotation, unions taken apart; a value keeps its bounds and `Named` marks."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        found = options(inner)
        told = len(found) == 1 and any(isinstance(mark, Gt | Ge | Lt | Le | Named) for mark in _marks(marks))
        return [Annotated[inner, *_marks(marks)]] if told else found
    if origin in (Union, types.UnionType):
        return [inner for option in get_args(annotation) for inner in options(option)]
    return [annotation]


def _marks(marks: Sequence[Any]) -> list[Any]:
    """Return what marks say, with pydantic's `Field(gt=0, ...)` taken apart."""
    return [part for mark in marks for part in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]


def allows_none(annotation: Any) -> bool:
    """Tell whether a field may be null."""
    return type(None) in options(annotation)


def describe(field: FieldInfo, given: str | None = None) -> str:
    """Say what a field allows: `a number > 0`, `one of nearest, bilinear`, `true or false`, `... or null`.

    Args:
        field: the field.
        given: what was given in its place; of many choices those most like it are named. None: all are named.
    """
    annotation = field.annotation
    kinds = parts(annotation)
    plain = [option for option in options(annotation) if option is not type(None) and option not in kinds.values()]
    words = [_describe_option(option, field.metadata, given) for option in plain]
    if not kinds and opening(field) is not None:
        words = ["path/to/file.py:Class"]
    if kinds:
        words.insert(0, f"one of {_some(kinds, given)}" if len(kinds) > 1 else f"the part {next(iter(kinds))}")
        if opening(field) is not None:
            words.insert(1, "path/to/file.py:Class")
    if allows_none(annotation):
        words.append("null")
    return " or ".join(words)


def _some(names: Iterable[str], given: str | None) -> str:
    return listing(names) if given is None else choices(names, given)


def _describe_option(option: Any, metadata: Sequence[Any], given: str | None = None) -> str:
    if get_origin(option) is Annotated:
        inner, *marks = get_args(option)
        if any(isinstance(mark, Named) for mark in marks):
            return "path/to/file.py:Name"
        return _describe_option(inner, [*metadata, *marks], given)
    if get_origin(option) is Literal:
        values = [str(value) for value in get_args(option)]
        return f"one of {_some(values, given)}" if len(values) > 1 else values[0]
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


_PLAIN = re.compile(r"(str|int|float|bool|dict|list|tuple)(\[.*\])?")
"""What pydantic calls an alternative that is no settings class."""


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
        if current is None and field is not None and opening(field) is not None and ":" in str(step):
            current = part_class(field, str(step))
            continue
        if current is None and field is not None and _PLAIN.fullmatch(str(step)):
            continue
        keys.append(str(step))
        if current is not None and step in current.model_fields:
            field = current.model_fields[step]
            alternatives = parts(field.annotation)
            single = len(alternatives) == 1 and opening(field) is None
            current = next(iter(alternatives.values())) if single else None
        else:
            current = None
    return keys, field


def path_text(kind: type[BaseModel], location: Sequence[Any]) -> str:
    """Return the dotted key of a pydantic error location."""
    return ".".join(locate(kind, location)[0])


def explain(kind: type[BaseModel], error: Any) -> SettingsError:
    """Turn one of pydantic's error dicts into an error in words: what must hold, the key, what was found there."""
    keys, field = locate(kind, error["loc"])
    path = ".".join(keys)
    found = f"{path or kind.__name__} = {json.dumps(error['input'], default=_shown)[:120]}"
    if error["type"] == "value_error":
        told = error["ctx"]["error"]
        if isinstance(told, AblataError):
            return SettingsError(at_key(path, told.must), found=told.found or found, do=told.do)
        return SettingsError(f"{path}: {told}" if path else str(told), found=found)
    if error["type"] == "extra_forbidden":
        siblings = locate(kind, error["loc"][:-1])
        return SettingsError(f"{path} must be a known key", found=found, do=_known(kind, siblings[1], error["loc"]))
    if error["type"] == "missing":
        return SettingsError(f"{path} must be given", found=f"nothing at {path}", do=f"add {path}=VALUE")
    if field is not None:
        must = f"{path} must be {describe(field, str(error['input'])[:80])}"
        return SettingsError(must, found=found, do=_fitting(path, field))
    return SettingsError(f"{path}: {error['msg']}", found=found)


def _fitting(path: str, field: FieldInfo) -> str:
    """Give a value of a field that is right: its default, where that can be written."""
    default = field.default
    if default is None or isinstance(default, bool | int | float | str):
        return f"such as {path}={default if isinstance(default, str) else json.dumps(default)}, the default"
    return f"give {path} such a value, or leave it out" if not field.is_required() else f"give {path} such a value"


def _known(kind: type[BaseModel], field: FieldInfo | None, location: Sequence[Any]) -> str | None:
    """Propose the key that looks like an unknown one, or say which there are, where the refusing class is certain."""
    here = {kind_of(kind): kind} if len(location) == 1 else parts(field.annotation) if field else {}
    chosen = here.get(str(location[-2])) if len(location) > 1 else kind
    chosen = chosen or (next(iter(here.values())) if len(here) == 1 else None)
    if chosen is None:
        return None
    keys = list(chosen.model_fields)
    if close := nearest(str(location[-1]), keys):
        return f"did you mean {close}?"
    more = f" and {len(keys) - _TOLD} more" if len(keys) > _TOLD else ""
    return f"choose one of {', '.join(keys[:_TOLD])}{more}"


def _shown(value: Any) -> str:
    return getattr(value, "__qualname__", None) or str(value)
