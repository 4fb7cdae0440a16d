"""The sections of a page, each a dataclass with what it shows and the template block that draws it.

A new kind of section is one dataclass here (or in the room that needs it) and one template file beside the others; the
page itself lists sections and knows none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup

from ablata.reports.bars import Bar, bars
from ablata.reports.curves import panel
from ablata.reports.drawing import sign
from ablata.reports.forest import forest
from ablata.reports.view import ArmCurves, CostView, CurveView, EnvironmentView, RunView, StudyView
from ablata.reports.words import (
    SIGNS,
    Figures,
    duration,
    glossary,
    percent,
    plan_words,
    quantity,
    ratio,
    rule_words,
    verdict_words,
)

MANY_ARMS = 12
"""From this number of arms on, curves show mean and band only, so that a page stays small."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page: its heading, and the anchor by which it is linked."""

    title: str
    ident: str
    template: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A table cell: what it shows, a second quieter line, the value it sorts by, and how it is set."""

    text: str
    note: str = ""
    order: float | str | None = None
    class_: str = ""
    link: str = ""
    verdict: str = ""

    @property
    def sign(self) -> Markup:
        """The verdict's sign, empty if the cell holds no verdict."""
        return sign(self.verdict) if self.verdict in SIGNS else Markup("")


@dataclass(frozen=True, kw_only=True)
class TableSection(Section):
    """A table with one heading a column; `folded` hides it behind its caption until it is opened."""

    template: ClassVar[str] = "section_table.html.j2"
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    folded: bool = False
    class_: str = ""


@dataclass(frozen=True, kw_only=True)
class FigureSection(Section):
    """One figure, drawn for wide and for narrow windows."""

    template: ClassVar[str] = "section_figure.html.j2"
    wide: Markup
    narrow: Markup
    caption: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A small drawing of a grid: its heading, and the verdict whose sign stands before it."""

    title: str
    drawing: Markup
    verdict: str | None = None
    words: str = ""

    @property
    def sign(self) -> Markup:
        """The verdict's sign, empty if there is none."""
        return sign(self.verdict) if self.verdict else Markup("")


@dataclass(frozen=True, kw_only=True)
class GridSection(Section):
    """Groups of small drawings side by side: (name of the group, panels)."""

    template: ClassVar[str] = "section_grid.html.j2"
    groups: tuple[tuple[str, tuple[Panel, ...]], ...]
    caption: str = ""
    class_: str = ""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A picture kept in the page: what it shows (alt), its caption, and a `data:` address of its bytes."""

    alt: str
    caption: str
    source: str

    def __post_init__(self) -> None:
        if not self.source.startswith("data:image/"):
            raise ValueError("a page is one file: a picture must be a data:image/... address")


@dataclass(frozen=True, kw_only=True)
class ImageSection(Section):
    """Pictures in a grid, such as predictions over photographs."""

    template: ClassVar[str] = "section_images.html.j2"
    images: tuple[Image, ...]
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class TermsSection(Section):
    """Words and their explanations, with sentences before them."""

    template: ClassVar[str] = "section_terms.html.j2"
    sentences: tuple[str, ...]
    terms: tuple[tuple[str, str], ...]

    @property
    def signed(self) -> tuple[tuple[Markup, str, str], ...]:
        """Each term with its verdict's sign, empty for other words."""
        return tuple((sign(term) if term in SIGNS else Markup(""), term, words) for term, words in self.terms)


@dataclass(frozen=True, kw_only=True)
class EnvironmentSection(Section):
    """The machines the runs were made on; several classes are a warning."""

    template: ClassVar[str] = "section_environment.html.j2"
    environments: tuple[EnvironmentView, ...]


@dataclass(frozen=True, kw_only=True)
class RepeatSection(Section):
    """Commands to type and the hashes that must come out equal."""

    template: ClassVar[str] = "section_repeat.html.j2"
    commands: tuple[str, ...]
    hashes: tuple[tuple[str, str], ...]


def study_sections(view: StudyView) -> tuple[Section, ...]:
    """Return the sections of a study's page, in order; a section with nothing to show is left out."""
    sections: list[Section] = [verdict_table(view)]
    if view.treatments:
        caption = (
            "Line: interval valid over all looks and arms. Sign: the effect, shaped by its verdict. Small dots: the paired "
            "difference of each seed, hollow where arm and control ran on different environments. Band: the margin."
        )
        wide, narrow = forest(view, ident="forest-wide"), forest(view, width=336, ident="forest-narrow")
        sections.append(FigureSection(title="Effects", ident="effects", wide=wide, narrow=narrow, caption=caption))
    sections += [cost] if (cost := cost_bars(view)) else []
    sections += [learning_curves(view.curves, view)] if view.curves else []
    sentences = tuple(filter(None, (f"The rule: {rule_words(view)}.", plan_words(view))))
    sections.append(TermsSection(title="What the words mean", ident="words", sentences=sentences, terms=glossary(view)))
    if view.commands or view.fingerprints:
        hashes = (*view.fingerprints, *((f"recipe of {arm.name}", arm.recipe_hash) for arm in view.arms if arm.recipe_hash))
        sections.append(RepeatSection(title="Repeat it", ident="repeat", commands=view.commands, hashes=hashes))
    if view.environments:
        sections.append(EnvironmentSection(title="Environment", ident="environment", environments=view.environments))
    sections += [runs_table(view.runs)] if view.runs else []
    return tuple(sections)


def verdict_table(view: StudyView) -> TableSection:
    """Return the table of arms: change, effect, verdict, confidence, mean, seeds, and cost relative to the control."""
    figures = Figures.of(view)
    control = view.control.cost if view.control else CostView()
    rows = []
    for arm in view.arms:
        relative = arm.cost.ratios(control)
        effect = arm.effect
        score = figures.score(arm.mean.value) if arm.mean else "–"
        lost = f"{arm.diverged} diverged" if arm.diverged else ""
        said = ". ".join(part[:1].upper() + part[1:].rstrip(".") for part in (arm.reason, *arm.notes) if part)
        unchanged = "what the others are compared with" if arm.is_control else ""
        costs = (
            (duration(arm.cost.seconds), arm.cost.seconds) if arm.is_control else (ratio(relative.seconds), relative.seconds),
            (quantity(arm.cost.memory, "B", 1024), arm.cost.memory) if arm.is_control else (ratio(relative.memory), relative.memory),
            (quantity(arm.cost.flops), arm.cost.flops) if arm.is_control else (ratio(relative.flops), relative.flops),
        )
        rows.append(
            (
                Cell(text=arm.name, note=arm.change or unchanged, class_="arm", order=arm.name),
                Cell(
                    text=figures.number(effect.value, sign=True) if effect else "–",
                    note=figures.span(effect, sign=True),
                    order=effect.value if effect else None,
                    class_="number",
                ),
                Cell(
                    text=verdict_words(arm, view.rule.mode),
                    note=said,
                    order=arm.verdict or "",
                    class_=f"verdict {arm.verdict or 'none'}",
                    verdict=arm.verdict or "",
                ),
                Cell(text=percent(arm.confidence), order=arm.confidence, class_="number"),
                Cell(text=score, note=figures.span(arm.mean), order=arm.mean.value if arm.mean else None, class_="number"),
                Cell(text=f"{arm.done}/{arm.planned}", note=lost, order=arm.done, class_="number"),
                *(Cell(text=words, order=value, class_="number cost") for words, value in costs),
            )
        )
    unit = f" ({figures.difference_unit})" if figures.difference_unit else ""
    columns = ("Arm", f"Effect{unit}", "Verdict", "Confidence", view.metric.name, "Seeds", "Time", "Memory", "FLOPs")
    caption = (
        f"Effect: arm minus control, with the interval valid over all looks and arms. {view.metric.name}: mean with its 95% "
        "interval over seeds. Time, memory and FLOPs: the control's own, then each arm relative to it."
    )
    return TableSection(title="Verdicts", ident="verdicts", columns=columns, rows=tuple(rows), caption=caption, class_="verdicts")


def cost_bars(view: StudyView) -> GridSection | None:
    """Return the costs relative to the control, one panel a kind of cost that was measured; None if none was."""
    control = view.control
    if control is None or not view.treatments:
        return None
    kinds = (
        ("seconds", "Time of a run", duration),
        ("memory", "Peak memory", lambda value: quantity(value, "B", 1024)),
        ("flops", "FLOPs of a forward pass", quantity),
        ("parameters", "Parameters", quantity),
    )
    panels = []
    for kind, title, write in kinds:
        base = getattr(control.cost, kind)
        if not base:
            continue
        rows = []
        for arm in view.arms:
            value = getattr(arm.cost, kind)
            words = "not measured" if value is None else write(value) if arm.is_control else f"{ratio(value / base)}"
            rows.append(Bar(arm.name, None if value is None else value / base, words, reference=arm.is_control))
        panels.append(Panel(title=title, drawing=bars(title, rows, ident=f"cost-{kind}", unchanged=1.0)))
    if not panels:
        return None
    caption = "The line marks the control's cost."
    return GridSection(title="Cost", ident="cost", groups=(("", tuple(panels)),), caption=caption, class_="fine")


def learning_curves(curves: tuple[CurveView, ...], view: StudyView | None = None) -> GridSection:
    """Return the learning curves, one panel an arm and quantity.

    Args:
        curves: the quantities.
        view: the study they belong to; its control is drawn behind every arm. Without it, each arm is drawn alone.
    """
    verdicts = {arm.name: (arm.verdict, verdict_words(arm, view.rule.mode)) for arm in view.arms} if view else {}
    reference = view.control.name if view and view.control else None
    panels = sum(len(curve.arms) for curve in curves)
    points = max(16, min(60, 1800 // max(panels, 1)))
    groups = []
    for number, curve in enumerate(curves):
        behind = next((arm for arm in curve.arms if arm.arm == reference), None)
        drawn: list[Panel] = []
        for place, arm in enumerate(_control_first(curve.arms, reference)):
            verdict, words = verdicts.get(arm.arm, (None, ""))
            other = None if arm is behind else behind
            ident = f"curve-{number}-{place}"
            drawing = panel(curve, arm, other, ident=ident, points=points, seeds=panels <= MANY_ARMS)
            drawn.append(Panel(title=arm.arm, drawing=drawing, verdict=verdict, words=words))
        groups.append((curve.name, tuple(drawn)))
    behind_words = ", the control behind it in grey" if reference else ""
    caption = (
        f"Line: mean over seeds. Band: smallest to largest seed{behind_words}. A cross marks where a run stopped being finite; "
        "such a run is not in the mean. The vertical axis shows the values of the second half of training."
    )
    return GridSection(title="Learning curves", ident="curves", groups=tuple(groups), caption=caption)


def _control_first(arms: tuple[ArmCurves, ...], reference: str | None) -> list[ArmCurves]:
    return sorted(arms, key=lambda arm: arm.arm != reference)


def runs_table(runs: tuple[RunView, ...], title: str = "Runs") -> TableSection:
    """Return a table of runs; a long one is folded."""
    rows = []
    for run in runs:
        scores = ", ".join(f"{name} {value:.6g}" for name, value in run.scores)
        cells = (
            Cell(text=run.id, link=_local(run.link), class_="code", order=run.id),
            Cell(text=run.arm or run.recipe, order=run.arm or run.recipe),
            Cell(text=str(run.seed), order=run.seed, class_="number"),
            Cell(text=run.state, note=run.error, order=run.state, class_="diverged" if run.state == "diverged" else ""),
            Cell(text=str(run.attempt), order=run.attempt, class_="number"),
            Cell(text=duration(run.seconds), order=run.seconds, class_="number"),
            Cell(text=scores, class_="number"),
            Cell(text=run.environment[:8], class_="code"),
        )
        rows.append(cells)
    columns = ("Run", "Arm", "Seed", "State", "Attempt", "Time", "Scores", "Environment")
    caption = f"{len(runs)} run{'s' if len(runs) != 1 else ''}"
    return TableSection(title=title, ident="runs", columns=columns, rows=tuple(rows), caption=caption, folded=len(runs) > 8)


def _local(link: str) -> str:
    """The link if it leads to a place beside the page, else nothing: a link in an imported study may hold anything."""
    return "" if ":" in link or link.startswith(("/", "\\")) else link
