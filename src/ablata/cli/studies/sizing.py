"""What stands between a study as asked and its start: a pilot of its control, and the seeds that a time pays for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablata.base.quantities import parse_duration
from ablata.cli.console import err, note, out

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger
    from ablata.studies.planning.study_plan import StudyPlan
    from ablata.studies.study import Study


def fitted(
    ledger: Ledger,
    study: Study,
    budget: str | None,
    pilot: int | None,
    workers: int | None,
    together: str = "never",
) -> Study:
    """Return a study after its pilot, with the seeds that a time pays for; as it is where neither was asked for.

    Raises:
        SettingsError: the time is none, or too short.
        RunError: the control fails.
    """
    from ablata.api.studies import fit_budget, plan_study

    seconds = None if budget is None else parse_duration(budget, "--budget 30m")
    if pilot is not None:
        plan_study(study, pilot=pilot, workers=workers, progress=err, ledger=ledger)
    if seconds is None:
        return study
    fit = fit_budget(study, seconds, workers=workers, progress=err, ledger=ledger, together=together)
    note(f"{budget} pays for {fit.seeds} seeds of each arm, if none stops early")
    return fit


def sized(
    ledger: Ledger,
    study: Study,
    budget: str | None,
    pilot: int | None,
    effect: float | None,
    workers: int | None,
    *,
    chosen: bool,
    together: str = "never",
) -> Study | None:
    """Return a study that is to be run, after its pilot, whose findings are printed.

    Args:
        ledger: where it will be.
        study: as asked.
        budget, pilot, effect, workers, together: as typed.
        chosen: whether its number of seeds is.

    Returns:
        The study; None where its number of seeds is to be chosen first.
    """
    if study.name in {row.name for row in ledger.studies.all()}:
        pilot = None
    study = fitted(ledger, study, budget, pilot, workers, together)
    if pilot is None:
        return study
    out.print(str(planned(ledger, study, effect, workers, together)), markup=False)
    if chosen or budget is not None:
        return study
    note("go on with the same command and a number of seeds: --seeds N; what the pilot ran counts")
    return None


def planned(
    ledger: Ledger, study: Study, effect: float | None, workers: int | None, together: str = "never"
) -> StudyPlan:
    """Return the plan of a study."""
    from ablata.api.studies import plan_study

    return plan_study(study, effect=effect, workers=workers, ledger=ledger, together=together)
