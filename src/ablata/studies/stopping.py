"""Stop a study from elsewhere: its launcher is asked through the ledger, on whichever machine it is."""

from __future__ import annotations

from ablata.records.ledger import Ledger

_KIND = "stop_study"


def ask_to_stop(ledger: Ledger, study: str) -> None:
    """Ask the launcher of a study, if there is one, to let its workers finish their step and save.

    Args:
        ledger: where the study is.
        study: its name.
    """
    ledger.events.add("info", _KIND, study)


class StopRequests:
    """Tells a launcher whether it was asked to stop since it began.

    Args:
        ledger: where the study is.
        study: its name.
    """

    def __init__(self, ledger: Ledger, study: str) -> None:
        self._ledger, self._study = ledger, study
        # Counted, not dated: the clocks of two machines need not agree.
        self._before = ledger.events.count(_KIND, study)

    def came(self) -> bool:
        """Tell whether one came."""
        return self._ledger.events.count(_KIND, self._study) > self._before
