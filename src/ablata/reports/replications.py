"""The page of the notebooks: what was concluded, whether it could have been seen, and what our own runs say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ablata.reports.html import Header, page
from ablata.reports.sections import Cell, Section, TableSection, TermsSection
from ablata.reports.words import Piece
from ablata.stats import Noise, Visibility


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Our own verdict on a trial.

    Args:
        verdict: better, worse, equivalent, undecided or unstable.
        effect: trial minus control, in the metric's unit.
        low: end of its interval, over all looks and arms.
        high: the other end.
        seeds: whole seed rows that it rests on.
    """

    verdict: str
    effect: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True, kw_only=True)
class ClaimView:
    """What an author said of one trial, and what can be said of it.

    Args:
        question: the study it belongs to.
        text: the author's conclusion, in English.
        lines: where it stands in the notebook.
        trial: its name.
        change: what was changed.
        claim: better, worse, same or failed.
        control: the recorded score it was compared with; None: none.
        recorded: its own recorded score; None: none.
        visible: whether single runs could show that; None where there is no difference or no known noise.
        finding: our verdict; None where it was not run.
    """

    question: str
    text: str
    lines: tuple[int, ...]
    trial: str
    change: str
    claim: str
    control: float | None
    recorded: float | None
    visible: Visibility | None
    finding: Finding | None

    @property
    def difference(self) -> float | None:
        """The recorded difference; None where a score is missing."""
        return None if self.control is None or self.recorded is None else self.recorded - self.control


@dataclass(frozen=True, kw_only=True)
class NotebookView:
    """A notebook on the page.

    Args:
        name: of its system.
        title: what was studied.
        metric: what its scores are.
        studies: how many groups of trials it has.
        trials: how many trials.
        planned: how many of them have no result.
        noise: of one of our runs, with control and arms at the same seeds; None while there is none.
        scale: how our runs are smaller, a sentence.
        claims: in the notebook's order.
    """

    name: str
    title: str
    metric: str
    studies: int
    trials: int
    planned: int
    noise: Noise | None
    scale: str
    claims: tuple[ClaimView, ...]


_AGREES = {"better": ("better",), "worse": ("worse",), "same": ("equivalent",), "failed": ("worse", "unstable")}
_DECIDED = ("better", "worse", "equivalent", "unstable")


def replications_page(views: Sequence[NotebookView]) -> str:
    """Return the page as one HTML document."""
    header = Header(
        kind="Notebooks",
        name="replications",
        title="What five notebooks concluded, and what could be concluded",
        answer=(Piece(_answer(views)),),
    )
    return page(header, [_how_to_read(), *(section for view in views for section in _sections(view))])


def _answer(views: Sequence[NotebookView]) -> str:
    claims = [claim for view in views for claim in view.claims]
    weighed = [claim for claim in claims if claim.visible is not None]
    told_apart = [claim for claim in weighed if claim.claim in ("better", "worse")]
    hidden = sum(not claim.visible.seen for claim in told_apart if claim.visible)
    run = [claim for claim in claims if claim.finding is not None and claim.finding.verdict in _DECIDED]
    agreed = sum(claim.finding.verdict in _AGREES[claim.claim] for claim in run if claim.finding)
    trials = sum(view.trials for view in views)
    text = f"{trials} trials, {len(claims)} conclusions about single ones, each from one run a side. "
    if told_apart:
        text += (
            f"Of {len(told_apart)} that call a change better or worse and whose noise is known, {hidden} rest on a "
            "difference that two equal trainings show as well. "
        )
    if run:
        text += f"Of {len(run)} that our own runs decide, {agreed} come out as the notebook has them."
    return text.strip()


def _how_to_read() -> TermsSection:
    return TermsSection(
        title="How to read this",
        ident="words",
        sentences=(
            "A notebook compares one run with one run. Two trainings that differ in their seed alone differ in their "
            "score too, and a smaller difference between two changes says nothing.",
            "Recorded figures are the notebook's; the noise and the verdicts are those of our runs, which are shorter. "
            "Noise is mostly larger in short trainings, so the thresholds are estimates for the long ones.",
        ),
        terms=(
            ("recorded", "the notebook's score, and its difference from what its author compared it with"),
            (
                "could it be seen",
                "whether two equal trainings would differ by less in 95% of all cases; and how many seeds of each side "
                "would find an effect of that size in 80%",
            ),
            ("our verdict", "of several seeds, 5% false verdicts over all arms and looks of a study together"),
            ("better", "the interval of the difference lies above 0 and the margin is passed"),
            ("equivalent", "the interval lies within the margin"),
            ("undecided", "the runs do not tell"),
        ),
    )


def _sections(view: NotebookView) -> Iterator[Section]:
    recorded = view.trials - view.planned
    noise = (
        f"Noise of one run here: {view.noise.sd:.2f} ({view.noise.df:.0f} degrees of freedom)."
        if view.noise is not None
        else "No study of it has been run here, so its noise is not known."
    )
    yield TableSection(
        title=view.title,
        ident=view.name,
        columns=("Study", "The notebook concludes", "Change", "Recorded", "Could it be seen?", "Our verdict"),
        rows=tuple(_row(claim) for claim in view.claims),
        caption=f"{view.studies} studies, {view.trials} trials, {recorded} with a result. Scores: {view.metric}. "
        f"{noise} {view.scale}",
    )


def _row(claim: ClaimView) -> tuple[Cell, ...]:
    return (
        Cell(text=claim.question, class_="code", order=claim.question),
        Cell(text=f"{claim.text}", note=f"line {', '.join(map(str, claim.lines))}"),
        Cell(text=claim.change, note=f"{claim.trial}: {claim.claim}"),
        _recorded(claim),
        _seen(claim),
        _found(claim),
    )


def _recorded(claim: ClaimView) -> Cell:
    if claim.difference is None:
        only = "" if claim.recorded is None else f"{claim.recorded:g}"
        return Cell(text=only or "–", note="" if only else "no figure", order=None, class_="number")
    return Cell(
        text=_signed(claim.difference),
        note=f"{claim.recorded:g} beside {claim.control:g}",
        order=claim.difference,
        class_="number",
    )


def _seen(claim: ClaimView) -> Cell:
    if claim.visible is None:
        return Cell(text="–", note="no difference recorded" if claim.difference is None else "noise not known")
    seen = claim.visible
    seeds = "no number of seeds finds it" if seen.seeds is None else f"{seen.seeds} seeds a side would find it"
    words = "yes" if seen.seen else "no"
    return Cell(
        text=words, note=f"threshold {seen.threshold:.2f}; {seeds}", order=abs(seen.difference) - seen.threshold
    )


def _found(claim: ClaimView) -> Cell:
    if claim.finding is None:
        return Cell(text="not run")
    found = claim.finding
    between = f"{_signed(found.effect)} [{_signed(found.low)}, {_signed(found.high)}], {found.seeds} seeds"
    return Cell(text=found.verdict, note=between, order=found.effect, verdict=found.verdict)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
