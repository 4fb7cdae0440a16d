"""A user's own network, from the command line: trained anew once its code changes, used from its copy, never run
unasked when it came from elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.cli.conftest import Answer

from ablata.records import Ledger

Run = Callable[..., Answer]

NET = """
from ablata.models.classification.digits_net import DigitsNet


class Own(DigitsNet):
    gain: float = 1.0

    def build(self, classes: int, channels: int = 1):
        from blocks import scaled

        return scaled(super().build(classes, channels), self.gain)
"""
BLOCKS = """
import torch


def scaled(network, gain):
    with torch.no_grad():
        network.classifier.weight.mul_(gain)
    return network
"""
QUICK = ("train.epochs=null", "train.steps=4", "train.evaluate_every=0", "model.width=4")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a network of the user's and a module that it imports inside a function."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "net.py").write_text(NET)
    (folder / "blocks.py").write_text(BLOCKS)
    Image.new("L", (8, 8), 100).save(tmp_path / "digit.png")
    return folder


def train(ablata: Run, own: Path, *more: str) -> dict[str, Any]:
    """Train four steps and return what is said of the run."""
    done = ablata("train", "digits", f"model={own}/net.py:Own", *QUICK, *more, "--json")
    assert done.status == 0, done.err
    return dict(json.loads(done.out))


def test_an_edit_of_what_the_network_imports_trains_anew(ablata: Run, own: Path, home: Path) -> None:
    first = train(ablata, own)
    assert train(ablata, own)["run"] == first["run"]
    (own / "unused.py").write_text("")
    assert train(ablata, own)["run"] == first["run"]
    (own / "blocks.py").write_text(BLOCKS.replace("mul_(gain)", "mul_(5 * gain)"))
    second = train(ablata, own)
    assert second["run"] != first["run"]
    assert second["scores"] != first["scores"]
    index = json.loads((home / first["folder"] / "code" / "files.json").read_text())
    assert index == {str(own / name): name for name in ("blocks.py", "net.py")}
    assert (home / first["folder"] / "code" / "blocks.py").read_text() == BLOCKS


@pytest.mark.slow
def test_the_copy_serves_from_another_folder_once_the_files_have_gone(
    ablata: Run, own: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = train(ablata, own, "model.gain=2.0")
    run, scores = made["run"], made["scores"]
    (tmp_path / "far").mkdir()
    monkeypatch.chdir(tmp_path / "far")
    told = ablata("evaluate", run, "--json")
    assert json.loads(told.out)["scores"] == scores
    assert "copy" not in told.err

    (own / "blocks.py").write_text(BLOCKS.replace("mul_(gain)", "mul_(0)"))
    told = ablata("evaluate", run, "--json")
    assert json.loads(told.out)["scores"] == scores
    line = f"{own}/blocks.py has changed since this was trained: the copy in {home}/{made['folder']}/code is used\n"
    assert told.err == line

    shutil.rmtree(own)
    assert json.loads(ablata("evaluate", run, "--json").out)["scores"] == scores
    shown = ablata("predict", run, f"{tmp_path}/digit.png")
    assert (shown.status, "is gone" in shown.err, "digit.png: " in shown.out) == (0, True, True)
    for form, place in (("pt2", "net.pt2"), ("hub", "hub")):
        done = ablata("export", run, "--format", form, "--output", place)
        assert done.status == 0, done.err
    recipe = Path("hub/recipe.json").read_text()
    assert '"net.py:Own"' in recipe
    assert str(tmp_path) not in recipe
    assert {path.name for path in Path("hub/code").iterdir()} == {"net.py", "blocks.py", "files.json"}
    assert ablata("predict", "hub", f"{tmp_path}/digit.png").out.partition(": ")[2] == shown.out.partition(": ")[2]
    assert ablata("runs", "show", run).status == 0
    assert "has ended already" in ablata("train", "--resume", run).err


@pytest.mark.slow
def test_a_killed_training_goes_on_with_its_copy(
    start: Callable[..., subprocess.Popen[str]], ablata: Run, own: Path, home: Path
) -> None:
    settings = ("train.epochs=null", "train.evaluate_every=0", "train.checkpoint_seconds=0.01", "model.width=4")
    process = start("train", "digits", f"model={own}/net.py:Own", "train.steps=100000", *settings)
    until(lambda: any(home.glob("runs/*/last.safetensors")))
    process.kill()
    process.wait()
    (own / "net.py").write_text("raise SystemExit")
    last = next(home.glob("runs/*/last.safetensors"))
    run, saved = last.parent.name, last.stat().st_mtime
    process = start("train", "--resume", run, "train.log_every=1")
    until(lambda: last.stat().st_mtime > saved)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert f"{own}/net.py has changed since this was trained: the copy" in said
    assert "goes on where the last one was saved" in said
    assert "other code" not in said


def until(holds: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def ask(ablata: Run, own: Path, *more: str, seeds: int = 2) -> Any:
    """Ask whether the network is better, with two workers."""
    sets = [word for one in (*QUICK[:3], "model.width=4") for word in ("--set", one)]
    arms = ("--arm", f"mine:model={own}/net.py:Own", "--arm", "mine:model.width=4", "--arm", "mine:model.gain=3.0")
    return ablata("study", "run", "--recipe", "digits", *sets, *arms, "--seeds", str(seeds), "--margin", "50",
                  "--force-fixed", "--workers", "2", *more)  # fmt: skip


def scores_of(home: Path, study: str, arm: str = "mine") -> list[tuple[int, dict[str, Any] | None, str]]:
    with Ledger(home=home) as ledger:
        cells = [cell for cell in ledger.studies.cells(study) if cell.arm == arm]
        return sorted((cell.seed, cell.run.scores, cell.run.code) for cell in cells)


@pytest.mark.slow
def test_a_study_with_workers_is_asked_anew_once_the_network_changes(
    ablata: Run, own: Path, home: Path, tmp_path: Path
) -> None:
    assert ask(ablata, own).status == 0
    assert ask(ablata, own).err.startswith("study digits-")
    (own / "blocks.py").write_text(BLOCKS.replace("mul_(gain)", "mul_(-gain)"))
    assert ask(ablata, own).status == 0
    with Ledger(home=home) as ledger:
        first, second = (study.name for study in sorted(ledger.studies.all(), key=lambda one: one.created))
    before, after = scores_of(home, first), scores_of(home, second)
    assert [one[1] for one in before] != [one[1] for one in after]
    assert scores_of(home, first, "control") == scores_of(home, second, "control")
    said = ablata("study", "run", first)
    assert f"trained before {own}/blocks.py changed; another name asks" in said.err
    assert said.status == 0
    shutil.rmtree(own)
    for arguments in (("report", first), ("status", first), ("run", first, "--output", str(tmp_path / "page.html"))):
        said = ablata("study", *arguments)
        assert said.status == 0
    assert f"gone since it was trained: {own}/blocks.py, {own}/net.py" in said.err


@pytest.mark.slow
def test_an_open_study_goes_on_with_the_code_it_began_with(ablata: Run, own: Path, home: Path) -> None:
    """An arm of which a run has ended uses its copy; one without is told what is gone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ablata.studies.launch.StudyRunner.run", lambda self: None)
        patch.setattr("ablata.cli.studies.reporting.write_report", lambda *a: None)
        assert ask(ablata, own, "--name", "asked").status == 0
    gone = own.rename(own.parent / "moved")
    lost = ablata("study", "run", "asked")
    assert lost.status == 2
    assert f"{own}/net.py" in lost.err
    assert "arm mine of study asked" in lost.err
    gone.rename(own)

    with Ledger(home=home) as ledger:
        from ablata.recipes.index import restore_recipe
        from ablata.studies.identity import new_run, record_environment
        from ablata.studies.workers.worker import work

        here = record_environment(ledger)
        for arm in ledger.studies.arms("asked"):
            new = new_run(ledger, restore_recipe(arm.recipe, "it"), 0, here)
            ledger.studies.enqueue("asked", arm.name, new)
        assert work(ledger, idle_exit=True) == 2
    shutil.rmtree(own)
    done = ablata("study", "run", "asked", "--workers", "2")
    assert done.status == 0, done.err
    assert "mine: " in done.err
    assert "is gone since this was trained: the copy in" in done.err
    assert len({code for _, _, code in scores_of(home, "asked")}) == 1
    index = [json.loads(path.read_text()) for path in home.glob("runs/*/code/files.json")]
    assert index == 2 * [{str(own / name): name for name in ("blocks.py", "net.py")}]


def test_a_worker_refuses_files_that_changed_after_the_launch(ablata: Run, own: Path, home: Path) -> None:
    from ablata.recipes.index import load_recipe
    from ablata.studies.identity import new_run, record_environment

    with Ledger(home=home) as ledger:
        recipe = load_recipe("digits", [f"model={own}/net.py:Own", *QUICK])
        run = ledger.runs.enqueue(new_run(ledger, recipe, 0, record_environment(ledger)))
        (own / "blocks.py").write_text(BLOCKS + "# changed\n")
        assert ablata("worker", "--idle-exit").status == 0
        ended = ledger.runs.get(run.id)
    assert ended.state == "failed"
    assert f"{own}/blocks.py, {own}/net.py changed since" in str(ended.error)


def test_two_files_of_one_name_in_one_study_are_refused_in_words(ablata: Run, own: Path) -> None:
    other = shutil.copytree(own, own.parent / "other")
    (other / "net.py").write_text(NET + "# other\n")
    arms = ("--arm", f"one:model={own}/net.py:Own", "--arm", f"two:model={other}/net.py:Own")
    told = ablata("study", "run", "--recipe", "digits", *arms, "--seeds", "2", "--margin", "1")
    assert told.status == 2
    assert "must have different names" in told.err
    assert f"{other}/net.py" in told.err


@pytest.fixture
def foreign(ablata: Run, own: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A study of one finished and one open run, and an exported folder, taken into another home without the files."""
    assert ask(ablata, own, "--name", "carried").status == 0
    with Ledger(home=home) as ledger:
        cells = {(cell.arm, cell.seed): cell.run.id for cell in ledger.studies.cells("carried")}
    run = cells["mine", 0]
    assert ablata("export", run, "--format", "hub", "--output", "hub").status == 0
    assert ablata("study", "export", "carried", "carried.ablata", "--checkpoints").status == 0
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "victim"))
    shutil.rmtree(own)
    return {"run": run, "open": cells["mine", 1], "image": str(tmp_path / "digit.png")}


def rewrite(path: str, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the entries of an archive, with a manifest that fits."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(entries.pop("manifest.json"))
    change(entries)
    about["entries"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in entries.items()
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**entries, "manifest.json": json.dumps(about).encode()}.items():
            archive.writestr(name, data)


def reopen(run: str) -> Callable[[dict[str, bytes]], None]:
    """Let a run of an archive wait, and its study be open."""

    def change(entries: dict[str, bytes]) -> None:
        runs, study = json.loads(entries["runs.json"]), json.loads(entries["study.json"])
        next(one for one in runs["runs"] if one["id"] == run).update(state="waiting", scores=None, finished=None)
        study["study"].update(state="open", finished=None)
        study["looks"] = []
        for arm in study["arms"]:
            arm.update(state="open", verdict=None, reason=None)
        entries["runs.json"], entries["study.json"] = json.dumps(runs).encode(), json.dumps(study).encode()

    return change


@pytest.mark.slow
def test_code_from_elsewhere_runs_only_where_it_is_trusted(ablata: Run, foreign: dict[str, str]) -> None:
    rewrite("carried.ablata", reopen(foreign["open"]))
    assert ablata("study", "import", "carried.ablata").status == 0
    run, image = foreign["run"], foreign["image"]
    here = str(Path.cwd())
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", "")).startswith(here):
            del sys.modules[name]
    for number, arguments in enumerate(
        [
            ("evaluate", run),
            ("predict", run, image),
            ("export", run, "--format", "pt2", "--output", "m.pt2"),
            ("train", "--resume", foreign["open"]),
            ("study", "run", "carried", "--workers", "1"),
            ("worker", "--idle-exit"),
            ("worker", "--study", "carried"),
            ("predict", "hub", image),
            ("export", "hub", "--format", "pt2", "--output", "n.pt2"),
        ]
    ):
        told = ablata(*arguments)
        assert told.status == 2, arguments
        assert "runs only if you trust it" in told.err
        assert "net.py:Own from " in told.err
        assert ("hub/code/net.py" if "hub" in arguments else "/code/net.py") in told.err
        assert told.err.rstrip().endswith("read it, then say --trust-code"), number
    assert not any(str(getattr(module, "__file__", "")).startswith(here) for module in [*sys.modules.values()])
    for arguments in (
        ("evaluate", run),
        ("predict", run, image),
        ("predict", "hub", image),
        ("study", "run", "carried"),
    ):
        told = ablata(*arguments, "--trust-code")
        assert told.status == 0, told.err
        assert "trusted: " in told.err
        assert "/code/net.py" in told.err
    assert ablata("study", "report", "carried").status == 0


def test_no_code_in_an_archive_runs_unasked(
    ablata: Run, own: Path, home: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Whatever a forged archive refers to: a file it brings, a module of Python's, a recipe's name."""
    assert ablata("train", "digits", *QUICK).status == 0
    sets = [word for one in QUICK for word in ("--set", one)]
    study = ("--arm", "wide:model.width=6", "--seeds", "2", "--margin", "5", "--force-fixed", "--workers", "1")
    assert ablata("study", "run", "--recipe", "digits", *sets, *study, "--name", "small").status == 0
    assert ablata("study", "export", "small", "good.ablata", "--checkpoints").status == 0
    mark = tmp_path / "ran"

    def forge(part: str, value: str, name: str | None = None) -> Callable[[dict[str, bytes]], None]:
        def change(entries: dict[str, bytes]) -> None:
            runs = json.loads(entries["runs.json"])
            for one in runs["runs"]:
                evil = f"runs/{one['id']}/code/evil.py"
                entries[evil] = f"open({str(mark)!r}, 'w')\ndef boom(): pass\n".encode()
                entries[f"runs/{one['id']}/code/files.json"] = b'{"/evil.py": "evil.py"}'
                if name is not None:
                    one["recipe_name"] = name.replace("RUN", one["id"])
            for tree in runs["recipes"].values():
                if part == "task":
                    tree["task"] = value
                elif part:
                    tree[part]["kind"] = value
            entries["runs.json"] = json.dumps(runs).encode()

        return change

    for number, (part, value, name) in enumerate(
        [
            ("model", "/evil.py:boom", None),
            ("task", "/evil.py:boom", None),
            ("loss", "os:system", None),
            ("optim", "subprocess:Popen", None),
            ("", "", f"{tmp_path}/victim0/runs/RUN/code/evil.py:boom"),
            ("task", "mine", ".ablata/runs/RUN/code/evil.py:boom"),
        ]
    ):
        shutil.copy("good.ablata", "evil.ablata")
        rewrite("evil.ablata", forge(part, value, name))
        monkeypatch.setenv("ABLATA_HOME", str(tmp_path / f"victim{number}"))
        assert ablata("study", "import", "evil.ablata").status == 0
        with Ledger(home=tmp_path / f"victim{number}") as ledger:
            run = ledger.studies.cells("small")[0].run.id
        wanted = 0 if not part else 2
        assert ablata("evaluate", run).status == wanted, (part, value)
        for arguments in (("train", "--resume", run), ("study", "run", "small"), ("worker", "--idle-exit")):
            assert ablata(*arguments).status in (0, 2)
        assert not mark.exists(), (part, value, name)


@pytest.mark.slow
def test_an_archive_changes_no_code_of_a_run_made_here(ablata: Run, own: Path, home: Path) -> None:
    assert ask(ablata, own, "--name", "asked").status == 0
    assert ablata("study", "export", "asked", "asked.ablata").status == 0
    with Ledger(home=home) as ledger:
        run = next(cell.run for cell in ledger.studies.cells("asked") if cell.arm == "mine")
        folder = ledger.runs.folder(run)
    shutil.rmtree(folder / "code")
    assert ablata("study", "import", "asked.ablata").status == 0
    assert not (folder / "code").exists()
    assert ablata("evaluate", run.id).status == 0


@pytest.mark.slow
def test_a_script_is_found_by_the_workers_of_its_study(home: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from ablata.models.classification.digits_net import DigitsNet\n"
        "class Own(DigitsNet):\n    gain: float = 1.0\n"
        "if __name__ == '__main__':\n"
        "    from ablata.recipes.index import load_recipe\n"
        "    from ablata.records import Ledger\n"
        "    from ablata.studies.launch import StudyRunner, create\n"
        "    from ablata.studies.workers.pool import Workers\n"
        "    from ablata.studies.study import Study\n"
        f"    control = load_recipe('digits', {list(QUICK)!r})\n"
        "    mine = control.model_copy(update={'model': Own(width=4)})\n"
        "    parts = {'margin': 50, 'seeds': 2, 'fixed': True}\n"
        "    study = Study(name='s', question='?', control=control, arms={'mine': mine}, **parts)\n"
        "    with Ledger() as ledger:\n"
        "        create(ledger, study)\n"
        "        StudyRunner(ledger, 's', Workers(2, 1)).run()\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(scores_of(home, "s")) == 2
    index = json.loads(next(home.glob("runs/*/code/files.json")).read_text())
    assert index == {str(tmp_path / "script.py"): "script.py"}
