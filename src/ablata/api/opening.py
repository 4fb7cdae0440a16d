"""What calls share: the ledger, given or the lab's own for as long as the call takes, and how they tell of things."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ablata.base.printable import printable
from ablata.records.home import LEDGER_FILE, RUNS_FOLDER
from ablata.records.ledger import Ledger


@contextmanager
def open_ledger(ledger: Ledger | None, *, create: bool = True) -> Iterator[Ledger]:
    """Yield the ledger that is given, left open; or the lab's (`ABLATA_DB`, `ABLATA_HOME`), closed afterwards.

    Args:
        ledger: the ledger, or None for the lab's.
        create: make the lab where there is none; False where it is only read.
    """
    if ledger is not None:
        yield ledger
        return
    with Ledger(create=create) as own:
        yield own


@contextmanager
def lab_of_run(run: str | Path, ledger: Ledger | None) -> Iterator[tuple[Ledger, str]]:
    """Yield the ledger that a run is looked for in, as `open_ledger` does, and the run's id.

    Args:
        run: its id, or a beginning; or its folder, HOME/runs/ID, whose lab is opened if no ledger is given.
        ledger: the ledger, or None for the lab's.
    """
    folder = Path(run).expanduser().absolute()
    home = folder.parent.parent
    if ledger is None and folder.parent.name == RUNS_FOLDER and folder.is_dir() and (home / LEDGER_FILE).exists():
        with Ledger(home=home, create=False) as own:
            yield own, folder.name
        return
    with open_ledger(ledger, create=False) as opened:
        yield opened, str(run)


def warn(line: str) -> None:
    """Tell the caller of a function something that is no error."""
    warnings.warn(printable(line), UserWarning, stacklevel=2)


@dataclass(frozen=True)
class LedgerAddress:
    """Where a result was read, so that it can be read further after the call."""

    address: str = field(repr=False)  # it may hold a password
    home: Path

    @classmethod
    def of(cls, ledger: Ledger) -> LedgerAddress:
        """Return the address of an open ledger."""
        return cls(ledger.address, ledger.home)

    def open(self) -> Ledger:
        """Open the ledger, as a context."""
        return Ledger(self.address, home=self.home)
