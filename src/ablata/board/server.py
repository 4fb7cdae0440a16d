"""The board's server: the application, and serving it until Ctrl-C."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import DatabaseError
from starlette.exceptions import HTTPException

from ablata.base.errors import AblataError, LedgerError, RecordError, SettingsError
from ablata.base.version import __version__
from ablata.board import api
from ablata.board.access import Access, Gate, is_loopback
from ablata.board.asked import Asked
from ablata.board.lab import Lab
from ablata.board.pages import data, doing, loops, machine, notes, runs, start, studies
from ablata.board.rendering import Board, page
from ablata.board.spawning import Spawner
from ablata.board.started import Started
from ablata.records.database import in_words
from ablata.records.ledger import Ledger
from ablata.reports.collect import study_view
from ablata.reports.html import Header
from ablata.reports.sections import TermsSection

PORT = 8765
_NICE = 10
"""How much the board stands back behind trainings on the same machine."""


def board_app(ledger: Ledger, access: Access | None = None) -> FastAPI:
    """Make the application.

    Args:
        ledger: the lab that it shows, open; its connections will refuse to write.
        access: who may see it and do what.
    """
    access = access or Access()
    address = None if ledger.database.is_sqlite else ledger.address

    app = FastAPI(
        title="ablata", version=__version__, openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None
    )
    app.state.spawner = Spawner()
    started = Started(ledger.home, address, app.state.spawner)
    app.state.board = Board(Lab(ledger), access, started, Asked(app.state.spawner))
    app.state.ending = False
    for part in (studies, loops, runs, data, notes, machine, start, doing):
        app.include_router(part.router, include_in_schema=False)
    app.include_router(api.router)
    app.include_router(api.events)
    app.add_api_route("/favicon.ico", lambda: Response(status_code=204), include_in_schema=False)
    app.add_api_route("/", lambda: RedirectResponse("/studies"), include_in_schema=False)
    app.add_exception_handler(AblataError, _in_words)
    app.add_exception_handler(DatabaseError, _no_ledger)
    app.add_exception_handler(HTTPException, _not_found)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_middleware(Gate, access=access)
    return app


def serve(
    ledger: Ledger,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    read_only: bool = False,
    open_browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the board until Ctrl-C.

    Args:
        ledger: the lab.
        host: address to listen on; one that others reach gets a token.
        port: None: 8765, or a free one where that is taken.
        token: what the first link must carry; None: a new one where the host is reached by others, else none.
        read_only: only show.
        open_browser: open the address in a browser, where there is one.
        say: is told the address.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    listening = _listen(host, port)
    app = board_app(ledger, Access(token=token, read_only=read_only))
    shown = f"[{host}]" if ":" in host else socket.gethostname() if host in ("0.0.0.0", "::") else host
    address = f"http://{shown}:{listening.getsockname()[1]}/" + (f"?token={token}" if token else "")
    app.state.spawner.make_threads()
    say(f"the board: {address}   (Ctrl-C ends it; what it started goes on)")
    with suppress(OSError):
        os.nice(_NICE)
    threading.Thread(target=_warm, args=(app.state.board.lab,), daemon=True).start()
    if open_browser:
        threading.Timer(0.5, webbrowser.open, (address,)).start()
    settings = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, server_header=False)
    with suppress(KeyboardInterrupt):
        _Server(settings, app).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server whose open pages are told at Ctrl-C that it ends: it waits for them first."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.ending = True
        # What is still under way after the time to end is cancelled, which is no fault to tell.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in (PORT, 0) if port is None else (port,):
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, wanted))
            made.listen(128)
        except (OSError, OverflowError) as error:
            made.close()
            if port is None and wanted == PORT:
                continue
            raise SettingsError(
                "The board must be able to listen on its address",
                found=f"{host}:{wanted}: {error}",
                do="choose another --port, or leave --port out to get a free one",
            ) from error
        else:
            return made
    raise AssertionError("port 0 is any free one")


def _warm(lab: Lab) -> None:
    """Look at every undecided study once: what would settle it is simulated, and remembered by this process."""
    with suppress(AblataError):
        for one in lab.studies():
            study_view(lab.ledger, one.name, curves=False)


def _in_words(request: Request, error: Exception) -> Response:
    assert isinstance(error, AblataError)
    kinds = ((doing.RefusedError, 403), (LedgerError, 503), (RecordError, 404))
    status = next((status for kind, status in kinds if isinstance(error, kind)), 400)
    return _refusal(request, error.must, error.found, error.do, status)


def _no_ledger(request: Request, error: Exception) -> Response:
    """The database failed in the middle of a page; a mistake of ours in what was asked of it stays one."""
    assert isinstance(error, DatabaseError)
    if (told := in_words(error)) is None:
        raise error
    return _in_words(request, told)


def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = "There is no such page" if error.status_code == 404 else str(error.detail)
    return _refusal(
        request, words, request.url.path, "see Studies, Loops, Runs, Data, Notes and Machine", error.status_code
    )


def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    return _refusal(request, "The address must be complete", f"{first['loc'][-1]}: {first['msg']}", None, 422)


def _refusal(request: Request, must: str, found: str | None, do: str | None, status: int) -> Response:
    """An error as a page, or as JSON under /api."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"must": must, "found": found, "do": do}, status_code=status)
    terms = tuple((name, value) for name, value in (("found", found), ("do", do)) if value)
    section = TermsSection(title="What is wrong", ident="error", sentences=(), terms=terms)
    return page(request, Header(kind="Error", name=str(status), title=must), [section], live=False, status=status)
