"""`ablata loop`: a judge for proposed changes, as somebody or some agent types it in a git repository."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.records import Ledger

SCRIPT = """
import argparse, random, time
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
parser.add_argument("--lr", type=float, default=0.0)
args = parser.parse_args()
WIDTH = 2
PAUSE = 0.0
time.sleep(PAUSE)
print("acc:", 90 + WIDTH + args.lr + random.Random(args.seed * 1000 + WIDTH).gauss(0, 0.1))
"""
START = ("loop", "start", "tune", "--command", f"{sys.executable} train.py --seed {{seed}}", "--score", "acc",
         "--margin", "0.2", "--worktree")  # fmt: skip


def git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def commit(tmp_path: Path) -> Callable[..., str]:
    """A function that changes a text of train.py and commits it, in a repository that begins with one commit."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    git("init", "-q")
    git("add", "train.py")
    git("commit", "-qm", "start")

    def change(old: str, new: str) -> str:
        assert old in script.read_text()
        script.write_text(script.read_text().replace(old, new))
        git("commit", "-qam", new or "without")
        return git("rev-parse", "HEAD")

    return change


def test_commits_are_kept_and_discarded_and_equal_ones_are_answered_without_a_run(
    commit: Callable[..., str], home: Path, ablata: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = ablata(*START)
    assert (begun.status, "loop tune is ready" in begun.out) == (0, True), begun.err
    commit("WIDTH = 2", "WIDTH = 5")
    kept = ablata("loop", "try", "wider", "--ref", "HEAD")
    assert (kept.status, "KEEP  tune #1: wider" in kept.out) == (0, True), kept.err
    assert "to 23 runs" in kept.err
    runs = ablata("runs", "list").out
    again = ablata("loop", "try", "wider", "--ref", "HEAD", "--json")
    assert (again.status, json.loads(again.out)["outcome"], json.loads(again.out)["is_old"]) == (0, "keep", True)
    commit("WIDTH = 5", "# how many units\nWIDTH = 5")
    comment = ablata("loop", "try", "same code, new comment", "--ref", "HEAD")
    assert (comment.status, "identical to the baseline" in comment.out) == (1, True)
    commit("WIDTH = 5", "WIDTH = 2")
    back = ablata("loop", "try", "as it was", "--ref", "HEAD")
    assert (back.status, "it equals the start" in back.out) == (1, True)
    with monkeypatch.context() as moved:
        moved.chdir(home.parent.parent)
        elsewhere = ablata("loop", "try", "in another repository", "--ref", "HEAD")
    assert (elsewhere.status, "tune, of other folders than" in elsewhere.err) == (2, True)
    assert "--loop tune" in elsewhere.err
    assert ablata("runs", "list").out == runs, "nothing was run for any of them"
    commit("WIDTH = 2", "WIDTH = 1")
    worse = ablata("loop", "try", "narrower", "--ref", "HEAD")
    assert (worse.status, worse.out.split()[0]) == (1, "DISCARD")
    commit("WIDTH = 1", "WIDTH = 1 / 0")
    crash = ablata("loop", "try", "broken", "--ref", "HEAD")
    assert (crash.status, "ZeroDivisionError" in crash.out) == (4, True)
    trees = git("worktree", "list").splitlines()
    assert len(trees) == 3, "beside the folder itself those of the start and of the best"


def test_a_wrong_name_is_refused_before_anybody_is_asked_and_no_file_is_replaced_unasked(
    commit: Callable[..., str], home: Path, ablata: Callable[..., Any]
) -> None:
    assert ablata(*START).status == 0
    for old, new, told in (
        ("tone", "other", "there is 'tune'"),
        ("tune", "tune", "is in the ledger"),
        ("tune", "a b", ""),
    ):
        refused = ablata("loop", "rename", old, new)
        assert (refused.status, told in refused.err) == (2, True), refused.err
        assert "no terminal to ask at" not in refused.err
    assert "no terminal to ask at" in ablata("loop", "rename", "tune", "tuned").err
    assert ablata("loop", "export", "tune", "x.ablata").status == 0
    again = ablata("loop", "export", "tune", "x.ablata")
    assert (again.status, "--replace" in again.err) == (2, True)
    assert ablata("loop", "export", "tune", "x.ablata", "--replace").status == 0
    retry = ablata("loop", "retry", "1")
    assert (retry.status, "propose a change" in retry.err) == (2, True)


def test_a_page_that_finds_the_disk_full_is_told_and_the_one_before_stays(
    commit: Callable[..., str], home: Path, ablata: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ablata(*START).status == 0
    assert ablata("loop", "report", "--html", "loop.html").status == 0
    before = Path("loop.html").read_text()

    def full(path: Path, *rest: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("ablata.base.files.os.fsync", full)
    told = ablata("loop", "report", "--html", "loop.html")
    assert (told.status, "must have room" in told.err) == (1, True), told.err
    assert Path("loop.html").read_text() == before


def test_wrong_use_and_a_broken_judge_have_statuses_of_their_own(
    commit: Callable[..., str], home: Path, ablata: Callable[..., Any]
) -> None:
    assert ablata("loop", "try", "wider", "--ref", "HEAD").status == 2
    for wrong, told in (
        (["a b" if word == "tune" else word for word in START], "made of letters"),
        ([word.replace(sys.executable, "nopython") for word in START], "nopython: no such program"),
    ):
        refused = ablata(*wrong)
        assert (refused.status, told in refused.err) == (2, True), refused.err
        assert "SettingsError" not in refused.err
    assert "no runs" in ablata("runs", "list").err
    misspelt = ablata(*[word.replace("acc", "auc") for word in START])
    assert (misspelt.status, "must hold the score auc; it names acc" in misspelt.err) == (1, True)
    assert ablata(*START).status == 0
    nothing = ablata("loop", "try", "wider")
    assert (nothing.status, "--ref HEAD" in nothing.err) == (2, True)
    assert ablata("loop", "try", "wider", "--ref", "nowhere").status == 2
    assert ablata("loop", "try", " ", "--ref", "HEAD").status == 2
    assert "no proposal waits" in ablata("loop", "work").err
    assert ablata("loop", "try", "wider", "--set", "lr=3").status == 2, "the command has no such key"


def test_a_loop_of_settings_goes_on_after_commits_that_change_no_program_and_names_the_file_otherwise(
    commit: Callable[..., str], home: Path, ablata: Callable[..., Any]
) -> None:
    command = ("--command", f"{sys.executable} train.py --seed {{seed}}", "--score", "acc", "--margin", "0.2")
    nothing = ablata("loop", "start", "keys", *command)
    assert (nothing.status, "something that can be changed" in nothing.err) == (2, True)
    begun = ablata("loop", "start", "keys", command[0], f"{command[1]} --lr {{lr}}", *command[2:], "--set", "lr=0")
    assert (begun.status, "not known after one run" in begun.out) == (0, True), begun.err
    Path("README.md").write_text("what it does")
    git("add", "README.md")
    git("commit", "-qm", "words")
    kept = ablata("loop", "try", "more", "--set", "lr=2")
    assert kept.status == 0, kept.err
    assert "is kept in 8 of 10 cases" in ablata("loop", "status").out
    runs = ablata("runs", "list").out
    commit("WIDTH = 2", "# how many units\nWIDTH = 2")
    same = ablata("loop", "try", "a comment", "--set", "lr=2")
    assert (same.status, "identical to the baseline" in same.out) == (1, True), same.out + same.err
    assert ablata("runs", "list").out == runs
    assert ablata("loop", "try", "less", "--set", "lr=-5").status == 1
    commit("# how many units\nWIDTH = 2", "WIDTH = 3")
    other = ablata("loop", "try", "less", "--set", "lr=1")
    assert (other.status, "proposal 1 runs changed since: train.py" in other.err) == (2, True), other.err


def test_a_commit_that_removes_lines_and_makes_no_difference_is_kept_where_that_is_preferred(
    commit: Callable[..., str], home: Path, ablata: Callable[..., Any]
) -> None:
    wide = [word.replace("0.2", "1") for word in START]
    assert ablata(*wide, "--prefer-smaller", "lines").status == 0
    commit('parser.add_argument("--lr", type=float, default=0.0)\n', "")
    assert ablata("loop", "try", "no such key", "--ref", "HEAD").status == 4, "args.lr is gone"
    commit(" + args.lr", "")
    less = ablata("loop", "try", "no learning rate", "--ref", "HEAD")
    assert (less.status, "it has 1 line less" in less.out) == (0, True), less.out + less.err


@pytest.mark.slow
def test_several_workers_share_the_runs_of_a_try_and_confirm_says_before_how_many_it_takes(
    commit: Callable[..., str], home: Path, ablata: Callable[..., Any]
) -> None:
    assert ablata(*START).status == 0
    commit("WIDTH = 2\nPAUSE = 0.0", "WIDTH = 5\nPAUSE = 0.7")
    kept = ablata("loop", "try", "wider", "--ref", "HEAD", "--workers", "2")
    assert (kept.status, "KEEP  tune #1" in kept.out) == (0, True), kept.err
    with Ledger(home=home) as ledger:
        runs = [one.run for one in ledger.loops.runs("tune")]
        assert {run.state for run in runs} == {"completed"}
        assert len({run.launch for run in runs}) == 2, "the start's, and one for both workers"
        assert len({run.id for run in runs}) == len({run.identity for run in runs})
    sure = ablata("loop", "confirm", "--runs", "2")
    assert "2 fresh runs of the start and of the best: 4 to run" in sure.err
    assert "by 2 and 2 fresh runs" in sure.out
    listed = ablata("runs", "list").out
    assert "loop tune:#1" in listed
    assert ablata("loop", "rename", "tune", "tuned", "--yes").status == 0
    assert "tuned: higher acc is better" in ablata("loop", "status").out
    again = ablata(*[word.replace("tune", "tuned") for word in START], "--budget", "1h")
    assert again.status == 0, again.err
    assert ablata("loop", "export", "tuned", "x.ablata").status == 0
    assert ablata("loop", "rm", "tuned", "--yes").status == 0
    assert ablata("loop", "import", "x.ablata").status == 0
    assert len(git("worktree", "list").splitlines()) == 1, "the trees went with the loop"


@pytest.mark.postgres
def test_a_loop_lives_on_postgres(
    commit: Callable[..., str],
    home: Path,
    ablata: Callable[..., Any],
    postgres_schema: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ABLATA_DB", postgres_schema("loop"))
    assert ablata(*START).status == 0
    commit("WIDTH = 2", "WIDTH = 5")
    assert ablata("loop", "try", "wider", "--ref", "HEAD", "--async").status == 6
    assert "KEEP" in ablata("loop", "work").out
    commit("WIDTH = 5", "WIDTH = 1")
    assert ablata("loop", "try", "narrower", "--ref", "HEAD", "--workers", "2").status == 1
    assert ablata("loop", "retry", "2").status == 1
    assert ablata("loop", "confirm", "--runs", "2").status == 0
    assert "1 kept" in ablata("loop", "status").out
    assert ablata("loop", "export", "tune", "x.ablata").status == 0
    assert ablata("loop", "rm", "tune", "--yes").status == 0
    assert ablata("loop", "import", "x.ablata").status == 0
    assert ablata("loop", "rename", "tune", "tuned", "--yes").status == 0


@pytest.mark.slow
def test_a_try_that_was_killed_goes_on_with_the_same_command(
    commit: Callable[..., str], home: Path, ablata: Callable[..., Any], start: Callable[..., Any]
) -> None:
    assert ablata(*START).status == 0
    commit("WIDTH = 2\nPAUSE = 0.0", "WIDTH = 5\nPAUSE = 1.0")
    for wanted in (1, 3):
        process = start("loop", "try", "wider", "--ref", "HEAD")
        deadline = time.monotonic() + 60
        with Ledger(home=home) as ledger:
            while not (len(ledger.runs.find()) > wanted and ledger.runs.find(state="running")):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = ablata("loop", "try", "wider", "--ref", "HEAD")
    assert (done.status, "KEEP  tune #1: wider" in done.out) == (0, True), done.err
    with Ledger(home=home) as ledger:
        runs = ledger.runs.find()
        assert len({run.identity for run in runs}) == len(runs), "no run was made twice"
        assert {run.state for run in runs} == {"completed"}
