"""Schedules of a loss term's weight over a training."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field

from ablata.base.parts import OpenPart
from ablata.base.settings import Settings


class WeightSchedule(Settings):
    """Base of the settings of weight schedules; not itself a choice."""

    @abstractmethod
    def value(self, progress: float) -> float:
        """Return the fraction of the weight that counts, in [0, 1].

        Args:
            progress: fraction of the training that is over, in [0, 1).
        """


class ConstantWeight(WeightSchedule):
    """The whole weight from the first step to the last."""

    kind: Literal["fixed"] = "fixed"

    def value(self, progress: float) -> float:
        """Return 1."""
        return 1.0


class WeightWarmUp(WeightSchedule):
    """None of the weight in the beginning, then all of it."""

    kind: Literal["warm_up"] = "warm_up"
    length: Annotated[float, Field(ge=0, lt=1)] = 0.125
    """Fraction of the training without the term; the published code has 5,000 of 40,000 steps."""
    form: Literal["off", "linear"] = "off"
    """off: nothing, then all; linear: evenly more from the first step on."""

    def value(self, progress: float) -> float:
        """Return the fraction of the weight that counts; see `WeightSchedule.value`."""
        if progress >= self.length:
            return 1.0
        return progress / self.length if self.form == "linear" else 0.0


class PolyWeight(WeightSchedule):
    """Polynomial schedule: a power of the fraction of the training that is over, or of what is left of it."""

    kind: Literal["poly"] = "poly"
    power: Annotated[float, Field(gt=0)] = 0.9
    """Exponent."""
    direction: Literal["rising", "falling"] = "rising"
    """From 0 to 1, or from 1 to 0."""

    def value(self, progress: float) -> float:
        """Return the fraction of the weight that counts; see `WeightSchedule.value`."""
        return float((progress if self.direction == "rising" else 1 - progress) ** self.power)


AnyWeightSchedule = Annotated[ConstantWeight | WeightWarmUp | PolyWeight, OpenPart(WeightSchedule)]
