"""Where a study stands and what came of it: printed, or written to a file."""

from __future__ import annotations

from pathlib import Path

from ablata.api.studies import report, report_text, study_status
from ablata.base.printable import printable
from ablata.cli.console import note, out, print_json
from ablata.records.ledger import Ledger
from ablata.reports.collect import study_view
from ablata.reports.console import show
from ablata.reports.terminal import study_report
from ablata.reports.view import as_json


def print_report(ledger: Ledger, name: str, form: str) -> None:
    """Print a study's report in one of the formats."""
    if form == "terminal":
        show(study_report(study_view(ledger, name, curves=False), plain=not out.is_terminal), out)
    else:
        out.file.write(printable(report_text(ledger, name, form)))


def write_report(ledger: Ledger, name: str, form: str | None, path: Path) -> None:
    """Write a study's report to a file, and say so."""
    note(f"report: {report(name, path, form, ledger=ledger)}")


def print_status(ledger: Ledger, name: str, as_document: bool) -> None:
    """Print a study's table so far, its runs by state, and what is wrong: silent workers, errors, nobody at work."""
    view, facts = study_view(ledger, name, curves=False), study_status(ledger, name)
    if as_document:
        print_json(facts | {"report": as_json(view)})
        return
    show(study_report(view, plain=not out.is_terminal), out)
    note("runs: " + (", ".join(f"{count} {state}" for state, count in facts["runs"].items()) or "none yet"))
    for run in facts["troubled"]:
        place = f"run {run['run']} ({run['arm']}, seed {run['seed']})"
        if run["silent"]:
            note(f"{place}: its worker {run['worker']} fell silent; another worker will take it over")
        if run["error"]:
            note(f"{place} {run['state']}: {run['error']}")
    if facts["state"] == "open" and not facts["workers"]:
        note(f"no worker is running; go on with: ablata study run {name}")
