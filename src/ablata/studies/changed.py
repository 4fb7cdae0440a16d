"""Programs that a study cannot be run with: they changed since it ran them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ablata.base.errors import RecordError, listing
from ablata.records.ledger import Ledger
from ablata.studies.assess import ENDED
from ablata.studies.identity import COMMAND_CODE, code_in, data_of, restore_trainer
from ablata.studies.programs import changed_files
from ablata.trainers.any import Outside
from ablata.trainers.command import Command


def refuse_changed_programs(ledger: Ledger, name: str, asked: Mapping[str, Any] | None = None) -> None:
    """Refuse to go on with a study, or to answer with it, whose programs or their inputs are not what they were.

    Args:
        ledger: where the study is.
        name: its name.
        asked: its trainers by arm, where it is asked again: functions must be those that ran. A study that goes on by
            its name alone calls the copies of their files.

    Raises:
        RecordError: names the arms.
        SettingsError: a declared source, an input or a git ref is gone.
    """
    if changed := list(_changed(ledger, name, asked or {})):
        raise RecordError(
            "A study must be of one state of its programs' code and inputs",
            found=f"study {name} has runs of another: {listing(changed)}",
            do="bring it back to go on, ask anew under another --name, or see what there is: "
            f"ablata study report {name}",
        )


def _changed(ledger: Ledger, name: str, asked: Mapping[str, Any]) -> Iterator[str]:
    cells = [cell for cell in ledger.studies.cells(name) if cell.run.state in ENDED]
    for arm in ledger.studies.arms(name):
        runs = [cell.run for cell in cells if cell.arm == arm.name]
        trainer = asked.get(arm.name)
        if arm.recipe.get("task") == COMMAND_CODE:
            trainer = restore_trainer(arm.recipe, source=f"arm {arm.name} of study {name}")
        if not isinstance(trainer, Outside) or not runs:
            continue
        if {run.code for run in runs} != {code_in(ledger, trainer)}:
            files = changed_files(ledger, trainer, runs[-1].code) if isinstance(trainer, Command) else ""
            yield f"{arm.name} (code{': ' * bool(files)}{files})"
        elif {run.data for run in runs} != {data_of(ledger, trainer)}:
            yield f"{arm.name} (inputs)"
