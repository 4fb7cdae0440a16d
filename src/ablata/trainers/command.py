"""Command: a program that trains and says its score, with places for the seed, the run's folder and own keys."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from ablata.base.errors import SettingsError, choices
from ablata.base.fields import explain
from ablata.base.metric import Metric
from ablata.base.overrides import Overrides, override_texts
from ablata.base.settings import INCIDENTAL, ON_DISK, Settings, diff
from ablata.trainers.score_source import ScoreSource, parse_score

GIVEN = ("seed", "run_dir", "device")
"""Keys that every command knows; all others are its own."""
_LETTER = re.compile("[A-Za-z]")
GIT = "git:"
"""What stands before a git ref, where an arm is the control's command with the files of that ref."""
_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")


class Command(Settings):
    """A program as a trainer.

    Its argument list is made without a shell: the template is split into words once, and `{seed}`, `{run_dir}`,
    `{device}` and own keys are put in afterwards, so that no value is ever read as shell text.
    """

    task: Literal["command"] = "command"
    name: Annotated[str, INCIDENTAL] = "command"
    """What people call it."""
    words: Annotated[tuple[str, ...], Field(min_length=1)]
    """The argument list, with `{key}` where a value goes."""
    values: dict[str, str] = Field(default_factory=dict)
    """Values of own keys."""
    scores: Annotated[tuple[str, ...], Field(min_length=1)]
    """Where the scores are read; the first is judged. See `ablata.trainers.score_source`."""
    lower: bool = False
    """Lower scores are better."""
    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds after which a run has failed; null: none."""
    inputs: tuple[str, ...] = ()
    """Files and folders that it reads, relative to its working folder: a changed one makes other runs."""
    sources: tuple[str, ...] = ()
    """Files and folders of its code; by default git says which, or the files that its arguments name."""
    folder: Annotated[str, INCIDENTAL, ON_DISK] = "."
    """The folder it works in."""
    ref: str | None = None
    """A git branch, tag or commit whose files it runs with; null: those of the working folder."""

    @classmethod
    def of(cls, text: str | Sequence[str], *, scores: Sequence[str], **settings: object) -> Self:
        """Return the command of a template.

        Args:
            text: as typed, quotes as in a shell; or an argument list.
            scores: where the scores are read.
            settings: further fields; numbers among `values` are written as texts.

        Raises:
            SettingsError: the quotes do not match, a key has no value, or a score says not where it is.
        """
        words = split_words(text) if isinstance(text, str) else [str(word) for word in text]
        if isinstance(values := settings.get("values"), Mapping):
            settings["values"] = dict(each.split("=", 1) for each in override_texts(values))
        return cls._checked(words=tuple(words), scores=tuple(scores), **settings)

    @classmethod
    def _checked(cls, **fields: Any) -> Self:
        """Return the command of these fields, refused in words."""
        try:
            return cls(**fields)
        except ValidationError as error:
            raise explain(cls, error.errors()[0]) from None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        own = own_keys(self.words)
        for key in own:
            if key not in self.values:
                raise SettingsError(
                    "Every key of a command must have a value", found=f"{{{key}}} has none", do=f"--set {key}=VALUE"
                )
        for key in self.values:
            if key not in own:
                known = choices(own, key) if own else "no key"
                found = f"{{{key}}} is ablata's own" if key in GIVEN else f"it has {known}"
                raise SettingsError(
                    f"A value of {key} must have its place {{{key}}} in the command",
                    found=found,
                    do=f"write {{{key}}} in the command where the value belongs",
                )
        for text in self.scores:
            parse_score(text)
        return self

    @property
    def program(self) -> str:
        """What people call it: its script, or else its program."""
        scripts = (word for word in self.words[1:] if "." in word and _LETTER.search(word))
        return Path(next(scripts, self.words[0])).name

    @property
    def is_seeded(self) -> bool:
        """Whether the seed has a place in it; without one its runs are unseeded repeats."""
        return "seed" in _keys(self.words)

    @property
    def sources_of_scores(self) -> tuple[ScoreSource, ...]:
        """Where the scores are read, the judged one first."""
        return tuple(parse_score(text) for text in self.scores)

    def metric(self) -> Metric:
        """Return the score that is judged."""
        label = self.sources_of_scores[0].label
        return Metric(label, split="", protocol="", higher_is_better=not self.lower, unit="")

    def parent(self) -> None:
        """Return nothing: a program starts from no other run."""

    def changes(self, control: Command) -> list[str]:
        """Return what differs from the control, `key: old -> new`: words of the command, own keys, other settings."""
        told = []
        if self.words != control.words:
            told.append(_told_words(*_own_words(self.words, control.words)))
        else:
            pairs = ((key, control.values[key], self.values[key]) for key in control.values)
            told += [f"{key}: {old} -> {new}" for key, old, new in pairs if old != new]
        rest = control.model_copy(update={"words": self.words, "values": self.values})
        return told + [str(change) for change in diff(rest, self)]

    def argument_list(self, *, seed: int, run_dir: Path, device: str = "cpu") -> list[str]:
        """Return the argument list of one run."""
        values: Mapping[str, str] = {**self.values, "seed": str(seed), "run_dir": str(run_dir), "device": device}
        return [_PLACE.sub(lambda match: values.get(match[1], match[0]), word) for word in self.words]

    def text(self) -> str:
        """Return the command as it could be typed, own keys filled in."""
        filled = [_PLACE.sub(lambda match: self.values.get(match[1], match[0]), word) for word in self.words]
        return shlex.join(filled).replace("'{seed}'", "{seed}")

    def with_values(self, values: Mapping[str, str]) -> Self:
        """Return the command with other values of its own keys.

        Raises:
            SettingsError: it has no such key.
        """
        own = own_keys(self.words)
        for key in values:
            if key not in own:
                raise SettingsError(
                    f"A key must have its place {{{key}}} in the command",
                    found=f"{key}={values[key]}; the command has {choices(own, key) if own else 'no key of its own'}",
                    do=f"write {{{key}}} in the command where the value belongs, or leave {key} out",
                )
        return self.model_copy(update={"values": {**self.values, **values}})

    def arm(self, change: str | Overrides) -> Self:
        """Return the command as an arm changes it.

        Args:
            change: other values of own keys, as `{"lr": 0.3}` or `["lr=0.3"]`; `git:REF` for the files of a git ref; or
                the text of another command, whose scores, folder and limits are this one's.

        Raises:
            SettingsError: it has no such key, or the text is no command.
        """
        if not isinstance(change, str):
            texts = override_texts(change)
            if unread := next((text for text in texts if "=" not in text), None):
                raise SettingsError("A value must be written key=value", found=unread, do=f"--set {unread}=VALUE")
            return self.with_values({key.strip(): value for key, _, value in (text.partition("=") for text in texts)})
        if change.startswith(GIT):
            return self.model_copy(update={"ref": change.removeprefix(GIT)})
        words = split_words(change)
        kept: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields if name != "task"}
        kept |= {
            "words": tuple(words),
            "values": {key: self.values[key] for key in own_keys(words) if key in self.values},
        }
        return self._checked(**kept)


def arm_names(control: Sequence[str], others: Sequence[Sequence[str]]) -> list[str]:
    """Return a name for each command by the words it does not share with the control: `--mixup 0.2`.

    Args:
        control: the control's words.
        others: the other commands' words.

    Returns:
        Names that differ, made of letters, digits and `_-.+`.
    """
    names: list[str] = []
    for words in others:
        rest, missing = _own_words(words, control)
        told = rest or ["without", *missing]
        if rest and missing and not any(map(_LETTER.search, rest)):
            # Of a bare number the one in its place says more.
            told = [*rest, "for", *missing]
        name = re.sub(r"[^\w.+]+", "-", "-".join(told)).strip("-.+")[:40] or "arm"
        while name in names or name == "control":
            stem, _, number = name.rpartition("-")
            name = f"{stem}-{int(number) + 1}" if stem and number.isdecimal() else f"{name}-2"
        names.append(name)
    return names


def _own_words(words: Sequence[str], control: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words that a command has beside the control's, values with their options; and those that it lacks."""
    rest: list[str] = []
    missing = list(control)
    for before, word in zip(["", *words], words, strict=False):
        if word in missing:
            missing.remove(word)
            continue
        if before.startswith("-") and not _LETTER.search(word) and rest[-1:] != [before]:
            rest.append(before)
        rest.append(word)
    return rest, missing


def _told_words(rest: Sequence[str], missing: Sequence[str]) -> str:
    """Say which words a command has beside the control's, and which it lacks."""
    if rest and missing:
        return f"command: {shlex.join(missing)} -> {shlex.join(rest)}"
    if rest or missing:
        return f"with {shlex.join(rest)}" if rest else f"without {shlex.join(missing)}"
    return "the same words in another order"


def own_keys(words: Sequence[str]) -> list[str]:
    """Return the keys of a template that need a value, in order."""
    return [key for key in _keys(words) if key not in GIVEN]


def _keys(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(key for word in words for key in _PLACE.findall(word)))


def split_words(text: str) -> list[str]:
    """Return the words of a command as typed, quotes as in a shell.

    Raises:
        SettingsError: there is none, the quotes do not match, or it needs a shell.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SettingsError(
            "A command's quotes must match", found=f"{text}: {error}", do="close the quotation mark"
        ) from None
    if not words:
        raise SettingsError(
            "A command must name a program", found=repr(text), do="such as 'python train.py --seed {seed}'"
        )
    if any(word in ("|", "||", "&&", ";", ">", ">>", "<", "2>&1", "&") for word in words):
        raise SettingsError(
            "A command is run without a shell, so pipes and redirections do nothing",
            found=text,
            do=f"sh -c {shlex.quote(text)}",
        )
    if re.match(r"[A-Za-z_]\w*=", words[0]):
        raise SettingsError(
            "A command must begin with its program: without a shell no variable is set before it",
            found=text,
            do=f"env {shlex.join(words)}; to name an arm: --arm {shlex.quote(text)}",
        )
    return words
