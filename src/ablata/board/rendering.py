"""How a page of the board is made: the sections of reports between the board's head and foot."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader

from ablata.board.access import Access
from ablata.board.asked import Asked
from ablata.board.lab import Lab
from ablata.board.started import Started
from ablata.reports.html import Header, templates
from ablata.reports.sections import Section

PLACES = (
    ("Studies", "/studies"),
    ("Loops", "/loops"),
    ("Runs", "/runs"),
    ("Data", "/data"),
    ("Notes", "/notes"),
    ("Machine", "/machine"),
    ("Start", "/start"),
)


_OWN_LINK = re.compile(r'<a href="/[^"]*"[^>]*>(.*?)</a>', re.DOTALL)
"""A link to another page of the board, which leads nowhere from a file that is kept."""


@dataclass(frozen=True)
class Board:
    """What the pages of one server share: the lab, who may do what, commands it has started and asked."""

    lab: Lab
    access: Access
    started: Started
    asked: Asked = field(default_factory=Asked)

    def version(self) -> str:
        """Return a text that changes when anything does that a page shows."""
        return f"{self.lab.version()} {self.started.version()}"


def board_of(request: Request) -> Board:
    """Return the board that a request came to.

    The lab's version is read with the first call, before what a page shows: read afterwards, it would hide from an open
    page what changed in between.
    """
    found = request.app.state.board
    assert isinstance(found, Board)
    if not hasattr(request.state, "version"):
        request.state.began = time.thread_time()
        request.state.version = found.version()
    return found


@cache
def _environment() -> Environment:
    """The templates of the board, and those of reports beside them."""
    environment = templates().overlay(loader=ChoiceLoader([PackageLoader("ablata.board"), templates().loader]))  # type: ignore[list-item]
    environment.filters["address"] = address
    return environment


def address(*parts: object, **query: object) -> str:
    """Return an address on the board: path parts are quoted, None and empty values of the query left out.

    >>> address("studies", "a/b", x="time")
    '/studies/a%2Fb?x=time'
    """
    path = "/" + "/".join(quote(str(part), safe="") for part in parts)
    kept = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path


def page(
    request: Request, header: Header, sections: Sequence[Section], *, live: bool = True, status: int = 200
) -> HTMLResponse:
    """Return a page.

    Args:
        request: what it answers; with `?copy=1` the page is a file to keep: one document, without forms or script; with
            the header X-Follow only the parts that can change are sent, to a page that is open.
        header: its head.
        sections: its parts, in order.
        live: whether it follows the lab while it is open.
        status: of the response.
    """
    board: Board = request.app.state.board  # not asked for its version: what says that the ledger is away is a page too
    copy = request.query_params.get("copy") == "1"
    template = "parts.html.j2" if "x-follow" in request.headers else "board.html.j2"
    text = _environment().get_template(template).render(
        header=header,
        sections=[section for section in sections if not (copy and getattr(section, "only_live", False))],
        places=PLACES,
        here="/" + request.url.path.split("/")[1],
        live=live and not copy,
        copy=copy,
        way_to_copy=_with(request, copy="1"),
        nonce=request.scope["state"]["nonce"],
        home=str(board.lab.home),
        read_only=board.access.read_only,
        csrf=board.access.csrf,
        version=request.state.version if live and not copy else "",
    )  # fmt: skip
    # What making the page took of a processor: a busy machine does not make an open page ask less often.
    began = getattr(request.state, "began", time.thread_time())
    headers = {"X-Took": f"{max(0.0, 1000 * (time.thread_time() - began)):.0f}"}
    if copy:
        text = _OWN_LINK.sub(r"\1", text)
        name = re.sub(r"[^\w.-]+", "-", f"{header.kind}-{header.name}".lower()).strip("-")
        headers["Content-Disposition"] = f'attachment; filename="{name or "page"}.html"'
    return HTMLResponse(text, status_code=status, headers=headers)


def _with(request: Request, **changes: str) -> str:
    query = dict(request.query_params) | changes
    return f"{request.url.path}?{urlencode(query)}"
