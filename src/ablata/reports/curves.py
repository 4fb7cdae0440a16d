"""Learning curves as small multiples: one panel an arm, the control behind it, all panels on the same axes."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ablata.reports.drawing import Scale, element, join, line, path, picture, reach, text, tick_labels, ticks
from ablata.reports.view import ArmCurves, CurveView, SeriesView

WIDTH, HEIGHT = 300.0, 176.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 8.0, 8.0, 24.0


@dataclass(frozen=True)
class Band:
    """Curves of several seeds on one grid: positions, mean, smallest and largest value at each, and number of seeds."""

    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def band(series: Sequence[SeriesView], points: int = 60) -> Band:
    """Summarise seeds on a grid of at most `points` logged positions.

    A seed enters at a position between its first and last finite value, read by linear interpolation; a run that
    diverged or is still under way leaves the mean where it ends, and is not extended.
    """
    clean = [(one.x, one.y) for one in map(_finite, series) if one.x]
    grid = _thin(sorted({x for xs, _ in clean for x in xs}), points)
    rows = [(x, [value for xs, ys in clean if (value := _read(xs, ys, x)) is not None]) for x in grid]
    rows = [(x, values) for x, values in rows if values]
    return Band(
        tuple(x for x, _ in rows),
        tuple(math.fsum(values) / len(values) for _, values in rows),
        tuple(min(values) for _, values in rows),
        tuple(max(values) for _, values in rows),
    )


def axes(curve: CurveView) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the range of positions and of values that all panels of a curve share.

    Values far outside the middle (a loss that exploded) do not stretch the axis: it ends at four times the distance
    between the 2nd and 98th percentile, and what lies beyond is held at the edge.
    """
    series = [one for arm in curve.arms for one in arm.series]
    values = sorted(value for one in series for value in one.y if math.isfinite(value))
    positions = [x for one in series for x in one.x if math.isfinite(x)]
    span = (min(positions, default=0.0), max(positions, default=1.0))
    if values:
        low, high = values[int(0.02 * (len(values) - 1))], values[math.ceil(0.98 * (len(values) - 1))]
        slack = 2.0 * (high - low)
        if slack > 0:
            values = [value for value in values if low - slack <= value <= high + slack]
    return span, reach(values, pad=0.04)


def panel(curve: CurveView, arm: ArmCurves, control: ArmCurves | None, *, ident: str, points: int = 60, seeds: bool = True) -> Markup:
    """Draw one arm's curves before the control's.

    Args:
        curve: the quantity; gives the shared axes.
        arm: the arm to draw.
        control: the control's curves, drawn behind; None for the control's own panel.
        ident: unique within the page.
        points: positions a line at most.
        seeds: also draw each seed as a thin line.
    """
    (first, last), (low, high) = axes(curve)
    across = Scale(first, last, LEFT, WIDTH - RIGHT)
    upward = Scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [_frame(across, upward, curve.axis)]
    if control is not None:
        parts.append(_lines(control, across, upward, "behind", points, seeds=False))
    parts.append(_lines(arm, across, upward, "front", points, seeds=seeds))
    ends = [one.y[-1] for one in map(_finite, arm.series) if one.y]
    description = f"{len(arm.series)} seeds; last values " + (", ".join(f"{end:.4g}" for end in ends) or "none") + "."
    return picture(WIDTH, HEIGHT, f"{curve.name} of {arm.arm}", description, *parts, ident=ident, class_="curve")


def _frame(across: Scale, upward: Scale, axis: str) -> Markup:
    """Grid, tick labels and the name of the positions."""
    parts = []
    marks = ticks(upward.low, upward.high, 4)
    for value, label in zip(marks, tick_labels(marks), strict=True):
        parts += [line(LEFT, upward(value), WIDTH - RIGHT, upward(value), "grid"), text(LEFT - 6, upward(value) + 4, label, "tick small", "end")]
    marks = ticks(across.low, across.high, 3)
    for value, label in zip(marks, tick_labels(marks), strict=True):
        near_end = across(value) > WIDTH - RIGHT - 20
        parts.append(text(across(value), HEIGHT - 8, f"{label} {axis}" if value == marks[-1] else label, "tick small", "end" if near_end else "middle"))
    parts.append(line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis"))
    return join(parts)


def _lines(arm: ArmCurves, across: Scale, upward: Scale, class_: str, points: int, *, seeds: bool) -> Markup:
    """Band, thin seed lines, mean line, and a cross where a seed stops being finite."""
    summary = band(arm.series, points)
    if not summary.x:
        return text((LEFT + WIDTH - RIGHT) / 2, HEIGHT / 2, "nothing logged", "small muted", "middle") if class_ == "front" else Markup("")
    parts = []
    several = len([one for one in arm.series if _finite(one).x]) > 1
    if several and len(summary.x) > 1:
        upper = [(across(x), upward(y)) for x, y in zip(summary.x, summary.high, strict=True)]
        lower = [(across(x), upward(y)) for x, y in zip(summary.x, summary.low, strict=True)]
        parts.append(element("path", d=path(upper + lower[::-1]) + "Z", class_=f"band {class_}"))
    for one in arm.series:
        finite = _finite(one)
        if seeds and several and len(finite.x) > 1:
            parts.append(_line(_thinned(finite, points), across, upward, f"seed {class_}"))
        if class_ == "front" and finite.x and len(finite.x) < len(one.x):
            x, y = across(finite.x[-1]), upward(finite.y[-1])
            cross = f"M{x - 4:.1f} {y - 4:.1f}l8 8M{x - 4:.1f} {y + 4:.1f}l8 -8"
            parts.append(element("path", element("title", f"seed {one.seed} is not finite from here"), d=cross, class_="diverged"))
    if len(summary.x) == 1:
        parts.append(element("circle", cx=across(summary.x[0]), cy=upward(summary.mean[0]), r=3, class_=f"point {class_}"))
    else:
        parts.append(_line(SeriesView(seed=0, x=summary.x, y=summary.mean), across, upward, f"mean {class_}"))
    return join(parts)


def _line(one: SeriesView, across: Scale, upward: Scale, class_: str) -> Markup:
    points = [(across(x), upward(y)) for x, y in zip(one.x, one.y, strict=True)]
    return element("path", d=path(points), class_=f"line {class_}")


def _finite(one: SeriesView) -> SeriesView:
    """The curve without values that are not finite."""
    kept = [(x, y) for x, y in zip(one.x, one.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    return SeriesView(seed=one.seed, x=tuple(x for x, _ in kept), y=tuple(y for _, y in kept))


def _thin(values: Sequence[float], points: int) -> list[float]:
    """At most `points` of the values, evenly, with the first and the last."""
    if len(values) <= points:
        return list(values)
    return [values[round(index * (len(values) - 1) / (points - 1))] for index in range(points)]


def _thinned(one: SeriesView, points: int) -> SeriesView:
    kept = _thin(range(len(one.x)), points)
    return SeriesView(seed=one.seed, x=tuple(one.x[int(i)] for i in kept), y=tuple(one.y[int(i)] for i in kept))


def _read(xs: Sequence[float], ys: Sequence[float], x: float) -> float | None:
    """The value at `x` by linear interpolation, None outside the curve."""
    if not xs[0] <= x <= xs[-1]:
        return None
    right = bisect.bisect_left(xs, x)
    if xs[right] == x:
        return ys[right]
    share = (x - xs[right - 1]) / (xs[right] - xs[right - 1])
    return ys[right - 1] + share * (ys[right] - ys[right - 1])
