"""What a study says of arms that act late: what they share with the control, and what that saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ablata.base.errors import listing
from ablata.base.quantities import counted, duration
from ablata.records.rows import RunRow


def fork_words(
    fork: Mapping[str, Any], arms: Mapping[str, Sequence[RunRow]], beginnings: Sequence[RunRow]
) -> tuple[str, ...]:
    """Return sentences on common beginnings.

    Args:
        fork: the part of the study's specification.
        arms: the ended runs of each arm that count, the control's too.
        beginnings: the runs that they go on from, directly or not.
    """
    total, steps = int(fork["total"]), fork["steps"]
    groups: dict[int, list[str]] = {}
    for arm, step in steps.items():
        groups.setdefault(int(step), []).append(arm)
    shared = "; ".join(
        f"{listing(names)} from step {step:,} of {total:,} ({100 * step / total:.0f}%)"
        for step, names in sorted(groups.items())
    )
    alone = [arm for arm in arms if arm not in steps]
    whole = f" {listing(alone)}: trained whole, since what {'it changes' if len(alone) == 1 else 'they change'} acts " \
        "from the start." if alone else ""  # fmt: skip
    said = (
        "Given this beginning: at each seed the control and its arms share the steps in which they are the same, which "
        f"are trained once and kept as a run of its own. They go on by themselves: {shared}.{whole} Every run ends, to "
        "the bit, as one that was trained whole."
    )
    cost = _cost(total, arms, beginnings)
    return (said, cost) if cost else (said,)


def begin_words(
    changes: Sequence[str], arms: Mapping[str, Sequence[RunRow]], beginnings: Sequence[RunRow]
) -> tuple[str, ...]:
    """Return sentences on the training that control and arms begin with.

    Args:
        changes: overrides of the control that make it.
        arms: the ended runs of each arm that count, the control's too.
        beginnings: its runs.
    """
    older = [run for run in beginnings if run.state == "completed"]
    known = {run.id for run in beginnings}
    without = [arm for arm, ended in arms.items() if ended and not any(run.parent in known for run in ended)]
    alone = f", but for {listing(without)}" if known and without else ""
    said = (
        f"Given this beginning: at each seed the control was first trained with {listing(changes)}, once, and control "
        f"and arms begin with its weights{alone}. What an arm's settings would have done to that first training is no "
        "part of these verdicts."
    )
    ends = sum(run.state == "completed" and run.parent in known for ended in arms.values() for run in ended)
    if not older or not ends:
        return (said,)
    seconds = [float((run.cost or {}).get("seconds", 0.0)) for run in older]
    spared = (ends - len(older)) * sum(seconds) / len(older)
    many = counted(len(older), "beginning")
    cost = f"Cost: {many}, {duration(sum(seconds))} of training, for {counted(ends, 'run')}"
    return (said, f"{cost}; one for each of them would have taken about {duration(spared)} more.")


def _cost(total: int, arms: Mapping[str, Sequence[RunRow]], beginnings: Sequence[RunRow]) -> str:
    """Compare what was trained with as many whole runs."""
    runs = [run for ended in arms.values() for run in ended if run.state == "completed" and run.cost]
    older = [run for run in beginnings if run.state == "completed" and run.cost]
    if not runs or not older:
        return ""
    trained = sum(_trained(run) for run in (*runs, *older))
    seconds = sum(float((run.cost or {}).get("seconds", 0.0)) for run in (*runs, *older))
    whole = total * len(runs)
    told = f"{counted(len(older), 'beginning')} and {counted(len(runs), 'end')}, {trained:,.0f} steps"
    return (
        f"Cost: {told}, {100 * trained / whole:.0f}% of the {whole:,} steps of {counted(len(runs), 'whole run')}; "
        f"{duration(seconds)} of training, where those would take about {duration(seconds * whole / trained)}."
    )


def _trained(run: RunRow) -> float:
    cost = run.cost or {}
    return float(cost.get("steps", 0.0)) - float(cost.get("first_step", 0.0))
