"""A loop's gain confirmed: its start and its best run again with seeds that nothing was chosen by."""

from __future__ import annotations

import math
from collections.abc import Callable

from ablata.base.errors import RunError, SettingsError
from ablata.base.quantities import duration
from ablata.records.ledger import Ledger
from ablata.stats.loop import CONFIRM_RUNS
from ablata.studies.loops.imported import refuse_imported
from ablata.studies.loops.proposing import Trainers
from ablata.studies.loops.running import RunTrainer
from ablata.studies.loops.scores import LoopScores


def confirm(
    ledger: Ledger,
    name: str,
    runs: int | None = None,
    trainers: Trainers | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Run the start and the best of a loop with fresh seeds, for its gain; interrupted, the same call goes on.

    Args:
        ledger: where the loop is.
        name: of the loop.
        runs: of each side; runs that confirmed the same two before count.
        trainers: what its proposals run, as far as that was made in this process.
        say: called with a line for each run.

    Raises:
        SettingsError: nothing was kept yet.
        RunError: a run failed.
    """
    refuse_imported(ledger, name)
    count, rows = runs or CONFIRM_RUNS, ledger.loops.proposals(name)
    scores = LoopScores(ledger, name)
    best = scores.loop.best
    if best == 0:
        raise SettingsError(
            "A loop must have kept a change before its gain can be confirmed",
            found=f"loop {name} kept none yet",
            do="go on with ablata loop try",
        )
    seeds = sorted({one.seed for one in scores.of(best, "confirm")})
    while len(seeds) < count:
        seeds.append(max({*scores.seeds(), *seeds}) + 1)
    made, runner = trainers or Trainers(), RunTrainer(ledger, say)
    say(_cost_words(scores, best, seeds[:count]))
    for seed in seeds[:count]:
        sides = [(number, who, made.of(rows[number])) for number, who in ((0, "start"), (best, "best"))]
        # The best first: by its runs a confirmation that was killed knows its seeds.
        asked = {
            number: ledger.loops.enqueue(name, number, "confirm", runner.identity(trainer, seed))
            for number, _, trainer in reversed(sides)
        }
        for number, who, trainer in sides:
            run = asked[number]
            if run.state != "completed":
                run = runner.ended(trainer, run)
                value = LoopScores(ledger, name).groups.get((number, "confirm"), {}).get(seed)
                if value is None:
                    raise RunError(
                        "A run that confirms must leave a score", found=f"run {run.id}, seed {seed}: {run.error}",
                        do="give the same command again",
                    )  # fmt: skip
                say(f"{who}, seed {seed}: {value:.6g} ({duration((run.cost or {}).get('seconds'))})")


def _cost_words(scores: LoopScores, best: int, seeds: list[int]) -> str:
    """Say how many runs a confirmation takes, and what so many can tell."""
    there = sum(seed in scores.groups.get((number, "confirm"), {}) for number in (0, best) for seed in seeds)
    left, each = 2 * len(seeds) - there, scores.seconds_a_run()
    took = "" if each is None or not left else f", about {duration(left * each)}"
    known = f", {there} of them are there" if there else ""
    told = f"{len(seeds)} fresh runs of the start and of the best{known}: {left} to run{took}"
    sd = scores.noise().sd
    if not sd:
        return told
    half = 1.96 * sd * math.sqrt(2 / len(seeds))
    return f"{told}; they tell the gain to about ± {half:.2g}"
