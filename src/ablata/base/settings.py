"""Frozen, typed settings: how they are expanded, identified, compared and written down.

A settings class sits beside the thing it builds. A part with alternatives is an open union of settings classes, told
apart by a `kind` field; see `ablata.base.parts`:

    class Nearest(Settings):
        kind: Literal["nearest"] = "nearest"

    class Decoder(Settings):
        upsample: Annotated[Nearest | Bilinear, OpenPart()] = Nearest()
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import get_annotations
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from ablata.base.errors import SettingsError
from ablata.base.fields import Incidental, OnDisk, explain, marked
from ablata.base.user_code import PACKAGE, CodeFolder, parse_reference, portable, reference_of

S = TypeVar("S", bound="Settings")

INCIDENTAL = Incidental()
"""Marks a field that says where or how fast, not what, and does not count in the hash:
`root: Annotated[str | None, INCIDENTAL]`."""
ON_DISK = OnDisk()
"""Marks a text that names a file or a folder, as a value of type `Path` does: `root: Annotated[str | None, INCIDENTAL,
ON_DISK]`. A run records its absolute path; the hash has its name alone, so that what is in it must count elsewhere, as
in the data's fingerprint."""


class Settings(BaseModel):
    """Base of every settings class: frozen, strict (`true` is no number), unknown keys, nan and infinity refused.

    Attributes:
        ALTERNATIVES: fields of which one at most is on; an override of one switches the others off.
        FORMER_KINDS: words that a part's `kind` was in earlier versions, so that older runs are read.
    """

    ALTERNATIVES: ClassVar[tuple[str, ...]] = ()
    FORMER_KINDS: ClassVar[tuple[str, ...]] = ()
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        protected_namespaces=(),
    )

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has the layout these settings read; False for settings that read no folder."""
        return False

    @classmethod
    def layout_settings(cls, folder: Path) -> list[str]:
        """Return what must be set, beside the root, to read a folder that is recognized: `train_json=train.json`."""
        return []

    def refuse_unknown_names(self) -> None:
        """Refuse names that a library must know, such as that of a network of timm, before anything is recorded.

        A part that has such a name asks its library; here the parts of these settings are asked.

        Raises:
            SettingsError: the library does not know one; names those that are most like it.
        """
        for value in vars(self).values():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, Settings):
                    one.refuse_unknown_names()

    def __init_subclass__(cls, **options: Any) -> None:
        """Tell a user's class apart by its reference, as ours are by a word (`kind` of a part, `task` of a recipe)."""
        super().__init_subclass__(**options)
        if cls.__module__.partition(".")[0] == PACKAGE:
            return
        ours = [base for base in cls.__mro__[1:] if base.__module__.partition(".")[0] == PACKAGE]
        for word in ("kind", "task"):
            inherited = any(word in get_annotations(base) for base in ours)
            if inherited and parse_reference(cls.__dict__.get(word)) is None:
                reference = reference_of(cls)
                cls.__annotations__ = {**get_annotations(cls), word: Literal[reference]}
                setattr(cls, word, reference)


@dataclass(frozen=True)
class Change:
    """One difference between two settings: a dotted key, the value before and after (None: the key is not there)."""

    key: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        return f"{self.key}: {self.old or '-'} -> {self.new or '-'}"


def expand(settings: Settings) -> dict[str, Any]:
    """Return every effective value as a JSON-safe tree, defaults included."""
    return settings.model_dump(mode="json")


def placed(settings: S) -> S:
    """Return settings whose files and folders have absolute paths, where they exist; the hash stays the same."""
    update = {name: _placed(getattr(settings, name), mark) for name, mark in _marks(settings)}
    changed = {name: value for name, value in update.items() if value is not getattr(settings, name)}
    return settings.model_copy(update=changed) if changed else settings


def _placed(value: Any, on_disk: bool) -> Any:
    if isinstance(value, Settings):
        return placed(value)
    if isinstance(value, tuple | list):
        items = [_placed(item, on_disk) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
    if isinstance(value, dict):
        return {key: _placed(item, on_disk) for key, item in value.items()}
    if isinstance(value, PurePath) or (on_disk and isinstance(value, str)):
        path = Path(value).expanduser()
        return type(value)(path.absolute()) if path.exists() else value
    return value


def files_named(settings: Settings) -> Iterator[tuple[Path, bool]]:
    """Give the files and folders that settings name, but those that say where and not what.

    Each with whether its field is marked, as ours are; of the others nothing is known.
    """
    for name, on_disk in _marks(settings, essential=True):
        yield from _named(getattr(settings, name), on_disk)


def _named(value: Any, on_disk: bool) -> Iterator[tuple[Path, bool]]:
    if isinstance(value, Settings):
        yield from files_named(value)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _named(item, on_disk)
    elif isinstance(value, dict):
        yield from _named(list(value.values()), on_disk)
    elif isinstance(value, PurePath) or (on_disk and isinstance(value, str)):
        yield Path(value).expanduser().absolute(), on_disk


def _marks(settings: Settings, *, essential: bool = False) -> Iterator[tuple[str, bool]]:
    """Give the fields, or those that count in the hash, and whether each names what is on the disk."""
    for name, field in type(settings).model_fields.items():
        if not (essential and marked(field, Incidental)):
            yield name, marked(field, OnDisk)


def restore(kind: type[S], tree: dict[str, Any], *, source: str, code: CodeFolder | None = None) -> S:
    """Rebuild settings from an expanded tree.

    Args:
        kind: the settings class.
        tree: what `expand` returned, perhaps read from a file or a ledger.
        source: where the tree comes from, for the error message.
        code: copies of users' files that the tree refers to, for those that moved or changed; None: there are none.

    Raises:
        SettingsError: the tree does not fit the class (an older or newer version, or a damaged file).
    """
    try:
        return kind.model_validate_json(json.dumps(tree), context={"code": code})
    except ValidationError as error:
        first = error.errors()[0]
        told = explain(kind, first)
        raise SettingsError(told.must, found=f"{told.found} in {source}", do=told.do) from None


def leaves(settings: Settings) -> dict[str, Any]:
    """Return `{dotted key: value}` for every plain value, in the order of declaration; a list is one value."""
    return dict(_leaves(expand(settings), ""))


def _leaves(tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(tree, list) and any(isinstance(value, dict) for value in tree):
        for index, value in enumerate(tree):
            yield from _leaves(value, f"{prefix}.{index}")
    else:
        yield prefix, tree


def as_text(settings: Settings) -> str:
    """Return one `key = value` line a setting, the form in which expanded recipes are committed and shown."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in leaves(settings).items())


def settings_hash(settings: Settings) -> str:
    """Return 16 hexadecimal digits that identify what the settings ask for; incidental fields do not count."""
    canonical = json.dumps(_essential(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def _essential(value: Any, on_disk: bool = False) -> Any:
    if isinstance(value, Settings):
        return {name: _essential(getattr(value, name), mark) for name, mark in _marks(value, essential=True)}
    if isinstance(value, tuple | list):
        return [_essential(item, on_disk) for item in value]
    if isinstance(value, PurePath) or (on_disk and isinstance(value, str)):
        return Path(value).expanduser().absolute().name or str(value)
    return portable(value) if isinstance(value, str) else value


def diff(old: Settings, new: Settings) -> list[Change]:
    """Return the settings that differ between `old` and `new`, in the order of declaration.

    Of a part that is new, or of another kind than before, only what differs from that kind's defaults is listed.
    """
    return list(_differences(old, new, ""))


def _differences(old: Any, new: Any, key: str) -> Iterator[Change]:
    before, after = isinstance(old, Settings), isinstance(new, Settings)
    if before and after and type(old) is type(new):
        for name in type(new).model_fields:
            yield from _differences(getattr(old, name), getattr(new, name), f"{key}.{name}" if key else name)
    elif after:
        yield Change(f"{key}.kind" if before else key, _shown(old), _shown(new))
        plain = _defaults(type(new))
        yield from () if plain is None else _differences(plain, new, key)
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from _differences(old.get(name), new.get(name), f"{key}.{name}")
    elif _plain(old) != _plain(new):
        yield Change(key, _shown(old), _shown(new))


def _defaults(kind: type[S]) -> S | None:
    """Return a part with all its defaults; None where some setting has none."""
    return None if any(field.is_required() for field in kind.model_fields.values()) else kind()


def _shown(value: Any) -> str:
    """Write a value as in JSON, a part of settings as its kind."""
    named = getattr(value, "kind", type(value).__name__) if isinstance(value, Settings) else _plain(value)
    named = portable(named) if isinstance(named, str) else named
    return json.dumps(named)


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return expand(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value


def json_schema(kind: type[Settings]) -> dict[str, Any]:
    """Return the JSON schema of a settings class: every key, type, default, alternative and description."""
    return kind.model_json_schema(schema_generator=_DescribedSchema)


def field_texts(kind: type[Settings]) -> dict[str, str]:
    """Return what stands below each field of a settings class, its own and inherited ones.

    Their source is read when they are asked for: pydantic, which can keep them, reads it for every class at each start.
    """
    texts: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one is BaseModel or not issubclass(one, BaseModel):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        for field, text in pairwise(tree.body if isinstance(tree, ast.ClassDef) else ()):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match text:
                    case ast.Expr(value=ast.Constant(value=str() as said)):
                        texts[field.target.id] = inspect.cleandoc(said)
    return texts


class _DescribedSchema(GenerateJsonSchema):
    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Put each field's text beside its type."""
        made = super().model_schema(schema)
        for name, text in field_texts(schema["cls"]).items():
            made.get("properties", {}).get(name, {}).setdefault("description", text)
        return made
