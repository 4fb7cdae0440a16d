"""The judge of a research loop: one proposed change after another against the best so far, kept or given up.

Pure functions. A loop fixes a `LoopRule`; `level_of` gives each proposal its level when it is submitted;
`judge_proposal`, called with the scores so far, asks for `More` runs or returns a `Decision`. After a keep the proposal
is the baseline and is measured anew, with seeds that its trial did not use. `honest_gain` says in the end what was
gained.

    >>> from ablata.stats.loop import Evidence, LoopRule, judge_proposal, level_of
    >>> rule = LoopRule(margin=None, higher_is_better=True)
    >>> level = level_of(rule, stream=[False, True, False])
    >>> baseline = {0: 90.1, 1: 90.5, 2: 89.8, 3: 90.2, 4: 90.4, 5: 90.0}
    >>> judge_proposal(rule, Evidence(baseline=baseline, proposal={0: 91.4}), level).proposal
    1
    >>> judge_proposal(rule, Evidence(baseline=baseline, proposal={0: 91.4, 1: 91.9}), level).outcome
    'keep'
    >>> judge_proposal(rule, Evidence(baseline=baseline, proposal={0: 90.2}), level).outcome
    'discard'
"""

from ablata.stats.loop.gain import CONFIRM_RUNS, LoopGain, confirm_runs, honest_gain
from ablata.stats.loop.judge import LoopCost, expected_runs, judge_proposal
from ablata.stats.loop.levels import level_of
from ablata.stats.loop.noise import LoopNoise, pooled_noise
from ablata.stats.loop.power import Outlier, findable, outliers
from ablata.stats.loop.rule import LOOP_RULE_VERSION, Decision, Evidence, LoopMode, LoopRule, More

__all__ = [
    "CONFIRM_RUNS",
    "LOOP_RULE_VERSION",
    "Decision",
    "Evidence",
    "LoopCost",
    "LoopGain",
    "LoopMode",
    "LoopNoise",
    "LoopRule",
    "More",
    "Outlier",
    "confirm_runs",
    "expected_runs",
    "findable",
    "honest_gain",
    "judge_proposal",
    "level_of",
    "outliers",
    "pooled_noise",
]
