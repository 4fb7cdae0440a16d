"""What `--help` shows: what a value is, in a word, and no Python type; and what is said of an unknown option."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from ablata.cli.settings import USAGE_ERROR, tell_form_of_setting

F = TypeVar("F", bound=Callable[..., Any])
_WORDS = {"int": "N", "int range": "N", "float": "NUMBER", "float range": "NUMBER", "str": "TEXT", "Path": "PATH"}
"""What stands for a type where an option has no `metavar`."""


def _value_word(parameter: Any, ctx: Any) -> str | None:
    """Return what stands behind an option: its `metavar`, its choices, or a word for its type; None for a flag."""
    if isinstance(parameter, TyperArgument) or parameter.is_flag:
        return None
    if parameter.metavar is not None:
        return str(parameter.metavar)
    named = parameter.display_type(ctx).strip("<>").removeprefix("list[").removesuffix("]")
    return _WORDS.get(named, "PATH" if named == "path" else named)


def _usage(argument: TyperArgument, ctx: Any) -> list[str]:
    """Return what stands for an argument in a usage line: in brackets where it can be left out."""
    word = str(argument.metavar)
    return [word if argument.required or word.startswith("[") else f"[{word}]"]


def _without_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if isinstance(parameter, TyperArgument):
            # Typer would write `{run}`, and a second pair of brackets around `[KEY=VALUE]...`.
            parameter.metavar = parameter.metavar or str(parameter.name).upper() + "..." * (parameter.nargs == -1)
            parameter.get_usage_pieces = partial(_usage, parameter)  # type: ignore[method-assign]
        # Typer would write `<list[str]>`, and `<bool>` behind a flag.
        parameter.display_type_rich = partial(_value_word, parameter)
    return parameters


def _with_values(parameters: list[Any], args: list[str]) -> list[str]:
    """Give an option whose value may be left out (its `metavar` stands in brackets) an empty one where it is."""
    optional = {name for one in parameters if str(one.metavar).startswith("[HOST") for name in one.opts}
    filled: list[str] = []
    for place, word in enumerate(args):
        filled.append(word)
        if word in optional and ":" not in "".join(args[place + 1 : place + 2]):
            filled.append("")
    return filled


class CliCommand(TyperCommand):
    """A command whose help names no Python types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's parameters, as click asks for them."""
        return _without_types(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed.

        Raises:
            click.UsageError: says of an option that there is not how a setting is given, if the command takes them.
        """
        try:
            return super().parse_args(ctx, _with_values(self.params, args))
        except USAGE_ERROR as error:
            tell_form_of_setting(error)
            raise


class CliGroup(TyperGroup):
    """A group of commands whose help names no Python types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the group's parameters, as click asks for them."""
        return _without_types(super().get_params(ctx))


class CommandGroup(typer.Typer):
    """A group of commands; shown where none is named.

    Args:
        settings: as of `typer.Typer`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=CliGroup, no_args_is_help=True, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """Return the decorator that makes a function a command of the group."""
        made: Callable[[F], F] = super().command(name, cls=CliCommand, **settings)
        return made
