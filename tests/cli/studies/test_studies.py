from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.records import Ledger

Ablata = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]
SETS = "--set train.epochs=null --set train.steps=6 --set train.evaluate_every=0 --set model.width=4"
ASKED = f"--recipe digits {SETS} --arm a:model.width=5 --arm a:optim.lr=0.05 --arm b:data.augment.pad=0 --name asked"
LONG = "--set train.epochs=null --set train.steps=1000000 --set train.log_every=1 --set model.width=4"


def run_of(ablata: Ablata, line: str) -> Any:
    return ablata("study", "run", *shlex.split(line))


def findings(report: str) -> list[Any]:
    return [[arm[key] for key in ("name", "verdict", "effect", "mean", "reason")] for arm in json.loads(report)["arms"]]


def test_a_study_is_asked_reported_carried_away_and_read_elsewhere(
    ablata: Ablata, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = run_of(ablata, f"{ASKED} --seeds 3 --margin 0.5 --workers 2")
    assert answer.status == 0, answer.err
    assert re.search(r"(changes are|change is|of 2 changes is) decided", answer.out)
    assert f"report: {home / 'reports' / 'asked.html'}" in answer.err
    page = (home / "reports" / "asked.html").read_text()
    assert "--arm a:model.width=5" in page
    status = json.loads(ablata("study", "status", "asked", "--json").out)
    assert (status["state"], status["runs"], status["troubled"]) == ("finished", {"completed": 9}, [])
    again = run_of(ablata, "asked")
    assert (again.status, again.out) == (0, answer.out)
    assert "is finished" in again.err
    for form in ("terminal", "markdown", "html", "json"):
        assert ablata("study", "report", "asked", "--format", form).out
        assert ablata("study", "report", "asked", "--format", form, "--output", f"sub/asked.{form}").status == 0
        assert Path(f"sub/asked.{form}").stat().st_size > 100
    for name, begins in {"page.html": "<!", "page.md": "# ", "page.json": "{", "page.txt": "Does "}.items():
        assert ablata("study", "report", "asked", "--output", name).status == 0
        assert Path(name).read_text().startswith(begins), name
    runs = ablata("runs", "list", "--study", "asked", "--json").out
    assert len(json.loads(runs)) == 9
    listed = json.loads(ablata("study", "list", "--json").out)
    assert [row["name"] for row in listed["recorded"]] == ["asked"]
    assert "asked  finished  " in ablata("study", "list").out

    original = ablata("study", "report", "asked", "--format", "json").out
    assert ablata("study", "export", "asked", "asked.ablata", "--checkpoints").status == 0
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "elsewhere"))
    # The same recipe with places of this home's own: they stay, and are no reason to refuse the file.
    assert ablata("train", "digits", *SETS.replace("--set ", "").split(), "train.evaluate_batch=99").status == 0
    taken = ablata("study", "import", "asked.ablata")
    assert (taken.status, "study asked: 8 runs taken in, 1 were here already" in taken.err) == (0, True)
    assert findings(ablata("study", "report", "asked", "--format", "json").out) == findings(original)


def test_options_that_make_another_study_of_a_recorded_name_are_refused(ablata: Ablata, home: Path) -> None:
    from ablata.studies.index import load_study
    from ablata.studies.launch import create

    with Ledger(home=home) as ledger:
        create(ledger, load_study("quickstart"))
    answer = run_of(ablata, "quickstart --margin 3")
    assert answer.status == 2
    assert "the same name must mean the same study" in answer.err


def test_status_of_an_open_study_says_what_is_wrong_and_how_to_go_on(ablata: Ablata, home: Path) -> None:
    from ablata.studies.index import load_study
    from ablata.studies.launch import StudyRunner, create
    from ablata.studies.workers.pool import Workers

    with Ledger(home=home) as ledger:
        create(ledger, load_study("quickstart"))
        launch = StudyRunner(ledger, "quickstart", Workers(0, 1))
        launch._advance()
        runs = [cell.run.id for cell in ledger.studies.cells("quickstart")]
        ledger.leases.claim_run(runs[0], "silent:1", -5)
        claim = ledger.leases.claim_run(runs[1], "busy:2", 60)
        ledger.leases.finish(runs[1], claim.attempt, "failed", error="no space left")
    told = ablata("study", "status", "quickstart")
    assert told.status == 0
    assert "its worker silent:1 fell silent" in told.err
    assert "failed: no space left" in told.err
    assert "go on with: ablata study run quickstart" in told.err
    facts = json.loads(ablata("study", "status", "quickstart", "--json").out)
    assert facts["runs"] == {"running": 1, "failed": 1, "waiting": 10}
    assert facts["workers"] == []
    assert len(facts["troubled"]) == 2


def test_a_plan_says_runs_time_and_what_can_be_found(ablata: Ablata, home: Path) -> None:
    answer = ablata("study", "plan", *shlex.split(f"{ASKED} --seeds 5 --margin 0.5 --workers 2"))
    assert answer.status == 0
    lines = {line.split()[0]: line for line in answer.out.splitlines() if line.strip()}
    assert "at most 15: 3 recipes, 5 seeds each" in lines["runs"]
    assert "with 2 workers" in lines["time"]
    assert "margin of 0.5 can be confirmed if the noise is at most" in lines["note"]
    facts = json.loads(ablata("study", "plan", *shlex.split(f"{ASKED} --seeds 5 --margin 0.5 --json")).out)
    assert (facts["runs"], facts["noise"], facts["arms"]["b"]) == (15, None, ["data.augment.pad=0"])
    assert facts["detectable_in_noise"] > 1
    fixed = ablata("study", "plan", *shlex.split(f"{ASKED} --seeds 5 --margin 0.5 --force-fixed --screen")).out
    assert "verdicts once, after all seeds" in fixed
    assert "screen: at most 20%" in fixed
    few = ablata("study", "plan", *shlex.split(f"{ASKED} --seeds 2 --margin 0.5")).out
    assert "2 seeds decide nothing" in few
    with Ledger(home=home) as ledger:
        assert ledger.studies.all() == []


def test_a_plan_tells_an_arm_that_goes_on_from_another_by_that_ones_name(ablata: Ablata) -> None:
    further = "--arm c:data.augment.pad=0 --arm c:optim.lr=0.05"
    lines = ablata("study", "plan", *shlex.split(f"{ASKED} {further} --seeds 3 --margin 0.5")).out.splitlines()
    assert [line.removeprefix("  arms").strip() for line in lines[2:5]] == [
        "a (model.width=5 optim.lr=0.05)",
        "b (data.augment.pad=0)",
        "c (b and optim.lr=0.05)",
    ]


def test_history_is_what_the_study_was_created_with(ablata: Ablata, home: Path) -> None:
    asked = f"{ASKED} --seeds 3 --margin 0.5"
    assert "its noise cannot count" in ablata("study", "plan", *shlex.split(asked), "--history").err
    from ablata.cli.asking import StudyRequest
    from ablata.stats import History
    from ablata.studies.asking.adhoc import ask
    from ablata.studies.asking.typed import StudyTerms
    from ablata.studies.launch import create

    made = ask("digits", [], ["a:model.width=5"], StudyTerms(seeds=3, margin=0.5, name="asked"))
    from dataclasses import replace

    with Ledger(home=home) as ledger:
        create(ledger, replace(made, history=History(variance=0.25, df=12)))
        again = StudyRequest(
            name=None, recipe="digits", sets=(), arms=("a:model.width=5",), seeds=3, first_seed=None, margin="0.5",
            screen=False, fixed=False, history=True, save_as="asked", question=None,
        ).study(ledger)  # fmt: skip
        assert again.history == History(variance=0.25, df=12)
        create(ledger, again)


@pytest.mark.slow
def test_an_arm_that_diverges_ends_as_unstable_in_words(ablata: Ablata, home: Path) -> None:
    line = f"--recipe digits {SETS} --arm wild:optim.lr=1e30 --arm b:data.augment.pad=0 --name d --seeds 4 --margin 9"
    answer = run_of(ablata, f"{line} --workers 2")
    assert answer.status == 0, answer.err
    assert "unstable" in answer.out
    assert "wild, seed 0: diverged" in answer.err
    with Ledger(home=home) as ledger:
        wild = [cell.run for cell in ledger.studies.cells("d") if cell.arm == "wild"]
    assert {run.attempt for run in wild if run.state == "diverged"} == {1}
    assert sum(run.state == "diverged" for run in wild) >= 2


FILE = '''
from typing import Literal
from ablata.recipes.index import load_recipe
from ablata.studies.study import Study
from ablata.tasks.classification.task import Classify

class Mine(Classify):
    """A recipe class of a user's own."""
    task: Literal["mine"] = "mine"

def small() -> Mine:
    made = load_recipe("digits", ["train.epochs=null", "train.steps=4", "train.evaluate_every=0", "model.width=4"])
    return Mine(data=made.data, model=made.model, train=made.train, compute=made.compute)

def mine() -> Study:
    control = load_recipe("mine.py:small")
    return Study(name="mine", question="?", control=control, arms={"a": ["model.width=5"]}, margin=50.0, seeds=2)
'''


@pytest.mark.slow
def test_a_study_and_a_recipe_class_of_a_users_file_reach_the_workers(ablata: Ablata, home: Path) -> None:
    Path("mine.py").write_text(FILE)
    answer = run_of(ablata, "mine.py:mine --workers 1")
    assert answer.status == 0, answer.err
    with Ledger(home=home) as ledger:
        assert {cell.run.state for cell in ledger.studies.cells("mine")} == {"completed"}
        assert ledger.studies.get("mine").spec["commands"] == ["ablata study run mine.py:mine"]


def test_an_interrupt_lets_the_workers_save_and_says_how_to_go_on(start: Start, home: Path) -> None:
    process = start(*shlex.split(f"study run --recipe digits {LONG} --arm a:model.width=5 --name long"),
                    *shlex.split("--seeds 3 --margin 1 --workers 2"))  # fmt: skip
    deadline = time.monotonic() + 90
    running: list[Any] = []
    while len(running) < 2 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
        if (home / "ledger.sqlite3").exists():
            with Ledger(home=home) as ledger:
                running = [run for run in ledger.runs.find(state="running") if run.progress]
    owners = {int(str(run.owner).rpartition(":")[2]) for run in running}
    # As a terminal does it: to the whole group, of which the workers are no part.
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "go on with: ablata study run long" in said
    assert "Traceback" not in said
    with Ledger(home=home) as ledger:
        for run in running:
            row = ledger.runs.get(run.id)
            assert row.state == "waiting"
            assert (home / row.folder / "last.safetensors").exists()
    for pid in owners:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_a_study_of_seconds_has_a_margin_in_percent_and_another_metric_is_another_question(
    ablata: Callable[..., Any],
) -> None:
    sets = [word for text in ("train.steps=6", "model.width=4") for word in ("--set", text)]
    words = ("study", "run", "--recipe", "digits", *sets, "--arm", "wide:model.width=32", "--workers", "1")
    done = ablata(*words, "--metric", "seconds", "--margin", "10%", "--seeds", "3", "--json")
    assert done.status == 0, done.err
    view = json.loads(done.out)
    assert (view["metric"]["name"], view["metric"]["unit"], view["metric"]["higher_is_better"]) == (
        "seconds",
        "s",
        False,
    )
    assert view["margin_percent"] == 10
    assert view["margin"] == pytest.approx(sum(s["score"] for s in view["arms"][0]["seeds"]) / 30)
    assert "--metric seconds" in view["commands"][0]
    again = ablata(*words, "--metric", "loss", "--seeds", "3", "--json")
    assert json.loads(again.out)["name"] != view["name"]
    wrong = ablata(*words, "--metric", "secondz", "--seeds", "3")
    assert wrong.status == 2
    assert "--metric seconds" in wrong.err
