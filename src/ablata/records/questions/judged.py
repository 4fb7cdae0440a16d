"""What can be judged of a run beside its scores: what it cost, and the last value of any curve it logged.

A study's metric has a key. `cost/NAME` is a cost, any other key is a score, or else a curve. Times are compared among
runs of one launch and load alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablata.records.rows import SEVERAL, RunRow

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger

COST = "cost"
"""What a cost's key begins with, before the slash."""


@dataclass(frozen=True)
class Cost:
    """A cost that can be judged.

    Args:
        recorded: its name in `RunRow.cost`.
        unit: what it is shown in.
        scale: how much of the recorded one is one of the unit.
        higher_is_better: False for what one would rather have less of.
        is_time: whether it depends on what else the machine does.
    """

    recorded: str
    unit: str
    scale: float = 1.0
    higher_is_better: bool = False
    is_time: bool = True


COSTS: Mapping[str, Cost] = {
    "seconds": Cost("seconds", "s"),
    "seconds_per_epoch": Cost("seconds_per_epoch", "s"),
    "evaluation_seconds": Cost("evaluation_seconds", "s"),
    "images_per_second": Cost("images_per_second", "images/s", higher_is_better=True),
    "peak_memory": Cost("peak_memory_bytes", "MiB", scale=2.0**20, is_time=False),
    "peak_gpu_memory": Cost("peak_gpu_memory_bytes", "MiB", scale=2.0**20, is_time=False),
}
"""The costs by name: of a whole run, of an epoch without its evaluations, of one evaluation; throughput; memory.

Memory of a recipe on a GPU is that GPU's under both names; of a program its own, and the GPUs'."""

EXACT = ("parameters", "params", "cost/parameters")
"""Keys of quantities that chance has no part in: equal to the digit in all runs of an arm, they leave no doubt."""

Load = tuple[str, float | None, float | None, float | None, float | None]
"""What times depend on beside the machine: the launch, how many workers it keeps side by side, threads of each, the
step from which a fork was trained, and how many runs were trained together."""
TIMES = tuple(cost.recorded for cost in COSTS.values() if cost.is_time)
"""Names of times among what a run cost."""


def load_of(run: RunRow) -> Load | None:
    """Return under which load a run was trained; None: not recorded, or in more than one launch or attempt."""
    cost = run.cost or {}
    # A run that was ended and went on began twice: its files were read, its caches filled, its first steps warmed up.
    if run.launch in (None, SEVERAL) or run.attempt > 1:
        return None
    return str(run.launch), cost.get("workers"), cost.get("threads"), cost.get("first_step"), cost.get("together")


def cost_of_key(key: str) -> Cost | None:
    """Return the cost that a metric's key stands for; None: it stands for a score or a curve."""
    prefix, _, name = key.partition("/")
    return COSTS.get(name) if prefix == COST else None


def is_time(key: str) -> bool:
    """Tell whether what a metric's key stands for depends on what else the machine does."""
    cost = cost_of_key(key)
    return cost is not None and cost.is_time


def judged_values(ledger: Ledger, key: str, runs: Sequence[RunRow]) -> dict[str, float]:
    """Return what runs have of a metric's key, by run id; runs that have none are left out.

    Args:
        ledger: holds the runs.
        key: of the metric.
        runs: any.
    """
    if (cost := cost_of_key(key)) is not None:
        found = {run.id: (run.cost or {}).get(cost.recorded) for run in runs}
        return {run: float(value) / cost.scale for run, value in found.items() if value is not None}
    scores = {run.id: (run.scores or {})[key] for run in runs if key in (run.scores or {})}
    if scores:
        return {run: value for run, value in scores.items() if value is not None}
    ended = [run.id for run in runs if run.state == "completed"]
    return {curve.run: curve.values[-1] for curve in ledger.metrics.of_runs(ended, [key])} if ended else {}


def recorded_names(ledger: Ledger, run: RunRow) -> list[str]:
    """Return the names of all that a run recorded and that can be judged: scores, costs, curves."""
    costs = [name for name, cost in COSTS.items() if cost.recorded in (run.cost or {})]
    curves = [curve.name for curve in ledger.metrics.of_runs([run.id])]
    return list(dict.fromkeys([*(run.scores or {}), *costs, *curves]))


def comparable_in_time(runs: Sequence[RunRow | None], key: str) -> bool:
    """Tell whether runs may be compared by a metric: by a time only if all were trained in one launch and load.

    Runs that did not complete have no time, and do not count.
    """
    loads: list[Any] = [load_of(run) for run in runs if run is not None and run.state == "completed"]
    return not is_time(key) or (None not in loads and len(set(loads)) <= 1)
