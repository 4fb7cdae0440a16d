"""The ledger as the board reads it: connections that cannot write, what has changed, and how work goes on."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from ablata.board.run_table import LabRuns, RunTable
from ablata.records.ledger import Ledger
from ablata.records.rows import GIVEN_CODE, RunRow
from ablata.records.tables import (
    Arm,
    Event,
    LookTable,
    LoopTable,
    NoteText,
    ProposalRun,
    ProposalTable,
    Run,
    StudyRun,
    StudyTable,
)
from ablata.reports.factorial.record import FactorialRecord
from ablata.reports.pick import pick_view

_AGE_SECONDS = 1.0
"""How long a version is believed: however many browsers ask, the ledger is asked once a second."""
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class ArmSummary:
    """An arm in the list of studies: name, verdict once it has stopped."""

    name: str
    is_control: bool
    verdict: str | None


@dataclass(frozen=True)
class StudySummary:
    """A study in the list.

    Args:
        name, question, state, created, finished: of the study.
        arms: in order.
        done: runs that ended with or without a score.
        planned: cells that ran or may run.
        running: runs under way.
        seconds: that all its runs took together.
        seconds_left: an estimate; None where it cannot be told or nothing is left.
        metric: name of what is compared.
        kind: study, factorial study, judged scores, or what a study that picks takes.
    """

    name: str
    question: str
    state: str
    created: float
    finished: float | None
    arms: tuple[ArmSummary, ...]
    done: int
    planned: int
    running: int
    seconds: float
    seconds_left: float | None
    metric: str
    kind: str

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Verdicts of the arms that have one."""
        return tuple(arm.verdict for arm in self.arms if arm.verdict and not arm.is_control)


class Lab:
    """A ledger opened for the board: its connections refuse to write.

    Args:
        ledger: the ledger, open; the board keeps it.

    Attributes:
        ledger: the same.
        home: the lab's home folder.
        table: all runs, as they were read last.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.home = ledger, ledger.home
        ledger.database.only_read()
        ledger.database.patience = _PATIENCE_SECONDS
        self._lock = threading.Lock()
        self._version: tuple[float, str] = (-_AGE_SECONDS, "")
        self.table = RunTable(ledger)

    def version(self) -> str:
        """Return a text that changes when anything does that a page shows."""
        with self._lock:
            asked, text = self._version
            if time.monotonic() - asked > _AGE_SECONDS:
                text = self._read_version()
                self._version = (time.monotonic(), text)
            return text

    def _read_version(self) -> str:
        runs = select(
            func.count(), func.sum(Run.attempt), func.max(Run.heartbeat), func.max(Run.finished), func.max(Run.number)
        )
        waiting = select(func.count()).where(Run.state == "waiting")
        stopped = select(func.count()).where(Arm.state == "stopped")
        others = (
            select(func.max(LookTable.id)),
            select(func.max(Event.id)),
            select(func.count()).select_from(StudyRun),
            select(func.count(), func.max(ProposalTable.decided), func.max(ProposalTable.id)),
            select(func.count()).select_from(ProposalRun),
            select(func.count(), func.max(NoteText.time)),
        )
        named = (select(StudyTable.id, StudyTable.name, StudyTable.state), select(LoopTable.id, LoopTable.name))
        with self.ledger.database.read() as connection:
            parts = [tuple(connection.execute(one).one()) for one in (runs, waiting, stopped, *others)]
            names = [tuple(row) for one in named for row in connection.execute(one)]
        return f"{parts} {hashlib.sha256(repr(names).encode()).hexdigest()[:12]}"

    def studies(self) -> list[StudySummary]:
        """Return all studies, the newest first."""
        with self.ledger.database.read() as connection:
            studies = connection.execute(select(StudyTable).order_by(StudyTable.id.desc())).all()
            arms = connection.execute(
                select(Arm.study_id, Arm.id, Arm.name, Arm.is_control, Arm.verdict, Arm.state).order_by(Arm.position)
            ).all()
            told = ("design", "pick")
            asked = [one.id for one in studies if one.state == "open" or any(key in one.spec for key in told)]
            looks = connection.execute(_last_looks(asked)).all() if asked else []
        cells = self.runs().cells
        by_study: dict[int, list[Any]] = {}
        for arm in arms:
            by_study.setdefault(arm.study_id, []).append(arm)
        seen = {look.study_id: look.result for look in looks}
        return [
            _summary(study, by_study.get(study.id, []), cells.get(study.id, ()), seen.get(study.id))
            for study in studies
        ]

    def runs(self) -> LabRuns:
        """Return all runs as they stand; only what has changed is read."""
        return self.table.read()

    def under_way(self) -> list[RunRow]:
        """Return the runs that are running or waiting: running first, then in the order in which they are taken."""
        found = [one.row for one in self.runs().runs if one.row.state in ("running", "waiting")]
        return sorted(found, key=lambda row: (row.state != "running", -row.priority, row.number))


def _last_looks(studies: Sequence[int]) -> Any:
    newest = select(func.max(LookTable.id)).where(LookTable.study_id.in_(studies)).group_by(LookTable.study_id)
    return select(LookTable.study_id, LookTable.result).where(LookTable.id.in_(newest))


def _summary(
    study: Any, arms: Sequence[Any], cells: Sequence[tuple[int, RunRow]], look: dict[str, Any] | None
) -> StudySummary:
    """One study of the list; `cells` are its arms' numbers and runs, `look` is its newest result, if asked for."""
    spec = study.spec
    ended = ("completed", "diverged")
    seeds = int(spec.get("rule", {}).get("seeds", 0))
    stopped = {arm.id for arm in arms if arm.state == "stopped"}
    runs = [run for _, run in cells]
    done = sum(run.state in ended for run in runs)
    closed = Counter(arm for arm, run in cells if run.state in ended)
    planned = sum(closed[arm.id] if arm.id in stopped else seeds for arm in arms) if study.state == "open" else done
    times = [run.cost["seconds"] for run in runs if run.cost and run.cost.get("seconds") is not None]
    running = sum(run.state == "running" for run in runs)
    left = None
    if study.state == "open" and times and planned > done:
        left = (planned - done) * sum(times) / len(times) / max(running, 1)
    kind = "judged scores" if isinstance(spec.get(GIVEN_CODE), dict) else "study"
    kind = "factorial study" if "design" in spec else kind
    choice = pick_view((look or {}).get("choice"), seeds) if spec.get("pick") else None
    if choice is not None:
        kind = f"takes {choice.best}" if choice.best else "pick"
    return StudySummary(
        name=study.name,
        question=study.question,
        state=study.state,
        created=study.created,
        finished=study.finished,
        arms=() if choice is not None else _verdicts(spec, arms, look),
        done=done,
        planned=planned,
        running=running,
        seconds=sum(times),
        seconds_left=left,
        metric=str(spec.get("metric", {}).get("name", "")),
        kind=kind,
    )


def _verdicts(spec: dict[str, Any], arms: Sequence[Any], look: dict[str, Any] | None) -> tuple[ArmSummary, ...]:
    """Arms with the verdicts they stopped with, or have so far; of a factorial study its changes."""
    factorial = FactorialRecord.of(spec, look or {})
    if factorial is None:
        replay, names = (look or {}).get("replay") or {}, (look or {}).get("arms", ())
        so_far = {names[one["arm"] - 1]: one["verdict"] for one in replay.get("outcomes", ())}
        return tuple(ArmSummary(arm.name, bool(arm.is_control), arm.verdict or so_far.get(arm.name)) for arm in arms)
    found = factorial.result.factors if factorial.result else (None,) * len(factorial.names)
    changes = zip(factorial.names, found, strict=True)
    return tuple(ArmSummary(name, False, one.verdict.value if one else None) for name, one in changes)
