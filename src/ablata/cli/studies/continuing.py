"""`ablata study extend` and `confirm`, and how a study is run and shown from the command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ablata.base.errors import SettingsError
from ablata.base.files import PAGE, refuse_other_kind
from ablata.cli.asking import Arms, TrustCode, WorkerCount
from ablata.cli.console import err, note, quick_imports

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger
    from ablata.studies.cluster.choice import Cluster
    from ablata.studies.study import Study

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Recorded = Annotated[str, typer.Argument(help="A study in the ledger.")]
ReportFile = Annotated[Path | None, typer.Option(help="The HTML report to write; by default in the lab's home.")]


def extend(
    name: Recorded,
    seeds: Annotated[
        int | None,
        typer.Option(min=2, help="Seeds of each arm in all, those that ran counted; by default as many as it had."),
    ] = None,
    arm: Arms = None,
    foldover: Annotated[
        bool,
        typer.Option(
            "--foldover",
            help="Of a factorial study: run a second half of combinations, with one change turned round, to tell "
            "interactions apart.",
        ),
    ] = False,
    change: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --foldover, the change that is turned round; by default the one that frees most."
        ),
    ] = None,
    workers: WorkerCount = None,
    output: ReportFile = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Go on with an ended study: more seeds, arms, or a fold-over.

    More seeds are for undecided arms; verdicts that were given stay.
    """
    with quick_imports():
        from ablata.api.extending import extend_study
        from ablata.records.ledger import Ledger
        from ablata.studies.asking.typed import typed_arms

    refuse_no_page(output)
    if change is not None and not foldover:
        raise SettingsError(
            "--change belongs to --foldover",
            found=f"--change {change} alone",
            do="add --foldover, or leave --change out",
        )
    with Ledger(create=False) as ledger, _interrupted(name):
        extend_study(
            name, seeds, arms=typed_arms(arm) if arm else None, foldover=foldover, change=change, workers=workers,
            progress=err, trust_code=trust_code, ledger=ledger,
        )  # fmt: skip
        show(ledger, name, output, json=json)


def confirm(
    name: Recorded,
    seeds: Annotated[
        int | None, typer.Option(min=2, help="Seeds at most; by default 10, and it stops once it is decided.")
    ] = None,
    workers: WorkerCount = None,
    output: ReportFile = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Confirm the best combination of a factorial study. It runs beside the control, on fresh seeds."""
    with quick_imports():
        from ablata.records.ledger import Ledger

    refuse_no_page(output)
    with Ledger(create=False) as ledger:
        run_confirming(ledger, name, seeds, workers, output, trust_code=trust_code, json=json)


def run_confirming(
    ledger: Ledger,
    name: str,
    seeds: int | None,
    workers: int | None,
    output: Path | None,
    *,
    trust_code: bool,
    json: bool,
) -> None:
    """Run the study that confirms a factorial one, and show it."""
    from ablata.api.extending import confirm_study

    with _interrupted(f"{name}-confirm"):
        done = confirm_study(name, seeds, workers=workers, progress=err, trust_code=trust_code, ledger=ledger).name
    show(ledger, done, output, json=json)


@contextmanager
def _interrupted(name: str) -> Iterator[None]:
    """Say after an interrupt how to go on, and end with 1."""
    end_as_interrupted()
    try:
        yield
    except KeyboardInterrupt:
        note(f"go on with: ablata study run {name}")
        raise typer.Exit(1) from None


def refuse_no_page(output: Path | None) -> None:
    """Refuse a file of another kind for the report, before anything runs."""
    if output is not None:
        refuse_other_kind(output, PAGE)


def show(ledger: Ledger, name: str, output: Path | None, *, json: bool) -> None:
    """Print what a study says and write its page."""
    from ablata.cli.studies.reporting import print_report, write_report

    print_report(ledger, name, "json" if json else "terminal")
    write_report(ledger, name, "html", output or ledger.home / "reports" / f"{name}.html")


def end_as_interrupted() -> None:
    """End at a scheduler's request, or with the terminal, as at an interrupt from the keyboard; with nohup go on."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def launch(
    ledger: Ledger,
    study: Study | str,
    workers: int | Literal["auto"] | None,
    *,
    trust_code: bool = False,
    cluster: Cluster | None = None,
    again: Sequence[str] = (),
    together: str = "never",
    pack: float | None = None,
) -> str:
    """Run a study with a live table and return its name; interrupted, say how to go on.

    Raises:
        typer.Exit: with 1 after an interrupt.
    """
    from ablata.api.studies import run_study

    try:
        return run_study(
            study, workers=workers, progress=err, trust_code=trust_code, cluster=cluster, ledger=ledger, again=again,
            together=together, pack=pack,
        ).name  # fmt: skip
    except KeyboardInterrupt:
        note(f"go on with: ablata study run {study if isinstance(study, str) else study.name}")
        raise typer.Exit(1) from None
