"""The sections that only the board has: lists to filter, forms, curves with controls, the output of a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup

from ablata.reports.plots.drawing import sign
from ablata.reports.sections import Section, TableCell
from ablata.reports.words import SIGNS


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a form.

    Args:
        name: under which its value is sent.
        label: what it is called.
        value: what it holds.
        choices: (value, words) to choose among; empty: free text.
        kind: `text`, `number`, `range`, `lines`, `search`, `checkbox` or `hidden`.
        hint: a line below it.
        limits: of a `range`: least value, greatest, step.
        error: what is wrong with the value; empty: nothing.
    """

    name: str
    label: str
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    kind: str = "text"
    hint: str = ""
    limits: tuple[float, float, float] = (0, 1, 0.05)
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class BoardFilterSection(Section):
    """Fields that choose what the page shows: a form whose address can be kept."""

    template: ClassVar[str] = "section_choose.html.j2"
    only_live: ClassVar[bool] = True
    fields: tuple[Field, ...]
    action: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """The verdicts of a study as signs, each with the name of its arm."""

    arms: tuple[tuple[str, str | None], ...]

    @property
    def signs(self) -> tuple[tuple[Markup, str], ...]:
        """(sign, words) of each arm."""
        return tuple(
            (sign(verdict if verdict in SIGNS else None), f"{arm}: {verdict or 'not judged yet'}")
            for arm, verdict in self.arms
        )


@dataclass(frozen=True, kw_only=True)
class StudyCard:
    """A study in the list."""

    name: str
    link: str
    question: str
    state: str
    verdicts: Verdicts
    share: float
    progress: str
    words: str


@dataclass(frozen=True, kw_only=True)
class StudyListSection(Section):
    """Studies, one a row: question, verdicts as signs, progress, cost."""

    template: ClassVar[str] = "section_studies.html.j2"
    studies: tuple[StudyCard, ...]
    empty: str = ""


@dataclass(frozen=True, kw_only=True)
class WideTableSection(Section):
    """A table with links in its headings, to sort by, and boxes to choose rows with."""

    template: ClassVar[str] = "section_wide_table.html.j2"
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[TableCell, ...], ...]
    caption: str = ""
    choose: str = ""
    chosen: tuple[str, ...] = ()
    ways: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class CurvesSection(Section):
    """Curves with the controls that draw them otherwise; `columns`: several small ones beside each other.

    `values` is the table behind them: quantity, arm, seeds, last position, last, least and greatest value.
    """

    template: ClassVar[str] = "section_curves.html.j2"
    fields: tuple[Field, ...]
    action: str
    drawings: tuple[tuple[str, Markup], ...]
    caption: str = ""
    legend: tuple[tuple[str, str], ...] = ()
    columns: bool = False
    values: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that can be done: a form, and the command that does the same.

    Args:
        title: what is done.
        action: address that the form is sent to.
        fields: what it sends.
        command: what to type to do the same.
        asks: what is asked before; empty: nothing.
        wide: it has the whole width, its fields beside each other.
    """

    title: str
    action: str
    fields: tuple[Field, ...] = ()
    command: str = ""
    asks: str = ""
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class ActionsSection(Section):
    """What can be done from here."""

    template: ClassVar[str] = "section_actions.html.j2"
    only_live: ClassVar[bool] = True
    actions: tuple[Action, ...]
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of a recipe in a form: its value as JSON, what it allows, what it is."""

    key: str
    value: str
    choices: tuple[str, ...] = ()
    allows: str = ""
    words: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class SettingsFormSection(Section):
    """A recipe's settings as a form: those that are changed make a training, or an arm beside the recipe as it is.

    Args:
        recipe: its name.
        settings: all of them, in the recipe's order.
        study: further fields of a study.
        training: further fields of a training.
        more: the field of settings that are not among them.
    """

    template: ClassVar[str] = "section_settings.html.j2"
    only_live: ClassVar[bool] = True
    recipe: str
    settings: tuple[Setting, ...]
    study: tuple[Field, ...]
    training: tuple[Field, ...]
    more: Field


@dataclass(frozen=True, kw_only=True)
class OutputSection(Section):
    """Text as a program wrote it."""

    template: ClassVar[str] = "section_output.html.j2"
    text: str
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class AlertSection(Section):
    """What went wrong, in a few lines."""

    template: ClassVar[str] = "section_alert.html.j2"
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoardNoteLine:
    """A line of notes, and what was read from it."""

    number: int
    text: str
    read: str = ""
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class NotesSection(Section):
    """Hand-written notes, line by line, beside what was read from them."""

    template: ClassVar[str] = "section_notes.html.j2"
    lines: tuple[BoardNoteLine, ...]
    caption: str = ""
