"""The board on Postgres: every page, two boards of one lab, a role that may only read."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ablata
from ablata.board.server import board_app
from ablata.records import Ledger

from .conftest import LOCAL, fill

pytestmark = pytest.mark.postgres
PAGES = (
    "/studies", "/studies/done", "/studies/going-on", "/studies/compare?first=done&second=going-on", "/runs",
    "/runs?filter=arm:wide+model.width>16", "/loops", "/loops/tune", "/data", "/notes", "/machine", "/start",
    "/api/v1/studies", "/api/v1/studies/done?curves=true", "/api/v1/runs", "/api/v1/queue", "/api/v1/version",
)  # fmt: skip


def train(seed: int, gain: float = 0.0) -> dict[str, float]:
    return {"acc": 90 + gain + random.Random(f"{seed} {gain}").gauss(0, 0.1)}


def test_two_boards_show_every_page_of_a_lab_on_postgres_and_a_role_that_only_reads_is_enough(
    postgres_schema: Callable[[str], str], postgres_server: str, tmp_path: Path
) -> None:
    import psycopg

    address = postgres_schema("board")
    schema = address.rpartition("%3D")[2]
    with Ledger(address, home=tmp_path / "home") as ledger:
        fill(ledger)
        loop = ablata.Loop(train, "tune", margin=0.2, ledger=ledger, progress=False)
        assert loop.try_({"gain": 2.0}, "more").outcome == "keep"
        run = ledger.runs.find()[0].id
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE reader_{schema} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO reader_{schema}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader_{schema}")
    reader = address.replace("//ablata@", f"//reader_{schema}@")
    with (
        Ledger(address, home=tmp_path / "home") as first,
        Ledger(reader, home=tmp_path / "home") as second,
        TestClient(board_app(first), base_url=LOCAL) as one,
        TestClient(board_app(second), base_url=LOCAL) as other,
    ):
        for path in (*PAGES, f"/runs/{run}", f"/api/v1/runs/{run}/curves"):
            answers = [client.get(path) for client in (one, other)]
            assert [answer.status_code for answer in answers] == [200, 200], (path, answers[0].text[-300:])
        before = one.get("/api/v1/version").json()
        assert before["version"].split("]")[0] == other.get("/api/v1/version").json()["version"].split("]")[0]
