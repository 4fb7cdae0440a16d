"""A study as it runs: a live table in a terminal, a line a run elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.live import Live

from ablata.cli.console import err, note
from ablata.records.ledger import Ledger
from ablata.reports.collect import study_view
from ablata.reports.terminal import progress_words, study_status
from ablata.reports.view import StudyView

_REFRESH_SECONDS = 1.0
_ENDED = ("completed", "diverged")


class StudyDisplay:
    """Shows a running study. Use it as a context and call `update` now and then.

    Args:
        ledger: where the study is.
        name: its name.
    """

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger, self._name = ledger, name
        self._live = Live(console=err, auto_refresh=False, transient=True) if err.is_terminal else None
        self._updated = 0.0
        self._told: set[tuple[str, int]] = set()
        self._stopped: set[str] = set()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        for cell in self._ledger.studies.cells(self._name):
            if cell.run.state in _ENDED:
                self._told.add((cell.arm, cell.seed))
        self._stopped = {arm.name for arm in self._ledger.studies.arms(self._name) if arm.state == "stopped"}
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
        elif kind is None:
            # What came in the last second.
            self._tell(study_view(self._ledger, self._name, curves=False))

    def update(self) -> None:
        """Show what is new, at most once a second."""
        if time.monotonic() - self._updated < _REFRESH_SECONDS:
            return
        self._updated = time.monotonic()
        view = study_view(self._ledger, self._name, curves=False)
        if self._live is not None:
            self._live.update(study_status(view), refresh=True)
        else:
            self._tell(view)

    def _tell(self, view: StudyView) -> None:
        for arm in view.arms:
            for seed in arm.seeds:
                if seed.state in _ENDED and (arm.name, seed.seed) not in self._told:
                    self._told.add((arm.name, seed.seed))
                    score = "" if seed.score is None else f" {view.metric.name} {seed.score:.6g}"
                    note(f"{arm.name}, seed {seed.seed}: {seed.state}{score}   ({progress_words(view) or 'done'})")
            if arm.verdict and not arm.open and arm.name not in self._stopped:
                self._stopped.add(arm.name)
                note(f"arm {arm.name}: {arm.reason}")
