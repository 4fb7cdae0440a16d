"""`ablata board`: the lab in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from ablata.cli.console import note, quick_imports


def board(
    host: Annotated[
        str, typer.Option(help="Address to listen on; on one that others reach, the link carries a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="By default 8765, or a free one where that is taken.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="The token that the link carries; by default a new one.")] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only show: nothing can be started or removed.")
    ] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    db: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Database of the ledger; by default ABLATA_DB, or the file in the lab's home."
        ),
    ] = None,
) -> None:
    """Show the lab in a browser, live, until Ctrl-C.

    Studies, runs, data, notes and the machine, with forms that start what one would type.
    """
    with quick_imports():
        from ablata.board.server import serve
        from ablata.records.ledger import Ledger

    with Ledger(db) as ledger:
        serve(
            ledger, host=host, port=port, token=token, read_only=read_only, open_browser=not no_open, say=note
        )  # fmt: skip
