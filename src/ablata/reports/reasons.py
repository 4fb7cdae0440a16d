"""What stands beside a verdict: its reason in the tables' digits, and the arm whose noise widens every interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median, stdev

from ablata.reports.figures import Figures
from ablata.reports.view import ArmView, StudyView
from ablata.stats.wording import between

MUCH = 3.0
"""How many times the median spread of the others an arm's own must be to be named."""
_FEWEST = 3


@dataclass(frozen=True)
class NoisyArm:
    """An arm whose runs vary more than the others': all share one estimate of the noise, so it widens every interval.

    Args:
        name: the arm's name.
        ratio: its spread over the median spread of the others.
    """

    name: str
    ratio: float

    @property
    def words(self) -> str:
        """What to say beside another arm that is undecided."""
        return (
            f"arm {self.name} varies {self.ratio:.0f} times as much as the others, which widens this interval: "
            "ask without it"
        )


def noisy_arm(scores: Mapping[str, Sequence[float | None]], control: str) -> NoisyArm | None:
    """Return the arm whose scores vary more than three times as much over seeds as the others' do; None: there is none.

    Args:
        scores: of every arm, the control's too; None where there is no score.
        control: the control's name, which cannot be left out.
    """
    known = {name: [score for score in column if score is not None] for name, column in scores.items()}
    spreads = {name: stdev(column) for name, column in known.items() if len(column) >= _FEWEST}
    if len(spreads) < _FEWEST:
        return None
    widest = max(spreads, key=spreads.__getitem__)
    usual = median(spread for name, spread in spreads.items() if name != widest)
    if widest == control or usual <= 0 or spreads[widest] <= MUCH * usual:
        return None
    return NoisyArm(widest, spreads[widest] / usual)


def rounded(view: StudyView) -> StudyView:
    """Return a study whose reasons write the interval of an effect with the digits that its tables have."""
    figures = Figures.of(view, minus="-")

    def reason(arm: ArmView) -> str:
        """Return an arm's reason with its interval in the figures of the table."""
        if arm.effect is None or arm.effect.low is None or arm.effect.high is None:
            return arm.reason
        low, high = arm.effect.low, arm.effect.high
        words = f"between {figures.number(low, sign=True)} and {figures.number(high, sign=True)}"
        return arm.reason.replace(between((low, high)), words)

    return replace(view, arms=tuple(replace(arm, reason=reason(arm)) for arm in view.arms))
