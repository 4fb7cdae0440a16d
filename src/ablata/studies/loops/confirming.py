"""A loop's gain confirmed: its start and its best run again with seeds that nothing was chosen by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ablata.base.errors import RunError, SettingsError
from ablata.base.quantities import duration
from ablata.records.ledger import Ledger
from ablata.stats.loop import CONFIRM_RUNS, LoopGain, LoopRule, honest_gain
from ablata.studies.loops.proposing import Trainers
from ablata.studies.loops.running import RunTrainer
from ablata.studies.loops.scores import LoopScores
from ablata.trainers.function import Function


@dataclass(frozen=True, kw_only=True)
class ConfirmedGain:
    """What a loop gained.

    Args:
        best: the number of the proposal that is the best.
        claimed: the sum of what the kept changes claimed when they were kept.
        gain: by fresh runs of start and best.
    """

    best: int
    claimed: float
    gain: LoopGain


def confirmed_gain(ledger: Ledger, name: str) -> ConfirmedGain | None:
    """Return what the fresh runs say that there are; None: the start or the present best has none."""
    scores, rows = LoopScores(ledger, name), ledger.loops.proposals(name)
    best = scores.loop.best
    first, last = (scores.groups.get((number, "confirm"), {}) for number in (0, best))
    if not best or not first or not last:
        return None
    shared = first.keys() & last.keys()
    first, last = ({seed: group[seed] for seed in sorted(shared)} for group in (first, last))
    pools = [list(group.values()) for key, group in scores.groups.items() if key[1] != "confirm"]
    if not shared:
        return None
    claimed = sum(float((row.result or {}).get("effect", 0.0)) for row in rows if row.number and row.outcome == "keep")
    rule = LoopRule.from_json(scores.loop.spec["rule"])
    return ConfirmedGain(best=best, claimed=claimed, gain=honest_gain(rule, first, last, pools))


def confirm(
    ledger: Ledger,
    name: str,
    runs: int | None = None,
    function: Function | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> ConfirmedGain:
    """Run the start and the best of a loop with fresh seeds, and return the gain; interrupted, the same call goes on.

    Args:
        ledger: where the loop is.
        name: of the loop.
        runs: of each side; runs that confirmed the same two before count.
        function: the function that it was started with, where it lives in this process.
        say: called with a line for each run.

    Raises:
        SettingsError: nothing was kept yet.
        RunError: a run failed.
    """
    count, rows = runs or CONFIRM_RUNS, ledger.loops.proposals(name)
    scores = LoopScores(ledger, name)
    best = scores.loop.best
    if best == 0:
        raise SettingsError(
            "A loop must have kept a change before its gain can be confirmed", found=f"loop {name} kept none yet"
        )
    seeds = sorted({one.seed for one in scores.of(best, "confirm")})
    while len(seeds) < count:
        seeds.append(max({*scores.seeds(), *seeds}) + 1)
    trainers, runner = Trainers(function), RunTrainer(ledger, say)
    for seed in seeds[:count]:
        for number, who in ((0, "start"), (best, "best")):
            trainer = trainers.of(rows[number])
            run = ledger.loops.enqueue(name, number, "confirm", runner.identity(trainer, seed))
            if run.state != "completed":
                run = runner.ended(trainer, run)
                value = LoopScores(ledger, name).groups.get((number, "confirm"), {}).get(seed)
                if value is None:
                    raise RunError(
                        "A run that confirms must leave a score", found=f"run {run.id}, seed {seed}: {run.error}",
                        do="give the same command again",
                    )  # fmt: skip
                say(f"{who}, seed {seed}: {value:.6g} ({duration((run.cost or {}).get('seconds'))})")
    found = confirmed_gain(ledger, name)
    assert found is not None, "both sides have just been run"
    return found
