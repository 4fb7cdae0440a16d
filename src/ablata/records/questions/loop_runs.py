"""The runs of a research loop: what each proposal scored, by what its runs were for, and what was spent."""

from __future__ import annotations

import statistics
from functools import cached_property

from ablata.records.ledger import Ledger
from ablata.records.questions.judged import Load, is_time, judged_values, load_of
from ablata.records.rows import LoopRow, LoopRun, RunRole, RunRow

Groups = dict[tuple[int, RunRole], dict[int, float]]
"""Values by seed, of each proposal and role."""


class LoopRuns:
    """The runs of a loop as they stand.

    Args:
        ledger: where it is.
        name: of the loop.

    Attributes:
        loop: the loop.
        runs: its runs, by proposal, role and seed.
    """

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self.loop: LoopRow = ledger.loops.get(name)
        self.runs: list[LoopRun] = ledger.loops.runs(name)

    @property
    def key(self) -> str:
        """The key of what is judged."""
        return str(self.loop.spec["metric"]["key"])

    @cached_property
    def groups(self) -> Groups:
        """The judged scores of each proposal and role, by seed."""
        return self.of_key(self.key)

    def of_key(self, key: str) -> Groups:
        """Return the values of any quantity that runs record."""
        values = judged_values(self._ledger, key, [one.run for one in self.runs])
        found: Groups = {}
        for one in self.runs:
            if one.run.id in values and one.run.state == "completed":
                found.setdefault((one.number, one.role), {})[one.seed] = values[one.run.id]
        return found

    def alike(self, key: str) -> dict[tuple[int, RunRole, Load | None], list[float]]:
        """Return the values of a quantity in groups that may be compared: those of a time by what the machine did.

        A run that was trained in several launches has no time.
        """
        values, timed = judged_values(self._ledger, key, [one.run for one in self.runs]), is_time(key)
        found: dict[tuple[int, RunRole, Load | None], list[float]] = {}
        for one in self.runs:
            load = load_of(one.run) if timed else None
            if one.run.id in values and one.run.state == "completed" and (load is not None or not timed):
                found.setdefault((one.number, one.role, load), []).append(values[one.run.id])
        return found

    def of(self, number: int, role: RunRole) -> list[LoopRun]:
        """Return the runs of a proposal in a role."""
        return [one for one in self.runs if (one.number, one.role) == (number, role)]

    def lost(self, number: int, role: RunRole) -> list[RunRow]:
        """Return those that ended without the score that is judged."""
        known = self.groups.get((number, role), {})
        over = ("completed", "diverged", "failed")
        return [one.run for one in self.of(number, role) if one.run.state in over and one.seed not in known]

    def seconds(self) -> float:
        """Return how long all runs took."""
        runs = {one.run.id: one.run for one in self.runs}
        return sum(float((run.cost or {}).get("seconds") or 0.0) for run in runs.values())

    def seconds_a_run(self) -> float | None:
        """Return how long a run takes; None before the first has ended."""
        known = [float(one.run.cost["seconds"]) for one in self.runs if one.run.cost and "seconds" in one.run.cost]
        return statistics.median(known) if known else None

    def seeds(self) -> set[int]:
        """Return all seeds that were used."""
        return {one.seed for one in self.runs}
