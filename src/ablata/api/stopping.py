"""Stop or cancel what goes on in a lab: studies on any machine, runs on this one; no torch."""

from __future__ import annotations

import os
import signal

from ablata.api.opening import open_ledger
from ablata.base.errors import RecordError, listing
from ablata.records.ledger import Ledger
from ablata.records.processes import process_is_gone, worker_name
from ablata.studies.stopping import ask_to_stop


def stop_study(name: str, *, ledger: Ledger | None = None) -> list[str]:
    """Ask a study that goes on to stop: each training finishes its step and is saved; `study run` goes on with it.

    Args:
        name: the study.
        ledger: where it is; None: the lab's own.

    Returns:
        Ids of the runs that are under way, which end within a step or with their program.

    Raises:
        RecordError: there is no such study, or it has ended.
    """
    with open_ledger(ledger, create=False) as opened:
        _check_open(opened, name)
        ask_to_stop(opened, name)
        return [run.id for run in opened.runs.find(study=name, state="running")]


def cancel_study(name: str, *, ledger: Ledger | None = None) -> int:
    """End a study now: what has ended is judged as it stands, runs that wait are cancelled, nothing more is trained.

    Args:
        name: the study.
        ledger: where it is; None: the lab's own.

    Returns:
        How many waiting runs were cancelled; those that another study needs stay.

    Raises:
        RecordError: there is no such study, or it has ended.
    """
    with open_ledger(ledger, create=False) as opened:
        _check_open(opened, name)
        return opened.studies.finish(name)


def stop_run(run: str, *, ledger: Ledger | None = None) -> str:
    """Ask a training on this machine to finish its step and save; `ablata train --resume` goes on with it.

    Args:
        run: its id, or a beginning of it.
        ledger: where it is; None: the lab's own.

    Returns:
        The whole id.

    Raises:
        RecordError: it does not run, it runs elsewhere, or a study would take it up again at once.
    """
    with open_ledger(ledger, create=False) as opened:
        row = opened.runs.get(run)
        if row.state != "running" or row.owner is None:
            raise RecordError(
                "Only a run that is running can be stopped",
                found=f"run {row.id} is {row.shown_state}",
                do="ablata runs cancel ends one that waits",
            )
        studies = [name for name in opened.runs.studies_of(row.id) if opened.studies.get(name).state == "open"]
        if studies:
            raise RecordError(
                "A run of a study is stopped with the study, which would take it up again",
                found=f"run {row.id} of {listing(studies)}", do=f"ablata study stop {studies[0]}",
            )  # fmt: skip
        process = int(row.owner.rpartition(":")[2])
        if process_is_gone(row.owner) or worker_name(process) != row.owner:
            raise RecordError(
                "A run is stopped on the machine where it runs", found=f"run {row.id}, held by {row.owner}",
                do="press Ctrl-C there; a run whose process is gone is taken up by the next that asks for it",
            )  # fmt: skip
        os.kill(process, signal.SIGINT)
        return row.id


def cancel_run(run: str, *, ledger: Ledger | None = None) -> str:
    """Cancel a run that waits.

    Args:
        run: its id, or a beginning of it.
        ledger: where it is; None: the lab's own.

    Returns:
        The whole id.

    Raises:
        RecordError: it does not wait, or an open study needs it.
    """
    with open_ledger(ledger, create=False) as opened:
        row = opened.runs.get(run)
        if row.state != "waiting":
            do = f"ablata runs stop {row.id}" if row.state == "running" else None
            raise RecordError(
                "Only a run that waits can be cancelled", found=f"run {row.id} is {row.shown_state}", do=do
            )
        if not opened.runs.cancel(row.id):
            studies = opened.runs.studies_of(row.id)
            raise RecordError(
                "A run that an open study needs is cancelled with it", found=f"run {row.id} of {listing(studies)}",
                do=f"ablata study cancel {studies[0]}" if studies else f"ablata runs show {row.id}",
            )  # fmt: skip
        return row.id


def refuse_ended(name: str, *, ledger: Ledger | None = None) -> None:
    """Refuse a study that has ended.

    Args:
        name: the study.
        ledger: where it is; None: the lab's own.

    Raises:
        RecordError: there is no such study, or it has ended.
    """
    with open_ledger(ledger, create=False) as opened:
        _check_open(opened, name)


def _check_open(ledger: Ledger, name: str) -> None:
    if (study := ledger.studies.get(name)).state != "open":
        raise RecordError(
            "Only a study that has not ended can be stopped",
            found=f"study {name!r} is {study.state}",
            do="ablata study report shows what it found",
        )
