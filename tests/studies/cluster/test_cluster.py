from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ablata.base.errors import RunError, SettingsError, UserError
from ablata.cli.studies.clusters import cluster_of
from ablata.records import Ledger
from ablata.records.processes import worker_name
from ablata.studies.cluster.choice import Cluster
from ablata.studies.cluster.executor import Job, JobState, Needs
from ablata.studies.cluster.pool import JobPool
from ablata.studies.cluster.slurm import SlurmExecutor, WorkerJob


class Told:
    """A cluster that keeps what it is told, and whose jobs stand as they are set."""

    name = "told"

    def __init__(self) -> None:
        self.jobs: dict[str, JobState] = {}
        self.last: Job | None = None
        self.cancelled: list[str] = []

    def submit(self, job: Job, count: int) -> list[str]:
        self.last = job
        made = [f"job{len(self.jobs) + place}" for place in range(count)]
        self.jobs |= dict.fromkeys(made, "waiting")
        return made

    def poll(self, job: str) -> JobState:
        return self.jobs[job]

    def cancel(self, job: str) -> None:
        self.cancelled.append(job)


def pool_of(ledger: Ledger, count: int = 2) -> tuple[JobPool, Told]:
    told = Told()
    return JobPool(ledger, "asked", told, count, Needs(cpus=3)), told


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_as_many_jobs_are_kept_as_there_are_runs_and_places(ledger: Ledger) -> None:
    pool, told = pool_of(ledger)
    pool.keep(set(), 1)
    assert list(told.jobs) == ["job0"]
    pool.keep(set(), 5)
    pool.keep(set(), 5)
    assert list(told.jobs) == ["job0", "job1"]
    told.jobs["job0"] = "ended"
    assert pool.lost_one()
    pool.keep({"a"}, 5)
    assert list(told.jobs) == ["job0", "job1", "job2"]
    assert told.last is not None
    assert " ".join(told.last.command).count("--study asked --threads 3") == 1
    assert told.last.environment["ABLATA_DB"] == ledger.address
    with pool:
        pass
    assert told.cancelled == ["job1", "job2"]


def test_jobs_that_fail_before_a_worker_takes_a_run_end_the_study_in_words(ledger: Ledger) -> None:
    pool, told = pool_of(ledger)
    for owners in (set(), {"one"}):
        pool.keep(owners, 5)
        told.jobs = dict.fromkeys(told.jobs, "failed")
    pool.keep({"one"}, 5)
    told.jobs = dict.fromkeys(told.jobs, "ended")
    with pytest.raises(RunError, match="ablata study run asked"):
        pool.keep({"one"}, 5)


def test_jobs_that_are_lost_and_whose_runs_are_taken_up_again_do_not_end_the_study(ledger: Ledger) -> None:
    pool, told = pool_of(ledger)
    for turn in range(8):
        before = len(told.jobs)
        pool.keep({f"worker{turn}"}, 5)
        assert len(told.jobs) > before, "others are submitted in their place"
        told.jobs = dict.fromkeys(told.jobs, "failed")


def test_a_worker_of_this_machine_that_is_gone_is_named_and_others_are_not(ledger: Ledger) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    pool, _ = pool_of(ledger)
    owners = {worker_name(gone.pid), worker_name(), "elsewhere/123456:7"}
    assert pool.keep(owners, 0) == {worker_name(gone.pid): -1}


def test_submitits_own_executor_runs_a_worker_and_tells_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nothing")
    said: list[str] = []
    executor = SlurmExecutor(tmp_path / "slurm", said.append)
    assert "no Slurm here" in said[0]

    def job(code: str) -> Job:
        return Job([sys.executable, "-c", code], {"MARK": "7"}, str(tmp_path), str(tmp_path / "logs" / "study"))

    right, wrong = (
        job("import os; open('made', 'w').write(os.environ['MARK'])"),
        job("print('why'); raise SystemExit(3)"),
    )
    done, failed = executor.submit(right, 1)[0], executor.submit(wrong, 1)[0]
    slept = executor.submit(job("import time; time.sleep(600)"), 1)[0]
    until(lambda: executor.poll(done) == executor.poll(failed) == "ended")
    assert (tmp_path / "made").read_text() == "7"
    assert "why" in (tmp_path / "logs" / "study").read_text()
    assert executor.poll(slept) == "running"
    executor.cancel(slept)
    until(lambda: executor.poll(slept) not in ("running", "waiting"))
    for ended in executor._jobs.values():
        ended._process.wait()


def test_slurm_is_given_an_array_with_what_a_worker_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stubs = {
        "sbatch": f'cp "$1" {tmp_path}/script; echo "Submitted batch job 123"',
        "srun": "",
        "sacct": "printf 'JobID|State|NodeList\\n123_0|RUNNING|n1\\n123_1|PREEMPTED|n2\\n'",
        "scancel": f'echo "$@" > {tmp_path}/cancelled',
    }
    (tmp_path / "bin").mkdir()
    for name, does in stubs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    executor = SlurmExecutor(tmp_path / "slurm")
    needs = Needs(cpus=4, gpus=1, memory_gb=12, minutes=90, partition="short")
    jobs = executor.submit(Job(["true"], {}, str(tmp_path), str(tmp_path / "log"), needs), 2)
    assert jobs == ["123_0", "123_1"]
    script = (tmp_path / "script").read_text()
    for line in ("array=0-1%2", "cpus-per-task=4", "mem=12GB", "partition=short", "time=90", "gpus-per-node=1"):
        assert f"#SBATCH --{line}\n" in script
    assert "--signal=USR2@120" in script
    until(lambda: [executor.poll(job) for job in jobs] == ["running", "failed"], 20)
    executor.cancel(jobs[0])
    assert (tmp_path / "cancelled").read_text().strip() == "123_0"


def test_before_a_preemption_a_worker_saves_and_the_job_is_queued_again(tmp_path: Path) -> None:
    lines = "import signal, time", "signal.signal(15, lambda *a: (open('saved', 'w'), exit(0)))", "open('up', 'w')"
    code = "\n".join((*lines, "time.sleep(99)"))
    job = WorkerJob(Job([sys.executable, "-c", code], {}, str(tmp_path), str(tmp_path / "log")))
    job._process = job.job.start()
    until(lambda: (tmp_path / "up").exists())
    again = job.checkpoint()
    assert (tmp_path / "saved").exists()
    assert job._process.returncode == 0
    assert job.__getstate__()["_process"] is None
    assert again.function.job == job.job


def test_what_is_asked_of_a_cluster_is_checked() -> None:
    nothing = (None, None, None, None, None, None)
    assert cluster_of(None, False, *nothing) is None
    asked = cluster_of(None, True, 2, 1, 8.0, "2h", "short", 3)
    assert asked == Cluster("slurm", "here", Needs(2, 1, 8.0, 120, "short"), 3)
    assert cluster_of("", False, *nothing) == Cluster("ray", "here")
    assert cluster_of("head:6379", False, *nothing) == Cluster("ray", "head:6379")
    for wrong in (
        ("", True, *nothing), (None, False, 2, *nothing[1:]), (None, True, None, 0.5, *nothing[2:]),
        ("", False, None, None, None, "1h", None, None),
    ):  # fmt: skip
        with pytest.raises(SettingsError):
            cluster_of(*wrong)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_a_missing_library_is_named(ledger: Ledger) -> None:
    with pytest.raises(UserError, match=r"ablata\[ray\]"):
        Cluster("ray").pool(ledger, "asked", [], trust_code=False, say=lambda line: None)
