"""Arms that act late: the steps that the control and they have in common are trained once a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.base.errors import listing
from ablata.base.parts import users_mistakes
from ablata.base.quantities import duration
from ablata.studies.study import CONTROL, Study
from ablata.trainers.any import Outside

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

FORK = "fork"
"""The key of a study's specification that says from which step its arms act."""
_NAMED = 5
"""Arms that a plan names one by one."""
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
    with users_mistakes(control, "give their samples"):
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


@dataclass(frozen=True, kw_only=True)
class SharedCost:
    """What a seed costs where arms share their beginning, and what whole runs would cost.

    Attributes:
        own: seconds of each arm's own part of a run, by arm.
        beginning: seconds of the beginning of one seed.
        steps: from which step each arm that shares it goes on by itself, of `total`.
        whole: seconds of a whole run, by arm.
    """

    own: Mapping[str, float]
    beginning: float
    steps: Mapping[str, int]
    total: int
    whole: Mapping[str, float]

    @property
    def fraction(self) -> float:
        """Steps of a seed, of those of whole runs."""
        ends = sum(self.total - self.steps.get(arm, 0) for arm in self.whole)
        return (ends + max(self.steps.values())) / (self.total * len(self.whole))

    def sentence(self) -> str:
        """Say what is shared, and both costs."""
        arms = [arm for arm in self.steps if arm != CONTROL]
        who = listing((CONTROL, *arms)) if len(arms) <= _NAMED else f"the control and {len(arms)} arms"
        seed, whole = sum(self.own.values()) + self.beginning, sum(self.whole.values())
        return (
            f"{who} are the same until step {max(self.steps.values()):,} of {self.total:,} at most, trained once a "
            f"seed: {self.fraction:.0%} of the steps of whole runs; a seed takes {duration(seed)} of training, with "
            f"whole runs (--fork never) {duration(whole)}"
        )


def shared_cost(spec: Mapping[str, Any], seconds: Mapping[str, float]) -> SharedCost | None:
    """Return what a seed costs by a specification; None where no arm shares its beginning.

    Args:
        spec: with the part of `common_beginnings`.
        seconds: of a whole run of each arm, the control among them.
    """
    fork = spec.get(FORK)
    if not fork:
        return None
    total, steps = int(fork["total"]), {name: int(step) for name, step in fork["steps"].items()}
    return SharedCost(
        own={arm: whole * (1 - steps.get(arm, 0) / total) for arm, whole in seconds.items()},
        beginning=seconds[CONTROL] * max(steps.values()) / total,
        steps=steps,
        total=total,
        whole=dict(seconds),
    )
