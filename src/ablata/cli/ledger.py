"""`ablata ledger`: care for the ledger itself."""

from __future__ import annotations

from ablata.base.quantities import counted
from ablata.cli.console import note
from ablata.cli.help import CommandGroup

app = CommandGroup(help="Repair a lost or damaged ledger.")


@app.callback()
def group() -> None:
    """Repair a lost or damaged ledger."""


@app.command("repair")
def repair() -> None:
    """Rebuild a lost or damaged ledger from the run folders. The old file is kept beside the new one."""
    from ablata.records.home import lab_home
    from ablata.records.moving.rebuilding import repair_ledger

    done = repair_ledger(lab_home())
    if done.set_aside is not None:
        note(f"the damaged ledger is kept as {done.set_aside}")
    note(f"{counted(done.taken, 'run')} taken from their folders, {done.known} were in the ledger")
    for folder, why in done.left:
        note(f"left: {folder}: {why}")
    if done.taken:
        note("studies are asked again by the command that asked them first; they share these runs")
