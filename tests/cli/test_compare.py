"""`ablata compare`: programs of any kind, judged as somebody types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import argparse, random, time
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
parser.add_argument("--mixup", type=float, default=0.0)
parser.add_argument("--sleep", type=float, default=0.0)
parser.add_argument("--fail", action="store_true")
args = parser.parse_args()
random.seed(args.seed)
for epoch in range(3):
    time.sleep(args.sleep / 3)
    print(f"epoch {epoch} loss={1 / (epoch + 1):.4f}")
assert not args.fail, "the network blew up"
score = random.gauss(90, 1) + 5 * args.mixup + random.Random(args.seed + 100 * (args.mixup > 0)).gauss(0, 0.1)
print(f"val_acc: {score}")
"""
CONTROL = f"{sys.executable} train.py --seed {{seed}}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def say(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "ablata", *arguments]
    home = {"ABLATA_HOME": str(folder / "lab")}
    return subprocess.run(
        words, cwd=folder, env=os.environ | home | environment, capture_output=True, text=True, check=False
    )


def compare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return say(folder, "compare", "--score", "val_acc", "--workers", "2", *arguments)


def test_two_commands_end_in_a_verdict_and_an_edited_script_asks_anew(folder: Path) -> None:
    arguments = ("--seeds", "4", CONTROL, f"{CONTROL} --mixup 0.9")
    first = compare(folder, *arguments)
    assert first.returncode == 0, first.stderr
    assert "mixup-0.9 is better by" in first.stdout
    runs = say(folder, "runs", "list").stdout
    again = compare(folder, *arguments)
    assert "is finished" in again.stderr
    assert say(folder, "runs", "list").stdout == runs, "nothing was run twice"
    page = next((folder / "lab" / "reports").glob("*.html")).read_text()
    assert "mixup" in page
    assert "loss" in page, "curves from the output"
    (folder / "train.py").write_text(SCRIPT.replace("5 * args.mixup", "-5 * args.mixup"))
    edited = compare(folder, *arguments)
    assert "mixup-0.9 is worse by" in edited.stdout


def test_a_failing_arm_is_told_and_a_failing_control_ends_the_study(folder: Path) -> None:
    arm = compare(folder, "--seeds", "4", CONTROL, "--arm", f"broken={CONTROL} --fail")
    assert arm.returncode == 0, arm.stderr
    assert "broken is unstable" in arm.stdout
    assert "the network blew up" in say(folder, "runs", "list", "--json").stdout
    control = compare(folder, "--seeds", "3", f"{CONTROL} --fail", CONTROL)
    assert control.returncode == 1
    assert "The control must run to its end" in control.stderr
    assert "the network blew up" in control.stderr
    assert "Traceback (most recent call last):\n  File" not in control.stderr.replace("| ", "\n")


def test_a_run_beyond_its_time_is_a_failure_and_no_hang(folder: Path) -> None:
    said = compare(folder, "--seeds", "4", "--timeout", "3s", CONTROL, "--arm", f"slow={CONTROL} --sleep 900")
    assert said.returncode == 0, said.stderr
    assert "slow is unstable" in said.stdout
    assert "must end within 3.0 s" in say(folder, "runs", "list", "--json").stdout


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_an_arm_can_be_a_git_branch(folder: Path) -> None:
    (folder / ".gitignore").write_text("lab\n")
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "first")
    _git(folder, "checkout", "-qb", "idea")
    (folder / "train.py").write_text(SCRIPT.replace("5 * args.mixup", "4"))
    _git(folder, "commit", "-qam", "an idea")
    _git(folder, "checkout", "-q", "main")
    said = compare(folder, "--seeds", "3", CONTROL, "--arm", "new=git:idea")
    assert said.returncode == 0, said.stderr
    assert "new is better by" in said.stdout
    assert not list((folder / "lab" / "worktrees").glob("*")), "cleaned up"
    trees = subprocess.run(["git", "-C", str(folder), "worktree", "list"], capture_output=True, text=True, check=True)
    assert len(trees.stdout.splitlines()) == 1


def test_a_killed_comparison_goes_on_and_loses_and_doubles_nothing(folder: Path) -> None:
    command = [*f"{sys.executable} -m ablata compare --score val_acc --workers 2 --seeds 3".split()]
    command += [f"{CONTROL} --sleep 1", f"{CONTROL} --sleep 1 --mixup 0.9"]
    environment = os.environ | {"ABLATA_HOME": str(folder / "lab")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    runs = folder / "lab" / "runs"
    while len(list(runs.glob("*/output.log"))) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = say(folder, *command[3:])
    assert done.returncode == 0, done.stderr
    assert "is better by" in done.stdout
    rows = [line for line in say(folder, "runs", "list").stdout.splitlines() if "completed" in line]
    assert len(rows) == 6


def test_a_dry_run_shows_what_would_be_read_and_records_nothing(folder: Path) -> None:
    said = compare(folder, "--dry-run", CONTROL, CONTROL + " --mixup 1")
    assert said.returncode == 0, said.stderr
    assert "score    val_acc is" in said.stdout
    assert "curves   loss" in said.stdout
    assert not (folder / "lab").exists()
    wrong = say(folder, "compare", "--score", "val_ac", "--dry-run", CONTROL, CONTROL + " --mixup 1")
    assert "val_acc" in wrong.stderr


def test_mistakes_are_told_with_exit_2(folder: Path, subtests: pytest.Subtests) -> None:
    for arguments, words in {
        (CONTROL,): "command to compare with",
        (CONTROL, "python x | tee y"): "without a shell",
        (CONTROL, CONTROL): "must change something",
        (CONTROL, f"{CONTROL} {{lr}}"): "must have a value",
        (CONTROL, "--arm", "new=git:nothing"): "branch, a tag or a commit",
        (CONTROL, "--arm", "nothing"): "NAME=COMMAND",
        (CONTROL, f"{CONTROL} --mixup 1", "--timeout", "soon"): "s, m, h or d",
        (CONTROL, f"{CONTROL} --mixup 1", "--input", "no-data"): "must exist",
    }.items():
        with subtests.test(arguments=arguments):
            said = compare(folder, *arguments)
            assert said.returncode == 2, said.stderr
            assert words in said.stderr


def test_an_imported_comparison_runs_nothing_unasked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    done = compare(folder, "--seeds", "3", "--name", "mixup", CONTROL, f"{CONTROL} --mixup 0.9")
    assert done.returncode == 0, done.stderr
    assert say(folder, "study", "export", "mixup", "mixup.ablata").returncode == 0
    other = tmp_path_factory.mktemp("other")
    imported = say(other, "study", "import", str(folder / "mixup.ablata"))
    assert imported.returncode == 0, imported.stderr
    report = say(other, "study", "report", "mixup")
    assert "mixup-0.9 is better by" in report.stdout
