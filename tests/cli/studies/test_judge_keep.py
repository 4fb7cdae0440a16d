"""Given scores in the ledger, and rules declared before them: as somebody types it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.records.ledger import Ledger

TABLE = "arm,seed,acc,loss\n" + "".join(
    f'"{arm}",{seed},{level + 0.1 * ((seed * 7) % 5) + wobble * seed},{0.5 + 0.01 * seed}\n'
    for arm, level, wobble in (("base", 90.0, 0.0), ("wide, deep", 92.0, 0.02), ("same", 90.0, -0.01))
    for seed in range(5)
)
KEEP = ("judge", "results.csv", "--score", "acc", "--margin", "0.5", "--keep")


@pytest.fixture(autouse=True)
def table(tmp_path: Path) -> Path:
    path = tmp_path / "results.csv"
    path.write_text(TABLE)
    return path


def _kept(said: Any) -> str:
    assert said.status == 0, said.err
    found = re.search(r"study report (\S+)", said.err)
    assert found
    return found[1]


def test_kept_scores_are_a_study_that_says_it_came_afterwards(
    tmp_path: Path, home: Path, ablata: Callable[..., Any]
) -> None:
    name = _kept(ablata(*KEEP))
    assert _kept(ablata("judge", "./results.csv", *KEEP[2:])) == name, "the same scores find their study"
    other = _kept(ablata("judge", "results.csv", "--score", "acc", "--keep"))
    assert other != name
    assert f"{name}  finished, made after the scores were seen" in ablata("study", "list").out
    judged = ablata(*KEEP[:-1]).out
    assert ablata("study", "report", name).out == judged
    page = tmp_path / "page.html"
    assert ablata("study", "report", name, "--format", "html", "--output", str(page)).status == 0
    assert "made after the scores were seen" in page.read_text()
    assert "wide, deep" in page.read_text()
    with Ledger() as ledger:
        assert len(ledger.runs.find()) == 15, "two studies share the runs"
        assert {run.state for run in ledger.runs.find()} == {"completed"}
    again = ablata("study", "run", name)
    assert (again.status, "is finished" in again.err) == (0, True)
    assert ablata("study", "rename", name, "mine", "--yes").status == 0
    assert _kept(ablata(*KEEP)) == "mine", "a study that was renamed is found, too"


def test_kept_scores_travel(tmp_path: Path, ablata: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    name = _kept(ablata(*KEEP))
    here = ablata("study", "report", name).out
    assert ablata("study", "export", name, "kept.ablata").status == 0
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "elsewhere"))
    assert ablata("study", "import", "kept.ablata").status == 0
    assert ablata("study", "import", "kept.ablata").status == 0
    assert ablata("study", "report", name).out == here
    assert _kept(ablata(*KEEP)) == name


def test_unseeded_and_repeated_scores_are_kept_too(tmp_path: Path, ablata: Callable[..., Any]) -> None:
    rows = [("base", 1), ("base", 1), ("base", 2), ("b/c d", 1), ("b c d", 2), ("b c d", 2)]
    lines = "".join(f"{arm},{seed},{seed + 90}.{number}\n" for number, (arm, seed) in enumerate(rows))
    (tmp_path / "odd.csv").write_text("arm,seed,acc\n" + lines)
    name = _kept(ablata("judge", "odd.csv", "--keep"))
    assert ablata("study", "report", name).out == ablata("judge", "odd.csv").out


def test_a_rule_declared_before_makes_a_claim(tmp_path: Path, table: Path, ablata: Callable[..., Any]) -> None:
    asked = ("study", "plan", "--control", "base", "--arm", "wide, deep", "--arm", "same", "--score", "acc",
             "--seeds", "5", "--margin", "0.5", "--write", "rule.json")  # fmt: skip
    said = ablata(*asked)
    assert (said.status, "seeds 0 to 4, judged once" in said.out) == (0, True)
    assert ablata(*asked).status == 2, "a rule is declared once"
    os.utime(table, (time.time() - 60,) * 2)
    early = ablata("judge", "results.csv", "--declared", "rule.json").out
    assert "before the rule of" in early
    assert "claim" not in early
    os.utime(table, (time.time() + 2,) * 2)
    said = ablata("judge", "results.csv", "--declared", "rule.json", "--keep", "--html", "r.html")
    assert "at most 5% of such studies claim anything false" in said.out
    assert "wide, deep is better by" in said.out
    assert "declared before the scores were made" in (tmp_path / "r.html").read_text()
    listed = ablata("study", "list").out.splitlines()[0]
    assert listed.startswith(f"{_kept(said)}  finished  ")
    assert ablata("judge", "results.csv", "--declared", "rule.json", "--margin", "1").status == 2
    changed = json.loads((tmp_path / "rule.json").read_text()) | {"margin": 3}
    (tmp_path / "rule.json").write_text(json.dumps(changed))
    refused = ablata("judge", "results.csv", "--declared", "rule.json")
    assert (refused.status, "as it was written" in refused.err) == (2, True)


def test_what_a_rule_of_names_lacks_is_told(ablata: Callable[..., Any], tmp_path: Path) -> None:
    for arguments in (
        ("--control", "base", "--arm", "wide", "--score", "acc", "--seeds", "5"),
        ("--control", "base", "--arm", "wide", "--seeds", "5", "--write", "r.json"),
        ("--control", "base", "--score", "acc", "--seeds", "5", "--write", "r.json"),
        ("--control", "base", "--recipe", "digits", "--arm", "wide", "--seeds", "5", "--write", "r.json"),
    ):
        said = ablata("study", "plan", *arguments)
        assert (said.status, "Traceback" in said.err) == (2, False)
    assert not (tmp_path / "r.json").exists()
