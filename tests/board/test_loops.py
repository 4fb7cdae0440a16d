"""The board's pages of loops, whose texts come from users."""

from __future__ import annotations

import random
from pathlib import Path

from starlette.testclient import TestClient

import ablata
from ablata.board.server import board_app
from ablata.records import Ledger

from .conftest import HOSTILE, LOCAL


def train(seed: int, gain: float = 0.0) -> dict[str, float]:
    return {"acc": 90 + gain + random.Random(f"{seed} {gain}").gauss(0, 0.1)}


def test_loops_are_listed_and_their_stream_is_shown(tmp_path: Path) -> None:
    loop = ablata.Loop(train, "tune", margin=0.2, home=tmp_path / "lab", progress=False)
    assert loop.try_({"gain": 2.0}, HOSTILE).outcome == "keep"
    with Ledger(home=tmp_path / "lab") as ledger, TestClient(board_app(ledger), base_url=LOCAL) as client:
        listed, page, gone = (client.get(path) for path in ("/loops", "/loops/tune", "/loops/other"))
    assert 'href="/loops/tune"' in listed.text
    assert "1 kept" in listed.text
    assert "was claimed" in page.text
    assert "What did 1 proposal gain?" in page.text
    assert gone.status_code == 404
    for answer in (listed, page):
        assert answer.status_code == 200
        assert HOSTILE not in answer.text
