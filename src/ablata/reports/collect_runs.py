"""From the ledger to views of runs: a table of them, two side by side, their curves, costs and environments."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ablata.records.defaults import defaults_of
from ablata.records.ledger import Ledger
from ablata.records.questions.judged import TIMES, load_of
from ablata.records.removal import run_bytes
from ablata.records.rows import Curve, RunRow
from ablata.records.run_folder.evaluations import EVALUATOR, comparable, later_scores
from ablata.reports.run_views import ArmCurves, CurveView, RunView, SeriesView
from ablata.reports.view import ChangeView, CompareView, CostView, EnvironmentView, ScorePair

MOST_POINTS = 400
"""Positions kept of a logged curve; a page draws fewer still."""

MOST_COMPARED = 8
_MOST_OF_STUDY = 3
_NO_LOSS = ("train/lr", "train/gradient_norm")
ENDED = ("completed", "diverged")
ABSENT = "–"


def run_views(ledger: Ledger, runs: Sequence[RunRow] | None = None, *, home: str = "") -> tuple[RunView, ...]:
    """Return runs as table rows, each with its studies, its size, and the settings in which it differs from its
    recipe's defaults, as far as those are known, or from the other runs of its recipe's name.

    Args:
        ledger: the ledger.
        runs: those to show, say by `ledger.runs.find`; None: all, newest first.
        home: the way from the page to the lab's home.
    """
    runs = ledger.runs.find() if runs is None else runs
    differing = differing_settings(ledger, runs)
    uses, loops, sizes = ledger.studies.uses(runs), ledger.loops.uses(runs), run_bytes(ledger, runs)
    return tuple(
        replace(
            run_view(run, home=home),
            settings=tuple(f"{key}={value}" for key, value in differing[run.id].items()),
            studies=(
                *(f"{study}:{arm}" for study, arm in uses.get(run.id, ())),
                *(f"loop {loop}:{proposal}" for loop, proposal in loops.get(run.id, ())),
            ),
            bytes=sizes[run.id],
        )
        for run in runs
    )


def differing_settings(ledger: Ledger, runs: Sequence[RunRow]) -> dict[str, dict[str, str]]:
    """Return, by run, the settings that are not its recipe's defaults or not the same in all runs of its recipe's name.

    Args:
        ledger: holds the runs.
        runs: those that are shown beside each other.

    Returns:
        By run id, values written as JSON by dotted key.
    """
    trees = ledger.runs.settings_of(runs)
    leaves = {run_id: plain_settings(tree) for run_id, tree in trees.items()}
    _shorten_words(runs, trees, leaves)
    usual = {(run.recipe_name, run.code.partition("-")[0]): run for run in runs}
    defaults = {key: dict(_leaves(defaults_of(ledger, *key) or {})) for key in usual}
    defaults = {key: tree for key, tree in defaults.items() if len(tree) > 1}
    alike: dict[str, dict[str, str]] = {}
    apart: dict[str, dict[str, None]] = {}
    changed: dict[str, dict[str, None]] = {}
    for run in reversed(runs):
        first = alike.setdefault(run.recipe_name, leaves[run.id])
        mine = leaves[run.id]
        before = defaults.get((run.recipe_name, run.code.partition("-")[0]), first)
        apart.setdefault(run.recipe_name, {}).update(_unequal(first, mine))
        changed.setdefault(run.recipe_name, {}).update(_unequal(before, mine))
    keys = {name: apart[name] | changed[name] for name in apart}
    return {
        run.id: {key: leaves[run.id][key] for key in keys[run.recipe_name] if key in leaves[run.id]} for run in runs
    }


def _shorten_words(
    runs: Sequence[RunRow], trees: Mapping[str, Mapping[str, Any]], leaves: Mapping[str, dict[str, str]]
) -> None:
    """Tell the words of programs from those on in which runs of one name differ: their ends would not be seen."""
    commands: dict[str, list[str]] = {}
    for run in runs:
        if isinstance(trees[run.id].get("words"), list):
            commands.setdefault(run.recipe_name, []).append(run.id)
    for alike in commands.values():
        lists = [trees[run_id]["words"] for run_id in alike]
        columns = enumerate(zip(*lists, strict=False))
        shared = next((place for place, words in columns if len({*words}) > 1), min(map(len, lists)))
        for run_id, words in zip(alike, lists, strict=True):
            leaves[run_id]["words"] = json.dumps(shlex.join(["..."] * bool(shared) + words[shared:]))


def _unequal(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, None]:
    """Return the keys of two trees' leaves that differ, in order, without those that tell no two trainings apart."""
    keys = {**first, **second}
    return dict.fromkeys(key for key in keys if first.get(key) != second.get(key) and key not in _INCIDENTAL)


_INCIDENTAL = ("name", "data.root")
"""Where things are and what they are called."""


def run_view(run: RunRow, *, arm: str = "", home: str = "") -> RunView:
    """Return one run as a table row; `home` is the way from the page to the lab's home."""
    scores = tuple((name, float(value)) for name, value in (run.scores or {}).items() if isinstance(value, int | float))
    return RunView(
        id=run.id,
        seed=run.seed,
        state=run.shown_state,
        arm=arm,
        recipe=run.recipe_name,
        recipe_hash=run.recipe_hash,
        attempt=run.attempt,
        environment=run.environment,
        scores=scores,
        seconds=cost_of(run).seconds,
        created=datetime.fromtimestamp(run.created, UTC).isoformat(timespec="seconds"),
        link=f"{home}{run.folder}/",
        error=(run.error or "").split("\n")[0],
    )


def cost_of(run: RunRow) -> CostView:
    """Return what a run cost, as far as it was recorded."""
    cost = run.cost or {}
    peak = cost.get("peak_memory_bytes")
    return CostView(
        seconds=cost.get("seconds"), memory=peak, flops=cost.get("flops"), parameters=cost.get("parameters")
    )


def environment_view(name: str, description: Mapping[str, Any], runs: int) -> EnvironmentView:
    """Return an environment class as name and value; what is empty, and the machine's own name, is left out."""
    items = []
    for key, value in description.items():
        if key == "host" or not value:
            continue
        if isinstance(value, dict):
            items += [(str(inner), str(part)) for inner, part in value.items() if part]
        elif key == "memory_bytes":
            items.append(("memory", f"{value / 2**30:.0f} GiB"))
        else:
            items.append((key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return EnvironmentView(name=name, items=tuple(items), runs=runs)


def arm_curves(
    curves: Sequence[Curve],
    name: str,
    owners: Mapping[str, tuple[str, RunRow]],
    order: Sequence[str],
    points: int | None = MOST_POINTS,
) -> tuple[ArmCurves, ...]:
    """Group the curves of one quantity by arm.

    Args:
        curves: of any runs and quantities.
        name: the quantity.
        owners: arm and run by the run's id.
        order: the arms, in order; one that logged nothing is left out.
        points: at most this many of a curve, evenly spread; None: all.
    """
    found: dict[str, list[SeriesView]] = {arm: [] for arm in order}
    for curve in curves:
        if curve.name == name and curve.run in owners:
            arm, run = owners[curve.run]
            found[arm].append(_series(curve, run, points))
    return tuple(ArmCurves(arm=arm, series=tuple(series)) for arm, series in found.items() if series)


def study_curves(
    ledger: Ledger,
    study: str,
    key: str,
    placed: Sequence[tuple[str, RunRow]],
    order: Sequence[str],
    points: int | None = MOST_POINTS,
) -> tuple[CurveView, ...]:
    """Return the curves of a study's compared score and of its loss terms; which there are is read from one run.

    Args:
        ledger: the ledger.
        study: the study's name.
        key: the name under which runs keep the score that is compared.
        placed: the runs that count, each with its arm.
        order: the arms, in order.
        points: at most this many of a curve, evenly spread; None: all.
    """
    first = next((run for _, run in placed if run.state in ENDED), None)
    if first is None:
        return ()
    logged = [curve.name for curve in ledger.metrics.of_runs([first.id])]
    # A program names its curves as it likes.
    losses = [name for name in logged if name.startswith("train/") and name not in _NO_LOSS] or logged
    names = list(dict.fromkeys([*(name for name in logged if name == key), *losses]))[:_MOST_OF_STUDY]
    curves = ledger.metrics.of_study(study, names)
    owners = {run.id: (arm, run) for arm, run in placed}
    return tuple(CurveView(name=name, arms=arm_curves(curves, name, owners, order, points)) for name in names)


def run_curves(ledger: Ledger, run: RunRow) -> tuple[CurveView, ...]:
    """Return the curves that a run logged, scores first, at most `MOST_COMPARED`."""
    curves = [curve for curve in ledger.metrics.of_runs([run.id]) if not is_class_score(curve)]
    names = sorted({curve.name for curve in curves}, key=lambda name: (name.startswith("train/"), name))
    owners = {run.id: (run.id, run)}
    return tuple(
        CurveView(name=name, arms=arm_curves(curves, name, owners, [run.id])) for name in names[:MOST_COMPARED]
    )


def is_class_score(curve: Curve) -> bool:
    """Tell whether a curve is one class's score, `val/plain/iou/car`: it has the last evaluation alone."""
    return curve.name.count("/") > 2 and len(curve.steps) == 1


def compare_view(ledger: Ledger, first: str, second: str, *, home: str = "") -> CompareView:
    """Return two runs side by side: settings that differ, scores and costs, and the curves both logged.

    Args:
        ledger: the ledger.
        first, second: ids, or beginnings that fit one run only.
        home: the way from the page to the lab's home.

    Raises:
        RecordError: an id fits no run, or several.
    """
    rows = (ledger.runs.get(first), ledger.runs.get(second))
    before, after = (plain_settings(ledger.runs.settings(row)) for row in rows)
    keys = [*before, *(key for key in after if key not in before)]
    scores = (_scores(ledger, rows[0]), _scores(ledger, rows[1]))
    changes = [
        ChangeView(key=key, old=before.get(key, ABSENT), new=after.get(key, ABSENT))
        for key in keys
        if before.get(key) != after.get(key)
    ]
    return CompareView(
        first=run_view(rows[0], home=home),
        second=run_view(rows[1], home=home),
        changes=tuple(changes),
        scores=(*_pairs(*scores), *_cost_pairs(*rows)),
        curves=_shared_curves(ledger, *rows),
        notes=(*_notes(*rows), *_versions(*scores)),
    )


def _scores(ledger: Ledger, run: RunRow) -> dict[str, Any]:
    """Scores as the run recorded them, and those it was given later."""
    return later_scores(ledger.files.bring(run), run.data) | dict(run.scores or {})


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[ScorePair]:
    names = [*first, *(name for name in second if name not in first)]
    return [
        ScorePair(
            name=name,
            first=_figure(first, name),
            second=_figure(second, name),
            comparable=comparable(name, first, second),
        )
        for name in names
    ]


def _cost_pairs(first: RunRow, second: RunRow) -> list[ScorePair]:
    same = _same_load(first, second)
    pairs = _pairs(first.cost or {}, second.cost or {})
    return [replace(pair, comparable=same or pair.name not in TIMES) for pair in pairs]


def _same_load(first: RunRow, second: RunRow) -> bool:
    return first.id == second.id or (load_of(first) is not None and load_of(first) == load_of(second))


def _versions(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...]:
    """Which scores were made by two versions of the evaluation."""
    names = [name for name in first if name.endswith(f"/{EVALUATOR}") and second.get(name, first[name]) != first[name]]
    return tuple(
        f"The evaluators of {name.rpartition('/')[0]} differ: versions {first[name]:g} and {second[name]:g}; "
        "its scores are not compared."
        for name in names
    )


def _figure(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) else None


def _shared_curves(ledger: Ledger, first: RunRow, second: RunRow) -> tuple[CurveView, ...]:
    curves = [curve for curve in ledger.metrics.of_runs([first.id, second.id]) if not is_class_score(curve)]
    owners = {run.id: (run.id, run) for run in (first, second)}
    logged = [{curve.name for curve in curves if curve.run == run.id} for run in (first, second)]
    names = sorted(logged[0] & logged[1])[:MOST_COMPARED]
    order = list(dict.fromkeys((first.id, second.id)))
    return tuple(CurveView(name=name, arms=arm_curves(curves, name, owners, order)) for name in names)


def _notes(first: RunRow, second: RunRow) -> tuple[str, ...]:
    """What makes the two runs hard to compare."""
    checks = (
        ("The seeds differ", first.seed, second.seed),
        ("The machines or versions differ", first.environment, second.environment),
        ("The code differs", first.code, second.code),
        ("The data differ", first.data, second.data),
    )
    notes = [f"{words}: {one} and {other}." for words, one, other in checks if one != other]
    if not _same_load(first, second) and first.state == second.state == "completed":
        notes.append("Times are not compared: the runs were trained in different launches, or under different loads.")
    return tuple(notes)


def _series(curve: Curve, run: RunRow, points: int | None) -> SeriesView:
    """A logged curve, evenly thinned to at most `points` positions, the first and the last among them."""
    places = list(range(len(curve.steps)))
    if points is not None and len(places) > points:
        places = [round(place * (len(places) - 1) / (points - 1)) for place in range(points)]
    x = tuple(float(curve.steps[place]) for place in places)
    return SeriesView(seed=run.seed, x=x, y=tuple(curve.values[place] for place in places), state=run.state)


def plain_settings(tree: Mapping[str, Any]) -> dict[str, str]:
    """Every plain value of expanded settings; the values of a command or function under their own names."""
    found = dict(_leaves(tree))
    own = {key: key.removeprefix("values.") for key in found if key.startswith("values.")}
    return {key if own.get(key, key) in found else own[key]: value for key, value in found.items()}


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every plain value of a recipe under its dotted key, written as JSON."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, list) and any(isinstance(value, dict) for value in tree):
        for index, value in enumerate(tree):
            yield from _leaves(value, f"{prefix}.{index}")
    else:
        yield prefix, json.dumps(tree)
