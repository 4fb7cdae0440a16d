"""Guardrails of a study: which arms keep them, and one verdict for both, such as better and not slower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ablata.base.errors import listing
from ablata.base.quantities import counted
from ablata.reports.view import DECIDED, ArmView, GuardView, StudyView


def guard_views(
    guards: Sequence[Mapping[str, Any]], judged: Mapping[str, Sequence[Mapping[str, Any]]], arms: Sequence[str]
) -> dict[str, tuple[GuardView, ...]]:
    """Return how each arm stands beside each guardrail, by arm.

    Args:
        guards: as the study's specification has them.
        judged: by arm how it stood beside each at the newest look, as that has it; empty before the first.
        arms: names, without the control.
    """
    found = {}
    for arm in arms:
        beside = judged.get(arm) or [{}] * len(guards)
        found[arm] = tuple(_view(guard, one) for guard, one in zip(guards, beside, strict=True))
    return found


def _view(guard: Mapping[str, Any], judged: Mapping[str, Any]) -> GuardView:
    return GuardView(
        name=str(guard["name"]),
        allowed=allowed_words(guard),
        state=judged.get("state", "open"),
        seeds=judged.get("seeds", 0),
        effect=judged.get("effect"),
        worst=judged.get("worst"),
        unit=_unit_of(guard),
    )


def allowed_words(guard: Mapping[str, Any]) -> str:
    """Say how much worse a guardrail of a specification allows: `+3%`."""
    sign = "-" if guard["higher_is_better"] else "+"
    return f"{sign}{float(guard['allowed']):g}{_unit(_unit_of(guard))}"


def _unit_of(guard: Mapping[str, Any]) -> str:
    return "%" if guard["percent"] else str(guard["unit"])


def _unit(unit: str) -> str:
    return unit if unit in ("", "%") else f" {unit}"


def guarded_end(arm: ArmView) -> str:
    """Return what follows an arm's verdict on the metric: `, and within its guardrails`; empty where it has none."""
    if not arm.guards or arm.verdict is None or (arm.open and arm.verdict not in DECIDED):
        return ""
    if arm.open:
        return ", its guardrails not answered yet"
    if beyond := [f"{guard.name} beyond {guard.allowed}" for guard in arm.guards if guard.state == "beyond"]:
        return f", but {listing(beyond)}"
    if left := [f"{guard.name} within {guard.allowed}" for guard in arm.guards if guard.state == "open"]:
        return f", not shown to keep {listing(left)}"
    return ", and " + listing([f"{guard.name} within {guard.allowed}" for guard in arm.guards])


def guard_words(view: StudyView) -> tuple[str, ...]:
    """Say what each guardrail showed of each arm, and at which level; empty without guardrails."""
    arms = [arm for arm in view.treatments if arm.guards]
    if not arms:
        return ()
    return (
        *(f"{arm.name}: {'; '.join(_guard(guard) for guard in arm.guards)}." for arm in arms),
        f"Guardrails are tested {_when(view)}, one-sided, each at {100 * view.rule.alpha:g}% for all arms and looks "
        "together (non-inferiority): not shown is not the same as broken. A joint verdict needs every test to "
        f"succeed, so their number needs no correction.{_goes_on(view)}",
    )  # fmt: skip


def _when(view: StudyView) -> str:
    return "once, after all seeds" if _once(view) else "at each look until they are answered"


def _goes_on(view: StudyView) -> str:
    return "" if _once(view) else " An arm that is better goes on until they are; any other stops as ever."


def _once(view: StudyView) -> bool:
    return view.rule.first_look >= view.rule.seeds


def _guard(guard: GuardView) -> str:
    if guard.effect is None:
        return f"{guard.name} (allowed {guard.allowed}): not judged, too few runs that can be compared"
    unit = _unit(guard.unit)
    if guard.worst is None:
        return (
            f"{guard.name} {guard.effect:+.3g}{unit} over the {counted(guard.seeds, 'seed')} that can be compared, "
            f"allowed {guard.allowed}: not judged, too few to tell it from chance"
        )
    words = {"within": "kept", "beyond": "broken", "open": "not shown"}[guard.state]
    told = f"{guard.effect:+.3g}{unit}, at worst {guard.worst:+.3g}{unit}, allowed {guard.allowed}"
    return f"{guard.name} {told}: {words} at {guard.seeds} seeds"
