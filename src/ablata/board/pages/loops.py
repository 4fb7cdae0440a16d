"""Research loops: all of them, and the stream of each."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ablata.base.quantities import NOTHING, counted
from ablata.board.pages.ages import ago
from ablata.board.rendering import address, board_of, page
from ablata.reports.html import Header
from ablata.reports.loops.collect import loop_view
from ablata.reports.loops.page import loop_header, loop_sections
from ablata.reports.loops.view import OUTCOMES, LoopView
from ablata.reports.loops.words import best_words, span
from ablata.reports.sections import TableCell, TableSection

router = APIRouter()


@router.get("/loops")
def loops(request: Request) -> HTMLResponse:
    """List the loops of the lab, the newest first."""
    lab = board_of(request).lab
    found = [loop_view(lab.ledger, row.name) for row in lab.ledger.loops.all()]
    caption = "" if found else "No loop was started yet. To start one: ablata loop start NAME --command ... --score ..."
    table = TableSection(
        title="Loops", ident="loops", columns=("Loop", "Best so far", "Gain", "Proposals", "Started"),
        rows=tuple(map(_row, found)), caption=caption,
    )  # fmt: skip
    title = counted(len(found), "loop")
    return page(request, Header(kind="Lab", name=lab.home.parent.name, title=title), [table])


@router.get("/loops/{name}")
def loop(request: Request, name: str) -> HTMLResponse:
    """Show the stream of a loop."""
    view = loop_view(board_of(request).lab.ledger, name)
    return page(request, loop_header(view, (("all loops", "/loops"),)), loop_sections(view))


def _row(view: LoopView) -> tuple[TableCell, ...]:
    counts = [f"{view.count(outcome)} {word}" for outcome, word in OUTCOMES.items() if view.count(outcome)]
    confirmed = view.confirmed
    gain = (
        span(view, confirmed.gain, sign=True)
        if confirmed
        else view.figures.number(view.claimed, sign=True)
        if view.kept
        else NOTHING
    )
    return (
        TableCell(text=view.name, link=address("loops", view.name)),
        TableCell(text=best_words(view)),
        TableCell(text=gain, note="confirmed" if confirmed else "claimed" if view.kept else "", class_="number"),
        TableCell(text=str(len(view.tried)), note=", ".join(counts), order=len(view.tried)),
        TableCell(text=ago(view.created), order=view.created),
    )
