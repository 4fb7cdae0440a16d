"""Runs and studies for other tools: tables as CSV, TensorBoard event files, MLflow; no torch."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablata.api.opening import open_ledger
from ablata.api.runs import find_runs
from ablata.api.studies import report
from ablata.base.errors import SettingsError
from ablata.base.files import refuse_other_kind, write_text
from ablata.records.ledger import Ledger
from ablata.records.moving.event_files import write_event_file
from ablata.records.rows import RunRow
from ablata.reports.collect import moment, study_view
from ablata.reports.collect_runs import differing_settings
from ablata.reports.view import ArmView, StudyView

CSV = (".csv",)


@dataclass(frozen=True)
class ExportedRuns:
    """What was written of some runs.

    Args:
        runs: how many.
        files: what was written.
    """

    runs: int
    files: tuple[Path, ...]


def export_runs(
    *runs: str,
    csv: str | Path | None = None,
    curves: str | Path | None = None,
    tensorboard: str | Path | None = None,
    study: str | None = None,
    recipe: str | None = None,
    state: str | None = None,
    ledger: Ledger | None = None,
) -> ExportedRuns:
    """Write runs for other tools.

    Args:
        *runs: ids or beginnings of them; none: all that pass the filters.
        csv: a table, one row a run: what it is, the settings that differ, scores, costs.
        curves: a table, one row a point: run, name, step, value.
        tensorboard: a folder, with a folder of event files for each run.
        study, recipe, state: as for `runs`.
        ledger: where they are; None: the lab's own.

    Raises:
        SettingsError: nothing is asked for, or a file to replace is of another kind.
        RecordError: an id fits no run, or several.
    """
    if csv is None and curves is None and tensorboard is None:
        raise SettingsError("An export must say what is written", found="nothing", do="--csv FILE, --curves FILE or "
                            "--tensorboard FOLDER")  # fmt: skip
    for file in (csv, curves):
        if file is not None:
            refuse_other_kind(Path(file), CSV)
    with open_ledger(ledger, create=False) as opened:
        found = find_runs(opened, study=study, recipe=recipe, state=state)
        if runs:
            named = {opened.runs.get(run).id for run in runs}
            found = [run for run in found if run.id in named]
        files = []
        if csv is not None:
            write_text(Path(csv), _table(_run_rows(opened, found)))
            files.append(Path(csv))
        if curves is not None:
            write_text(Path(curves), _table(_points(opened, found), ("run", "name", "step", "value")))
            files.append(Path(curves))
        if tensorboard is not None:
            names = {run.id: f"{run.recipe_name.replace('/', '-')}-seed{run.seed}-{run.id}" for run in found}
            written = (write_event_file(opened, run, Path(tensorboard) / names[run.id]) for run in found)
            files += [file for file in written if file is not None]
    return ExportedRuns(len(found), tuple(files))


def _run_rows(ledger: Ledger, runs: Sequence[RunRow]) -> Iterator[dict[str, Any]]:
    settings, uses = differing_settings(ledger, runs), ledger.studies.uses(runs)
    loops = ledger.loops.uses(runs)
    for run in runs:
        yield {
            "run": run.id,
            "recipe": run.recipe_name,
            "seed": run.seed,
            "state": run.state,
            "studies": " ".join(f"{study}:{arm}" for study, arm in uses.get(run.id, ())),
            "created": moment(run.created),
            "parent": run.parent or "",
            "error": run.error or "",
            "loops": " ".join(f"{loop}:{proposal}" for loop, proposal in loops.get(run.id, ())),
            **settings[run.id],
            **(run.scores or {}),
            **{f"cost/{name}": value for name, value in (run.cost or {}).items()},
        }


def _points(ledger: Ledger, runs: Sequence[RunRow]) -> Iterator[dict[str, Any]]:
    for curve in ledger.metrics.of_runs([run.id for run in runs]) if runs else ():
        for step, value in zip(curve.steps, curve.values, strict=True):
            yield {"run": curve.run, "name": curve.name, "step": step, "value": value}


def _table(rows: Iterator[dict[str, Any]], columns: Sequence[str] = ()) -> str:
    found = list(rows)
    names = columns or list(dict.fromkeys(name for row in found for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return stream.getvalue()


def export_to_mlflow(name: str, uri: str, *, ledger: Ledger | None = None) -> list[str]:
    """Write a study to MLflow: an experiment of its name, a parent run for each arm, a child run for each seed.

    The arm's verdict, effect and interval are tags and metrics of the parent, the study's page is its artefact. A child
    has the seed and the settings that differ as parameters, the scores and costs as metrics, and its curves. Exported
    again, the runs of the earlier export are deleted first.

    Args:
        name: the study.
        uri: the tracking address: `http://127.0.0.1:5000`, `sqlite:///mlflow.db`.
        ledger: where the study is; None: the lab's own.

    Returns:
        The ids of the parent runs, in the order of the arms.

    Raises:
        SettingsError: MLflow is not installed, or cannot be reached.
        RecordError: there is no study of this name.
    """
    with open_ledger(ledger, create=False) as opened:
        view = study_view(opened, name, curves=False)
        rows = [cell for cell in opened.studies.cells(name) if cell.run.state in ("completed", "diverged", "failed")]
        with _client(uri) as client, tempfile.TemporaryDirectory() as folder:
            page = report(name, Path(folder) / f"{name}.html", ledger=opened)
            experiment = _experiment(client, name)
            settings = differing_settings(opened, [cell.run for cell in rows])
            parents = []
            for arm in view.arms:
                parent = client.create_run(experiment, tags=_arm_tags(view, arm), run_name=arm.name)
                parents.append(parent.info.run_id)
                _log(client, parents[-1], _arm_metrics(arm))
                client.log_artifact(parents[-1], str(page))
                for cell in (cell for cell in rows if cell.arm == arm.name):
                    _child(client, opened, experiment, parents[-1], cell.run, settings[cell.run.id])
                client.set_terminated(parents[-1])
    return parents


_STUDY = "ablata.study"


@contextmanager
def _client(uri: str) -> Iterator[Any]:
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise SettingsError(
            "An export to MLflow needs its client", found="mlflow is not installed", do="pip install 'ablata[mlflow]'"
        ) from None
    try:
        # It prints the address of every run that ends.
        with redirect_stdout(io.StringIO()):
            yield MlflowClient(tracking_uri=uri)
    except MlflowException as error:
        raise SettingsError(
            "MLflow must take what is exported", found=f"{uri}: {str(error).splitlines()[0][:200]}",
            do="see that the server runs and that the address is right",
        ) from None  # fmt: skip


def _experiment(client: Any, name: str) -> str:
    """Return the experiment of a study, without the runs of an earlier export."""
    known = client.get_experiment_by_name(name)
    if known is None:
        return str(client.create_experiment(name))
    ours = f"tags.`{_STUDY}` = '{name}'"
    while found := client.search_runs([known.experiment_id], filter_string=ours, max_results=1000):
        for run in found:
            client.delete_run(run.info.run_id)
    return str(known.experiment_id)


def _arm_tags(view: StudyView, arm: ArmView) -> dict[str, str]:
    metric = "/".join(part for part in (view.metric.split, view.metric.protocol, view.metric.name) if part)
    told = {
        _STUDY: view.name, "ablata.question": view.question, "ablata.arm": arm.name, "ablata.metric": metric,
        "ablata.margin": "" if view.margin is None else f"{view.margin:g}", "ablata.change": arm.change,
        "ablata.verdict": "control" if arm.is_control else arm.verdict or "not judged yet",
        "ablata.reason": arm.reason, "ablata.exploratory": arm.exploratory,
    }  # fmt: skip
    return {key: value[:5000] for key, value in told.items() if value}


def _arm_metrics(arm: ArmView) -> dict[str, float | None]:
    found: dict[str, float | None] = {"mean": arm.mean.value if arm.mean else None, "confidence": arm.confidence}
    found |= {"seeds": float(arm.done), "diverged": float(arm.diverged)}
    if arm.effect is not None:
        found |= {"effect": arm.effect.value, "effect_low": arm.effect.low, "effect_high": arm.effect.high}
        found["effect_corrected"] = arm.corrected
    return found


def _child(client: Any, ledger: Ledger, experiment: str, parent: str, run: RunRow, settings: Mapping[str, str]) -> None:
    tags = {"mlflow.parentRunId": parent, "ablata.run": run.id, "ablata.state": run.state}
    arm = client.get_run(parent).data.tags
    tags |= {key: arm[key] for key in (_STUDY, "ablata.arm")}
    began = int(1000 * (run.started or run.created))
    child = client.create_run(experiment, start_time=began, tags=tags, run_name=f"seed {run.seed}").info.run_id
    for key, value in {"seed": str(run.seed), **settings}.items():
        client.log_param(child, _name(key), value[:5000])
    costs = {f"cost/{name}": value for name, value in (run.cost or {}).items()}
    curves = ledger.metrics.of_runs([run.id])
    logged = {curve.name for curve in curves}
    _log(client, child, {key: value for key, value in (run.scores or {}).items() if key not in logged} | costs)
    for curve in curves:
        _log_curve(client, child, curve.name, curve.steps, curve.values, began)
    status = "FINISHED" if run.state == "completed" else "FAILED"
    client.set_terminated(child, status=status, end_time=int(1000 * (run.finished or run.created)))


def _log(client: Any, run: str, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, int | float):
            client.log_metric(run, _name(key), float(value))


def _log_curve(
    client: Any, run: str, name: str, steps: Sequence[int], values: Sequence[float], time: int, at_once: int = 1000
) -> None:
    from mlflow.entities import Metric

    points = [Metric(_name(name), value, time, step) for step, value in zip(steps, values, strict=True)]
    for start in range(0, len(points), at_once):
        client.log_batch(run, metrics=points[start : start + at_once])


def _name(key: str) -> str:
    """Return a name as MLflow takes it: letters, digits, spaces and _ - . / alone."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in key)[:250]
