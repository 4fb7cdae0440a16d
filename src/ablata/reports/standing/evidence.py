"""What a view says of the evidence behind verdicts: waves, corrected effects, earlier noise and verdicts, pairing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ablata.records.ledger import Ledger
from ablata.records.questions.account import BEFORE, EarlierVerdict, account_of
from ablata.records.rows import ArmRow, StudyRow
from ablata.reports.view import ArmView, HistoryView, JudgementView
from ablata.stats import ArmLook, Calibration, Replay, Rule, procedure_of, rules_of
from ablata.stats.assumptions.pairing import Pairing, measured_pairing
from ablata.stats.corrected import corrected_effect
from ablata.stats.waves import EXTENDABLE, WAVES, waves_of


def wave_fields(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the waves of a study as its rule's view has them; nothing for one that is of one piece."""
    if not (spec.get(EXTENDABLE) or spec.get(WAVES)):
        return {}
    rules = rules_of(spec)
    return {
        "waves": tuple(rule.seeds for rule in rules), "levels": tuple(rule.alpha for rule in rules),
        "extendable": bool(spec.get(EXTENDABLE)),
    }  # fmt: skip


def corrected(
    ledger: Ledger,
    spec: Mapping[str, Any],
    arm: ArmView,
    last: ArmLook | None,
    names: Sequence[str],
    noise: float | None,
) -> ArmView:
    """Return an arm with its corrected effect, by the rule of the wave that its verdict fell in.

    Args:
        ledger: which knows the bounds.
        spec: of the study.
        arm: as it is shown.
        last: its last look.
        names: of all arms, without the control.
        noise: of one run, as the study saw it.
    """
    if last is None or last.bound is None or noise is None:
        return arm
    for wave in waves_of(spec, names):
        rule, arms = wave.rule, len(wave.arms)
        known = ledger.calibrations.get(procedure_of(spec).calibration_key(arms, rule))
        calibration = None if known is None or last.pairs > rule.seeds else Calibration.from_json(known)
        if calibration is not None and last.bound == calibration.bound_at(last.pairs, rule):
            found = corrected_effect(last, noise, arms, rule, calibration)
            return arm if found is None else replace(arm, corrected=found.effect, power=found.power)
    return arm


def history_view(rule: Rule, replay: Replay | None) -> HistoryView | None:
    """Return the noise history of a rule, with how far it counted at the last look; None without one."""
    if rule.history is None:
        return None
    trust = replay.looks[-1].history_trust if replay and replay.looks else None
    return HistoryView(noise=math.sqrt(rule.history.variance), df=rule.history.weight, trust=trust)


def pairing_of(scores: Mapping[str, Sequence[float | None]], control: str, *, seeded: bool) -> Pairing | None:
    """Measure how far arms and control moved together over the seeds.

    Args:
        scores: of every arm by seed; None where there is no score.
        control: its name.
        seeded: whether runs take a seed.

    Returns:
        None where they take none, or there are too few.
    """
    columns = [scores[control], *(column for name, column in scores.items() if name != control)]
    return measured_pairing(np.array(columns, dtype=np.float64).T) if seeded and len(columns) > 1 else None


def account_views(ledger: Ledger, row: StudyRow, arms: Sequence[ArmRow]) -> tuple[JudgementView, ...]:
    """Return the judgements of a study's questions by other studies: those it was fixed with, and later ones.

    Those of before are read from its specification too: the studies may be in another ledger, or gone.
    """
    known = [EarlierVerdict(**one) for one in row.spec.get(BEFORE, ())]
    fixed = {(one.study, one.arm) for one in known}
    now = account_of(ledger, arms, row.spec["metric"]["key"], without=row.name)
    later = [one for one in now if (one.study, one.arm) not in fixed]
    return tuple(
        JudgementView(
            arm=one.arm, study=one.study, alias=one.alias, verdict=one.verdict, seeds=one.seeds, looks=one.looks,
            margin=one.margin, before=one in known,
        )
        for one in (*known, *later)
    )  # fmt: skip
