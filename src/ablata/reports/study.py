"""The sections of a study's page: verdicts, effects, cost, learning curves, what the words mean, how to repeat it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from ablata.base.quantities import counted, duration
from ablata.reports.aa import aa_words
from ablata.reports.factorial.drawing import factorial_sections
from ablata.reports.figures import Figures, ratio
from ablata.reports.guards import guard_words
from ablata.reports.pick import EXPECTED
from ablata.reports.plots.bars import LabeledBar, bars
from ablata.reports.plots.curves import panel
from ablata.reports.plots.forest import forest
from ablata.reports.rounds import rounds_table
from ablata.reports.run_views import CurveView, RunView
from ablata.reports.sections import (
    EnvironmentSection,
    FigureSection,
    GridSection,
    Panel,
    RepeatSection,
    Section,
    TableCell,
    TableSection,
    TermsSection,
)
from ablata.reports.standing.words import standing_words
from ablata.reports.view import COSTS, ArmView, StudyView
from ablata.reports.words import change_words, cost_words, glossary, reading_words, verdict_words

MANY_PANELS = 24
"""From this number of panels on, curves show mean and band only, so that a page stays small."""


def study_sections(view: StudyView, *, curves: Sequence[Section] | None = None) -> tuple[Section, ...]:
    """Return the sections of a study's page, in order; a section with nothing to show is left out.

    Args:
        view: the study.
        curves: what stands where its learning curves do; None: those.
    """
    sections: list[Section] = [*aa_sections(view), verdict_table(view)]
    if view.impossible:
        title = "These scores cannot be what they seem"
        warned = TermsSection(title=title, ident="impossible", sentences=view.impossible, terms=(), warning=True)
        sections.insert(0, warned)
    if view.treatments and view.pick is None:
        what = "the cells with the change minus those without" if view.factorial else "arm minus control"
        caption = (
            f"Sign: the effect, {what}; its shape tells the verdict. Line: its interval, which holds for all "
            f"{_judged(view)} and all looks together. Small dots: the difference at each seed, hollow where arm and "
            "control ran on different machines."
        )
        caption += " Band: the margin, within which differences do not matter." if view.margin is not None else ""
        wide, narrow = forest(view, ident="forest-wide"), forest(view, width=336, ident="forest-narrow")
        sections.append(FigureSection(title="Effects", ident="effects", wide=wide, narrow=narrow, caption=caption))
    if told := standing_words(view):
        sections.append(TermsSection(title="What the verdicts rest on", ident="standing", sentences=told, terms=()))
    if guarded := guard_words(view):
        sections.append(TermsSection(title="Guardrails", ident="guardrails", sentences=guarded, terms=()))
    if view.fork:
        title = "Given this beginning"
        sections.append(TermsSection(title=title, ident="fork", sentences=view.fork, terms=()))
    sections += factorial_sections(view)
    sections += [changes] if (changes := changes_table(view)) else []
    sections += [rounds_table(view)] if view.rounds else []
    sections += [cost] if (cost := cost_bars(view)) else []
    sections += study_curves(view) if curves is None else curves
    if terms := glossary(view):
        sections.append(TermsSection(title="What the words mean", ident="words", sentences=(), terms=terms))
    if view.code_notes and not view.environments:
        sections.append(
            TermsSection(title="How the runs were read", ident="notes", sentences=view.code_notes, terms=())
        )
    if view.commands or view.fingerprints:
        hashes = (
            *view.fingerprints,
            *((f"recipe of {arm.name}", arm.recipe_hash) for arm in view.arms if arm.recipe_hash),
        )
        sections.append(RepeatSection(title="Repeat it", ident="repeat", commands=view.commands, hashes=hashes))
    if view.environments:
        section = EnvironmentSection(
            title="Environment", ident="environment", environments=view.environments, notes=view.code_notes
        )
        sections.append(section)
    sections += [runs_table(view.runs)] if view.runs else []
    return tuple(sections)


def aa_sections(view: StudyView) -> tuple[Section, ...]:
    """Return the page's section on the control against itself; nothing for any other study."""
    if not (said := aa_words(view)):
        return ()
    seen = (
        f"Tested at 1% each: copies, a trend over the order of the runs, likeness to the run before, normal noise; so "
        f"about 3 of 100 sound controls are warned of. {view.aa.runs if view.aa else 0} runs show only large faults."
    )
    return (TermsSection(title="The control against itself", ident="aa", sentences=(*said, seen), terms=()),)


def verdict_table(view: StudyView) -> TableSection:
    """Return the table of arms: change, effect, verdict, mean, seeds, and cost relative to the control."""
    figures, picked = Figures.of(view), view.pick is not None
    heads = {"seconds": "Time", "memory": "Memory", "flops": "FLOPs"}
    costs = {
        kind: head for kind, head in heads.items() if any(getattr(arm.cost, kind) is not None for arm in view.arms)
    }
    unit = f" ({figures.difference_unit})" if figures.difference_unit else ""
    columns = (
        "Change" if view.factorial else "Arm",
        f"{EXPECTED.capitalize() if picked else 'Effect'}{unit}",
        "Best" if picked else "Verdict",
        view.metric.name,
        "Runs" if picked else "Seeds",
        *costs.values(),
    )
    return TableSection(
        title="Settings" if picked else "Verdicts",
        ident="verdicts",
        columns=columns,
        rows=tuple(_verdict_row(view, arm, figures, costs) for arm in view.arms),
        caption=_verdict_caption(view, has_costs=bool(costs)),
        class_="verdicts",
    )


def _verdict_row(view: StudyView, arm: ArmView, figures: Figures, costs: Iterable[str]) -> tuple[TableCell, ...]:
    effect, mean = arm.effect, arm.mean
    said = ". ".join(part[:1].upper() + part[1:].rstrip(".") for part in (arm.reason, *arm.notes) if part)
    unchanged = "what the others are compared with" if arm.is_control else ""
    return (
        TableCell(text=arm.name, note=change_words(view, arm) or unchanged, class_="arm", order=arm.name),
        TableCell(
            text=figures.number(effect.value, sign=True) if effect else "–",
            note=_beside(arm, figures),
            order=effect.value if effect else None,
            class_="number",
        ),
        TableCell(
            text=verdict_words(arm, view.rule.mode),
            note=said,
            order=arm.verdict or "",
            class_=f"verdict {arm.verdict or 'none'}",
            verdict=arm.verdict or "",
        ),
        TableCell(
            text=figures.score(mean.value) if mean else "–",
            note=figures.span(mean),
            order=mean.value if mean else None,
            class_="number",
        ),
        TableCell(text=f"{arm.done}/{arm.planned}", note=arm.lost, order=arm.done, class_="number"),
        *(
            TableCell(text=cost_words(kind, arm, view.control), order=getattr(arm.cost, kind), class_="number cost")
            for kind in costs
        ),
    )


def _verdict_caption(view: StudyView, *, has_costs: bool) -> str:
    if view.pick is not None:
        caption = (
            "Expected effect: difference to the control, drawn toward 0 as far as few runs leave it open. Best: how "
            f"probable it is that the setting is the best of these. {view.metric.name}: mean over its runs with its "
            "95% interval."
        )
    else:
        what = "mean of the cells with a change minus that of those without" if view.factorial else "arm minus control"
        caption = f"Effect: {what}, with an interval that holds for all {_judged(view)} and all looks together. "
        if any(arm.corrected is not None for arm in view.arms):
            caption += (
                "Corrected: what it probably is, since one that is called better or worse is shown for being large. "
            )
        mean = "mean of the cells with the change" if view.factorial else "mean over seeds with its 95% interval"
        caption += f"{view.metric.name}: {mean}."
    if has_costs:
        caption += " Time, memory and FLOPs: the control's own, then each arm relative to it; times are of one launch."
    return caption + "".join(f" {note}" for note in (*reading_words(view), *view.caveats))


def _judged(view: StudyView) -> str:
    return "changes" if view.factorial else "arms"


def _beside(arm: ArmView, figures: Figures) -> str:
    """Return what stands under an effect: its interval, and what it is once corrected."""
    corrected = "" if arm.corrected is None else f"corrected {figures.number(arm.corrected, sign=True)}"
    return "; ".join(filter(None, (figures.span(arm.effect, sign=True), corrected)))


def changes_table(view: StudyView) -> TableSection | None:
    """Return every change of every arm, whole; None where the table of verdicts tells them all."""
    if all(arm.summary == arm.change for arm in view.arms):
        return None
    rows = tuple(
        (
            TableCell(text=arm.name, class_="arm", order=arm.name),
            TableCell(text=change.key, order=change.key),
            TableCell(text=change.old, order=change.old),
            TableCell(text=change.new, order=change.new),
        )
        for arm in view.treatments
        for change in arm.changes
    )
    columns = ("Arm", "Setting", "Control", "Arm's value")
    caption = "Every setting in which an arm differs from the control"
    return TableSection(
        title="What the arms change", ident="changes", columns=columns, rows=rows, caption=caption, folded=True
    )


def cost_bars(view: StudyView) -> GridSection | None:
    """Return the costs relative to the control, one panel a kind of cost that was measured; None if none was."""
    control = view.control
    if control is None or not view.treatments:
        return None
    titles = ("Time of a run", "Peak memory", "FLOPs of a forward pass", "Parameters")
    panels, same = [], []
    for kind, title in zip(COSTS, titles, strict=True):
        base = getattr(control.cost, kind)
        if not base:
            continue
        rows = _cost_rows(view, control, kind, base)
        if len(rows) == 2 and rows[1].words == ratio(1.0):
            same.append(f"{title}: {rows[0].words} in every arm.")
            continue
        panels.append(Panel(title=title, drawing=bars(title, rows, ident=f"cost-{kind}", unchanged=1.0)))
    if not (panels or same):
        return None
    line = ("The line marks the control's cost.",) if panels else ()
    caption = " ".join((*line, *same, *view.caveats, "FLOPs: multiply-adds, each counted once."))
    groups = (("", tuple(panels)),) if panels else ()
    return GridSection(title="Cost", ident="cost", groups=groups, caption=caption, class_="fine")


def _cost_rows(view: StudyView, control: ArmView, kind: str, base: float) -> list[LabeledBar]:
    """Return the control's bar and one for each different ratio to it; arms of equal ratios share a bar."""
    sharing: dict[str, list[ArmView]] = {}
    for arm in view.treatments:
        measured = getattr(arm.cost, kind) is not None
        sharing.setdefault(cost_words(kind, arm, control) if measured else "not measured", []).append(arm)
    rows = [LabeledBar(control.name, 1.0, cost_words(kind, control, control), reference=True)]
    for words, arms in sharing.items():
        value = getattr(arms[0].cost, kind)
        name = ", ".join(arm.name for arm in arms) if len(arms) <= 3 else f"{arms[0].name} and {len(arms) - 1} more"
        rows.append(LabeledBar(name, None if value is None else value / base, words))
    return rows


def study_curves(view: StudyView) -> tuple[GridSection, ...]:
    """Return a study's learning curves, the control behind every arm, each arm under its verdict."""
    verdicts = {arm.name: (arm.verdict, verdict_words(arm, view.rule.mode)) for arm in view.arms}
    return learning_curves(view.curves, view.control.name if view.control else None, verdicts)


def learning_curves(
    curves: tuple[CurveView, ...],
    reference: str | None,
    verdicts: Mapping[str, tuple[str | None, str]] = MappingProxyType({}),
) -> tuple[GridSection, ...]:
    """Return the section of learning curves, one panel an arm and quantity; none where nothing was logged twice.

    Args:
        curves: the quantities.
        reference: the arm that comes first and is drawn behind every other; None to draw each alone.
        verdicts: verdict and its words by arm, shown in the panels' headings.
    """
    curves = tuple(filter(None, map(_with_lines, curves)))
    panels = sum(len(curve.arms) for curve in curves)
    points = max(16, min(60, 1200 // max(panels, 1)))
    groups = []
    for number, curve in enumerate(curves):
        behind = next((arm for arm in curve.arms if arm.arm == reference), None)
        drawn: list[Panel] = []
        for place, arm in enumerate(sorted(curve.arms, key=lambda arm: arm.arm != reference)):
            verdict, words = verdicts.get(arm.arm, (None, ""))
            other = None if arm is behind else behind
            ident = f"curve-{number}-{place}"
            drawing = panel(curve, arm, other, ident=ident, points=points, seeds=panels <= MANY_PANELS)
            drawn.append(Panel(title=arm.arm, drawing=drawing, verdict=verdict, words=words))
        groups.append((curve.name, tuple(drawn)))
    grey = f", {reference} behind it in grey" if reference else ""
    caption = (
        f"Line: mean over seeds. Band: smallest to largest seed{grey}. A cross marks where a run diverged; "
        "such a run, and one under way, is drawn by itself. The vertical axis shows the second half of training."
    )
    section = GridSection(title="Learning curves", ident="curves", groups=tuple(groups), caption=caption)
    return (section,) if groups else ()


def _with_lines(curve: CurveView) -> CurveView | None:
    """Return a quantity with the arms that logged it more than once, since a single point draws no curve."""
    arms = tuple(arm for arm in curve.arms if any(len(series.x) > 1 for series in arm.series))
    return replace(curve, arms=arms) if arms else None


def runs_table(runs: tuple[RunView, ...], title: str = "Runs") -> TableSection:
    """Return a table of runs; a long one is folded."""
    rows = []
    for run in runs:
        scores = ", ".join(f"{name} {value:.6g}" for name, value in run.scores)
        cells = (
            TableCell(text=run.id, link=_local(run.link), class_="code", order=run.id),
            TableCell(text=run.arm or run.recipe, order=run.arm or run.recipe),
            TableCell(text=str(run.seed), order=run.seed, class_="number"),
            TableCell(text=run.state, note=run.error, order=run.state, class_="diverged" if run.error else ""),
            TableCell(text=str(run.attempt), order=run.attempt, class_="number"),
            TableCell(text=duration(run.seconds), order=run.seconds, class_="number"),
            TableCell(text=scores, class_="number"),
            TableCell(text=run.environment[:8], class_="code"),
        )
        rows.append(cells)
    columns = ("Run", "Arm", "Seed", "State", "Attempt", "Time", "Scores", "Environment")
    caption = f"{counted(len(runs), 'run')}"
    return TableSection(
        title=title, ident="runs", columns=columns, rows=tuple(rows), caption=caption, folded=len(runs) > 8
    )


def _local(link: str) -> str:
    """The link if it leads to a place beside the page, else nothing: a link in an imported study may hold anything."""
    return "" if ":" in link or link.startswith(("/", "\\")) else link
