"""Trials: the lines that belong to one of them, and what they say together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ablata.notebooks.reader.claims import read_claim
from ablata.notebooks.reader.line import ParsedLine
from ablata.notebooks.reader.model import NotedSetting, NotedTrial, NoteLine
from ablata.notebooks.reader.settings import KEYS, normal, parse_value

_COSTS = frozenset(("mem", "time"))
_SIZES = frozenset(("crop", "widths", "scales"))
_KEY = re.compile(r"([A-Za-z][A-Za-z_\- ]*?)\s*(?:=.*|的.*)?")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def _value_of(line: NoteLine) -> tuple[NotedSetting, ...]:
    """Read a bare number below a title that is a key: `1e-4: 92.84` below `eta:`."""
    title = _KEY.fullmatch(line.section[-1]) if line.section else None
    name = KEYS.get(normal(title[1])) if title and _NUMBER.fullmatch(line.label) else None
    return (NotedSetting(name, parse_value(line.label)),) if name else ()


def gather(lines: list[NoteLine], words: Sequence[ParsedLine]) -> list[NotedTrial]:
    """Join the lines of each trial, note in each line which trial it belongs to, and return the trials.

    Args:
        lines: all lines with their kinds; `label`, `trial` of trials' lines are filled in.
        words: what each says by itself.
    """
    return _Gathering(lines, words).trials


class _Gathering:
    def __init__(self, lines: list[NoteLine], words: Sequence[ParsedLine]) -> None:
        self.lines, self.words = lines, words
        self.trials: list[NotedTrial] = []
        self.progress: str | None = None
        self.given: dict[tuple[str, ...], dict[str, NotedSetting]] = {}
        self.below_rule = False
        self.inherited = ""
        waiting: int | None = None
        for place, (line, word) in enumerate(zip(lines, words, strict=True)):
            if line.kind == "trial" and not word.scores and word.nature != "outcome":
                waiting = place
                continue
            if line.kind == "trial":
                self._add(place, waiting)
            elif line.kind == "remark":
                self._attach(line)
            elif line.kind == "setting":
                self.given[line.section] = {
                    **self.given.get(line.section, {}),
                    **{one.name: one for one in line.settings},
                }
            elif line.kind == "heading":
                self._open(line, word)
            elif line.kind == "blank" and not self.below_rule:
                self.given.pop((), None)
            if line.kind not in ("blank", "setting"):
                self.below_rule = word.nature == "rule"
            waiting = None
        self._finish()

    def _open(self, line: NoteLine, word: ParsedLine) -> None:
        """Begin a group: what its title sets holds for its trials, alternatives (`wd=1e-4/5e-4`) excepted."""
        self.inherited, self.progress = "", None
        if word.nature == "rule" or not line.section:
            self.given.clear()
        if line.label:
            sets = {one.name: one for one in line.settings if not isinstance(one.value, list) or one.name in _SIZES}
            self.given[(*line.section, line.label)] = sets

    def _add(self, place: int, waiting: int | None) -> None:
        """Add a line with figures or an outcome to the trial it belongs to, or to a new one."""
        line, word = self.lines[place], self.words[place]
        before = self.trials[-1] if self.trials and self.trials[-1].last == place else None
        if word.progress and before and word.progress == self.progress:
            before.scores, before.last, before.steps = list(word.scores), line.number, before.steps + 1
            before.label = word.label
            line.trial = len(self.trials) - 1
            return
        self.progress = word.progress
        if word.nature == "answer" and waiting is None and before and self._joins(before, word):
            before.scores.extend(word.scores)
            before.last = line.number
            before.remark = " ".join(filter(None, (before.remark, word.remark)))
            before.claim = before.claim or word.claim
            line.trial = len(self.trials) - 1
            return
        self._begin(place, waiting, before)

    def _begin(self, place: int, waiting: int | None, before: NotedTrial | None) -> None:
        line, word = self.lines[place], self.words[place]
        named = (
            self.lines[waiting] if waiting is not None and waiting == place - 1 and word.nature == "answer" else None
        )
        if named is not None:
            label = self.inherited = named.label
        elif word.nature == "answer":
            label = self.inherited if (before and self.inherited) or not line.section else line.section[-1]
            self.inherited = label
        else:
            label, self.inherited = line.label, ""
        settings = self._settings(line, (*(named.settings if named else ()), *line.settings))
        remarks = filter(None, (self.words[waiting].remark if named and waiting is not None else "", word.remark))
        first = named.number if named else line.number
        section = named.section if named else line.section
        trial = NotedTrial(
            first, line.number, section, label, settings, list(word.scores), " ".join(remarks), word.claim
        )
        if trial.claim is None and named is not None:
            trial.claim = named.claim
        if trial.claim and label:
            trial.claim = read_claim(word.remark, label) or trial.claim
        self.trials.append(trial)
        line.trial = len(self.trials) - 1
        if named is not None:
            named.trial = line.trial

    def _joins(self, trial: NotedTrial, word: ParsedLine) -> bool:
        """Tell whether figures of another kind complete a trial rather than begin the next one."""
        here = {score.name for score in word.scores}
        there = {score.name for score in trial.scores}
        if not there:
            return False
        if here & there - {None}:
            return False
        return None not in here or (None not in there and there <= _COSTS)

    def _settings(self, line: NoteLine, own: tuple[NotedSetting, ...]) -> tuple[NotedSetting, ...]:
        """Settings of a trial: its own, then what its sections give for all, the nearest first."""
        found: dict[str, NotedSetting] = {setting.name: setting for setting in (*own, *_value_of(line))}
        for depth in range(len(line.section), -1, -1):
            for name, setting in self.given.get(line.section[:depth], {}).items():
                found.setdefault(name, setting)
        return tuple(found.values())

    def _attach(self, line: NoteLine) -> None:
        """Give a remark right below a trial that has its title to itself to that trial."""
        trial = self.trials[-1] if self.trials else None
        if trial is None or trial.last != line.number - 1 or trial.first == trial.last or trial.claim:
            return
        other = self.trials[-2] if len(self.trials) > 1 else None
        if other is not None and other.last == trial.first - 1 and other.section == trial.section:
            return
        title = self.words[trial.first - 1].shape
        if self.words[line.number - 1].shape.indent < title.indent:
            return
        trial.remark = " ".join(filter(None, (trial.remark, line.remark)))
        trial.claim = read_claim(line.remark, trial.label)

    def _finish(self) -> None:
        """Say of each line of a trial what the trial is called."""
        for line in self.lines:
            if line.trial is not None:
                line.label = self.trials[line.trial].label
