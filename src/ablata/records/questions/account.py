"""The account of a question: what studies of a ledger have said of the same change, whatever name or margin they had.

A question is a control, an arm and a metric, by the hashes of their settings. Runs of it that ended before a study was
fixed could be seen when its margin, its number of seeds or its metric was chosen: what it then says of that arm is
exploratory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ablata.records.ledger import Ledger
from ablata.records.rows import ArmRow, NewArm

SEEN, EXPLORATORY, BEFORE = "seen", "exploratory", "judged_before"
"""Keys of a specification, fixed when a study is made: runs that had ended, arms that are exploratory with the reason,
earlier judgements of its questions."""


@dataclass(frozen=True, kw_only=True)
class EarlierVerdict:
    """What a study said of an arm at its newest look.

    Args:
        arm: name of the arm in the study that asks now.
        study: the other study.
        alias: name of the arm there.
        verdict: better, worse, equivalent, undecided, unstable.
        seeds: at how many both it and the control finished.
        looks: how many of the study's looks could have given the arm a verdict.
        margin: of that study; None: none, or in percent.
        alpha: its rate of false verdicts.
        extendable: it can be continued within that rate.
        created: when it was fixed, seconds since 1970.
    """

    arm: str
    study: str
    alias: str
    verdict: str
    seeds: int
    looks: int
    margin: float | None
    alpha: float
    extendable: bool
    created: float

    def to_json(self) -> dict[str, Any]:
        """Return it as a specification keeps it."""
        return asdict(self)


def account_of(ledger: Ledger, arms: Iterable[ArmRow | NewArm], metric: str, *, without: str) -> list[EarlierVerdict]:
    """Return all judgements of the questions that some arms pose, the oldest first.

    Args:
        ledger: where studies are recorded.
        arms: of the study that asks, the control among them.
        metric: the key of what it compares.
        without: name of the study that asks, which is left out.
    """
    asked = list(arms)
    control = next(arm.recipe_hash for arm in asked if arm.is_control)
    wanted = {arm.recipe_hash: arm.name for arm in asked if not arm.is_control}
    found: list[EarlierVerdict] = []
    for row in ledger.studies.of_control(control):
        spec = row.spec
        if row.name == without or row.is_given or "design" in spec or spec["metric"]["key"] != metric:
            continue
        theirs = [arm for arm in ledger.studies.arms(row.name) if not arm.is_control]
        same = {arm.name: wanted[arm.recipe_hash] for arm in theirs if arm.recipe_hash in wanted}
        taken = ledger.studies.looks(row.name) if same else []
        for alias, verdict, seeds, looks in _ends(taken[-1].result) if taken else ():
            if alias in same:
                found.append(
                    EarlierVerdict(
                        arm=same[alias], study=row.name, alias=alias, verdict=verdict, seeds=seeds, looks=looks,
                        margin=spec["rule"]["margin"], alpha=spec["rule"]["alpha"],
                        extendable=bool(spec.get("extendable")), created=row.created,
                    )
                )  # fmt: skip
    return found


def _ends(result: Mapping[str, Any]) -> list[tuple[str, str, int, int]]:
    """Return name, verdict, seeds and looks of each arm of the newest look."""
    replay = result.get("replay") or {}
    looked = Counter(arm["arm"] for look in replay.get("looks", ()) for arm in look["arms"] if arm["bound"] is not None)
    return [
        (result["arms"][one["arm"] - 1], str(one["verdict"]), int(one["last"]["pairs"]), looked[one["arm"]])
        for one in replay.get("outcomes", ())
    ]
