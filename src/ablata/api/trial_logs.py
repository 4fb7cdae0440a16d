"""A log of trials, judged: which kept changes could have been noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.api.rows import ResultRows
from ablata.base.errors import DataError
from ablata.base.files import PAGE, refuse_other_kind, write_text
from ablata.reports.console import plain_lines
from ablata.reports.trial_log.words import LogRun, TrialLogView, log_report
from ablata.stats import Noise, TrialScore, judge_trial_log
from ablata.trainers.git import known_commit
from ablata.trainers.trial_log import TrialLog, read_trial_log

if TYPE_CHECKING:
    import pandas as pd

_ALPHA = 0.05


class JudgedLog:
    """A log of single runs, each a change on the best before it.

    Args:
        view: what it tells.
    """

    def __init__(self, view: TrialLogView) -> None:
        self.view = view

    @property
    def verdicts(self) -> dict[str, str]:
        """What can be said of each kept change: beyond chance, hidden by noise, no gain or noise not known."""
        rows = self.view.rows()
        times = Counter(row["change"] for row in rows)
        names = [row["change"] if times[row["change"]] == 1 else f"{row['change']} (row {row['row']})" for row in rows]
        return {name: row["standing"] for name, row in zip(names, rows, strict=True)}

    @property
    def rows(self) -> ResultRows:
        """A row for each kept change."""
        return ResultRows(self.view.rows())

    def to_rows(self) -> list[dict[str, Any]]:
        """Return `rows` as a list of dictionaries."""
        return list(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return `rows` as a data frame; pandas must be installed."""
        return self.rows.to_frame()

    def to_json(self) -> dict[str, Any]:
        """Return all that is known, JSON-safe."""
        result = self.view.result.to_json()
        if self.view.given:
            # Noise that is known exactly has no degrees of freedom, and JSON no infinity.
            result["noise"]["df"] = None
        return {
            "kept": self.view.rows(),
            "result": result,
            "score": self.view.score,
            "higher_is_better": self.view.higher_is_better,
            "notes": list(self.view.notes),
        }

    def again_first(self) -> list[dict[str, Any]]:
        """Return the kept changes that could have been noise, the one that is cheapest to settle first.

        Each with `row`, `commit`, `change`, `why`, and `before`: the commit of the best kept before it.
        """
        view, best = self.view, 0
        found: list[tuple[int, dict[str, Any]]] = []
        for kept in view.result.kept:
            run, standing = view.runs[kept.index], view.standing(kept)
            if standing in ("hidden by noise", "noise not known"):
                told = {"row": run.row, "commit": run.commit, "change": run.label, "why": view.detail(kept)}
                found.append((kept.runs or 0, told | {"before": view.runs[best].commit}))
            best = kept.index
        return [told for _, told in sorted(found, key=lambda one: one[0])]

    def report(self, path: str | Path) -> Path:
        """Write the page and return its path."""
        from ablata.reports.trial_log.page import trial_log_page

        refuse_other_kind(Path(path), PAGE)
        write_text(Path(path), trial_log_page(self.view))
        return Path(path)

    def __repr__(self) -> str:
        return plain_lines(log_report(self.view, plain=True))

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()


def judge_log(
    rows: Sequence[Mapping[str, str]],
    name: str,
    *,
    score: str | None = None,
    lower: bool | None = None,
    noise: float | None = None,
    command: str = "",
    why: str = "",
) -> JudgedLog:
    """Judge a log of trials.

    Args:
        rows: of its table.
        name: of its file.
        score: the score's column; None to guess.
        lower: lower scores are better; None: as what was kept shows.
        noise: standard deviation of one run's score, > 0; None: as the log says, or from runs of equal code in it.
        command: what to type to judge it again.
        why: why it is read as a log.

    Raises:
        DataError: something cannot be read or guessed, or the noise is not above 0.
    """
    if noise is not None and not 0 < noise < float("inf"):
        raise DataError(
            "The noise of one run must be a number above 0",
            found=f"--noise {noise:g}",
            do="give the standard deviation of equal runs, in the score's unit",
        )
    log = read_trial_log(rows, name, score=score, lower=lower)
    noise = log.noise if noise is None else noise
    runs = [trial for trial in log.trials if trial.score is not None]
    result = judge_trial_log(
        [
            TrialScore(score=trial.score or 0.0, kept=trial.status == "keep", code=trial.code, runs=trial.runs)
            for trial in runs
        ],
        noise=None if noise is None else Noise(variance=noise**2, df=float("inf"), paired=False),
        alpha=_ALPHA,
        higher_is_better=log.higher_is_better,
    )
    view = TrialLogView(
        name=name,
        score=log.score,
        higher_is_better=log.higher_is_better,
        alpha=_ALPHA,
        runs=tuple(
            LogRun(
                row=trial.row,
                commit=trial.commit,
                words=trial.words,
                kept=trial.status == "keep",
                score=trial.score or 0.0,
            )
            for trial in runs
        ),
        crashed=len(log.trials) - len(runs),
        result=result,
        given=noise is not None,
        repeated=len({trial.code for trial in runs}) < len(runs),
        notes=(*((why,) if why else ()), *log.notes, *_repeats(log)),
        commands=(command,) if command else (),
    )
    return JudgedLog(view)


def _repeats(log: TrialLog) -> list[str]:
    """Say which rows were taken for runs of equal code."""
    rows: dict[int, list[int]] = {}
    for trial in log.trials:
        if trial.score is not None:
            rows.setdefault(trial.code, []).append(trial.row)
    groups = [f"{', '.join(map(str, found))}" for found in rows.values() if len(found) > 1]
    return [f"rows of equal code: {'; '.join(groups[:8])}{'; ...' if len(groups) > 8 else ''}"] if groups else []


def in_git(again: Sequence[Mapping[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Return changes to test again with `ref` and `before` as a repository knows their commits; None where it does not.

    Args:
        again: as `JudgedLog.again_first` gives them.
        folder: in the repository.
    """
    return [
        {**one, "ref": known_commit(folder, one["commit"]), "before": known_commit(folder, one["before"])}
        for one in again
    ]
