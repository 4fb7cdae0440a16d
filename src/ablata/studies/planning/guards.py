"""What a plan says of guardrails: what each allows, and what so many seeds can show of it."""

from __future__ import annotations

import math

from ablata.base.quantities import two_digits
from ablata.base.settings import settings_hash
from ablata.records.ledger import Ledger
from ablata.records.questions.judged import judged_values
from ablata.stats import noise_from_scores
from ablata.stats.contrasts import t_quantile
from ablata.studies.assess import cached_guard_calibration
from ablata.studies.guards import Guard
from ablata.studies.study import CONTROL, Study

_POWER = 0.8


def guard_plan(ledger: Ledger, study: Study) -> tuple[str, ...]:
    """Return a line for each guardrail of a study.

    Where the control has run twice or more, also how much worse an arm that changes nothing would have to be allowed to
    be, so that its keeping the guardrail is shown in 4 of 5 cases.

    Args:
        ledger: where the study will be.
        study: the study.
    """
    runs = ledger.runs.find(recipe=settings_hash(study.recipes[CONTROL]), state="completed")
    told = []
    for guard in study.parsed_guards:
        values = [value for value in judged_values(ledger, guard.metric.key, runs).values() if math.isfinite(value)]
        when = "after all runs" if study.pick else "once, after all seeds" if _judged_once(study) else "at each look"
        shown = "" if study.pick else _shown(ledger, guard, study, values)
        told.append(f"{_allowed(guard)}, {'weighed' if study.pick else 'tested'} {when}{shown}")
    return tuple(told)


def _allowed(guard: Guard) -> str:
    way = "less" if guard.metric.higher_is_better else "more"
    unit = "%" if guard.percent else f" {guard.metric.unit}".rstrip()
    return f"{guard.metric.name} at most {guard.allowed:g}{unit} {way} than the control's"


def _judged_once(study: Study) -> bool:
    return len(study.rule().looks) <= 1


def _shown(ledger: Ledger, guard: Guard, study: Study, values: list[float]) -> str:
    mean = abs(math.fsum(values) / len(values)) if values else 0.0
    scale = mean / 100 if guard.percent else 1.0
    if len(values) < 2 or not study.rule().looks or not scale:
        return ""
    rule, arms = study.rule(), len(study.arms)
    spread = noise_from_scores([[value] for value in values]).sd / scale
    dof = (study.seeds - 1) * arms
    bound = cached_guard_calibration(ledger, arms, rule, study.spec()).bound
    need = (t_quantile(1 - bound, dof) + t_quantile(_POWER, dof)) * spread * math.sqrt(2 / study.seeds)
    unit = "%" if guard.percent else f" {guard.metric.unit}".rstrip()
    enough = "" if need <= guard.allowed else ", more than is allowed: more seeds, or a wider guardrail"
    return f"; {study.seeds} seeds can show it from {two_digits(need)}{unit} on{enough}"
