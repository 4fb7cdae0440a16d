"""Plain optimiser classes and schedule functions: `optim=torch.optim:Adagrad`, `schedule=mine.py:ramp`."""

from __future__ import annotations

import inspect
import math
from typing import Any

from torch.optim import Optimizer

from ablata.base.errors import SettingsError
from ablata.base.parts import PlainPart, settings_for
from ablata.engine.optim.optimisers import OptimiserSettings
from ablata.engine.optim.schedules import ScheduleSettings


class PlainOptimiser(PlainPart, OptimiserSettings):
    """Settings of a torch optimiser class; groups, scaled rate, decoupled decay and Lookahead are as for ours."""

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        arguments = self.arguments()
        if "weight_decay" not in arguments and any(group.get("weight_decay") for group in groups):
            raise SettingsError(
                "An optimiser without weight decay of its own must leave it to the training",
                found=f"{self.kind}, optim.weight_decay={self.weight_decay}",
                do="optim.decay=decoupled",
            )
        made = self.THING(groups, **arguments | {"lr": lr})
        if not isinstance(made, Optimizer):
            raise SettingsError(
                "An optimiser must be a torch.optim.Optimizer",
                found=f"{self.kind}: {type(made).__name__}",
                do="return an instance of a class derived from it",
            )
        return made


class PlainSchedule(PlainPart, ScheduleSettings):
    """Settings of a schedule that is a function from progress in [0, 1] to the factor on the base rate."""

    def _check(self, base_lr: float, total_steps: int, steps_per_epoch: int) -> None:
        super()._check(base_lr, total_steps, steps_per_epoch)
        for progress in (0.0, 0.5, 1.0):
            factor = self.THING(progress, **self.arguments())
            if not isinstance(factor, int | float) or not math.isfinite(factor) or factor < 0:
                raise SettingsError(
                    "A schedule must return the factor on the base rate, a number from 0 up",
                    found=f"{self.kind} returned {factor!r} at progress {progress}",
                    do="1 leaves the rate as it is, 0 stops learning",
                )

    def _main(self, base_lr: float, step: int, steps: int, steps_per_epoch: int) -> float:
        return base_lr * float(self.THING(step / max(steps, 1), **self.arguments()))


def optimiser(thing: Any, reference: str) -> type[PlainOptimiser]:
    """Return the settings class of a torch optimiser class.

    Raises:
        SettingsError: it is none.
    """
    if not (inspect.isclass(thing) and issubclass(thing, Optimizer)):
        raise SettingsError(
            "An optimiser must be a class derived from torch.optim.Optimizer",
            found=reference,
            do="derive it from torch.optim.Optimizer",
        )
    first, *others = inspect.signature(thing).parameters.values()
    ours = OptimiserSettings.model_fields
    return settings_for(
        PlainOptimiser,
        thing,
        reference,
        (first.name, *(other.name for other in others if other.default is other.empty and other.name in ours)),
    )


def schedule(thing: Any, reference: str) -> type[PlainSchedule]:
    """Return the settings class of a schedule function.

    Raises:
        SettingsError: it is none.
    """
    if not inspect.isfunction(thing) or not inspect.signature(thing).parameters:
        raise SettingsError(
            "A schedule must be a function of the progress in [0, 1]",
            found=reference,
            do="def schedule(progress: float) -> float: return 1 - progress",
        )
    return settings_for(PlainSchedule, thing, reference, (next(iter(inspect.signature(thing).parameters)),))
