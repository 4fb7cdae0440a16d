"""From scores to verdicts: contrasts, intervals, the sequential rule, planning. Pure functions on numpy arrays."""

from ablata.stats.calibration import Calibration, calibrate, calibration_key
from ablata.stats.contrasts import Contrasts, Residual, contrasts, pooled_residual
from ablata.stats.intervals import MeanInterval, mean_interval
from ablata.stats.noise import Noise, noise_from_scores, pool_noise
from ablata.stats.planning import (
    ExpectedRuns,
    Plan,
    Settlement,
    expected_runs,
    plan,
    seeds_for_effect,
    seeds_for_margin,
    to_settle,
)
from ablata.stats.results import ArmLook, Divergence, Look, Outcome, Replay
from ablata.stats.rule import History, Mode, Rule, Verdict
from ablata.stats.sequential import look, replay
from ablata.stats.simulation import draw_scores, is_false
from ablata.stats.single_runs import Visibility, largest_noise, visibility
from ablata.stats.table import Table

__all__ = [
    "ArmLook",
    "Calibration",
    "Contrasts",
    "Divergence",
    "ExpectedRuns",
    "History",
    "Look",
    "MeanInterval",
    "Mode",
    "Noise",
    "Outcome",
    "Plan",
    "Replay",
    "Residual",
    "Rule",
    "Settlement",
    "Table",
    "Verdict",
    "Visibility",
    "calibrate",
    "calibration_key",
    "contrasts",
    "draw_scores",
    "expected_runs",
    "is_false",
    "largest_noise",
    "look",
    "mean_interval",
    "noise_from_scores",
    "plan",
    "pool_noise",
    "pooled_residual",
    "replay",
    "seeds_for_effect",
    "seeds_for_margin",
    "to_settle",
    "visibility",
]
