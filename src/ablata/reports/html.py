"""A page in one file: no address outside it, no script needed to read it, everything from users escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ablata.base.quantities import duration
from ablata.reports.figures import clean
from ablata.reports.run_views import CurveView, RunView
from ablata.reports.sections import Section, TableCell, TableSection, TermsSection
from ablata.reports.study import learning_curves, runs_table, study_sections
from ablata.reports.view import CompareView, StudyView
from ablata.reports.words import Piece, answer, plan_words, rule_words

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, kw_only=True)
class Header:
    """The top of a page.

    Args:
        kind: what the page is about: `Study`.
        name: its name.
        title: the question, or what is shown.
        answer: the sentence below it, in pieces.
        note: a smaller sentence below the answer.
        facts: small lines of name and value.
        links: (words, address) of a way to other pages; empty in a file that stands alone.
    """

    kind: str
    name: str
    title: str
    answer: tuple[Piece, ...] = ()
    note: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()


_BETWEEN = re.compile(r"[^\n\t]+")
"""What stands between line ends and tabulators, which a page may hold."""


@cache
def templates() -> Environment:
    """Return the Jinja environment of all pages: escaping always on, an unknown name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # a command that makes no page starts sooner

    return Environment(
        loader=PackageLoader("ablata.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_without_control_characters,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _without_control_characters(value: object) -> object:
    return _BETWEEN.sub(lambda text: clean(text[0]), value) if type(value) is str else value


def page(header: Header, sections: Sequence[Section]) -> str:
    """Return a page of sections as one HTML document."""
    return templates().get_template("report.html.j2").render(header=header, sections=sections)


def study_page(view: StudyView, *, extra: Sequence[Section] = (), links: tuple[tuple[str, str], ...] = ()) -> str:
    """Return the report of a study as one HTML document.

    Args:
        view: the study.
        extra: further sections (images, tables), shown after the learning curves.
        links: ways to other pages, for a server.
    """
    sections = list(study_sections(view))
    place = next((index for index, section in enumerate(sections) if section.ident == "words"), len(sections))
    sections[place:place] = extra
    return page(study_header(view, links), sections)


def study_header(view: StudyView, links: tuple[tuple[str, str], ...] = ()) -> Header:
    """Return the head of a study's page: question, answer, and how it is decided."""
    metric = view.metric
    scored = ", ".join(filter(None, (metric.protocol, f"on {metric.split}" if metric.split else "")))
    progress = view.progress
    left = (
        f", about {duration(progress.seconds_left)} left"
        if progress.seconds_left is not None and not view.finished
        else ""
    )
    state = f"{view.state}, {progress.done} of {progress.planned} runs done{left}" if progress.planned else view.state
    times = " – ".join(filter(None, (view.created[:16].replace("T", " "), view.finished[:16].replace("T", " "))))
    better = "higher" if metric.higher_is_better else "lower"
    facts = (
        ("metric", f"{metric.name}{f' ({scored})' if scored else ''}, {better} is better"),
        ("rule", rule_words(view)),
        ("state", state + (f" ({times})" if times else "")),
    )
    return Header(
        kind="Study",
        name=view.name,
        title=view.question or view.name,
        answer=answer(view),
        note=plan_words(view),
        facts=facts,
        links=links,
    )


def compare_page(view: CompareView, links: tuple[tuple[str, str], ...] = ()) -> str:
    """Return two runs side by side as one HTML document."""
    first, second = view.first, view.second
    settings = tuple(
        (
            TableCell(text=change.key, class_="code"),
            TableCell(text=change.old, class_="code"),
            TableCell(text=change.new, class_="code"),
        )
        for change in view.changes
    )
    scores = tuple(
        (
            TableCell(text=pair.cells[0], order=pair.name),
            *(
                TableCell(text=cell.replace("-", "−"), order=value, class_="number")
                for cell, value in zip(pair.cells[1:], (pair.first, pair.second, pair.difference), strict=True)
            ),
        )
        for pair in view.scores
    )
    names = (f"{first.id}", f"{second.id}")
    sections: list[Section] = []
    if view.notes:
        sections.append(TermsSection(title="Read this first", ident="notes", sentences=view.notes, terms=()))
    sections.append(
        TableSection(
            title="Settings that differ",
            ident="settings",
            columns=("Setting", *names),
            rows=settings,
            caption="" if settings else "The two recipes are the same.",
        )
    )
    sections.append(TableSection(title="Scores", ident="scores", columns=("Score", *names, "Difference"), rows=scores))
    sections += learning_curves(view.curves, first.id)
    sections.append(runs_table((first, second)))
    return page(Header(kind="Runs", name="compare", title=f"{first.id} and {second.id}", links=links), sections)


def run_page(
    run: RunView,
    curves: tuple[CurveView, ...] = (),
    extra: Sequence[Section] = (),
    links: tuple[tuple[str, str], ...] = (),
) -> str:
    """Return one run as an HTML document.

    Args:
        run: the run.
        curves: what it logged.
        extra: further sections, such as the classes' scores and images of predictions.
        links: ways to other pages, for a server.
    """
    rows = tuple(
        (TableCell(text=name, order=name), TableCell(text=_value(value), order=value, class_="number"))
        for name, value in run.scores
    )
    sections: list[Section] = [TableSection(title="Scores", ident="scores", columns=("Score", "Value"), rows=rows)]
    sections += extra
    sections += learning_curves(curves, None)
    sections.append(runs_table((run,), "Run"))
    facts = (("recipe", run.recipe), ("seed", str(run.seed)), ("state", run.state))
    return page(
        Header(kind="Run", name=run.id, title=f"{run.recipe}, seed {run.seed}", facts=facts, links=links), sections
    )


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}".replace("-", "−")
