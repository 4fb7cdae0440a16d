"""Failed runs of programs and functions, run again as asked: the reason lay outside them and is gone."""

from __future__ import annotations

from collections.abc import Sequence

from ablata.base.errors import RecordError, choices
from ablata.records.events import AGAIN
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.studies.changed import refuse_changed_programs


def run_again(ledger: Ledger, name: str, arms: Sequence[str]) -> list[str]:
    """Put back the failed runs of some arms, and open the arms and every study that counts these runs.

    Nothing tells a full disk from a program that fails by itself, so it is never done unasked: who runs an arm again
    until it happens to get through hides that it is unstable. The runs keep it in their events, which the page tells.

    Args:
        ledger: where the study is.
        name: the study.
        arms: names of its arms.

    Returns:
        What was put back, and which other studies are open for it, for people.

    Raises:
        RecordError: there is no such study or arm, no run of an arm failed, it is a training whose divergence is final,
            or the study's programs have changed since it ran them.
    """
    rows = [arm.name for arm in ledger.studies.arms(name)]
    failed = {arm: _failed(ledger, name, rows, arm) for arm in dict.fromkeys(arms)}
    refuse_changed_programs(ledger, name)
    said, others = [], set[str]()
    for arm, runs in failed.items():
        for run in runs:
            ledger.events.add("info", AGAIN, f"run again as asked, after: {run.error}", run_id=run.id)
            for study, where in ledger.studies.uses([run]).get(run.id, []):
                ledger.studies.reopen(study, where)
                others |= {study} - {name}
            ledger.runs.reopen(run.id)
            said.append(f"{arm}, seed {run.seed}: failed before ({run.error}); it is run again")
    return [*said, *(f"study {one} counts these runs, too: ablata study run {one}" for one in sorted(others))]


def _failed(ledger: Ledger, name: str, rows: Sequence[str], arm: str) -> list[RunRow]:
    if arm not in rows:
        raise RecordError(
            f"An arm must belong to study {name!r}", found=repr(arm), do=f"choose one of {choices(rows, arm)}"
        )
    runs = [cell.run for cell in ledger.studies.cells(name) if cell.arm == arm and cell.run.state == "diverged"]
    failed = [run for run in runs if run.state_word == "failed"]
    if failed:
        return failed
    found = f"arm {arm} of study {name} has " + ("trainings that diverged, which is their result" if runs else "none")
    raise RecordError(
        "Only runs of programs and functions that failed are run again",
        found=found,
        do="take the verdict as it is, or ask with other settings as a new study",
    )
