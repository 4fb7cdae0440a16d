"""Words for a notebook restated: trials, conclusions, the questions they belong to, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Claim = Literal["better", "worse", "same", "failed"]
"""What an author says of a trial beside the one that it is compared with; failed: it did not train."""


@dataclass(frozen=True)
class Trial:
    """One training of a notebook.

    Args:
        name: short, unique in its question, such as `wd5e-4`; letters, digits and `_ - . +`.
        change: what was changed beside the question's control, in English.
        settings: the change as overrides on top of the question's `base`, separated by spaces; empty for the control.
        lines: line numbers of the notebook, counted from 1.
        scores: as recorded, in their order; empty where a trial was planned and never finished.
        judged: which of the scores is compared, as an index; None: the question's.
        note: what a reader should know, such as a guess that had to be made.
        small: further overrides at the small scale, after all others: where the trial's own figures do not fit there.
    """

    name: str
    change: str
    settings: str
    lines: tuple[int, ...]
    scores: tuple[float, ...] = ()
    judged: int | None = None
    note: str = ""
    small: str = ""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings, one by one."""
        return tuple(self.settings.split())


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """What the author wrote of a question's trials.

    Args:
        text: in English.
        lines: where it stands.
        claims: trial by name, and what is said of it beside the control.
    """

    text: str
    lines: tuple[int, ...]
    claims: dict[str, Claim] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Trials that their author compared with each other.

    Args:
        name: short, unique in its notebook, such as `warmup`.
        title: what is asked, a sentence.
        base: overrides of the notebook's recipe that all trials share.
        control: the trial that the others are compared with.
        trials: the others, at least one.
        conclusions: what the author made of them.
        recipe: another recipe than the notebook's; None: that one.
        meaning: what the scores of a trial are, one after the other.
        judged: which of a trial's scores is compared, as an index, unless the trial says so itself.
        small: overrides at the small scale after the notebook's, such as a smaller form of the question's network.
    """

    name: str
    title: str
    base: str
    control: Trial
    trials: tuple[Trial, ...]
    conclusions: tuple[Conclusion, ...] = ()
    recipe: str | None = None
    meaning: str = ""
    judged: int = -1
    small: str = ""

    @property
    def every(self) -> tuple[Trial, ...]:
        """The control and all others."""
        return (self.control, *self.trials)

    def trial(self, name: str) -> Trial:
        """Return a trial by name.

        Raises:
            KeyError: there is none.
        """
        return {one.name: one for one in self.every}[name]

    def score(self, trial: Trial) -> float | None:
        """Return the recorded score of a trial that is compared; None where there is none."""
        judged = self.judged if trial.judged is None else trial.judged
        return trial.scores[judged] if trial.scores else None

    def difference(self, trial: Trial) -> float | None:
        """Return a trial's recorded score less the control's; None where one of them has none."""
        score, control = self.score(trial), self.score(self.control)
        return None if score is None or control is None else score - control


@dataclass(frozen=True, kw_only=True)
class Omission:
    """Lines that name no setting, so that nothing can be repeated, and why.

    Args:
        lines: of the notebook.
        reason: a sentence.
    """

    lines: tuple[int, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Small:
    """How a notebook's trials are run on the data at hand.

    Args:
        data: kind of the segmentation set in the place of the notebook's, augmented as a trial says; None: the
            overrides say which.
        crops: on the sides of crops and windows of that set.
        overrides: on top of a trial's own settings, separated by spaces: data, sizes of images.
        factor: on all lengths: epochs, warm-ups, cycles.
        margin: the largest difference that does not matter at that scale, in the metric's unit.
        seeds: the most that an arm may use.
        note: what is smaller, a sentence.
        same_data: it is the notebook's own data and metric, so that the noise of these runs, though they are shorter,
            says something of the recorded scores.
    """

    data: str | None = None
    crops: float = 1.0
    overrides: str = ""
    factor: float = 1.0
    margin: float = 0.5
    seeds: int = 4
    note: str = ""
    same_data: bool = False


@dataclass(frozen=True, kw_only=True)
class PublishedNoise:
    """How much equal trainings differ, as someone else measured it.

    Args:
        sd: standard deviation of one run's score over seeds, in the metric's unit.
        df: degrees of freedom, the number of runs less one.
        source: what was trained how often and where it is told, such as "five runs of ... (arXiv ...)".
    """

    sd: float
    df: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """A notebook restated.

    Args:
        name: of its system, such as `label_refinery`; the file is `<name>.txt`.
        title: what was studied.
        recipe: which recipe its trials change, unless a question has another.
        metric: what its scores are.
        questions: in the order of the notebook.
        small: how its trials are run on the data at hand.
        omissions: trials that cannot be repeated.
        noise: what the recorded scores are held against where our own runs say nothing of them.
    """

    name: str
    title: str
    recipe: str
    metric: str
    questions: tuple[Question, ...]
    small: Small = Small()
    omissions: tuple[Omission, ...] = ()
    noise: PublishedNoise | None = None

    def question(self, name: str) -> Question:
        """Return a question by name.

        Raises:
            KeyError: there is none.
        """
        return {one.name: one for one in self.questions}[name]

    def trials(self) -> Iterator[tuple[Question, Trial]]:
        """Yield every trial with its question; a control that several questions share comes with each."""
        for question in self.questions:
            for trial in question.every:
                yield question, trial
