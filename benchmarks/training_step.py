"""ResNet-20 training on the processor: this engine beside plain PyTorch, and the engine's own overhead.

Three processes take turns on the same images, the others asleep; the figure is the median over turns:

    plain    the same network and step in fp32, contiguous memory, the C allocator as it is: what one writes first
    bare     the same step as the engine's (bf16, channels_last, compiled if asked), written out, no duties
    engine   `ablata.engine.loop.train_steps`, with watchdogs, logging and everything else

Command: python benchmarks/training_step.py --root FOLDER [--compile] [--turns 9] [--output PAGE.md]
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch

from ablata.engine.hardware.memory import keep_memory
from ablata.engine.hardware.precision import choose_device, choose_precision
from ablata.engine.hardware.timer import Clock
from ablata.engine.loop import train_steps
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train_state import TrainState
from ablata.recipes.index import load_recipe
from ablata.records.fingerprint import environment
from ablata.tasks.classification.task import ClassifyTask

BATCH = 256
STEPS = 20


def session_of(root: str, settings: list[str], folder: Path) -> TrainState:
    """Build a session that evaluates and saves nothing while it is timed."""
    recipe = load_recipe(
        "resnet20_cifar10",
        [
            f"data.root={root}",
            f"train.batch={BATCH}",
            "train.evaluate_every=0",
            "train.checkpoint_seconds=1e9",
            *settings,
        ],
    )
    torch.manual_seed(0)
    cache = Path.home() / ".cache" / "ablata-bench"
    session = TrainState(recipe, 0, folder, RunContext(choose_device("auto"), cache), Reporter())
    session.model.train()
    return session


def bare_step(session: TrainState) -> Callable[[int], None]:
    """Return the engine's step without its duties: same model, batches, augmentation, optimiser and precision."""
    task = session.task
    assert isinstance(task, ClassifyTask)

    def run(steps: int) -> None:
        batches = task.batches(session.step, session.step + steps)
        for _ in range(steps):
            batch = task.augment(next(batches), session.step)
            with session.precision.autocast():
                loss = task.criterion(session.network(batch.images)["logits"], batch.labels)
            loss.backward()
            session.optimiser.step()
            session.optimiser.zero_grad(set_to_none=True)
            session.step += 1

    return run


def engine_step(session: TrainState) -> Callable[[int], None]:
    """Return the engine's own loop over a number of steps, without the evaluation and checkpoint at its end."""
    session.evaluate = lambda: None  # type: ignore[method-assign]
    session.save = lambda which: None  # type: ignore[method-assign]
    end = session.total

    def run(steps: int) -> None:
        session.total = session.step + steps
        train_steps(session)
        session.total = end
        session.clock = Clock(end, 0)

    return run


def serve(role: str, root: str, compiled: bool) -> None:
    """Run one turn for every line that comes in, and answer with its images per second."""
    slow = ["compute.precision=fp32", "compute.channels_last=false"]
    if role != "plain":
        keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        session = session_of(root, slow if role == "plain" else [f"compute.compile={compiled}"], Path(folder))
        run = engine_step(session) if role == "engine" else bare_step(session)
        run(6)
        print("ready", flush=True)
        for _ in sys.stdin:
            started = time.perf_counter()
            run(STEPS)
            print(STEPS * BATCH / (time.perf_counter() - started), flush=True)


def measure(root: str, compiled: bool, turns: int) -> dict[str, list[float]]:
    """Let the three processes take turns; return images per second of each turn."""
    rates: dict[str, list[float]] = {"plain": [], "bare": [], "engine": []}
    command = [sys.executable, __file__, "--root", root, *(["--compile"] if compiled else []), "--role"]
    with ExitStack() as stack:
        processes = {}
        for role in rates:
            process = subprocess.Popen([*command, role], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes[role] = stack.enter_context(process)
            assert process.stdout is not None
            process.stdout.readline()
        for _ in range(turns):
            for role, process in processes.items():
                assert process.stdin is not None
                assert process.stdout is not None
                print("go", file=process.stdin, flush=True)
                rates[role].append(float(process.stdout.readline()))
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.close()
    return rates


def main() -> None:
    """Measure and print a Markdown page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder of the CIFAR-10 parquet files")
    parser.add_argument("--compile", action="store_true", help="compile the bare and the engine's model")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--role", choices=("plain", "bare", "engine"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        serve(arguments.role, arguments.root, arguments.compile)
        return
    rates = measure(arguments.root, arguments.compile, arguments.turns)
    page = report(rates, arguments.compile, choose_precision("auto", choose_device("auto")).name)
    print(page)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(page)


def report(rates: dict[str, list[float]], compiled: bool, precision: str) -> str:
    """Return the page: medians, ranges, ratios of turns."""
    here = environment()
    rows = [
        f"| {name} | {statistics.median(values):,.0f} | {min(values):,.0f} to {max(values):,.0f} |"
        for name, values in rates.items()
    ]
    speedup = statistics.median(e / p for e, p in zip(rates["engine"], rates["plain"], strict=True))
    overhead = statistics.median(b / e - 1 for b, e in zip(rates["bare"], rates["engine"], strict=True))
    flag = " --compile" if compiled else ""
    return "\n".join(
        [
            f"# Training step, ResNet-20, batch {BATCH}, {precision}{', compiled' if compiled else ''}",
            "",
            f"{datetime.date.today()}, {here['processor']}, {here['cores']} cores, torch {here['libraries']['torch']}.",
            f"Command: `python benchmarks/training_step.py --root FOLDER{flag}`",
            "",
            "| loop | images/s, median | range |",
            "|---|---|---|",
            *rows,
            "",
            f"Engine beside plain fp32: **{speedup:.2f} times** the images a second.",
            f"Engine beside the bare loop: **{100 * overhead:+.1f}%** time (median over turns).",
            "",
        ]
    )


if __name__ == "__main__":
    main()
