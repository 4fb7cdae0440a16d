"""Dotted overrides from a command line: `optim.lr=0.05 model.upsample=nearest data.augment.mix=null`.

A part is chosen by its kind (`loss=ohem`), then its keys can be set (`loss.threshold=0.6`), in whatever order they are
written. Choosing the kind that a part already has keeps its values; another kind starts from that kind's defaults.
Of alternatives (`train.epochs`, `train.steps`) the one that is given switches the others off.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from ablata.base.errors import AblataError, SettingsError, at_key, choices, listing, nearest
from ablata.base.fields import (
    allows_none,
    describe,
    explain,
    kind_of,
    opening,
    part_class,
    parts,
    path_text,
)
from ablata.base.settings import S, Settings, leaves
from ablata.base.user_code import absolute, is_own, module_of, parse_reference, reference_of

_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MOST_DIGITS = 4000
"""Of a number; a longer one is no number that Python reads."""


Overrides = Sequence[str] | Mapping[str, Any]
"""Settings to change: `key=value` texts, or values by dotted key."""


@dataclass(frozen=True)
class Assignment:
    """One `key=value` as typed: the dotted key taken apart, and the text after the equals sign."""

    path: tuple[str, ...]
    text: str

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join(self.path)

    def __str__(self) -> str:
        return f"{self.key}={self.text}"


def parse(argument: str) -> Assignment:
    """Take `key=value` apart.

    Raises:
        SettingsError: there is no equals sign or no key.
    """
    key, equals, text = argument.partition("=")
    if not equals or not re.fullmatch(r"\w+(\.\w+)*", key.strip()):
        raise SettingsError("A setting must be written key=value", found=argument, do="for example optim.lr=0.05")
    return Assignment(tuple(key.strip().split(".")), text.strip())


def parse_value(text: str) -> Any:
    """Read a value: a number, true, false, null, a list `[1, 2]` or `1,2`, or else the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text) and len(text) < _MOST_DIGITS:
        return float(text) if re.search(r"[.eE]", text) else int(text)
    if text[:1] in '["{':
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    if text.startswith("[") and text.endswith("]"):
        return [parse_value(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    return [parse_value(item.strip()) for item in text.split(",")] if "," in text else text


def override_texts(overrides: Overrides) -> list[str]:
    """Return overrides as `key=value` texts, the form in which they are typed and recorded.

    Args:
        overrides: such texts, or values by dotted key: `{"model.width": 32, "loss": Ohem(threshold=0.7)}`. A mapping
            as a value sets the keys below its own.

    Raises:
        SettingsError: a value is none that settings can hold.
    """
    if isinstance(overrides, Mapping):
        return list(_texts(overrides, ""))
    if isinstance(overrides, str):
        raise SettingsError(
            "Overrides are a list of texts, or values by key", found=f"the text {overrides}", do=f'["{overrides}"]'
        )
    return list(overrides)


def _texts(values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _texts(value, f"{key}.")
        else:
            yield f"{key}={value if isinstance(value, str) else _text(key, value)}"


def _text(key: str, value: Any) -> str:
    if inspect.isclass(value) or inspect.isfunction(value):
        return _part_name(key, value)
    try:
        return json.dumps(to_jsonable_python(value))
    except ValueError:
        made = type(value).__name__
        raise SettingsError(
            "A setting must be a number, a text, true, false, none, a list of them, or a part",
            found=f"{key}: an object of {made}",
            do=f"give the class {made} itself, or write path/to/file.py:Name; its arguments are settings of their own",
        ) from None


def _part_name(key: str, part: Any) -> str:
    """Return the kind of a built-in settings class, or the reference of a class or function."""
    module = module_of(part)
    own = module is None or is_own(module)
    if inspect.isclass(part) and issubclass(part, Settings) and not own:
        return kind_of(part)
    typed = part.__module__ == "__main__" and not hasattr(module, "__file__")
    if typed or "<" in part.__qualname__:
        raise SettingsError(
            "A part must be defined at the top of a file, so that another process finds it",
            found=f"{key}: {part.__qualname__}{', typed into a notebook or prompt' if typed else ''}",
            do="write it to a file such as mine.py and import it from there",
        )
    return reference_of(part)


def override(settings: S, arguments: Overrides) -> S:
    """Return a copy of `settings` with overrides applied and everything checked again.

    Raises:
        SettingsError: an unknown key, a wrong type or a value out of range; names the key, the value, what is allowed
            and the nearest known name.
    """
    tree = settings.model_dump(mode="json")
    assignments = [parse(argument) for argument in override_texts(arguments)]
    assignments.sort(key=lambda assignment: len(assignment.path))
    given = {assignment.path for assignment in assignments}
    for assignment in assignments:
        _assign(settings, tree, assignment, given)
    try:
        return type(settings).model_validate_json(json.dumps(tree))
    except ValidationError as error:
        first = error.errors()[0]
        told, path = explain(type(settings), first), path_text(type(settings), first["loc"])
        asked = next((str(a) for a in reversed(assignments) if a.key == path), listing(map(str, assignments)))
        inner = isinstance(first.get("ctx", {}).get("error"), AblataError)
        raise SettingsError(told.must, found=told.found if inner else asked, do=told.do) from None


def _assign(root: Settings, tree: dict[str, Any], assignment: Assignment, given: set[tuple[str, ...]]) -> None:
    model: type[BaseModel] = type(root)
    node = tree
    for depth, key in enumerate(assignment.path[:-1]):
        field = _field(root, model, assignment, depth)
        # What an override of the part above, such as `data={}`, left out is there in no form.
        node[key] = _opened(field, node.get(key), assignment, depth)
        model = _chosen(field, node[key])
        node = node[key]
    *above, key = assignment.path
    chosen = _field(root, model, assignment, len(above))
    if above and key == "kind" and node.get(key) not in (None, assignment.text):
        raise _other_kind(field, node[key], assignment)
    node[key] = _value(chosen, node.get(key), assignment)
    alternatives: tuple[str, ...] = getattr(model, "ALTERNATIVES", ())
    if key in alternatives and node[key] is not None:
        node.update({other: None for other in alternatives if other != key and (*above, other) not in given})


def _other_kind(field: FieldInfo, current: str, assignment: Assignment) -> SettingsError:
    """Return the error for `optim.kind=adamw`, which says that another part is chosen by `optim=adamw`."""
    part, kinds = assignment.key.removesuffix(".kind"), parts(field.annotation)
    opens = opening(field) is not None and parse_reference(assignment.text) is not None
    known = assignment.text if assignment.text in kinds or opens else nearest(assignment.text, kinds)
    return SettingsError(
        f"{assignment.key} must stay {current}: another part is chosen by its name alone, as {part}=KIND",
        found=str(assignment),
        do=f"write {part}={known}" if known else f"choose {choices((f'{part}={kind}' for kind in kinds), part)}",
    )


def _field(root: Settings, model: type[BaseModel], assignment: Assignment, depth: int) -> FieldInfo:
    key = assignment.path[depth]
    if key in model.model_fields:
        return model.model_fields[key]
    prefix = ".".join(assignment.path[:depth])
    where = f"{prefix} ({kind_of(model)})" if prefix else "the recipe"
    raise SettingsError(
        f"{'.'.join(assignment.path[: depth + 1])} must be a key of {where}: {choices(model.model_fields, key)}",
        found=str(assignment),
        do=_suggestion(root, model, assignment, depth),
    )


def _suggestion(root: Settings, model: type[BaseModel], assignment: Assignment, depth: int) -> str | None:
    """Propose the sibling that looks alike, else the same key elsewhere, else the part that has the key."""
    key, prefix = assignment.path[depth], assignment.path[:depth]
    if close := nearest(key, model.model_fields):
        return f"did you mean {'.'.join((*prefix, close, *assignment.path[depth + 1 :]))}?"
    alike = [known for known in leaves(root) if known.rpartition(".")[2] == assignment.path[-1]]
    if elsewhere := [known for known in alike if known != assignment.key]:  # that one is of the part it replaces
        return f"did you mean {' or '.join(elsewhere)}?"
    if prefix:
        parent: Any = type(root)
        for step in prefix[:-1]:
            parent = next(iter(parts(parent.model_fields[step].annotation).values()))
        field = parent.model_fields.get(prefix[-1])
        kinds = parts(field.annotation) if field is not None else {}
        holders = {kind: other for kind, other in kinds.items() if key in other.model_fields}
        where, folder = ".".join(prefix), Path(assignment.text).expanduser()
        fitting = [kind for kind, other in holders.items() if folder.is_dir() and _recognizes(other, folder)]
        if key == "root" and fitting:
            told = "".join(f" {where}.{setting}" for setting in _layout_settings(holders[fitting[0]], folder))
            return f"{assignment.text} has the layout of {fitting[0]}: add {where}={fitting[0]}{told}"
        if holders:
            return f"{key} is a key of {listing(holders)}: choose one, such as {where}={next(iter(holders))}"
    return None


def _recognizes(model: type[BaseModel], folder: Path) -> bool:
    return issubclass(model, Settings) and model.recognizes(folder)


def _layout_settings(model: type[BaseModel], folder: Path) -> list[str]:
    try:
        return model.layout_settings(folder) if issubclass(model, Settings) else []
    except AblataError:  # told where the set is read
        return []


def _opened(field: FieldInfo, current: Any, assignment: Assignment, depth: int) -> dict[str, Any]:
    """Return the tree below a key, starting the part if it is off and there is just one."""
    if isinstance(current, dict):
        return current
    path, kinds = ".".join(assignment.path[: depth + 1]), parts(field.annotation)
    if not kinds:
        raise SettingsError(
            f"{path} is a value ({describe(field)}) and has no keys below it",
            found=str(assignment),
            do=f"set it as a whole: {path}=VALUE",
        )
    if len(kinds) > 1:
        fitting = [kind for kind, part in kinds.items() if assignment.path[depth + 1] in part.model_fields]
        raise SettingsError(
            f"{path} is off; it must be chosen before its keys are set",
            found=str(assignment),
            do=f"add {choices(f'{path}={kind}' for kind in fitting or kinds)}",
        )
    return _defaults(next(iter(kinds.values())))


def _chosen(field: FieldInfo, tree: dict[str, Any]) -> type[BaseModel]:
    kinds = parts(field.annotation)
    if len(kinds) == 1 and opening(field) is None:
        return next(iter(kinds.values()))
    return part_class(field, tree.get("kind", next(iter(kinds), "")))


def _value(field: FieldInfo, current: Any, assignment: Assignment) -> Any:
    value, kinds = parse_value(assignment.text), parts(field.annotation)
    if kinds and isinstance(value, str) and value in kinds:
        same = isinstance(current, dict) and current.get("kind", value) == value
        return current if same else _defaults(kinds[value])
    if opening(field) is not None and parse_reference(assignment.text) is not None:
        return _opened_by(field, current, assignment)
    if len(kinds) == 1 and value is True:
        return current if isinstance(current, dict) else _defaults(next(iter(kinds.values())))
    if kinds and allows_none(field.annotation) and value is False:
        return None
    if len(kinds) > 1 and isinstance(value, dict) and "kind" not in value:
        raise SettingsError(
            f"{assignment.key} must say which it is: one of {choices(kinds, assignment.text)}",
            found=str(assignment),
            do=f"{assignment.key}=KIND, then {assignment.key}.setting=value",
        )
    annotation: Any = field.annotation
    adapter: Any = TypeAdapter(annotation, config=None if kinds else {"strict": True})
    told: AblataError | None = None
    for candidate in (value, assignment.text, [value], [assignment.text]):
        try:
            adapter.validate_json(json.dumps(candidate))
        except ValidationError as error:
            told = told or _refusal(error)
            continue
        return candidate
    if told is not None:
        raise SettingsError(at_key(assignment.key, told.must), found=told.found, do=told.do)
    close = nearest(assignment.text, kinds or _literals(field))
    file = assignment.text.rstrip(":")
    within = f"name what is in it: {assignment.key}={file}:CLASS" if opening(field) and file.endswith(".py") else None
    raise SettingsError(
        f"{assignment.key} must be {describe(field, assignment.text)}",
        found=str(assignment),
        do=within
        or _one_part_down(assignment, kinds)
        or (f"did you mean {assignment.key}={close}?" if close else None),
    )


def _one_part_down(assignment: Assignment, kinds: Mapping[str, type[BaseModel]]) -> str | None:
    """Return the assignments that choose a part inside another: any backbone below a detector's feature pyramid."""
    for kind, chosen in kinds.items():
        for name, inner in chosen.model_fields.items():
            if opening(inner) is not None and assignment.text in parts(inner.annotation):
                return f"{assignment.key}={kind} {assignment.key}.{name}={assignment.text}"
    return None


def _refusal(error: ValidationError) -> AblataError | None:
    """Return what a check of ours says of a value that names something of the user's; None where it named nothing."""
    for one in error.errors():
        told = one.get("ctx", {}).get("error")
        if isinstance(told, AblataError) and parse_reference(str(one["input"])) is not None:
            return told
    return None


def _opened_by(field: FieldInfo, current: Any, assignment: Assignment) -> dict[str, Any]:
    """Return the tree of the part that a reference names: as it is if it is that already, else its defaults."""
    reference = absolute(assignment.text)
    try:
        chosen = part_class(field, reference)
    except AblataError as error:
        raise SettingsError(at_key(assignment.key, error.must), found=error.found, do=error.do) from None
    if isinstance(current, dict) and current.get("kind") == kind_of(chosen):
        return current
    return {**_defaults(chosen), "kind": kind_of(chosen)}


def _literals(field: FieldInfo) -> list[str]:
    return describe(field).removeprefix("one of ").split(", ") if "one of" in describe(field) else []


def _defaults(kind: type[BaseModel]) -> dict[str, Any]:
    tree = {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if not field.is_required()
    }
    return {name: to_jsonable_python(value) for name, value in tree.items()}
