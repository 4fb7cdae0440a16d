"""What the other processes of the tests do. Run as a script: WHAT ADDRESS HOME [ARGUMENT ...]; speaks in lines."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from ablata.base.errors import LeaseLostError
from ablata.records import Ledger, RunWriter


def wait_for_line() -> None:
    """Say that all is imported, and wait until the test says go, so that processes start at the same moment."""
    print("ready", flush=True)
    sys.stdin.readline()


def open_fresh(address: str, home: Path) -> None:
    """Open a ledger nobody has opened before."""
    wait_for_line()
    with Ledger(address, home=home) as ledger:
        print(len(ledger.runs.find()))


def claim_all(address: str, home: Path) -> None:
    """Claim and complete runs until none waits; print their ids."""
    wait_for_line()
    with Ledger(address, home=home) as ledger:
        while claim := ledger.leases.claim("worker", 60):
            ledger.leases.finish(claim.run.id, claim.attempt, "completed", scores={"accuracy": 1.0})
            print(claim.run.id)


def hold(address: str, home: Path, lease_seconds: str) -> None:
    """Claim a run, log a point, and keep it alive until killed."""
    with Ledger(address, home=home) as ledger:
        claim = ledger.leases.claim("victim", float(lease_seconds))
        assert claim is not None
        writer = RunWriter(ledger, claim)
        writer.metrics([(0, "loss", 1.0)])
        print(writer.run.id, flush=True)
        time.sleep(60)


def freeze(address: str, home: Path, lease_seconds: str) -> None:
    """Claim a run, be silent until told to go on, then try to write: print what becomes of it."""
    with Ledger(address, home=home) as ledger:
        claim = ledger.leases.claim("frozen", float(lease_seconds))
        assert claim is not None
        print(claim.run.id, flush=True)
        sys.stdin.readline()
        try:
            ledger.leases.finish(claim.run.id, claim.attempt, "completed", scores={"accuracy": 0.0})
            print("finished")
        except LeaseLostError:
            print("lost")


def fork(address: str, home: Path) -> None:
    """Use a ledger, fork, and use it on both sides: print what each side sees."""
    with Ledger(address, home=home) as ledger:
        before = len(ledger.runs.find())
        child = os.fork()
        if child == 0:
            os._exit(0 if len(ledger.runs.find()) == before else 1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), len(ledger.runs.find()) - before)


def remove_study_until(address: str, home: Path, study: str, point: str) -> None:
    """Remove a study with its runs, and be killed at a point on the way."""
    from ablata.records import removal

    def die(*arguments: object, **options: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with Ledger(address, home=home) as ledger:
        planned = removal.plan_study_removal(ledger, study)
        if point == "moved":
            removal._delete_runs = die
        elif point == "deleted":
            delete_runs = removal._delete_runs
            removal._delete_runs = lambda *arguments: die(delete_runs(*arguments))
        elif point == "committed":
            removal._files = die
        else:
            shutil.rmtree = die
        removal.remove(ledger, planned)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
