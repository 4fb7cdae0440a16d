"""Runs: the table with its filter, one run, up to eight beside each other."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from ablata.base.errors import SettingsError, UserError
from ablata.base.printable import terminal_text
from ablata.base.quantities import NOTHING, counted, duration, quantity
from ablata.board.curves import HUES, CurveChoice, curves_section
from ablata.board.filters import COLUMNS, RunFacts, keys_of, parse_filter, values_of
from ablata.board.lab import Lab
from ablata.board.pages.ages import ago
from ablata.board.rendering import address, board_of, page
from ablata.board.run_table import LabRuns, RunSummary
from ablata.board.sections import (
    Action,
    ActionsSection,
    AlertSection,
    BoardFilterSection,
    Field,
    OutputSection,
    WideTableSection,
)
from ablata.board.started import typed
from ablata.records.removal import folder_bytes
from ablata.records.rows import RunRow
from ablata.records.run_folder.evaluations import read_evaluations
from ablata.records.run_folder.gallery import read_gallery
from ablata.reports.collect_runs import arm_curves, cost_of, is_class_score, plain_settings
from ablata.reports.evaluated import evaluation_sections
from ablata.reports.html import Header
from ablata.reports.run_views import CurveView
from ablata.reports.sections import Section, TableCell, TableSection
from ablata.reports.visuals import run_sections

T = TypeVar("T")
router = APIRouter()
ON_A_PAGE = 100
MOST_DIFFERING = 4
"""Settings that get a column of their own where none were chosen."""
MOST_COMPARED = HUES
_MOST_LOG = 40_000
_MOST_UNBROKEN = 24
"""Signs of a value that is not broken into lines."""


@router.get("/runs")
def runs(request: Request, filter: str = "", columns: str = "", sort: str = "", start: int = 0) -> HTMLResponse:
    """Show the runs that the filter lets through."""
    lab = board_of(request).lab
    table = lab.runs()
    passes, wrong_filter = _tried(lambda: parse_filter(filter, table))
    keys, wrong_columns = _tried(lambda: _columns(columns, table))
    order, wrong_sort = _tried(lambda: _order_of(sort.removeprefix("-"), table))
    found = [one for one in table.runs if passes(one.facts)] if passes is not None else []
    keys = keys or lab.table.differing(found)[:MOST_DIFFERING]
    if order is not None:
        found.sort(key=lambda one: order(one.facts), reverse=sort.startswith("-"))
    choose = BoardFilterSection(
        title="Find",
        ident="find",
        action="/runs",
        fields=(
            Field(name="filter", label="filter", value=filter, kind="search", error=wrong_filter),
            Field(name="columns", label="columns: settings, scores, costs", value=columns, error=wrong_columns),
            Field(name="sort", value="" if wrong_sort else sort, kind="hidden", label=""),
        ),
        hint="Words, arm:wide, study:…, recipe:…, state:completed, seed:3, model.width>16, top1>=95, seconds<60",
    )
    sections: list[Section] = [choose]
    if wrong_sort:
        sections.append(AlertSection(title="Not sorted", ident="not-sorted", lines=(wrong_sort,)))
    if not wrong_filter:
        begin = min(max(start, 0), max(len(found) - 1, 0))
        shown = found[begin : begin + ON_A_PAGE]
        sections.append(
            _table(shown, keys, len(found), filter=filter, columns=columns, sort=sort, start=begin)
        )  # fmt: skip
    title = f"{len(found)} run{'' if len(found) == 1 else 's'}" + (" match" if filter else "")
    header = Header(
        kind="Lab", name=lab.home.parent.name, title="This filter cannot be used" if wrong_filter else title
    )
    status = 422 if wrong_filter or wrong_columns or wrong_sort else 200
    return page(request, header, sections, status=status)


def _tried(read: Callable[[], T]) -> tuple[T | None, str]:
    """What was asked for, and what is wrong with it in words."""
    try:
        return read(), ""
    except SettingsError as error:
        return None, "; ".join(filter(None, (error.must, f"found {error.found}", error.do)))


def _columns(written: str, table: LabRuns) -> list[str]:
    """Return the keys of the columns that were asked for, each as it stands in the table or the end of such a key."""
    asked = [word for word in written.replace(",", " ").split() if word]
    return list(dict.fromkeys(key for word in asked for key in keys_of(word, table.names)))


def _order_of(key: str, table: LabRuns) -> Callable[[RunFacts], tuple[int, float, str]] | None:
    """Return what orders runs by a column or key; None where nothing was asked for."""
    if not key:
        return None
    names = () if key in COLUMNS else keys_of(key, (*table.names, *COLUMNS))
    return lambda facts: _order(next(iter(values_of(facts, names)), ", ".join(facts.columns.get(key, ()))))


def _order(value: str) -> tuple[int, float, str]:
    """Numbers before words, and what has no value last."""
    if not value:
        return (2, 0.0, "")
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, value)


def _table(
    shown: Sequence[RunSummary], keys: Sequence[str], total: int, *,
    filter: str, columns: str, sort: str, start: int,
) -> WideTableSection:  # fmt: skip
    def way(key: str) -> str:
        turned = f"-{key}" if sort == key else key
        return address("runs", filter=filter, columns=columns, sort=turned)

    heads = [("Run", ""), *((key, way(key)) for key in keys), ("Recipe", way("recipe")), ("Study: arm", way("study"))]
    heads += [("Seed", way("seed")), ("State", way("state")), ("Score", ""), ("Time", way("seconds")), ("Begun", "")]
    rows = tuple(_row(one, keys) for one in shown)
    ways = []
    if start:
        ways.append(
            ("earlier", address("runs", filter=filter, columns=columns, sort=sort, start=max(0, start - ON_A_PAGE)))
        )
    if start + ON_A_PAGE < total:
        ways.append(("further", address("runs", filter=filter, columns=columns, sort=sort, start=start + ON_A_PAGE)))
    caption = (
        f"{start + 1} to {start + len(shown)} of {total}. Settings in which runs of one recipe differ stand first."
    )
    return WideTableSection(
        title="Runs", ident="runs", columns=tuple(heads), rows=rows, choose="/runs/compare", ways=tuple(ways),
        caption=caption if shown else "No run matches." if total or filter else "There is no run yet.",
    )  # fmt: skip


def _row(one: RunSummary, keys: Sequence[str]) -> tuple[TableCell, ...]:
    row = one.row
    score = next(((name, value) for name, value in (row.scores or {}).items() if isinstance(value, int | float)), None)
    uses = ", ".join(f"{study}: {arm}" for study, arm in one.uses[:2]) + ("…" if len(one.uses) > 2 else "")
    return (
        TableCell(text=row.id, link=address("runs", row.id), class_="code"),
        *(_setting(one.facts.value(key)) for key in keys),
        TableCell(text=row.recipe_name),
        TableCell(text=uses),
        TableCell(text=str(row.seed), class_="number"),
        TableCell(
            text=row.shown_state, note=(row.error or "").split("\n")[0][:120], class_="diverged" if row.error else ""
        ),
        TableCell(
            text="–" if score is None else f"{score[1]:.5g}", note="" if score is None else score[0], class_="number"
        ),
        TableCell(text=duration(cost_of(row).seconds), class_="number"),
        TableCell(text=ago(row.started or row.created)),
    )


def _setting(value: str | None) -> TableCell:
    """A setting, score or cost in the table: a program's words as they are typed."""
    read = json.loads(value) if value and value.startswith("[") else None
    if isinstance(read, list) and read and all(isinstance(word, str) for word in read):
        return TableCell(text=shlex.join(read), class_="long code")
    text = (value or NOTHING).strip('"')
    return TableCell(text=text, class_="number" if len(text) <= _MOST_UNBROKEN else "long")


@router.get("/runs/compare")
def compare(request: Request, run: Annotated[list[str] | None, Query()] = None) -> HTMLResponse:
    """Show up to eight runs beside each other: settings that differ, curves over one another, scores."""
    chosen = list(dict.fromkeys(run or []))
    if not 2 <= len(chosen) <= MOST_COMPARED:
        raise UserError(
            f"Between 2 and {MOST_COMPARED} runs can be compared", found=f"{len(chosen)}", do="choose them under Runs"
        )
    lab = board_of(request).lab
    rows = [lab.ledger.runs.get(one) for one in chosen]
    trees = lab.ledger.runs.settings_of(rows)
    settings = [plain_settings(trees[row.id]) for row in rows]
    choice = CurveChoice.of(request.query_params)
    curves = _curves_of(lab, rows)
    seconds = {(row.id, row.seed): value for row in rows if (value := cost_of(row).seconds) is not None}
    drawn = curves_section(curves, choice, action=request.url.path, seconds=seconds)
    sections: list[Section] = [
        _beside("Settings that differ", "settings", rows, settings, only_different=True),
        _beside("Scores", "scores", rows, [_written(row.scores) for row in rows], only_different=False),
        _beside("Costs", "costs", rows, [_written_costs(row.cost) for row in rows], only_different=False),
    ]
    if drawn:
        hidden = tuple(Field(name="run", label="", value=row.id, kind="hidden") for row in rows)
        sections.append(replace(drawn, fields=(*drawn.fields, *hidden)))
    links = (("all runs", "/runs"), *((row.id, address("runs", row.id)) for row in rows))
    header = Header(kind="Runs", name="compare", title=f"{counted(len(rows), 'run')} beside each other", links=links)
    return page(request, header, sections)


def _written(values: Mapping[str, object] | None) -> dict[str, str]:
    found = (values or {}).items()
    return {
        key: f"{value:.6g}" for key, value in found if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _written_costs(values: Mapping[str, object] | None) -> dict[str, str]:
    """Costs with their units: bytes and times as people say them, counts in thousands and millions."""
    found = {}
    for key, value in (values or {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            if key.endswith("_bytes"):
                found[key.removesuffix("_bytes")] = quantity(value, "B")
            elif key.endswith("seconds") or key.startswith("seconds_per_"):
                found[key.replace("seconds", "time")] = duration(value) if value >= 0.1 else f"{1000 * value:.0f} ms"
            else:
                found[key] = quantity(value) if value >= 10_000 else f"{value:.4g}"
    return {key.replace("_", " "): value for key, value in found.items()}


def _beside(
    title: str, ident: str, rows: Sequence[RunRow], values: Sequence[Mapping[str, str]], *, only_different: bool
) -> TableSection:
    keys = list(dict.fromkeys(key for one in values for key in one))
    if only_different:
        keys = [key for key in keys if len({one.get(key) for one in values}) > 1]
    cells = tuple(
        (TableCell(text=key, class_="code"), *(TableCell(text=one.get(key, "–"), class_="code") for one in values))
        for key in keys
    )
    caption = "" if cells else "They are the same in all."
    heads = ("", *(f"{row.id}, {row.recipe_name}, seed {row.seed}" for row in rows))
    return TableSection(title=title, ident=ident, columns=heads, rows=cells, caption=caption, class_="beside")


def _curves_of(lab: Lab, rows: Sequence[RunRow]) -> list[CurveView]:
    curves = lab.ledger.metrics.of_runs([row.id for row in rows])
    curves = [curve for curve in curves if not is_class_score(curve)]
    owners = {row.id: (row.id, row) for row in rows}
    names = sorted({curve.name for curve in curves}, key=lambda name: (name.startswith("train/"), name))
    return [
        CurveView(name=name, arms=arm_curves(curves, name, owners, [row.id for row in rows], None)) for name in names
    ]


@router.get("/runs/{run_id}")
def run(request: Request, run_id: str) -> HTMLResponse:
    """Show one run: state, curves, events, scores, images, files, settings, and how to go on."""
    board = board_of(request)
    lab = board.lab
    row = lab.ledger.runs.get(run_id)
    folder = lab.ledger.files.bring(row)
    choice = CurveChoice.of(request.query_params)
    known = cost_of(row).seconds
    seconds = {(row.id, row.seed): known} if known is not None else {}
    drawn = curves_section(
        _curves_of(lab, [row]), choice, action=address("runs", row.id), seconds=seconds, most=9, columns=True
    )
    shown = read_gallery(folder)
    sections: list[Section] = [_scores(row)]
    sections += evaluation_sections(read_evaluations(folder), row.data)
    sections += [drawn] if drawn else []
    sections += run_sections(shown) if shown is not None else ()
    sections += [_events(lab, row), *_files(lab, row), *_log(lab, row), _settings(lab, row)]
    uses = lab.ledger.studies.uses([row]).get(row.id, ())
    loops = lab.ledger.loops.uses([row]).get(row.id, ())
    sections.append(_actions(lab, row, uses))
    facts = [
        ("state", row.shown_state + (f", attempt {row.attempt}" if row.attempt > 1 else "")),
        ("progress", _progress(row)),
        ("time", duration(known)),
        ("memory", quantity(cost_of(row).memory, "B")),
        ("worker", row.owner or ""),
        ("studies", ", ".join(f"{study}: {arm}" for study, arm in uses)),
        ("loops", ", ".join(f"{loop}: {proposal}" for loop, proposal in loops)),
        ("started from", row.parent or ""),
        ("begun" if row.started else "asked for", ago(row.started or row.created)),
    ]
    header = Header(
        kind="Run",
        name=row.id,
        title=f"{row.recipe_name}, seed {row.seed}",
        note=row.error or row.stop_reason or "",
        facts=tuple((name, value) for name, value in facts if value and value != "–"),
        links=(
            ("all runs", "/runs"),
            *((study, address("studies", study)) for study in lab.ledger.runs.studies_of(row.id)),
            *((loop, address("loops", loop)) for loop in dict(loops)),
        ),
    )
    return page(request, header, sections)


def _progress(row: RunRow) -> str:
    told = {key: value for key, value in (row.progress or {}).items() if isinstance(value, int | float | str)}
    if row.state != "running":
        return ""
    written = {key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in told.items()}
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in written.items())


def _scores(row: RunRow) -> TableSection:
    rows = tuple(
        (TableCell(text=name, order=name), TableCell(text=f"{value:.6g}", order=value, class_="number"))
        for name, value in (row.scores or {}).items()
        if isinstance(value, int | float)
    )
    caption = "" if rows else "It has no score yet." if row.state in ("waiting", "running") else "It left no score."
    return TableSection(title="Scores", ident="scores", columns=("Score", "Value"), rows=rows, caption=caption)


def _events(lab: Lab, row: RunRow) -> TableSection:
    found = lab.ledger.events.find(run_id=row.id)
    rows = tuple(
        (
            TableCell(text=ago(event.time), order=event.time),
            TableCell(text=event.level, class_="diverged" if event.level == "error" else ""),
            TableCell(text=event.kind),
            TableCell(text=event.text, class_="sentence"),
        )
        for event in reversed(found)
    )
    caption = "" if rows else "Nothing happened that a watchdog or worker told of."
    return TableSection(
        title="Events", ident="events", columns=("When", "Level", "Kind", "What"), rows=rows, caption=caption
    )


def _files(lab: Lab, row: RunRow) -> list[Section]:
    folder = lab.ledger.files.bring(row)
    if not folder.is_dir():
        return []
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.relative_to(folder))
    rows = tuple(
        (
            TableCell(text=str(path.relative_to(folder)), class_="code", order=str(path)),
            TableCell(text=quantity(path.stat().st_size, "B"), order=path.stat().st_size, class_="number"),
        )
        for path in files[:200]
    )
    caption = f"{counted(len(files), 'file')}, {quantity(folder_bytes(folder), 'B')}, in {folder}"
    return [
        TableSection(title="Files and checkpoints", ident="files", columns=("File", "Size"), rows=rows, caption=caption,
                     folded=len(files) > 8)
    ]  # fmt: skip


def _log(lab: Lab, row: RunRow) -> list[Section]:
    """The end of what a program printed."""
    path = lab.ledger.files.bring(row) / "output.log"
    if not path.is_file():
        return []
    with path.open("rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - _MOST_LOG))
        text = terminal_text(log.read().decode("utf-8", "replace"))
    return [OutputSection(title="Output", ident="output", text=text)] if text.strip() else []


def _settings(lab: Lab, row: RunRow) -> TableSection:
    settings = plain_settings(lab.ledger.runs.settings(row))
    rows = tuple(
        (TableCell(text=key, class_="code", order=key), TableCell(text=value, class_="code"))
        for key, value in settings.items()
    )
    return TableSection(
        title="Settings", ident="settings", columns=("Setting", "Value"), rows=rows, folded=True,
        caption=f"{len(rows)} settings, whole; code {row.code}, data {row.data}",
    )  # fmt: skip


def _actions(lab: Lab, row: RunRow, uses: Sequence[tuple[str, str]]) -> ActionsSection:
    path = address("do", "run", row.id)
    actions = []
    if row.state == "running":
        actions.append(
            Action(title="Stop after this step", action=f"{path}/stop", command=typed(["runs", "stop", row.id]),
                   asks="A training on this machine finishes its step and saves. A study's runs are stopped with it.")
        )  # fmt: skip
    open_study = next((name for name, _ in uses if lab.ledger.studies.get(name).state == "open"), None)
    if row.state == "waiting" and open_study is None:
        actions.append(
            Action(title="Cancel", action=f"{path}/cancel", command=typed(["runs", "cancel", row.id]),
                   asks="It is not trained.")
        )  # fmt: skip
    if row.state in ("failed", "cancelled") or (row.state == "waiting" and row.attempt):
        actions.append(
            Action(title="Resume", action=f"{path}/resume", command=typed(["train", "--resume", row.id]),
                   asks="Goes on where its last checkpoint lies.")
        )  # fmt: skip
    actions.append(
        Action(
            title="Remove",
            action=f"{path}/remove",
            fields=(Field(name="sure", label="remove it with its curves and files", kind="checkbox"),),
            command=typed(["runs", "rm", row.id]),
            asks="A run that a study needs stays, unless you remove the study.",
        )
    )
    caption = ""
    if row.state == "waiting" and open_study is not None:
        cancel = typed(["study", "cancel", open_study])
        caption = f"It waits for a worker. An open study needs it, so it is cancelled with that: {cancel}"
    if row.state == "diverged" and uses:
        study, arm = uses[0]
        again = typed(["study", "run", study, "--again", arm])
        caption = f"Where what went wrong is mended, or lay outside the program, this runs it again: {again}"
    return ActionsSection(title="What can be done", ident="do", actions=tuple(actions), caption=caption)
