"""A study of commands: the first is the control, the others are arms named by what differs."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablata.base.errors import SettingsError
from ablata.stats import Mode
from ablata.studies.identity import recipe_code
from ablata.studies.study import Study, study_name
from ablata.trainers.command import Command, arm_names
from ablata.trainers.given import lower_is_better
from ablata.trainers.score_source import parse_score

GIT = "git:"


def compare_commands(
    commands: Sequence[str],
    arms: Sequence[str] = (),
    *,
    scores: Sequence[str],
    lower: bool | None = None,
    seeds: int = 5,
    first_seed: int = 0,
    margin: float | None = None,
    timeout: float | None = None,
    inputs: Sequence[str] = (),
    sources: Sequence[str] = (),
    folder: Path | None = None,
    screen: bool = False,
    fixed: bool = False,
    name: str | None = None,
    question: str | None = None,
) -> Study:
    """Make a study of commands.

    Args:
        commands: templates; the first is the control.
        arms: further arms, `NAME=COMMAND` or `NAME=git:REF`, the control's command with the files of a git ref.
        scores: where the scores are read; the first is judged.
        lower: lower scores are better; None: higher ones, unless the judged one's name sounds like a loss.
        seeds, first_seed, margin: see `Study`.
        timeout: seconds after which a run has failed.
        inputs, sources: see `Command`.
        folder: the working folder; None: the present one.
        screen, fixed, name, question: see `Study`; name and question are made up if None.

    Raises:
        SettingsError: a command, an arm or a score is wrong, or there is nothing to compare.
    """
    if not commands:
        raise SettingsError("The first command is the control", found="no command", do="ablata compare 'python a.py'")
    shared: dict[str, Any] = {
        "lower": lower_is_better(parse_score(scores[0]).label, lower) if scores else False,
        "timeout": timeout,
        "inputs": tuple(inputs),
        "sources": tuple(sources),
        "folder": str((folder or Path.cwd()).absolute()),
    }
    control, *others = (Command.of(text, scores=scores, **shared) for text in commands)
    made = dict(zip(arm_names(control.words, [other.words for other in others]), others, strict=True))
    for text in arms:
        arm, command = _named(text, control, scores, shared)
        if arm in made:
            raise SettingsError("Arms must have different names", found=f"--arm {arm} twice")
        made[arm] = command
    if not made:
        raise SettingsError(
            "There must be a command to compare with the control",
            found=f"only {control.text()}",
            do="give a second one",
        )
    label = Path(next((word for word in control.words[1:] if "." in word), control.words[0])).name
    named = {arm: command.model_copy(update={"name": label}) for arm, command in made.items()}
    study = Study(
        name=name or "unnamed",
        question=question or f"Does it help: {', '.join(named)}?",
        control=control.model_copy(update={"name": label}),
        arms=named,
        seeds=seeds,
        first_seed=first_seed,
        margin=margin,
        mode=Mode.SCREEN if screen else Mode.CLAIM,
        fixed=fixed,
    )
    options: dict[str, object] = {
        "--score": scores, "--seeds": seeds, "--first-seed": first_seed or None, "--margin": margin,
        "--lower": lower is True, "--higher": lower is False, "--timeout": timeout, "--input": inputs,
        "--source": sources, "--screen": screen, "--force-fixed": fixed, "--name": name, "--question": question,
        "--arm": arms,
    }  # fmt: skip
    study = replace(study, commands=(shlex.join([*_typed(options), *commands]),))
    return study if name else replace(study, name=f"{study_name(label)}-{_mark(study)}")


def _named(text: str, control: Command, scores: Sequence[str], shared: Mapping[str, Any]) -> tuple[str, Command]:
    name, equals, command = text.partition("=")
    if not equals or not name.strip() or not command.strip():
        raise SettingsError(
            "An arm must be written NAME=COMMAND or NAME=git:REF", found=f"--arm {text}", do="--arm new=git:my-branch"
        )
    if command.startswith(GIT):
        return name.strip(), control.model_copy(update={"ref": command.removeprefix(GIT)})
    return name.strip(), Command.of(command, scores=scores, **shared)


def _typed(options: Mapping[str, object]) -> list[str]:
    """Return what to type to ask again, the commands left out."""
    words = ["ablata", "compare"]
    for option, value in options.items():
        if value is True:
            words.append(option)
        elif isinstance(value, float | int | str) and value is not False:
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
        elif isinstance(value, Sequence):
            words += [word for text in value for word in (option, str(text))]
    return words


def _mark(study: Study) -> str:
    """Return six digits of what is asked, the content of the programs' files included: an edited script asks anew."""
    parts = [repr(study.spec()["rule"]), str(study.first_seed), study.question]
    for name, command in study.recipes.items():
        parts += [name, repr(command), recipe_code(command)]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=3).hexdigest()
