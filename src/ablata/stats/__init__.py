"""From scores to verdicts: contrasts, intervals, the sequential rule, planning. Pure functions on numpy arrays.

A library of its own: it needs numpy alone, and knows nothing of networks. Scores are a table with a row for each
seed and a column for each arm, the control first. A rule is fixed before the scores are seen; `calibrate` finds the
bound that keeps false verdicts at its rate, and `replay` decides the table row by row.

    >>> from ablata.stats import Rule, calibrate, replay
    >>> rule = Rule(margin=0.5, seeds=5)
    >>> scores = [  # control, wider, slower
    ...     [90.0, 92.1, 90.1],
    ...     [90.4, 92.3, 90.3],
    ...     [89.8, 92.0, 89.9],
    ...     [90.2, 92.2, 90.2],
    ... ]
    >>> for outcome in replay(scores, rule, calibrate(2, rule)).outcomes:
    ...     print(outcome.verdict, "after", outcome.seeds, "seeds, effect", round(outcome.last.effect, 2))
    better after 3 seeds, effect 2.07
    equivalent after 4 seeds, effect 0.02

Before the first run, `plan` says what a rule can find, given the noise of one run (its standard deviation over seeds):

    >>> from ablata.stats import plan
    >>> found = plan(0.3, 2, rule, calibrate(2, rule))
    >>> print(f"finds {found.detectable:.1f}, can show equivalence within {found.confirmable:.1f}")
    finds 0.7, can show equivalence within 0.7

`Rule` and `Verdict` are what is decided, `Calibration` the bound, `Look`, `ArmLook`, `Outcome` and `Replay` what comes
out; `judge_groups` and `judge_pairs` judge once what is there, `judge_trial_log` a log of single runs, `judge_aa` runs
of one setting; `noise_from_scores` and `pool_noise` measure noise, `measured_pairing` how far runs of a seed move
together, `corrected_effect` what an effect that was shown because it was large is worth; `seeds_for_effect`,
`seeds_for_margin`, `to_settle` and `expected_runs` size a study, `visibility` says what a single run of each setting
can show. `Design` and `judge_factorial` are for several changes at once, each judged averaged over the others.
"""

from ablata.stats.assumptions.aa_test import AaResult, judge_aa
from ablata.stats.assumptions.pairing import Pairing, measured_pairing
from ablata.stats.calibration import Calibration, calibrate, calibration_key
from ablata.stats.contrasts import Contrasts, Residual, contrasts, pooled_residual
from ablata.stats.corrected import Corrected, corrected_effect
from ablata.stats.factors.designs import Design
from ablata.stats.factors.factorial import FactorialResult, calibrate_factorial, judge_factorial
from ablata.stats.fixed import FixedArm, FixedResult, judge_groups, judge_pairs, smallest_visible
from ablata.stats.intervals import MeanInterval, mean_interval
from ablata.stats.logs.single_runs import Visibility, largest_noise, visibility
from ablata.stats.logs.trial_log import KeptTrial, TrialLogResult, TrialScore, judge_trial_log, mean_of_best
from ablata.stats.noise import Noise, noise_from_scores, pool_noise
from ablata.stats.planning import (
    ExpectedRuns,
    Plan,
    Settlement,
    expected_runs,
    plan,
    plan_factorial,
    rough_calibration,
    seeds_for_effect,
    seeds_for_margin,
    to_settle,
)
from ablata.stats.results import ArmLook, Divergence, Look, Outcome, Replay
from ablata.stats.rule import RULE_VERSION, History, Mode, Rule, Verdict
from ablata.stats.sequential import look, replay
from ablata.stats.simulation import Judged, draw_many, draw_scores, is_false, judge_many
from ablata.stats.table import Table
from ablata.stats.versions import procedure_of, rule_of
from ablata.stats.waves import rules_of, wave_level, wave_rules

__all__ = [
    "RULE_VERSION",
    "AaResult",
    "ArmLook",
    "Calibration",
    "Contrasts",
    "Corrected",
    "Design",
    "Divergence",
    "ExpectedRuns",
    "FactorialResult",
    "FixedArm",
    "FixedResult",
    "History",
    "Judged",
    "KeptTrial",
    "Look",
    "MeanInterval",
    "Mode",
    "Noise",
    "Outcome",
    "Pairing",
    "Plan",
    "Replay",
    "Residual",
    "Rule",
    "Settlement",
    "Table",
    "TrialLogResult",
    "TrialScore",
    "Verdict",
    "Visibility",
    "calibrate",
    "calibrate_factorial",
    "calibration_key",
    "contrasts",
    "corrected_effect",
    "draw_many",
    "draw_scores",
    "expected_runs",
    "is_false",
    "judge_aa",
    "judge_factorial",
    "judge_groups",
    "judge_many",
    "judge_pairs",
    "judge_trial_log",
    "largest_noise",
    "look",
    "mean_interval",
    "mean_of_best",
    "measured_pairing",
    "noise_from_scores",
    "plan",
    "plan_factorial",
    "pool_noise",
    "pooled_residual",
    "procedure_of",
    "replay",
    "rough_calibration",
    "rule_of",
    "rules_of",
    "seeds_for_effect",
    "seeds_for_margin",
    "smallest_visible",
    "to_settle",
    "visibility",
    "wave_level",
    "wave_rules",
]
