"""Score a finished run's model again: other split, best checkpoint, every class, every sample."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ablata.base.errors import CheckpointError, SettingsError
from ablata.base.files import atomic_path, write_text
from ablata.base.overrides import override
from ablata.base.settings import settings_hash
from ablata.engine.checkpoints import load_run_checkpoint, refuse_mismatch
from ablata.engine.hardware.precision import choose_device, choose_precision
from ablata.engine.recipe import Recipe
from ablata.engine.task import EvalReport, RunContext, Task
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.records.run_folder.evaluations import StoredEvaluation, write_evaluation
from ablata.studies.identity import cache_folder, data_again, restore_run


@dataclass(frozen=True)
class Evaluation:
    """Scores of one checkpoint.

    Args:
        run: the run's id.
        checkpoint: `last` or `best`.
        scores: by `split/protocol/name`, as the run records them.
        data: fingerprint of the data they were taken on.
        run_data: fingerprint of the data that the run was trained and scored on.
        classes: class names.
        class_metric: what `class_scores` are: `accuracy`, `iou` or `AP`.
        class_scores: percent for each class, nan for one that the split does not hold.
        confusion: confusion matrix, counts, true classes in rows; empty where the task has none.
        confusion_classes: names of its rows and columns; a detector's background is the last.
        class_details: further numbers of each class by name, such as precision, in percent.
        not_kept: why the scores could not be kept with the run, as where its home can only be read; empty: they are.
    """

    run: str
    checkpoint: str
    scores: dict[str, float]
    data: str
    run_data: str
    classes: tuple[str, ...]
    class_metric: str
    class_scores: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    confusion_classes: tuple[str, ...] = ()
    class_details: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    not_kept: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return everything that there is JSON-safe; a class without samples has null."""
        columns = {self.class_metric: self.class_scores} | dict(self.class_details)
        told: dict[str, Any] = {"run": self.run, "checkpoint": self.checkpoint, "scores": self.scores}
        told |= {"data": self.data, "run_data": self.run_data, "kept": not self.not_kept}
        for name, values in columns.items():
            each = [None if value != value else value for value in values]
            told |= {f"class_{name}": dict(zip(self.classes, each, strict=True))} if name else {}
        if self.confusion:
            told["confusion_classes"] = list(self.confusion_classes or self.classes)
            told["confusion"] = [list(row) for row in self.confusion]
        return told

    def data_words(self) -> str:
        """Say on which data the scores were taken, and whether those are the run's."""
        if self.data == self.run_data:
            return f"scored on the run's own data ({self.data})"
        return (
            f"scored on other data ({self.data}) than run {self.run} was trained and scored on ({self.run_data}): "
            "these scores are not compared with its own"
        )

    def class_rows(self) -> list[tuple[str, float, str]]:
        """Return class, score, and the class it is most often taken for with the count."""
        rows = []
        for position, (name, score) in enumerate(zip(self.classes, self.class_scores, strict=True)):
            row = self.confusion[position] if self.confusion else ()
            names = self.confusion_classes or self.classes
            wrong = {names[other]: count for other, count in enumerate(row) if other != position and count}
            worst = max(wrong, key=lambda other: wrong[other], default=None)
            rows.append((name, score, f"{worst} ({wrong[worst]})" if worst is not None else "-"))
        return rows


def evaluate_run(
    ledger: Ledger,
    run_id: str,
    overrides: Sequence[str] = (),
    *,
    protocols: Sequence[str] | None = None,
    split: str = "val",
    which: str = "last",
    weights: str = "eval",
    save_to: Path | None = None,
    score_threshold: float | None = None,
    trust_code: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Score a checkpoint of a run, and keep the scores with it.

    Args:
        ledger: holds the run.
        run_id: its id or a beginning of it.
        overrides: changes of incidental settings (where the data lies); others would make it another model.
        protocols: how to score, any that the task offers; None takes all of the recipe's. Classes and samples are those
            of the first.
        split: what to score on.
        which: `last` or `best`.
        weights: `eval`, the EMA weights where the run keeps them; or `raw`, whose scores then begin with `raw/`.
        save_to: write index, label and logits (or features, or predicted labels) of every sample to this .npz; or, of a
            detector, every detection to this .json in COCO's form of results, under the set's own image ids.
        score_threshold: of a detector, score from which detections count in precision, recall and the confusion matrix;
            None: 0.5.
        trust_code: whether code that came with an imported run may be run.
        say: called with a line about the user's code that is run.

    Raises:
        UserError: no such run or checkpoint, or the data at hand does not fit it; both sides are named.
    """
    run = ledger.runs.get(run_id)
    recipe = _same_but_place(restore_run(ledger, run, trust=trust_code, say=say), overrides)
    if which not in ("last", "best"):
        raise SettingsError("--checkpoint must be last or best", found=which, do="--checkpoint best, or leave it out")
    if weights not in ("eval", "raw"):
        raise SettingsError("--weights must be eval or raw", found=weights, do="--weights raw, or leave it out")
    folder, device = ledger.files.bring(run, weights=True), choose_device(recipe.compute.device)
    saved, path = load_run_checkpoint(folder, which)
    context = RunContext(device, cache_folder(ledger), channels_last=recipe.compute.channels_last)
    data = data_again(recipe, run, context.cache)
    task = recipe.build(run.seed, context)
    _match(task, saved.facts["contract"], split, f"run {run.id}, {which} checkpoint")
    if save_to is not None and save_to.suffix == ".json" and not task.results_format:
        raise SettingsError(
            "A .json of predictions is for detectors; others write an .npz",
            found=str(save_to),
            do=f"--save-predictions {save_to.with_suffix('.npz')}",
        )
    if score_threshold is not None:
        task.score_at(score_threshold)
    for name in protocols or ():
        task.check_protocol(name)
    model = _with_weights(task.model, saved.weights(raw=weights == "raw"), path, device)
    if recipe.compute.channels_last:
        model = model.to(memory_format=torch.channels_last)
    with torch.no_grad(), choose_precision(recipe.compute.precision, device).autocast():
        first, *others = dict.fromkeys(protocols or task.protocols)
        found = task.evaluate_detailed(model, split, samples=save_to is not None, protocol=first)
        totals = {first: found.scores}
        totals |= {name: task.evaluate_detailed(model, split, protocol=name).scores for name in others}
    data = "+".join(filter(None, (data, task.split_fingerprint(split))))
    if save_to is not None:
        _save(save_to, found)
    before = "raw/" if saved.averages and weights == "raw" else ""
    scores = {f"{before}{split}/{name}/{key}": value for name, total in totals.items() for key, value in total.items()}
    step = int(saved.facts["step"])
    stored = (
        StoredEvaluation(which, weights, step, split, name, scores_of, _now(), data, tuple(overrides))
        for name, scores_of in totals.items()
    )
    not_kept = _keep(ledger, run, folder, stored)
    return Evaluation(
        run.id, which, scores, data, run.data,
        found.classes, found.class_metric, found.class_scores, found.confusion,
        found.confusion_classes, found.class_details, not_kept,
    )  # fmt: skip


def _keep(ledger: Ledger, run: RunRow, folder: Path, found: Iterable[StoredEvaluation]) -> str:
    """Keep evaluations in the folder of their run; return what kept them from it, as they are of use without."""
    try:
        for one in found:
            write_evaluation(folder, one)
        if run.state != "running":
            ledger.files.keep(run)
    except OSError as error:
        return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    return ""


def _match(task: Task[Any], promised: Mapping[str, Any], split: str, of_what: str) -> None:
    """Refuse data or a protocol that do not fit what a checkpoint was trained on; both sides are named."""
    task.match_contract(promised)
    # Which images were held out of the training set matters where those are scored.
    unasked = {"splits"} if split in ("val", "test") else set()
    here = {key: value for key, value in task.contract().items() if key not in unasked}
    refuse_mismatch(promised, here, of_what)


def _with_weights(model: nn.Module, weights: Mapping[str, torch.Tensor], path: Path, device: torch.device) -> nn.Module:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            "The checkpoint must fit the network", found=f"{path}: {error}",
            do="evaluate it with the code and settings that it was trained with",
        ) from None  # fmt: skip
    return model.to(device).eval()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _same_but_place(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    changed = override(recipe, overrides)
    if settings_hash(changed) != settings_hash(recipe):
        raise SettingsError(
            "An evaluation may change where things are, not what was trained", found=" ".join(overrides),
            do="train a run with these settings instead",
        )  # fmt: skip
    return changed


def _save(path: Path, found: EvalReport) -> None:
    if path.suffix == ".json":
        write_text(path, json.dumps(list(found.results or ())) + "\n")
        return
    named: dict[str, Any] = {name: tensor.numpy() for name, tensor in found.samples.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **named, classes=np.array(found.classes))
