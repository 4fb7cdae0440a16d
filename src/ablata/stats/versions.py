"""Versions of the rule: a study is judged by the rule it was made with, whatever later versions of it do.

A change of how verdicts are reached is a new number and a new entry; the old entry, with the functions it names, stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ablata.base.errors import RecordError
from ablata.stats.calibration import Calibration, calibrate, calibration_key
from ablata.stats.results import Replay
from ablata.stats.rule import Rule
from ablata.stats.sequential import replay


@dataclass(frozen=True)
class Procedure:
    """How one version of the rule judges.

    Args:
        version: of the rule.
        calibration_key: name of the calibration of a number of arms and a rule.
        calibrate: makes it.
        replay: decides a score table look by look, by the version of the calibration it is given.
    """

    version: int
    calibration_key: Callable[[int, Rule], str]
    calibrate: Callable[[int, Rule], Calibration]
    replay: Callable[..., Replay]


PROCEDURES: Mapping[int, Procedure] = {
    version: Procedure(version, partial(calibration_key, version=version), partial(calibrate, version=version), replay)
    for version in (1, 2, 3)
}
"""Every version there has been: 1 shared one variance among all runs; 2 guards against a noisier control; 3 gives no
verdict where the runs show no spread."""


def procedure_of(spec: Mapping[str, Any]) -> Procedure:
    """Return how a study is judged.

    Args:
        spec: its specification; one without `rule_version` was made before versions were written down, by the first.

    Raises:
        RecordError: the study was made with a rule that this version of ablata does not know.
    """
    version = spec.get("rule_version", 1)
    if version not in PROCEDURES:
        raise RecordError(
            "A study is judged by the rule it was made with",
            found=f"version {version} of the rule; this ablata knows versions up to {max(PROCEDURES)}",
            do="install a newer ablata",
        )
    return PROCEDURES[version]


def rule_of(spec: Mapping[str, Any]) -> Rule:
    """Return the rule that a study was made with.

    Raises:
        RecordError: this version of ablata does not know it.
    """
    procedure_of(spec)
    return Rule.from_json(spec["rule"])
