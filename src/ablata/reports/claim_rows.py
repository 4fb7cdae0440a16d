"""The conclusions of one notebook as a table, grouped as their author wrote them, and the filter over all tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from markupsafe import Markup

from ablata.reports.claim_drawing import strip, strip_reach
from ablata.reports.claims import ClaimView, NoiseView, NotebookView
from ablata.reports.sections import Section, TableCell

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
    yield f"Our runs: {view.scale}" if view.scale else ""


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
    return f"only if the noise of one run is below {tolerable:.2g}{turned}"


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''} a side"


def _found(claim: ClaimView) -> TableCell:
    found = claim.finding
    if claim.nominal:
        return TableCell(text="nominal", note="the settings are not what the author changed", class_="none")
    if found is None:
        return TableCell(text="not run", class_="none")
    between = f"{_signed(found.effect)} [{_signed(found.low)}, {_signed(found.high)}], {found.seeds} seeds"
    told = "" if claim.agreement == "undecided" else f"; {claim.agreement}"
    return TableCell(
        text=found.verdict, note=f"{between}{told}", verdict=found.verdict, class_=f"verdict {found.verdict}"
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
