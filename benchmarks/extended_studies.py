"""Measure false verdicts and power of a question that is asked again with more seeds.

    python benchmarks/extended_studies.py [--studies 4000] [--output docs/results/extended_studies.md]

Studies of 5 seeds go on to 10, 20 and 40 where an arm stayed undecided, and arms keep the first verdict they get. One
run's standard deviation is 1, a quarter of its variance is the seed's and shared by all arms; the margin is 0.6.
"""

from __future__ import annotations

import argparse
import datetime
import time
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.stats import Rule, calibrate, draw_many, judge_many, rules_of
from ablata.stats.rule import RULE_VERSION
from ablata.stats.table import Floats
from ablata.stats.waves import waves_of
from decision_rule import hardware

MARGIN = 0.6
ARMS = (1, 3, 8)
WAVES = (5, 10, 20, 40)


def rules(seeds: tuple[int, ...], extendable: bool, futility: bool = True) -> tuple[Rule, ...]:
    """Return the rule of each wave, as a study's specification in the ledger has them."""
    rule = Rule(margin=MARGIN, seeds=seeds[-1], futility=futility)
    return rules_of({"rule": rule.to_json(), "rule_version": RULE_VERSION, "waves": seeds, "extendable": extendable})


def extended(scores: Floats, waves: tuple[Rule, ...]) -> tuple[list[Floats], list[Floats]]:
    """Return the signs of all verdicts, (studies, arms), and the mean seeds an arm took, after each wave."""
    studies, _, columns = scores.shape
    sign, done = np.zeros((studies, columns - 1)), np.zeros((studies, columns - 1), dtype=np.bool_)
    signs, seeds = [], []
    took, earlier = np.zeros((studies, columns - 1)), 0
    for rule in waves:
        found = judge_many(scores[:, : rule.seeds], rule, calibrate(columns - 1, rule), patience=earlier)
        earlier = rule.seeds
        sign = np.where(done, sign, found.sign)
        took = np.where(done, took, np.maximum(took, found.seeds))
        done |= found.decided
        signs.append(sign)
        seeds.append(took)
    return signs, seeds


def draw(studies: int, arms: int, effect: float) -> Floats:
    """Return scores of which the first arm has an effect, (studies, 40, 1 + arms)."""
    rng = np.random.default_rng(100 + arms)
    effects = [effect] + [0.0] * (arms - 1)
    return draw_many(studies, effects, seeds=WAVES[-1], noise=0.75**0.5, shared=0.5, rng=rng)


WAYS = {
    "`--extendable`, then `study extend`": (WAVES, True),
    "each time a new plan at 5%": (WAVES, False),
    "20 seeds planned at once": ((20,), False),
}


GROWING = {
    "3 arms, 3 more, 2 more with 10 seeds, 20 seeds": ((5, 3), (5, 6), (10, 8), (20, 8)),
    "1 arm, then one more at a time up to 6": tuple((5, arms) for arms in range(1, 7)),
    "8 arms, 8 more, 20 seeds": ((5, 8), (5, 16), (20, 16)),
}
"""Seeds and arms after each wave."""


def grown(scores: Floats, plan: tuple[tuple[int, int], ...], *, only_if_low: bool = False) -> Floats:
    """Return the signs of all verdicts, (studies, arms), of a study that gets more arms and more seeds.

    Args:
        scores: (studies, seeds, 1 + arms).
        plan: seeds and arms after each wave.
        only_if_low: more arms are added only where the control has scored less than the arms so far, which is when a
            new one looks best.
    """
    studies, most, names = len(scores), plan[-1][1], [str(arm) for arm in range(plan[-1][1])]
    added = {names[arm]: min(wave for wave, (_, arms) in enumerate(plan) if arm < arms) for arm in range(most)}
    spec = {
        "rule": Rule(margin=MARGIN, seeds=plan[-1][0]).to_json(), "rule_version": RULE_VERSION, "extendable": True,
        "waves": [seeds for seeds, _ in plan], "added": added,
    }  # fmt: skip
    sign, done = np.zeros((studies, most)), np.zeros((studies, most), dtype=np.bool_)
    earlier, judged, going_on = 0, 0, np.ones(studies, dtype=np.bool_)
    for wave in waves_of(spec, names):
        arms, seen = len(wave.arms), scores[:, : wave.rule.seeds]
        patience = earlier if wave.reopens else 0
        found = judge_many(seen[:, :, : 1 + arms], wave.rule, calibrate(arms, wave.rule), patience=patience)
        if only_if_low and judged:
            going_on &= seen[:, :earlier, 0].mean(axis=1) < seen[:, :earlier, 1 : 1 + judged].mean(axis=(1, 2))
        open_now = ~done[:, :arms] & going_on[:, None]
        if not wave.reopens:
            open_now[:, :judged] = False
        sign[:, :arms] = np.where(open_now, found.sign, sign[:, :arms])
        done[:, :arms] |= open_now & found.decided
        earlier, judged = wave.rule.seeds, arms
    return sign


def growing_table(studies: int) -> list[str]:
    """Return a line a way to add arms."""
    lines = []
    for way, plan in GROWING.items():
        seeds, arms = plan[-1]
        null = draw_many(
            studies, [0.0] * arms, seeds=seeds, noise=0.75**0.5, shared=0.5, rng=np.random.default_rng(arms)
        )
        shares = [100 * (grown(null, plan, only_if_low=low) != 0).any(axis=1).mean() for low in (False, True)]
        effects = [0.0] * (arms - 1) + [2.0]
        late = draw_many(studies, effects, seeds=seeds, noise=0.75**0.5, shared=0.5, rng=np.random.default_rng(99))
        power = 100 * (grown(late, plan)[:, -1] > 0).mean()
        lines.append(f"| {way} | {shares[0]:.1f} | {shares[1]:.1f} | {power:.0f} |")
    return lines


def table(studies: int) -> list[str]:
    """Return a line a way to ask and a number of arms."""
    lines = []
    for way, (waves, extendable) in WAYS.items():
        for arms in ARMS:
            made = rules(waves, extendable)
            false = [100 * (sign != 0).any(axis=1).mean() for sign in extended(draw(studies, arms, 0.0), made)[0]]
            signs, seeds = extended(draw(studies, arms, 0.75), made)
            upto20 = len([rule for rule in made if rule.seeds <= 20]) - 1
            power, took = 100 * (signs[upto20][:, 0] > 0).mean(), seeds[upto20][:, 0].mean()
            told = " ".join(f"{share:.1f}" for share in false)
            lines.append(f"| {way} | {arms} | {told} | {power:.0f} ({took:.1f}) |")
    return lines


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--output", type=Path, default=Path("docs/results/extended_studies.md"))
    options = parser.parse_args()
    begun = time.perf_counter()
    lines, growing = table(options.studies), growing_table(options.studies)
    seconds = time.perf_counter() - begun
    text = f"""# A question that is asked again with more seeds

{datetime.date.today()}, `python benchmarks/extended_studies.py --studies {options.studies}`, {hardware()},
{seconds:.0f} s.

Percent of {options.studies} studies with any false `better` or `worse` after 5, 10, 20 and 40 seeds, where nothing
differs, and percent of a true effect of 0.75 standard deviations found after 20 seeds, with the mean seeds it took. One
standard error is 0.35 at 5%, 0.8 at 50%. Verdicts are the product's own, with its stop of arms that cannot be settled.

| way to ask | arms | false after 5 10 20 40 seeds | found at 0.75 sd (seeds) |
|---|---|---|---|
{chr(10).join(lines)}

An extendable study keeps 90% of its 5% for later: its first five seeds decide only what is plain. Extensions of a study
that was not made to be extended are judged at 5% again; what they say is marked exploratory, for the reason in the
second rows. One plan of all seeds finds more than either for the same runs.

## Arms that are added later

`--extendable`, then `study extend --arm`: each wave is judged at its part of the 5%, over all arms there are by then;
where it has no more seeds only the new arms are judged. Last column: a true effect of 2 standard deviations of the arm
that came last.

| how it grew, from 5 seeds | false | false, where arms are added only after a low control | last arm found |
|---|---|---|---|
{chr(10).join(growing)}
"""
    write_text(options.output, text)
    print(text)


if __name__ == "__main__":
    main()
