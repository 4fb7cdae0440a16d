"""A factorial study as a view: its changes as arms, each averaged over the others, and what the design tells beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Self

import numpy as np

from ablata.base.errors import listing
from ablata.reports.factorial.view import CellView, FactorialView, InteractionView
from ablata.reports.view import ArmView, ChangeView, CostView, Estimate, SeedView
from ablata.stats import Verdict
from ablata.stats.factors.designs import Design, names_of
from ablata.stats.factors.factorial import FactorialResult, FactorResult, predicted_best
from ablata.stats.factors.lost_cells import Contrast, contrast_of
from ablata.stats.planning import rough_settlement
from ablata.stats.rule import Rule
from ablata.stats.wording import NO_SPREAD_SETTLES, between, no_spread, seeds, verdict_words

_MOST_FLAGS = 3
"""Interactions worth a second look that a sentence names, the largest first."""


@dataclass(frozen=True)
class FactorialRecord:
    """What the ledger has of a factorial study.

    Args:
        changes: overrides by the change's name, in order.
        design: which changes each cell has.
        result: what the last look says; None before the first.
    """

    changes: Mapping[str, Sequence[str]]
    design: Design
    result: FactorialResult | None

    @classmethod
    def of(cls, spec: Mapping[str, Any], look: Mapping[str, Any]) -> Self | None:
        """Return it from a study's specification and its newest look; None for a study of arms."""
        kept = spec.get("design")
        if kept is None:
            return None
        design = Design(int(kept["base"]), tuple(map(int, kept["masks"])), kept.get("folded"))
        found = look.get("factorial")
        return cls(kept["changes"], design, FactorialResult.from_json(found) if found else None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the changes."""
        return tuple(self.changes)

    def arms(self, cells: Sequence[ArmView], rule: Rule, *, over: bool) -> tuple[ArmView, ...]:
        """Return the control and every change as an arm.

        Args:
            cells: the cells as arms, in the design's order, the control first.
            rule: of the study.
            over: the study goes no further.
        """
        plain = replace(
            cells[0], mean=None, cost=CostView(), seeds=tuple(replace(seed, difference=None) for seed in cells[0].seeds)
        )
        values = {change.key: change for cell in cells for change in cell.changes}
        rows, contrast = self._blocks(cells)
        made = []
        for factor, name in enumerate(self.names):
            on = self.design.signs[:, factor] > 0
            found = self.result.factors[factor] if self.result else None
            made.append(
                ArmView(
                    name=name,
                    changes=tuple(_change(text, values) for text in self.changes[name]),
                    seeds=tuple(_seed(seed, scores, on, contrast, factor) for seed, scores in rows),
                    mean=_mean(rows, on, contrast),
                    effect=_effect(found),
                    verdict=found.verdict.value if found else None,
                    open=not over and (found is None or found.verdict is Verdict.UNDECIDED),
                    reason=_reason(found, rule, over=over) if found else "",
                    lost_word=plain.lost_word,
                )
            )
        return (plain, *made)

    def view(self, cells: Sequence[ArmView], *, higher: bool, study: str, confirmed: str = "") -> FactorialView:
        """Return cells, interactions, contrasts and what the design confounds.

        Args:
            cells: as for `arms`.
            higher: whether higher scores are better.
            study: its name.
            confirmed: what the study that confirmed its best combination says.
        """
        shown = tuple(
            CellView(
                name=cell.name,
                on=tuple(self.names[factor] for factor in self.design.cell(number)),
                mean=cell.mean.value if cell.mean else None,
                seeds=cell.done,
            )
            for number, cell in enumerate(cells)
        )
        result = self.result
        known = [cell for cell in shown if cell.mean is not None]
        best = (max if higher else min)(known, key=lambda cell: cell.mean or 0.0, default=None)
        predicted = names_of(self.names, predicted_best(result, higher=higher)) if result else "control"
        predicted = "" if predicted == "control" else predicted
        at = self.design.folded
        folded = "" if at is None else f"; a second half of the cells has {self.names[at]} turned round"
        return FactorialView(
            factors=self.names,
            cells=shown,
            interactions=tuple(
                InteractionView(pairs=self._pairs(one.pairs), effect=one.effect, p=one.p, flagged=one.flagged)
                for one in (result.interactions if result else ())
            ),
            contrasts=tuple(zip(self._labels(), result.contrasts, strict=False)) if result else (),
            design=f"{self.design.sentence(self.names)}{folded}",
            best=best.name if best and result else None,
            predicted=predicted,
            confirm=f"ablata study confirm {study}" if predicted and not confirmed else "",
            confirmed=confirmed,
            lost=tuple(_lost(self.result, shown)) if self.result else (),
        )

    def _blocks(self, cells: Sequence[ArmView]) -> tuple[list[tuple[int, np.ndarray | None]], Contrast | None]:
        """Return each seed with the scores of its cells, None where it does not count, and the contrasts of them."""
        lost = self.result.lost if self.result else ()
        found = []
        for seeds_of in zip(*(cell.seeds for cell in cells), strict=True):
            scores = np.array([np.nan if seed.score is None else seed.score for seed in seeds_of], dtype=float)
            needed = np.delete(scores, lost)
            found.append((seeds_of[0].seed, None if np.isnan(needed).any() else scores))
        return found, contrast_of(self.design, lost)

    def _pairs(self, pairs: Sequence[tuple[int, int]]) -> tuple[tuple[str, str], ...]:
        return tuple((self.names[first], self.names[second]) for first, second in pairs)

    def _labels(self) -> list[str]:
        named = [*self.names, *(group.words(self.names) for group in self.design.aliases)]
        return [*named, *[""] * (self.design.cells - 1 - len(named))]


def _seed(seed: int, scores: np.ndarray | None, on: np.ndarray, contrast: Contrast | None, factor: int) -> SeedView:
    if scores is None or contrast is None:
        return SeedView(seed=seed, state="closed")
    mean = float(scores[on & contrast.kept].mean())
    return SeedView(seed=seed, state="completed", score=mean, difference=float(contrast.of(scores[None])[0, factor]))


def _mean(rows: Sequence[tuple[int, np.ndarray | None]], on: np.ndarray, contrast: Contrast | None) -> Estimate | None:
    kept = on if contrast is None else on & contrast.kept
    values = [float(scores[kept].mean()) for _, scores in rows if scores is not None]
    return Estimate(value=fmean(values)) if values else None


def _lost(result: FactorialResult, cells: Sequence[CellView]) -> Iterator[str]:
    """Say which cells and blocks are left out since they left no score, and what is taken for granted then."""
    if result.apart:
        yield (
            f"{seeds(len(result.apart))} {'is' if len(result.apart) == 1 else 'are'} left out: at "
            f"{'it' if len(result.apart) == 1 else 'each'}, runs of some combinations left no score."
        )
    if not result.lost:
        return
    names = listing(cells[number].name for number in result.lost)
    yield (
        f"Left out, since runs of theirs left no score: {names}. The changes are estimated from the other combinations "
        "by least squares, for trainings that end with a score."
    )
    if result.clear:
        yield "That takes interactions of three and more changes as nil; those of two are told apart as before."
    else:
        yield (
            "Too few combinations are left to tell changes from interactions of two, so that these are estimates, and "
            "no verdict falls."
        )


def _effect(found: FactorResult | None) -> Estimate | None:
    if found is None:
        return None
    low, high = found.interval or (None, None)
    return Estimate(value=found.effect, low=low, high=high)


def _change(text: str, values: Mapping[str, ChangeView]) -> ChangeView:
    """Return a change with the value it replaces, as the cells that have it say: of a part its kind."""
    key, _, new = (part.strip() for part in text.partition("="))
    return values.get(key) or values.get(f"{key}.kind") or ChangeView(key=key, old="", new=new)


def _reason(found: FactorResult, rule: Rule, *, over: bool) -> str:
    where = f"averaged over the other changes, after {seeds(found.seeds)}"
    if found.verdict is not Verdict.UNDECIDED:
        return f"{verdict_words(found.verdict, rule)}, {where}: the difference is {between(found.interval)}"
    if found.bound is None and found.se is None and found.seeds >= rule.first_look:
        return f"{'undecided' if over else 'open'} {where}: {no_spread(found.effect)}" + (
            f". {NO_SPREAD_SETTLES}" if over else ""
        )
    if found.interval is None and over:
        return f"estimated {where}; no verdict falls"
    if found.interval is None:
        return f"open {where}: the first verdict needs {rule.first_look}"
    said = f"{'undecided' if over else 'open'} {where}: the difference is {between(found.interval)}; it may be 0"
    needed = rough_settlement(found, found.seeds, rule.margin) if over else None
    return f"{said}. {needed.words('fresh seeds')}" if needed else said


def factorial_words(view: FactorialView) -> tuple[str, ...]:
    """Say what the design confounds, what left no score, what should be best, and which interactions stand out."""
    return (f"{view.design[:1].upper()}{view.design[1:]}.", *cell_words(view), *flag_words(view))


def cell_words(view: FactorialView) -> tuple[str, ...]:
    """Say which cells left no score, and which combination should be best or was confirmed."""
    told = (*view.lost, view.confirmed) if view.confirmed else view.lost
    if not view.confirm:
        return told
    return (*told, f"Predicted to be best: {view.predicted}, which luck flatters. On fresh seeds: {view.confirm}")


def flag_words(view: FactorialView) -> tuple[str, ...]:
    """Say which interactions stand out and what that means; nothing where none does."""
    flagged = [one for one in view.interactions if one.flagged]
    if not flagged:
        return ()
    names = "; ".join(one.words for one in flagged[:_MOST_FLAGS])
    names += f"; and {len(flagged) - _MOST_FLAGS} more" if len(flagged) > _MOST_FLAGS else ""
    return (
        f"Look again at {names}: there, what one change does seems to depend on the other, so its average need not "
        "hold in each cell. A flag is a hint, no claim: a fifth of studies without any interaction has one.",
    )
