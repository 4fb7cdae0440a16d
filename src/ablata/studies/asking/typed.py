"""Changes as they are typed on a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ablata.base.errors import SettingsError

_SECOND_SETTING = re.compile(r",\s*[A-Za-z_]\w*(\.\w+)*=")
"""A comma after which another key=value begins."""
_IS_WHOLE = re.compile(r"[^:=]+=")
"""An arm that is a command of its own."""


def typed_changes(texts: Sequence[str], option: str) -> dict[str, tuple[str, ...]]:
    """Return the settings of each name in texts `NAME:key=value`; a name that comes again adds a setting.

    Args:
        texts: as typed.
        option: what they were typed after: `--arm` or `--factor`.

    Raises:
        SettingsError: a text is written otherwise, a key comes twice under one name, or there is none.
    """
    arms: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, colon, setting = text.partition(":")
        if not colon or not name or "=" not in setting or "=" in name:
            raise SettingsError(
                f"What follows {option} must be written NAME:key=value",
                found=f"{option} {text}",
                do=f"for example {option} noflip:data.augment.flip=false",
            )
        if (joined := _SECOND_SETTING.search(setting)) and not setting.partition("=")[2].startswith(("{", "[", '"')):
            parts = (setting[: joined.start()], setting[joined.start() + 1 :].lstrip())
            raise SettingsError(
                f"{option} must hold one setting; a name that comes again adds another",
                found=f"{option} {text}",
                do=" ".join(f"{option} {name}:{part}" for part in parts),
            )
        key = setting.partition("=")[0].strip()
        if twice := [one for one in arms.get(name, ()) if one.partition("=")[0].strip() == key]:
            raise SettingsError(
                "One name must set each key once",
                found=f"{name}: {twice[0]} and {setting}",
                do="give each value a name of its own",
            )
        arms[name] = (*arms.get(name, ()), setting)
    if not arms:
        raise SettingsError("A study must change something", found=f"no {option}", do=f"{option} NAME:key=value")
    return arms


def typed_arms(texts: Sequence[str]) -> dict[str, tuple[str, ...] | str]:
    """Return what each arm of texts `NAME:key=value`, `NAME=COMMAND` or `NAME=git:REF` changes.

    Raises:
        SettingsError: a text is written otherwise, or a name or a key comes twice.
    """
    whole = dict(text.split("=", 1) for text in texts if _IS_WHOLE.match(text))
    settings = [text for text in texts if not _IS_WHOLE.match(text)]
    changed = typed_changes(settings, "--arm") if settings or not whole else {}
    if twice := sorted({*whole} & {*changed}):
        raise SettingsError("An arm is a command of its own, or changes settings", found=f"--arm {twice[0]} does both")
    return {**changed, **whole}
