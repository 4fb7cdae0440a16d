"""What other studies said of the same questions."""

from __future__ import annotations

from collections.abc import Sequence

from ablata.records.ledger import Ledger
from ablata.records.questions.account import BEFORE, EarlierVerdict, account_of
from ablata.records.rows import ArmRow, StudyRow
from ablata.reports.view import JudgementView


def account_views(ledger: Ledger, row: StudyRow, arms: Sequence[ArmRow]) -> tuple[JudgementView, ...]:
    """Return the judgements of a study's questions by other studies: those it was fixed with, and later ones.

    Those of before are read from its specification too: the studies may be in another ledger, or gone.
    """
    known = [EarlierVerdict(**one) for one in row.spec.get(BEFORE, ())]
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
