"""What the runs of a loop say to its rule: evidence, noise, guardrails, what a change saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ablata.records.questions.judged import EXACT, Load
from ablata.records.questions.loop_runs import Groups, LoopRuns
from ablata.records.rows import RunRole
from ablata.stats.guards import PooledDifference, pooled_difference
from ablata.stats.loop import Evidence, LoopNoise, outliers, pooled_noise
from ablata.studies.guards import GUARDS

_ALPHA = 0.05


@dataclass(frozen=True)
class GuardState:
    """One guardrail beside a proposal.

    Args:
        key: of the quantity.
        state: `within`: shown not to be worse by more than allowed; `beyond`: shown to be; `open`.
        allowed: by how much it may be worse, in its unit; None where no runs may be compared.
        worse: by how much it is, with its bounds; None likewise.
        base, own: runs of the best and of the proposal that it is told by.
    """

    key: str
    state: Literal["within", "beyond", "open"]
    allowed: float | None
    worse: PooledDifference | None
    base: int
    own: int

    def to_json(self) -> dict[str, Any]:
        """Return it as a proposal's result holds it."""
        told = {"key": self.key, "state": self.state, "allowed": self.allowed}
        if self.worse is None:
            return told | dict.fromkeys(("worse", "low", "high"))
        return told | {"worse": self.worse.effect, "low": self.worse.low, "high": self.worse.high}


class LoopScores(LoopRuns):
    """The runs of a loop as its rule takes them."""

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

    def warnings(self, best: int, number: int) -> tuple[str, ...]:
        """Return which runs of a baseline and of a proposal lie far from the others, a sentence each."""
        base, own = self.groups.get((best, "baseline"), {}), self.groups.get((number, "trial"), {})
        told = [one.words() for one in outliers(base, _pools(self.groups, -1, best))]
        wild = outliers(own, [*_pools(self.groups, number, best), list(base.values())])
        if len(own) == 2 and wild and base:
            # Of two runs the one that went wrong is the one that lies farther from the baseline.
            wild = [max(wild, key=lambda one: abs(one.score - float(np.mean(list(base.values())))))]
        sign = 1 if self.loop.spec["metric"]["higher_is_better"] else -1
        return (*told, *(one.words(number, is_lucky=sign * (one.score - one.low) > 0) for one in wild))

    def guards(self, number: int) -> list[GuardState]:
        """Return how each guardrail stands for a proposal; those without values are left out."""
        return [found for told in self.loop.spec[GUARDS] if (found := self._guard(told, number)) is not None]

    def _guard(self, told: Mapping[str, Any], number: int) -> GuardState | None:
        if not self.groups_of(told["key"], number):
            return None
        sign = -1.0 if told["higher_is_better"] else 1.0
        worse = self.compared(told["key"], number, sign)
        base, own = self.sides(told["key"], number)
        if worse is None:
            return GuardState(told["key"], "open", None, None, base, own)
        mean = abs(self.base_mean(told["key"], number))
        allowed = told["allowed"] * (mean / 100 if told["percent"] else 1.0)
        state: Literal["within", "beyond", "open"] = (
            "within" if worse.high < allowed else "beyond" if worse.low > allowed else "open"
        )
        if self.loop.spec["rule"]["version"] > 1 and told["key"] not in EXACT and worse.is_still(mean):
            state = "open"
        return GuardState(told["key"], state, allowed, worse, base, own)

    def saved(self, number: int, what: str) -> PooledDifference | None:
        """Return how much larger a proposal is than the best in `time` or `parameters`; None: not recorded."""
        for key in ("cost/seconds",) if what == "time" else EXACT:
            if (found := self.compared(key, number, 1.0)) is not None:
                return found
        return None

    def groups_of(self, key: str, number: int) -> bool:
        """Tell whether runs of a proposal recorded a quantity."""
        return any(which == (number, "trial") for which in self.of_key(key))

    def sides(self, key: str, number: int) -> tuple[int, int]:
        """Return how many runs of the best and of a proposal have a quantity that may be compared."""
        load = self._load(key, number)
        groups = self.alike(key)
        return len(groups.get((self.loop.best, "baseline", load), ())), len(groups.get((number, "trial", load), ()))

    def base_mean(self, key: str, number: int) -> float:
        """Return the mean of the best, by the runs that a proposal is compared with."""
        return float(np.mean(self.alike(key)[self.loop.best, "baseline", self._load(key, number)]))

    def compared(self, key: str, number: int, sign: float) -> PooledDifference | None:
        """Return proposal minus best of a quantity, times `sign`; of a time by runs that shared a launch alone.

        None where no two runs may be compared.
        """
        groups, load = self.alike(key), self._load(key, number)
        keys: tuple[tuple[int, RunRole, Load | None], ...] = (
            (self.loop.best, "baseline", load),
            (number, "trial", load),
        )
        if any(one not in groups for one in keys):
            return None
        base, own = ([sign * value for value in groups[one]] for one in keys)
        pools = [group for one, group in groups.items() if one not in keys]
        return pooled_difference(base, own, pools, alpha=_ALPHA)

    def _load(self, key: str, number: int) -> Load | None:
        """Return under which load the best and a proposal have most runs to compare a quantity by."""
        groups = self.alike(key)
        best, counts = self.loop.best, dict[Load | None, tuple[int, int]]()
        for which, role, load in groups:
            if (which, role) == (number, "trial"):
                sides = len(groups.get((best, "baseline", load), ())), len(groups[which, role, load])
                counts[load] = (min(sides), max(sides))
        return max(counts, key=lambda load: counts[load]) if counts else None


def _pools(groups: Groups, number: int, best: int) -> Sequence[Sequence[float]]:
    """Return the groups that tell the noise alone, where a proposal is compared with the best."""
    compared = ((number, "trial"), (best, "baseline"))
    return [list(group.values()) for key, group in groups.items() if key not in compared]
