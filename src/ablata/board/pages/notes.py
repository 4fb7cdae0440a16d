"""Hand-written notes beside what was read from them."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ablata.base.errors import RecordError
from ablata.base.quantities import counted
from ablata.board.pages.ages import ago
from ablata.board.rendering import address, board_of, page
from ablata.board.sections import BoardNoteLine, NotesSection
from ablata.records.rows import NoteEntry
from ablata.reports.html import Header
from ablata.reports.sections import TableCell, TableSection

router = APIRouter()
_MOST_LINES = 5_000


@router.get("/notes")
def notes(request: Request) -> HTMLResponse:
    """List the files of notes that the lab has read."""
    lab = board_of(request).lab
    files = lab.ledger.notes.files()
    rows = tuple(
        (
            TableCell(text=file.source, link=address("notes", "file", source=file.source)),
            TableCell(text=_counted(file.counts)),
            TableCell(text=ago(file.time), order=file.time),
        )
        for file in files
    )
    caption = "" if rows else "No notes were read yet. To read some: ablata notes read FILE"
    table = TableSection(title="Files", ident="files", columns=("File", "Read as", "When"), rows=rows, caption=caption)
    title = f"{counted(len(files), 'file')} of notes"
    return page(request, Header(kind="Lab", name=lab.home.parent.name, title=title), [table])


def _counted(counts: Mapping[str, int]) -> str:
    """How many lines were read as what: `2 trials, 1 plan`."""
    said = [f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items() if count and name != "blank"]
    return ", ".join(said) or "nothing"


@router.get("/notes/file")
def notes_file(request: Request, source: str) -> HTMLResponse:
    """Show one file line by line, and beside each line what was read from it.

    Raises:
        RecordError: the file was never read into the ledger.
    """
    lab = board_of(request).lab
    text = lab.ledger.notes.text(source)
    if text is None:
        raise RecordError("Notes must be read before they are shown", found=source, do="ablata notes read FILE")
    entries = {entry.line: entry for entry in lab.ledger.notes.find(source=source)}
    lines = text.splitlines()
    shown = tuple(_line(number, line, entries.get(number)) for number, line in enumerate(lines[:_MOST_LINES], start=1))
    trials = sum(entry.kind == "trial" for entry in entries.values())
    caption = f"The first {_MOST_LINES} of {len(lines)} lines." if len(lines) > _MOST_LINES else ""
    section = NotesSection(title="Line by line", ident="lines", lines=shown, caption=caption)
    header = Header(
        kind="Notes",
        name=source.rpartition("/")[2],
        title=f"{counted(trials, 'trial')} in {len(lines)} lines",
        links=(("all notes", "/notes"),),
    )
    return page(request, header, [section])


def _line(number: int, text: str, entry: NoteEntry | None) -> BoardNoteLine:
    if entry is None:
        return BoardNoteLine(number=number, text=text)
    settings = " ".join(f"{key}={value}" for key, value in entry.settings.items())
    scores = " ".join(f"{key} {value}" for key, value in entry.scores.items())
    claim = f"concludes: {entry.claim['verdict']}" if entry.claim and "verdict" in entry.claim else ""
    read = "; ".join(filter(None, (entry.label or "", settings, scores, claim)))
    return BoardNoteLine(number=number, text=text, read=read, kind=entry.kind)
