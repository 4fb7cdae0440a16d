"""`ablata compare`: programs of any kind, judged as somebody types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.fixture
def compare(folder: Path, ablata: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls `ablata compare` in the folder of the script."""
    return lambda *arguments: ablata("compare", "--score", "val_acc", "--workers", "2", *arguments)


def test_two_commands_end_in_a_verdict_and_an_edited_script_asks_anew(
    folder: Path, home: Path, compare: Callable[..., Any], ablata: Callable[..., Any]
) -> None:
    arguments = ("--seeds", "4", CONTROL, f"{CONTROL} --mixup 0.9")
    first = compare(*arguments)
    assert first.status == 0, first.err
    assert "mixup-0.9 is better by" in first.out
    runs = ablata("runs", "list").out
    assert 'words="... --mixup 0.9"' in runs
    again = compare(*arguments)
    assert "is finished" in again.err
    assert ablata("runs", "list").out == runs, "nothing was run twice"
    page = next((home / "reports").glob("*.html")).read_text()
    assert "mixup" in page
    assert "loss" in page, "curves from the output"
    (folder / "train.py").write_text(SCRIPT.replace("5 * args.mixup", "-5 * args.mixup"))
    assert "mixup-0.9 is worse by" in compare(*arguments).out


def test_a_guarded_quantity_that_no_run_records_ends_the_study_in_words(compare: Callable[..., Any]) -> None:
    said = compare("--seeds", "3", "--guard", "los:+3%", CONTROL, f"{CONTROL} --mixup 0.9")
    assert said.status == 1
    assert "no los of run" in said.err
    assert "loss" in said.err


def test_failing_and_endless_arms_are_told_and_a_failing_control_ends_the_study(
    folder: Path, compare: Callable[..., Any], ablata: Callable[..., Any]
) -> None:
    arms = ("--arm", f"broken={CONTROL} --fail", "--arm", f"slow={CONTROL} --sleep 900")
    said = compare("--seeds", "3", "--timeout", "3s", CONTROL, *arms)
    assert said.status == 0, said.err
    assert "broken failed in each of its 2 runs" in said.out
    assert "slow failed in each of its 2 runs" in said.out
    assert "broken: seed 0 failed: The program must end with status 0; exit status 1" in said.out
    assert "broken, seed 1: failed" in said.err
    listed = ablata("runs", "list", "--json").out
    assert "diverged" not in said.out + said.err + listed + ablata("runs", "list").out
    assert "the network blew up" in listed
    assert "must end within 3.0 s" in listed
    assert ablata("runs", "list", "--state", "failed", "--json").out.count('"state": "failed"') >= 4
    assert "no run" in ablata("runs", "list", "--state", "diverged").err
    control = compare("--seeds", "3", f"{CONTROL} --fail", CONTROL)
    assert control.status == 1
    assert "The control must run to its end" in control.err
    assert "the network blew up" in control.err


def test_a_program_that_is_not_there_is_refused_once_before_anything_runs(
    home: Path, compare: Callable[..., Any]
) -> None:
    for commands in ([CONTROL, "nosuch-program {seed}"], ["./train.py {seed}", CONTROL]):
        said = compare("--seeds", "3", *commands)
        assert said.status == 2
        assert said.err.count("A command must be a program that can be started") == 1
        assert "seed 0" not in said.err
    assert not list((home / "runs").glob("*"))


@pytest.mark.slow
def test_an_arm_that_failed_for_a_reason_outside_it_is_run_again_as_asked(
    folder: Path, compare: Callable[..., Any], ablata: Callable[..., Any]
) -> None:
    (folder / "train.py").write_text(
        "import os, sys\nseed, width = map(int, sys.argv[1:])\n"
        "if width > 16 and not os.path.exists('mounted'): sys.exit('No space left on device')\n"
        "print('val_acc:', width + (seed * width // 8) % 5 / 10)\n"
    )
    arms = [f"{sys.executable} train.py {{seed}} 16", "--arm", f"wide={sys.executable} train.py {{seed}} 64"]
    said = compare("--seeds", "4", "--name", "width", *arms)
    assert "wide failed in each of its 2 runs" in said.out
    assert "ablata study run width --again wide" in said.out
    assert compare("--seeds", "4", "--name", "wider", *arms).status == 0
    (folder / "mounted").touch()
    assert "choose one of control, wide" in ablata("study", "run", "width", "--again", "wid").err
    done = ablata("study", "run", "width", "--again", "wide")
    assert done.status == 0, done.err
    assert "wide, seed 0: failed before" in done.err
    assert "arm wide: unstable" not in done.err
    assert "study wider counts these runs, too: ablata study run wider" in done.err
    assert "wide is better by" in done.out
    assert "seed 1 was run again as asked, after: The program must end with status 0" in done.out
    assert "wide is better by" in ablata("study", "run", "wider").out
    refused = ablata("study", "run", "width", "--again", "wide")
    assert refused.status == 2
    assert "Only runs of programs and functions that failed are run again" in refused.err


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_an_arm_can_be_a_git_branch(folder: Path, home: Path, compare: Callable[..., Any]) -> None:
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", "train.py")
    _git(folder, "commit", "-qm", "first")
    _git(folder, "checkout", "-qb", "idea")
    (folder / "train.py").write_text(SCRIPT.replace("5 * args.mixup", "4 + random.Random(args.seed + 7).gauss(0, 0.1)"))
    _git(folder, "commit", "-qam", "an idea")
    _git(folder, "checkout", "-q", "main")
    said = compare("--seeds", "3", CONTROL, "--arm", "new=git:idea")
    assert said.status == 0, said.err
    assert "new is better by" in said.out
    assert not list((home / "worktrees").glob("*")), "cleaned up"
    trees = subprocess.run(["git", "-C", str(folder), "worktree", "list"], capture_output=True, text=True, check=True)
    assert len(trees.stdout.splitlines()) == 1


@pytest.mark.slow
def test_a_killed_comparison_goes_on_and_loses_and_doubles_nothing(
    folder: Path, home: Path, compare: Callable[..., Any], ablata: Callable[..., Any]
) -> None:
    arguments = ["--seeds", "3", f"{CONTROL} --sleep 1", f"{CONTROL} --sleep 1 --mixup 0.9"]
    command = [sys.executable, "-m", "ablata", "compare", "--score", "val_acc", "--workers", "2", *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, **quiet) as process:  # type: ignore[call-overload]
        while len(list((home / "runs").glob("*/output.log"))) < 3:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    done = compare(*arguments)
    assert done.status == 0, done.err
    assert "is better by" in done.out
    assert sum("completed" in line for line in ablata("runs", "list").out.splitlines()) == 6


def test_commands_without_a_seed_are_repeats_and_not_paired(folder: Path, compare: Callable[..., Any]) -> None:
    command = f"{sys.executable} train.py --seed 1"
    (folder / "train.py").write_text(SCRIPT.replace("random.seed(args.seed)", ""))
    said = compare("--seeds", "4", command, f"{command} --mixup 9")
    assert said.status == 0, said.err
    assert "unseeded repeats" in said.err
    assert "all compared with all of the control's, since no seed is taken" in " ".join(said.out.split())
    assert "they take no seed" in said.out
    assert "mixup-9 is better by" in said.out


def test_a_dry_run_shows_what_would_be_read_and_records_nothing(
    home: Path, compare: Callable[..., Any], ablata: Callable[..., Any], folder: Path
) -> None:
    said = compare("--dry-run", CONTROL, CONTROL + " --mixup 1")
    assert said.status == 0, said.err
    assert "score    val_acc is" in said.out
    assert "curves   loss" in said.out
    assert not home.exists()
    wrong = ablata("compare", "--score", "val_ac", "--dry-run", CONTROL, CONTROL + " --mixup 1")
    assert "val_acc" in wrong.err
    short = ablata("compare", "--score", "r.json:acc", "--dry-run", "sh -c :", "sh -c true")
    assert "memory not measured" in short.out
    assert f"no r.json in {folder} nor in {{run_dir}}" in " ".join(short.err.split())
    hanging = ablata("compare", "--score", "acc", "--timeout", "0.2s", "--dry-run", "sleep 9", "sleep 8")
    assert "must end within 0.2 s" in hanging.err


def test_mistakes_are_told_with_exit_2(folder: Path, compare: Callable[..., Any], subtests: pytest.Subtests) -> None:
    for arguments, words in {
        (CONTROL,): "command to compare with",
        (CONTROL, "python x | tee y"): "without a shell",
        (CONTROL, CONTROL): "must change something",
        (CONTROL, f"{CONTROL} {{lr}}"): "must have a value",
        (CONTROL, "--arm", "new=git:nothing"): "branch, a tag or a commit",
        (CONTROL, "--arm", "nothing"): "NAME=COMMAND",
        (CONTROL, "--arm", "big:lr=1"): "its place {lr}",
        (CONTROL, "--set", "lr=1"): "the commands have no key of their own",
        (f"{CONTROL} {{lr}}", "--set", "lr"): "key=value",
        ("LR=1 " + CONTROL, CONTROL): "env LR=1",
        (CONTROL, f"{CONTROL} --mixup 1", "--timeout", "soon"): "s, m, h or d",
        (CONTROL, f"{CONTROL} --mixup 1", "--input", "no-data"): "must exist",
    }.items():
        with subtests.test(arguments=arguments):
            said = compare(*arguments)
            assert said.status == 2, said.err
            assert words in said.err


def test_an_imported_comparison_is_reported_to_the_letter_and_runs_nothing_unasked(
    folder: Path, compare: Callable[..., Any], ablata: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = compare("--seeds", "3", "--name", "mixup", CONTROL, f"{CONTROL} --mixup 0.9")
    assert done.status == 0, done.err
    forms = ("terminal", "markdown")
    before = [ablata("study", "report", "mixup", "--format", form).out for form in forms]
    assert "mixup-0.9 is better by" in before[0]
    assert "corrected" in before[0]
    assert "in 4 of 5 cases" in before[0]
    assert ablata("study", "export", "mixup", "mixup.ablata").status == 0
    monkeypatch.setenv("ABLATA_HOME", str(folder / "other"))
    imported = ablata("study", "import", "mixup.ablata")
    assert imported.status == 0, imported.err
    assert [ablata("study", "report", "mixup", "--format", form).out for form in forms] == before


def test_a_seed_that_does_nothing_and_a_loss_without_a_direction_are_told(
    folder: Path, compare: Callable[..., Any], ablata: Callable[..., Any]
) -> None:
    (folder / "train.py").write_text("import sys\nprint('val_acc:', 90 + len(sys.argv))\nprint('loss: 1')")
    said = compare("--seeds", "3", CONTROL, f"{CONTROL} --mixup 0.9")
    assert "All 3 runs of control have the same score" in said.out
    assert "mixup-0.9 is undecided" in said.out
    assert "+2 at every seed, and without any spread nothing tells what chance alone does. To settle it:" in said.err
    (folder / "train.py").write_text(
        "import sys\nseed = float(sys.argv[2])\nprint('val_acc:', 90 + seed if sys.argv[3:] else (90 + seed) / 100)"
    )
    mixed = compare("--seeds", "3", CONTROL, f"{CONTROL} --mixup 0.9")
    assert (mixed.status, "shares of 1 in control (0.9), percentages in mixup-0.9 (9" in mixed.err) == (1, True)
    loss = ablata("compare", "--score", "loss", CONTROL, f"{CONTROL} --mixup 0.9")
    assert loss.status == 2
    assert "--higher" in loss.err


def test_scores_and_curves_that_the_program_hands_over_are_read(
    folder: Path, compare: Callable[..., Any], ablata: Callable[..., Any]
) -> None:
    printed = 'print(f"epoch {epoch} loss'
    hooked = SCRIPT.replace(printed, f"log(step=epoch, error=1 / (epoch + 1), f1=[1, 5, 2][epoch]); {printed}")
    head, tail = "from ablata import log, score as hand\n", "hand(f1=score / 2, other=1)\n"
    (folder / "train.py").write_text(head + hooked + tail)
    asked = ("compare", "--score", "f1", "--score", "val_acc", "--seeds", "3", CONTROL, f"{CONTROL} --mixup 0.9")
    dry = ablata(*asked, "--dry-run")
    assert "curves   error, f1, loss" in dry.out, dry.err
    assert "score    f1 is" in dry.out
    done = ablata(*asked)
    assert "mixup-0.9 is better by" in done.out, done.err
    (run, *_) = json.loads(ablata("runs", "list", "--json").out)
    assert run["scores"].keys() == {"f1", "val_acc", "other"}
    assert run["scores"]["f1"] == run["scores"]["val_acc"] / 2
    best = json.loads(ablata("runs", "show", run["id"], "--json").out)["best"]
    assert best == {"key": "f1", "value": 5.0, "step": 1, "why": "highest f1 of the curve: 5 at step 1"}


def test_a_study_is_asked_with_a_command_its_keys_and_their_values(
    folder: Path, ablata: Callable[..., Any], subtests: pytest.Subtests
) -> None:
    command = f"{CONTROL} --mixup {{mixup}}"
    asked = ("--command", command, "--set", "mixup=0", "--arm", "big:mixup=0.9", "--arm", f"fixed={CONTROL} --mixup 1")
    options = ("--seeds", "3", "--margin", "0.5", "--score", "val_acc", "--score", "loss", "--name", "mixup")
    done = ablata("study", "run", *asked, *options)
    assert done.status == 0, done.err
    assert "big is better by" in done.out
    assert "fixed is better by" in done.out
    assert "mixup is finished" in ablata("study", "run", *asked, *options).err
    runs = json.loads(ablata("runs", "list", "--json").out)
    assert len(runs) == 9
    assert all({"val_acc", "loss"} <= set(run["scores"]) for run in runs)
    for arguments, words in {
        ("--command", command, "--recipe", "digits"): "Name a study, or ask ad hoc",
        ("--recipe", "digits", "--score", "acc"): "need a program",
        (*asked, "--score", "val_acc"): "no --seeds",
        (*asked, "--seeds", "3"): "no --score",
        (*asked, *options, "--arm", "big:mixup=1"): "big again",
        (*asked, *options, "--arm", "bigger:mixpu=1"): "mixup",
    }.items():
        with subtests.test(arguments=arguments):
            said = ablata("study", "run", *arguments)
            assert said.status == 2, said.err
            assert words in said.err


def test_a_study_of_commands_is_written_in_a_python_file(folder: Path, ablata: Callable[..., Any]) -> None:
    (folder / "mine.py").write_text(
        "from ablata import Study\n"
        "from ablata.trainers.command import Command\n"
        "def mixup():\n"
        f"    control = Command.of('{CONTROL} --mixup {{mixup}}', scores=['val_acc'], values={{'mixup': '0'}})\n"
        f"    arms = {{'big': {{'mixup': 0.9}}, 'fixed': '{CONTROL} --mixup 1'}}\n"
        "    return Study(name='mixup', question='?', control=control, arms=arms, seeds=3)\n"
    )
    done = ablata("study", "run", "mine.py:mixup")
    assert done.status == 0, done.err
    assert "big is better by" in done.out
    assert "fixed is better by" in done.out


def test_a_named_study_of_a_script_edited_since_is_neither_answered_nor_gone_on_with(
    folder: Path, compare: Callable[..., Any], ablata: Callable[..., Any]
) -> None:
    (folder / "data.txt").write_text("1")
    arguments = ("--seeds", "3", "--name", "mixup", "--input", "data.txt", CONTROL, f"{CONTROL} --mixup 0.9")
    assert compare(*arguments).status == 0
    assert "mixup is finished" in compare(*arguments).err
    for file, what in {"train.py": "code: train.py", "data.txt": "inputs"}.items():
        before = (folder / file).read_text()
        (folder / file).write_text(before + "\nx = 1\n")
        said = compare(*arguments)
        assert said.status == 2
        assert f"control ({what}), mixup-0.9 ({what})" in said.err
        (folder / file).write_text(before)
    assert "is better by" in compare(*arguments).out
    assert "is better by" in ablata("study", "report", "mixup").out


@pytest.mark.slow
def test_a_pilot_helps_to_choose_seeds_and_a_budget_in_their_place_is_gone_on_with(
    folder: Path, compare: Callable[..., Any], ablata: Callable[..., Any]
) -> None:
    commands = (CONTROL, f"{CONTROL} --mixup 0.9")
    pilot = compare("--pilot", "2", "--effect", "3", *commands)
    assert pilot.status == 0, pilot.err
    assert "to find a difference of 3: " in pilot.out
    assert "go on with the same command" in pilot.err
    assert len(json.loads(ablata("runs", "list", "--json").out)) == 2
    assert ablata("study", "list", "--json").out.count('"state"') == 0, "no study yet"
    budget = compare("--pilot", "2", "--budget", "1m", "--screen", *commands)
    assert "1m pays for " in budget.err
    assert "is better by" in budget.out or "leans better by" in budget.out
    assert "2 runs had ended before this was fixed (2 of control)" in budget.out
    again = compare("--pilot", "2", "--budget", "1m", "--screen", *commands)
    assert "is finished" in again.err
    both = compare("--seeds", "3", "--budget", "1m", *commands)
    assert both.status == 2
    assert "--seeds 3 --budget 1m" in both.err


def test_a_plan_of_commands_needs_no_seeds_and_is_json_before_any_run(ablata: Callable[..., Any], folder: Path) -> None:
    command = ("--command", f"{CONTROL} --mixup {{mixup}}", "--score", "val_acc")
    asked = (*command, "--set", "mixup=0", "--arm", "big:mixup=1")
    planned = json.loads(ablata("study", "plan", *asked, "--json").out)
    assert planned["seconds"] is None
    assert planned["needs"] == []
    assert planned["arms"] == {"big": ["mixup: 0 -> 1"]}
    after = json.loads(ablata("study", "plan", *asked, "--json", "--pilot", "2", "--margin", "2").out)
    assert after["seconds"] > 0
    assert [need["aim"] for need in after["needs"]] == ["difference", "margin"]
    assert not after["noise_is_paired"]


def test_each_worker_has_a_gpu_of_its_own(
    folder: Path, compare: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablata.studies.workers.pool._gpu_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    (folder / "where.py").write_text(
        "import os, sys, time\ntime.sleep(0.5)\n"
        "print('on', sys.argv[2], os.environ['CUDA_VISIBLE_DEVICES'])\nprint('val_acc:', sys.argv[1])\n"
    )
    command = f"{sys.executable} where.py {{seed}} {{device}}"
    assert compare("--seeds", "3", command, f"{command} x").status == 0
    said = [log.read_text().splitlines()[0] for log in (home / "runs").glob("*/output.log")]
    assert set(said) == {"on cuda 3", "on cuda 5"}


def test_two_comparisons_share_their_controls(
    folder: Path, compare: Callable[..., Any], ablata: Callable[..., Any]
) -> None:
    assert compare("--seeds", "3", CONTROL, f"{CONTROL} --mixup 0.9").status == 0
    second = compare("--seeds", "3", CONTROL, f"{CONTROL} --mixup 0.5")
    assert second.status == 0
    assert "3 runs had ended before this was fixed (3 of control)" in second.out
    assert len(json.loads(ablata("runs", "list", "--json").out)) == 9


@pytest.mark.slow
def test_not_worse_is_shown_or_not_with_a_status_for_a_pipeline(folder: Path, compare: Callable[..., Any]) -> None:
    asked = ("--non-inferior", "--seeds", "3", "--margin", "1")
    for change, status, said in (
        ("--mixup 0.1", 0, "not worse by more than 1 of val_acc"),
        ("--mixup -1", 1, "worse by more than 1 of val_acc"),
        ("--fail", 1, "runs of it failed"),
    ):
        answer = compare(*asked, CONTROL, f"{CONTROL} {change}")
        assert (answer.status, said in answer.err) == (status, True), answer.err
    without = compare("--non-inferior", CONTROL, f"{CONTROL} --mixup 0.1")
    assert (without.status, "only with a margin" in without.err) == (2, True)


ITEMS = """
import csv, random, sys
from pathlib import Path
seed, lr, run_dir = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
draw = random.Random(seed)
rows = [(f"film{i // 20}/{i:03}.png", 100.0 * (draw.random() < 0.6 + 0.3 * lr)) for i in range(200)]
with (run_dir / "items.csv").open("w", newline="") as stream:
    csv.writer(stream).writerows([("item", "acc"), *rows])
print("acc:", sum(hit for _, hit in rows) / len(rows))
print("latency:", 5 + 0.1 * draw.random())
"""


def test_a_programs_items_guards_and_clusters_go_from_the_command_line_to_the_page_and_to_another_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ablata.cli.main import main

    (tmp_path / "t.py").write_text(ITEMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))

    def typed(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capfd.readouterr()
        assert ended.value.code in (0, None), said.err
        return " ".join((said.out + said.err).split())

    command = f"{sys.executable} t.py {{seed}} {{lr}} {{run_dir}}"
    parts = ["--set", "lr=0", "--arm", "high:lr=1", "--score", "acc", "--score", "latency", "--seeds", "3"]
    said = typed("compare", command, *parts, "--noise", "items", "--clusters", "folder", "--name", "films")
    assert "each arm's noise is read from its single images too" in said
    page = (tmp_path / "home" / "reports" / "films.html").read_text()
    assert "200 images in 10 groups were scored" in page
    assert "film" in page
    assert "is read from its single images too" in typed(
        "study", "plan", "--command", command, *parts, "--noise", "items", "--first-seed", "9"
    )
    typed("study", "export", "films", "films.ablata")
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "other"))
    typed("study", "import", "films.ablata")
    typed("study", "report", "films", "--format", "html", "--output", "films.html")
    assert "200 images in 10 groups were scored" in (tmp_path / "films.html").read_text()
    guarded = ["--guard", "latency:+50%", "--name", "kept"]
    assert "better by" in (said := typed("compare", command, *parts, *guarded))
    assert "latency within +50%" in said
    (tmp_path / "kept.yaml").write_text(
        f"command: {command}\nset: {{lr: 0}}\narms: {{high: {{lr: 1}}}}\nseeds: 3\nscore: [acc, latency]\n"
        "guard: latency:+0.01%\n"
    )
    assert "3 seeds can show it from" in typed("study", "plan", "kept.yaml")
