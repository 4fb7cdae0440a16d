"""The notes beside what was read: one HTML file, everything from the notes escaped, no address outside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from ablata.notebooks.reader.model import KINDS, NotedScore, NotedSetting, NoteLine, NotesReading
from ablata.notebooks.reader.overrides import arguments, overrides

SHOWN_LINES = 20_000
"""Of a longer file so many lines are shown; the counts are of all."""
SHOWN_SIGNS = 600
WORDS = {
    "trial": "something tried, with its result",
    "remark": "words about trials, or about anything",
    "setting": "what is set for the trials below",
    "heading": "a title, a rule, a date",
    "plan": "named, without a result",
    "unknown": "not understood",
    "blank": "empty",
}


@dataclass(frozen=True, slots=True)
class PageRow:
    """One line of the page.

    Attributes:
        line: what it was read as.
        text: the line as written, cut if it is very long.
        opens: it is the first line of its trial, beside which the trial is told.
        label: of the trial, plan or heading.
        scores: figures in words.
        settings: settings in words.
        overrides: recipe overrides.
        claim: of the trial or remark.
        remark: the author's words beside label and figures.
    """

    line: NoteLine
    text: str
    opens: bool
    label: str = ""
    scores: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    overrides: str = ""
    claim: str = ""
    remark: str = ""

    @property
    def kind(self) -> str:
        """The kind, as the page writes it."""
        return "not understood" if self.line.kind == "unknown" else self.line.kind


def notes_page(readings: Sequence[NotesReading]) -> str:
    """Return readings as one HTML document."""
    environment = Environment(
        loader=PackageLoader("ablata.notebooks.reader"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    files = [
        {
            "reading": reading,
            "name": reading.source.replace("\\", "/").rpartition("/")[2],
            "counts": [(kind, reading.counts[kind]) for kind in KINDS],
            "rows": list(rows(reading)),
            "left": max(0, len(reading.lines) - SHOWN_LINES),
        }
        for reading in readings
    ]
    return environment.get_template("notes.html.j2").render(files=files, words=WORDS)


def rows(reading: NotesReading) -> Iterator[PageRow]:
    """Give the rows of a page; lines folded into one trial are one row."""
    told: set[int] = set()
    for line in reading.lines[:SHOWN_LINES]:
        text = line.text if len(line.text) <= SHOWN_SIGNS else f"{line.text[:SHOWN_SIGNS]} …"
        text = "".join(sign if sign.isprintable() or sign == "\t" else "\ufffd" for sign in text)
        if line.trial is None:
            label = line.label if line.kind in ("plan", "heading") else ""
            settings = tuple(map(setting_words, line.settings)) if line.kind in ("setting", "plan") else ()
            claim = line.state or line.claim or ""
            yield PageRow(line, text, False, label, (), settings, _overrides(line.settings) if settings else "", claim)
            continue
        trial = reading.trials[line.trial]
        if trial.steps > 1 and trial.first < line.number < trial.last:
            continue
        if line.trial in told:
            yield PageRow(line, text, False)
            continue
        told.add(line.trial)
        remark = trial.remark if trial.steps == 1 else f"{trial.steps:,} lines of a log; the figures are the last ones"
        yield PageRow(
            line, text, True, trial.label, tuple(map(score_words, trial.scores)),
            tuple(map(setting_words, trial.settings)), _overrides(trial.settings), trial.claim or "", remark,
        )  # fmt: skip


def score_words(score: NotedScore) -> str:
    """Write figures for people: `mAP50 28.63`, `76.03 / 92.84`, `44.1, 48.7, 51.1`."""
    if score.form == "classes":
        figures = ", ".join(f"{name} {value:.4g}" for name, value in zip(score.classes, score.values, strict=True))
    else:
        figures = (" / " if score.form == "parts" else ", ").join(f"{value:.6g}" for value in score.values)
    note = f" ({score.note})" if score.note else ""
    return (f"{score.name} {figures}" if score.name else figures) + note


def setting_words(setting: NotedSetting) -> str:
    """Write a setting for people: `lr 0.01`, `cutmix`, `no mixup`."""
    if setting.value is True:
        return setting.name
    if setting.value is False:
        return f"no {setting.name}"
    value = " ".join(map(str, setting.value)) if isinstance(setting.value, list) else str(setting.value)
    return f"{setting.name} {value}"


def _overrides(settings: Sequence[NotedSetting]) -> str:
    return " ".join(arguments(overrides(settings)))
