"""How much of a term's weight counts at each step of a training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ablata.base.settings import Settings


class Fixed(Settings):
    """All of it, always."""

    kind: Literal["fixed"] = "fixed"

    def value(self, progress: float) -> float:
        """Return the share of the weight, `progress` in [0, 1) being the part of the training that is over."""
        return 1.0


class WarmUp(Settings):
    """None of it in the beginning, then all."""

    kind: Literal["warm_up"] = "warm_up"
    length: Annotated[float, Field(ge=0, lt=1)] = 0.125
    """Part of the training without the term; the published code has 5,000 of 40,000 steps."""
    form: Literal["off", "linear"] = "off"
    """off: nothing, then all; linear: evenly more from the first step on."""

    def value(self, progress: float) -> float:
        """Return the share of the weight; see `Fixed.share`."""
        if progress >= self.length:
            return 1.0
        return progress / self.length if self.form == "linear" else 0.0


class Poly(Settings):
    """A power of the training that is over, or of what is left of it."""

    kind: Literal["poly"] = "poly"
    power: Annotated[float, Field(gt=0)] = 0.9
    """Exponent."""
    direction: Literal["rising", "falling"] = "rising"
    """From 0 to 1, or from 1 to 0."""

    def value(self, progress: float) -> float:
        """Return the share of the weight; see `Fixed.share`."""
        return float((progress if self.direction == "rising" else 1 - progress) ** self.power)


AnyWeightSchedule = Annotated[Fixed | WarmUp | Poly, Field(discriminator="kind")]
