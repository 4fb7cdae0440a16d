"""A study of commands: the first is the control, the others are arms named by what differs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablata.base.errors import SettingsError, choices
from ablata.stats import Mode
from ablata.studies.asking.naming import aa_question, named_by_content
from ablata.studies.asking.typed import typed_changes
from ablata.studies.metric import margin_text
from ablata.studies.study import Study
from ablata.trainers.command import Command, arm_names, own_keys, split_words
from ablata.trainers.given import lower_is_better
from ablata.trainers.score_source import parse_score

_ARM = re.compile(r"\s*([^:=]*?)\s*([:=])\s*(.*)", re.DOTALL)


def compare_commands(
    commands: Sequence[str],
    arms: Sequence[str] = (),
    sets: Sequence[str] = (),
    *,
    factors: Sequence[str] = (),
    cells: int | None = None,
    scores: Sequence[str],
    lower: bool | None = None,
    seeds: int = 5,
    first_seed: int = 0,
    margin: float | str | None = None,
    metric: str | None = None,
    timeout: float | None = None,
    inputs: Sequence[str] = (),
    sources: Sequence[str] = (),
    folder: Path | None = None,
    screen: bool = False,
    fixed: bool = False,
    extendable: bool = False,
    name: str | None = None,
    question: str | None = None,
    budget: str | None = None,
    noise: str | None = None,
    clusters: str | None = None,
    verb: str = "compare",
    aa: bool = False,
    non_inferior: bool = False,
) -> Study:
    """Make a study of commands.

    Args:
        commands: templates; the first is the control.
        arms: further arms: `NAME:key=value`, the control with another value of an own key, and again to change another
            key; `NAME=COMMAND`; or `NAME=git:REF`, the control's command with the files of a git ref.
        sets: `key=value`, a value of an own key in every command that has it.
        factors: in place of arms, `NAME:key=value`, values of own keys that are switched on and off together.
        cells: how many combinations of the factors run.
        scores: where the scores are read; the first is judged.
        lower: lower scores are better; None: higher ones, unless the judged one's name sounds like a loss.
        seeds, first_seed, margin, metric, noise, clusters, non_inferior: see `Study`.
        timeout: seconds after which a run has failed.
        inputs, sources: see `Command`.
        folder: the working folder; None: the present one.
        screen, fixed, extendable, name, question: see `Study`; name and question are made up if None.
        budget: the time as typed that will tell the number of seeds, `seeds` standing for it; None: `seeds` is it.
        verb: what was typed, `compare` or `study run`, to be told how to ask again.
        aa: the control alone, see `Study`.

    Raises:
        SettingsError: a command, an arm or a score is wrong, or there is nothing to compare.
    """
    if not commands:
        raise SettingsError("The first command is the control", found="no command", do="ablata compare 'python a.py'")
    control, *others = _commands(commands, sets, scores, lower, timeout, inputs, sources, folder)
    made = dict(zip(arm_names(control.words, [other.words for other in others]), others, strict=True))
    _add_arms(made, arms, control)
    if factors and made:
        raise SettingsError("A study has arms or factors", found=f"--factor {factors[0]} and {', '.join(made)}")
    changes = typed_changes(factors, "--factor") if factors else {}
    if not made and not factors and not aa:
        raise SettingsError(
            "There must be a command to compare with the control",
            found=f"only {control.text()}",
            do="give a second one, or --arm NAME:key=value" if verb == "compare" else "--arm NAME:key=value",
        )
    label = _label(control)
    named = {arm: command.model_copy(update={"name": label}) for arm, command in made.items()}
    study = Study(
        name=name or "unnamed",
        question=question or (aa_question(label) if aa else f"Does it help: {', '.join(changes or named)}?"),
        control=control.model_copy(update={"name": label}),
        arms=named,
        factors=changes,
        cells=cells,
        seeds=seeds,
        first_seed=first_seed,
        margin=margin,
        metric=metric,
        mode=Mode.SCREEN if screen else Mode.CLAIM,
        fixed=fixed,
        aa=aa,
        extendable=extendable,
        non_inferior=non_inferior,
        noise=noise or "scores",  # type: ignore[arg-type]
        clusters=clusters,
    )
    options: dict[str, object] = {
        "--command": commands if verb != "compare" else (), "--set": sets, "--score": scores,
        "--seeds": None if budget else seeds, "--budget": budget,
        "--first-seed": first_seed or None, "--margin": None if margin is None else margin_text(margin),
        "--metric": metric, "--noise": noise, "--clusters": clusters,
        "--lower": lower is True, "--higher": lower is False,
        "--timeout": timeout, "--input": inputs, "--source": sources, "--screen": screen, "--force-fixed": fixed,
        "--aa": aa, "--non-inferior": non_inferior, "--extendable": extendable,
        "--name": name, "--question": question, "--arm": arms, "--factor": factors, "--cells": cells,
    }  # fmt: skip
    typed = [*_typed(verb, options), *(commands if verb == "compare" else ())]
    study = replace(study, commands=(shlex.join(typed),))
    return study if name else named_by_content(study, label, budget)


def one_command(
    text: str,
    sets: Sequence[str] = (),
    *,
    scores: Sequence[str],
    lower: bool | None = None,
    timeout: float | None = None,
    inputs: Sequence[str] = (),
    sources: Sequence[str] = (),
    folder: Path | None = None,
) -> Command:
    """Return a command as it is typed; the arguments are those of `compare_commands`.

    Raises:
        SettingsError: the command or a score is wrong.
    """
    (made,) = _commands([text], sets, scores, lower, timeout, inputs, sources, folder)
    return made.model_copy(update={"name": _label(made)})


def _commands(
    texts: Sequence[str],
    sets: Sequence[str],
    scores: Sequence[str],
    lower: bool | None,
    timeout: float | None,
    inputs: Sequence[str],
    sources: Sequence[str],
    folder: Path | None,
) -> list[Command]:
    if not scores:
        raise SettingsError(
            "A program's score must be named", found="no --score", do="--score val_acc, as it stands in the output"
        )
    templates = [split_words(text) for text in texts]
    values = _values(sets, templates)
    shared: dict[str, Any] = {
        "scores": scores,
        "lower": lower_is_better(parse_score(scores[0]).label, lower),
        "timeout": timeout,
        "inputs": tuple(inputs),
        "sources": tuple(sources),
        "folder": str((folder or Path.cwd()).absolute()),
    }
    return [
        Command.of(words, values={key: values[key] for key in own_keys(words) if key in values}, **shared)
        for words in templates
    ]


def _label(command: Command) -> str:
    """Return what people call a command: its script, or else its program."""
    return Path(next((word for word in command.words[1:] if "." in word), command.words[0])).name


def _values(sets: Sequence[str], templates: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return the values of `key=value` texts.

    Raises:
        SettingsError: a text is none, or its key has no place in any command.
    """
    values: dict[str, str] = {}
    known = list(dict.fromkeys(key for words in templates for key in own_keys(words)))
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError("A value must be written key=value", found=f"--set {text}", do="--set lr=0.1")
        if key.strip() not in known:
            raise SettingsError(
                f"A key must have its place {{{key.strip()}}} in a command",
                found=f"--set {text}; the commands have {choices(known, key) if known else 'no key of their own'}",
            )
        values[key.strip()] = value
    return values


def _add_arms(made: dict[str, Command], texts: Sequence[str], control: Command) -> None:
    """Add arms as typed: `NAME:key=value`, `NAME=COMMAND`, `NAME=git:REF`.

    Raises:
        SettingsError: a text is none of these, a name comes twice, or a key of an arm does.
    """
    keys = set[tuple[str, str]]()
    for text in texts:
        match = _ARM.fullmatch(text)
        name, sign, change = match.groups() if match else ("", "", "")
        key, equals, _ = change.partition("=")
        if not name or not change or (sign == ":" and not equals):
            raise SettingsError(
                "An arm must be written NAME:key=value, NAME=COMMAND or NAME=git:REF",
                found=f"--arm {text}",
                do="--arm big:lr=0.3, or --arm new=git:my-branch",
            )
        if (sign == "=" and name in made) or (name, key) in keys:
            raise SettingsError(
                "Arms must have different names, and an arm must set each key once", found=f"--arm {text}: {name} again"
            )
        if sign == ":":
            keys.add((name, key))
        made[name] = made.get(name, control).arm([change] if sign == ":" else change)


def _typed(verb: str, options: Mapping[str, object]) -> list[str]:
    """Return what to type to ask again, the positional commands left out."""
    words = ["ablata", *verb.split()]
    for option, value in options.items():
        if value is True:
            words.append(option)
        elif isinstance(value, float | int | str) and value is not False:
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
        elif isinstance(value, Sequence):
            words += [word for text in value for word in (option, str(text))]
    return words
