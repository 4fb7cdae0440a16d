"""How large a study must be: a pilot of its control, the seeds that a question needs, those that a time pays for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ablata.base.errors import RunError, SettingsError
from ablata.base.quantities import duration
from ablata.base.settings import settings_hash
from ablata.records.ledger import Ledger
from ablata.records.processes import worker_name
from ablata.records.questions.judged import judged_values
from ablata.records.rows import RunRow
from ablata.records.writer import new_launch
from ablata.stats import Noise, Rule, noise_from_scores, rough_calibration, seeds_for_effect, seeds_for_margin
from ablata.studies.assess import ENDED
from ablata.studies.chain import lineage
from ablata.studies.identity import new_run, record_environment, release_orphan
from ablata.studies.study import CONTROL, Study
from ablata.studies.workers.worker import LEASE_SECONDS, StopOnSignal, train_claim

MOST_IN_BUDGET = 200
_MULTIPLES = (2.0, 1.0, 0.5)


@dataclass(frozen=True)
class Need:
    """How many seeds one aim needs, in 4 of 5 cases.

    Args:
        aim: `difference`: to find one of this size; `margin`: to show an equal arm to be equivalent within it.
        size: in the metric's unit.
        seeds: None: more than are considered.
        seconds: wall time of so many seeds; nan where the time of a run is not known; None without seeds.
    """

    aim: str
    size: float
    seeds: int | None
    seconds: float | None


def run_pilot(
    ledger: Ledger,
    study: Study,
    count: int,
    *,
    threads: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a study's control at its first seeds, one after the other in this process; those that ended are not repeated.

    The runs are those that the study itself will have, so they count as its own.

    Args:
        ledger: where they are recorded.
        study: the study; it need not be recorded yet.
        count: how many seeds.
        threads: processor threads of a training.
        say: called with a line for each run.

    Raises:
        RunError: the control fails, so that nothing could be compared with it.
        KeyboardInterrupt: asked to stop; what was trained is saved.
        UserError: the data is missing, or another worker has the run.
    """
    environment, signals = record_environment(ledger), StopOnSignal()
    for row in range(count):
        seed, parent = study.seed_row(row), None
        for trainer in lineage(study.recipes[CONTROL]):
            run = ledger.runs.enqueue(new_run(ledger, trainer, seed, environment, parent))
            if run.state not in ENDED:
                if run.state in ("failed", "cancelled"):
                    ledger.runs.requeue(run.id)
                release_orphan(ledger, run)
                claim = ledger.leases.claim_run(run.id, worker_name(), LEASE_SECONDS, new_launch())
                with signals.listening():
                    train_claim(ledger, claim, threads, 1, signals, False, say)
                if signals.asked:
                    raise KeyboardInterrupt
                run = ledger.runs.get(run.id)
            parent = run.id
            if run.state != "completed":
                raise RunError(
                    "The control must run to its end",
                    found=f"run {run.id}, seed {seed} {run.state_word}: {run.error}",
                    do="mend the reason, and give the same command again",
                )
        say(_told(ledger, study, run))


def _told(ledger: Ledger, study: Study, run: RunRow) -> str:
    value = judged_values(ledger, study.judged.key, [run]).get(run.id)
    score = "no score" if value is None else f"{value:.6g}"
    seconds = (run.cost or {}).get("seconds")
    return f"pilot: control, seed {run.seed}: {study.judged.name} {score} after {duration(seconds)}"


def control_noise(ledger: Ledger, study: Study) -> Noise | None:
    """Return the spread of the control's runs, an upper bound of a run's noise; None: fewer than two, or all alike."""
    wanted = new_run(ledger, study.recipes[CONTROL], study.first_seed, record_environment(ledger))
    same = [
        run
        for run in ledger.runs.find(recipe=settings_hash(study.recipes[CONTROL]), state="completed")
        if (run.code, run.data, run.environment) == (wanted.code, wanted.data, wanted.environment)
    ]
    scores = list(judged_values(ledger, study.judged.key, same).values())
    if len(scores) < 2:
        return None
    noise = noise_from_scores(np.array(scores, dtype=np.float64)[:, None])
    return noise if noise.variance > 0 else None


def needs_of(study: Study, noise: Noise, effect: float | None, wall: Callable[[int], float]) -> tuple[Need, ...]:
    """Return how many seeds a study's question needs.

    Args:
        study: the study; its number of seeds does not matter.
        noise: of one run.
        effect: the least difference that is to be found; None: the margin, else some that fit the noise.
        wall: wall time of a number of seeds.
    """
    rule, arms = study.rule(), len(study.arms)
    margin = () if rule.margin is None else (rule.margin,)
    effects = (effect,) if effect is not None else margin or tuple(_rounded(noise.sd * one) for one in _MULTIPLES)
    found = [
        ("difference", size, seeds_for_effect(size, noise.sd, arms, rule, calibrate=rough_calibration))
        for size in effects
    ]
    found += [
        ("margin", size, seeds_for_margin(size, noise.sd, arms, rule, calibrate=rough_calibration)) for size in margin
    ]
    return tuple(Need(aim, size, seeds, None if seeds is None else wall(seeds)) for aim, size, seeds in found)


def wall_seconds(costs: Sequence[float], seeds: int, rule: Rule, workers: int, *, rows: int = 1) -> float:
    """Return how long whole rows of seeds take: those up to the first look together, later ones after each other.

    Args:
        costs: seconds of the runs of one seed.
        seeds: how many.
        rule: says after how many seeds the first verdict comes.
        workers: how many runs go on at once, or groups of runs that are trained as one.
        rows: how many later ones wait at a time.
    """
    first = min(seeds, max(rule.first_look, rows))
    blocks, rest = divmod(seeds - first, rows)
    later = blocks * _side_by_side([*costs] * rows, workers) if blocks else 0.0
    return sum((_side_by_side([*costs] * first, workers), later, _side_by_side([*costs] * rest, workers)))


def _side_by_side(costs: Sequence[float], workers: int) -> float:
    busy = [0.0] * workers
    for seconds in costs:
        busy[busy.index(min(busy))] += seconds
    return max(busy)


def seeds_in_budget(budget: float, wall: Callable[[int], float], first_look: int) -> int:
    """Return the most seeds that a time pays for, at most 200.

    Args:
        budget: seconds.
        wall: wall time of a number of seeds; nan where it is not known.
        first_look: how many seeds the first verdict needs.

    Raises:
        SettingsError: it does not pay for so many, or the time of a run is not known.
    """
    least = wall(first_look)
    if not math.isfinite(least):
        raise SettingsError(
            "A budget needs the time of a run", found="no run of the control yet", do="--pilot 1 runs it once"
        )
    if least > budget:
        raise SettingsError(
            f"A budget must pay for the {first_look} seeds that the first verdict needs",
            found=f"{duration(budget)}, and {first_look} seeds of all arms take {duration(least)}",
            do=f"a larger --budget (five seeds take {duration(wall(5))}), fewer arms, or a quicker control",
        )
    seeds = first_look
    while seeds < MOST_IN_BUDGET and wall(seeds + 1) <= budget:
        seeds += 1
    return seeds


def _rounded(value: float) -> float:
    return float(f"{value:.1g}")
