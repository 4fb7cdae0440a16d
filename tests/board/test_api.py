"""The JSON interface, and the version that pages follow."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from starlette.testclient import TestClient

from ablata.board.lab import Lab
from ablata.records import Ledger
from ablata.records.removal import rename_study

from .conftest import KEY, arms, train


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
    assert "train/loss" in shown.get(f"/api/v1/runs/{run}/curves?name=train/lost").json()["must"]
    assert shown.get("/api/v1/runs?limit=0").status_code == 422
    assert "model.width" in shown.get("/api/v1/runs?filter=model.widht=16").json()["must"]


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
        rename_study(other, "going-on", "renamed")
        seen.append(lab._read_version())
        assert len(set(seen)) == 5


def test_runs_kept_in_memory_are_those_of_the_ledger(lab_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "lab"
    shutil.copytree(lab_home, home)
    with Ledger(home=home) as ledger, Ledger(home=home) as other:
        lab = Lab(ledger)

        def agree() -> None:
            rows = other.runs.find()
            uses = other.studies.uses(rows)
            assert [one.row for one in lab.runs().runs] == rows
            assert {one.row.id: list(one.uses) for one in lab.runs().runs} == {r.id: uses.get(r.id, []) for r in rows}

        agree()
        train(other, "going-on", "control", 2, 90.0)
        agree()
        waiting = other.runs.find(state="waiting")[0]
        claim = other.leases.claim_run(waiting.id, "here/000000:1", 60, "l2")
        agree()
        other.leases.progress(waiting.id, claim.attempt, {"step": 3})
        agree()
        other.studies.create("third", "?", other.studies.get("done").spec, arms())
        other.studies.attach("third", "wide", 0, other.runs.find(study="done")[0].id)
        agree()
        assert "third" in lab.runs().studies
        assert lab.runs() is lab.runs()


def test_the_documentation_names_every_address_of_the_interface_and_no_other(shown: TestClient) -> None:
    page = Path(__file__).parents[2] / "docs" / "howto" / "board.md"
    told = set(re.findall(r"^\| `(/api/\S+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE))
    described = shown.get("/api/v1/openapi.json").json()["paths"]
    assert told == set(described)
    for address, methods in described.items():
        assert set(methods) == {"get"}, address
        assert methods["get"]["description"]
