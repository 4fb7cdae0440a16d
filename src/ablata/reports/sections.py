"""The sections of a page, each a dataclass with what it shows and the template block that draws it.

A new kind of section is one dataclass here (or in the room that needs it) and one template file beside the others; the
page itself lists sections and knows none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup

from ablata.reports.plots.drawing import sign
from ablata.reports.view import EnvironmentView
from ablata.reports.words import SIGNS


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page: its heading, and the anchor by which it is linked."""

    title: str
    ident: str
    template: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """A table cell: what it shows, a second quieter line, the value it sorts by, and how it is set."""

    text: str
    note: str = ""
    order: float | str | None = None
    class_: str = ""
    link: str = ""
    verdict: str = ""

    @property
    def sign(self) -> Markup:
        """The verdict's sign, empty if the cell holds no verdict."""
        return sign(self.verdict) if self.verdict in SIGNS else Markup("")


@dataclass(frozen=True, kw_only=True)
class TableSection(Section):
    """A table with one heading a column; `folded` hides it behind its caption until it is opened."""

    template: ClassVar[str] = "section_table.html.j2"
    columns: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    caption: str = ""
    folded: bool = False
    class_: str = ""


@dataclass(frozen=True, kw_only=True)
class FigureSection(Section):
    """One figure, drawn for wide and for narrow windows."""

    template: ClassVar[str] = "section_figure.html.j2"
    wide: Markup
    narrow: Markup
    caption: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A small drawing of a grid: its heading, and the verdict whose sign stands before it."""

    title: str
    drawing: Markup
    verdict: str | None = None
    words: str = ""

    @property
    def sign(self) -> Markup:
        """The verdict's sign, empty if there is none."""
        return sign(self.verdict) if self.verdict else Markup("")


@dataclass(frozen=True, kw_only=True)
class GridSection(Section):
    """Groups of small drawings side by side: (name of the group, panels)."""

    template: ClassVar[str] = "section_grid.html.j2"
    groups: tuple[tuple[str, tuple[Panel, ...]], ...]
    caption: str = ""
    class_: str = ""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image kept in the page: what it shows (alt), its caption, and a `data:` address of its bytes."""

    alt: str
    caption: str
    source: str

    def __post_init__(self) -> None:
        if not self.source.startswith("data:image/"):
            raise ValueError("a page is one file: an image must be a data:image/... address")


@dataclass(frozen=True, kw_only=True)
class ImageSection(Section):
    """Images in a grid, such as predictions over photographs; `small` as class: many to a row."""

    template: ClassVar[str] = "section_images.html.j2"
    images: tuple[Image, ...]
    caption: str = ""
    class_: str = ""


@dataclass(frozen=True, kw_only=True)
class TermsSection(Section):
    """Words and their explanations, with sentences before them, which may be warnings."""

    template: ClassVar[str] = "section_terms.html.j2"
    sentences: tuple[str, ...]
    terms: tuple[tuple[str, str], ...]
    warning: bool = False

    @property
    def signed(self) -> tuple[tuple[Markup, str, str], ...]:
        """Each term with its verdict's sign, empty for other words."""
        return tuple((sign(term) if term in SIGNS else Markup(""), term, words) for term, words in self.terms)


@dataclass(frozen=True, kw_only=True)
class EnvironmentSection(Section):
    """The machines the runs were made on; several classes are a warning, as are notes on their code."""

    template: ClassVar[str] = "section_environment.html.j2"
    environments: tuple[EnvironmentView, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RepeatSection(Section):
    """Commands to type and the hashes that must come out equal."""

    template: ClassVar[str] = "section_repeat.html.j2"
    commands: tuple[str, ...]
    hashes: tuple[tuple[str, str], ...]
