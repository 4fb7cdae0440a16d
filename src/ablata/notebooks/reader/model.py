"""What reading notes gives: every line with its kind, and the trials that lines make up."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

LineKind = Literal["trial", "remark", "setting", "heading", "plan", "unknown", "blank"]
"""What a line is: part of a trial, words, a setting, a title, something named without a result, not understood."""
Claim = Literal["better", "worse", "same", "failed"]
"""What the author says came of a trial."""
SettingValue = float | int | str | bool | list[Any] | None
PlanState = Literal["done", "discarded"]
KINDS: tuple[LineKind, ...] = ("trial", "remark", "setting", "heading", "plan", "unknown", "blank")


class NotedScore(NamedTuple):
    """Figures that stand together.

    Attributes:
        name: what the notes call them; None where they do not say.
        values: the figures as written (per cent stays per cent); nan and infinities where the notes have them.
        form: one figure; parts (`76.03/92.84`); a series over one training (`44.1, 48.7, 51.1`); or one for each class.
        classes: the classes, for that form.
        note: what stands in parentheses behind them.
    """

    name: str | None
    values: tuple[float, ...]
    form: Literal["single", "parts", "series", "classes"] = "single"
    classes: tuple[str, ...] = ()
    note: str = ""

    @property
    def plain(self) -> Any:
        """The figures as JSON has them: a number, a list, or an object by class."""
        if self.form == "classes":
            return dict(zip(self.classes, self.values, strict=True))
        return self.values[0] if len(self.values) == 1 else list(self.values)


class NotedSetting(NamedTuple):
    """One thing set: its name (the grammar's own where it knows one, else as written) and its value."""

    name: str
    value: SettingValue


@dataclass(slots=True)
class NoteLine:
    """One line and what it was read as.

    Attributes:
        number: from 1.
        text: as written, without its end.
        kind: what it is.
        section: the headings it stands under, outermost first.
        label: what a trial, plan or heading is called.
        settings: what it sets.
        remark: the words that are neither label nor figures.
        claim: what those words claim.
        trial: place of the trial it belongs to among the reading's trials; None if to none.
        state: of a plan, if the notes say that it was done or given up.
    """

    number: int
    text: str
    kind: LineKind = "unknown"
    section: tuple[str, ...] = ()
    label: str = ""
    settings: tuple[NotedSetting, ...] = ()
    remark: str = ""
    claim: Claim | None = None
    trial: int | None = None
    state: PlanState | None = None


@dataclass(slots=True)
class NotedTrial:
    """Something tried, with what came of it.

    Attributes:
        first: its first line, from 1.
        last: its last line.
        section: the headings it stands under.
        label: what the notes call it.
        settings: what it sets, and what its section sets for all.
        scores: its figures, in the order of reading.
        remark: what its author says about it.
        claim: better, worse, same, failed; None if nothing is claimed.
        steps: how many lines of a tool's log were folded into it; the scores are the last ones'.
    """

    first: int
    last: int
    section: tuple[str, ...] = ()
    label: str = ""
    settings: tuple[NotedSetting, ...] = ()
    scores: list[NotedScore] = field(default_factory=list)
    remark: str = ""
    claim: Claim | None = None
    steps: int = 1


@dataclass(slots=True)
class NotesReading:
    """A file of notes, read.

    Attributes:
        source: its path, or a name for a text without one.
        encoding: how its bytes were decoded.
        digest: SHA-256 of its bytes, hexadecimal.
        lines: every line.
        trials: what was tried, in the order of first lines.
    """

    source: str
    encoding: str
    digest: str
    lines: list[NoteLine]
    trials: list[NotedTrial]

    @property
    def text(self) -> str:
        """The whole text, ends of lines as `\\n`."""
        return "\n".join(line.text for line in self.lines)

    @property
    def counts(self) -> dict[LineKind, int]:
        """How many lines are of each kind."""
        counted = Counter(line.kind for line in self.lines)
        return {kind: counted[kind] for kind in KINDS}

    @property
    def plans(self) -> list[NoteLine]:
        """The lines that name something without a result, those done or given up excepted."""
        return [line for line in self.lines if line.kind == "plan" and line.state is None]

    def original(self, trial: NotedTrial) -> str:
        """Return the lines of a trial as written."""
        return "\n".join(line.text for line in self.lines[trial.first - 1 : trial.last])


def scores_by_name(scores: list[NotedScore]) -> dict[str, Any]:
    """Return figures by name, as a record keeps them.

    Unnamed parts get names where their form gives them away: two rising figures are top-1 and top-5, four that rise in
    pairs are those of the raw and of the averaged weights. A series is called `series`, a lone figure `score`, other
    parts `parts`; a name that is taken gets a number.
    """
    named: dict[str, Any] = {}
    for score in scores:
        for name, value in _named(score):
            free, count = name, 2
            while free in named:
                free, count = f"{name} {count}", count + 1
            named[free] = value
    return named


def _named(score: NotedScore) -> list[tuple[str, Any]]:
    if score.name is not None:
        return [(score.name, score.plain)]
    tops = ("top1", "top5", "ema_top1", "ema_top5")
    if score.form == "parts" and len(score.values) in (2, 4) and _rises_in_pairs(score.values):
        return list(zip(tops, score.values, strict=False))
    word = {"single": "score", "parts": "parts", "series": "series", "classes": "classes"}[score.form]
    return [(f"{word} ({score.note})" if score.note else word, score.plain)]


def _rises_in_pairs(values: tuple[float, ...]) -> bool:
    """Tell whether figures look like top-1 and top-5: in each pair, at least a sixth of the errors go."""
    pairs = list(zip(values[::2], values[1::2], strict=True))
    return all(
        math.isfinite(low + high) and 0 <= low < high and 100 - high < 0.85 * (100 - low) for low, high in pairs[:1]
    ) and all(low <= high for low, high in pairs[1:])
