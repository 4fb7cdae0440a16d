"""Runs listed, removed and thinned, studies removed and renamed, from the command line."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.records import Ledger, NewArm, NewRun, RunWriter
from ablata.records.defaults import keep_defaults


@pytest.fixture
def lab(home: Path) -> list[str]:
    """A lab with runs of a study, and one of its own; returns their ids, that one last."""
    settings = [{"task": "x", "lr": 0.1, "width": width} for width in (4, 8)]
    arms = [
        NewArm(name=name, recipe_name="net", recipe=tree, recipe_hash=name, is_control=name == "control")
        for name, tree in zip(("control", "wide"), settings, strict=True)
    ]
    ids = []
    with Ledger(home=home) as ledger:
        ledger.studies.create("asked", "Is wider better?", {}, arms)
        keep_defaults(ledger, "net", "c1", {"task": "x", "lr": 0.2, "width": 4})
        for arm, seed in (("control", 0), ("wide", 0), ("own", 1)):
            tree = settings[arm == "wide"]
            hashed = "control" if arm == "own" else arm
            new = NewRun(
                recipe_name="net", recipe=tree, recipe_hash=hashed, code="c1", data="d", seed=seed, environment="e"
            )
            with RunWriter.start(ledger, new) as writer:
                for name in ("last", "best"):
                    (writer.folder / f"{name}.safetensors").write_bytes(b"x" * 5000)
                writer.finish("completed", scores={"val/plain/top1": 90.0 + seed}, cost={"seconds": 2.0})
            ids.append(writer.run.id)
            if arm != "own":
                ledger.studies.attach("asked", arm, seed, writer.run.id)
    return ids


def test_the_list_shows_studies_sizes_and_what_differs_from_defaults_and_among_runs(
    ablata: Callable[..., Any], lab: list[str]
) -> None:
    rows = {row.split()[0]: row for row in ablata("runs", "list").out.splitlines()[1:]}
    assert list(rows) == lab[::-1]
    assert "asked:wide" in rows[lab[1]]
    assert "width=8 lr=0.1" in rows[lab[1]]
    assert " KiB  " in rows[lab[0]]
    assert "asked" not in rows[lab[2]]


def test_a_long_list_says_that_it_is_not_all(
    ablata: Callable[..., Any], lab: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablata.cli.runs.LISTED", 2)
    listed = ablata("runs", "list")
    assert [row.split()[0] for row in listed.out.splitlines()[1:]] == lab[:0:-1]
    assert "--limit" in listed.err
    assert len(json.loads(ablata("runs", "list", "--json").out)) == 3
    assert "--limit" not in ablata("runs", "list", "--limit", "3").err


def test_filters_and_words_narrow_the_list(ablata: Callable[..., Any], lab: list[str]) -> None:
    def listed(*arguments: str) -> list[str]:
        return [row["id"] for row in json.loads(ablata("runs", "list", "--json", *arguments).out)]

    control, wide, own = lab
    assert listed("wide") == [wide]
    assert listed("asked", "width=4") == [control]
    assert listed("--study", "asked") == [wide, control]
    assert listed("--recipe", "other") == listed("nothing") == listed("--state", "failed") == []
    assert listed("net", "--limit", "1") == [own]
    said = ablata("runs", "list", "nothing")
    assert "passes these filters" in said.err
    mistyped = ablata("runs", "list", "--study", "aksed")
    assert (mistyped.status, "there is 'asked'" in mistyped.err) == (2, True)


def test_nothing_goes_without_a_yes(ablata: Callable[..., Any], lab: list[str], home: Path) -> None:
    for arguments in (
        ("runs", "rm", lab[2]),
        ("runs", "prune"),
        ("runs", "prune", "--keep", "best"),
        ("study", "rm", "asked"),
        ("study", "rename", "asked", "other"),
    ):
        said = ablata(*arguments)
        assert said.status == 2, arguments
        assert "--yes" in said.err
    assert {folder.name for folder in (home / "runs").iterdir()} == set(lab)
    with Ledger(home=home) as ledger:
        assert [row.name for row in ledger.studies.all()] == ["asked"]


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1), ("", 1)])
def test_a_terminal_is_asked(lab: list[str], home: Path, answer: str, status: int) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "ablata", "runs", "rm", lab[2]]
    process = subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.write(master, f"{answer}\n".encode())
    _, said = process.communicate(timeout=60)
    os.close(master)
    os.close(slave)
    assert process.returncode == status
    assert b"Remove this for good?" in said
    assert lab[2].encode() in said
    assert (home / "runs" / lab[2]).exists() == bool(status)


def test_what_is_needed_is_refused_and_what_is_not_goes(ablata: Callable[..., Any], lab: list[str], home: Path) -> None:
    refused = ablata("runs", "rm", lab[0], lab[2], "--yes")
    assert refused.status == 2
    assert f"run {lab[0]}: in asked" in refused.err
    thinned = ablata("runs", "prune", "--keep", "best", "--yes")
    assert "removed 3 checkpoints, 14.6 KiB" in thinned.err
    assert [file.name for file in (home / "runs" / lab[0]).glob("*.safetensors")] == ["best.safetensors"]
    pruned = ablata("runs", "prune", "--yes")
    assert "removed 1 run" in pruned.err
    assert ablata("runs", "prune", "--yes").err.startswith("nothing")
    assert ablata("study", "rename", "asked", "other", "--yes").status == 0
    assert "removed study other and 2 runs" in ablata("study", "rm", "other", "--yes").err
    assert list((home / "runs").iterdir()) == []
    assert ablata("study", "rm", "other", "--yes").status == 2
