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
    heavy = "print({'torch', 'sqlalchemy', 'scipy'} & set(sys.modules))"
    code = f"import sys; from ablata.api.judging import judge; judge('results.csv'); {heavy}"
    plain = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == "set()"


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
    (tmp_path / "log.tsv").write_text(LOG)
    (tmp_path / "mixed.csv").write_text("arm,acc\nbase,0.95\nwide,94.6%\n")
    cases = {
        ("nothing.csv",): "no nothing.csv",
        ("results.csv", "--control", "bas"): "one of",
        ("results.csv", "--score", "loss"): "a score named loss",
        ("results.csv", "--margin", "0"): "above 0",
        ("results.csv", "--noise", "1"): "leave out --noise (in Python noise); or, if each row is",
        ("results.csv", "--margin", "1", "--log"): "margin given, and log is given, which makes it a log",
        ("results.csv", "--no-log", "--noise", "1"): "leave out --noise",
        ("log.tsv", "--margin", "1"): "--no-log --arm-from COLUMN (in Python log=False, arm_from), one of commit,",
        ("mixed.csv",): "row 1: 0.95 and row 2: 94.6%",
        ("folder",): "files of figures",
    }
    for arguments, words in cases.items():
        with subtests.test(arguments=arguments):
            said = ablata("judge", *arguments)
            assert said.status == 2
            assert words in said.err
            assert "Traceback" not in said.err


LOG = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n" + "".join(
    f"{commit}\t{score}\t44.0\t{status}\t{words}\n"
    for commit, score, status, words in (
        ("a1", 0.9979, "keep", "baseline"),
        ("a1", 0.9987, "keep", "baseline again"),
        ("a1", 0.9971, "keep", "baseline, third run"),
        ("b2", 0.9830, "keep", "increase LR to 0.04"),
        ("c3", 1.0050, "discard", "switch to GeLU"),
        ("d4", 0.0, "crash", "double model width"),
        ("e5", 0.9827, "keep", "warmdown 0.6"),
    )
)


def test_a_log_of_trials_says_which_kept_change_could_have_been_noise(
    tmp_path: Path, ablata: Callable[..., Any]
) -> None:
    (tmp_path / "results.tsv").write_text(LOG)
    said = ablata("judge", "results.tsv", "--html", "log.html")
    assert said.status == 0, said.err
    assert "1 of 2. Beyond chance: increase LR to 0.04." in said.out
    assert "hidden by noise" in said.out
    assert "1 run crashed" in said.out
    page = (tmp_path / "log.html").read_text()
    assert all(words in page for words in ("beyond chance", "hidden by noise", "switch to GeLU", "<svg"))
    document = json.loads(ablata("judge", "results.tsv", "--json").out)
    assert [row["standing"] for row in document["kept"]] == ["beyond chance", "hidden by noise"]
    strict = ablata("judge", "results.tsv", "--noise", "0.02", "--json").out
    assert json.loads(strict, parse_constant=pytest.fail)["result"]["noise"]["df"] is None
    loud = ablata("judge", "results.tsv", "--noise", "0.02")
    assert "All 2: none is beyond what chance does" in loud.out
    (tmp_path / "few.tsv").write_text(LOG.replace("0.983\t", "0.9945\t"))
    assert "run both sides again to tell" in ablata("judge", "few.tsv").out


def test_a_log_without_repeats_asks_for_the_noise(tmp_path: Path, ablata: Callable[..., Any]) -> None:
    lines = LOG.splitlines(keepends=True)
    (tmp_path / "results.tsv").write_text("".join((lines[0], lines[1], *lines[4:])))
    said = ablata("judge", "results.tsv")
    assert said.status == 0
    assert "--noise" in said.out
    assert "only if the noise of one run is below" in said.out
    refused = ablata("judge", "results.tsv", "--noise", "0")
    assert (refused.status, "above 0" in refused.err) == (2, True)
    (tmp_path / "single.csv").write_text("change,acc\nbase,90\nwide,91\nlong,89\n")
    assert "since noise is given" in ablata("judge", "single.csv", "--noise", "0.1").out
    assert "Beyond chance: wide" in ablata("judge", "single.csv", "--log", "--noise", "0.1").out


def test_no_file_whatever_it_holds_gives_a_traceback(
    tmp_path: Path, ablata: Callable[..., Any], subtests: pytest.Subtests
) -> None:
    cases: dict[str, tuple[str | bytes, str]] = {
        "empty.csv": ("", "an empty file"),
        "empty.json": ("", "an empty file"),
        "null.json": ("null", "null.json: null"),
        "blank.csv": ("\n\n  \n", "an empty file"),
        "names.csv": ("arm,seed,acc\n", "rows below"),
        "no_names.csv": ("base,0,90.1\nbase,1,90.4\nwide,0,91\n", "names of its columns"),
        "mixed.csv": ("arm,seed;acc\nbase,0;90.1\nwide,1;91\n", "no column of numbers"),
        "nan.csv": ("arm,seed,acc\nbase,0,nan\nwide,0,91\n", "number in the column acc"),
        "unquoted.csv": ("arm,seed,acc\na, b,0,90.1\nbase,0,91\n", "no more cells"),
        "one_arm.csv": ("arm,seed,acc\nbase,0,90.1\nbase,1,90.4\n", "an arm beside the control"),
        "cut.json": ('{"a": 1', "one document"),
        "list.json": ("[1, 2, 3]", "must hold objects"),
        "deep.json": ("[" * 100_000, "nested deeply"),
        "binary.csv": (b"\xff\xd8\xff\xe0" * 100, "UTF-8"),
        "large.csv": ("arm,seed,acc\nbase,0,1e308\nbase,1,-1e308\nwide,0,1e308\n", "below 1e+150"),
        "seed.csv": ("arm,seed,acc\nbase,inf,90\nwide,1,91\n", "whole number"),
        "name.csv": (f"arm,seed,acc\n{'x' * 5000},0,90\nbase,1,91\n", "at most 200 letters"),
        "log.tsv": ("commit\tacc\tstatus\na\t1e308\tkeep\na\t-1e308\tkeep\nb\t1\tkeep\n", "below 1e+150"),
        "other.db": (b"SQLite format 3\0" + b"x" * 200, "must be MLflow's"),
    }
    for name, (content, words) in cases.items():
        with subtests.test(name=name):
            (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
            said = ablata("judge", name)
            assert said.status == 2
            assert words in said.err
            assert "Traceback" not in said.err
    for name, text, words in (
        ("single.csv", "arm,seed,acc\nbase,0,90.1\nwide,0,91\n", "undecided"),
        ("twice.csv", "arm,seed,acc\nbase,0,90\nbase,0,91\nwide,0,91\nwide,1,92\n", "base has seed 0 more than once"),
        ("returns.csv", "arm,seed,acc\rbase,0,90\rbase,1,90\rwide,0,91\rwide,1,91\r", "undecided"),
        ("equal.csv", "arm,seed,acc\nbase,0,90\nbase,1,90\nwide,0,91\nwide,1,91\n", "undecided"),
        ("comma.csv", 'arm,seed,acc\n"a, b",0,90.1\n"a, b",1,90.4\nbase,0,91\nbase,1,92\n', "a, b is undecided"),
        ("equal.tsv", "commit\tacc\tstatus\na\t1\tkeep\na\t1\tkeep\nb\t2\tkeep\n", "equal to the digit"),
    ):
        with subtests.test(name=name):
            (tmp_path / name).write_text(text)
            said = ablata("judge", name)
            assert (said.status, words in said.out) == (0, True)
