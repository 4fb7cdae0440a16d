"""Settings on a command line, `KEY=VALUE`; an option that is typed in that form is told as the option it is."""

from __future__ import annotations

from typing import Annotated

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
        if option in options:
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
