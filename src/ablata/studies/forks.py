"""Arms that act late: the steps that the control and they have in common are trained once a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.studies.study import CONTROL, Study
from ablata.trainers.any import Outside

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

FORK = "fork"
"""The key of a study's specification that says from which step its arms act."""
_LEAST = 0.1
"""Part of a training from which on a common beginning is worth a checkpoint."""


def common_beginnings(study: Study, cache: Path) -> dict[str, Any]:
    """Return from which step each arm acts, as the part `fork` of a specification; empty where nothing is shared.

    Args:
        study: the study.
        cache: where prepared data is kept.

    Returns:
        `steps`: the last common step by arm, the control's being that of the latest arm; `total` and
        `steps_per_epoch` of every arm.

    Raises:
        DataError: the data is missing or damaged.
    """
    control = study.recipes[CONTROL]
    if study.fork == "never" or isinstance(control, Outside) or control.parent() is not None or study.aa:
        return {}
    samples = control.training_samples(cache)
    if samples is None:
        return {}
    from ablata.engine.forking import acts_from, planned_steps

    steps_per_epoch = samples // control.train.batch_size
    total = planned_steps(control, steps_per_epoch)
    steps = {}
    for name, arm in study.recipes.items():
        if name != CONTROL and not isinstance(arm, Outside) and arm.parent() is None:
            shared = min(acts_from(control, arm, steps_per_epoch), total - 1)
            if shared >= max(_LEAST * total, 1):
                steps[name] = shared
    if not steps:
        return {}
    shared_by = {CONTROL: max(steps.values()), **steps}
    return {FORK: {"steps": shared_by, "total": total, "steps_per_epoch": steps_per_epoch}}


def beginnings_of(spec: Mapping[str, Any], arm: str, control: Recipe) -> Sequence[Recipe]:
    """Return what an arm's runs go on from, the first one first; each is a fork of the one before.

    Args:
        spec: the study's specification.
        arm: one of its arms.
        control: the control's recipe.
    """
    fork = spec.get(FORK)
    if not fork or arm not in fork["steps"]:
        return ()
    from ablata.engine.forking import beginning

    last = fork["steps"][arm]
    points = sorted({step for step in fork["steps"].values() if step <= last})
    return [beginning(control, step, fork["steps_per_epoch"]) for step in points]
