"""`ablata judge`: as somebody types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TABLE = "arm,seed,acc\n" + "".join(
    f"{arm},{seed},{level + 0.1 * ((seed * 7) % 5) + wobble * seed}\n"
    for arm, level, wobble in (("base", 90.0, 0.0), ("wide", 92.0, 0.02), ("same", 90.0, -0.01))
    for seed in range(5)
)


def test_a_table_is_judged_and_its_page_written_without_torch_or_a_ledger(
    tmp_path: Path, ablata: Callable[..., Any]
) -> None:
    (tmp_path / "results.csv").write_text(TABLE)
    said = ablata("judge", "results.csv", "--margin", "0.5", "--html", "r.html")
    assert said.status == 0, said.err
    assert "wide is better by" in said.out
    assert "same is equivalent" in said.out
    assert "judged once" in said.out
    assert "claim" not in said.out
    page = (tmp_path / "r.html").read_text()
    assert "wide" in page
    assert "judged once" in page
    assert "Arms are read from the column arm." in page
    assert "FLOPs" not in page, "nothing was measured"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "results.csv"]
    refused = ablata("judge", "results.csv", "--html", "results.csv")
    assert (refused.status, (tmp_path / "results.csv").read_text()) == (2, TABLE)
    assert "must end in .html" in refused.err
    code = "import sys; from ablata.api.judging import judge; judge('results.csv'); print('torch' in sys.modules)"
    plain = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == "False"


def test_a_document_holds_what_the_terminal_says(tmp_path: Path, ablata: Callable[..., Any]) -> None:
    (tmp_path / "results.csv").write_text(TABLE)
    said = json.loads(ablata("judge", "results.csv", "--lower", "--json").out)
    assert {row["arm"]: row["verdict"] for row in said["verdicts"]} == {"wide": "worse", "same": "undecided"}
    assert said["report"]["metric"]["higher_is_better"] is False


def test_mistakes_are_told_in_words_with_exit_2(
    tmp_path: Path, ablata: Callable[..., Any], subtests: pytest.Subtests
) -> None:
    (tmp_path / "results.csv").write_text(TABLE)
    (tmp_path / "folder").mkdir()
    cases = {
        ("nothing.csv",): "no nothing.csv",
        ("results.csv", "--control", "bas"): "one of",
        ("results.csv", "--score", "loss"): "a score named loss",
        ("results.csv", "--margin", "0"): "above 0",
        ("folder",): "files of figures",
    }
    for arguments, words in cases.items():
        with subtests.test(arguments=arguments):
            said = ablata("judge", *arguments)
            assert said.status == 2
            assert words in said.err
            assert "Traceback" not in said.err
