"""One of two processes that train together: the test beside it starts `python FILE FOLDER` with torchrun's variables.

FOLDER/trainings.json holds {name: [recipe, override, ...]}; this process writes what it saw to FOLDER/rankN.json.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ablata.base.errors import AblataError
from ablata.base.files import Fence
from ablata.engine import train_state
from ablata.engine.checkpoints import Checkpoint
from ablata.engine.hardware.process_group import from_environment, process_group
from ablata.engine.reporting import MetricRow, Reporter
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.structures.batch import ImageBatch
from ablata.tasks.classification.task import ClassifyTask


class Rows(Reporter):
    """Keeps the points of the curves and what is said at the start; asks to stop after the given number of steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after, self.asked = stop_after, 0
        self.rows: list[MetricRow] = []
        self.facts: dict[str, Any] = {}

    def start(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        self.rows += rows

    def stop_reason(self) -> str | None:
        self.asked += 1
        return "asked" if self.asked == self.stop_after else None


def attempt(found: dict[str, Any], name: str, *arguments: Any) -> None:
    """Train something that is expected to end early, and keep how it did."""
    try:
        train(*arguments)
    except AblataError as error:
        found[name] = {"kind": type(error).__name__, "error": str(error)}


def count_checkpoints() -> list[Path]:
    """Return the list to which every checkpoint that this process writes is added."""
    written, plain = [], train_state.save_checkpoint

    def save(path: Path, checkpoint: Checkpoint, fence: Fence) -> None:
        written.append(path)
        plain(path, checkpoint, fence)

    train_state.save_checkpoint = save
    return written


def poison(rank: int) -> None:
    """Spoil the loss of step 2 on one process."""
    plain_loss, plain_augment, now = ClassifyTask.loss, ClassifyTask.augment, {"step": 0}

    def augment(self: ClassifyTask, batch: ImageBatch, step: int) -> ImageBatch:
        now["step"] = step
        return plain_augment(self, batch, step)

    def loss(self: ClassifyTask, model: nn.Module, batch: ImageBatch) -> dict[str, Tensor]:
        factor = float("nan") if now["step"] == 2 and self.context.group.rank == rank else 1.0
        return {name: term * factor for name, term in plain_loss(self, model, batch).items()}

    ClassifyTask.augment, ClassifyTask.loss = augment, loss  # type: ignore[method-assign]


def gloo_threads() -> int:
    """Count the threads in which gloo moves tensors."""
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    return sum("gloo" in name for name in names)


def main(folder: Path) -> None:
    """Train everything asked for, and look at how the samples of an evaluation are shared out."""
    torch.set_num_threads(1)
    place, cpu, found = from_environment(), torch.device("cpu"), {}
    written = count_checkpoints()
    with process_group(place, cpu):
        for name, (reference, *overrides) in json.loads((folder / "trainings.json").read_text()).items():
            listener = Rows()
            run = folder / name if place.is_main else folder / "nobody writes here"
            try:
                outcome = train(load_recipe(reference, overrides), 3, run, folder / "cache", listener, place)
            except AblataError as error:
                found[name] = {"error": str(error)}
                continue
            found[name] = {"rows": listener.rows, "facts": listener.facts, "scores": outcome.scores}
        reference, *overrides = json.loads((folder / "trainings.json").read_text())["rich"]
        cut = [load_recipe(reference, overrides), 3, folder / "cut", folder / "cache"]
        attempt(found, "cut", *cut, Rows(stop_after=3), place)
        train(*cut, Rows(), place)
        sharded = json.loads((folder / "trainings.json").read_text())["sharded"]
        for name, further in (("sharded cut", []), ("unsharded", ["compute.shard=false"])):
            asked = [load_recipe(sharded[0], [*sharded[1:], *further]), 3, folder / name, folder / "cache"]
            attempt(found, name, load_recipe(sharded[0], sharded[1:]), *asked[1:], Rows(stop_after=3), place)
            if place.is_main and not further:
                shutil.copytree(folder / name, folder / f"{name} at 3")
            train(*asked, Rows(), place)
        recipe = load_recipe("digits", ["data.val=501", "train.evaluate_batch=64"])
        task = recipe.build(3, RunContext(cpu, folder / "cache", place))
        assert isinstance(task, ClassifyTask)
        loader = task.data.eval_loader("val", 64, rank=place.rank, world_size=place.world_size)
        with torch.no_grad():
            counted = int(task.score(task.model.eval(), "val", "plain").confusion().sum())
        found["evaluation"] = {"index": [int(one) for batch in loader for one in batch.index], "counted": counted}
        found["collectives"] = {
            "any": [place.any(place.rank == 1), place.any(False)],
            "shared": place.broadcast_object({"rank": place.rank, "text": "größer"}),
            "sum": place.all_reduce_sum(torch.tensor([place.rank + 1.0, 2.0])).tolist(),
        }
        found["written"] = [path.relative_to(folder).as_posix() for path in written]
        poison(rank=1)
        reference, *overrides = json.loads((folder / "trainings.json").read_text())["plain"]
        poisoned = load_recipe(reference, [*overrides, "train.log_every=5", "train.checkpoint_seconds=1e-9"])
        attempt(found, "poisoned", poisoned, 3, folder / "poisoned", folder / "cache", Rows(), place)
        found["threads in the group"] = gloo_threads()
    found["threads after the group"] = gloo_threads()
    (folder / f"rank{place.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
