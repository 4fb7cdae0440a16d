"""`ablata notes`: read hand-written training notes, look at what was read, search, find what was never finished."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablata.base.quantities import counted
from ablata.cli.console import note, out, print_json
from ablata.cli.help import CommandGroup

if TYPE_CHECKING:
    from rich.table import Table

    from ablata.notebooks.reader.model import NotesReading
    from ablata.records.ledger import Ledger
    from ablata.records.rows import EntryKind, NoteEntry

LONGEST_CELL = 160
app = CommandGroup(help="Read hand-written training notes into the ledger.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Files = Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Notes; by default all read so far.")]


@app.command("read")
def read(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Plain-text notes or logs.")],
    html: Annotated[Path | None, typer.Option(help="Write an HTML page of the notes beside what was read.")] = None,
    json: Json = False,
) -> None:
    """Read notes of any layout into the ledger. In Chinese or English: trials, plans and remarks."""
    from ablata.base.collecting import gc_paused
    from ablata.base.files import PAGE, refuse_other_kind, write_text
    from ablata.notebooks.reader.ledger import keep, trial_facts
    from ablata.notebooks.reader.page import notes_page
    from ablata.records.ledger import Ledger

    if html is not None:
        refuse_other_kind(html, PAGE)
    with gc_paused():
        readings = [_read(file) for file in files]
        with Ledger() as ledger:
            for reading in readings:
                keep(ledger, reading)
    if html is not None:
        write_text(html, notes_page(readings))
    if json:
        trials = [(reading, [trial_facts(reading, trial) for trial in reading.trials]) for reading in readings]
        print_json([_facts(reading) | {"trials": facts} for reading, facts in trials])
    else:
        for reading in readings:
            out.print(_counted(reading), markup=False)
    if html is not None:
        note(f"written: {html}")


@app.command("table")
def table(
    file: Annotated[Path, typer.Argument(help="Plain-text notes or a log.")],
    claim: Annotated[
        str | None,
        typer.Option(metavar="better|worse|same|failed", help="Only trials that the author claims to be this."),
    ] = None,
    json: Json = False,
) -> None:
    """Show the trials of a file. With line, section, label, scores, settings and what the author claims."""
    from ablata.base.errors import SettingsError, suggestion
    from ablata.notebooks.reader.ledger import trial_facts
    from ablata.notebooks.reader.page import score_words, setting_words
    from ablata.reports.console import show

    claims = ("better", "worse", "same", "failed")
    if claim is not None and claim not in claims:
        raise SettingsError(f"--claim must be one of {', '.join(claims)}", found=claim, do=suggestion(claim, claims))
    reading = _read(file)
    trials = [trial for trial in reading.trials if claim in (None, trial.claim)]
    if json:
        print_json([trial_facts(reading, trial) for trial in trials])
        return
    shown = _table(("line", "section", "trial", "scores", "settings", "claim"))
    for trial in trials:
        scores = "; ".join(map(score_words, trial.scores))
        settings = ", ".join(map(setting_words, trial.settings))
        shown.add_row(
            *map(_plain, (trial.first, " > ".join(trial.section), trial.label, scores, settings, trial.claim or ""))
        )
    show(shown, out)
    note(_counted(reading))


@app.command("search")
def search(
    words: Annotated[
        list[str], typer.Argument(metavar="WORD...", help="Words that an entry must contain, all of them.")
    ],
    kind: Annotated[str | None, typer.Option(metavar="trial|plan|remark", help="Only entries of this kind.")] = None,
    json: Json = False,
) -> None:
    """Search all notes read so far. Trials, plans and remarks, by words of text, section, settings or claim."""
    from ablata.base.errors import SettingsError, suggestion
    from ablata.records.ledger import Ledger

    if kind not in (None, "trial", "plan", "remark"):
        raise SettingsError(
            "--kind must be one of trial, plan, remark", found=kind, do=suggestion(kind, ("trial", "plan", "remark"))
        )
    with Ledger(create=False) as ledger:
        entries = _entries(ledger, None, kind)  # type: ignore[arg-type]
    wanted = [word.casefold() for word in words]
    found = [entry for entry in entries if all(word in _searched(entry) for word in wanted)]
    _print_entries(found, json)
    note(f"{len(found)} of {len(entries)} entries" if entries else "no notes: read some with `ablata notes read FILE`")


@app.command("plan")
def plan(
    files: Files = None,
    every: Annotated[bool, typer.Option("--all", help="Include plans that were carried out or given up.")] = False,
    json: Json = False,
) -> None:
    """List what was planned and never finished. It is named in the notes, without a result."""
    from ablata.notebooks.reader.ledger import keep
    from ablata.records.ledger import Ledger

    with Ledger() as ledger:
        sources = None
        if files:
            readings = [_read(file) for file in files]
            for reading in readings:
                keep(ledger, reading)
            sources = [reading.source for reading in readings]
        entries = _entries(ledger, sources, "plan")
    found = [entry for entry in entries if every or not (entry.claim or {}).get("state")]
    _print_entries(found, json)
    note(f"{len(found)} planned without a result")


def _read(file: Path) -> NotesReading:
    from ablata.base.collecting import gc_paused
    from ablata.base.cores import usable_cores
    from ablata.notebooks.reader.reading import read_file

    with gc_paused():
        return read_file(Path(os.path.abspath(file.expanduser())), usable_cores())


def _entries(ledger: Ledger, sources: list[str] | None, kind: EntryKind | None) -> list[NoteEntry]:
    if sources is None:
        return ledger.notes.find(kind=kind)
    return [entry for source in dict.fromkeys(sources) for entry in ledger.notes.find(source=source, kind=kind)]


def _facts(reading: NotesReading) -> dict[str, Any]:
    return {
        "source": reading.source,
        "encoding": reading.encoding,
        "sha256": reading.digest,
        "lines": len(reading.lines),
        "counts": {_kind(kind): count for kind, count in reading.counts.items()},
        "plans": len(reading.plans),
    }


def _kind(kind: str) -> str:
    return "not understood" if kind == "unknown" else kind


def _counted(reading: NotesReading) -> str:
    """Say how many lines were read as what, none left out."""
    counts = ", ".join(f"{count} {_kind(kind)}" for kind, count in reading.counts.items() if count)
    trials, plans = len(reading.trials), len(reading.plans)
    found = f"{trials} trial{'s' * (trials != 1)}, {plans} plan{'s' * (plans != 1)} without a result"
    return f"{reading.source}: {counted(len(reading.lines), 'line')} ({counts}), {found}"


def _searched(entry: NoteEntry) -> str:
    settings = [f"{name}={value}" for name, value in entry.settings.items()]
    verdict = (entry.claim or {}).values()
    return "\n".join(map(str, filter(None, (entry.section, entry.original, *settings, *verdict)))).casefold()


def _print_entries(entries: list[NoteEntry], as_document: bool) -> None:
    from ablata.reports.console import show

    if as_document:
        print_json([entry._asdict() for entry in entries])
        return
    shown = _table(("place", "kind", "section", "text", "claim"))
    for entry in entries:
        text = " / ".join(line.strip() for line in entry.original.splitlines() if line.strip())
        claim = next(iter((entry.claim or {}).values()), "")
        place = f"{Path(entry.source).name}:{entry.line}"
        shown.add_row(*map(_plain, (place, entry.kind, entry.section or "", text, claim)))
    if entries:
        show(shown, out)


def _table(names: tuple[str, ...]) -> Table:
    from rich import box
    from rich.table import Table

    plain = not out.is_terminal
    made = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, header_style="" if plain else "dim")
    for name in names:
        made.add_column(name, justify="right" if name == "line" else "left", overflow="fold")
    return made


def _plain(value: object) -> Any:
    from rich.text import Text

    from ablata.reports.figures import clean

    text = clean(str(value))
    return Text(text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…")
