"""What a research loop from elsewhere must hold, so that it can be shown here; it does not go on here."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, FiniteFloat, ValidationError

from ablata.base.errors import RecordError
from ablata.records.ledger import Ledger
from ablata.records.moving.exporting import LoopFile
from ablata.records.run_folder.code import imported_loop_mark
from ablata.stats.loop import LoopRule


class _LoopMetric(BaseModel):
    key: str
    name: str
    split: str
    protocol: str
    unit: str
    higher_is_better: bool


class _LoopSpec(BaseModel):
    metric: _LoopMetric
    rule: dict[str, Any]
    guards: list[dict[str, Any]]
    smaller: str | None
    first_seed: int
    commands: list[str]


class _ProposalResult(BaseModel):
    best: int | None = None
    verdict: str | None = None
    effect: FiniteFloat | None = None
    interval: tuple[FiniteFloat, FiniteFloat] | None = None
    confidence: FiniteFloat | None = None
    reason: str = ""
    priority: FiniteFloat = 0.0
    chances: int = 0


def check_loop(file: LoopFile) -> None:
    """Refuse a loop whose rule or decisions cannot be read.

    Raises:
        RecordError: names the field.
    """
    try:
        spec = _LoopSpec.model_validate(file.loop.spec)
        rule = LoopRule.from_json(spec.rule)
        if not (isinstance(rule.margin, float | int | None) and rule.most_runs <= 1000):
            raise ValueError("rule: margin or most_runs")
        for row in file.proposals:
            found = _ProposalResult.model_validate(row.result or {})
            known = found.interval is not None or found.verdict == "undecided"
            if found.effect is not None and (found.confidence is None or not known):
                raise ValueError(f"proposal {row.number}: an effect without its interval")
            if found.best is not None and not 0 <= found.best < len(file.proposals):
                raise ValueError(f"proposal {row.number}: judged against {found.best}")
    except (ValidationError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        else:
            told = str(error)
        raise RecordError(
            "An exported loop must hold its rule and its decisions", found=f"loop {file.loop.name}: {told}",
            do="export it again; nothing of it was imported",
        ) from None  # fmt: skip


def refuse_imported(ledger: Ledger, name: str) -> None:
    """Refuse to run anything for a loop that came from elsewhere: its programs were not written here.

    Raises:
        RecordError: it came from elsewhere.
    """
    if imported_loop_mark(ledger, name).exists():
        raise RecordError(
            "A loop goes on where it was started: one that was imported can be read alone",
            found=f"loop {name} came from a file", do="start one of your own: ablata loop start NAME ...",
        )  # fmt: skip
