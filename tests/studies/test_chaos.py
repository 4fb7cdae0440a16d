"""Kills in the middle of trainings change nothing (`make chaos`): trainers, workers, launchers, the database, Ray.

`CHAOS_KILLS` says how many in all (by default 30), shared by a study on SQLite, one on Postgres and one on Ray.
"""

from __future__ import annotations

import importlib.util
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.records.processes import worker_name
from ablata.records.rows import RunRow
from ablata.studies.launch import create
from ablata.studies.study import Study

REFUSED = 2
"""Exit status of a command that was refused."""
KILLS = int(os.environ.get("CHAOS_KILLS", "30")) // 3
"""Of one study."""
PATIENCE_SECONDS = 3600
"""How long a machine that is busy elsewhere may take to the next kill."""
NAME, RUNS = "chaos", 24
HAS_RAY = importlib.util.find_spec("ray") is not None

pytestmark = pytest.mark.slow


def long_study() -> Study:
    """Twenty-four trainings, saved ten times a second, judged once at the end.

    While a killed worker's successor starts, the other worker trains on: there must be enough left for the last kill.
    """
    epochs = max(20, math.ceil(1.5 * KILLS))
    changes = [f"train.epochs={epochs}", "train.checkpoint_seconds=0.1", "train.log_every=5", "compute.threads=1"]
    arms = {"narrow": ("model.width=6",), "slow": ("optim.lr=0.02",), "flip": ("data.augment.flip=true",)}
    return Study(
        name=NAME, question="?", control=load_recipe("digits", changes), arms=arms, margin=2.0, seeds=6, fixed=True
    )


def outcome(ledger: Ledger) -> dict[str, Any]:
    """The verdicts, every score and every point of every curve, by arm and seed."""
    cells = ledger.studies.cells(NAME)
    assert {cell.run.state for cell in cells} == {"completed"}
    assert len(ledger.runs.find()) == len({cell.run.id for cell in cells}) == len(cells) == RUNS
    names = {cell.run.id: f"{cell.arm}, seed {cell.seed}" for cell in cells}
    points = {
        (names[curve.run], curve.name, step): value
        for curve in ledger.metrics.of_runs(list(names))
        for step, value in zip(curve.steps, curve.values, strict=True)
    }
    scores = {names[cell.run.id]: cell.run.scores for cell in cells}
    return {"verdicts": ledger.studies.looks(NAME)[-1].result, "scores": scores, "points": points}


def process_of(run: RunRow) -> int:
    """The process that holds a run."""
    return int(str(run.owner).rpartition(":")[2])


def status_of(pid: int) -> list[str]:
    """What the kernel says of a process from its state on; nothing if there is none."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def lives(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    return status_of(pid)[:1] not in ([], ["Z"])


class Chaos:
    """Starts launchers and trainers on a ledger and kills them, or what they need, while they train."""

    def __init__(self, ledger: Ledger, log: Path, *launch: str) -> None:
        self.ledger, self.log, self.draw = ledger, log, random.Random(30)
        self.launch = launch
        self.launcher: subprocess.Popen[bytes] | None = None
        self.kills: Counter[str] = Counter()
        self.seen: dict[tuple[str, int], int | None] = {}
        self.be_patient()

    def be_patient(self) -> None:
        """Count the time that may pass from now on anew."""
        self.end = time.monotonic() + PATIENCE_SECONDS

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        where = {"ABLATA_HOME": str(self.ledger.home), "ABLATA_DB": self.ledger.address}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "ablata", *arguments]
            return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | where)

    def until(self, condition: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
        while not (found := condition()):
            assert time.monotonic() < self.end, f"nothing came of it in time: {self.log.read_text()[-2000:]}"
            assert process.poll() is None, f"it ended: {self.log.read_text()[-2000:]}"
            time.sleep(0.01)
        return found

    def trained(self) -> list[RunRow]:
        """The runs that a living process has trained for some steps, in this attempt, and goes on with."""
        running = self.ledger.runs.find(state="running")
        steps = {run.id: (run.progress or {}).get("step") for run in running}
        return [
            run
            for run in running
            if steps[run.id] != self.seen.setdefault((run.id, run.attempt), steps[run.id]) and lives(process_of(run))
        ]

    def strike(self, run: RunRow, kill: Callable[[], None]) -> bool:
        """Kill at a drawn moment; tell whether that cut the training of the run off."""
        time.sleep(self.draw.uniform(0.0, 0.8))
        now = self.ledger.runs.get(run.id)
        if (now.state, now.attempt) != ("running", run.attempt) or not lives(process_of(run)):
            return False
        kill()
        return True

    def launched(self) -> subprocess.Popen[bytes]:
        if self.launcher is None or self.launcher.poll() is not None:
            self.launcher = self.start("study", "run", NAME, "--workers", "2", *self.launch)
        return self.launcher

    def victim(self) -> RunRow:
        found: RunRow = self.draw.choice(self.until(self.trained, self.launched()))
        return found

    def kill_worker(self) -> bool:
        run = self.victim()
        return self.strike(run, lambda: os.kill(process_of(run), signal.SIGKILL))

    def kill_launcher(self) -> bool:
        run, launcher = self.victim(), self.launched()
        if struck := self.strike(run, launcher.kill):
            launcher.wait()
        return struck

    def kill_trainer(self) -> bool:
        if self.launcher is not None:
            self.launcher.kill()
            self.launcher.wait()
        while running := self.ledger.runs.find(state="running"):
            # Workers whose launcher is gone save and end.
            assert time.monotonic() < self.end
            if not any(lives(process_of(run)) for run in running):
                break
            time.sleep(0.05)
        (open_runs := self.ledger.runs.find(state=["waiting", "running"])).sort(key=lambda run: run.id)
        if not open_runs:
            return False
        chosen = open_runs[0].id
        trainer = self.start("train", "--resume", chosen)

        def at_work() -> RunRow | str | None:
            mine = [run for run in self.trained() if run.owner == worker_name(trainer.pid)]
            # A worker that was claiming when its launcher died has it, and lets go of it after a step.
            return mine[0] if mine else "refused" if trainer.poll() == REFUSED else None

        found = self.until(at_work, trainer)
        struck = isinstance(found, RunRow) and self.strike(found, trainer.kill)
        trainer.kill()
        trainer.wait()
        return struck

    def play(self, strikes: dict[str, Callable[[], bool]]) -> None:
        """Strike in turn, in a drawn order, until all kills were made; then let the study end."""
        order = [list(strikes)[place % len(strikes)] for place in range(KILLS)]
        self.draw.shuffle(order)
        # The first launcher makes the runs.
        order.insert(0, order.pop(order.index("worker")))
        try:
            for kind in order:
                while not strikes[kind]():
                    assert self.ledger.runs.find(state=["waiting", "running"]), f"all trained after {self.kills}"
                self.kills[kind] += 1
                self.be_patient()
                print(f"{time.strftime('%H:%M:%S')} {dict(self.kills)}", flush=True)
            self.finish()
        finally:
            if self.launcher is not None:
                self.launcher.kill()

    def finish(self) -> None:
        launcher = self.launched()
        assert launcher.wait(max(1.0, self.end - time.monotonic())) == 0, self.log.read_text()[-2000:]


class RayCluster:
    """A Ray cluster of one node on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.process = folder, None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus", "4"]
        command += ["--port", str(self.port), "--temp-dir", str(self.folder), "--include-dashboard", "false"]
        command += ["--object-store-memory", str(10**8), "--disable-usage-stats"]
        with (self.folder / "start.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + PATIENCE_SECONDS
        while "Ray runtime started" not in (self.folder / "start.log").read_text():
            ended = time.monotonic() > end or self.process.poll() is not None
            assert not ended, (self.folder / "start.log").read_text()
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill its head: the server of the cluster and the one of the node, and what started them."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in [self.process.pid, *map(int, children)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        (self.folder / "start.log").unlink()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the study ends in when nothing happens."""
    folder = tmp_path_factory.mktemp("quiet")
    with Ledger(home=folder / "home") as quiet:
        create(quiet, long_study())
        Chaos(quiet, folder / "log").finish()
        return outcome(quiet)


def check(chaos: Chaos, undisturbed: dict[str, Any], began: float) -> None:
    """Compare a study that was disturbed with the one that was not."""
    attempts = sum(run.attempt for run in chaos.ledger.runs.find())
    print(f"{dict(chaos.kills)} killed; {attempts} attempts at {RUNS} runs; {time.monotonic() - began:.0f} s")
    # A training waits for a database that was killed, and goes on in the same attempt.
    assert attempts >= RUNS + chaos.kills.total() - chaos.kills["database"]
    found = outcome(chaos.ledger)
    assert found["scores"] == undisturbed["scores"]
    assert found["verdicts"] == undisturbed["verdicts"]
    assert found["points"] == undisturbed["points"]


def test_kills_of_trainers_workers_and_launchers_change_nothing(
    undisturbed: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    began = time.monotonic()
    create(ledger, long_study())
    chaos = Chaos(ledger, tmp_path / "log")
    chaos.play({"worker": chaos.kill_worker, "launcher": chaos.kill_launcher, "trainer": chaos.kill_trainer})
    check(chaos, undisturbed, began)


@pytest.mark.postgres
def test_kills_of_the_database_too_change_nothing(
    undisturbed: dict[str, Any], mortal_postgres: Any, home: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    with Ledger(f"{mortal_postgres.address}/postgres", home=home) as ledger:
        create(ledger, long_study())
        chaos = Chaos(ledger, tmp_path / "log")

        def kill_server() -> bool:
            if struck := chaos.strike(chaos.victim(), mortal_postgres.kill):
                time.sleep(chaos.draw.uniform(0.0, 3.0))
                mortal_postgres.start()
            return struck

        strikes = {"worker": chaos.kill_worker, "launcher": chaos.kill_launcher, "trainer": chaos.kill_trainer}
        chaos.play(strikes | {"database": kill_server})
        check(chaos, undisturbed, began)


@pytest.mark.skipif(not HAS_RAY, reason="pip install 'ablata[ray]'")
def test_kills_of_the_cluster_too_change_nothing(
    undisturbed: dict[str, Any],
    ledger: Ledger,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began = time.monotonic()
    # A head takes a token where the user has one; an address that is given asks for none.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    create(ledger, long_study())
    cluster = RayCluster(tmp_path_factory.mktemp("r"))
    chaos = Chaos(ledger, tmp_path / "log", "--ray", f"127.0.0.1:{cluster.port}")

    def kill_task() -> bool:
        run = chaos.victim()
        return chaos.strike(run, lambda: os.kill(int(status_of(process_of(run))[1]), signal.SIGKILL))

    def kill_head() -> bool:
        run, launcher = chaos.victim(), chaos.launched()
        if struck := chaos.strike(run, cluster.kill):
            # A driver without its cluster ends by itself.
            launcher.wait(max(1.0, chaos.end - time.monotonic()))
            cluster.start()
        return struck

    cluster.start()
    try:
        strikes = {"worker": chaos.kill_worker, "launcher": chaos.kill_launcher}
        chaos.play(strikes | {"task": kill_task, "head": kill_head})
    finally:
        cluster.kill()
    check(chaos, undisturbed, began)
