"""Serving the board: its address, its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.board import server


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
