"""A notebook restated as data: trials as overrides of a recipe, what was recorded, and what its author concluded.

Each notebook is one file, `restated/NAME.yaml`. Wherever a file has overrides, they stand as on a command line,
`key=value key=value`, and `$name` stands for the fragment of that name, so that what many trials share is written once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, model_validator

from ablata.base.errors import SettingsError, listing
from ablata.base.files import read_text
from ablata.base.settings import Settings, restore
from ablata.base.yaml_files import YamlFileError, parse_yaml
from ablata.notebooks.reader.model import Claim

_FOLDER = Path(__file__).parent / "restated"
NAMES = ("label_refinery", "imagenet", "bisenet", "relation_rcnn", "contrastive_seg")
"""The notebooks, in the order in which they are listed."""


class Trial(Settings):
    """One training of a notebook."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    """Short, unique in its question, such as `wd5e-4`."""
    change: str
    """What was changed beside the question's control, in English."""
    settings: str = ""
    """The change as overrides on top of the question's `base`; empty for a control that changes nothing."""
    lines: tuple[int, ...] = Field(min_length=1)
    """Line numbers of the notebook, counted from 1."""
    scores: tuple[float | None, ...] = ()
    """As recorded, in their order, null for nan; empty where a trial was planned and never finished."""
    judged: int | None = None
    """Which of the scores is compared, as an index; null: the question's."""
    note: str = ""
    """What a reader should know, such as a guess that had to be made."""
    small: str = ""
    """Further overrides at the small scale, after all others: where the trial's own figures do not fit there."""
    nominal: bool = False
    """The settings are not what the author changed: that is not told, or has no counterpart here. They make the trial
    a training of its own, and it is listed apart from those that can be repeated."""


class Conclusion(Settings):
    """What the author wrote of a question's trials."""

    text: str
    """In English."""
    lines: tuple[int, ...] = Field(min_length=1)
    """Where it stands."""
    claims: dict[str, Claim] = Field(default_factory=dict)
    """Trial by name, and what is said of it beside the control."""


class Question(Settings):
    """Trials that their author compared with each other, run as one study."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    """Short, unique in its notebook, such as `warmup`."""
    title: str
    """What is asked, a sentence."""
    recipe: str | None = None
    """Another recipe than the notebook's; null: that one."""
    base: str = ""
    """Overrides of the recipe that all trials share."""
    small: str = ""
    """Overrides at the small scale after the notebook's, such as a smaller form of the question's network."""
    metric: str | None = None
    """What the study compares in place of the score, such as `seconds_per_epoch`; null: the recipe's own score."""
    margin: str | None = None
    """The study's margin where the notebook's does not fit, such as `5%` for a time; null: the notebook's."""
    meaning: str = ""
    """What the scores of a trial are, one after the other."""
    judged: int = -1
    """Which of a trial's scores is compared, as an index, unless the trial says so itself."""
    control: Trial
    """The trial that the others are compared with."""
    trials: tuple[Trial, ...] = Field(min_length=1)
    """The others."""
    conclusions: tuple[Conclusion, ...] = ()
    """What the author made of them."""

    @property
    def every(self) -> tuple[Trial, ...]:
        """The control and all others."""
        return (self.control, *self.trials)

    def trial(self, name: str) -> Trial:
        """Return a trial by name.

        Raises:
            KeyError: there is none.
        """
        return {trial.name: trial for trial in self.every}[name]

    def score(self, trial: Trial) -> float | None:
        """Return the recorded score of a trial that is compared; None where there is none."""
        judged = self.judged if trial.judged is None else trial.judged
        return trial.scores[judged] if trial.scores else None

    def difference(self, trial: Trial) -> float | None:
        """Return a trial's recorded score less the control's; None where one of them has none."""
        score, control = self.score(trial), self.score(self.control)
        return None if score is None or control is None else score - control

    @model_validator(mode="after")
    def _checked(self) -> Self:
        _unique(f"trials of {self.name}", [trial.name for trial in self.every])
        names = {trial.name for trial in self.trials}
        for conclusion in self.conclusions:
            if unknown := conclusion.claims.keys() - names:
                raise ValueError(
                    f"claims must be about trials of {self.name} beside its control, got {sorted(unknown)}"
                )
        return self


class Omission(Settings):
    """Lines that name no setting, so that nothing can be repeated, and why."""

    lines: tuple[int, ...] = Field(min_length=1)
    """Of the notebook."""
    reason: str
    """A sentence."""


class ScaledSetup(Settings):
    """How a notebook's trials are run on the data at hand."""

    data: str | None = None
    """Kind of the segmentation set in the place of the notebook's, augmented as a trial says; null: the overrides say
    which."""
    crops: float = Field(default=1.0, gt=0)
    """Factor on the sides of crops and windows of that set."""
    overrides: str = ""
    """On top of a trial's own settings: data, sizes of images."""
    factor: float = Field(default=1.0, gt=0)
    """Factor on all lengths: epochs, warm-ups, cycles."""
    margin: float = Field(default=0.5, gt=0)
    """The largest difference that does not matter at that scale, in the metric's unit."""
    seeds: int = Field(default=4, ge=1)
    """The most that an arm may use."""
    note: str = ""
    """What is smaller, a sentence."""
    same_data: bool = False
    """It is the notebook's own data and metric, so that the noise of these runs, though they are shorter, says
    something of the recorded scores."""


class PublishedNoise(Settings):
    """How much equal trainings differ, as someone else measured it."""

    sd: float = Field(gt=0)
    """Standard deviation of one run's score over seeds, in the metric's unit."""
    df: int = Field(ge=1)
    """Degrees of freedom, the number of runs less one."""
    source: str
    """What was trained how often and where it is told, such as "five runs of ... (arXiv ...)"."""


class Notebook(Settings):
    """A hand-written notebook restated."""

    name: str
    """Of its system, such as `label_refinery`; the notes are in `<name>.txt`."""
    title: str
    """What was studied."""
    recipe: str
    """Which recipe its trials change, unless a question has another."""
    metric: str
    """What its scores are."""
    notes: str = ""
    """What the notebook leaves open, and how it was read."""
    noise: PublishedNoise | None = None
    """What the recorded scores are held against where our own runs say nothing of them."""
    small: ScaledSetup = ScaledSetup()
    """How its trials are run on the data at hand."""
    omissions: tuple[Omission, ...] = ()
    """Trials that cannot be repeated."""
    fragments: dict[str, str | dict[str, JsonValue]] = Field(default_factory=dict)
    """Overrides that several trials share, by name; as a text, or by key where a value is a tree. A fragment may name
    those above it."""
    questions: tuple[Question, ...] = Field(min_length=1)
    """In the order of the notebook."""

    def question(self, name: str) -> Question:
        """Return a question by name.

        Raises:
            KeyError: there is none.
        """
        return {question.name: question for question in self.questions}[name]

    def trials(self) -> Iterator[tuple[Question, Trial]]:
        """Yield every trial with its question; a control that several questions share comes with each."""
        for question in self.questions:
            for trial in question.every:
                yield question, trial

    def overrides(self, text: str) -> list[str]:
        """Return the overrides that a text stands for, each fragment's in its place."""
        return _written_out(text, self._written_fragments)

    @property
    def _written_fragments(self) -> dict[str, list[str]]:
        written: dict[str, list[str]] = {}
        for name, content in self.fragments.items():
            if isinstance(content, str):
                written[name] = _written_out(content, written)
            else:
                written[name] = [f"{key}={_written(value)}" for key, value in content.items()]
        return written

    @model_validator(mode="after")
    def _checked(self) -> Self:
        _unique(f"questions of {self.name}", [question.name for question in self.questions])
        written = self._written_fragments
        texts = [self.small.overrides]
        texts += [text for question in self.questions for text in (question.base, question.small)]
        texts += [text for _, trial in self.trials() for text in (trial.settings, trial.small)]
        for text in texts:
            _written_out(text, written)
        return self


def _written(value: JsonValue) -> str:
    """Return a value as an override has it: without spaces, since spaces part overrides."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":")).replace(" ", r"\u0020")


def _written_out(text: str, fragments: dict[str, list[str]]) -> list[str]:
    found: list[str] = []
    for word in text.split():
        if not word.startswith("$"):
            found.append(word)
        elif word[1:] in fragments:
            found += fragments[word[1:]]
        else:
            raise ValueError(f"fragments must be named above where they are used, got {word}")
    return found


def _unique(what: str, names: list[str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{what} must have names of their own, got {', '.join(twice)} twice")


@cache
def load_notebook(name: str) -> Notebook:
    """Return a notebook by name.

    Raises:
        SettingsError: there is no such notebook, or its file is wrong.
    """
    if name not in NAMES:
        raise SettingsError(
            f"The notebook must be one of {listing(NAMES)}", found=name, do="ablata replicate list shows them"
        )
    return read_notebook(_FOLDER / f"{name}.yaml")


def read_notebook(path: Path) -> Notebook:
    """Read a notebook's file.

    Raises:
        SettingsError: it is no YAML, or an entry is missing, unknown or of the wrong type.
    """
    try:
        tree: Any = parse_yaml(read_text(path))
    except (YamlFileError, UnicodeDecodeError) as error:
        raise SettingsError("A notebook must be a YAML file", found=f"{path}: {error}", do="correct the file") from None
    return restore(Notebook, tree, source=str(path))
