"""The machine: who trains what, what waits, what was started from here, memory, disk and GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ablata.base.quantities import duration, quantity
from ablata.board.lab import Lab
from ablata.board.pages.ages import ago
from ablata.board.rendering import address, board_of, page
from ablata.board.sections import Action, ActionsSection, AlertSection, OutputSection
from ablata.board.started import Started
from ablata.records.processes import process_is_gone, worker_name
from ablata.records.rows import EventRow, RunRow
from ablata.reports.html import Header
from ablata.reports.sections import Section, TableCell, TableSection

router = APIRouter()
_MOST_WAITING = 50
_MOST_EVENTS = 50


@router.get("/machine")
def machine(request: Request) -> HTMLResponse:
    """Show workers and their leases, the queue, commands started from here, events, and this machine."""
    board = board_of(request)
    under_way = board.lab.under_way()
    running = [row for row in under_way if row.state == "running"]
    waiting = [row for row in under_way if row.state == "waiting"]
    trained = sum(row.is_trained for row in running)
    left = f", {len(running) - trained} interrupted" if len(running) > trained else ""
    sections: list[Section] = [
        _running(running),
        _waiting(waiting),
        _started(board.started),
        _events(board.lab),
        _gpus(),
    ]
    header = Header(
        kind="Machine",
        name=worker_name(0).partition("/")[0],
        title=f"{trained} running, {len(waiting)} waiting{left}",
        facts=_facts(board.lab.home),
    )
    return page(request, header, sections)


@router.get("/machine/started/{name}")
def started(request: Request, name: str) -> HTMLResponse:
    """Show a command that was started from the board, and what it has said so far."""
    board = board_of(request)
    command = board.started.get(name)
    said = board.started.output(command)
    sections: list[Section] = [
        OutputSection(title="Output", ident="output", text=said or "Nothing said yet."),
    ]
    if command.runs:
        stop = Action(
            title="Stop after this step",
            action=address("do", "started", name, "stop"),
            asks="As Ctrl-C does: it finishes its step, saves, and can be gone on with.",
        )
        sections.append(ActionsSection(title="What can be done", ident="do", actions=(stop,)))
    if command.failed:
        sections.insert(0, AlertSection(title="It failed", ident="failed", lines=(command.words, *last_lines(said))))
    header = Header(
        kind="Command",
        name=name,
        title=command.text,
        facts=(("state", command.words), ("begun", ago(command.began))),
        links=(("the machine", "/machine"),),
    )
    return page(request, header, sections)


def last_lines(said: str, most: int = 4) -> tuple[str, ...]:
    """Return the last lines of an output that say something."""
    return tuple(line.rstrip() for line in said.splitlines() if line.strip())[-most:]


def _why(said: str) -> str:
    """What a failed command says in one line: its error, where it tells one, not the advice below it."""
    lines = last_lines(said, 20)
    return next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")


def _facts(home: Path) -> tuple[tuple[str, str], ...]:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg()) + " over 1, 5 and 15 minutes"
    facts = [("cores", str(os.cpu_count())), ("load", load)]
    memory = _memory()
    if memory is not None:
        free, total = memory
        facts.append(("memory free", f"{quantity(free, 'B')} of {quantity(total, 'B')}"))
    if home.exists():
        disk = shutil.disk_usage(home)
        facts.append(("disk free", f"{quantity(disk.free, 'B')} of {quantity(disk.total, 'B')}"))
    return tuple(facts)


def _memory() -> tuple[int, int] | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    known = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return known["MemAvailable"], known["MemTotal"]


def _running(rows: list[RunRow]) -> TableSection:
    cells = tuple(
        (
            TableCell(text=row.id, link=address("runs", row.id), class_="code"),
            TableCell(text=f"{row.recipe_name}, seed {row.seed}"),
            TableCell(text=row.owner or "–", note=_silence(row)),
            TableCell(text=_lease(row), order=row.lease_until, class_="number"),
            TableCell(text=duration(time.time() - row.started) if row.started else "–", class_="number"),
        )
        for row in rows
    )
    caption = "" if cells else "Nothing is being trained."
    columns = ("Run", "What", "Worker", "Lease", "For")
    return TableSection(title="Running", ident="running", columns=columns, rows=cells, caption=caption)


def _silence(row: RunRow) -> str:
    if row.owner and process_is_gone(row.owner):
        return "this process is gone; the command that needs the run, or a worker, takes it up again"
    return f"last heard of {ago(row.heartbeat)}" if row.heartbeat else ""


def _lease(row: RunRow) -> str:
    left = (row.lease_until or 0) - time.time()
    return f"{duration(left)} left" if left > 0 else "lapsed"


def _waiting(rows: list[RunRow]) -> TableSection:
    cells = tuple(
        (
            TableCell(text=str(place), class_="number"),
            TableCell(text=row.id, link=address("runs", row.id), class_="code"),
            TableCell(text=f"{row.recipe_name}, seed {row.seed}"),
            TableCell(text=ago(row.created)),
        )
        for place, row in enumerate(rows[:_MOST_WAITING], start=1)
    )
    more = f" and {len(rows) - _MOST_WAITING} more" if len(rows) > _MOST_WAITING else ""
    caption = f"in the order in which workers take them{more}" if cells else "Nothing waits."
    return TableSection(title="Queue", ident="queue", columns=("", "Run", "What", "Since"), rows=cells, caption=caption)


def _started(started: Started) -> TableSection:
    cells = tuple(
        (
            TableCell(text=command.text, link=address("machine", "started", command.id), class_="code"),
            TableCell(
                text=command.words, class_="diverged" if command.failed else "",
                note=_why(started.output(command)) if command.failed else "",
            ),
            TableCell(text=ago(command.began)),
        )
        for command in started.all()
    )  # fmt: skip
    caption = "They go on when the board is closed." if cells else "Nothing was started from the board yet."
    return TableSection(
        title="Started from here", ident="started", columns=("Command", "State", "Begun"), rows=cells, caption=caption
    )


def _events(lab: Lab) -> TableSection:
    groups: list[list[EventRow]] = []
    for event in reversed(lab.ledger.events.find(limit=_MOST_EVENTS)):
        if groups and (event.level, event.kind, event.text) == _same(groups[-1][0]):
            groups[-1].append(event)
        else:
            groups.append([event])
    cells = tuple(
        (
            TableCell(text=ago(event.time), order=event.time),
            TableCell(text=event.level, class_="diverged" if event.level == "error" else ""),
            TableCell(
                text=event.run or "", link=address("runs", event.run) if event.run else "", class_="code",
                note=f"and {len(others)} more" if others else "",
            ),
            TableCell(text=event.text, note=event.kind, class_="sentence"),
        )
        for event, *others in groups
    )  # fmt: skip
    columns = ("When", "Level", "Run", "What")
    return TableSection(
        title="Events", ident="events", columns=columns, rows=cells, caption="" if cells else "No event was recorded."
    )


def _same(event: EventRow) -> tuple[str, str, str]:
    return event.level, event.kind, event.text


def _gpus() -> TableSection:
    """GPUs as nvidia-smi tells them; none where it is not there."""
    columns = ("GPU", "Memory used", "Busy")
    none = TableSection(title="GPUs", ident="gpus", columns=columns, rows=(), caption="No GPU is seen on this machine.")
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return none
    query = "--query-gpu=name,memory.used,memory.total,utilization.gpu"
    try:
        done = subprocess.run(
            [tool, query, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return none
    rows = []
    for line in done.stdout.splitlines():
        name, used, total, busy = (part.strip() for part in line.split(","))
        rows.append((TableCell(text=name), TableCell(text=f"{used} of {total} MiB"), TableCell(text=f"{busy}%")))
    return TableSection(title="GPUs", ident="gpus", columns=columns, rows=tuple(rows))
