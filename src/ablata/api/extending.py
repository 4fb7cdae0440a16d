"""Studies that go on after their end: more seeds, more arms, a fold-over, the best combination confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.text import Text

from ablata.api.opening import open_ledger
from ablata.api.progress import progress_console
from ablata.api.studies import StudyResult, run_study
from ablata.base.errors import SettingsError
from ablata.base.overrides import Overrides
from ablata.records.ledger import Ledger
from ablata.stats import rule_of
from ablata.studies.confirming import confirming
from ablata.studies.extending import extend, fold_over
from ablata.studies.launch import create
from ablata.studies.study import Study

if TYPE_CHECKING:
    from rich.console import Console


def extend_study(
    study: Study | str,
    seeds: int | None = None,
    *,
    arms: Mapping[str, Overrides | str] | None = None,
    foldover: bool = False,
    change: str | None = None,
    workers: int | None = None,
    progress: bool | Console | None = None,
    trust_code: bool = False,
    ledger: Ledger | None = None,
) -> StudyResult:
    """Go on with a study that has ended: with more seeds, more arms, or a fold-over; verdicts that were given stay.

    More seeds are for its undecided arms; new arms run beside the control's runs that are there. A study made with
    `extendable=True` claims something false in at most 5% of cases over all its extensions. Another has spent that in
    its first plan: what it says after an extension is exploratory. A factorial study is folded over: a second half of
    cells, with one change turned round, tells interactions apart that the first could not.

    Args:
        study: the study, or its name; of functions that live in this process alone the study itself.
        seeds: of each arm in all, those that ran counted; None: as many as it had.
        arms: what each new arm changes.
        foldover: fold a factorial study over.
        change: with `foldover` the change that is turned round; None: the one that frees most of what is flagged.
        workers, progress, trust_code, ledger: as for `run_study`.

    Raises:
        RecordError: it has not ended, all its arms are decided, or it runs no arms.
        SettingsError: it has as many seeds already, an arm is wrong, or a design leaves nothing to free.
        RunError, KeyboardInterrupt: as for `run_study`.
    """
    if foldover and (seeds is not None or arms):
        raise SettingsError(
            "A fold-over runs further combinations at the same seeds",
            found="seeds or arms beside it",
            do="ask for the fold-over alone, then extend again",
        )
    with open_ledger(ledger, create=False) as opened:
        name = study if isinstance(study, str) else study.name
        if isinstance(study, Study):
            create(opened, study)
            if arms:
                study = replace(study, arms={**study.arms, **arms})
        known = opened.studies.get(name)
        if foldover:
            if known.state != "open" or known.spec.get("design", {}).get("folded") is None:
                told = fold_over(opened, name, change, trust_code=trust_code)
                console = progress_console(progress) if isinstance(progress, bool | None) else progress
                console.print(Text(told))
            return run_study(name, workers=workers, progress=progress, trust_code=trust_code, ledger=opened)
        have = {arm.name for arm in opened.studies.arms(name)}
        if known.state != "open" or rule_of(known.spec).seeds != (seeds or 0) or not have.issuperset(arms or ()):
            extend(opened, name, seeds, arms, trust_code=trust_code)
        return run_study(study, workers=workers, progress=progress, trust_code=trust_code, ledger=opened)


def confirm_study(
    study: Study | str,
    seeds: int | None = None,
    *,
    workers: int | None = None,
    progress: bool | Console | None = None,
    trust_code: bool = False,
    ledger: Ledger | None = None,
) -> StudyResult:
    """Run the combination that a factorial study predicts to be best beside the control, on fresh seeds.

    Args:
        study: the factorial study, which has ended, or its name; of functions that live in this process alone the study
            itself.
        seeds: at most; None: 10. It stops once it is decided.
        workers, progress, trust_code, ledger: as for `run_study`.

    Raises:
        RecordError: it is not factorial, has not ended, or predicts the control to be the best.
        RunError, KeyboardInterrupt: as for `run_study`.
    """
    with open_ledger(ledger, create=False) as opened:
        made = confirming(opened, study, seeds, trust_code=trust_code)
        if seeds is None and made.name in {row.name for row in opened.studies.all()}:
            made = replace(made, seeds=rule_of(opened.studies.get(made.name).spec).seeds)
        return run_study(made, workers=workers, progress=progress, trust_code=trust_code, ledger=opened)
