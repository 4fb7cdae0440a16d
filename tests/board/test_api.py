"""The JSON interface, and the version that pages follow."""

from __future__ import annotations

import shutil
from pathlib import Path

from starlette.testclient import TestClient

from ablata.board.lab import Lab
from ablata.records import Ledger

from .conftest import KEY, train


def test_the_interface_is_described_and_tells_what_the_pages_show(shown: TestClient) -> None:
    described = shown.get("/api/v1/openapi.json").json()["paths"]
    assert {"/api/v1/studies", "/api/v1/runs/{run_id}/curves"} <= set(described)
    studies = {one["name"]: one for one in shown.get("/api/v1/studies").json()}
    assert (studies["going-on"]["done"], studies["going-on"]["planned"]) == (6, 9)
    assert [arm["verdict"] for arm in studies["done"]["arms"] if arm["name"] == "wide"] == ["better"]
    view = shown.get("/api/v1/studies/done").json()
    assert view["arms"][0]["is_control"]
    assert view["curves"] == []
    run = shown.get("/api/v1/runs?filter=state:completed&limit=1").json()[0]["id"]
    assert shown.get(f"/api/v1/runs/{run}").json()["settings"]["model.width"]
    curves = shown.get(f"/api/v1/runs/{run}/curves?points=10").json()
    assert len(curves[KEY]) == 10
    assert curves[KEY][0] == [0, 2.0]
    assert [one["state"] for one in shown.get("/api/v1/queue").json()] == ["waiting"]
    assert shown.get("/api/v1/runs?limit=0").status_code == 422


def test_the_version_changes_with_what_is_shown_and_with_nothing_else(lab_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "lab"
    shutil.copytree(lab_home, home)
    with Ledger(home=home) as ledger, Ledger(home=home) as other:
        lab = Lab(ledger)
        seen = [lab._read_version(), lab._read_version()]
        assert seen[0] == seen[1]
        train(other, "going-on", "control", 2, 90.0)
        seen.append(lab._read_version())
        other.events.add("info", "kind", "text")
        seen.append(lab._read_version())
        other.studies.finish("going-on")
        seen.append(lab._read_version())
        assert len(set(seen)) == 4
