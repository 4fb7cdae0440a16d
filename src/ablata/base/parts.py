"""Open parts: settings fields that take a built-in kind, or a class of the user's own.

    AnyPixelLoss = Annotated[CrossEntropy | Ohem, OpenPart(PixelSettings, adapt="ablata.losses.plain:pixel_loss")]

    class Segment(Settings):
        loss: AnyPixelLoss = CrossEntropy()

The field takes an instance of a built-in class or of any class derived from `PixelSettings`. In a tree or on a command
line it takes a built-in kind, or a reference `path/to/file.py:Class`. What a reference names may be a settings class,
or a plain thing (an `nn.Module` class, a function): then the function named by `adapt` makes a settings class of it,
whose fields are the plain thing's own arguments.
"""

from __future__ import annotations

import importlib
import inspect
import json
import traceback
import typing
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    create_model,
)
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from ablata.base.errors import AblataError, SettingsError, choices, listing, nearest
from ablata.base.fields import Incidental, Named, Opening, kind_of, marked, options
from ablata.base.imported_files import module_files
from ablata.base.settings import INCIDENTAL, ON_DISK, Settings, expand
from ablata.base.user_code import (
    PACKAGE,
    CodeFolder,
    absolute,
    is_own,
    load_file,
    module_of,
    parse_reference,
    reference_of,
    references,
    resolve,
    settled,
)

P = TypeVar("P", bound="PlainPart")
_BUILT_IN = "ablata_built_in"


@dataclass(frozen=True)
class OpenPart(Opening):
    """Mark of a field whose built-in classes stand in its type and that takes other classes too.

    Args:
        base: class that every settings class must derive from; None: any settings class.
        adapt: `module:function` that makes a settings class of a plain thing, given that and its reference; it raises
            SettingsError where it cannot. None: plain things are refused.
        plain: what plain thing is taken, for messages: `an nn.Module class`.
    """

    base: type[Settings] | None = None
    adapt: str | None = None
    plain: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        built_in = tuple(
            option for option in options(source) if inspect.isclass(option) and issubclass(option, Settings)
        )

        def validate(value: Any, info: ValidationInfo) -> Any:
            return self._validated(value, info, {kind_of(option): option for option in built_in})

        return core_schema.with_info_plain_validator_function(validate, metadata={_BUILT_IN: built_in})

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        built_in = schema.get("metadata", {}).get(_BUILT_IN, ())
        kind = {"type": "string", "pattern": ":", "description": "a class of your own: path/to/file.py:Class"}
        own = {"type": "object", "required": ["kind"], "properties": {"kind": kind}}
        return {"anyOf": [*(handler(option.__pydantic_core_schema__) for option in built_in), own]}

    def _validated(self, value: Any, info: ValidationInfo, built_in: Mapping[str, type[Settings]]) -> Any:
        if isinstance(value, Settings):
            if type(value) not in built_in.values():
                self._check_base(type(value), type(value).__name__)
            return value
        if not isinstance(value, Mapping):
            if callable(value) and info.mode != "json":
                return self.settings_of(value, reference_of(value))()
            raise PydanticCustomError("open_part", "no part: {value}", {"value": repr(value)[:80]})
        tree, default = dict(value), next(iter(built_in), None)
        chosen = self.find(tree.get("kind", default), built_in, (info.context or {}).get("code"))
        if "kind" in chosen.model_fields:
            tree["kind"] = kind_of(chosen)
        try:
            # Strict settings take a list for a tuple in JSON alone, so a part is read in the mode its tree came in.
            if info.mode == "json":
                return chosen.model_validate_json(json.dumps(tree), context=info.context)
            return chosen.model_validate(tree, context=info.context)
        except ValidationError as error:
            raise _below(kind_of(chosen), error) from None

    def find(self, kind: Any, built_in: Mapping[str, type[Settings]], code: CodeFolder | None = None) -> type[Settings]:
        """Return the settings class that a kind stands for.

        Args:
            kind: a built-in kind, or a reference.
            built_in: the built-in classes by their kind.
            code: where copies of users' files are; None: nowhere.

        Raises:
            SettingsError: there is no such kind, file or class, or it does not fit.
        """
        if kind in built_in:
            return built_in[kind]
        for option in built_in.values():
            if kind in option.FORMER_KINDS:
                return option
        if parse_reference(kind) is None:
            close = nearest(str(kind), built_in)
            raise SettingsError(
                f"It must be one of {choices(built_in, kind)}, or path/to/file.py:Class",
                found=str(kind),
                do=f"did you mean {close}?" if close else "choose one of them, or name a file of yours",
            )
        reference = absolute(kind, code)
        try:
            thing = resolve(reference)
        except SettingsError as error:
            raise _with_own_kind(error, reference, built_in) from None
        return self.settings_of(thing, settled(reference))

    def settings_of(self, thing: Any, reference: str) -> type[Settings]:
        """Return the settings class of what a reference names: itself, or one made for a plain thing.

        Raises:
            SettingsError: it is neither.
        """
        if inspect.isclass(thing) and issubclass(thing, Settings):
            self._check_base(thing, reference)
            return thing
        if self.adapt is None:
            raise SettingsError(
                f"It must be {self._wanted()}", found=f"{reference}, which is {_what(thing)}", do=self._advice()
            )
        module, _, function = self.adapt.partition(":")
        return typing.cast(type[Settings], getattr(importlib.import_module(module), function)(thing, reference))

    def _check_base(self, kind: type[Settings], named: str) -> None:
        if self.base is not None and not issubclass(kind, self.base):
            bases = [base.__name__ for base in kind.__mro__[1:] if issubclass(base, Settings)]
            raise SettingsError(
                f"It must be {self._wanted()}", found=f"{named}, derived from {listing(bases)}", do=self._advice()
            )

    def _advice(self) -> str:
        return f"derive it from {self.base.__name__}" if self.base else "name another class in that file"

    def _wanted(self) -> str:
        wanted = f"a class derived from {self.base.__name__}" if self.base else "a settings class"
        return f"{wanted}, or {self.plain}" if self.plain else wanted


def _with_own_kind(error: SettingsError, reference: str, built_in: Mapping[str, type[Settings]]) -> SettingsError:
    """Return an error about a library's network that names the built-in kind for that library, where there is one."""
    asked = parse_reference(reference)
    for kind, option in built_in.items():
        if asked is not None and asked.module == kind.partition("_")[0] and "name" in option.model_fields:
            do = f"its networks are the built-in kind {kind}, as in model={kind} model.name={asked.name}"
            return SettingsError(error.must, found=error.found, do=do)
    return error


class PlainPart(Settings):
    """Base of the settings classes made for plain things; a room derives its own from it and gives that `build`.

    Attributes:
        THING: the class or function that the settings stand for.
        ARGUMENTS: names of its arguments that are settings.
    """

    THING: ClassVar[Any] = None
    kind: str = ""
    """The reference under which the plain thing is found again."""

    ARGUMENTS: ClassVar[tuple[str, ...]] = ()

    def arguments(self) -> dict[str, Any]:
        """Return the plain thing's arguments by name."""
        return {name: getattr(self, name) for name in self.ARGUMENTS}


def settings_for(
    base: type[P], thing: Any, reference: str, given: Collection[str] = (), incidental: Collection[str] = ()
) -> type[P]:
    """Make the settings class of a plain thing: a field for each argument, required where it has no default.

    An argument whose default settings cannot hold, such as a class or a function, gets none and keeps that default.

    Args:
        base: class to derive from.
        thing: a class or function.
        reference: under which it is found again.
        given: arguments that get no field, since whoever calls it gives them.
        incidental: arguments that say where, not what: a folder, whose name does not count in the hash.
    """
    made = _settings_class(base, thing, reference, frozenset(given), frozenset(incidental))
    return typing.cast(type[P], made)


@lru_cache(maxsize=256)
def _settings_class(
    base: type[PlainPart], thing: Any, reference: str, given: frozenset[str], incidental: frozenset[str]
) -> type[PlainPart]:
    """Make the class once, so that settings of one thing are equal if their values are."""
    fields: dict[str, Any] = {"kind": (Literal[reference], reference)}
    for argument in _signature(thing, reference):
        if argument.name in given or argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            continue
        if argument.default is not argument.empty and not is_writable(argument.default):
            continue
        kind = _type_of(argument)
        kind = Annotated[kind, INCIDENTAL, ON_DISK] if argument.name in incidental else kind
        fields[argument.name] = (kind, ... if argument.default is argument.empty else argument.default)
    made = create_model(thing.__name__, __base__=base, __module__=thing.__module__, __doc__=thing.__doc__, **fields)
    made.THING = thing if inspect.isclass(thing) else staticmethod(thing)
    made.ARGUMENTS = tuple(fields)[1:]
    return made


def _signature(thing: Any, reference: str) -> Iterator[inspect.Parameter]:
    try:
        signature = inspect.signature(thing, eval_str=True)
    except (NameError, TypeError, AttributeError):
        signature = inspect.signature(thing)
    except ValueError:
        raise SettingsError(
            "A part must have a signature in Python",
            found=reference,
            do="write a class or function in Python around it",
        ) from None
    yield from signature.parameters.values()


def _type_of(argument: inspect.Parameter) -> Any:
    """Return the type of a field: the annotation where settings can hold it, else that of the default."""
    annotation = argument.annotation
    if annotation is not argument.empty and _is_plain(annotation):
        return annotation
    if argument.default is argument.empty:
        return Any
    return Any if argument.default is None else _type_of_value(argument.default)


def _type_of_value(value: Any) -> Any:
    """Return a value's type; of a tuple of tuples so that it comes back as one from JSON, which has lists alone."""
    if not isinstance(value, tuple):
        return type(value)
    nested = bool(value) and all(isinstance(item, tuple) for item in value)
    return tuple[_type_of_value(value[0]), ...] if nested else tuple[Any, ...]  # type: ignore[misc]


def is_writable(value: Any) -> bool:
    """Tell whether settings can hold a value: numbers, texts, truth values, and lists and mappings of them."""
    if isinstance(value, tuple | list):
        return all(map(is_writable, value))
    if isinstance(value, Mapping):
        return all(map(is_writable, (*value, *value.values())))
    return value is None or isinstance(value, bool | int | float | str | PurePath | Enum | Settings)


def _is_plain(annotation: Any) -> bool:
    """Tell whether an annotation is made of what settings can hold: numbers, texts, truth values, tuples, settings."""
    if isinstance(annotation, str):
        return False
    try:
        TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError):
        return False
    return True


def _what(thing: Any) -> str:
    if inspect.isclass(thing):
        return f"a class derived from {listing(base.__name__ for base in thing.__mro__[1:])}"
    return "a function" if inspect.isfunction(thing) else f"a {type(thing).__name__}"


def _below(kind: str, error: ValidationError) -> ValidationError:
    """Return an error whose places begin with the kind of the part, as those of a tagged union do."""
    details = [
        InitErrorDetails(type=one["type"], loc=(kind, *one["loc"]), input=one["input"], ctx=one.get("ctx", {}))
        for one in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, details)


def _named_part(text: str, info: ValidationInfo) -> str:
    if parse_reference(text) is None:
        raise SettingsError(
            "It must be a known word, or path/to/file.py:Name",
            found=text,
            do="give the file and the name in it, such as ./mine.py:Name",
        )
    reference = absolute(text, (info.context or {}).get("code"))
    resolve(reference)
    return settled(reference)


NamedPart = Annotated[str, Named(), AfterValidator(_named_part)]
"""A reference to a class or function, for fields that take words: `Literal["relu", "silu"] | NamedPart`."""


def _word_or_part(text: str, info: ValidationInfo) -> str:
    return text if parse_reference(text) is None else _named_part(text, info)


WordOrPart = Annotated[str, AfterValidator(_word_or_part)]
"""The same for fields whose words are too many to be listed, and are checked elsewhere."""


def user_modules(value: Any) -> tuple[ModuleType, ...]:
    """Return the modules of the user's own that settings refer to: classes of parts, plain things, named parts.

    Raises:
        SettingsError: a part is defined where no other process finds it: inside a function, or in no file.
    """
    found: dict[str, ModuleType] = {}
    for thing in _things(value):
        module = thing if isinstance(thing, ModuleType) else module_of(thing)
        if module is not None and is_own(module):
            found[module.__name__] = module
    return tuple(found[name] for name in sorted(found))


def _things(value: Any) -> Iterator[Any]:
    if isinstance(value, Settings):
        yield from (getattr(kind, "THING", None) or kind for kind in type(value).__mro__ if issubclass(kind, Settings))
        if getattr(value, "THING", None) is None and type(value).__module__.partition(".")[0] != PACKAGE:
            yield resolve(reference_of(type(value)))
        for name, about in type(value).model_fields.items():
            if not marked(about, Incidental):
                yield from _things(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _things(item)
    elif isinstance(value, dict):
        yield from _things(list(value.values()))
    elif (reference := parse_reference(value)) is not None:
        thing = resolve(value)
        yield from (thing, load_file(reference.file) if reference.file else thing)


@contextmanager
def users_mistakes(settings: Settings, doing: str) -> Iterator[None]:
    """Tell in words what fails in a user's parts inside a `with` block; other failures pass.

    Args:
        settings: that hold the parts.
        doing: what is tried: `be built`, `fit the first batch`.

    Raises:
        SettingsError: names file, line and error.
    """
    try:
        yield
    except AblataError:
        raise
    except (Exception, SystemExit) as error:
        named = references(expand(settings))
        if not named:
            raise
        files = {str(path) for path in module_files(user_modules(settings))}
        told = f"{type(error).__name__}: {error}"
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
        where = f"{lines[-1].filename}, line {lines[-1].lineno}, in {lines[-1].name}: " if lines else ""
        raise SettingsError(
            f"Parts of your own must {doing}",
            found=f"{where}{told}" if where else f"{told} (with {listing(named)})",
            do="`ablata --debug` before the command shows the whole traceback",
        ) from error


def part_name(part: Settings) -> str:
    """Return a part's name in scores and loss terms: its kind, or the name of the user's class or function."""
    kind = kind_of(type(part))
    reference = parse_reference(kind)
    return kind if reference is None else reference.name
