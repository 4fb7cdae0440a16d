"""The page of a loop: its stream, what was gained, every proposal with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from ablata.base.quantities import NOTHING, counted, duration
from ablata.reports.html import Header, page
from ablata.reports.loops.drawing import stream
from ablata.reports.loops.view import SIGNS, LoopView, ProposalView
from ablata.reports.loops.words import best_words, greedy_words, judged_words, outcome_word, span, stand_words
from ablata.reports.sections import (
    FigureSection,
    RepeatSection,
    Section,
    TableCell,
    TableSection,
    TermsSection,
)
from ablata.reports.words import Piece


def loop_page(view: LoopView, links: tuple[tuple[str, str], ...] = ()) -> str:
    """Return the report of a loop as one HTML document.

    Args:
        view: the loop.
        links: ways to other pages, for a server.
    """
    return page(loop_header(view, links), loop_sections(view))


def loop_header(view: LoopView, links: tuple[tuple[str, str], ...] = ()) -> Header:
    """Return the head of a loop's page: what was gained, and how it is decided."""
    budget = "" if view.budget is None else f" of {duration(view.budget)}"
    return Header(
        kind="Loop",
        name=view.name,
        title=f"What did {counted(len(view.tried), 'proposal')} gain?",
        answer=_answer(view),
        facts=(
            ("best", best_words(view)),
            ("rule", judged_words(view)),
            ("cost", f"{counted(view.runs, 'run')}, {duration(view.seconds)}{budget}"),
        ),
        links=links,
    )


def _answer(view: LoopView) -> tuple[Piece, ...]:
    if not view.kept:
        return (Piece("Nothing yet: no change was kept."),)
    figures = view.figures
    if (found := view.confirmed) is not None:
        return (
            Piece(f"{span(view, found.gain, sign=True)} {view.metric}", strong=True),
            Piece(f", by fresh runs of start and best ({found.start_runs} and {found.gain.runs}). "),
            Piece(f"When they were kept, the changes claimed {figures.number(view.claimed, sign=True)} together."),
        )
    return (
        Piece(f"{figures.number(view.claimed, sign=True)} {view.metric} was claimed", strong=True),
        Piece(" when changes were kept. Fresh runs of start and best say what is left of it: ablata loop confirm."),
    )


def loop_sections(view: LoopView) -> list[Section]:
    """Return the parts of a loop's page."""
    sections: list[Section] = [
        FigureSection(
            title="The stream",
            ident="stream",
            wide=stream(view, 1024.0, "stream-wide"),
            narrow=stream(view, 340.0, "stream-narrow"),
            caption=_caption(view),
        ),
        _proposals(view),
        _kept(view),
        TermsSection(title="Where it stands", ident="stand", sentences=(), terms=tuple(stand_words(view))),
        TermsSection(title="How to read this", ident="words", sentences=(), terms=_TERMS),
    ]
    if view.commands:
        sections.append(RepeatSection(title="Repeat it", ident="repeat", commands=view.commands, hashes=()))
    return sections


_TERMS = (
    ("claimed", "the difference to the best before, by the runs that the decision was made with"),
    ("confirmed", "the same by runs that were made after a change was kept, which no choice was made by"),
    ("band", "the 95% interval of the best so far, by its fresh runs"),
    ("greedy", "a loop that runs each change once and keeps it if its score beats the best before"),
)


def _caption(view: LoopView) -> str:
    return (
        "Each sign is a proposal at the mean of its runs: ▲ kept, ▼ discarded, ○ undecided, × crashed. The line is the "
        "best so far by fresh runs, with its band; the dashed line is what a greedy loop would believe: "
        f"{greedy_words(view)}."
    )


def _proposals(view: LoopView) -> TableSection:
    rows = tuple(_row(view, one) for one in reversed(view.tried))
    return TableSection(
        title="Proposals",
        ident="proposals",
        columns=("#", "Proposal", "Became", view.metric, "Runs", "Difference", "Why"),
        rows=rows,
        caption="" if rows else 'Nothing was proposed yet: ablata loop try "what it is" --ref HEAD, or --set key=value',
    )


def _row(view: LoopView, one: ProposalView) -> tuple[TableCell, ...]:
    figures, sign = view.figures, SIGNS.get(one.outcome or "", "")
    return (
        TableCell(text=str(one.number), order=one.number, class_="number"),
        TableCell(text=one.text, note=one.change, class_="sentence"),
        TableCell(text=outcome_word(view, one), order=one.outcome or "", class_=f"verdict {sign}", verdict=sign),
        TableCell(text=figures.number(one.score), order=one.score, class_="number"),
        TableCell(text=str(one.runs), order=one.runs, class_="number"),
        TableCell(
            text=figures.number(one.claimed.value, sign=True) if one.claimed else NOTHING,
            note=_ends(view, one), order=one.claimed.value if one.claimed else None, class_="number",
        ),
        TableCell(text=one.reason or NOTHING, class_="sentence"),
    )  # fmt: skip


def _ends(view: LoopView, one: ProposalView) -> str:
    whole = span(view, one.claimed, sign=True)
    return whole.partition(" ")[2]


def _kept(view: LoopView) -> TableSection:
    rows: Sequence[tuple[TableCell, ...]] = [
        (
            TableCell(text=f"#{one.number} {one.text}", note=one.change, order=one.number),
            TableCell(text=span(view, one.claimed, sign=True), class_="number"),
            TableCell(text=span(view, one.confirmed, sign=True), class_="number"),
            TableCell(text=span(view, one.fresh), note=_fresh(one), class_="number"),
        )
        for one in view.kept
    ]
    return TableSection(
        title="Kept changes",
        ident="kept",
        columns=("Change", "Claimed", "Confirmed", f"{view.metric}, fresh runs"),
        rows=tuple(rows),
        caption="A change is confirmed by the runs that measure it as the baseline of what comes after."
        if rows
        else "No change was kept yet.",
    )


def _fresh(one: ProposalView) -> str:
    return "" if one.fresh is None else f"{one.fresh.runs} run{'s' * (one.fresh.runs > 1)}"
