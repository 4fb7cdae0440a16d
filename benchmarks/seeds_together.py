"""Many seeds at once: runs of one network trained together, beside the same runs trained one after the other.

Both ways train the same whole runs (first weights, steps, evaluations, checkpoints; no ledger) in one process, taking
turns; the figure is the median over turns. On a processor it is the processor time of one thread, so that a machine
with other work gives the same figures; on a GPU the wall time. One after the other is what a separate worker does with
its runs, start-up left out. Scores are compared too: on a processor they must be equal to the last digit.

Command: python benchmarks/seeds_together.py [--recipe digits resnet20] [--members 1 4 16] [--turns 3] [--root FOLDER]
         [--output PAGE.md] [--json FILE]
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ablata.engine.hardware.precision import choose_device
from ablata.engine.recipe import Recipe
from ablata.engine.together.group import train_together
from ablata.engine.train import TrainResult, train, training
from ablata.recipes.index import load_recipe
from ablata.records.fingerprint import environment

CACHE = Path.home() / ".cache" / "ablata-bench"


def recipe_of(name: str, root: str | None, steps: int) -> Recipe:
    """Return what is trained: the whole digits recipe, or some steps of ResNet-20."""
    if name == "digits":
        return load_recipe("digits", ())
    place = (f"data.root={root}",) if root else ()
    short = ("train.epochs=null", f"train.steps={steps}", "train.evaluate_every=0", "compute.precision=fp32")
    return load_recipe("resnet20_cifar10", (*place, *short, "compute.threads=1"))


def now(device: torch.device) -> float:
    """Return the time that counts on a device, in seconds."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def turn(recipe: Recipe, members: int, *, together: bool) -> tuple[float, list[TrainResult]]:
    """Train so many runs and return the seconds and what they delivered."""
    device = choose_device(recipe.compute.device)
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(seed) for seed in range(members)]
        began = now(device)
        if together:
            ended = train_together(
                [training(recipe, seed, place, CACHE, together=True) for seed, place in enumerate(places)]
            )
            results = [one.result for one in ended if one.result is not None]
        else:
            results = [train(recipe, seed, place, CACHE) for seed, place in enumerate(places)]
        return now(device) - began, results


def measure(name: str, recipe: Recipe, members: int, turns: int) -> dict[str, Any]:
    """Return the figures of one recipe and group size."""
    spent: dict[bool, list[float]] = {False: [], True: []}
    scores: dict[bool, list[dict[str, float]]] = {}
    for _ in range(turns):
        for together in (False, True):
            seconds, results = turn(recipe, members, together=together)
            spent[together].append(seconds)
            scores[together] = [result.scores for result in results]
    images = members * results[0].cost["steps"] * recipe.train.batch_size
    alone, joined = (statistics.median(spent[together]) for together in (False, True))
    found = {
        "recipe": name, "members": members, "turns": turns,
        "alone_seconds_per_run": alone / members, "together_seconds_per_run": joined / members,
        "alone_images_per_second": images / alone, "together_images_per_second": images / joined,
        "times_faster": alone / joined, "scores_equal": scores[False] == scores[True],
    }  # fmt: skip
    print(json.dumps(found), flush=True)
    return found


def page(rows: Sequence[dict[str, Any]], machine: str, what: str) -> str:
    """Return the table as Markdown."""
    lines = [
        f"Measured {datetime.date.today()} on {machine}, {what}, by `python benchmarks/seeds_together.py`.", "",
        "| recipe | members | alone, s a run | together, s a run | alone, images/s | together, images/s | times faster "
        "| scores equal |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {row['recipe']} | {row['members']} | {row['alone_seconds_per_run']:.2f} | "
        f"{row['together_seconds_per_run']:.2f} | {row['alone_images_per_second']:.0f} | "
        f"{row['together_images_per_second']:.0f} | {row['times_faster']:.2f} | "
        f"{'yes' if row['scores_equal'] else 'no'} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print; see the head of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", nargs="+", choices=("digits", "resnet20"), default=["digits", "resnet20"])
    parser.add_argument("--members", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="of ResNet-20")
    parser.add_argument("--root", help="folder of CIFAR-10")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in asked.recipe:
        recipe = recipe_of(name, asked.root, asked.steps)
        turn(recipe, 1, together=False)  # warms caches up
        rows += [measure(name, recipe, members, asked.turns) for members in asked.members]
    facts = environment()
    machine = ", ".join(map(str, facts.get("accelerators") or [facts.get("processor")]))
    cpu = choose_device("auto").type == "cpu"
    what = "processor time of one thread" if cpu else "wall time"
    if asked.json:
        asked.json.write_text(json.dumps({"machine": facts, "what": what, "rows": rows}, indent=1))
    text = page(rows, machine, what)
    print(text)
    if asked.output:
        asked.output.write_text(text)


if __name__ == "__main__":
    main()
