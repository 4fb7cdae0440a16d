"""Serving the board: its address, its end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ablata.base.errors import SettingsError
from ablata.board import api, server
from ablata.records import Ledger


def test_a_port_that_is_taken_is_told_and_the_usual_one_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match="another --port"):
            server._listen("127.0.0.1", port)
        monkeypatch.setattr(server, "PORT", port)
        with server._listen("127.0.0.1", None) as free:
            assert free.getsockname()[1] != port
    with pytest.raises(SettingsError, match="listen on its address"):
        server._listen("256.1.1.1", None)


def test_the_command_prints_its_address_answers_and_ends_with_an_interrupt_while_a_page_is_open(tmp_path: Path) -> None:
    environment = os.environ | {"ABLATA_HOME": str(tmp_path / "lab")}
    command = [sys.executable, "-m", "ablata", "board", "--no-open"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found
        with urllib.request.urlopen(f"{found[0]}studies", timeout=60) as answer:
            assert "There is no study yet" in answer.read().decode()
        with urllib.request.urlopen(f"{found[0]}events", timeout=60) as followed:
            assert followed.readline() == b"event: version\n"
            process.send_signal(signal.SIGINT)
            assert (process.wait(60), process.stderr.read()) == (0, "")


def test_a_ledger_that_is_away_is_said_on_every_page_and_by_the_events_and_can_come_back(tmp_path: Path) -> None:
    home = tmp_path / "lab"
    with Ledger(home=home) as ledger, TestClient(server.board_app(ledger), base_url="http://127.0.0.1:1") as client:
        away = home / "away"
        (home / "ledger.sqlite3").rename(away)
        client.app.state.board.lab._version = (-1e9, "")  # type: ignore[attr-defined]  # what is believed for a second
        for path in ("/studies", "/machine", "/runs/nope"):
            answer = client.get(path)
            assert (answer.status_code, "must stay where it is" in answer.text) == (503, True), path
        assert client.get("/api/v1/version").status_code == 503
        told = asyncio.run(_told_after(client, lambda: away.rename(home / "ledger.sqlite3")))
        assert told[0] == "event: away\ndata:\n\n"
        assert told[1].startswith("event: version\n")
        assert client.get("/studies").status_code == 200


async def _told_after(client: TestClient, then: Callable[[], object]) -> list[str]:
    """Return what an open page is told, and what after something was done."""

    class Page:
        app = client.app

        async def is_disconnected(self) -> bool:
            return False

    told = api._versions(Page())  # type: ignore[arg-type]
    first = await anext(told)
    then()
    second = await anext(told)
    await told.aclose()  # type: ignore[attr-defined]
    return [first, second]
