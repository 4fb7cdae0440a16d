"""Runs of the ledger: one in full, all of them as rows, two side by side."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from ablata.api.opening import LedgerAddress, lab_of_run, open_ledger
from ablata.api.rows import ResultRows, html_table
from ablata.base.errors import SettingsError, listing, suggestion
from ablata.base.files import PAGE, refuse_other_kind, write_text
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow, RunState
from ablata.records.run_folder.checkpoint_facts import best_of
from ablata.records.run_folder.evaluations import read_evaluations
from ablata.records.run_folder.gallery import read_gallery
from ablata.reports.collect_runs import compare_view, run_curves, run_view, run_views
from ablata.reports.evaluated import evaluation_sections
from ablata.reports.html import run_page
from ablata.reports.run_views import RunView
from ablata.reports.view import CompareView
from ablata.reports.visuals import run_sections
from ablata.trainers.score_source import parse_score


@dataclass(frozen=True)
class RunResult:
    """A run as it stood when it was read: one recipe trained with one seed.

    Args:
        row: what the ledger keeps of it.
        ledger: where it is.
    """

    row: RunRow
    ledger: LedgerAddress

    @property
    def run(self) -> str:
        """Its id; every function that takes a run takes this."""
        return self.row.id

    @property
    def recipe(self) -> str:
        """Name of its recipe."""
        return self.row.recipe_name

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.row.seed

    @property
    def state(self) -> str:
        """One of waiting, running, completed, failed, diverged, cancelled."""
        return self.row.state_word

    @property
    def scores(self) -> dict[str, float]:
        """Scores by `split/protocol/name`; empty before the run has completed."""
        return dict(self.row.scores or {})

    @property
    def cost(self) -> dict[str, Any]:
        """What it took: seconds, peak_memory_bytes, images_per_second and the like."""
        return dict(self.row.cost or {})

    @property
    def error(self) -> str | None:
        """Why it failed or diverged; None otherwise."""
        return self.row.error

    @property
    def folder(self) -> Path:
        """Its folder: checkpoints, settings, log, and what was shown of its predictions."""
        return self.ledger.home / self.row.folder

    def settings(self) -> dict[str, Any]:
        """Return every setting it was trained with, as a tree."""
        with self.ledger.open() as ledger:
            return ledger.runs.settings(self.row)

    def curves(self, name: str | None = None) -> ResultRows:
        """Return what it logged, with the columns step, name, value.

        Args:
            name: one quantity, such as `train/loss`; None: all.
        """
        with self.ledger.open() as ledger:
            found = ledger.metrics.of_runs([self.run], None if name is None else [name])
        rows = (
            {"step": step, "name": curve.name, "value": value}
            for curve in found
            for step, value in zip(curve.steps, curve.values, strict=True)
        )
        return ResultRows(rows, ("step", "name", "value"))

    @property
    def best(self) -> dict[str, Any] | None:
        """Where it was best by the score that is compared: key, value, step, and why; None where nothing tells.

        Of a recipe that is its best checkpoint; of a program or function, of which no checkpoint is known, the best
        point of the curve of its score.
        """
        return best_of(self.folder) or self._best_of_curve()

    def _best_of_curve(self) -> dict[str, Any] | None:
        settings = self.settings()
        match settings.get("task"):
            case "command":
                name = parse_score(settings["scores"][0]).label
            case "function":
                name = settings["score"]
            case _:
                return None
        points = [(row["value"], row["step"]) for row in self.curves(name) if math.isfinite(row["value"])]
        if not points:
            return None
        lower = bool(settings.get("lower"))
        # Of equal values the first, as of checkpoints.
        value, step = min(points, key=lambda point: (point[0] if lower else -point[0], point[1]))
        why = f"{'lowest' if lower else 'highest'} {name} of the curve: {value:.6g} at step {step}"
        return {"key": name, "value": value, "step": step, "why": why}

    def drawn(self, most: int = 4) -> list[tuple[str, tuple[tuple[int, ...], tuple[float, ...]]]]:
        """Return the curves to draw, scores first, then losses: name, steps and values of those with several points."""
        with self.ledger.open() as ledger:
            curves = [curve for curve in ledger.metrics.of_runs([self.run]) if len(curve.steps) > 1]
        unsaid = ("train/lr", "train/gradient_norm")
        names = sorted(curves, key=lambda curve: (curve.name in unsaid, curve.name.startswith("train/")))
        return [(curve.name, (curve.steps, curve.values)) for curve in names[:most]]

    def page(self, path: str | Path) -> Path:
        """Write the run as one HTML file: scores, classes, curves, images of predictions. Return its path."""
        with self.ledger.open() as ledger:
            return write_run_page(ledger, self.row, Path(path))

    def facts(self) -> dict[str, Any]:
        """Return all that is known of the run, JSON-safe: the row, evaluations, events, settings, environment."""
        with self.ledger.open() as ledger:
            return asdict(self.row) | {
                "folder": str(self.folder),
                "studies": ledger.runs.studies_of(self.run),
                "best": self.best,
                "evaluations": [asdict(evaluation) for evaluation in read_evaluations(self.folder)],
                "events": [asdict(event) for event in ledger.events.find(run_id=self.run)],
                "settings": ledger.runs.settings(self.row),
                "environment_description": ledger.environments.get(self.row.environment),
            }

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the scores as rows with the columns score, value."""
        return [{"score": name, "value": value} for name, value in self.scores.items()]

    def __repr__(self) -> str:
        scores = ", ".join(f"{name}={value:.6g}" for name, value in self.scores.items())
        return f"<run {self.run}: {self.recipe}, seed {self.seed}, {self.state}{f', {scores}' if scores else ''}>"

    def _repr_html_(self) -> str:
        named = html.escape(f"{self.recipe}, seed {self.seed}: {self.state} (run {self.run})")
        table = html_table(("score", "value"), self.scores.items()) if self.scores else ""
        return f"<p>{named}</p>{table}{f'<p>{html.escape(self.error)}</p>' if self.error else ''}"


def run(run: str, *, ledger: Ledger | None = None) -> RunResult:
    """Return a run of the ledger.

    Args:
        run: its id, a beginning that no other run shares, or its folder.
        ledger: where it is; None: the lab's own.

    Raises:
        RecordError: no run has that id, or several begin with it.
    """
    with lab_of_run(run, ledger) as (opened, name):
        return RunResult(opened.runs.get(name), LedgerAddress.of(opened))


def find_runs(
    ledger: Ledger,
    *,
    study: str | None = None,
    recipe: str | None = None,
    state: str | None = None,
    limit: int | None = None,
) -> list[RunRow]:
    """Return the runs that pass every filter given, newest first; the filters are those of `runs`.

    Raises:
        RecordError: there is no such study.
        SettingsError: there is no such state.
    """
    if study is not None:
        ledger.studies.get(study)
    states = (*get_args(RunState), "stopped", "interrupted")
    if state is not None and state not in states:
        raise SettingsError(
            f"The state of a run must be one of {listing(states)}", found=state, do=suggestion(state, states)
        )
    if state in ("stopped", "running", "interrupted"):
        found = ledger.runs.find(study=study, recipe=recipe, state="waiting" if state == "stopped" else "running")
        return [run for run in found if run.shown_state == state][:limit]
    if state in ("failed", "diverged"):
        # A program that failed is kept as one that diverged, and called failed.
        found = ledger.runs.find(study=study, recipe=recipe, state=("failed", "diverged"))
        return [run for run in found if run.state_word == state][:limit]
    return ledger.runs.find(study=study, recipe=recipe, state=state, limit=limit)  # type: ignore[arg-type]


def found_views(
    ledger: Ledger,
    *,
    study: str | None = None,
    recipe: str | None = None,
    state: str | None = None,
    words: Sequence[str] = (),
    limit: int | None = None,
) -> tuple[RunView, ...]:
    """Return the runs that pass every filter given, newest first, as rows of a table; the filters are those of `runs`.

    Raises:
        SettingsError: there is no such state.
    """
    rows = find_runs(ledger, study=study, recipe=recipe, state=state, limit=None if words else limit)
    views = run_views(ledger, rows)
    if not words:
        return views
    return tuple(view for view in views if all(word.lower() in _searched(view) for word in words))[:limit]


def _searched(view: RunView) -> str:
    return " ".join((view.id, view.recipe, *view.studies, *view.settings, view.state, view.error)).lower()


def runs(
    *words: str,
    study: str | None = None,
    recipe: str | None = None,
    state: str | None = None,
    limit: int | None = None,
    ledger: Ledger | None = None,
) -> ResultRows:
    """List runs, newest first, one a row: run, recipe, seed, state, studies, settings, seconds, bytes, created, scores.

    Scores have a column each. Settings are those that are not the recipe's defaults, or differ among the runs listed.

    Args:
        *words: only runs with each of these in id, recipe, study, arm, settings or error.
        study: only the runs of this study.
        recipe: only runs of this recipe, by name or hash.
        state: only runs in this state, such as `completed`.
        limit: at most this many, the newest.
        ledger: where they are; None: the lab's own.

    Raises:
        SettingsError: there is no such state.
    """
    with open_ledger(ledger, create=False) as opened:
        found = found_views(opened, study=study, recipe=recipe, state=state, words=words, limit=limit)
    return ResultRows(
        {
            "run": view.id,
            "recipe": view.recipe,
            "seed": view.seed,
            "state": view.state,
            "studies": ", ".join(view.studies),
            "settings": " ".join(view.settings),
            "seconds": view.seconds,
            "bytes": view.bytes,
            "created": view.created,
            **dict(view.scores),
        }
        for view in found
    )


def compare_runs(first: str, second: str, *, ledger: Ledger | None = None) -> CompareView:
    """Compare two runs: settings that differ, scores, costs, and the curves that both logged.

    Args:
        first, second: ids, or beginnings that fit one run only.
        ledger: where they are; None: the lab's own.

    Raises:
        RecordError: an id fits no run, or several.
    """
    with open_ledger(ledger, create=False) as opened:
        return compare_view(opened, first, second)


def write_run_page(ledger: Ledger, run: RunRow, path: Path) -> Path:
    """Write a run as one HTML file and return its path; links in it lead to the run's folder."""
    refuse_other_kind(path, PAGE)
    way = os.path.relpath(ledger.home, path.absolute().parent) + "/"
    folder = ledger.files.bring(run)
    gallery = read_gallery(folder)
    extra: Sequence[Any] = (
        *evaluation_sections(read_evaluations(folder), run.data),
        *(run_sections(gallery) if gallery is not None else ()),
    )
    write_text(path, run_page(run_view(run, home=way), run_curves(ledger, run), extra))
    return path
