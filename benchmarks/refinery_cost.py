"""What a teacher costs: training steps with stored and with fresh teacher labels, as ratios to a plain step.

All networks are trained in one process and take turns of a few steps, so that whatever else the machine does meets them
alike. A step is all that the training loop does for it: batch, augmentation, forward, loss, backward, update.

    python benchmarks/refinery_cost.py --root FOLDER [--turns 15] [--steps 6] [--batch 128] [--compile]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ablata.base.overrides import override
from ablata.engine.hardware.memory import keep_memory
from ablata.engine.hardware.precision import choose_device, choose_precision
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.records.fingerprint import environment
from ablata.tasks.classification.task import Classify

ARMS = {
    "plain": (),
    "static": ("refine=refinement", "refine.teacher=static"),
    "dynamic": ("refine=refinement", "refine.teacher=dynamic"),
    "online (average)": ("refine=refinement", "refine.teacher=online", "refine.loss.label_weight=0.5",
                         "refine.teacher.start=0"),
    "online (peer)": ("refine=refinement", "refine.teacher=online", "refine.loss.label_weight=0.5",
                      "refine.teacher.start=0", "refine.teacher.source=peer"),
}  # fmt: skip


def stepper(recipe: Classify, context: RunContext) -> Callable[[int], float]:
    """Return a function that trains so many steps and returns the seconds they took."""
    torch.manual_seed(0)
    task = recipe.build(0, context)
    layout = torch.channels_last
    task.model = task.model.to(context.device).to(memory_format=layout).train()
    network = torch.compile(task.model) if recipe.compute.compile else task.model
    optimiser = recipe.optim.build(task.model, recipe.train.batch)
    precision = choose_precision(recipe.compute.precision, context.device)
    batches = task.batches(0, 10**6)
    done = 0

    def go(steps: int) -> float:
        nonlocal done
        began = time.perf_counter()
        for _ in range(steps):
            batch = task.augment(next(batches), done)
            with precision.autocast():
                loss = torch.stack(list(task.loss(network, batch).values())).sum()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            task.after_step(done)
            done += 1
        if context.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return go


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder of CIFAR-10's parquet files")
    parser.add_argument("--recipe", default="resnet20_cifar10")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--compile", action="store_true")
    asked = parser.parse_args()
    keep_memory()
    settings = [
        f"data.root={asked.root}",
        f"train.batch={asked.batch}",
        f"compute.compile={str(asked.compile).lower()}",
    ]
    plain = load_recipe(asked.recipe, settings)
    assert isinstance(plain, Classify)
    with tempfile.TemporaryDirectory() as home:
        cache, teacher = Path(home) / "cache", Path(home) / "teacher"
        quick = override(
            plain, ["train.epochs=null", "train.steps=1", "train.evaluate_every=0", "compute.compile=false"]
        )
        train(quick, 0, teacher, cache)
        context = RunContext(choose_device("auto"), cache, parent=teacher)
        runs = {name: stepper(override(plain, list(changes)), context) for name, changes in ARMS.items()}
        for run in runs.values():
            run(3)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(asked.turns):
            for name, run in runs.items():
                times[name].append(run(asked.steps) / asked.steps)
    middle = {name: statistics.median(found) for name, found in times.items()}
    ratios = {
        name: statistics.median(one / base for one, base in zip(found, times["plain"], strict=True))
        for name, found in times.items()
    }
    for name in middle:
        print(f"{name:18s} {1000 * middle[name]:7.1f} ms a step   {ratios[name]:.3f} of a plain step")
    machine = environment()
    print(
        json.dumps({"processor": machine["processor"], "threads": torch.get_num_threads(), "torch": torch.__version__})
    )


if __name__ == "__main__":
    main()
