"""The JSON interface of the board, version 1, under /api/v1; described by /api/v1/openapi.json."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import DatabaseError
from starlette.concurrency import run_in_threadpool

from ablata.base.errors import AblataError, RecordError, choices, suggestion
from ablata.board.curves import thinned
from ablata.board.filters import parse_filter
from ablata.board.rendering import Board, board_of
from ablata.reports.collect import study_view
from ablata.reports.collect_runs import plain_settings
from ablata.reports.view import as_json

router = APIRouter(prefix="/api/v1", tags=["the lab"])
events = APIRouter()
_LOOK_SECONDS = 1.0
_ALIVE_SECONDS = 15.0


@router.get("/version")
def version(request: Request) -> dict[str, str]:
    """Return a text that changes when anything in the lab does."""
    return {"version": board_of(request).version()}


@router.get("/studies")
def studies(request: Request) -> list[dict[str, Any]]:
    """Return all studies, newest first: question, state, verdicts, progress, cost."""
    return [as_json(one) for one in board_of(request).lab.studies()]


@router.get("/studies/{name}")
def study(request: Request, name: str, curves: bool = False) -> dict[str, Any]:
    """Return one study as its report has it; with `curves`, its learning curves too."""
    found: dict[str, Any] = as_json(study_view(board_of(request).lab.ledger, name, curves=curves))
    return found


@router.get("/runs")
def runs(request: Request, filter: str = "", limit: Annotated[int, Query(ge=1, le=2000)] = 100) -> list[dict[str, Any]]:
    """Return the runs that a filter lets through, newest first; the filter is that of the table of runs."""
    table = board_of(request).lab.runs()
    passes = parse_filter(filter, table)
    found = list(islice((one for one in table.runs if passes(one.facts)), limit))
    return [_finite({**asdict(one.row), "uses": one.uses, "settings": one.settings}) for one in found]


@router.get("/runs/{run_id}")
def run(request: Request, run_id: str) -> dict[str, Any]:
    """Return one run whole: row, settings, events."""
    ledger = board_of(request).lab.ledger
    row = ledger.runs.get(run_id)
    return {
        **_finite(asdict(row)),
        "settings": plain_settings(ledger.runs.settings(row)),
        "events": [asdict(event) for event in ledger.events.find(run_id=row.id)],
    }


@router.get("/runs/{run_id}/curves")
def curves(
    request: Request, run_id: str, name: str | None = None, points: Annotated[int, Query(ge=2, le=100_000)] = 1000
) -> dict[str, list[tuple[float, float | None]]]:
    """Return what a run logged, by quantity; long curves keep the least and the greatest value of each stretch."""
    ledger = board_of(request).lab.ledger
    found = ledger.metrics.of_runs([ledger.runs.get(run_id).id])
    if name is not None:
        known = [one.name for one in found]
        found = [one for one in found if one.name == name]
        if not found:
            raise RecordError(
                f"A curve must be one that the run has logged: {choices(known, name)}",
                found=name,
                do=suggestion(name, known),
            )
    return {one.name: [(x, as_json(y)) for x, y in thinned(one.steps, one.values, points)] for one in found}


@router.get("/queue")
def queue(request: Request) -> list[dict[str, Any]]:
    """Return the runs that are running or waiting, in the order in which they are taken."""
    return [_finite(asdict(row)) for row in board_of(request).lab.under_way()]


@events.get("/events", include_in_schema=False)
async def follow(request: Request) -> StreamingResponse:
    """Tell the lab's version at once and whenever it changes, as server-sent events; `away`: the ledger is."""
    return StreamingResponse(_versions(request), media_type="text/event-stream")


async def _versions(request: Request) -> AsyncIterator[str]:
    board: Board = request.app.state.board
    told: str | None = None
    quiet = 0.0
    while not await request.is_disconnected() and not request.app.state.ending:
        try:
            version = await run_in_threadpool(board.version)
        except (AblataError, DatabaseError):
            version = ""
        if version != told:
            told, quiet = version, 0.0
            yield f"event: version\ndata: {version}\n\n" if version else "event: away\ndata:\n\n"
        elif quiet >= _ALIVE_SECONDS:
            quiet = 0.0
            yield ": alive\n\n"
        quiet += _LOOK_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)


def _finite(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree without NaN and infinities, which JSON has no form for."""
    return {key: _finite(value) if isinstance(value, dict) else as_json(value) for key, value in tree.items()}
