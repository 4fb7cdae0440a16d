"""What a page shows of single runs: a row of a table, and curves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SeriesView:
    """One logged curve of one run.

    Args:
        seed: the run's seed.
        x: positions (steps or epochs), rising.
        y: values, one a position; they may be NaN or infinite.
        state: the run's state; only completed runs count in a mean.
    """

    seed: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    state: str = "completed"


@dataclass(frozen=True, kw_only=True)
class ArmCurves:
    """The curves of one arm, one a seed."""

    arm: str
    series: tuple[SeriesView, ...]


@dataclass(frozen=True, kw_only=True)
class CurveView:
    """One logged quantity over training, for every arm that logged it; `axis` names the positions."""

    name: str
    arms: tuple[ArmCurves, ...]
    axis: str = "step"


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run as a table row.

    `link` is relative to the page, `settings` tell it from the recipe's defaults and from the runs beside it, `studies`
    are those that use it, as `study:arm`, `bytes` is the size of its folder.
    """

    id: str
    seed: int
    state: str
    arm: str = ""
    recipe: str = ""
    recipe_hash: str = ""
    attempt: int = 1
    environment: str = ""
    scores: tuple[tuple[str, float], ...] = ()
    seconds: float | None = None
    created: str = ""
    link: str = ""
    error: str = ""
    settings: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    bytes: int | None = None
