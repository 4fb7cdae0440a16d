"""Measure what a research loop gains, claims and costs under the rule of `ablata loop` and under the rules in use.

    python benchmarks/loop_rule.py [--loops 4000] [--output docs/results/loops.md]

A hundred proposals come one after another. In standard deviations of one run, a share of them helps by
|N(size, size/2)|, a share harms by as much, the rest changes nothing. The rule is the product's own code, many loops at
a time; the others are written from their descriptions.
"""

from __future__ import annotations

import argparse
import datetime
import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.stats.loop import CONFIRM_RUNS, Evidence, LoopMode, LoopRule, More, judge_proposal
from ablata.stats.loop.simulation import LoopsPlayed, ProposalMix, play_loops
from ablata.stats.table import Floats
from decision_rule import hardware

PROPOSALS = 100
MIXES = {
    "20% help, 50% nothing, 30% harm, size 1": ProposalMix(help=0.2, harm=0.3, size=1.0),
    "10% help, 70% nothing, 20% harm, size 0.7": ProposalMix(help=0.1, harm=0.2, size=0.7),
    "20% help, 50% nothing, 30% harm, size 2": ProposalMix(help=0.2, harm=0.3, size=2.0),
    "nothing helps: 70% nothing, 30% harm, size 1": ProposalMix(help=0.0, harm=0.3, size=1.0),
    "half help, half harm, size 1": ProposalMix(help=0.5, harm=0.5, size=1.0),
    "2% help, 98% nothing, size 2": ProposalMix(help=0.02, harm=0.0, size=2.0),
}  # fmt: skip
Play = Callable[[Floats, np.random.Generator], LoopsPlayed]
SEEDS = 3
BOOTSTRAPS = 400
FLOOR_RUNS = 5


class Tally:
    """True state and counts of many loops under a rule that keeps the winner's runs as the baseline's."""

    def __init__(self, loops: int) -> None:
        self.true, self.runs, self.kept, self.useless = np.zeros((4, loops))

    def scores(self, effect: Floats | float, rng: np.random.Generator, count: int) -> Floats:
        """Return runs of the best with a change, (count, loops)."""
        return np.asarray(self.true + effect + rng.standard_normal((count, len(self.true))))

    def keep(self, effect: Floats, which: np.ndarray) -> None:
        """Note what was kept."""
        self.true = np.where(which, self.true + effect, self.true)
        self.kept += which
        self.useless += which & (effect <= 0)

    def end(self, claimed: Floats) -> LoopsPlayed:
        """Return the ends."""
        return LoopsPlayed(gain=self.true, claimed=claimed, runs=self.runs, kept=self.kept, useless=self.useless)


def greedy(effects: Floats, rng: np.random.Generator) -> LoopsPlayed:
    """One run each, kept if it is better than the best so far."""
    state = Tally(effects.shape[1])
    best = state.scores(0.0, rng, 1)[0]
    first, state.runs = best.copy(), state.runs + 1
    for effect in effects:
        score = state.scores(effect, rng, 1)[0]
        state.runs += 1
        better = score > best
        state.keep(effect, better)
        best = np.where(better, score, best)
    return state.end(best - first)


def bootstrap(effects: Floats, rng: np.random.Generator) -> LoopsPlayed:
    """Three seeds: given up if the first lies a standard deviation below the best's mean, kept if the mean is higher in
    95% of bootstrap draws of both."""
    state = Tally(effects.shape[1])
    best = state.scores(0.0, rng, SEEDS)
    first, state.runs = best.mean(axis=0), state.runs + SEEDS
    for effect in effects:
        scores = state.scores(effect, rng, SEEDS)
        on = scores[0] >= best.mean(axis=0) - 1
        state.runs += np.where(on, SEEDS, 1)
        ours, theirs = (resampled(group, rng) for group in (scores, best))
        better = on & ((ours > theirs).mean(axis=0) >= 0.95)
        state.keep(effect, better)
        best = np.where(better, scores, best)
    return state.end(best.mean(axis=0) - first)


def resampled(group: Floats, rng: np.random.Generator) -> Floats:
    """Return bootstrap means, (draws, loops); all loops share the draws' places, which is as random and faster."""
    counts = rng.multinomial(SEEDS, [1 / SEEDS] * SEEDS, BOOTSTRAPS)
    return np.asarray(counts @ group / SEEDS)


def noise_floor(effects: Floats, rng: np.random.Generator) -> LoopsPlayed:
    """The standard deviation of the last five runs is the noise floor: better by more is kept, worse by more discarded,
    what lies between is run once more and kept if the mean is better by more than the floor."""
    state = Tally(effects.shape[1])
    last = state.scores(0.0, rng, FLOOR_RUNS)
    best = last.mean(axis=0)
    first, state.runs = best.copy(), state.runs + FLOOR_RUNS
    for effect in effects:
        floor = last.std(axis=0, ddof=1)
        score, second = state.scores(effect, rng, 2)
        again = np.abs(score - best) <= floor
        state.runs += 1 + again
        last = np.concatenate([last[1:], score[None]])
        last = np.where(again, np.concatenate([last[1:], second[None]]), last)
        mean = np.where(again, (score + second) / 2, score)
        better = mean - best > floor
        state.keep(effect, better)
        best = np.where(better, mean, best)
    return state.end(best - first)


def two_baselines(effects: Floats, rng: np.random.Generator) -> LoopsPlayed:
    """Two runs of the start: twice their difference is the noise, and one run is kept if it is better by more."""
    state = Tally(effects.shape[1])
    start = state.scores(0.0, rng, 2)
    floor, best = 2 * np.abs(start[0] - start[1]), start.mean(axis=0)
    first, state.runs = best.copy(), state.runs + 2
    for effect in effects:
        score = state.scores(effect, rng, 1)[0]
        state.runs += 1
        better = score - best > floor
        state.keep(effect, better)
        best = np.where(better, score, best)
    return state.end(best - first)


def ours(mode: LoopMode, **options: object) -> Play:
    """Return the product's rule as a player."""
    rule = LoopRule(margin=None, higher_is_better=True, mode=mode)
    return lambda effects, rng: play_loops(rule, effects, rng, **options)  # type: ignore[arg-type]


RULES: dict[str, Play] = {
    "greedy, one run each": greedy,
    "three seeds, bootstrap 95%": bootstrap,
    "noise floor of the last five runs": noise_floor,
    "twice the difference of two baselines": two_baselines,
    "**ablata loop, progress**": ours(LoopMode.PROGRESS),
    "**ablata loop, claim**": ours(LoopMode.CLAIM),
}
PUBLISHED = {
    0: {"progress": (10.2, 304, 9), "claim": (1.7, 273, 1)},
    1: {"progress": (2.0, 257, 26), "claim": (0.1, 279, 1)},
    2: {"progress": (36, 345, 9), "claim": (30, 333, 4)},
}
"""By mix: true gain, runs, useless share of a plain sequential z test with known noise, 2 to 6 runs, six of the
baseline after each keep: with a level of 0.05 for each proposal, and with LORD at 0.10."""


def outliers(rng: np.random.Generator, loops: int) -> Floats:
    """Three in a hundred runs lose 6 standard deviations; centred and scaled."""
    return np.asarray((np.where(rng.random(loops) < 0.03, -6.0, 0.0) + rng.standard_normal(loops) + 0.18) / 1.43)


def heavy(rng: np.random.Generator, loops: int) -> Floats:
    """Student's t with 4 degrees of freedom."""
    return np.asarray(rng.standard_t(4, loops) / math.sqrt(2))


def skewed(rng: np.random.Generator, loops: int) -> Floats:
    """Exponential noise."""
    return rng.exponential(1, loops) - 1


def cells(played: LoopsPlayed) -> str:
    """Return the columns of a row."""
    return (
        f"{played.gain.mean():.2f} | {played.claimed.mean():.2f} | {played.runs.mean():.0f} | {played.kept.mean():.1f} "
        f"| {100 * played.useless_share:.1f}% | {played.gain_per_100_runs:.2f}"
    )


def rule_table(loops: int) -> list[str]:
    """Return every rule under every mix."""
    lines = [
        "| rule | true gain | claimed | runs | kept | useless or harmful | gain per 100 runs |",
        "|---" + "|---:" * 6 + "|",
    ]
    for number, (name, mix) in enumerate(MIXES.items()):
        lines.append(f"| *{name}* | | | | | | |")
        each: dict[str, float] = {}
        for rule, play in RULES.items():
            rng = np.random.default_rng([number, 1])
            effects = mix.draw(rng, PROPOSALS, loops)
            played = play(effects, rng)
            each[rule] = played.gain_per_100_runs
            lines.append(f"| {rule} | {cells(played)} |")
        for mode, (gain, runs, useless) in PUBLISHED.get(number, {}).items():
            plain = 100 * gain / runs
            ratio = next(value for rule, value in each.items() if mode in rule) / plain
            per_run = f"{plain:.2f}; ours {ratio:.2f} times"
            lines.append(f"| plain sequential test, {mode} | {gain} | | {runs} | | {useless}% | {per_run} |")
    return lines


def stress_table(loops: int) -> list[str]:
    """Return both modes where the noise is not as assumed."""
    loud = np.where(np.random.default_rng(5).random((PROPOSALS, loops)) < 0.1, 3.0, 1.0)
    kinds: dict[str, dict[str, object]] = {
        "normal, independent": {},
        "half of the variance is the seed's, and seeds are shared": {"shared": 0.5},
        "Student's t, 4 degrees of freedom": {"draw": heavy},
        "exponential": {"draw": skewed},
        "3% of runs lose 6 standard deviations": {"draw": outliers},
        "one proposal in ten is 3 times as noisy": {"spread": loud},
    }
    names = list(MIXES)
    chosen = (names[0], names[1], names[3])
    lines = [
        "| noise | mode |" + "".join(f" {name}: gain, useless |" for name in chosen),
        "|---|---" + "|---:" * len(chosen) + "|",
    ]
    for kind, options in kinds.items():
        for mode in LoopMode:
            found = []
            for number, name in enumerate(chosen):
                rng = np.random.default_rng([number, 2])
                played = ours(mode, **options)(MIXES[name].draw(rng, PROPOSALS, loops), rng)
                found.append(f"{played.gain.mean():.2f}, {100 * played.useless_share:.1f}%")
            lines.append(f"| {kind} | {mode} | {' | '.join(found)} |")
    return lines


def wild_table(proposals: int) -> list[str]:
    """Return what becomes of proposals one of whose own runs goes wrong, or is far too lucky."""
    rule = LoopRule(margin=None, higher_is_better=True)
    wilds: dict[str, tuple[int, float]] = {"none": (-1, 0.0)}
    for place, name in enumerate(("first", "second", "third", "fourth")):
        wilds[f"the {name} loses 6"] = (place, -6.0)
    wilds |= {"the second loses 100": (1, -100.0), "the first gains 6": (0, 6.0), "the second gains 6": (1, 6.0)}
    lines = [
        "| wild run | no effect: kept, runs | effect 1: kept, runs | effect 2: kept, runs | effect 4: kept, runs |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, (place, size) in wilds.items():
        found = []
        for effect in (0.0, 1.0, 2.0, 4.0):
            rng, kept, runs = np.random.default_rng(6), 0, 0
            for _ in range(proposals):
                outcome, used = one_proposal(rule, rng, effect, place, size)
                kept, runs = kept + (outcome == "keep"), runs + used
            found.append(f"{100 * kept / proposals:.1f}%, {runs / proposals:.1f}")
        lines.append(f"| {name} | {' | '.join(found)} |")
    return lines


def one_proposal(rule: LoopRule, rng: np.random.Generator, effect: float, place: int, size: float) -> tuple[str, int]:
    """Judge one proposal whose run at `place` is off by `size`; return what became of it, and how many runs it took."""
    known = rng.standard_normal(21).tolist()
    base = dict(enumerate(rng.standard_normal(40)))
    own = {seed: effect + score + size * (seed == place) for seed, score in enumerate(rng.standard_normal(12))}
    shown, runs = 6, 1
    while True:
        seen = {seed: own[seed] for seed in range(runs)}
        first = {seed: base[seed] for seed in range(shown)}
        step = judge_proposal(rule, Evidence(baseline=first, proposal=seen, pools=[known]), rule.level)
        if not isinstance(step, More):
            return step.outcome, runs
        shown, runs = shown + step.baseline, runs + step.proposal


def confirm_table(loops: int) -> list[str]:
    """Return what `confirm` costs and how near it comes."""
    lines = [
        "| mix | mode | true gain | claimed by the loop | runs a side | runs | confirmed, mean | typical error (rms) |"
        " within 10% of the truth |", "|---|---" + "|---:" * 7 + "|",
    ]  # fmt: skip
    for number, name in enumerate(list(MIXES)[:3]):
        for mode in LoopMode:
            rng = np.random.default_rng([number, 3])
            played = ours(mode)(MIXES[name].draw(rng, PROPOSALS, loops), rng)
            for side in (CONFIRM_RUNS, 2 * CONFIRM_RUNS, 4 * CONFIRM_RUNS):
                confirmed = played.gain + rng.standard_normal(loops) * math.sqrt(2 / side)
                error = confirmed - played.gain
                some = played.gain > 0
                near = (np.abs(error) <= 0.1 * played.gain)[some].mean()
                lines.append(
                    f"| {name} | {mode} | {played.gain.mean():.2f} | {played.claimed.mean():.2f} | {side} | {2 * side} "
                    f"| {confirmed.mean():.2f} | {math.sqrt(np.square(error).mean()):.2f} | {100 * near:.0f}% |"
                )
    return lines


def page(loops: int) -> list[str]:
    """Return the page's tables with what they say."""
    return [
        "## Rules beside each other",
        "",
        "All in standard deviations of one run, means over the loops. *Claimed*: what the loop itself believes, "
        "from the runs it judged with. *Useless or harmful*: share of the kept, mean over loops; where nothing "
        "helps every keep is useless, and the share is that of loops with any. *Plain sequential test*: a z test "
        "with known noise, 2 to 6 runs a proposal, six fresh runs of the baseline after each keep, with a level of "
        "0.05 each (progress) and LORD at 0.10 (claim).",
        "",
        *rule_table(loops),
        "",
        "A quarter more gain per run than the plain test was the aim. Claims meet it up to size 1, progress mode "
        "all but meets it at size 0.7; at sizes 1 and 2, and for claims at size 2, it is missed. Two fifths of "
        "all runs are first runs, and a fifth measure baselines anew, which no bound can save.",
        "",
        "## Where the noise is not as assumed",
        "",
        *stress_table(loops),
        "",
        "## One wild run among a proposal's own",
        "",
        f"Progress mode, {min(loops, 2000)} proposals a cell, a noise that 20 degrees of freedom tell, six runs of the "
        "baseline. One of the proposal's runs scores 6 or 100 standard deviations off. *Kept*: how often; *runs*: of "
        "the proposal. A run that ends without a score is no wild one: it ends the proposal as a crash, and `ablata "
        "loop retry` makes it again.",
        "",
        *wild_table(min(loops, 2000)),
        "",
        "A run that goes wrong costs a proposal its chance unless the effect is large: the first decides alone, and a "
        "later one pulls the mean down and the noise up. A run that is 6 standard deviations too good has a useless "
        "change kept in 29 to 40 of 100 cases: means are compared, and no run is taken out of one. From two runs on "
        "the judge names such a run beside its answer; `ablata loop retry` tries a proposal once more that was not "
        "kept, and the fresh runs of the next baseline, or `ablata loop confirm`, tell what a kept one is worth.",
        "",
        "## What a confirmation costs",
        "",
        "The start and the best are run again with seeds that decided nothing. What the loop claims is a little "
        "too good, since a baseline that was lucky is replaced less soon; what is confirmed is not. *Within 10% of "
        "the truth*: share of single loops, so how far one confirmation can be trusted. The error of a "
        "confirmation is sqrt(2 / runs a side) standard deviations whatever was gained: a gain of 10 needs 8 runs "
        "a side for a 95% interval of 10%, one of 5 needs 31.",
        "",
        *confirm_table(loops),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulations, print the page, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=int, default=4000, help="loops a cell (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    body = page(options.loops)
    head = (
        f"{datetime.date.today()}, `python benchmarks/loop_rule.py --loops {options.loops}`, {hardware()}, Python "
        f"{platform.python_version()}, numpy {np.__version__}, {time.perf_counter() - start:.0f} s. {PROPOSALS} "
        f"proposals a loop."
    )
    text = "\n".join(["# The judge of a research loop", "", head, "", *body]) + "\n"
    print(text)
    if options.output is not None:
        write_text(options.output, text)


if __name__ == "__main__":
    main()
