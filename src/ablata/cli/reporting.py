"""Where a study stands and what came of it: printed, or written to a file."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ablata.base.errors import SettingsError, listing
from ablata.base.files import write_text
from ablata.cli.console import note, out, print_json
from ablata.records.ledger import Ledger
from ablata.reports.collect import study_view
from ablata.reports.console import plain_lines, show
from ablata.reports.html import study_page
from ablata.reports.markdown import study_markdown
from ablata.reports.sections import Section
from ablata.reports.terminal import study_report
from ablata.reports.view import StudyView, as_json
from ablata.reports.visuals import study_sections

FORMS = ("terminal", "markdown", "html", "json")


def check_form(form: str) -> None:
    """Refuse a form that there is not.

    Raises:
        SettingsError: names those there are.
    """
    if form not in FORMS:
        raise SettingsError(f"--format must be one of {listing(FORMS)}", found=form)


def print_report(ledger: Ledger, name: str, form: str) -> None:
    """Print a study's report in one of the forms."""
    view = study_view(ledger, name, curves=form != "terminal")
    if form == "terminal":
        show(study_report(view, plain=not out.is_terminal), out)
    elif form == "json":
        print_json(as_json(view))
    else:
        out.file.write(_written(view, form, _page_extra(ledger, name, form)))


def write_report(ledger: Ledger, name: str, form: str, path: Path) -> None:
    """Write a study's report to a file; links in it lead to the run folders."""
    way = os.path.relpath(ledger.home, path.absolute().parent) + "/"
    write_text(path, _written(study_view(ledger, name, home=way), form, _page_extra(ledger, name, form)))
    note(f"report: {path}")


def _page_extra(ledger: Ledger, name: str, form: str) -> tuple[Section, ...]:
    """Return what only a page can show: images of predictions."""
    return study_sections(ledger, name) if form == "html" else ()


def _written(view: StudyView, form: str, extra: tuple[Section, ...] = ()) -> str:
    if form == "markdown":
        return study_markdown(view)
    if form == "html":
        return study_page(view, extra=extra)
    return json.dumps(as_json(view), indent=2) + "\n" if form == "json" else plain_lines(study_report(view, plain=True))


def print_status(ledger: Ledger, name: str, as_document: bool) -> None:
    """Print a study's table so far, its runs by state, and what is wrong: silent workers, errors, nobody at work."""
    view, facts = study_view(ledger, name, curves=False), _status(ledger, name)
    if as_document:
        print_json(facts | {"report": as_json(view)})
        return
    show(study_report(view, plain=not out.is_terminal), out)
    note("runs: " + (", ".join(f"{count} {state}" for state, count in facts["runs"].items()) or "none yet"))
    for run in facts["troubled"]:
        place = f"run {run['run']} ({run['arm']}, seed {run['seed']})"
        if run["silent"]:
            note(f"{place}: its worker {run['worker']} fell silent; it will be claimed again")
        if run["error"]:
            note(f"{place} {run['state']}: {run['error']}")
    if facts["state"] == "open" and not facts["workers"]:
        note(f"no worker is at it; go on with: ablata study run {name}")


def _status(ledger: Ledger, name: str) -> dict[str, Any]:
    """Return a study's state, runs by state, workers at work, and the runs with something wrong."""
    now, cells = time.time(), ledger.studies.cells(name)
    runs = {cell.run.id: cell for cell in cells}
    silent = {
        cell.run.id
        for cell in cells
        if cell.run.state == "running" and cell.run.lease_until is not None and cell.run.lease_until < now
    }
    working = [cell for cell in cells if cell.run.state == "running" and cell.run.id not in silent]
    troubled = [
        {
            "run": cell.run.id,
            "arm": cell.arm,
            "seed": cell.seed,
            "state": cell.run.state,
            "worker": cell.run.owner,
            "silent": cell.run.id in silent,
            "error": cell.run.error,
        }
        for cell in runs.values()
        if cell.run.id in silent or cell.run.error
    ]
    return {
        "study": name,
        "state": ledger.studies.get(name).state,
        "runs": dict(Counter(cell.run.state for cell in cells)),
        "workers": sorted({str(cell.run.owner) for cell in working}),
        "troubled": troubled,
    }
