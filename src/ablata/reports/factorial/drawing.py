"""The sections of a factorial study's page: half-normal plot, interactions, cells."""

from __future__ import annotations

from statistics import NormalDist

from markupsafe import Markup

from ablata.reports.factorial.record import cell_words, flag_words
from ablata.reports.factorial.view import FactorialView
from ablata.reports.figures import Figures
from ablata.reports.plots.drawing import Scale, element, image, line, reach, text, tick_labels, ticks
from ablata.reports.sections import FigureSection, Section, TableCell, TableSection
from ablata.reports.view import StudyView

_MOST_NAMED = 2
"""Interactions that the half-normal plot names; more would stand over each other."""
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 320.0, 56.0, 150.0, 14.0, 44.0


def factorial_sections(view: StudyView) -> tuple[Section, ...]:
    """Return what a factorial study's page shows beside its verdicts; nothing for another study's."""
    shown = view.factorial
    if shown is None:
        return ()
    sections: list[Section] = []
    if shown.contrasts:
        caption = (
            "Every contrast of the design, by size: changes by name, interactions and what is left as rings. Without "
            "any effect all would lie on the line that the smaller half draws; what stands off it to the right is more "
            "than noise. A plot to look at, not a test."
        )
        wide, narrow = half_normal(shown, ident="half-wide"), half_normal(shown, ident="half-narrow", width=336)
        sections.append(
            FigureSection(title="Half-normal plot", ident="half-normal", wide=wide, narrow=narrow, caption=caption)
        )
    if shown.interactions:
        sections.append(_interactions(shown, Figures.of(view)))
    sections.append(_cells(shown, Figures.of(view)))
    return tuple(sections)


def half_normal(view: FactorialView, *, ident: str, width: float = 720) -> Markup:
    """Draw the sizes of all contrasts over the quantiles of the half-normal distribution (Daniel 1959).

    Args:
        view: the study's factorial part.
        ident: unique within the page.
        width: in pixels.
    """
    points = sorted(view.contrasts, key=lambda point: abs(point[1]))
    quantiles = [NormalDist().inv_cdf(0.5 + 0.5 * (rank + 0.5) / len(points)) for rank in range(len(points))]
    sizes = [abs(size) for _, size in points]
    across = Scale(0.0, reach([0.0, *sizes])[1], _LEFT, width - (_RIGHT if width > 500 else 20))
    up = Scale(0.0, quantiles[-1] * 1.08, _HEIGHT - _BOTTOM, _TOP)
    half = max(len(points) // 2, 1)
    named = [one.words for one in view.interactions if one.flagged][:_MOST_NAMED]
    slope = sum(sizes[:half]) / (sum(quantiles[:half]) or 1.0)
    end = min(up.high, across.high / slope if slope else up.high)
    parts = [
        line(across.start, up.start, across.end, up.start, "axis"),
        *(
            element(
                "g",
                line(across(at), up.start, across(at), up.end, "grid"),
                text(across(at), up.start + 18, label, "small", "middle"),
            )
            for at, label in _ticks(across)
        ),
        line(across(0.0), up(0.0), across(slope * end), up(end), "zero"),
        text((across.start + across.end) / 2, _HEIGHT - 6, "size of the effect", "small", "middle"),
        text(12, _TOP + 4, "expected", "small"),
    ]
    for (name, size), quantile in zip(points, quantiles, strict=True):
        x, y = across(abs(size)), up(quantile)
        change = name in view.factors
        parts.append(element("circle", cx=x, cy=y, r=4, class_="mark none" if change else "mark undecided open"))
        if change or name in named:
            parts.append(text(x + 8, y + 4, name, "small", room=max(width - x - 12, 40)))
    told = "; ".join(f"{name} {size:.3g}" for name, size in reversed(points) if name)
    return image(width, _HEIGHT, "Half-normal plot of all contrasts", told, *parts, ident=ident, class_="forest")


def _ticks(scale: Scale) -> list[tuple[float, str]]:
    values = ticks(scale.low, scale.high)
    return list(zip(values, tick_labels(values), strict=True))


def _flagged(view: FactorialView) -> set[str]:
    return {one.words for one in view.interactions if one.flagged}


def _interactions(view: FactorialView, figures: Figures) -> TableSection:
    rows = tuple(
        (
            TableCell(text=one.words, order=one.words),
            TableCell(text=figures.number(one.effect, sign=True), order=one.effect, class_="number"),
            TableCell(text="–" if one.p is None else f"{one.p:.2g}", order=one.p, class_="number"),
            TableCell(text="look again" if one.flagged else "", order=float(one.flagged)),
        )
        for one in view.interactions
    )
    caption = (
        "Half of how much the effect of one change differs with and without the other; where several are named, the "
        "design shows their sum. p is not corrected for their number. "
        + " ".join((f"{view.design[:1].upper()}{view.design[1:]}.", *flag_words(view)))
    )
    return TableSection(
        title="Interactions", ident="interactions", columns=("Changes", "Effect", "p", ""), rows=rows, caption=caption,
        folded=len(rows) > 10 and not _flagged(view),
    )  # fmt: skip


def _cells(view: FactorialView, figures: Figures) -> TableSection:
    rows = tuple(
        (
            TableCell(text=cell.name, order=cell.name, class_="arm"),
            *(TableCell(text="on" if name in cell.on else "", order=float(name in cell.on)) for name in view.factors),
            TableCell(text="–" if cell.mean is None else figures.score(cell.mean), order=cell.mean, class_="number"),
            TableCell(text=str(cell.seeds), order=cell.seeds, class_="number"),
        )
        for cell in view.cells
    )
    told = " ".join(("", f"The best mean is that of {view.best}." if view.best else "", *cell_words(view))).rstrip()
    return TableSection(
        title="Cells", ident="cells", columns=("Cell", *view.factors, "Mean", "Seeds"), rows=rows,
        caption=f"{len(view.cells)} combinations of the changes.{told}", folded=len(rows) > 16,
    )  # fmt: skip
