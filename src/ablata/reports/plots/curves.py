"""Learning curves as small multiples: one panel an arm, the control behind it, all panels on the same axes."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from ablata.reports.plots.drawing import Scale, element, image, join, line, path, reach, text, tick_labels, ticks
from ablata.reports.run_views import ArmCurves, CurveView, SeriesView

WIDTH, HEIGHT = 300.0, 176.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 8.0, 8.0, 24.0
SETTLED = 0.5
"""The share of training after which values set the vertical axis."""


@dataclass(frozen=True)
class Band:
    """Curves of several seeds on one grid: positions, mean, smallest and largest value at each, and number of seeds."""

    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def band(series: Sequence[SeriesView], points: int = 60) -> Band:
    """Summarise seeds on a grid of at most `points` logged positions.

    A seed is read by linear interpolation between its logged positions. The summary runs as far as every seed does, and
    leaves out runs that have not completed, or stop being finite (unless all do): a mean over fewer and fewer seeds
    would bend by itself.
    """
    used = [line for line in series if whole(line)] or [line for line in map(finite, series) if line.x]
    if not used:
        return Band((), (), (), ())
    first, last = max(line.x[0] for line in used), min(line.x[-1] for line in used)
    grid = _thin(sorted({x for line in used for x in line.x if first <= x <= last}), points)
    rows = [[_read(line, x) for line in used] for x in grid]
    return Band(
        tuple(grid),
        tuple(math.fsum(values) / len(values) for values in rows),
        tuple(map(min, rows)),
        tuple(map(max, rows)),
    )


def axes(curve: CurveView) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the range of positions and of values that all panels of a curve share.

    Values count from half of the way on, where arms differ, not in the first steep steps. Values far outside the
    middle (a loss that exploded) do not stretch the axis: it ends at twice the distance between the 2nd and 98th
    percentile beyond these. Lines are cut off at the edge.
    """
    series = [finite(line) for arm in curve.arms for line in arm.series]
    positions = [x for line in series for x in line.x]
    first, last = min(positions, default=0.0), max(positions, default=1.0)
    start = first + SETTLED * (last - first)
    values = sorted(y for line in series for x, y in zip(line.x, line.y, strict=True) if x >= start)
    if values:
        low, high = values[int(0.02 * (len(values) - 1))], values[math.ceil(0.98 * (len(values) - 1))]
        slack = 2.0 * (high - low)
        if slack > 0:
            values = [value for value in values if low - slack <= value <= high + slack]
    return (first, last), reach(values, pad=0.04)


def panel(
    curve: CurveView, arm: ArmCurves, control: ArmCurves | None, *, ident: str, points: int = 60, seeds: bool = True
) -> Markup:
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
    scales = (across, upward)
    box = element("rect", x=LEFT, y=TOP, width=WIDTH - LEFT - RIGHT, height=HEIGHT - TOP - BOTTOM)
    behind = _lines(control, scales, "behind", points, seeds=False) if control is not None else Markup("")
    front = _lines(arm, scales, "front", points, seeds=seeds)
    parts = (
        element("clipPath", box, id=f"{ident}-box"),
        _frame(across, upward, curve.axis),
        element("g", behind, front, clip_path=f"url(#{ident}-box)"),
        *_crosses(arm, across, upward),
    )
    ends = [one.y[-1] for one in map(finite, arm.series) if one.y]
    description = f"{len(arm.series)} seeds; last values " + (", ".join(f"{end:.4g}" for end in ends) or "none") + "."
    return image(WIDTH, HEIGHT, f"{curve.name} of {arm.arm}", description, *parts, ident=ident, class_="curve")


def _frame(across: Scale, upward: Scale, axis: str) -> Markup:
    """Grid, tick labels and the name of the positions."""
    parts = []
    marks = ticks(upward.low, upward.high, 4)
    for value, label in zip(marks, tick_labels(marks), strict=True):
        parts += [
            line(LEFT, upward(value), WIDTH - RIGHT, upward(value), "grid"),
            text(LEFT - 6, upward(value) + 4, label, "tick small", "end"),
        ]
    marks = ticks(across.low, across.high, 3)
    for value, label in zip(marks, tick_labels(marks), strict=True):
        near_end = across(value) > WIDTH - RIGHT - 20
        parts.append(
            text(
                across(value),
                HEIGHT - 8,
                f"{label} {axis}" if value == marks[-1] else label,
                "tick small",
                "end" if near_end else "middle",
            )
        )
    parts.append(line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis"))
    return join(parts)


def _lines(arm: ArmCurves, scales: tuple[Scale, Scale], class_: str, points: int, *, seeds: bool) -> Markup:
    """Band, thin seed lines, and the mean line."""
    summary = band(arm.series, points)
    front = class_ == "front"
    if not summary.x:
        words = text((LEFT + WIDTH - RIGHT) / 2, HEIGHT / 2, "nothing logged", "small muted", "middle")
        return words if front else Markup("")
    parts = []
    if len(arm.series) > 1 and len(summary.x) > 1:
        upper, lower = _points(summary.x, summary.high, scales), _points(summary.x, summary.low, scales)
        parts.append(element("path", d=path(upper + lower[::-1]) + "Z", class_=f"band {class_}"))
    for series in arm.series if front else ():
        kept = finite(series)
        if kept.x and (not whole(series) or (seeds and len(arm.series) > 1)):
            drawn = _thinned(kept, points)
            parts.append(element("path", d=path(_points(drawn.x, drawn.y, scales)), class_=f"line seed {class_}"))
    if len(summary.x) > 1:
        parts.append(element("path", d=path(_points(summary.x, summary.mean, scales)), class_=f"line mean {class_}"))
    return join(parts)


def _crosses(arm: ArmCurves, across: Scale, upward: Scale) -> list[Markup]:
    """A cross where a seed diverges; held at the axis if it lies beyond."""
    parts = []
    for series in arm.series:
        kept = finite(series)
        if kept.x and (series.state == "diverged" or len(kept.x) < len(series.x)):
            x, y = across(kept.x[-1]), upward(kept.y[-1])
            cross = f"M{x - 4:.1f} {y - 4:.1f}l8 8M{x - 4:.1f} {y + 4:.1f}l8 -8"
            parts.append(
                element("path", element("title", f"seed {series.seed} diverges here"), d=cross, class_="diverged")
            )
    return parts


def _points(xs: Sequence[float], ys: Sequence[float], scales: tuple[Scale, Scale]) -> list[tuple[float, float]]:
    """Pixels of a line; what lies beyond the axis is only held near it, since the panel's clip cuts it off."""
    across, upward = scales
    edge = upward.high - upward.low
    tall = Scale(upward.low - edge, upward.high + edge, 2 * upward.start - upward.end, 2 * upward.end - upward.start)
    return [(across(x), tall(y)) for x, y in zip(xs, ys, strict=True)]


def whole(series: SeriesView) -> bool:
    """Whether a curve is that of a completed run, and finite throughout."""
    return bool(series.x) and series.state == "completed" and all(map(math.isfinite, series.y))


def finite(series: SeriesView) -> SeriesView:
    """Return the curve up to its first value that is not finite."""
    end = next((index for index, value in enumerate(series.y) if not math.isfinite(value)), len(series.y))
    return replace(series, x=series.x[:end], y=series.y[:end])


def _thin(values: Sequence[float], points: int) -> list[float]:
    """At most `points` of the values, evenly, with the first and the last."""
    if len(values) <= points:
        return list(values)
    return [values[round(index * (len(values) - 1) / (points - 1))] for index in range(points)]


def _thinned(series: SeriesView, points: int) -> SeriesView:
    kept = _thin(range(len(series.x)), points)
    x, y = (tuple(values[int(at)] for at in kept) for values in (series.x, series.y))
    return SeriesView(seed=series.seed, x=x, y=y)


def _read(series: SeriesView, x: float) -> float:
    """The value at `x`, which lies within the curve, by linear interpolation."""
    right = bisect.bisect_left(series.x, x)
    if series.x[right] == x:
        return series.y[right]
    share = (x - series.x[right - 1]) / (series.x[right] - series.x[right - 1])
    return series.y[right - 1] + share * (series.y[right] - series.y[right - 1])
