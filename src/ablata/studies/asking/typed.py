"""What is typed on a command line of a study: changes, and the terms on which it is decided."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablata.base.errors import SettingsError
from ablata.stats import Mode
from ablata.studies.metric import margin_text

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
        raise SettingsError(
            "An arm is a command of its own, or changes settings",
            found=f"--arm {twice[0]} does both",
            do="give the changes in that command, or name another arm",
        )
    return {**changed, **whole}


@dataclass(frozen=True, kw_only=True)
class StudyTerms:
    """The terms of a study as they are typed, whatever it trains: how many seeds, by which rule, under which name.

    Args:
        seeds: must be given where a study is asked.
        first_seed, margin, metric, lower, fixed, extendable, aa, non_inferior, cells, clusters, begin: see
            `Study`.
        factors: changes that are switched on and off together, as typed: `name:key=value`.
        screen: a quick look, see `Mode`.
        name, question: see `Study`; made up where None.
        budget: the time as typed that will tell the number of seeds, `seeds` standing for it; None: `seeds` is it.
        noise: see `Study`; None: scores.
    """

    seeds: int | None = None
    first_seed: int | None = None
    margin: float | str | None = None
    metric: str | None = None
    lower: bool | None = None
    factors: Sequence[str] = ()
    cells: int | None = None
    screen: bool = False
    fixed: bool = False
    extendable: bool = False
    aa: bool = False
    non_inferior: bool = False
    name: str | None = None
    question: str | None = None
    budget: str | None = None
    noise: str | None = None
    clusters: str | None = None
    begin: Sequence[str] = ()

    def study_parts(self) -> dict[str, Any]:
        """Return the arguments of `Study` that follow from the terms alone.

        Raises:
            SettingsError: the number of seeds is not given.
        """
        if self.seeds is None:
            raise SettingsError(
                "A study needs its number of seeds before it starts",
                found="no --seeds",
                do="for example --seeds 5; --budget 30m says a time instead, --pilot 3 helps to choose",
            )
        return {
            "name": self.name or "unnamed", "seeds": self.seeds, "first_seed": self.first_seed or 0,
            "margin": self.margin, "metric": self.metric, "cells": self.cells,
            "mode": Mode.SCREEN if self.screen else Mode.CLAIM, "fixed": self.fixed, "aa": self.aa,
            "extendable": self.extendable, "non_inferior": self.non_inferior,
            "noise": self.noise or "scores", "clusters": self.clusters, "begin": tuple(self.begin),
        }  # fmt: skip

    def typed(self) -> dict[str, object]:
        """Return the terms by their options, to be written down by `command_line`."""
        return {
            "--begin": self.begin, "--factor": self.factors, "--cells": self.cells,
            "--seeds": None if self.budget else self.seeds, "--budget": self.budget,
            "--margin": None if self.margin is None else margin_text(self.margin), "--metric": self.metric,
            "--lower": self.lower is True, "--higher": self.lower is False, "--first-seed": self.first_seed or None,
            "--noise": self.noise, "--clusters": self.clusters, "--screen": self.screen, "--force-fixed": self.fixed,
            "--aa": self.aa, "--non-inferior": self.non_inferior, "--extendable": self.extendable,
            "--name": self.name, "--question": self.question,
        }  # fmt: skip


def command_line(words: Sequence[str], options: Mapping[str, object], last: Sequence[str] = ()) -> str:
    """Return a command line as it would be typed.

    Args:
        words: the command, and what stands right behind it.
        options: values by option: a text or number, several of them, or True for a flag; None, False, empty: not given.
        last: arguments behind the options.
    """
    line = list(words)
    for option, value in options.items():
        if value is True:
            line.append(option)
        elif isinstance(value, float | int | str) and value is not False:
            line += [option, f"{value:g}" if isinstance(value, float) else str(value)]
        elif isinstance(value, Sequence):
            line += [word for text in value for word in (option, str(text))]
    return shlex.join([*line, *last])
