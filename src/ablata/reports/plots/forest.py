"""The forest plot: one row an arm, its effect with interval and every seed's paired difference, over the margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from ablata.reports.figures import Figures
from ablata.reports.plots.drawing import Scale, element, image, join, line, mark, path, text, tick_labels, ticks
from ablata.reports.view import ArmView, Estimate, StudyView
from ablata.reports.words import change_words, verdict_words

TOP, BOTTOM, GAP = 34.0, 46.0, 28.0


@dataclass(frozen=True)
class _Layout:
    """Where things stand, in pixels: the plot's left and right end, a row's height, the lane of the effect in it."""

    width: float
    left: float
    right: float
    row: float
    lane: float
    stacked: bool


def forest(view: StudyView, *, width: float = 1024, ident: str = "forest") -> Markup:
    """Draw the forest plot of a study.

    Args:
        view: the study; arms without an effect get a row that says so.
        width: in pixels; below 600 the names stand above the rows instead of beside them.
        ident: unique within the page.

    Returns: one `<svg>`; the margin is a band, zero is the control, dots are seeds (hollow if not paired).
    """
    stacked = width < 600
    layout = (
        _Layout(width, 10, width - 10, 74, 46, True)
        if stacked
        else _Layout(width, width * 0.25, width * 0.77, 48, 20, False)
    )
    arms = view.treatments
    low, high = _range(view)
    scale = Scale(low, high, layout.left, layout.right)
    bottom = TOP + layout.row * max(len(arms), 1)
    parts = [_ground(view, scale, layout, bottom)]
    parts += [_row(view, arm, scale, layout, TOP + index * layout.row) for index, arm in enumerate(arms)]
    return image(
        width,
        bottom + BOTTOM,
        f"Effect of each arm on {view.metric.name}",
        _description(view),
        *parts,
        ident=ident,
        class_="forest",
    )


def _effect(arm: ArmView) -> Estimate | None:
    """The arm's effect if it can be drawn; an end that is no number is left out, one without bounds stays."""
    effect = arm.effect
    if effect is None or not math.isfinite(effect.value):
        return None
    ends = (effect.low, effect.high)
    return effect if all(end is not None and not math.isnan(end) for end in ends) else Estimate(value=effect.value)


def _range(view: StudyView) -> tuple[float, float]:
    """The effects' axis: always shows zero, a margin and every seed; a very wide interval ends in an arrow."""
    values = [0.0] if view.margin is None else [0.0, 1.5 * view.margin, -1.5 * view.margin]
    for arm in view.treatments:
        values += [seed.difference for seed in arm.seeds if seed.difference is not None]
        values += [effect.value] if (effect := _effect(arm)) else []
    values = [value for value in values if math.isfinite(value)]
    core = max(max(values) - min(values), 1e-12)
    effects = [effect for arm in view.treatments if (effect := _effect(arm))]
    ends = [end for effect in effects for end in (effect.low, effect.high)]
    values += [min(max(end, -core), core) for end in ends if end is not None and math.isfinite(end)]
    pad = 0.04 * (max(values) - min(values)) or 1.0
    return min(values) - pad, max(values) + pad


def _ground(view: StudyView, scale: Scale, layout: _Layout, bottom: float) -> Markup:
    """Margin band (if any), grid, zero line, axis and its words. Stacked, each row has its own piece of ground."""
    figures = Figures.of(view)
    zero = scale(0.0)
    marks = ticks(scale.low, scale.high, 4 if layout.stacked else 7)
    rows = range(max(len(view.treatments), 1)) if layout.stacked else (None,)
    edges = (TOP + layout.row * (index + 1) for index in range(len(view.treatments)))
    parts = [line(0, edge, layout.width, edge, "rule") for edge in edges]
    for row in rows:
        top = TOP - 6 if row is None else TOP + row * layout.row + layout.lane - 11
        end = bottom if row is None else top + 34
        if view.margin is not None:
            left, right = scale(-view.margin), scale(view.margin)
            band = {"x": left, "y": top, "width": max(right - left, 0.5), "height": end - top}
            parts.append(element("rect", **band, class_="margin"))
        parts += [line(scale(value), top, scale(value), end, "grid") for value in marks]
        parts.append(line(zero, top, zero, end, "zero"))
    parts += [
        text(scale(value), bottom + 16, label, "small tick", "middle")
        for value, label in zip(marks, tick_labels(marks, sign=True), strict=True)
    ]
    down, up = ("worse", "better") if view.metric.higher_is_better else ("better", "worse")
    unit = f", {figures.difference_unit}" if figures.difference_unit else ""
    difference = f"{'with − without' if view.factorial else 'arm − control'}{unit}"
    words = difference if layout.stacked else f"{view.metric.name}, {difference}"
    middle = (layout.left + layout.right) / 2
    if view.margin is not None:
        parts.append(text(zero, TOP - 20, f"margin ±{figures.number(view.margin)}", "small muted", "middle"))
    parts += [
        line(layout.left, bottom, layout.right, bottom, "axis"),
        text(middle, bottom + 38, words, "small muted", "middle", room=(layout.right - layout.left) * 0.6),
        text(layout.left, bottom + 38, f"← {down}", "small muted"),
        text(layout.right, bottom + 38, f"{up} →", "small muted", "end"),
    ]
    if not layout.stacked:
        parts.append(text(0, TOP - 20, "change", "small muted"))
        parts.append(text(layout.right + GAP, TOP - 20, "effect, interval, verdict", "small muted"))
    return join(parts)


def _row(view: StudyView, arm: ArmView, scale: Scale, layout: _Layout, top: float) -> Markup:
    """One arm: names, effect with interval, seeds, and the numbers."""
    figures = Figures.of(view)
    lane = top + layout.lane
    words = verdict_words(arm, view.rule.mode, guarded=False) + (f" · {arm.lost}" if arm.lost else "")
    effect = figures.number(arm.effect.value, sign=True) if arm.effect else ""
    span = figures.span(arm.effect, sign=True)
    numbers = f"{effect} {span}".strip() or "no effect yet"
    parts = []
    if layout.stacked:
        parts.append(text(layout.left, top + 14, arm.name, "name", room=layout.width * 0.38))
        parts.append(text(layout.right, top + 14, numbers, "small figures", "end"))
        parts.append(_verdict(arm, words, layout.left, top + 30))
    else:
        parts.append(text(0, lane - 1, arm.name, "name", room=(layout.left - 16) * 0.78))
        parts.append(text(0, lane + 15, change_words(view, arm), "small muted", room=(layout.left - 16) * 1.15))
        parts.append(text(layout.right + GAP, lane - 1, numbers, "small figures"))
        parts.append(_verdict(arm, words, layout.right + GAP, lane + 15))
    drawn = _effect(arm)
    if drawn:
        parts.append(_interval(drawn, arm.verdict, scale, lane))
    parts += _seeds(arm, figures, scale, lane + 14)
    if drawn:
        parts.append(mark(arm.verdict, scale(drawn.value), lane, 6))
    return element("g", *parts, class_="row")


def _verdict(arm: ArmView, words: str, x: float, y: float) -> Markup:
    """The verdict's word with its sign before it."""
    if arm.verdict is None:
        return text(x, y, words, "small word none")
    return mark(arm.verdict, x + 6, y - 4, 5) + text(x + 17, y, words, f"small word {arm.verdict}")


def _interval(effect: Estimate, verdict: str | None, scale: Scale, lane: float) -> Markup:
    """The interval's line; an end beyond the axis is drawn as an arrow instead of a stop."""
    if effect.low is None or effect.high is None:
        return Markup("")
    class_ = f"interval {verdict or 'none'}"
    parts = [line(scale(effect.low), lane, scale(effect.high), lane, class_)]
    for end, inward in ((effect.low, 5), (effect.high, -5)):
        at = scale(end)
        if scale.low <= end <= scale.high:
            parts.append(line(at, lane - 4, at, lane + 4, class_))
        else:
            tip = [(at + inward, lane - 4), (at, lane), (at + inward, lane + 4)]
            parts.append(element("path", d=path(tip), class_=class_))
    return join(parts)


def _seeds(arm: ArmView, figures: Figures, scale: Scale, y: float) -> list[Markup]:
    """The seeds' dots; runs that diverged have no score, so their crosses stand at the emptier end of the axis."""
    parts, places = [], []
    for seed in arm.seeds:
        if seed.difference is not None and math.isfinite(seed.difference):
            places.append(scale(seed.difference))
            words = f"seed {seed.seed}: {figures.number(seed.difference, sign=True)}"
            title = element("title", words if seed.paired else f"{words} (not paired)")
            parts.append(
                element("circle", title, cx=places[-1], cy=y, r=3, class_="dot" if seed.paired else "dot open")
            )
    middle = (scale.start + scale.end) / 2
    start, step = (scale.end - 5, -11) if places and min(places) < middle else (scale.start + 5, 11)
    for index, seed in enumerate(seed for seed in arm.seeds if seed.state == "diverged"):
        x = start + step * index
        cross = f"M{x - 3:.1f} {y - 3:.1f}l6 6M{x - 3:.1f} {y + 3:.1f}l6 -6"
        parts.append(element("path", element("title", f"seed {seed.seed} {arm.lost_word}"), d=cross, class_="diverged"))
    return parts


def _description(view: StudyView) -> str:
    """The plot in words."""
    figures = Figures.of(view)
    rows = [
        f"{arm.name}: {verdict_words(arm, view.rule.mode)}"
        + (
            f", {figures.number(arm.effect.value, sign=True)} {figures.span(arm.effect, sign=True)}"
            if arm.effect
            else ""
        )
        for arm in view.treatments
    ]
    margin = "No margin" if view.margin is None else f"Margin ±{figures.amount(view.margin)}"
    return f"{margin}. " + ("; ".join(rows) or "No arm.")
