"""Verdicts on scores that exist: tables, data frames, and run folders of other tools."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.api.rows import ResultRows
from ablata.api.trial_logs import JudgedLog, judge_log
from ablata.base.errors import DataError, SettingsError, listing
from ablata.base.files import PAGE, refuse_other_kind, write_text
from ablata.reports.console import plain_lines
from ablata.reports.judged import judged_view, question_of
from ablata.reports.terminal import study_report
from ablata.reports.view import StudyView
from ablata.studies.given.judging import Judgement, judge_declared, judge_given
from ablata.trainers.declared import read_rule
from ablata.trainers.given import lower_is_better
from ablata.trainers.readers.curves import Take
from ablata.trainers.readers.mlflow import is_database
from ablata.trainers.readers.tables import read_table
from ablata.trainers.readers.tensorboard import is_event_file
from ablata.trainers.reading import read_given
from ablata.trainers.score_table import has_arms_and_seeds, runs_of_rows
from ablata.trainers.trial_log import is_trial_log, status_column

if TYPE_CHECKING:
    import pandas as pd

    from ablata.records.ledger import Ledger


_SWITCHES = {"--lower": ("--lower", "--higher"), "--log": ("--log", "--no-log")}


class JudgedScores:
    """Verdicts on runs that exist.

    Args:
        name: of the table or folder.
        judgement: the runs and their verdicts.
        command: what to type to judge them again; empty where they came from Python.
        question: what is asked; empty to make it up.
    """

    def __init__(self, name: str, judgement: Judgement, command: str = "", question: str = "") -> None:
        self.judgement = judgement
        scores = {arm: judgement.scores(arm) for arm in (judgement.control, *judgement.arms)}
        self.view: StudyView = judged_view(
            name,
            scores,
            judgement.result,
            metric=judgement.given.score,
            margin=judgement.margin,
            alpha=judgement.alpha,
            higher_is_better=judgement.higher_is_better,
            claimed=judgement.claimed,
            question=question,
            notes=judgement.notes,
            commands=(command,) if command else (),
        )

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of each arm by name."""
        found = zip(self.judgement.arms, self.judgement.result.arms, strict=True)
        return {arm: outcome.verdict.value for arm, outcome in found}

    @property
    def rows(self) -> ResultRows:
        """A row an arm: verdict, effect, interval, runs."""
        rows = []
        for arm, found in zip(self.judgement.arms, self.judgement.result.arms, strict=True):
            low, high = found.interval or (None, None)
            rows.append(
                {"arm": arm, "verdict": found.verdict.value, "effect": found.effect, "low": low, "high": high,
                 "runs": found.runs}
            )  # fmt: skip
        return ResultRows(rows)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return `rows` as a list of dictionaries."""
        return list(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return `rows` as a data frame; pandas must be installed."""
        return self.rows.to_frame()

    def report(self, path: str | Path) -> Path:
        """Write the page and return its path."""
        from ablata.reports.html import study_page

        refuse_other_kind(Path(path), PAGE)
        write_text(Path(path), study_page(self.view))
        return Path(path)

    def __repr__(self) -> str:
        return plain_lines(study_report(self.view, plain=True))

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()


def judge(
    runs: str | Path | Iterable[Mapping[str, Any]] | pd.DataFrame,
    *,
    control: str | None = None,
    margin: float | None = None,
    score: str | None = None,
    arm_from: str | None = None,
    seed_from: str | None = None,
    lower: bool | None = None,
    take: Take = "last",
    noise: float | None = None,
    log: bool | None = None,
    declared: str | Path | None = None,
    keep: bool = False,
    ledger: Ledger | None = None,
) -> JudgedScores | JudgedLog:
    """Judge scores that exist.

    Args:
        runs: a table (CSV, TSV, JSON) with a line a run, a folder of run folders that a training tool wrote, a data
            frame, or rows; or a log of trials, a table with a line for each change that was tried and whether it was
            kept.
        control: the arm that the others are compared with; None for the one named baseline, base, control or default.
        margin: the largest difference that does not matter, in the score's unit; None: nothing is called equivalent.
        score: the score's column, or its name in the logs; None where there is only one.
        arm_from: the column that names the arm; of folders `folder` or a setting of the runs. None to guess.
        seed_from: the column of the seed; None to guess.
        lower: lower scores are better; None: higher ones, unless the name sounds like a loss, which is refused.
        take: of a curve the `last`, `max` or `min` value.
        noise: of a log the standard deviation of one run's score; None: from runs of equal code in it.
        log: whether a table is a log of trials; None: where a column says what was kept.
        declared: the file of a rule that `ablata study plan --write` wrote before there were scores; it says control,
            arms, seeds, score, margin and level.
        keep: write the scores to the ledger as a finished study; the same scores find it again.
        ledger: where; None: the lab's own.

    Raises:
        DataError: something cannot be read or guessed; what, and how to say it.
        SettingsError: what is given belongs to arms and to a log.
    """
    rule = None
    if declared is not None:
        rule = read_rule(Path(declared))
        _refuse_both({"control": control, "margin": margin, "score": score, "lower": lower, "noise": noise, "log": log})
        score, log = rule.metric, False
    if log is False and noise is not None:
        _refuse_noise("leave out --noise (in Python noise), or --no-log")
    of_arms = {"control": control, "margin": margin, "arm_from": arm_from, "seed_from": seed_from,
               "take": None if take == "last" else take, "keep": keep or None}  # fmt: skip
    if isinstance(runs, str | Path):
        path = Path(runs)
        command = _command(
            path, control, margin, None if rule else score, arm_from, seed_from, lower, take, noise,
            None if rule else log, declared, keep,
        )  # fmt: skip
        required = bool(log or noise is not None)
        table = None if log is False else _table(path, required=required)
        if table is not None and (required or is_trial_log(table)):
            _refuse_noise_of_arms(table, log, noise)
            why = _why_log(table, log, noise, of_arms)
            return judge_log(
                table, path.resolve().name, score=score, lower=lower, noise=noise, command=command, why=why
            )
        given = read_given(path, score=score, arm_from=arm_from, seed_from=seed_from, take=take, table=table)
        name = path.resolve().name
    else:
        found = runs.to_dict("records") if hasattr(runs, "to_dict") else list(runs)
        if not found:
            raise DataError(
                "There must be at least one run",
                found="no rows",
                do="give a row with an arm, a seed and a score for each run",
            )
        if log or noise is not None or (log is None and is_trial_log(_texts(found))):
            _refuse_noise_of_arms(_texts(found), log, noise)
            why = _why_log(_texts(found), log, noise, of_arms)
            return judge_log(_texts(found), "rows", score=score, lower=lower, noise=noise, why=why)
        given = runs_of_rows(found, "rows", score=score, arm=arm_from, seed=seed_from, take=take)
        name, command = "scores", ""
    if rule is not None:
        made = judge_declared(given, rule, Path(str(declared)).stat().st_mtime, best=take != "last")
    else:
        is_lower = lower_is_better(given.score, lower)
        made = judge_given(given, control=control, margin=margin, higher_is_better=not is_lower)
    question = rule.question if rule else question_of(made.control, made.arms)
    if keep:
        from ablata.api.opening import open_ledger
        from ablata.studies.given.keeping import keep_judgement

        with open_ledger(ledger) as opened:
            name = keep_judgement(opened, made, name, command, question=question)
    return JudgedScores(name, made, command, question)


def _refuse_noise(do: str) -> None:
    raise SettingsError(
        "The noise is given for a log of trials", found="noise for a table of arms, whose runs tell it", do=do
    )


def _refuse_noise_of_arms(rows: Sequence[Mapping[str, Any]], log: bool | None, noise: float | None) -> None:
    """Refuse a noise for runs of arms, which it would make a log of trials without being asked."""
    if log is None and noise is not None and not is_trial_log(rows) and has_arms_and_seeds(rows):
        _refuse_noise("leave out --noise (in Python noise); or, if each row is a change that was tried once, --log")


def _why_log(
    rows: Sequence[Mapping[str, str]], log: bool | None, noise: float | None, of_arms: Mapping[str, Any]
) -> str:
    """Say why a table is read as a log of trials.

    Raises:
        SettingsError: something is given that only arms have.
    """
    column = status_column(rows)
    asked = "log" if log else "noise" if noise is not None else None
    why = f"the column {column} says what was kept" if column else f"{asked} is given"
    if given := [name for name, value in of_arms.items() if value is not None]:
        raise SettingsError(
            "Only arms are kept in the ledger, and have a control or a margin; a log of trials has none",
            found=f"{listing(given)} given, and {why}, which makes it a log",
            do=f"leave {'it' if len(given) == 1 else 'them'} out: each change is compared with the best before it; or, "
            "to read the rows as runs of arms, "
            + (
                f"leave out {asked}"
                if asked
                else f"--no-log --arm-from COLUMN (in Python log=False, arm_from), one of {listing(list(rows[0]))}"
            ),
        )
    return f"read as a log of trials, since {why}"


def _refuse_both(options: Mapping[str, Any]) -> None:
    if given := [name for name, value in options.items() if value is not None]:
        raise SettingsError(
            "A declared rule says what is compared, by which score and margin",
            found=f"{listing(given)} given beside it",
            do="leave them out, or judge without --declared",
        )


def _table(path: Path, *, required: bool) -> list[dict[str, str]] | None:
    """Return the rows of a file that is a table, or has to be one, being a log of trials; else None."""
    if not path.is_file() or is_database(path) or is_event_file(path.name) or path.suffix == ".wandb":
        if required:
            raise DataError(
                "A log of trials must be a table in a file",
                found=str(path),
                do="give a CSV, TSV or JSON file with a row a trial",
            )
        return None
    return read_table(path)


def _texts(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{str(name): str(cell) for name, cell in row.items() if cell is not None and cell == cell} for row in rows]


def _command(path: Path, *options: Any) -> str:
    names = ("--control", "--margin", "--score", "--arm-from", "--seed-from", "--lower", "--take", "--noise", "--log",
             "--declared", "--keep")  # fmt: skip
    words = ["ablata", "judge", str(path)]
    for name, value in zip(names, options, strict=True):
        if name in _SWITCHES and value is not None:
            words.append(_SWITCHES[name][not value])
        elif value is True:
            words.append(name)
        elif value not in (None, False) and (name, value) != ("--take", "last"):
            words += [name, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)
