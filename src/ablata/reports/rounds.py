"""Chains of runs in a report: each round of an arm beside the one before it, which gave it labels or weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ablata.records.rows import RunRow
from ablata.reports.figures import Figures
from ablata.reports.sections import TableCell, TableSection
from ablata.reports.view import Estimate, RoundView, StudyView
from ablata.stats import mean_interval

HEADS = ("Arm", "Round", "Seeds", "Mean", "Beside the one before", "Interval")


def round_views(
    arms: Mapping[str, Sequence[RunRow]], parents: Iterable[RunRow], key: str, higher_is_better: bool
) -> tuple[RoundView, ...]:
    """Return every round of every arm whose runs start from other runs.

    Args:
        arms: the ended runs of each arm that count.
        parents: all runs that those start from, directly or not; ones that are missing end a chain there.
        key: the score that is compared.
        higher_is_better: its direction.
    """
    known = {run.id: run for runs in arms.values() for run in runs} | {run.id: run for run in parents}
    found: list[RoundView] = []
    for arm, runs in arms.items():
        chains = [_chain(run, known) for run in runs]
        if all(len(chain) < 2 for chain in chains):
            continue
        scores: dict[int, list[float]] = defaultdict(list)
        gains: dict[int, list[float]] = defaultdict(list)
        for chain in chains:
            values = [(run.scores or {}).get(key) for run in chain]
            for number, value in enumerate(values):
                # The teacher's score on the round's own images; the round before may have been scored on others.
                beside = (chain[number].scores or {}).get(_teacher_key(key))
                teacher = (values[number - 1] if beside is None else beside) if number else None
                if value is not None:
                    scores[number].append(float(value))
                    gains[number] += [float(value) - float(teacher)] if teacher is not None else []
        found += [_view(arm, number, scores[number], gains[number], higher_is_better) for number in sorted(scores)]
    return tuple(found)


def _teacher_key(key: str) -> str:
    """Return where a taught run keeps its teacher's score: `val/plain/teacher_top1` for `val/plain/top1`."""
    place, slash, name = key.rpartition("/")
    return f"{place}{slash}teacher_{name}"


def _chain(run: RunRow, known: Mapping[str, RunRow]) -> list[RunRow]:
    chain = [run]
    while chain[0].parent in known:
        chain.insert(0, known[str(chain[0].parent)])
    return chain


def _view(arm: str, number: int, scores: list[float], gains: list[float], higher_is_better: bool) -> RoundView:
    mean, gain = mean_interval(scores), mean_interval(gains)
    assert mean.mean is not None
    return RoundView(
        arm=arm,
        number=number,
        seeds=len(scores),
        mean=Estimate(value=mean.mean, low=mean.low, high=mean.high),
        gain=None if gain.mean is None else Estimate(value=gain.mean, low=gain.low, high=gain.high),
        worse=gain.mean is not None and (gain.mean < 0) == higher_is_better and gain.mean != 0,
    )


def round_rows(view: StudyView) -> list[tuple[str, ...]]:
    """Return the table of rounds as words, under `HEADS`; none if no run goes on from another."""
    figures = Figures.of(view)
    return [
        (
            made.arm,
            str(made.number) if made.number else "0, the first",
            str(made.seeds),
            figures.score(made.mean.value),
            figures.number(made.gain.value, sign=True) if made.gain else "–",
            figures.span(made.gain, sign=True) or "–",
        )
        for made in view.rounds
    ]


def rounds_table(view: StudyView) -> TableSection:
    """Return the table of rounds for a page."""
    rows = tuple(
        (
            TableCell(text=words[0], class_="arm", order=words[0]),
            TableCell(text=words[1], order=made.number),
            TableCell(text=words[2], class_="number", order=made.seeds),
            TableCell(text=words[3], note=Figures.of(view).span(made.mean), class_="number", order=made.mean.value),
            TableCell(text=words[4], note=words[5], class_="number", order=made.gain.value if made.gain else None),
        )
        for words, made in zip(round_rows(view), view.rounds, strict=True)
    )
    caption = (
        "Every round is a run of its own that takes labels or weights from the round before it, at the same seed. "
        "Beside the one before: the mean difference over the seeds, with its 95% interval; it is no verdict. Costs "
        "elsewhere on this page are those of the last round alone."
    )
    return TableSection(title="Rounds", ident="rounds", columns=HEADS[:5], rows=rows, caption=caption)
