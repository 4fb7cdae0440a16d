"""What became of the best combination of a factorial study: the study that ran it again on fresh seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablata.stats import Replay, rule_of
from ablata.stats.wording import seeds, verdict_words

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger


def confirmed_words(ledger: Ledger, name: str) -> str:
    """Return what the newest study says that confirms the best combination of one; empty where there is none.

    Args:
        ledger: where they are.
        name: the factorial study.
    """
    row = next((row for row in ledger.studies.all() if row.spec.get("confirms") == name), None)
    if row is None:
        return ""
    arm = next(arm for arm in ledger.studies.arms(row.name) if not arm.is_control)
    looks = ledger.studies.looks(row.name)
    replay = Replay.from_json(looks[-1].result["replay"]) if looks and looks[-1].result.get("replay") else None
    if replay is None or replay.outcomes[0].open:
        return f"{arm.name}, predicted to be best, is being confirmed on fresh seeds in study {row.name}."
    end = replay.outcomes[0]
    word = verdict_words(end.verdict, rule_of(row.spec))
    return f"On fresh seeds {arm.name}, predicted to be best, is {word} after {seeds(end.seeds)} (study {row.name})."
