"""What other studies said of the same questions, and what of it a reader has to know."""

from __future__ import annotations

from collections.abc import Sequence

from ablata.base.errors import listing
from ablata.records.account import BEFORE, Judgement, account_of
from ablata.records.ledger import Ledger
from ablata.records.rows import ArmRow, StudyRow
from ablata.reports.figures import Figures
from ablata.reports.view import JudgementView, StudyView


def account_views(ledger: Ledger, row: StudyRow, arms: Sequence[ArmRow]) -> tuple[JudgementView, ...]:
    """Return the judgements of a study's questions by other studies: those it was fixed with, and later ones.

    Those of before are read from its specification too: the studies may be in another ledger, or gone.
    """
    known = [Judgement(**one) for one in row.spec.get(BEFORE, ())]
    fixed = {(one.study, one.arm) for one in known}
    now = account_of(ledger, arms, row.spec["metric"]["key"], without=row.name)
    later = [one for one in now if (one.study, one.arm) not in fixed]
    return tuple(
        JudgementView(
            arm=one.arm, study=one.study, alias=one.alias, verdict=one.verdict, seeds=one.seeds, looks=one.looks,
            margin=one.margin, before=one in known,
        )
        for one in (*known, *later)
    )  # fmt: skip


def account_words(view: StudyView) -> tuple[str, ...]:
    """Say which arms are exploratory and why, and what other studies said of the same questions; a sentence each."""
    reasons: dict[str, list[str]] = {}
    for arm in view.treatments:
        if arm.exploratory:
            reasons.setdefault(arm.exploratory, []).append(arm.name)
    told = [f"Exploratory, no claim: {listing(names)}: {reason}." for reason, names in reasons.items()]
    figures = Figures.of(view)
    return (*told, *(_judgement(one, figures) for one in view.account))


def _judgement(one: JudgementView, figures: Figures) -> str:
    alias = f" (as {one.alias})" if one.alias != one.arm else ""
    margin = "without a margin" if one.margin is None else f"with margin {figures.amount(one.margin)}"
    when = "Judged before" if one.before else "Also judged since"
    seeds = f"{one.seeds} seed{'s' * (one.seeds != 1)}"
    looks = f"{one.looks} look{'s' * (one.looks != 1)}"
    return f"{when}: {one.arm} in {one.study}{alias}, {margin}, {seeds}, {looks}: {one.verdict}."
