"""Learning-rate schedules as functions of the step alone: nothing to save, nothing to restore.

`settings.build(base_lr, total_steps, steps_per_epoch)` returns `lr(step)`, the rate of step number `step` (from 0); the
loop gives a parameter group `lr(step) * group["lr_scale"]`.

With a warm-up of W steps, rate = warm-up factor x main part:

    placement    training takes    main part (poly, cosine, sgdr)    milestones and decays (step, exponential)
    in           total             starts at W, total - W long       count from the first step
    on_top       total + W         starts at W, total long           count from the end of the warm-up
    over         total             starts at 0, total long           count from the first step
"""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator

from ablata.base.errors import SettingsError
from ablata.base.parts import OpenPart
from ablata.base.settings import Settings

Schedule = Callable[[int], float]


class Warmup(Settings):
    """Learning-rate warm-up: the first steps at a lower rate."""

    form: Literal["constant", "linear", "exponential", "multiplicative"] = "linear"
    """constant: stay at the start; linear: equal differences; exponential: equal ratios, start^(1 - step / length);
    multiplicative is another word for it, each step's rate being the last one's times (1 / start)^(1 / length)."""
    length: float = Field(default=5.0, gt=0)
    """How long it takes."""
    unit: Literal["epoch", "step", "fraction"] = "epoch"
    """What `length` counts; fraction: of the whole training as written, so that a shorter one has a shorter warm-up."""
    start: float = Field(default=0.1, ge=0)
    """Where it starts."""
    start_unit: Literal["factor", "lr"] = "factor"
    """Whether `start` is a fraction of the base rate or a rate itself."""
    placement: Literal["in", "on_top", "over"] = "in"
    """in: the main part gets what is left of the training; on_top: the training grows by the warm-up; over: the main
    part runs from the first step and the warm-up scales its beginning."""

    @field_validator("form")
    @classmethod
    def _one_word(cls, form: str) -> str:
        return "exponential" if form == "multiplicative" else form

    def steps(self, steps_per_epoch: int, total_steps: int) -> int:
        """Return the length in steps, of a training of `total_steps` as the recipe writes them."""
        return round(self.length * {"epoch": steps_per_epoch, "step": 1, "fraction": total_steps}[self.unit])

    def factor(self, step: int, length: int, base_lr: float) -> float:
        """Return the factor at `step` of `length`; 1 from the end of the warm-up on."""
        if step >= length:
            return 1.0
        start = self.start if self.start_unit == "factor" else self.start / base_lr
        if self.form == "constant":
            return start
        if self.form == "linear":
            return start + (1 - start) * step / length
        return float(start ** (1 - step / length))


class ScheduleSettings(Settings):
    """Base of learning-rate schedules' settings; not itself a choice."""

    kind: str
    """Which schedule."""
    warmup: Warmup | None = None
    """A slow start, or none."""
    per: Literal["step", "epoch"] = "step"
    """step: the rate moves every step; epoch: it moves at the start of an epoch and stays."""

    _from_first_step: ClassVar[bool] = False

    def extra_steps(self, steps_per_epoch: int, total_steps: int) -> int:
        """Return by how many steps the training grows: the warm-up's length with placement=on_top, else 0."""
        on_top = self.warmup is not None and self.warmup.placement == "on_top"
        return self.warmup.steps(steps_per_epoch, total_steps) if self.warmup and on_top else 0

    def build(self, base_lr: float, total_steps: int, steps_per_epoch: int) -> Schedule:
        """Make the schedule of one training.

        Args:
            base_lr: the rate after batch scaling.
            total_steps: optimiser steps as the recipe writes them, `extra_steps` not included.
            steps_per_epoch: optimiser steps in an epoch.

        Returns:
            A function from the step (0, 1, ...) to the rate; after the last step it stays at its end.

        Raises:
            SettingsError: the warm-up is as long as the training, or a floor lies above the base rate.
        """
        warmup, length = self.warmup, self.warmup.steps(steps_per_epoch, total_steps) if self.warmup else 0
        self._check(base_lr, total_steps, steps_per_epoch)
        placement = warmup.placement if warmup else "in"
        offset = length if placement == "on_top" or (placement == "in" and not self._from_first_step) else 0
        main_steps = total_steps - offset if placement == "in" else total_steps

        def schedule(step: int) -> float:
            """Return the rate of a step, warm-up counted in."""
            if self.per == "epoch":
                step -= step % steps_per_epoch
            within = min(max(step - offset, 0), main_steps)
            rate = self._main(base_lr, within, main_steps, steps_per_epoch)
            return rate * (warmup.factor(step, length, base_lr) if warmup else 1.0)

        return schedule

    def _check(self, base_lr: float, total_steps: int, steps_per_epoch: int) -> None:
        warmup = self.warmup
        length = warmup.steps(steps_per_epoch, total_steps) if warmup else 0
        if warmup and length >= total_steps and self.extra_steps(steps_per_epoch, total_steps) == 0 and length > 0:
            given = f"schedule.warmup.length={warmup.length:g} schedule.warmup.unit={warmup.unit}"
            raise SettingsError(
                "schedule.warmup must be shorter than the training",
                found=f"{given}: {length} steps of {total_steps}",
                do="set a smaller schedule.warmup.length, or schedule.warmup.placement=on_top",
            )
        if self.warmup and self.warmup.form == "exponential" and self.warmup.start == 0:
            raise SettingsError(
                "An exponential warm-up must start above 0",
                found="schedule.warmup.start=0",
                do="schedule.warmup.start=0.1",
            )
        floor = getattr(self, "floor", 0.0)
        if floor > base_lr:
            raise SettingsError(
                "schedule.floor must not lie above the base learning rate",
                found=f"schedule.floor={floor:g}, optim.lr={base_lr:g}",
                do="raise optim.lr or lower schedule.floor",
            )

    def shortened(self, factor: float) -> Self:
        """Return the schedule of a training that is `factor` times as long; fractions of the training stay."""
        if self.warmup is None or self.warmup.unit == "fraction":
            return self
        warmup = self.warmup.model_copy(update={"length": self.warmup.length * factor})
        return self.model_copy(update={"warmup": warmup})

    @abstractmethod
    def _main(self, base_lr: float, step: int, steps: int, steps_per_epoch: int) -> float:
        """Return the rate of the main part at one of its steps."""


class Constant(ScheduleSettings):
    """Constant learning rate."""

    kind: Literal["constant"] = "constant"

    def _main(self, base_lr: float, step: int, steps: int, steps_per_epoch: int) -> float:
        return base_lr


class Step(ScheduleSettings):
    """Step decay: the rate is multiplied by gamma at each milestone (MultiStepLR)."""

    kind: Literal["step"] = "step"
    milestones: tuple[Annotated[float, Field(gt=0)], ...] = (0.5, 0.75)
    """Where the rate drops, in rising order."""
    unit: Literal["epoch", "fraction"] = "fraction"
    """What milestones count: epochs, or fractions of the whole training."""
    gamma: float = Field(default=0.1, gt=0)
    """Factor at each milestone."""

    _from_first_step: ClassVar[bool] = True

    @field_validator("milestones")
    @classmethod
    def _rising(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if list(milestones) != sorted(set(milestones)):
            raise ValueError("must rise")
        return milestones

    def shortened(self, factor: float) -> Self:
        """Return the schedule with its milestones, if they are epochs, earlier by `factor`."""
        short = super().shortened(factor)
        if self.unit == "fraction":
            return short
        return short.model_copy(update={"milestones": tuple(mark * factor for mark in self.milestones)})

    def _check(self, base_lr: float, total_steps: int, steps_per_epoch: int) -> None:
        super()._check(base_lr, total_steps, steps_per_epoch)
        beyond = [mark for mark in self.milestones if self.unit == "fraction" and mark > 1]
        if beyond:
            raise SettingsError(
                "schedule.milestones that are fractions must be at most 1",
                found=f"schedule.milestones={list(self.milestones)}",
                do="set schedule.unit=epoch if these are epochs",
            )

    def _main(self, base_lr: float, step: int, steps: int, steps_per_epoch: int) -> float:
        unit = steps if self.unit == "fraction" else steps_per_epoch
        return base_lr * self.gamma ** bisect_right([round(mark * unit) for mark in self.milestones], step)


class Exponential(ScheduleSettings):
    """Exponential decay: the rate is multiplied by gamma every so many epochs (EfficientNet: .97 every 2.4 epochs)."""

    kind: Literal["exponential"] = "exponential"
    gamma: float = Field(default=0.97, gt=0, le=1)
    """Factor per `every` epochs."""
    every: float = Field(default=2.4, gt=0)
    """Epochs between two full factors."""
    staircase: bool = True
    """Drop once every `every` epochs, rather than a little at each step."""

    _from_first_step: ClassVar[bool] = True

    def shortened(self, factor: float) -> Self:
        """Return the schedule with drops `factor` times as far apart."""
        return super().shortened(factor).model_copy(update={"every": self.every * factor})

    def _main(self, base_lr: float, step: int, steps: int, steps_per_epoch: int) -> float:
        # Where `every` epochs are a whole number of steps, rounding errors must not put the drop one step late.
        drops = round(step / (self.every * steps_per_epoch), 9)
        return float(base_lr * self.gamma ** (math.floor(drops) if self.staircase else drops))


class Poly(ScheduleSettings):
    """Polynomial decay (poly): floor + (base - floor) (1 - step / steps)^power, as in DeepLab and BiSeNet."""

    kind: Literal["poly"] = "poly"
    power: float = Field(default=0.9, gt=0)
    """1 is a straight line."""
    floor: float = Field(default=0.0, ge=0)
    """The rate after the last step, absolute; a group's multiplier scales it too."""

    def _main(self, base_lr: float, step: int, steps: int, steps_per_epoch: int) -> float:
        return float(self.floor + (base_lr - self.floor) * (1 - step / steps) ** self.power)


class Cosine(ScheduleSettings):
    """Cosine annealing from the base rate to the floor (Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5)."""

    kind: Literal["cosine"] = "cosine"
    floor: float = Field(default=0.0, ge=0)
    """The rate after the last step, absolute; a group's multiplier scales it too."""

    def _main(self, base_lr: float, step: int, steps: int, steps_per_epoch: int) -> float:
        return _half_cosine(base_lr, self.floor, step / steps)


class Sgdr(ScheduleSettings):
    """SGDR: cosine annealing with warm restarts (Loshchilov & Hutter 2017, arXiv 1608.03983), cycles growing longer."""

    kind: Literal["sgdr"] = "sgdr"
    first: float = Field(default=10.0, gt=0)
    """Length of the first cycle."""
    unit: Literal["epoch", "step"] = "epoch"
    """What `first` counts."""
    multiplier: float = Field(default=2.0, ge=1)
    """Length of a cycle relative to the one before."""
    peak_decay: float = Field(default=1.0, gt=0, le=1)
    """Peak of a cycle relative to the one before."""
    floor: float = Field(default=0.0, ge=0)
    """The rate at the end of a cycle, absolute."""

    def shortened(self, factor: float) -> Self:
        """Return the schedule with every cycle `factor` times as long."""
        return super().shortened(factor).model_copy(update={"first": self.first * factor})

    def cycle_ends(self, total_steps: int, steps_per_epoch: int) -> tuple[int, ...]:
        """Return after how many steps, from the end of the warm-up on, a cycle ends and the model is worth scoring."""
        ends: list[int] = []
        end = length = self._first(steps_per_epoch)
        while round(end) <= total_steps:
            ends.append(round(end))
            length *= self.multiplier
            end += length
        return tuple(ends)

    def _first(self, steps_per_epoch: int) -> float:
        return max(self.first * (steps_per_epoch if self.unit == "epoch" else 1), 1.0)

    def _main(self, base_lr: float, step: int, steps: int, steps_per_epoch: int) -> float:
        length, start, peak = self._first(steps_per_epoch), 0.0, base_lr
        while step >= round(start + length):
            start += length
            length *= self.multiplier
            peak *= self.peak_decay
        return _half_cosine(peak, min(self.floor, peak), (step - start) / length)


AnySchedule = Annotated[
    Constant | Step | Exponential | Poly | Cosine | Sgdr,
    OpenPart(
        ScheduleSettings, adapt="ablata.engine.optim.plain:schedule", plain="a function of the progress in [0, 1]"
    ),
]


def _half_cosine(high: float, low: float, fraction: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * fraction)) / 2
