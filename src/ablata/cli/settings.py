"""Settings on a command line, `KEY=VALUE`; an option that is typed in that form is told as the option it is."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any

import typer

from ablata.base.errors import SettingsError

_ELSEWHERE = {"home": "set ABLATA_HOME={value} before the command", "db": "set ABLATA_DB={value} before the command"}


def refuse_options(context: typer.Context, values: list[str] | None) -> list[str] | None:
    """Refuse `seed=3` where `--seed 3` is meant.

    Raises:
        SettingsError: names the option.
    """
    options = {option: param for param in context.command.params for option in param.opts if option.startswith("--")}
    for text in values or ():
        key, equals, value = text.partition("=")
        option = f"--{key.strip().replace('_', '-')}"
        if not equals or (option not in options and key not in _ELSEWHERE):
            continue
        if option == "--seed" and context.params.get("resume"):
            do = "leave it out: a run keeps its seed"
        elif option in options:
            flag = getattr(options[option], "is_flag", False)
            do = option if flag else f"{option} {value.strip()}"
        else:
            do = _ELSEWHERE[key].format(value=value.strip())
        raise SettingsError("A setting must be a key of the recipe", found=f"{text}, which is none", do=do)
    return values


SettingsToChange = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change.", callback=refuse_options),
]


USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""click's, which typer brings along or imports, by version."""


def tell_form_of_setting(error: Any) -> None:
    """Add to `No such option: --epochs` how a setting is given to that command, unless one of its options is near.

    Args:
        error: a usage error; any other kind of them stays as it is.
    """
    if type(error).__name__ != "NoSuchOption":
        return
    if near := get_close_matches(error.option_name, error.possibilities or (), cutoff=0.8):
        error.possibilities = near
        return
    error.possibilities = None
    key, parameters = error.option_name.lstrip("-").replace("-", "_"), error.ctx.command.params
    if any(one.name == "overrides" for one in parameters):
        form = f"{key}=VALUE"
    elif any("--set" in one.opts for one in parameters):
        form = f"--set {key}=VALUE"
    else:
        return
    error.message += f". A setting of the recipe is given as {form}"
