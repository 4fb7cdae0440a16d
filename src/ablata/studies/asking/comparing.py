"""A study of commands: the first is the control, the others are arms named by what differs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablata.base.errors import SettingsError, choices
from ablata.studies.asking.naming import aa_question, named_by_content
from ablata.studies.asking.typed import StudyTerms, command_line, typed_changes
from ablata.studies.study import Study, in_arm
from ablata.trainers.command import Command, arm_names, own_keys, split_words
from ablata.trainers.given import lower_is_better
from ablata.trainers.score_source import parse_score

_ARM = re.compile(r"\s*([^:=]*?)\s*([:=])\s*(.*)", re.DOTALL)


def compare_commands(
    commands: Sequence[str],
    arms: Sequence[str],
    sets: Sequence[str],
    terms: StudyTerms,
    *,
    scores: Sequence[str],
    timeout: float | None = None,
    inputs: Sequence[str] = (),
    sources: Sequence[str] = (),
    folder: Path | None = None,
    verb: str = "compare",
) -> Study:
    """Make a study of commands.

    Args:
        commands: templates; the first is the control.
        arms: further arms: `NAME:key=value`, the control with another value of an own key, and again to change another
            key; `NAME=COMMAND`; or `NAME=git:REF`, the control's command with the files of a git ref.
        sets: `key=value`, a value of an own key in every command that has it.
        terms: how it is decided; with factors there are no arms. Scores are better as `lower` says; None: higher ones,
            unless the judged one's name sounds like a loss.
        scores: where the scores are read; the first is judged.
        timeout: seconds after which a run has failed.
        inputs, sources: see `Command`.
        folder: the working folder; None: the present one.
        verb: what was typed, `compare` or `study run`, to be told how to ask again.

    Raises:
        SettingsError: a command, an arm or a score is wrong, or there is nothing to compare.
    """
    if not commands:
        raise SettingsError("The first command is the control", found="no command", do="ablata compare 'python a.py'")
    parts = terms.study_parts()
    control, *others = _commands(commands, sets, scores, terms.lower, timeout, inputs, sources, folder)
    made = _arms(control, others, arms)
    if terms.factors and made:
        raise SettingsError(
            "A study has arms or factors", found=f"--factor {terms.factors[0]} and {', '.join(made)}",
            do="leave one out",
        )  # fmt: skip
    changes = typed_changes(terms.factors, "--factor") if terms.factors else {}
    if not made and not changes and not terms.aa:
        raise SettingsError(
            "There must be a command to compare with the control",
            found=f"only {control.text()}",
            do="give a second one, or --arm NAME:key=value" if verb == "compare" else "--arm NAME:key=value",
        )
    label = control.program
    question = aa_question(label) if terms.aa else f"Does it help: {', '.join(changes or made)}?"
    leading = verb != "compare"
    typed: dict[str, object] = {
        "--command": commands if leading else (), "--set": sets, "--score": scores, "--timeout": timeout,
        "--input": inputs, "--source": sources, "--arm": arms, **terms.typed(),
    }  # fmt: skip
    study = Study(
        **parts,
        question=terms.question or question,
        control=control.model_copy(update={"name": label}),
        arms={arm: command.model_copy(update={"name": label}) for arm, command in made.items()},
        factors=changes,
        commands=(command_line(["ablata", *verb.split()], typed, () if leading else commands),),
    )
    return study if terms.name else named_by_content(study, label, terms.budget)


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
    return made.model_copy(update={"name": made.program})


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
                do=f"write {{{key.strip()}}} in a command where its value belongs, or leave --set out",
            )
        values[key.strip()] = value
    return values


def _arms(control: Command, others: Sequence[Command], texts: Sequence[str]) -> dict[str, Command]:
    """Return the arms: further commands, named by what differs, and those typed in one of three forms:
    `NAME:key=value`, `NAME=COMMAND`, `NAME=git:REF`.

    Raises:
        SettingsError: a text is none of these, a name comes twice, or a key of an arm does.
    """
    made = dict(zip(arm_names(control.words, [other.words for other in others]), others, strict=True))
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
                "Arms must have different names, and an arm must set each key once",
                found=f"--arm {text}: {name} again",
                do="give it another name, or leave the repeated one out",
            )
        if sign == ":":
            keys.add((name, key))
        with in_arm(name):
            made[name] = made.get(name, control).arm([change] if sign == ":" else change)
    return made
