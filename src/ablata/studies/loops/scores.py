"""What the runs of a loop say to its rule: evidence, noise, guardrails, what a change saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ablata.records.questions.loop_runs import Groups, LoopRuns
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

    def warnings(self, best: int) -> tuple[str, ...]:
        """Return what makes comparisons with a baseline blind, a sentence each."""
        group = self.groups.get((best, "baseline"), {})
        return tuple(one.words() for one in outliers(group, _pools(self.groups, -1, best)))

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
