"""From the ledger to the view of a study.

What a study's specification holds (`StudyRow.spec`): `metric` with key, name, split, protocol, unit, higher_is_better;
`rule` as `stats.Rule.to_json`; `mode`; `first_seed`; and, if given, `commands`, the lines that repeat the study. The
newest look's result holds `arms`, the names behind the columns, and `replay`, a `stats.Replay`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ablata.base.quantities import duration, two_digits
from ablata.records.events import AGAIN
from ablata.records.ledger import Ledger
from ablata.records.questions.account import EXPLORATORY, SEEN
from ablata.records.questions.judged import Load, comparable_in_time, cost_of_key, judged_values, load_of
from ablata.records.questions.scored_on import scored_on
from ablata.records.rows import ArmRow, RunRow, StudyRow
from ablata.reports.collect_runs import ENDED, MOST_POINTS, run_view, study_curves
from ablata.reports.costs import apart_notes, mean_cost, mean_seconds, time_notes
from ablata.reports.factorial.confirmed import confirmed_words
from ablata.reports.factorial.record import FactorialRecord
from ablata.reports.factorial.view import FactorialView
from ablata.reports.forks import begin_words, fork_words
from ablata.reports.guards import guard_views
from ablata.reports.impossible import at_limit, impossible
from ablata.reports.judged import kept_view
from ablata.reports.pick import pick_view
from ablata.reports.provenance import code_notes, data_notes, environments, fingerprints
from ablata.reports.reasons import NoisyArm, noisy_arm, rounded
from ablata.reports.rounds import round_views
from ablata.reports.standing.evidence import account_views, corrected, history_view, pairing_of, wave_fields
from ablata.reports.view import (
    ArmView,
    ChangeView,
    Estimate,
    MetricView,
    PickView,
    PlanView,
    ProgressView,
    RoundView,
    RuleView,
    SeedView,
    StudyView,
)
from ablata.stats import (
    AaResult,
    Calibration,
    Outcome,
    Replay,
    Rule,
    Verdict,
    judge_aa,
    mean_interval,
    plan,
    plan_factorial,
    procedure_of,
    rule_of,
    rules_of,
    to_settle,
)
from ablata.stats.factors.factorial import factorial_key
from ablata.stats.planning import MOST_SEEDS
from ablata.stats.rounding import is_rounding
from ablata.stats.waves import EXTENDABLE, wave_level


@dataclass(frozen=True)
class _Study:
    """What is read of a study, once."""

    row: StudyRow
    rule: Rule
    arms: list[ArmRow]
    runs: dict[tuple[str, int], RunRow]
    replay: Replay | None
    outcomes: dict[str, Outcome]
    values: dict[str, float]
    apart: tuple[int, ...]
    factorial: FactorialRecord | None = None
    pick: PickView | None = None
    without_items: str = ""
    guarded: Mapping[str, Any] = field(default_factory=dict)
    again: Mapping[str, str] = field(default_factory=dict)
    """What runs were run again after, by id, where somebody asked for it."""

    @property
    def key(self) -> str:
        """The name under which runs keep the score that is compared."""
        return str(self.row.spec["metric"]["key"])

    @property
    def control(self) -> str:
        """The control's name."""
        return next(arm.name for arm in self.arms if arm.is_control)

    @property
    def seeds(self) -> range:
        """The seeds of the study, in order."""
        first = int(self.row.spec.get("first_seed", 0))
        return range(first, first + self.rule.seeds)

    @property
    def load(self) -> Load | None:
        """The launch and load whose times are compared: the one that the control and most arms have runs of."""
        found: dict[Load, list[str]] = {}
        for (arm, _), run in self.runs.items():
            if run.state == "completed" and (load := load_of(run)) is not None:
                found.setdefault(load, []).append(arm)
        return max(
            found, key=lambda one: (self.control in found[one], len(set(found[one])), len(found[one])), default=None
        )

    @property
    def noise(self) -> float | None:
        """The noise of one run by the newest look that had any; None without one, or where it is but rounding."""
        looks = self.replay.looks if self.replay else ()
        noise = next((look.noise for look in reversed(looks) if look.noise), None)
        largest = max((abs(value) for value in self.values.values() if math.isfinite(value)), default=0.0)
        return None if noise is None or is_rounding(noise**2, largest) else noise

    def score(self, arm: str, seed: int) -> float | None:
        """The score of an arm at a seed; None if it is not completed or not finite."""
        run = self.runs.get((arm, seed))
        value = self.values.get(run.id) if run is not None and run.state == "completed" else None
        return float(value) if value is not None and math.isfinite(value) else None


def study_view(
    ledger: Ledger, name: str, *, commands: Sequence[str] = (), home: str = "", curves: bool = True,
    points: int | None = MOST_POINTS,
) -> StudyView:  # fmt: skip
    """Return the view of a study as it stands in the ledger.

    Verdicts, effects and intervals are those of the last look that was stored; without one the view has plain means.

    Args:
        ledger: the ledger.
        name: the study's name.
        commands: the lines that repeat the study; by default those of its specification, else the one that runs it.
        home: the way from the page to the lab's home, such as `../`, to which links to run folders are appended.
        curves: whether to read them; most of the time goes into that, and a live table shows none.
        points: at most this many of each curve; None: all.

    Raises:
        RecordError: there is no study of this name.
    """
    if (row := ledger.studies.get(name)).is_given:
        return kept_view(ledger, row)
    study = _read(ledger, name)
    scores = {arm.name: [one.score for one in _seeds(study, arm)] for arm in study.arms}
    noisy = noisy_arm(scores, study.control)
    treatments = [arm.name for arm in study.arms if not arm.is_control]
    cells = tuple(
        corrected(
            ledger, study.row.spec, _arm(study, arm, noisy),
            study.outcomes[arm.name].last if arm.name in study.outcomes else None, treatments, study.noise,
        )
        for arm in study.arms
    )  # fmt: skip
    cells = _with_guards(study, cells)
    spec, row = study.row.spec, study.row
    metric, factorial = spec["metric"], study.factorial
    arms = factorial.arms(cells, study.rule, over=row.state == "finished") if factorial else cells
    names = ("name", "protocol", "split", "unit", "higher_is_better")
    placed = _placed(study, cells)
    taken, order = [run for _, run in placed], [arm.name for arm in study.arms]
    view = StudyView(
        name=row.name,
        question=row.question,
        metric=MetricView(**{key: metric[key] for key in names if key in metric}),
        margin=study.rule.margin,
        margin_percent=spec.get("margin_percent"),
        rule=RuleView(
            mode=str(spec.get("mode", "claim")),
            alpha=study.rule.alpha,
            seeds=study.rule.seeds,
            first_look=study.rule.first_look,
            futility=study.rule.futility,
            seen=tuple(spec.get(SEEN, {}).items()),
            from_items=spec.get("noise") == "items" and not study.without_items,
            **wave_fields(spec),
        ),
        state=row.state,
        created=moment(row.created),
        finished=moment(row.finished),
        arms=arms,
        plan=_plan(ledger, study),
        progress=_progress(study, cells),
        curves=study_curves(ledger, name, study.key, placed, order, points) if curves else (),
        environments=environments(ledger, taken),
        fingerprints=fingerprints(placed),
        code_notes=code_notes(placed),
        impossible=_impossible(study),
        caveats=(
            *(time_notes(order, placed, study.load, forked="fork" in study.row.spec) if factorial is None else ()),
            *data_notes(placed, study.control),
            *apart_notes(study.apart, study.rule.seeds, study.seeds.stop),
            *_without_items(ledger, study),
        ),
        aa=_aa(study),
        scored_on=_scored_on(ledger, study) if curves else "",
        history=history_view(study.rule, study.replay),
        pairing=pairing_of(scores, study.control, seeded=not spec.get("unseeded")),
        is_seeded=not spec.get("unseeded"),
        pick=study.pick,
        account=account_views(ledger, row, study.arms),
        fork=_fork(ledger, study, placed),
        incomparable=_incomparable(study),
        commands=tuple(commands or spec.get("commands") or (f"ablata study run {name}",)),
        runs=tuple(run_view(run, arm=arm, home=home) for arm, run in placed),
        rounds=_rounds(ledger, study, placed),
        factorial=_factorial(ledger, study, factorial, cells) if factorial else None,
    )
    return rounded(view)


def moment(seconds: float | None) -> str:
    """Write seconds since 1970 as ISO 8601 text in UTC, empty for None."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _read(ledger: Ledger, name: str) -> _Study:
    row = ledger.studies.get(name)
    looks = ledger.studies.looks(name)
    result: dict[str, Any] = looks[-1].result if looks else {}
    replay = Replay.from_json(result["replay"]) if result.get("replay") else None
    outcomes = {result["arms"][outcome.arm - 1]: outcome for outcome in replay.outcomes} if replay else {}
    runs = {(cell.arm, cell.seed): cell.run for cell in ledger.studies.cells(name)}
    arms = ledger.studies.arms(name)
    for arm in arms:
        if arm.name in outcomes and not outcomes[arm.name].open and _reopened(row, arm, runs):
            del outcomes[arm.name]
    values = judged_values(ledger, row.spec["metric"]["key"], list(runs.values()))
    rule = rule_of(row.spec)
    if result.get("margin"):
        rule = replace(rule, margin=float(result["margin"]))
    apart = tuple(result.get("apart", ()))
    factorial = FactorialRecord.of(row.spec, result)
    pick = pick_view(result.get("choice"), rule.seeds, row.spec.get("guards", ())) if row.spec.get("pick") else None
    without = str(result.get("without_items", ""))
    again = {str(event.run): event.text for event in ledger.events.find(study=row.name, kind=AGAIN)}
    guarded = result.get("guards", {})
    return _Study(row, rule, arms, runs, replay, outcomes, values, apart, factorial, pick, without, guarded, again)


def _reopened(study: StudyRow, arm: ArmRow, runs: Mapping[tuple[str, int], RunRow]) -> bool:
    """Whether runs that the last look counted are run again, so that what it said of the arm stands no more."""
    again = any(run.state not in ENDED for (name, _), run in runs.items() if name == arm.name)
    return study.state == "open" and arm.state == "open" and arm.verdict is None and again


def _arm(study: _Study, arm: ArmRow, noisy: NoisyArm | None) -> ArmView:
    """One arm with its seeds, mean, and what the last look says of it."""
    seeds = _seeds(study, arm)
    scores = [seed.score for seed in seeds if seed.score is not None]
    mean = mean_interval(scores)
    runs = [study.runs[arm.name, seed.seed] for seed in seeds if seed.state in ENDED]
    outcome = study.outcomes.get(arm.name)
    last = outcome.last if outcome else None
    low, high = last.interval if last and last.interval else (None, None)
    widened = noisy if outcome and outcome.verdict is Verdict.UNDECIDED and noisy and noisy.name != arm.name else None
    reason = arm.reason or "" if outcome is None else outcome.reason if widened else _reason(study, outcome, runs)
    picked = study.pick.effects.get(arm.name) if study.pick and not arm.is_control else None
    lost = "failed" if arm.recipe.get("task") in ("command", "function") else "diverged"
    return ArmView(
        name=arm.name,
        is_control=arm.is_control,
        changes=tuple(map(_change, arm.change)),
        seeds=seeds,
        mean=None if mean.mean is None else Estimate(value=mean.mean, low=mean.low, high=mean.high),
        effect=Estimate(value=last.effect, low=low, high=high)
        if last and last.effect is not None
        else None
        if picked is None
        else Estimate(value=picked),
        standardised=last.effect_size if last else None,
        verdict=outcome.verdict.value if outcome else None,
        open=study.row.state == "open" and (outcome.open if outcome else not arm.is_control),
        confidence=last.confidence if last else None,
        best=study.pick.probabilities.get(arm.name) if study.pick else None,
        reason=_told(reason, lost),
        exploratory=str(study.row.spec.get(EXPLORATORY, {}).get(arm.name, "")),
        lost_word=lost,
        notes=(
            *(_told(note, lost) for note in (last.notes if last else ())),
            *((widened.words,) if widened else ()),
            *_failures(study, arm, runs),
        ),
        cost=mean_cost(runs, study.load),
        recipe_hash=arm.recipe_hash,
    )


def _told(words: str, lost: str) -> str:
    """Return a sentence of the rule's, which calls a run without a score diverged, with what it is called here."""
    return words if lost == "diverged" else words.replace("diverged", lost).replace("divergence", "failure")


def _failures(study: _Study, arm: ArmRow, runs: Sequence[RunRow]) -> Iterator[str]:
    """Say what the first of an arm's programs said that failed, and which runs were run again."""
    for run in runs:
        if run.id in study.again:
            yield f"seed {run.seed} was {study.again[run.id]}"
    failed = next((run for run in runs if run.state_word == "failed" and run.error), None)
    if failed is not None:
        yield f"seed {failed.seed} failed: {failed.error}"
        if not arm.is_control:
            again = f"ablata study run {study.row.name} --again {arm.name}"
            yield f"if that lay outside the program and is mended: {again}"


def _reason(study: _Study, outcome: Outcome, runs: Sequence[RunRow]) -> str:
    """Why an arm ended or goes on; of one that stays undecided also what would settle it."""
    noise = study.noise
    undecided = outcome.verdict is Verdict.UNDECIDED and not outcome.open and study.rule.looks
    if not undecided or noise is None or outcome.last.interval is None or outcome.last.effect is None:
        return outcome.reason
    spec, rule = study.row.spec, study.rule
    extendable = bool(spec.get(EXTENDABLE))
    if extendable:
        rule = replace(rule, alpha=wave_level(rule.alpha, len(rules_of(spec))))
    found = to_settle(outcome.last.effect, noise, len(study.arms) - 1, rule)
    seconds = mean_seconds(runs)
    # Seeds already seen are no new evidence: a study that is made larger for what they showed would break its promise.
    cost = f", about {duration(2 * found.seeds * seconds)}" if found.seeds and seconds is not None else ""
    fresh = f"about {found.seeds} fresh seeds (--first-seed {study.seeds.stop}{cost})"
    if extendable and found.seeds is not None:
        fresh = f"about {found.seeds} seeds in all (ablata study extend {study.row.name} --seeds {found.seeds})"
    seeds = fresh if found.seeds is not None else f"more than {MOST_SEEDS} seeds"
    margin = f", or a margin of {two_digits(found.margin)}" if found.margin is not None else ""
    return f"{outcome.reason}. To settle it: {seeds}{margin}"


def _seeds(study: _Study, arm: ArmRow) -> tuple[SeedView, ...]:
    return tuple(_seed(study, arm, place, seed) for place, seed in enumerate(study.seeds))


def _seed(study: _Study, arm: ArmRow, place: int, seed: int) -> SeedView:
    """One cell. After an arm has stopped, a cell is closed, even if another study's run could fill it."""
    run, control = study.runs.get((arm.name, seed)), study.runs.get((study.control, seed))
    outcome = study.outcomes.get(arm.name)
    stopped = outcome is not None and not outcome.open and place >= outcome.seeds
    over = study.row.state == "finished" or (
        bool(study.outcomes) and not any(one.open for one in study.outcomes.values())
    )
    unplaced = study.pick is not None and run is None
    if stopped or unplaced or (over and (run is None or run.state not in ENDED)):
        return SeedView(seed=seed, state="closed")
    if run is None or run.state == "cancelled":
        return SeedView(seed=seed, state="waiting")
    score, base = study.score(arm.name, seed), study.score(study.control, seed)
    state = "diverged" if run.state == "completed" and score is None else run.state
    apart = not comparable_in_time([run, control], study.key)
    difference = None if arm.is_control or apart or score is None or base is None else score - base
    paired = control is None or run.environment == control.environment
    return SeedView(seed=seed, state=state, score=score, difference=difference, paired=paired)


def _change(text: str) -> ChangeView:
    """Read `key: old -> new`, the form in which a study writes its changes; other text is shown as it is."""
    key, colon, values = text.partition(": ")
    old, arrow, new = values.partition(" -> ")
    return ChangeView(key=key, old=old, new=new) if colon and arrow else ChangeView(key=text, old="", new="")


def _incomparable(study: _Study) -> bool:
    """Tell whether no verdict could be reached since too few rows can be compared in time."""
    judged = max((outcome.seeds for outcome in study.outcomes.values()), default=0)
    too_few = bool(study.apart) and judged < study.rule.first_look and study.factorial is None
    return study.row.state == "finished" and too_few


def _plan(ledger: Ledger, study: _Study) -> PlanView:
    """What the study can find, from the noise seen so far; empty without noise or without the calibrated bound."""
    if study.factorial is not None:
        return _factorial_plan(ledger, study, study.factorial)
    noise = study.noise
    arms, rule = len(study.arms) - 1, replace(rules_of(study.row.spec)[-1], margin=study.rule.margin)
    key = procedure_of(study.row.spec).calibration_key
    known = ledger.calibrations.get(key(arms, rule)) if noise and arms else None
    if known is None or noise is None:
        return PlanView(noise=noise)
    found = plan(noise, arms, rule, Calibration.from_json(known))
    return PlanView(detectable=found.detectable, smallest_margin=found.confirmable, noise=noise)


def _factorial_plan(ledger: Ledger, study: _Study, factorial: FactorialRecord) -> PlanView:
    noise = factorial.result.noise if factorial.result else None
    known = ledger.calibrations.get(factorial_key(factorial.design, study.rule)) if noise else None
    if known is None or noise is None:
        return PlanView(noise=noise)
    found = plan_factorial(noise, factorial.design, study.rule, Calibration.from_json(known))
    return PlanView(detectable=found.detectable, smallest_margin=found.confirmable, noise=noise)


def _scored_on(ledger: Ledger, study: _Study) -> str:
    """Return the sentence on the test items of the control's score; empty where it kept none."""
    metric = study.row.spec["metric"]
    done = [run for (arm, _), run in study.runs.items() if arm == study.control and run.state == "completed"]
    found = scored_on(ledger, metric, done, study.row.spec.get("clusters"))
    return "" if found is None else found.sentence(str(metric.get("split") or ""))


def _progress(study: _Study, arms: Sequence[ArmView]) -> ProgressView:
    """How far the study is. The time left counts all runs that may still come, at the mean time of those completed."""
    states = [seed.state for arm in arms for seed in arm.seeds if seed.state != "closed"]
    done, running = sum(state in ENDED for state in states), states.count("running")
    runs = [[study.runs[arm.name, seed.seed] for seed in arm.seeds if seed.state in ENDED] for arm in arms]
    seconds = [mean for one in runs if (mean := mean_seconds(one)) is not None]
    left = None
    if seconds and done < len(states):
        left = (len(states) - done) * math.fsum(seconds) / len(seconds) / _workers(study.runs.values())
    if study.pick is not None:
        return ProgressView(done=done, planned=study.rule.seeds, running=running)
    return ProgressView(done=done, planned=len(states), running=running, seconds_left=left)


def _workers(runs: Iterable[RunRow]) -> float:
    """Return how many workers train at once: those that do now, or as many as the run that ended last had beside it."""
    at_work = {run.owner for run in runs if run.state == "running"}
    last = max((run for run in runs if run.cost and run.finished), key=lambda run: run.finished or 0.0, default=None)
    beside = (last.cost or {}).get("workers", 1.0) if last else 1.0
    return max(float(beside), len(at_work), 1.0)


def _placed(study: _Study, arms: Sequence[ArmView]) -> list[tuple[str, RunRow]]:
    """The runs that count, each with its arm."""
    cells = [(arm.name, seed.seed) for arm in arms for seed in arm.seeds if seed.state != "closed"]
    return [(cell[0], study.runs[cell]) for cell in cells if cell in study.runs]


def _rounds(ledger: Ledger, study: _Study, placed: Sequence[tuple[str, RunRow]]) -> tuple[RoundView, ...]:
    """The rounds of the arms whose completed runs were taught by other runs."""
    done = [(arm, run) for arm, run in placed if run.state == "completed"]
    shares = "fork" in study.row.spec or "begin" in study.row.spec
    if shares or all(run.parent is None for _, run in done) or cost_of_key(study.key) is not None:
        return ()
    arms = {arm.name: [run for name, run in done if name == arm.name] for arm in study.arms}
    higher = bool(study.row.spec["metric"].get("higher_is_better", True))
    parents = [*ledger.studies.parents(study.row.name), *study.runs.values()]
    return round_views(arms, parents, study.key, higher)


def _without_items(ledger: Ledger, study: _Study) -> Iterator[str]:
    """Say why the noise is that of the scores, not of single images as asked, and which files could not be read."""
    if study.without_items:
        yield f"Its noise was to be read from single images and is that of the scores: {study.without_items}."
    if unread := ledger.events.find(study=study.row.name, kind="items"):
        more = f" So it was in {len(unread)} runs." if len(unread) > 1 else ""
        yield f"Run {unread[0].run}: {unread[0].text}.{more}"


def _impossible(study: _Study) -> tuple[str, ...]:
    """Warnings about scores that cannot be what they seem; most of a control against itself are in its own words."""
    scores: dict[str, dict[int, float]] = {arm.name: {} for arm in study.arms}
    for arm, seed in study.runs:
        if (score := study.score(arm, seed)) is not None:
            scores[arm][seed] = score
    metric = study.row.spec["metric"]
    higher = bool(metric.get("higher_is_better", True))
    warnings = at_limit if study.row.spec.get("aa") else impossible
    return warnings(scores, study.control, str(metric.get("unit", "")), higher_is_better=higher)


def _factorial(ledger: Ledger, study: _Study, factorial: FactorialRecord, cells: Sequence[ArmView]) -> FactorialView:
    """What a factorial study shows beside its changes."""
    higher = bool(study.row.spec["metric"].get("higher_is_better", True))
    return factorial.view(cells, higher=higher, study=study.row.name, confirmed=confirmed_words(ledger, study.row.name))


def _with_guards(study: _Study, arms: tuple[ArmView, ...]) -> tuple[ArmView, ...]:
    """Return the arms with how each stands beside the study's guardrails."""
    if study.pick is not None or not (guards := study.row.spec.get("guards")):
        return arms
    found = guard_views(guards, study.guarded, [arm.name for arm in study.arms if not arm.is_control])
    return tuple(replace(arm, guards=found.get(arm.name, ())) for arm in arms)


def _fork(ledger: Ledger, study: _Study, placed: Sequence[tuple[str, RunRow]]) -> tuple[str, ...]:
    """What is said of beginnings that arms share with the control."""
    spec = study.row.spec
    if "fork" not in spec and "begin" not in spec:
        return ()
    arms = {arm.name: [run for name, run in placed if name == arm.name] for arm in study.arms}
    parents = ledger.studies.parents(study.row.name)
    return begin_words(spec["begin"], arms, parents) if "begin" in spec else fork_words(spec["fork"], arms, parents)


def _aa(study: _Study) -> AaResult | None:
    """What the runs of a control against itself show; None of any other study."""
    ended = [run for run in study.runs.values() if run.state in ENDED]
    if not study.row.spec.get("aa"):
        return None
    ended.sort(key=lambda run: (run.started or 0.0, run.seed))
    return judge_aa([study.values.get(run.id, math.nan) for run in ended], alpha=study.rule.alpha)
