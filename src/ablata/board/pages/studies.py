"""Studies: the list, one study live, two beside each other."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from ablata.base.errors import SettingsError, listing
from ablata.base.quantities import counted, duration
from ablata.board.curves import CurveChoice, curves_section
from ablata.board.lab import StudySummary
from ablata.board.pages.ages import ago
from ablata.board.rendering import address, board_of, page
from ablata.board.sections import (
    Action,
    ActionsSection,
    BoardFilterSection,
    Field,
    StudyCard,
    StudyListSection,
    Verdicts,
)
from ablata.board.started import typed
from ablata.records.rows import LookRow
from ablata.reports.collect import study_view
from ablata.reports.figures import Figures
from ablata.reports.html import Header, study_header
from ablata.reports.items.evidence import item_sections
from ablata.reports.sections import Section, TableCell, TableSection
from ablata.reports.study import study_sections
from ablata.reports.view import StudyView
from ablata.reports.visuals import study_sections as visual_sections
from ablata.reports.words import answer, verdict_words

router = APIRouter()
STATES = (("", "all"), ("open", "under way"), ("finished", "finished"))


@router.get("/studies")
def studies(request: Request, q: str = "", state: str = "") -> HTMLResponse:
    """Show the studies, newest first, those that match."""
    if state not in dict(STATES):
        known = listing(value for value, _ in STATES if value)
        raise SettingsError(f"The state of a study must be one of {known}", found=state, do="leave it out to see all")
    words = q.lower().split()
    found = [one for one in board_of(request).lab.studies() if _matches(one, words, state)]
    under_way = sum(one.state == "open" for one in found)
    choose = BoardFilterSection(
        title="Find",
        ident="find",
        action="/studies",
        fields=(
            Field(name="q", label="words in question, name, arms or verdicts", value=q, kind="search"),
            Field(name="state", label="state", value=state, choices=STATES),
        ),
    )
    empty = (
        "No study matches."
        if words or state
        else "There is no study yet. Start one under Start, or type: ablata study run quickstart"
    )
    cards = tuple(_card(one) for one in found)
    compare = BoardFilterSection(
        title="Compare two",
        ident="compare",
        action="/studies/compare",
        fields=tuple(
            Field(name=name, label=label, value=one.name, choices=tuple((any_.name, any_.name) for any_ in found))
            for name, label, one in zip(("first", "second"), ("compare the study", "with"), found, strict=False)
        ),
    )
    sections: list[Section] = [choose, StudyListSection(title="Studies", ident="studies", studies=cards, empty=empty)]
    sections += [compare] if len(found) > 1 else []
    title = f"{counted(len(found), 'study')}" + (f", {under_way} under way" if under_way else "")
    return page(request, Header(kind="Lab", name=board_of(request).lab.home.parent.name, title=title), sections)


@router.get("/studies/compare")
def compare(request: Request, first: Annotated[str, Query()], second: Annotated[str, Query()]) -> HTMLResponse:
    """Show two studies beside each other: answers, and the arms that they share by name."""
    ledger = board_of(request).lab.ledger
    views = [study_view(ledger, name, curves=False) for name in (first, second)]
    links = tuple((view.name, address("studies", view.name)) for view in views)
    header = Header(kind="Studies", name="compare", title=f"{first} and {second}", links=links)
    return page(request, header, [_questions(views), _shared_arms(views)])


@router.get("/studies/{name}")
def study(request: Request, name: str) -> HTMLResponse:
    """Show one study as it stands, following it while it runs."""
    lab = board_of(request).lab
    view = study_view(lab.ledger, name, points=None)
    choice = CurveChoice.of(request.query_params)
    seconds = {(run.arm, run.seed): run.seconds for run in view.runs if run.seconds is not None}
    drawn = curves_section(view.curves, choice, action=address("studies", name), seconds=seconds)
    reported = study_sections(view, curves=[drawn] if drawn else [])
    sections: list[Section] = [_runs(view) if section.ident == "runs" else section for section in reported]
    place = next((at for at, section in enumerate(sections) if section.ident == "words"), len(sections))
    found = (*item_sections(lab.ledger, name), *visual_sections(lab.ledger, name))
    sections[place:place] = [*found, *_looks(view, lab.ledger.studies.looks(name))]
    sections.append(_actions(view))
    links = (("all studies", "/studies"), ("its runs", address("runs", filter=f"study:{name}")))
    return page(request, study_header(view, links), sections)


def _matches(one: StudySummary, words: list[str], state: str) -> bool:
    text = " ".join((one.name, one.question, one.kind, *(arm.name for arm in one.arms), *one.verdicts)).lower()
    return (not state or one.state == state) and all(word in text for word in words)


def _card(one: StudySummary) -> StudyCard:
    left = f", about {duration(one.seconds_left)} left" if one.seconds_left else ""
    running = f", {one.running} running" if one.running else ""
    runs = f"{one.done} of {counted(one.planned, 'run')}" if one.state == "open" else counted(one.done, "run")
    words = [
        one.kind if one.kind != "study" else "",
        one.metric,
        f"took {duration(one.seconds)}" if one.seconds else "",
    ]
    began = f"begun {ago(one.created)}" if one.finished is None else f"finished {ago(one.finished)}"
    return StudyCard(
        name=one.name,
        link=address("studies", one.name),
        question=one.question or one.name,
        state=one.state,
        verdicts=Verdicts(arms=tuple((arm.name, arm.verdict) for arm in one.arms if not arm.is_control)),
        share=one.done / one.planned if one.planned else 0.0,
        progress=f"{runs}{running}{left}",
        words=" · ".join(filter(None, [*words, began])),
    )


def _questions(views: list[StudyView]) -> TableSection:
    rows = tuple(
        (
            TableCell(text=view.name, link=address("studies", view.name), class_="arm"),
            TableCell(text=view.question, note="".join(piece.text for piece in answer(view))),
            TableCell(text=view.metric.name, note=view.metric.protocol),
            TableCell(text="–" if view.margin is None else Figures.of(view).amount(view.margin), class_="number"),
            TableCell(text=str(view.rule.seeds), class_="number"),
        )
        for view in views
    )
    columns = ("Study", "Question and answer", "Metric", "Margin", "Seeds")
    return TableSection(title="Questions", ident="questions", columns=columns, rows=rows)


def _shared_arms(views: list[StudyView]) -> TableSection:
    """Every arm of either study: effect and verdict in both."""
    first, second = views
    names = list(dict.fromkeys(arm.name for view in views for arm in view.treatments))
    rows = []
    for name in names:
        cells = [TableCell(text=name, class_="arm", order=name)]
        for view in (first, second):
            arm = next((arm for arm in view.treatments if arm.name == name), None)
            figures = Figures.of(view)
            if arm is None:
                cells += [TableCell(text="–"), TableCell(text="not in it")]
                continue
            effect = figures.number(arm.effect.value, sign=True) if arm.effect else "–"
            cells += [
                TableCell(text=effect, note=figures.span(arm.effect, sign=True), class_="number"),
                TableCell(
                    text=verdict_words(arm, view.rule.mode),
                    note=arm.summary,
                    class_=f"verdict {arm.verdict or 'none'}",
                    verdict=arm.verdict or "",
                ),
            ]
        rows.append(tuple(cells))
    columns = ("Arm", first.name, "Verdict", second.name, "Verdict")
    caption = "Arms of one name need not change the same settings: the line below a verdict says what each changes."
    return TableSection(
        title="Arms", ident="arms", columns=columns, rows=tuple(rows), caption=caption, class_="verdicts"
    )


def _runs(view: StudyView) -> TableSection:
    """The study's runs, each linked to its page."""
    rows = tuple(
        (
            TableCell(text=run.id, link=address("runs", run.id), class_="code", order=run.id),
            TableCell(text=run.arm, order=run.arm),
            TableCell(text=str(run.seed), order=run.seed, class_="number"),
            TableCell(text=run.state, note=run.error, order=run.state, class_="diverged" if run.error else ""),
            TableCell(text=duration(run.seconds), order=run.seconds, class_="number"),
            TableCell(text=", ".join(f"{name} {value:.6g}" for name, value in run.scores[:3]), class_="number"),
        )
        for run in view.runs
    )
    columns = ("Run", "Arm", "Seed", "State", "Time", "Scores")
    return TableSection(
        title="Runs", ident="runs", columns=columns, rows=rows, caption=counted(len(rows), "run"), folded=len(rows) > 12
    )


def _looks(view: StudyView, looks: list[LookRow]) -> list[Section]:
    """What each look saw and decided, with the bound that a p value had to stay below."""
    if not looks or "replay" not in looks[-1].result or not looks[-1].result["replay"]:
        return []
    names = looks[-1].result["arms"]
    figures = Figures.of(view)
    rows = []
    for look in looks[-1].result["replay"]["looks"]:
        for arm in look["arms"]:
            bound, p = arm.get("bound"), arm.get("p_difference")
            rows.append(
                (
                    TableCell(text=str(look["seeds"]), order=look["seeds"], class_="number"),
                    TableCell(text=names[arm["arm"] - 1], order=names[arm["arm"] - 1]),
                    TableCell(text=figures.number(arm.get("effect"), sign=True), class_="number"),
                    TableCell(text="–" if p is None else f"{p:.2g}", order=p, class_="number"),
                    TableCell(text="–" if bound is None else f"{bound:.2g}", order=bound, class_="number"),
                    TableCell(text=arm["verdict"], verdict=arm["verdict"], class_=f"verdict {arm['verdict']}"),
                )
            )
    columns = ("After seeds", "Arm", "Effect", "p", "Bound", "Verdict")
    caption = "Every look at this study: p of no difference, and the bound that it had to stay below at that look"
    return [TableSection(title="Looks", ident="looks", columns=columns, rows=tuple(rows), caption=caption, folded=True)]


def _actions(view: StudyView) -> ActionsSection:
    name = view.name
    path = address("do", "study", name)
    actions = []
    if view.state == "open":
        actions.append(
            Action(
                title="Go on",
                action=f"{path}/run",
                command=typed(["study", "run", name]),
                asks="Trains what is missing, here, until every arm has its verdict.",
            )
        )
        actions.append(
            Action(
                title="Stop after this step",
                action=f"{path}/stop",
                command=typed(["study", "stop", name]),
                asks="Wherever it was launched: its trainings finish their step, save, and can be gone on with.",
            )
        )
        sure = Field(name="sure", label=f"train nothing more for {name}", kind="checkbox")
        actions.append(
            Action(
                title="Cancel",
                action=f"{path}/cancel",
                fields=(sure,),
                command=typed(["study", "cancel", name]),
                asks="Ends it now: what has ended is judged as it stands.",
            )
        )
    elif _can_be_extended(view):
        more = Field(name="seeds", label="seeds in all", value=str(2 * view.rule.seeds), kind="number")
        actions.append(
            Action(
                title="Extend",
                action=f"{path}/extend",
                fields=(more,),
                command=typed(["study", "extend", name, "--seeds", "N"]),
                asks="Goes on with the undecided arms, with more seeds; verdicts that were given stay. "
                + (
                    ""
                    if view.rule.extendable
                    else "It was not planned to be extended: the new verdicts are exploratory."
                ),
            )
        )
    new_name = Field(name="new", label="new name", value=name)
    actions += [
        Action(
            title="Rename", action=f"{path}/rename", fields=(new_name,), command=typed(["study", "rename", name, "NEW"])
        ),
        Action(
            title="Remove",
            action=f"{path}/remove",
            fields=(Field(name="sure", label=f"remove {name} and the runs that nothing else needs", kind="checkbox"),),
            command=typed(["study", "rm", name]),
            asks="Runs that other studies share stay.",
        ),
    ]
    return ActionsSection(title="What can be done", ident="do", actions=tuple(actions))


def _can_be_extended(view: StudyView) -> bool:
    """Whether `ablata study extend` would take it: it ran arms, and one is undecided."""
    plain = view.factorial is None and view.pick is None and view.aa is None and any(run.seconds for run in view.runs)
    return plain and any(arm.verdict in (None, "undecided") for arm in view.treatments)
