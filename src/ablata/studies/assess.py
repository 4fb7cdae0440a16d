"""From the runs of a study to its verdicts: the score table, whole rows only, judged look by look."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ablata.records.ledger import Ledger
from ablata.records.questions.judged import comparable_in_time, judged_values
from ablata.records.rows import ArmRow, RunRow, StudyRow
from ablata.stats import Calibration, Outcome, Replay, Rule, Verdict, procedure_of, rule_of
from ablata.stats.factors.designs import Design
from ablata.stats.factors.factorial import FactorialResult, calibrate_factorial, factorial_key, judge_factorial
from ablata.stats.guards import calibrate_guard, guard_key
from ablata.stats.items.calibration import calibrate_items, items_calibration_key
from ablata.stats.items.noise import ItemPrior
from ablata.stats.margin import PERCENT, judged_rule
from ablata.stats.versions import Procedure
from ablata.stats.waves import Wave, is_final, waves_of
from ablata.studies.evidence import NoiseItems, noise_items
from ablata.studies.factors import Factors
from ablata.studies.guarding import Guardrails, Judged
from ablata.studies.guards import GUARDS
from ablata.studies.picking import PICK, PickValues, pick_choice

ENDED = ("completed", "diverged")


@dataclass(frozen=True)
class Assessment:
    """What is known of a study after its whole seed rows.

    Args:
        rows: number of whole rows.
        arms: names of the arms without the control, in the order of the columns.
        replay: every look so far and how each arm stands; None before the first row that can be judged, and of a
            factorial study.
        factorial: the changes of a factorial study after its whole blocks; None before the first, and of any other.
        margin: the margin in the metric's unit; None: none, or not known yet.
        apart: seeds of whole rows that are not judged, since their runs cannot be compared in time.
        without_items: why the noise of a study that was to read it from its items is that of its scores; empty: it is
            not, or it was never to be.
        choice: what a study that picks would take now; its `rows` are the runs that have ended.
        unfinished: blocks of a factorial study are to run, whatever verdicts there are.
        guarded: how arms stand beside each guardrail of the study.
    """

    rows: int
    arms: tuple[str, ...]
    replay: Replay | None
    factorial: FactorialResult | None = None
    margin: float | None = None
    apart: tuple[int, ...] = ()
    without_items: str = ""
    choice: Mapping[str, Any] | None = None
    unfinished: bool = False
    guarded: Judged = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether a factorial study has a verdict on every change, and no block to run for another reason."""
        return self.factorial is not None and self.factorial.settled and not self.unfinished

    def outcomes(self) -> dict[str, Outcome]:
        """Return how each arm stands, by name."""
        return {self.arms[outcome.arm - 1]: outcome for outcome in self.replay.outcomes} if self.replay else {}

    def as_look(self) -> dict[str, Any]:
        """Return what the ledger keeps of the newest look."""
        look: dict[str, Any] = {"arms": list(self.arms), "replay": self.replay.to_json() if self.replay else None}
        # Only where it is so: looks of every other study stay what they were.
        if self.apart:
            look["apart"] = list(self.apart)
        if self.without_items:
            look["without_items"] = self.without_items
        if self.choice is not None:
            look["choice"] = dict(self.choice)
        if self.guarded:
            look[GUARDS] = {arm: [one.to_json() for one in beside] for arm, beside in self.guarded.items()}
        if self.factorial:
            look["factorial"] = self.factorial.to_json()
        return look | ({} if self.margin is None else {"margin": self.margin})


def cached_calibration(ledger: Ledger, arms: int, rule: Rule, judge: Procedure) -> Calibration:
    """Return the bound of a rule, simulated once for each ledger."""
    return _cached(ledger, judge.calibration_key(arms, rule), lambda: judge.calibrate(arms, rule))


def cached_items_calibration(ledger: Ledger, arms: int, rule: Rule, prior: ItemPrior, version: int) -> Calibration:
    """Return the bound of a study whose noise is read from its items, simulated once for each ledger."""
    key = items_calibration_key(arms, rule, prior, version=version)
    return _cached(ledger, key, lambda: calibrate_items(arms, rule, prior, version=version))


def cached_factorial_calibration(ledger: Ledger, design: Design, rule: Rule) -> Calibration:
    """Return the bound of a factorial study, simulated once for each ledger."""
    return _cached(ledger, factorial_key(design, rule), lambda: calibrate_factorial(design, rule))


def cached_guard_calibration(ledger: Ledger, arms: int, rule: Rule, spec: Mapping[str, Any]) -> Calibration:
    """Return the bound of a study's guardrails, simulated once for each ledger."""
    version = int(spec.get("rule_version", 1))
    return _cached(ledger, guard_key(arms, rule, version), lambda: calibrate_guard(arms, rule, version))


def _cached(ledger: Ledger, key: str, make: Callable[[], Calibration]) -> Calibration:
    known = ledger.calibrations.get(key)
    if known is not None:
        return Calibration.from_json(known)
    made = make()
    ledger.calibrations.put(key, made.to_json())
    return made


def assess(ledger: Ledger, name: str) -> Assessment:
    """Judge a study by the whole seed rows that are in the ledger, wave by wave.

    A row is whole when the control and every arm that is still open at that row has ended there. The result depends
    on the runs alone, so it is the same after a crash, in another process, or after an import.
    """
    study, arms = ledger.studies.get(name), ledger.studies.arms(name)
    control = next(arm for arm in arms if arm.is_control)
    columns = [control, *(arm for arm in arms if not arm.is_control)]
    names = tuple(arm.name for arm in columns[1:])
    cells = {(cell.arm, cell.seed): cell.run for cell in ledger.studies.cells(name)}
    if study.spec.get("aa"):
        return Assessment(_ended_rows(study, columns, cells), (), None)
    if study.spec.get(PICK):
        known = PickValues.of(ledger, study.spec, list(cells.values()))
        ended = sum(run.state in ENDED for run in cells.values())
        return Assessment(ended, names, None, choice=pick_choice(columns, cells, known, study.spec))
    if "design" in study.spec:
        return _assess_factors(ledger, study, columns, cells)
    values = judged_values(ledger, study.spec["metric"]["key"], list(cells.values()))
    judge = procedure_of(study.spec)
    found = Assessment(0, names, None)
    items = noise_items(ledger, study.spec, cells)
    earlier = 0
    for wave in waves_of(study.spec, names):
        present = [control, *(arm for arm in columns[1:] if arm.name in wave.arms)]
        guards = None
        if GUARDS in study.spec:
            bound = cached_guard_calibration(ledger, len(wave.arms), wave.rule, study.spec)
            guards = Guardrails.of(ledger, study, list(cells.values()), wave.rule, bound)
        going_on = _GoingOn(study, present, cells, values, found.replay, items, earlier, wave, guards)
        earlier = wave.rule.seeds
        if isinstance(items, NoiseItems):
            calibration = cached_items_calibration(ledger, len(wave.arms), wave.rule, items.prior, judge.version)
        else:
            calibration = cached_calibration(ledger, len(wave.arms), wave.rule, judge)
        found = going_on.judge(calibration, judge)
    return replace(found, without_items=items) if isinstance(items, str) and found.replay is not None else found


class _GoingOn:
    """One wave of a study: all rows so far, judged by the wave's rule; what was decided in an earlier one stays.

    Args:
        study: which.
        columns: the control and the arms there are by then, in the order of the study.
        cells: its runs by arm and seed.
        values: the compared score of each run.
        before: how the arms stood after the wave before; None in the first.
        items: of the runs, where the study's noise is read from them.
        earlier: seeds of the wave before; whoever extends wants at least so many of every arm that goes on.
        wave: the wave.
        guards: of the study; None: it has none.
    """

    def __init__(
        self,
        study: StudyRow,
        columns: list[ArmRow],
        cells: Mapping[tuple[str, int], RunRow],
        values: Mapping[str, float],
        before: Replay | None,
        items: NoiseItems | str | None,
        earlier: int,
        wave: Wave,
        guards: Guardrails | None,
    ) -> None:
        self.guards = guards
        self.wave, self.patience = wave, earlier if wave.reopens else 0
        self.study, self.columns, self.cells, self.values, self.items = study, columns, cells, values, items
        self.before = () if before is None else before.outcomes
        self.final = {outcome.arm: outcome for outcome in self.before if is_final(outcome) or not wave.reopens}

    def judge(self, calibration: Calibration, judge: Procedure) -> Assessment:
        """Return what is known after the whole rows of the wave; it stops where a row is not whole."""
        spec, columns, rule = self.study.spec, self.columns, self.wave.rule
        key, judged = spec["metric"]["key"], self._begins()
        guarded: Judged = {}
        rows, used, apart = 0, list[int](), list[int]()
        while rows < rule.seeds and _whole(columns, judged, self.cells, seed := spec["first_seed"] + rows):
            rows += 1
            runs = [self.cells.get((arm.name, seed)) for arm in open_arms(columns, judged)]
            if not comparable_in_time(runs, key):
                apart.append(seed)
                continue
            used.append(seed)
            scores, diverged, unpaired = _table(columns, self.cells, self.study, used, self.values)
            for column, outcome in self.final.items():
                scores[outcome.seeds :, column], diverged[outcome.seeds :, column] = np.nan, False
            rule = judged_rule(spec, scores[:, 0].tolist(), rule)
            told: dict[str, Any] = {"diverged": diverged, "unpaired": unpaired, "patience": self.patience}
            if isinstance(self.items, NoiseItems):
                told["evidence"] = self.items.evidence(columns, self.cells, used)
            judged = self._merged(judge.replay(scores, rule, calibration, **told))
            if self.guards is not None:
                guarded = self.guards.judge(columns, self.cells, rows)
                judged = self.guards.held(judged, guarded, columns, rows)
        names = tuple(arm.name for arm in columns[1:])
        margin = rule.margin if PERCENT in spec else None
        return Assessment(rows, names, judged, margin=margin, apart=tuple(apart), guarded=guarded)

    def _begins(self) -> Replay | None:
        """Return how the arms stand before the wave's first row: those without a verdict are open again."""
        if not self.before:
            return None
        return self._merged(Replay(outcomes=tuple(replace(one, open=True) for one in self.before), looks=()))

    def _merged(self, judged: Replay) -> Replay:
        outcomes = tuple(self.final.get(outcome.arm, outcome) for outcome in judged.outcomes)
        return replace(judged, outcomes=outcomes)


def _ended_rows(study: StudyRow, columns: list[ArmRow], cells: Mapping[tuple[str, int], RunRow]) -> int:
    """Count the first seeds at which all columns have ended."""
    rows = 0
    while rows < rule_of(study.spec).seeds and _whole(columns, None, cells, study.spec["first_seed"] + rows):
        rows += 1
    return rows


def _assess_factors(
    ledger: Ledger, study: StudyRow, columns: list[ArmRow], cells: Mapping[tuple[str, int], RunRow]
) -> Assessment:
    """Judge the changes of a factorial study by its whole blocks.

    One that was folded over is judged as it was before, and then with all its cells: verdicts that were given stay.
    """
    design = Factors.from_json(study.spec["design"]).design
    values = judged_values(ledger, study.spec["metric"]["key"], list(cells.values()))
    found = _assess_cells(ledger, study, columns, cells, values, design.unfolded)
    if design.folded is None:
        return found
    whole = _assess_cells(ledger, study, columns, cells, values, design)
    before, after = found.factorial, whole.factorial
    if before is not None and after is not None:
        factors = (
            new if old.verdict is Verdict.UNDECIDED else old
            for old, new in zip(before.factors, after.factors, strict=True)
        )
        after = replace(after, factors=tuple(factors))
    # It was folded over for its interactions, so all its blocks run.
    unfinished = whole.rows < rule_of(study.spec).seeds
    return replace(whole, arms=tuple(arm.name for arm in columns[1:]), factorial=after, unfinished=unfinished)


def _assess_cells(
    ledger: Ledger,
    study: StudyRow,
    columns: list[ArmRow],
    cells: Mapping[tuple[str, int], RunRow],
    values: Mapping[str, float],
    design: Design,
) -> Assessment:
    """Judge the changes by the whole blocks of a design's cells, the first of the columns."""
    rule, key = rule_of(study.spec), study.spec["metric"]["key"]
    columns = columns[: design.cells]
    rows, used, apart = 0, list[int](), list[int]()
    while rows < rule.seeds and _whole(columns, None, cells, seed := study.spec["first_seed"] + rows):
        rows += 1
        fair = comparable_in_time([cells[arm.name, seed] for arm in columns], key)
        (used if fair else apart).append(seed)
    scores, _, _ = _table(columns, cells, study, used, values)
    rule = judged_rule(study.spec, scores[:, 0].tolist(), rule)
    found = None
    if used:
        bound = cached_factorial_calibration(ledger, design, rule)
        found = judge_factorial(scores, design, rule, bound, procedure_of(study.spec).version)
    margin = rule.margin if PERCENT in study.spec else None
    return Assessment(rows, tuple(arm.name for arm in columns[1:]), None, found, margin, tuple(apart))


def open_arms(columns: list[ArmRow], judged: Replay | None) -> list[ArmRow]:
    """Return the control and the arms that go on after the looks so far; nothing once all arms are closed."""
    if judged is None:
        return columns
    # An arm that no look has seen yet was added to a study that went on.
    closed = {outcome.arm for outcome in judged.outcomes if not outcome.open}
    going_on = [arm for column, arm in enumerate(columns) if column and column not in closed]
    return [columns[0], *going_on] if going_on else []


def needed_next(columns: list[ArmRow], judged: Assessment) -> list[ArmRow]:
    """Return the control, then the open arms: that one first which the row under way is least likely to decide.

    Returns:
        Nothing where no look has been taken, after which there is no order yet.
    """
    looks = {name: outcome.last for name, outcome in judged.outcomes().items()}

    def openness(arm: ArmRow) -> float:
        look = looks.get(arm.name)
        if look is None or look.bound is None:
            return math.inf
        return min(p for p in (look.p_difference, look.p_equivalence, math.inf) if p is not None) / look.bound

    arms = [] if judged.replay is None else open_arms(columns, judged.replay)
    return [*arms[:1], *sorted(arms[1:], key=openness, reverse=True)]


def _whole(columns: list[ArmRow], judged: Replay | None, cells: Mapping[tuple[str, int], RunRow], seed: int) -> bool:
    needed = open_arms(columns, judged)
    runs = [cells.get((arm.name, seed)) for arm in needed]
    return bool(needed) and all(run is not None and run.state in ENDED for run in runs)


def _table(
    columns: list[ArmRow],
    cells: Mapping[tuple[str, int], RunRow],
    study: StudyRow,
    seeds: Sequence[int],
    values: Mapping[str, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, diverged (rows, 1 + arms) and unpaired (rows, arms)."""
    unseeded = bool(study.spec.get("unseeded"))
    scores = np.full((len(seeds), len(columns)), np.nan)
    diverged = np.zeros((len(seeds), len(columns)), dtype=bool)
    unpaired = np.zeros((len(seeds), len(columns) - 1), dtype=bool)
    for row, seed in enumerate(seeds):
        control = cells[(columns[0].name, seed)]
        for column, arm in enumerate(columns):
            run = cells.get((arm.name, seed))
            if run is None or run.state not in ENDED:
                continue
            value = values.get(run.id)
            finite = run.state == "completed" and value is not None and math.isfinite(value)
            scores[row, column] = value if finite else np.nan
            diverged[row, column] = not finite
            if column:
                unpaired[row, column - 1] = unseeded or run.environment != control.environment
    _forget_late_runs(scores, diverged)
    return scores, diverged, unpaired


def _forget_late_runs(scores: np.ndarray, diverged: np.ndarray) -> None:
    """Blank an arm's runs after a gap: a shared run of another study may stand where this one had closed the arm."""
    ran = ~np.isnan(scores) | diverged
    gone = np.logical_or.accumulate(~ran, axis=0)
    scores[gone] = np.nan
    diverged[gone] = False
