"""Curves as the board draws them: chosen stretch, linear or logarithmic axis, steps or time, smoothing that is said.

A line is thinned by keeping the smallest and the largest value of each stretch, so that no spike is lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from ablata.board.sections import CurvesSection, Field
from ablata.reports.plots.curves import band, finite
from ablata.reports.plots.drawing import Scale, element, image, join, line, path, reach, text, tick_labels, ticks
from ablata.reports.run_views import ArmCurves, CurveView, SeriesView

LARGE, SMALL = (1000.0, 360.0), (520.0, 250.0)
"""Width and height of a plot that stands alone, and of one beside others."""
LEFT, RIGHT, TOP, BOTTOM = 58.0, 10.0, 10.0, 30.0
HUES = 8
POINTS, ALL_POINTS = 400, 8000
"""Points drawn of one line, and about how many of all lines of a plot."""
_FEW = 12
_SETTLED = 0.5
"""The share of training after which values set the vertical axis of what is not logarithmic."""
_NOT_MUCH = 5.0
"""How many times as far as those all values may reach, so that all are shown."""


@dataclass(frozen=True)
class CurveChoice:
    """What the controls say.

    Args:
        log: the vertical axis is logarithmic.
        time: positions are minutes of training, not steps.
        smooth: weight of the past in an exponential moving average, in [0, 0.99]; 0 draws what was logged.
        start, end: the stretch that is drawn; None: all.
        seeds: each seed is drawn too.
        quantity: only this quantity; empty: the first few.
    """

    log: bool = False
    time: bool = False
    smooth: float = 0.0
    start: float | None = None
    end: float | None = None
    seeds: bool = True
    quantity: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> CurveChoice:
        """Read the controls from an address; what cannot be read counts as not given."""
        smooth = _number(query.get("smooth"))
        return cls(
            log=query.get("axis") == "log",
            time=query.get("by") == "time",
            smooth=min(max(smooth or 0.0, 0.0), 0.99),
            start=_number(query.get("from")),
            end=_number(query.get("to")),
            seeds=query.get("seeds", "yes") != "no",
            quantity=query.get("quantity", ""),
        )

    def fields(self, quantities: Sequence[str]) -> tuple[Field, ...]:
        """Return the controls."""
        named = (("", "the first few"), *((name, name) for name in quantities))
        return (
            Field(name="quantity", label="quantity", value=self.quantity, choices=named),
            Field(
                name="axis", label="axis", value="log" if self.log else "linear",
                choices=(("linear", "linear"), ("log", "logarithmic")),
            ),
            Field(
                name="by", label="over", value="time" if self.time else "step",
                choices=(("step", "steps"), ("time", "time")),
            ),
            Field(
                name="smooth", label="smoothing", value=f"{self.smooth:g}",
                choices=tuple((value, words) for value, words in
                              (("0", "none"), ("0.6", "0.6"), ("0.9", "0.9"), ("0.97", "0.97"))),
            ),
            Field(name="seeds", label="seeds", value="yes" if self.seeds else "no",
                  choices=(("yes", "each"), ("no", "mean and band"))),
            Field(name="from", label="from", value=_written(self.start), kind="number"),
            Field(name="to", label="to", value=_written(self.end), kind="number"),
        )  # fmt: skip

    @property
    def words(self) -> str:
        """What was done to the curves, in a sentence."""
        said = [
            f"smoothed: each point is {1 - self.smooth:.2g} of its value and {self.smooth:g} of the average before it"
            if self.smooth
            else "as logged, not smoothed",
            "time is a run's training time, shared evenly over its steps" if self.time else "",
            "a logarithmic axis leaves out values that are not above 0" if self.log else "",
        ]
        return "; ".join(filter(None, said)).capitalize() + "."


def curves_section(
    curves: Sequence[CurveView],
    choice: CurveChoice,
    *,
    action: str,
    seconds: Mapping[tuple[str, int], float],
    ident: str = "curves",
    most: int = 3,
    columns: bool = False,
) -> CurvesSection | None:
    """Return the section of curves with its controls; None where nothing was logged twice.

    Args:
        curves: all quantities; the arms of each in the order that gives them their hues.
        choice: what the controls say.
        action: the page's address, to which the controls are sent.
        seconds: training time of a run by arm and seed, for an axis of time.
        ident: anchor of the section.
        most: quantities drawn where none is chosen.
        columns: they stand beside each other.
    """
    drawable = [curve for curve in curves if any(len(one.x) > 1 for arm in curve.arms for one in arm.series)]
    if not drawable:
        return None
    chosen = [curve for curve in drawable if curve.name == choice.quantity] or drawable[:most]
    missed = choice.quantity and choice.quantity not in {curve.name for curve in drawable}
    unknown = f"No {choice.quantity} was logged more than once; the first few are drawn. " if missed else ""
    arms = list(dict.fromkeys(arm.arm for curve in drawable for arm in curve.arms))
    hues = {arm: f"hue-{place % HUES}" for place, arm in enumerate(arms)}
    beside = columns and len(chosen) > 1
    size = SMALL if beside else LARGE
    drawn = [(curve.name, plot(curve, choice, hues, seconds, f"{ident}-{at}", size)) for at, curve in enumerate(chosen)]
    alone = all(len(arm.series) == 1 for curve in chosen for arm in curve.arms)
    means = "" if alone else " Line: mean over completed seeds; band: smallest to largest."
    return CurvesSection(
        title="Curves",
        ident=ident,
        fields=choice.fields([curve.name for curve in drawable]),
        action=action,
        drawings=tuple(drawn),
        legend=tuple((hues[arm], arm) for arm in arms) if len(arms) > 1 else (),
        caption=f"{unknown}{choice.words}{means}{_fitted(choice)} Drag over a plot to zoom.",
        columns=beside,
        values=tuple(row for curve in chosen for row in _values(curve, choice, seconds)),
    )


def _values(
    curve: CurveView, choice: CurveChoice, seconds: Mapping[tuple[str, int], float]
) -> Iterator[tuple[str, ...]]:
    """Yield what a plot shows in figures, a row an arm; the last value is the mean over seeds."""
    for arm in (_as_chosen(one, replace(choice, log=False), seconds) for one in curve.arms):
        lines = [one for one in arm.series if one.y]
        if lines:
            last = math.fsum(one.y[-1] for one in lines) / len(lines)
            every = [y for one in lines for y in one.y]
            at = max(one.x[-1] for one in lines)
            unit = "min" if choice.time else curve.axis
            figures = (f"{at:.4g} {unit}", f"{last:.5g}", f"{min(every):.5g}", f"{max(every):.5g}")
            yield (curve.name, arm.arm, str(len(lines)), *figures)


def _fitted(choice: CurveChoice) -> str:
    whole = choice.log or choice.start is not None or choice.end is not None
    return (
        "" if whole else " Where the first half of training would hide the second, the vertical axis fits the second."
    )


def plot(
    curve: CurveView,
    choice: CurveChoice,
    hues: Mapping[str, str],
    seconds: Mapping[tuple[str, int], float],
    ident: str,
    size: tuple[float, float],
) -> Markup:
    """Draw one quantity of all arms over one another, at a width and height."""
    width, height = size
    arms = [_as_chosen(arm, choice, seconds) for arm in curve.arms]
    drawn_points = min(POINTS, max(POINTS // 4, ALL_POINTS // max(sum(len(arm.series) for arm in arms), 1)))
    lines = [one for arm in arms for one in arm.series if one.x]
    first = min((one.x[0] for one in lines), default=0.0)
    last = max((one.x[-1] for one in lines), default=1.0)
    low, high = _range([y for one in lines for y in _settled(one, first, last, choice)])
    least, greatest = _range([y for one in lines for y in one.y])
    if greatest - least <= _NOT_MUCH * (high - low):
        low, high = least, greatest
    across = Scale(first, last if last > first else first + 1, LEFT, width - RIGHT)
    upward = Scale(low, high, height - BOTTOM, TOP)
    unit = "min" if choice.time else curve.axis
    clip = element("rect", x=LEFT, y=TOP, width=width - LEFT - RIGHT, height=height - TOP - BOTTOM)
    drawn = join(_arm(arm, across, upward, hues.get(arm.arm, "hue-0"), choice, drawn_points) for arm in arms)
    ends = ", ".join(f"{arm.arm} {one.y[-1]:.4g}" for arm in arms for one in arm.series[:1] if one.y)
    parts = (
        element("clipPath", clip, id=f"{ident}-box"),
        _frame(across, upward, unit, choice.log, size),
        element("g", drawn, clip_path=f"url(#{ident}-box)"),
    )
    made = image(width, height, curve.name, f"Last values: {ends or 'none'}.", *parts, ident=ident, class_="plot")
    ends_of_axis = {"left": LEFT, "right": width - RIGHT, "low": across.low, "high": across.high}
    facts = Markup(" ").join(Markup('data-{}="{:.6g}"').format(name, value) for name, value in ends_of_axis.items())
    return Markup("<svg ") + facts + made[4:]


def thinned(x: Sequence[float], y: Sequence[float], points: int) -> list[tuple[float, float]]:
    """Return at most about `points` of a line's points: the least and the greatest of each stretch, in order."""
    if len(x) <= points:
        return list(zip(x, y, strict=True))
    stretches = max(points // 2, 1)
    kept = []
    for stretch in range(stretches):
        start = stretch * len(x) // stretches
        part = y[start : (stretch + 1) * len(x) // stretches]
        told = [value for value in part if math.isfinite(value)] or part
        ends = sorted({part.index(min(told)), part.index(max(told))})
        kept += [(x[start + place], part[place]) for place in ends]
    return kept


def smoothed(values: Sequence[float], weight: float) -> tuple[float, ...]:
    """Return the exponential moving average of a line, corrected for its beginning as Adam's (Kingma and Ba 2015)."""
    made, total, share = [], 0.0, 0.0
    for value in values:
        total, share = weight * total + (1 - weight) * value, weight * share + (1 - weight)
        made.append(total / share)
    return tuple(made)


def _as_chosen(arm: ArmCurves, choice: CurveChoice, seconds: Mapping[tuple[str, int], float]) -> ArmCurves:
    """The arm's lines as the controls want them: smoothed, over time, cut to the stretch, in powers of ten."""
    return replace(arm, series=tuple(_line(arm.arm, finite(one), choice, seconds) for one in arm.series))


def _line(arm: str, one: SeriesView, choice: CurveChoice, seconds: Mapping[tuple[str, int], float]) -> SeriesView:
    x, y = one.x, smoothed(one.y, choice.smooth) if choice.smooth else one.y
    if choice.time and x:
        minutes = seconds.get((arm, one.seed), 0.0) / 60
        x = tuple(minutes * place / x[-1] if x[-1] else 0.0 for place in x)
    start = -math.inf if choice.start is None else choice.start
    end = math.inf if choice.end is None else choice.end
    points = [(a, b) for a, b in zip(x, y, strict=True) if start <= a <= end and (not choice.log or b > 0)]
    return replace(
        one,
        x=tuple(a for a, _ in points),
        y=tuple(math.log10(b) if choice.log else b for _, b in points),
    )


def _settled(one: SeriesView, first: float, last: float, choice: CurveChoice) -> list[float]:
    """Values that set the vertical axis: of the second half, unless a stretch was chosen, the axis is logarithmic, or
    there are few."""
    if choice.log or choice.start is not None or choice.end is not None or len(one.x) < _FEW:
        return list(one.y)
    start = first + _SETTLED * (last - first)
    return [y for x, y in zip(one.x, one.y, strict=True) if x >= start]


def _range(values: list[float]) -> tuple[float, float]:
    """The vertical axis: all values but those far outside the middle, as in a report's panels."""
    ordered = sorted(values)
    if ordered:
        low, high = ordered[int(0.01 * (len(ordered) - 1))], ordered[math.ceil(0.99 * (len(ordered) - 1))]
        slack = 2 * (high - low)
        ordered = [value for value in ordered if low - slack <= value <= high + slack] if slack else ordered
    if ordered and ordered[0] == ordered[-1]:
        # Of one value alone a narrow stretch, so that it can be read off.
        half = 0.01 * abs(ordered[0]) or 1.0
        return ordered[0] - half, ordered[0] + half
    return reach(ordered, pad=0.05)


def _arm(arm: ArmCurves, across: Scale, upward: Scale, hue: str, choice: CurveChoice, points: int) -> Markup:
    # A line that leaves the axis goes on beyond it, where the plot's clip cuts it off.
    edge = upward.high - upward.low
    tall = Scale(upward.low - edge, upward.high + edge, 2 * upward.start - upward.end, 2 * upward.end - upward.start)

    def drawn(points: Sequence[tuple[float, float]]) -> str:
        return path([(across(x), tall(y)) for x, y in points])

    parts = []
    summary = band(arm.series, POINTS)
    if len(arm.series) > 1 and len(summary.x) > 1:
        upper = list(zip(summary.x, summary.high, strict=True))
        lower = list(zip(summary.x, summary.low, strict=True))
        parts.append(element("path", d=drawn(upper + lower[::-1]) + "Z", class_=f"band {hue}"))
    for one in arm.series if choice.seeds or len(arm.series) == 1 else ():
        if len(one.x) > 1:
            weight = "line" if len(arm.series) == 1 else "line seed"
            title = element("title", f"{arm.arm}, seed {one.seed}")
            parts.append(element("path", title, d=drawn(thinned(one.x, one.y, points)), class_=f"{weight} {hue}"))
    if len(arm.series) > 1 and len(summary.x) > 1:
        mean = list(zip(summary.x, summary.mean, strict=True))
        parts.append(element("path", element("title", arm.arm), d=drawn(mean), class_=f"line {hue}"))
    return join(parts)


def _frame(across: Scale, upward: Scale, unit: str, log: bool, size: tuple[float, float]) -> Markup:
    parts, (width, height) = [], size
    marks = ticks(upward.low, upward.high, 5)
    labels = tuple(f"{10**value:.3g}" for value in marks) if log else tick_labels(marks)
    for value, label in zip(marks, labels, strict=True):
        parts += [
            line(LEFT, upward(value), width - RIGHT, upward(value), "grid"),
            text(LEFT - 8, upward(value) + 4, label, "tick", "end"),
        ]
    marks = ticks(across.low, across.high, 8 if size == LARGE else 5)
    for value, label in zip(marks, tick_labels(marks), strict=True):
        words = f"{label} {unit}" if value == marks[-1] else label
        near_end = across(value) > width - RIGHT - 30
        parts.append(text(across(value), height - 10, words, "tick", "end" if near_end else "middle"))
    parts.append(line(LEFT, height - BOTTOM, width - RIGHT, height - BOTTOM, "axis"))
    return join(parts)


def _number(given: str | None) -> float | None:
    try:
        value = float(given or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _written(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
