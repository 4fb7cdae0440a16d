"""`ablata judge`: verdicts on scores that exist."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ablata.cli.console import note, out, print_json, quick_imports


class Take(StrEnum):
    """Which value of a curve counts."""

    LAST = "last"
    MAX = "max"
    MIN = "min"


def judge(
    runs: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="A table with a line a run (CSV, TSV, JSON), MLflow's database, a log of trials, or a folder of runs.",
            show_default=False,
        ),
    ],
    control: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The arm that the others are compared with; by default the one named baseline or base."
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="The largest difference that does not matter; without it no arm is called equivalent."),
    ] = None,
    score: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The score's column, or its name in the logs.")
    ] = None,
    arm_from: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column that names the arm; for folders of runs `folder`, or a setting of the runs.",
        ),
    ] = None,
    seed_from: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the seed.")] = None,
    lower: Annotated[bool | None, typer.Option("--lower/--higher", help="Which scores are better.")] = None,
    take: Annotated[
        Take, typer.Option(help="Which value of a curve counts: the last, the largest or the smallest.")
    ] = Take.LAST,
    noise: Annotated[
        float | None,
        typer.Option(
            help="For a log of trials: the standard deviation of a run's score; by default from repeats in it."
        ),
    ] = None,
    log: Annotated[
        bool | None,
        typer.Option("--log/--no-log", help="The table is a log of trials, each a change on the best before it."),
    ] = None,
    declared: Annotated[
        Path | None,
        typer.Option(help="A rule that `ablata study plan --write` wrote before there were scores: judge by it."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scores in the ledger, as a finished study.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the page to this file.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Judge scores that exist: which arm differs from the control. In a log of trials: which change could be noise."""
    with quick_imports():
        from ablata.api.judging import judge as judge_scores
        from ablata.api.trial_logs import JudgedLog
        from ablata.reports.console import show
        from ablata.reports.terminal import study_report
        from ablata.reports.trial_log.words import log_report
        from ablata.reports.view import as_json as document

    judged = judge_scores(
        runs, control=control, margin=margin, score=score, arm_from=arm_from, seed_from=seed_from, lower=lower,
        take=take.value, noise=noise, log=log, declared=declared, keep=keep,
    )  # fmt: skip
    if isinstance(judged, JudgedLog):
        if as_json:
            print_json(judged.to_json())
        else:
            show(log_report(judged.view, plain=not out.is_terminal), out)
    elif as_json:
        notes = list(judged.judgement.notes)
        print_json({"verdicts": judged.to_rows(), "notes": notes, "report": document(judged.view)})
    else:
        show(study_report(judged.view, plain=not out.is_terminal), out)
    if keep:
        note(f"kept: ablata study report {judged.view.name}")
    if html is not None:
        note(f"page: {judged.report(html)}")
