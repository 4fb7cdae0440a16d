"""What `ablata study plan` prints."""

from __future__ import annotations

from ablata.cli.console import duration, figure, out
from ablata.studies.plan import StudyPlan


def print_plan(plan: StudyPlan) -> None:
    """Print a plan: runs, time, memory, what can be detected, what can be confirmed."""
    study, unit = plan.study, plan.study.metric.unit or "units"
    points = "points" if unit == "%" else unit
    lines = [
        f"study {study.name}: {study.question}",
        f"  control {study.control.name}; arms: " + ", ".join(f"{n} ({' '.join(c)})" for n, c in study.arms.items()),
        f"  scored by {study.metric.key}; margin {study.margin:g} {points}; "
        f"{study.mode.value}: at most {study.mode.alpha:.0%} of such studies give any false verdict",
        f"  runs: at most {plan.runs}" + (f" ({plan.known} more are in the ledger already)" if plan.known else ""),
        f"  a run: {duration(plan.cost.seconds)} and {figure(plan.cost.memory, 'B')} of memory ({plan.cost.source})",
        f"  time: at most {duration(3600 * plan.hours)} with {plan.workers} worker{'s' if plan.workers > 1 else ''}"
        + ("" if study.fixed else "; less if arms are decided early"),
    ]
    lines += _findings(plan, points)
    for line in lines:
        out.print(line, markup=False)


def _findings(plan: StudyPlan, points: str) -> list[str]:
    if plan.sized is not None and plan.noise is not None:
        sized = plan.sized
        lines = [f"  noise of one run: {plan.noise.sd:.2g} {points} (earlier studies, {plan.noise.df:.0f} degrees of freedom)"]
        if sized.detectable is not None:
            lines.append(f"  detectable effect (80%): {sized.detectable:.2g} {points}")
            lines.append(f"  smallest margin that can be confirmed (80%): {sized.confirmable:.2g} {points}")
        return [*lines, *(f"  note: {warning}" for warning in sized.warnings)]
    if plan.unit.detectable is None or plan.unit.confirmable is None:
        return [f"  note: {warning}" for warning in plan.unit.warnings]
    return [
        f"  noise of one run: not known yet; no earlier study of {plan.study.control.name} at this length is in the ledger",
        f"  detectable effect (80%): {plan.unit.detectable:.2g} times the noise; "
        f"for a noise of 0.1, 0.25, 0.5 {points}: "
        + ", ".join(f"{plan.unit.detectable * noise:.2g}" for noise in (0.1, 0.25, 0.5)),
        f"  smallest margin that can be confirmed (80%): {plan.unit.confirmable:.2g} times the noise; "
        f"a margin of {plan.study.margin:g} {points} needs a noise of at most "
        f"{plan.study.margin / plan.unit.confirmable:.2g}",
    ]
