"""Processes that train runs of one proposal beside the one that tries it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from ablata.base.errors import SettingsError
from ablata.records.ledger import Ledger
from ablata.records.rows import ProposalRow
from ablata.records.writer import new_launch
from ablata.studies.identity import restore_trainer
from ablata.trainers.function import Function

_SECONDS = 30
_MOST = 64


class LoopHelpers:
    """Further workers of one `try`, each `ablata loop work --only NUMBER`.

    Args:
        ledger: where the loop is.
        name: of the loop.
        workers: processes in all, this one counted; 1: no helper.

    Raises:
        SettingsError: `workers` is out of range.
    """

    def __init__(self, ledger: Ledger, name: str, workers: int) -> None:
        if not 1 <= workers <= _MOST:
            raise SettingsError(
                f"Workers of a try must be 1 to {_MOST}", found=str(workers), do=f"--workers N from 1 to {_MOST}"
            )
        self._ledger, self._name, self._count = ledger, name, workers - 1
        self.launch = new_launch()

    @contextmanager
    def beside(self, row: ProposalRow) -> Iterator[None]:
        """Keep them at work on a proposal; in the end they are stopped, and what they train is saved.

        Raises:
            SettingsError: the proposal is of a function that no other process can make again.
        """
        if self._count and row.state != "decided":
            trainer = restore_trainer(row.recipe, source=f"proposal {row.number}")
            if isinstance(trainer, Function) and not trainer.is_importable:
                raise SettingsError(
                    "Several workers need a function that each of them can import",
                    found=trainer.name, do="write it to a file, or leave workers out",
                )  # fmt: skip
            with ExitStack() as stack:
                for number in range(self._count):
                    stack.enter_context(self._helper(row, number))
                yield
        else:
            yield

    @contextmanager
    def _helper(self, row: ProposalRow, number: int) -> Iterator[None]:
        log = self._ledger.home / "logs" / f"loop-{self._name}-{number + 1}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        words = ["loop", "work", "--loop", self._name, "--only", str(row.number), "--launch", self.launch]
        where = {"ABLATA_HOME": str(self._ledger.home), "ABLATA_DB": self._ledger.address}
        with log.open("wb") as target:
            process = subprocess.Popen(
                [sys.executable, "-m", "ablata", *words], stdout=target, stderr=target, stdin=subprocess.DEVNULL,
                env={**os.environ, **where}, start_new_session=True,
            )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS)
