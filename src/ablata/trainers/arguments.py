"""The arguments of a function as its settings: names, defaults, types, and which values they take."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from ablata.base.errors import SettingsError, choices, nearest
from ablata.base.fields import describe
from ablata.base.parts import is_writable

GIVEN = ("seed", "run_dir")
"""Arguments that every run is given, where the function takes them; all others are its settings."""
_NUMBER: Any = int | float


@dataclass(frozen=True)
class Arguments:
    """The arguments of a function.

    Args:
        parameters: by name, in order.
        open: it takes any other keyword, too.
    """

    parameters: Mapping[str, inspect.Parameter]
    open: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Arguments:
        """Return a function's arguments.

        Raises:
            SettingsError: it has no signature in Python, or one of its arguments cannot be given by name.
        """
        try:
            signature = inspect.signature(function, eval_str=True)
        except (NameError, AttributeError, SyntaxError, TypeError):
            signature = inspect.signature(function)
        except ValueError:
            raise SettingsError(
                "A function must have a signature in Python",
                found=repr(function),
                do="wrap it: def trained(...): return it(...)",
            ) from None
        arguments = signature.parameters.values()
        for argument in arguments:
            if argument.kind is argument.POSITIONAL_ONLY and argument.default is argument.empty:
                raise SettingsError(
                    "The arguments of a function must have names",
                    found=f"{argument.name} before the /",
                    do="take the / out of its arguments",
                )
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        named = {argument.name: argument for argument in arguments if argument.kind in kinds}
        return cls(named, any(argument.kind is argument.VAR_KEYWORD for argument in arguments))

    def takes(self, name: str) -> bool:
        """Tell whether it has an argument of this name."""
        return name in self.parameters

    @property
    def defaults(self) -> dict[str, Any]:
        """The defaults that settings can hold; others stay the function's own business."""
        return {
            name: argument.default
            for name, argument in self._settings.items()
            if argument.default is not argument.empty and is_writable(argument.default)
        }

    @property
    def _settings(self) -> dict[str, inspect.Parameter]:
        return {name: argument for name, argument in self.parameters.items() if name not in GIVEN}

    @cached_property
    def _types(self) -> dict[str, Any]:
        return {name: _type_of(argument) for name, argument in self._settings.items()}

    def checked(self, values: Mapping[str, Any], function: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return values as settings hold them, and apart those that are objects of this process.

        Args:
            values: by argument.
            function: its name, for messages.

        Raises:
            SettingsError: there is no such argument, a value does not fit its type, or an argument has none.
        """
        for name in values:
            self._refuse_unknown(name, values[name], function)
        for name, argument in self._settings.items():
            if argument.default is argument.empty and name not in values:
                raise SettingsError(
                    f"Every argument of {function} must have a value",
                    found=f"{name} has no default",
                    do=f"functools.partial({function}, {name}=...) as the control",
                )
        values = {name: _without_numpy(value) for name, value in values.items()}
        plain = {name: value for name, value in values.items() if is_writable(value)}
        objects = {name: value for name, value in values.items() if name not in plain}
        return {name: self._checked(name, value) for name, value in plain.items()}, objects

    def restored(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values that settings held as the function takes them: a list as a tuple, a text as a path."""
        return {name: self._validated(name, value) for name, value in values.items()}

    def _refuse_unknown(self, name: str, value: Any, function: str) -> None:
        if name in GIVEN:
            raise SettingsError(
                f"{name} is given to every run and is no setting",
                found=f"{name} = {value!r}",
                do="first_seed=... says where the seeds begin" if name == "seed" else "leave it out",
            )
        if name not in self._settings and not self.open:
            close = nearest(name, self._settings)
            raise SettingsError(
                f"{function} must have the argument {name}",
                found=f"it has {choices(self._settings, name)}",
                do=f"did you mean {close}?" if close else "choose one of them, or add it to the function",
            )

    def _checked(self, name: str, value: Any) -> Any:
        try:
            held = json.loads(json.dumps(to_jsonable_python(value), allow_nan=False))
            self._validated(name, held)
        except ValidationError:
            kind = self._types[name]
            wanted = describe(FieldInfo(annotation=float if kind == _NUMBER else kind), str(value))
            raise SettingsError(
                f"{name} must be {wanted}", found=f"{name} = {value!r}"[:120], do=f"give {name} such a value"
            ) from None
        except ValueError:
            raise SettingsError(
                "Numbers of settings must be finite",
                found=f"{name} = {value!r}"[:120],
                do=f"give {name} a finite number",
            ) from None
        return held

    def _validated(self, name: str, value: Any) -> Any:
        kind = self._types.get(name, Any)
        default = self.parameters[name].default if name in self.parameters else None
        if kind is Any and isinstance(default, tuple) and isinstance(value, list):
            return tuple(value)
        return TypeAdapter(kind).validate_json(json.dumps(value), strict=True)


def _type_of(argument: inspect.Parameter) -> Any:
    """Return the type that values are checked for: the annotation where settings can hold it, else by the default."""
    annotation = argument.annotation
    if annotation is not argument.empty and not isinstance(annotation, str):
        try:
            TypeAdapter(annotation)
            return annotation
        except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError):
            pass
    default = argument.default
    if isinstance(default, bool | str) and not isinstance(annotation, str):
        return type(default)
    # Without an annotation a whole number may stand for any number.
    return _NUMBER if isinstance(default, int | float) and not isinstance(default, bool) else Any


def _without_numpy(value: Any) -> Any:
    """Return a number of numpy's as Python's own."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () else value
