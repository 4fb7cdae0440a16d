"""The items of a study's judged rows, arm beside control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ablata.records.ledger import Ledger
from ablata.records.questions.study_items import NoItems, StudyItems, study_items
from ablata.records.rows import RunRow, StudyRow
from ablata.stats import Replay


@dataclass(frozen=True, eq=False)
class JudgedItems:
    """The items of a study's judged rows.

    Attributes:
        study: the study.
        items: what its runs got on each of them.
        control: name of the control.
        arms: names of the others.
        pairs: for each arm its runs beside the control's, at the seeds that both have.
    """

    study: StudyRow
    items: StudyItems
    control: str
    arms: tuple[str, ...]
    pairs: dict[str, list[tuple[RunRow, RunRow]]]

    @property
    def higher_is_better(self) -> bool:
        """Of the judged score, or what stands in its place."""
        if self.items.stands_for:
            return True
        return bool(self.study.spec["metric"].get("higher_is_better", True))

    @property
    def are_hits(self) -> bool:
        """Whether an item is right or wrong, and nothing between."""
        found = {float(value) for values in self.items.judged.values() for value in np.unique(values)[:3]}
        return self.higher_is_better and len(found) <= 2 and 0.0 in found

    def differences(self, arm: str) -> NDArray[np.float64]:
        """The judged score's items, arm minus control, (seeds, items)."""
        judged = self.items.judged
        return np.array([judged[one.id] - judged[two.id] for one, two in self.pairs[arm]])


def judged_items(ledger: Ledger, name: str) -> JudgedItems | NoItems | None:
    """Read the items of a study's last look, or why they say nothing; None before the first look.

    Raises:
        RecordError: there is no such study.
    """
    study, looks = ledger.studies.get(name), ledger.studies.looks(name)
    result = looks[-1].result if looks else {}
    if not result.get("replay"):
        return None
    outcomes = Replay.from_json(result["replay"]).outcomes
    arms = ledger.studies.arms(name)
    control = next(arm.name for arm in arms if arm.is_control)
    runs = {(cell.arm, cell.seed): cell.run for cell in ledger.studies.cells(name)}
    first, apart = int(study.spec.get("first_seed", 0)), set(result.get("apart", ()))
    pairs: dict[str, list[tuple[RunRow, RunRow]]] = {}
    for outcome in outcomes:
        arm = result["arms"][outcome.arm - 1]
        seeds = [seed for seed in range(first, first + outcome.seeds + len(apart)) if seed not in apart]
        both = [(runs.get((arm, seed)), runs.get((control, seed))) for seed in seeds[: outcome.seeds]]
        pairs[arm] = [(one, two) for one, two in both if one and two and _done(one) and _done(two)]
    used = {run.id: run for both in pairs.values() for pair in both for run in pair}
    items = study_items(ledger, study.spec["metric"], used.values(), study.spec.get("clusters"), instead=True)
    return JudgedItems(study, items, control, tuple(pairs), pairs) if isinstance(items, StudyItems) else items


def _done(run: RunRow) -> bool:
    return run.state == "completed"
