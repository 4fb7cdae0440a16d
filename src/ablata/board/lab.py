"""The ledger as the board reads it: connections that cannot write, what has changed, and how work goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select

from ablata.records.ledger import Ledger
from ablata.records.rows import GIVEN_CODE, RunRow
from ablata.records.runs import RUN_COLUMNS
from ablata.records.tables import Arm, Event, LookTable, ProposalRun, ProposalTable, Run, StudyRun, StudyTable
from ablata.reports.collect_runs import plain_settings
from ablata.reports.factorial.record import FactorialRecord

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
        kind: study, factorial study, or judged scores.
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


@dataclass(frozen=True)
class RunSummary:
    """A run in a table, with the studies and arms that use it, and its recipe's settings by dotted key."""

    row: RunRow
    uses: tuple[tuple[str, str], ...]
    settings: dict[str, str]


class Lab:
    """A ledger opened for the board: its connections refuse to write.

    Args:
        ledger: the ledger, open; the board keeps it.

    Attributes:
        ledger: the same.
        home: the lab's home folder.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.home = ledger, ledger.home
        ledger.database.only_read()
        ledger.database.patience = _PATIENCE_SECONDS
        self._lock = threading.Lock()
        self._version: tuple[float, str] = (-_AGE_SECONDS, "")
        self._settings: dict[str, dict[str, str]] = {}

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
        studies = select(func.count(), func.max(StudyTable.id), func.max(StudyTable.finished))
        stopped = select(func.count()).where(Arm.state == "stopped")
        others = (
            select(func.max(LookTable.id)),
            select(func.max(Event.id)),
            select(func.count()).select_from(StudyRun),
            select(func.count(), func.max(ProposalTable.decided), func.max(ProposalTable.id)),
            select(func.count()).select_from(ProposalRun),
        )
        with self.ledger.database.read() as connection:
            parts = [tuple(connection.execute(one).one()) for one in (runs, waiting, studies, stopped, *others)]
        return repr(parts)

    def studies(self) -> list[StudySummary]:
        """Return all studies, the newest first, in three queries."""
        cells = (
            select(StudyRun.study_id, StudyRun.arm_id, Run.state, Run.cost)
            .join(Run, Run.id == StudyRun.run_id)
            .order_by(StudyRun.study_id)
        )
        with self.ledger.database.read() as connection:
            studies = connection.execute(select(StudyTable).order_by(StudyTable.id.desc())).all()
            arms = connection.execute(
                select(Arm.study_id, Arm.id, Arm.name, Arm.is_control, Arm.verdict, Arm.state).order_by(Arm.position)
            ).all()
            runs = connection.execute(cells).all()
            asked = [study.id for study in studies if study.state == "open" or "design" in study.spec]
            looks = connection.execute(_last_looks(asked)).all() if asked else []
        by_study: dict[int, list[Any]] = {}
        for arm in arms:
            by_study.setdefault(arm.study_id, []).append(arm)
        used: dict[int, list[Any]] = {}
        for run in runs:
            used.setdefault(run.study_id, []).append(run)
        seen = {look.study_id: look.result for look in looks}
        return [
            _summary(study, by_study.get(study.id, []), used.get(study.id, []), seen.get(study.id)) for study in studies
        ]

    def runs(self) -> list[RunSummary]:
        """Return all runs, newest first, with their settings; the settings of a recipe are read once."""
        rows = self.ledger.runs.find()
        uses = self.ledger.studies.uses(rows)
        settings = self._settings_of(rows)
        return [RunSummary(row, tuple(uses.get(row.id, ())), settings[row.recipe_hash]) for row in rows]

    def _settings_of(self, rows: Sequence[RunRow]) -> dict[str, dict[str, str]]:
        """Settings by recipe hash, as JSON under dotted keys; what a hash stands for never changes."""
        new = list({row.recipe_hash: row for row in rows if row.recipe_hash not in self._settings}.values())
        trees = self.ledger.runs.settings_of(new) if new else {}
        with self._lock:
            self._settings |= {row.recipe_hash: plain_settings(trees[row.id]) for row in new}
            return self._settings

    def under_way(self) -> list[RunRow]:
        """Return the runs that are running or waiting: running first, then in the order in which they are taken."""
        order = (case((Run.state == "running", 0), else_=1), Run.priority.desc(), Run.number)
        query = select(*RUN_COLUMNS).where(Run.state.in_(("running", "waiting"))).order_by(*order)
        with self.ledger.database.read() as connection:
            return [RunRow(*row) for row in connection.execute(query)]


def _last_looks(studies: Sequence[int]) -> Any:
    newest = select(func.max(LookTable.id)).where(LookTable.study_id.in_(studies)).group_by(LookTable.study_id)
    return select(LookTable.study_id, LookTable.result).where(LookTable.id.in_(newest))


def _summary(study: Any, arms: Sequence[Any], runs: Sequence[Any], look: dict[str, Any] | None) -> StudySummary:
    """One study of the list; `look` is its newest result, where it was asked for."""
    spec = study.spec
    ended = ("completed", "diverged")
    seeds = int(spec.get("rule", {}).get("seeds", 0))
    stopped = {arm.id for arm in arms if arm.state == "stopped"}
    done = sum(run.state in ended for run in runs)
    closed = {arm: sum(run.arm_id == arm and run.state in ended for run in runs) for arm in stopped}
    planned = sum(closed.get(arm.id, seeds) for arm in arms) if study.state == "open" else done
    times = [run.cost["seconds"] for run in runs if run.cost and run.cost.get("seconds") is not None]
    running = sum(run.state == "running" for run in runs)
    left = None
    if study.state == "open" and times and planned > done:
        left = (planned - done) * sum(times) / len(times) / max(running, 1)
    kind = "judged scores" if isinstance(spec.get(GIVEN_CODE), dict) else "study"
    kind = "factorial study" if "design" in spec else kind
    return StudySummary(
        name=study.name,
        question=study.question,
        state=study.state,
        created=study.created,
        finished=study.finished,
        arms=_verdicts(spec, arms, look),
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
