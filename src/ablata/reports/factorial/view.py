"""What a report of a factorial study shows beside its changes, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class InteractionView:
    """An interaction of two changes, or several that the design cannot tell apart.

    Args:
        pairs: names of the two changes, a pair an interaction.
        effect: half of how much the effect of one change differs with and without the other; a sum over the pairs.
        p: two-sided p of "none"; None where there is no noise yet.
        flagged: worth a second look; no claim.
    """

    pairs: tuple[tuple[str, str], ...]
    effect: float
    p: float | None = None
    flagged: bool = False

    @property
    def words(self) -> str:
        """The interactions by name: `pad x lr or flip x wide`."""
        return " or ".join(f"{first} x {second}" for first, second in self.pairs)


@dataclass(frozen=True, kw_only=True)
class CellView:
    """One combination of changes: its name, the changes that are on, the mean score, and how many seeds ended."""

    name: str
    on: tuple[str, ...]
    mean: float | None = None
    seeds: int = 0


@dataclass(frozen=True, kw_only=True)
class FactorialView:
    """What a factorial study shows beside its changes, which stand as the arms of its view.

    Args:
        factors: names of the changes, in order.
        cells: the combinations that run, the control first.
        interactions: the largest first; empty before the first whole block.
        contrasts: name and size of every contrast, for a half-normal plot; the name of one that is neither a change
            nor an interaction of two is empty.
        design: what the design can and cannot tell apart, in words.
        best: the cell with the best mean; None before the first block.
        predicted: the combination that should be best by the changes' effects, which need not have run; empty: the
            control, or nothing is known yet.
        confirm: what to type to compare it with the control on fresh seeds; empty where there is nothing to confirm.
        confirmed: what the study that did so says; empty where there is none.
        lost: sentences on cells and blocks that left no score.
    """

    factors: tuple[str, ...]
    cells: tuple[CellView, ...]
    interactions: tuple[InteractionView, ...] = ()
    contrasts: tuple[tuple[str, float], ...] = ()
    design: str = ""
    best: str | None = None
    predicted: str = ""
    confirm: str = ""
    confirmed: str = ""
    lost: tuple[str, ...] = ()
