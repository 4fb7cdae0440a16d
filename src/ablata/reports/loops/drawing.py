"""The stream of a loop drawn: each proposal's score, the best so far with its band, what a greedy loop believes."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ablata.reports.loops.view import SIGNS, LoopView, ProposalView
from ablata.reports.plots.drawing import (
    Scale,
    element,
    image,
    line,
    mark,
    path,
    reach,
    text,
    tick_labels,
    ticks,
)

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 300.0, 62.0, 16.0, 12.0, 34.0
_MOST_NAMES = 12
Corner = tuple[float, float]


def stream(view: LoopView, width: float, ident: str) -> Markup:
    """Draw a loop's proposals in their order."""
    bests = _bests(view)
    greedy = _greedy(view)
    shown = [one.score for one in view.proposals if one.score is not None and one.outcome != "crash"]
    ends = [end for _, one in bests if one.fresh for end in (one.fresh.low, one.fresh.high) if end is not None]
    low, high = reach(_near(shown, view.proposals[0].score, [*ends, *(score for _, score in greedy)]))
    last = max(len(view.proposals) - 1, 1)
    across, upward = Scale(0, last, _LEFT + 6, width - _RIGHT - 6), Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    marks = ticks(low, high)
    parts = [line(_LEFT, upward(value), width - _RIGHT, upward(value), "grid") for value in marks]
    parts += [
        text(_LEFT - 6, upward(value) + 4, label, "tick small", "end")
        for value, label in zip(marks, tick_labels(marks), strict=True)
    ]
    parts += _band(bests, across, upward, last)
    parts += _steps(
        [(float(number), score) for number, score in greedy], across, upward, last, "line mean behind", "4 3"
    )
    centres = [(place, one.fresh.value) for place, one in bests if one.fresh]
    parts += _steps(centres, across, upward, last, "line mean front", None)
    for one in view.proposals:
        parts.append(_mark(one, across, upward))
    parts.append(line(_LEFT, _HEIGHT - _BOTTOM, width - _RIGHT, _HEIGHT - _BOTTOM, "axis"))
    step = max(1, last // _MOST_NAMES)
    parts += [
        text(across(number), _HEIGHT - 16, str(number), "tick small", "middle") for number in range(0, last + 1, step)
    ]
    parts.append(text((_LEFT + width - _RIGHT) / 2, _HEIGHT - 2, "proposal", "small muted", "middle"))
    return image(
        width, _HEIGHT, f"{view.metric} of {len(view.tried)} proposals",
        f"{len(view.kept)} kept; the best is number {view.best}", *parts, ident=ident, class_="curve",
    )  # fmt: skip


def _bests(view: LoopView) -> list[tuple[float, ProposalView]]:
    """Return each state that was the best, with the place from which on it was."""
    return [(0.0, view.proposals[0]), *((float(one.number), one) for one in view.kept)]


def _greedy(view: LoopView) -> list[tuple[int, float]]:
    first = view.proposals[0].first
    walk = [] if first is None else [(0, first)]
    return walk + [(number, view.proposals[number].first or 0.0) for number in view.greedy.kept]


def _near(scores: Sequence[float], start: float | None, always: Sequence[float]) -> list[float]:
    """Return what sets the axis: scores that do not lie far from the start, and what is always drawn."""
    sure = [*always, *([start] if start is not None else [])]
    if not sure or not scores:
        return [*sure, *scores]
    gaps = sorted(abs(score - sure[-1]) for score in scores)
    slack = max(max(sure) - min(sure), 2 * gaps[len(gaps) // 2])
    return [*sure, *(score for score in scores if min(sure) - slack <= score <= max(sure) + slack)]


def _band(bests: Sequence[tuple[float, ProposalView]], across: Scale, upward: Scale, last: int) -> list[Markup]:
    parts = []
    for index, (place, one) in enumerate(bests):
        end = bests[index + 1][0] if index + 1 < len(bests) else float(last)
        if one.fresh is None or one.fresh.low is None or one.fresh.high is None:
            continue
        bottom, top = upward(one.fresh.low), upward(one.fresh.high)
        corners = [(across(place), bottom), (across(end), bottom), (across(end), top), (across(place), top)]
        parts.append(element("path", d=path(corners) + "Z", class_="band front"))
    return parts


def _steps(
    points: Sequence[Corner], across: Scale, upward: Scale, last: int, class_: str, dashes: str | None
) -> list[Markup]:
    """Draw a line of steps that ends at the last proposal."""
    corners: list[Corner] = []
    for place, value in points:
        if corners:
            corners.append((across(place), corners[-1][1]))
        corners.append((across(place), upward(value)))
    if not corners:
        return []
    corners.append((across(last), corners[-1][1]))
    return [element("path", d=path(corners), class_=class_, stroke_dasharray=dashes)]


def _mark(one: ProposalView, across: Scale, upward: Scale) -> Markup:
    crashed = one.outcome == "crash" or one.score is None
    place = upward.start if crashed else upward(one.score or 0.0)
    sign = mark(None if one.number == 0 else SIGNS.get(one.outcome or ""), across(one.number), place, 5)
    return element("g", element("title", f"#{one.number} {one.text}"), sign)
