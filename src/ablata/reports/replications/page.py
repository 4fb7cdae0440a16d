"""The page of the notebooks: what was concluded, whether it could have been seen, and what our own runs say.

First the page as a whole; then the table of a notebook's conclusions, grouped as their author wrote them, and the
filter over all tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import ClassVar

from markupsafe import Markup

from ablata.base.quantities import two_digits
from ablata.reports.html import Header, page
from ablata.reports.replications.claims import (
    AGREEMENTS,
    Agreement,
    ClaimView,
    Finding,
    NoiseView,
    NotebookView,
    OwnStudy,
    Standing,
)
from ablata.reports.replications.drawing import strip, strip_reach, swarm
from ablata.reports.sections import FigureSection, Section, TableCell, TableSection, TermsSection
from ablata.reports.words import Piece

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def replications_page(views: Sequence[NotebookView]) -> str:
    """Return the page as one HTML document."""
    count = _NUMBERS[len(views)] if len(views) < len(_NUMBERS) else str(len(views))
    header = Header(
        kind="Notebooks",
        name="replications",
        title=f"What {count} notebook{'s' if len(views) != 1 else ''} concluded, and what one run a side can show",
        answer=summary(views),
    )
    sections: list[Section] = [*_drawn(views), _overview(views), _filter(views)]
    sections += [claims_section(view) for view in views]
    sections += _own_studies(views)
    return page(header, [*sections, _terms()])


def summary(views: Sequence[NotebookView]) -> tuple[Piece, ...]:
    """Say in a few sentences what the page comes to."""
    total = sum(len(view.claims) for view in views)
    trials = sum(view.trials for view in views)
    pieces = [Piece(f"{trials} trials, and {total} conclusions about single ones, each from one run a side. ")]
    weighed = _count(views, "shown", "hidden", "contrary")
    if weighed:
        hidden = [claim for view in views for claim in view.claims if claim.standing == "hidden"]
        pieces += [
            Piece(f"Of {weighed} that call a change better or worse, and whose noise is known, "),
            Piece(f"{len(hidden)} rest on a difference that two equal trainings show by chance", strong=True),
            Piece("; one run could not have told. "),
        ]
        seeds = [claim.visible.seeds for claim in hidden if claim.visible and claim.visible.seeds is not None]
        if seeds:
            pieces.append(Piece(f"Half of these differences, if real, take {median(seeds):.0f} seeds a side or more. "))
    else:
        guided = any(claim.noise is not None for view in views for claim in view.claims)
        more = "that of our short ones stands below" if guided else "run one of the studies"
        pieces.append(Piece(f"How noisy their trainings are is not known yet: {more}. "))
    return (*pieces, *_repeated(views))


def _repeated(views: Sequence[NotebookView]) -> tuple[Piece, ...]:
    run = sum(claim.agreement is not None for view in views for claim in view.claims)
    if not run:
        return (Piece("None has been repeated here yet."),)
    return (
        Piece(f"We have repeated {run} at a small scale with several seeds: "),
        Piece(_agreement_words(views, always=("confirmed", "contradicted", "undecided")), strong=True),
        Piece(". Small scale is not full scale."),
    )


_AGREEMENT_WORDS: dict[Agreement, str] = {
    "confirmed": "confirmed",
    "contradicted": "contradicted",
    "no larger": "no larger than the margin, nor was the recorded one",
    "undecided": "undecided",
}


def _agreement_words(views: Sequence[NotebookView], always: Sequence[Agreement] = ()) -> str:
    counts = {agreement: sum(view.agreed(agreement) for view in views) for agreement in AGREEMENTS}
    return ", ".join(
        f"{count} {_AGREEMENT_WORDS[agreement]}" for agreement, count in counts.items() if count or agreement in always
    )


def _count(views: Sequence[NotebookView], *standings: Standing) -> int:
    return sum(view.count(*standings) for view in views)


def _drawn(views: Sequence[NotebookView]) -> list[Section]:
    if not _count(views, "shown", "hidden", "contrary", "same"):
        return []
    return [
        FigureSection(
            title="How large the differences are beside chance",
            ident="swarm",
            wide=swarm(views, width=1024, ident="swarm-wide"),
            narrow=swarm(views, width=340, ident="swarm-narrow"),
            caption="Each sign is one conclusion, said to be better (▲), worse (▼) or the same (■), at the size of "
            "its recorded difference. Two trainings that differ in their seed alone lie in the band in 95 of 100 "
            "cases. Conclusions without figures or without known noise, and trainings that failed, are not drawn.",
        )
    ]


def _overview(views: Sequence[NotebookView]) -> TableSection:
    columns = ("Notebook", "Conclusions", "Beyond chance", "Hidden by noise", "Said the same", "Failed", "Open")
    rows = []
    for view in views:
        run = sum(claim.agreement is not None for claim in view.claims)
        contrary = view.count("contrary")
        counts = (
            (len(view.claims), f"{view.trials} trials"),
            (view.count("shown"), f"{contrary} more the other way" if contrary else ""),
            (view.count("hidden"), ""),
            (view.count("same"), ""),
            (view.count("failed"), ""),
            (view.count("unknown", "bare"), _open_words(view)),
        )
        cells = [TableCell(text=str(count), note=note, order=count, class_="number") for count, note in counts]
        agreed = ", ".join(f"{count} {agreement}" for agreement in AGREEMENTS if (count := view.agreed(agreement)))
        name = TableCell(text=view.name, note=view.title, link=f"#{view.name}", order=view.name)
        rows.append((name, *cells, TableCell(text=str(run), note=agreed, order=run)))
    return TableSection(
        title="Notebook by notebook",
        ident="overview",
        columns=(*columns, "Repeated"),
        rows=tuple(rows),
        caption="Beyond chance: the recorded difference is larger than that of two equal trainings. Hidden: called "
        "better or worse, though two equal trainings differ as much. Open: no figures to compare, or nothing known of "
        "the noise.",
    )


def _open_words(view: NotebookView) -> str:
    bare, unknown = view.count("bare"), view.count("unknown")
    return ", ".join(
        filter(None, (f"{bare} without figures" if bare else "", f"{unknown} of unknown noise" if unknown else ""))
    )


def _own_studies(views: Sequence[NotebookView]) -> list[Section]:
    own = [study for view in views for study in view.own]
    if not own:
        return []
    rows = tuple(
        (
            TableCell(text=study.name, note=study.setup, order=study.name),
            TableCell(text=str(study.runs), order=study.runs, class_="number"),
            _noise_cell(study),
            TableCell(
                text="–" if study.margin is None else f"±{study.margin:g}", order=study.margin or 0.0, class_="number"
            ),
            TableCell(text=str(study.claims), order=study.claims, class_="number"),
            TableCell(text=study.made, note=study.command, order=study.made),
        )
        for study in own
    )
    return [
        TableSection(
            title="What we ran",
            ident="studies",
            columns=("Study", "Runs", "Noise of one run", "Margin", "Conclusions", "Date and hardware"),
            rows=rows,
            caption="The noise is the standard deviation of runs that differ in their seed alone, with its 95% "
            "interval, at the length and on the data of that study.",
        )
    ]


def _noise_cell(study: OwnStudy) -> TableCell:
    if study.noise is None:
        return TableCell(text="–", note="too few runs", order=0.0, class_="number")
    low, high = study.noise.interval()
    return TableCell(
        text=f"{study.noise.sd:.2f}", note=f"{low:.2f} to {high:.2f}", order=study.noise.sd, class_="number"
    )


def _filter(views: Sequence[NotebookView]) -> FilterSection:
    claims = [claim for view in views for claim in view.claims]
    named = (
        ("shown", "beyond chance"),
        ("hidden", "hidden by noise"),
        ("contrary", "figures the other way"),
        ("same", "said to be the same"),
        ("failed", "failed"),
        ("unknown", "noise not known"),
        ("bare", "no figures"),
    )
    counted = [(key, words, sum(claim.standing == key for claim in claims)) for key, words in named]
    counted.append(("repeated", "repeated here", sum(claim.finding is not None for claim in claims)))
    choices = [("", f"all {len(claims)}"), *((key, f"{words} ({count})") for key, words, count in counted if count)]
    return FilterSection(title="Every conclusion", ident="conclusions", choices=tuple(choices))


def _terms() -> TermsSection:
    return TermsSection(
        title="How to read this",
        ident="words",
        sentences=(
            "A notebook compares one run with one run. Two trainings that differ in their seed alone differ in their "
            "score too; a smaller difference between two changes says nothing of the changes.",
            "The noise of one run is what is left of its score's spread once the part that all arms share at a seed "
            "is taken out. Where it is known from our runs, they are shorter than the notebook's, and shorter "
            "trainings are mostly noisier: thresholds may then be too wide for the long ones. It favours the notebook "
            "that we take its two runs to have shared a seed, which none of them says.",
            "Our verdicts are of the studies listed last, which are small. They say what a change does there; it may "
            "do otherwise in a full training: small scale is not full scale.",
        ),
        terms=(
            ("recorded", "the notebook's difference, and the two scores it comes from; the band is what two equal "
             "trainings show in 95% of cases"),
            ("seeds a side", "how many runs of each side, at common seeds, find a true effect of the recorded size in "
             "80% of cases (two-sided test at 5%, one arm, one look)"),
            ("better", "our verdict: the interval of the difference lies above 0"),
            ("worse", "it lies below 0"),
            ("equivalent", "it lies within the margin on both sides"),
            ("undecided", "the seeds run so far do not tell"),
            ("confirmed", "our verdict is what the notebook says; a failed training counts as confirmed where ours is "
             "worse or unstable"),
            ("no larger", "the notebook recorded a difference below our margin and ours lies within the margin, which "
             "speaks neither for nor against it"),
        ),
    )  # fmt: skip


COLUMNS = ("The change, and what is said of it", "Recorded", "Could one run a side show it?", "Our runs, several seeds")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One conclusion: what it can be filtered by, the drawing of its difference, and the cells under `COLUMNS`."""

    marks: str
    words: str
    drawing: Markup
    cells: tuple[TableCell, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """What an author wrote in one place, where that is, and the trials it is about."""

    text: str
    place: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class ClaimsSection(Section):
    """The conclusions of one notebook; sentences stand below the table."""

    template: ClassVar[str] = "section_claims.html.j2"
    columns: ClassVar[tuple[str, ...]] = COLUMNS
    caption: str
    groups: tuple[Group, ...]
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FilterSection(Section):
    """Choices of what the tables of conclusions show: (mark of a row, words); the first shows all."""

    template: ClassVar[str] = "section_filter.html.j2"
    choices: tuple[tuple[str, str], ...]
    without_script: str = "All conclusions follow; choosing among them needs a browser with scripts."


def claims_section(view: NotebookView) -> ClaimsSection:
    """Return a notebook's table of conclusions."""
    reach = strip_reach(view.claims)
    groups = tuple(
        Group(
            text=text,
            place=f"{_lines(lines)} · {question}: {claims[0].title}",
            rows=tuple(_row(view, claim, reach) for claim in claims),
        )
        for (question, text, lines), claims in (
            (key, list(found)) for key, found in groupby(view.claims, lambda one: (one.question, one.text, one.lines))
        )
    )
    return ClaimsSection(
        title=view.title,
        ident=view.name,
        caption=" ".join(_caption(view)),
        groups=groups,
        sentences=tuple(_sentences(view)),
    )


def _sentences(view: NotebookView) -> Iterator[str]:
    loose = "; ".join(f"“{text}” ({_lines(lines)})" for text, lines in view.loose)
    if loose:
        yield f"Said of no single trial: {loose}."
    nominal = "; ".join(f"{name} ({_lines(lines)})" for name, lines in view.nominal)
    if nominal:
        yield f"Nominal, so that no run repeats them, the settings not being what the author changed: {nominal}."


def _caption(view: NotebookView) -> Iterator[str]:
    nominal = f", {len(view.nominal)} nominal" if view.nominal else ""
    yield f"{view.studies} studies, {view.trials} trials, {view.trials - view.planned} with a result{nominal}. "
    yield f"Scores: {view.metric}."
    for noise in view.noises:
        yield _noise_words(noise)
    if not view.noises:
        yield "How noisy one run is, is not known: no comparable study has been run here."
    if view.own:
        yield f"Our runs: {'; '.join(dict.fromkeys(study.setup for study in view.own))}."
    elif view.scale:
        yield f"Our runs: {view.scale}"


def _noise_words(view: NoiseView) -> str:
    low, high = view.noise.interval()
    return f"Noise of one run: {view.noise.sd:.2f} [{low:.2f}, {high:.2f}], from {view.source}."


def _lines(lines: tuple[int, ...]) -> str:
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"


def _row(view: NotebookView, claim: ClaimView, reach: float) -> Row:
    words = " ".join((view.name, claim.question, claim.title, claim.text, claim.trial, claim.change, claim.claim))
    said = "said to have failed" if claim.claim == "failed" else f"said to be {_SAID[claim.claim]}"
    return Row(
        marks=" ".join(filter(None, (claim.standing, "repeated" if claim.finding else ""))),
        words=words.lower(),
        drawing=Markup("") if claim.difference is None else strip(claim, reach),
        cells=(
            TableCell(text=claim.change, note=f"{claim.trial}: {said}"),
            _recorded(claim),
            _seen(claim),
            _found(claim),
        ),
    )


_SAID = {"better": "better", "worse": "worse", "same": "the same"}


def _recorded(claim: ClaimView) -> TableCell:
    if claim.difference is None:
        alone = "no figures" if claim.recorded is None else f"{claim.recorded:g}"
        return TableCell(text=alone, note="" if claim.recorded is None else "nothing to compare it with", class_="none")
    beside = f" ({claim.beside})" if claim.beside else ""
    return TableCell(
        text=_signed(claim.difference), note=f"{claim.recorded:g} beside {claim.control:g}{beside}", class_="difference"
    )


def _seen(claim: ClaimView) -> TableCell:
    """Answer whether one run a side could show it, in a word and a line."""
    seen, difference = claim.visible, claim.difference
    if claim.claim == "failed":
        return TableCell(text="Yes", note="a training that fails shows it by itself, though maybe not at every seed")
    if difference is None:
        return TableCell(text="–", note="no difference is recorded")
    if seen is None:
        return TableCell(text="Not known", note=_tolerance(claim))
    band = f"±{seen.threshold:.2f}"
    if claim.claim == "same":
        if seen.seen:
            return TableCell(text="No, they differ", note=f"by more than chance does ({band})")
        most = abs(difference) + seen.threshold
        return TableCell(text="Only roughly", note=f"a true difference of up to {most:.2f} looks like this")
    effort = "equal figures" if seen.seeds is None else f"it takes {_seeds(seen.seeds)} to find such an effect"
    if not seen.seen:
        turned = "; besides, the figures point the other way" if claim.contrary else ""
        return TableCell(text="No", note=f"chance does as much ({band}); {effort}{turned}")
    if claim.contrary:
        return TableCell(text="The opposite", note=f"the figures point the other way, beyond chance ({band})")
    return TableCell(text="Yes", note=f"chance does {band} at most; {effort}")


def _tolerance(claim: ClaimView) -> str:
    tolerable = claim.tolerable
    if not tolerable:
        return "equal figures"
    turned = "; the figures point the other way" if claim.contrary else ""
    guide = claim.noise if claim.noise is not None and claim.noise.stand_in else None
    short = f"; that of our short runs on other data is {two_digits(guide.noise.sd)}" if guide else ""
    return f"only if the noise of one run is below {two_digits(tolerable)}{short}{turned}"


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''} a side"


def _found(claim: ClaimView) -> TableCell:
    found = claim.finding
    if claim.nominal:
        return TableCell(text="nominal", note="the settings are not what the author changed", class_="none")
    if found is None:
        return TableCell(text="not run", class_="none")
    told = "" if claim.agreement in ("undecided", "no larger") else f"; {claim.agreement}"
    between = ", ".join(filter(None, (_interval(found), found.basis or f"{found.seeds} seeds")))
    return TableCell(
        text=found.verdict, note=f"{between}{told}", verdict=found.verdict, class_=f"verdict {found.verdict}"
    )


def _interval(found: Finding) -> str:
    if found.effect is None or found.low is None or found.high is None:
        return ""
    return f"{_signed(found.effect)} [{_signed(found.low)}, {_signed(found.high)}]"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
