"""What the runs of a loop say: scores by proposal, evidence for the rule, guardrails, what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ablata.records.ledger import Ledger
from ablata.records.questions.judged import judged_values
from ablata.records.rows import LoopRow, LoopRun, RunRole, RunRow
from ablata.stats.guards import PooledDifference, pooled_difference
from ablata.stats.loop import Evidence, LoopNoise, pooled_noise
from ablata.studies.guards import GUARDS

Groups = dict[tuple[int, RunRole], dict[int, float]]
"""Values by seed, of each proposal and role."""
_ALPHA = 0.05


@dataclass(frozen=True)
class GuardState:
    """One guardrail beside a proposal.

    Args:
        key: of the quantity.
        state: `within`: shown not to be worse by more than allowed; `beyond`: shown to be; `open`.
        allowed: by how much it may be worse, in its unit.
        worse: by how much it is, with its bounds.
    """

    key: str
    state: Literal["within", "beyond", "open"]
    allowed: float
    worse: PooledDifference

    def to_json(self) -> dict[str, Any]:
        """Return it as a proposal's result holds it."""
        return {"key": self.key, "state": self.state, "allowed": self.allowed, "worse": self.worse.effect,
                "low": self.worse.low, "high": self.worse.high}  # fmt: skip


class LoopScores:
    """The runs of a loop as they stand.

    Args:
        ledger: where it is.
        name: of the loop.
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

    def of(self, number: int, role: RunRole) -> list[LoopRun]:
        """Return the runs of a proposal in a role."""
        return [one for one in self.runs if (one.number, one.role) == (number, role)]

    def lost(self, number: int, role: RunRole) -> list[RunRow]:
        """Return those that ended without the score that is judged."""
        known = self.groups.get((number, role), {})
        over = ("completed", "diverged", "failed")
        return [one.run for one in self.of(number, role) if one.run.state in over and one.seed not in known]

    def evidence(self, number: int) -> Evidence:
        """Return what a proposal is judged by."""
        return Evidence(
            baseline=self.groups.get((self.loop.best, "baseline"), {}),
            proposal=self.groups.get((number, "trial"), {}),
            pools=_pools(self.groups, number, self.loop.best),
        )

    def noise(self) -> LoopNoise:
        """Return the spread of a run over the whole loop."""
        return pooled_noise([list(group.values()) for group in self.groups.values()])

    def seconds(self) -> float:
        """Return how long all runs took."""
        runs = {one.run.id: one.run for one in self.runs}
        return sum(float((run.cost or {}).get("seconds") or 0.0) for run in runs.values())

    def seconds_a_run(self) -> float | None:
        """Return how long a run takes; None before the first has ended."""
        known = [float(one.run.cost["seconds"]) for one in self.runs if one.run.cost and "seconds" in one.run.cost]
        return float(np.median(known)) if known else None

    def seeds(self) -> set[int]:
        """Return all seeds that were used."""
        return {one.seed for one in self.runs}

    def guards(self, number: int) -> list[GuardState]:
        """Return how each guardrail stands for a proposal; those without values are left out."""
        return [found for told in self.loop.spec[GUARDS] if (found := self._guard(told, number)) is not None]

    def _guard(self, told: Mapping[str, Any], number: int) -> GuardState | None:
        groups = self.of_key(told["key"])
        base = list(groups.get((self.loop.best, "baseline"), {}).values())
        own = list(groups.get((number, "trial"), {}).values())
        if not base or not own:
            return None
        sign = -1.0 if told["higher_is_better"] else 1.0
        turned = [[sign * value for value in group] for group in (base, own, *_pools(groups, number, self.loop.best))]
        allowed = told["allowed"] * (abs(float(np.mean(base))) / 100 if told["percent"] else 1.0)
        worse = pooled_difference(turned[0], turned[1], turned[2:], alpha=_ALPHA)
        state: Literal["within", "beyond", "open"] = (
            "within" if worse.high < allowed else "beyond" if worse.low > allowed else "open"
        )
        return GuardState(told["key"], state, allowed, worse)

    def saved(self, number: int, what: str) -> PooledDifference | None:
        """Return how much larger a proposal is than the best in `time` or `parameters`; None: not recorded."""
        keys = ("cost/seconds",) if what == "time" else ("parameters", "params", "cost/parameters")
        for key in keys:
            groups = self.of_key(key)
            base, own = groups.get((self.loop.best, "baseline"), {}), groups.get((number, "trial"), {})
            if base and own:
                pools = _pools(groups, number, self.loop.best)
                return pooled_difference([*base.values()], [*own.values()], pools, alpha=_ALPHA)
        return None


def _pools(groups: Groups, number: int, best: int) -> Sequence[Sequence[float]]:
    """Return the groups that tell the noise alone, where a proposal is compared with the best."""
    compared = ((number, "trial"), (best, "baseline"))
    return [list(group.values()) for key, group in groups.items() if key not in compared]
