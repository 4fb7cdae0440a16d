"""The recipe resnet18_imagenette beside timm's own training script: images per second of training, and top-1.

The peer is a user's copy of huggingface/pytorch-image-models: its `train.py`, unchanged, with the `timm` beside it.
Both sides train ResNet-18 from scratch on the same files with the same seeds and settings, as `timm_flags` writes them
out: SGD with Nesterov momentum, the rate a cosine over all steps, no decay of biases and normalisation, label
smoothing, random resized crops by a bilinear filter, mirrored or not; centre crops to score. Both run in bf16,
channels_last, with as many reading processes; --compile compiles both. Ours is what the recipe has otherwise.

For every seed both run as two groups of processes that take turns of half a minute, the other one asleep, so that
neighbours on the machine slow both alike; seconds are those awake. Speed is counted from the end of the first epoch to
the last training step, which leaves out starting, compiling and scoring; the minutes in all leave out nothing.

Command: python benchmarks/timm_script.py --root FOLDER --peer FOLDER [--size 224] [--epochs 5] [--seeds 3]
         [--output PAGE.md]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablata.data.classification.image_folder import LAYOUT, ImageFolder, has_layout
from ablata.data.loading.locate import find_root
from ablata.engine.optim.optimisers import Sgd
from ablata.engine.reporting import Progress, Reporter
from ablata.engine.train import train
from ablata.losses.classification.cross_entropy import CrossEntropy
from ablata.recipes.index import load_recipe
from ablata.records.fingerprint import environment
from ablata.tasks.classification.task import Classify

TURN = 30.0
"""Seconds of a turn."""
CACHE = Path.home() / ".cache" / "ablata-bench"

THEIR_STEP = re.compile(r"Train: (\d+) \[\s*(\d+)/(\d+)")
THEIR_SCORE = re.compile(r"\*\*\* Best metric: ([\d.]+)")
OUR_STEP = re.compile(r"^step (\d+) of an epoch of (\d+)")
OUR_SCORE = re.compile(r"^score ([\d.]+)")


@dataclass(frozen=True)
class Settings:
    """What is asked for: the command line's options of the same names."""

    root: str
    size: int
    epochs: int
    threads: int
    workers: int
    compile: bool

    def recipe(self) -> Classify:
        """Return our recipe, changed to what timm's script can do too."""
        recipe = load_recipe(
            "resnet18_imagenette",
            [
                f"data.root={self.root}",
                f"data.size={self.size}",
                f"data.resize={round(self.size * 256 / 224)}",
                f"data.workers={self.workers}",
                f"train.epochs={self.epochs}",
                "train.evaluate_every=0",
                "schedule.warmup=null",
                "optim.groups.no_decay_norm_and_bias=true",
                f"compute.threads={self.threads}",
                f"compute.compile={self.compile}",
                "compute.precision=bf16",
            ],
        )
        assert isinstance(recipe, Classify)
        return recipe


def timm_flags(recipe: Classify, compiled: bool) -> list[str]:
    """Return the same training in the words of timm's script."""
    data, optim, loss = recipe.data, recipe.optim, recipe.loss
    assert isinstance(data, ImageFolder)
    assert isinstance(optim, Sgd)
    assert isinstance(loss, CrossEntropy)
    settings = {
        "model": "resnet18",
        "num-classes": 10,
        "img-size": data.size,
        "scale": f"{data.scale[0]} {data.scale[1]}",
        "ratio": f"{data.ratio[0]} {data.ratio[1]}",
        "hflip": 0.5,
        "color-jitter": 0,
        "train-interpolation": "bilinear",
        "interpolation": "bilinear",
        # Half a pixel more than the side wanted, since timm rounds size / crop-pct down.
        "crop-pct": data.size / (data.resize + 0.5),
        "batch-size": recipe.train.batch,
        "validation-batch-size": recipe.train.evaluate_batch,
        "epochs": f"{recipe.train.epochs:g}",
        "val-interval": f"{recipe.train.epochs:g}",
        "opt": "sgd",
        "momentum": optim.momentum,
        "weight-decay": optim.weight_decay,
        "lr": optim.scaled_lr(recipe.train.batch)[0],
        "sched": "cosine",
        "min-lr": 0,
        "warmup-epochs": 0,
        "smoothing": loss.smoothing,
        "workers": data.workers,
        "checkpoint-hist": 1,
        "device": "cpu",
        "amp-dtype": "bfloat16",
    }
    flags = [word for name, value in settings.items() for word in (f"--{name}", *str(value).split())]
    return [*flags, "--sched-on-updates", "--amp", "--channels-last", *(["--torchcompile"] if compiled else [])]


class Speaker(Reporter):
    """Says how many steps are done."""

    def start(self, facts: dict[str, Any]) -> None:
        """Keep the length of an epoch."""
        self.epoch: int = facts["steps_per_epoch"]

    def progress(self, progress: Progress) -> None:
        """Print a line that `Runner` reads."""
        print(f"step {progress.step} of an epoch of {self.epoch}", flush=True)


def run_ours(recipe: Classify, seed: int) -> None:
    """Train once, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(recipe, seed, Path(folder), CACHE, Speaker())
    print(f"score {outcome.scores['val/plain/top1']}", flush=True)


@dataclass
class Runner:
    """A process and its workers, which sleep between their turns.

    Attributes:
        seconds: awake so far.
        marks: steps done, and seconds awake when that was said.
        score: top-1 in percent, once it is known.
        epoch: steps of an epoch.
    """

    process: subprocess.Popen[str]
    seconds: float = 0.0
    marks: list[tuple[int, float]] = field(default_factory=list)
    score: float = float("nan")
    epoch: int = 0
    lines: list[str] = field(default_factory=list)
    _since: float | None = None

    @staticmethod
    def start(command: list[str], folder: Path, threads: int) -> Runner:
        """Start it, asleep."""
        environ = os.environ | {"OMP_NUM_THREADS": str(threads)}
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.killpg(process.pid, signal.SIGSTOP)
        runner = Runner(process)
        threading.Thread(target=runner._listen, daemon=True).start()
        return runner

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := THEIR_STEP.search(line):
                epoch, step, self.epoch = map(int, found.groups())
                self.marks.append((epoch * self.epoch + step + 1, self._awake()))
            elif found := OUR_STEP.search(line):
                step, self.epoch = map(int, found.groups())
                self.marks.append((step, self._awake()))
            elif found := THEIR_SCORE.search(line) or OUR_SCORE.search(line):
                self.score = float(found[1])

    def _awake(self) -> float:
        return self.seconds + (time.perf_counter() - self._since if self._since is not None else 0.0)

    def turn(self, longest: float) -> bool:
        """Let it run for a while; return whether it goes on after that."""
        self._since = time.perf_counter()
        os.killpg(self.process.pid, signal.SIGCONT)
        try:
            self.process.wait(longest)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGSTOP)
        self.seconds, self._since = self._awake(), None
        if self.process.returncode:
            raise RuntimeError("".join(self.lines[-30:]))
        return self.process.returncode is None

    def images_per_second(self, batch: int) -> float:
        """Return the speed of training from the end of the first epoch on."""
        (first, began), *_, (last, ended) = [mark for mark in self.marks if mark[0] >= self.epoch]
        return (last - first) * batch / (ended - began)


@dataclass(frozen=True)
class Result:
    """One run: top-1 in percent, images per second, minutes in all, mean load of the machine meanwhile."""

    top1: float
    speed: float
    minutes: float
    load: float


def measure(settings: Settings, peer: Path, seed: int) -> tuple[Result, Result]:
    """Run both sides in turns with one seed; return ours and theirs."""
    recipe = settings.recipe()
    asked = [f"--{name}={value}" for name, value in vars(settings).items() if name != "compile"]
    own = [sys.executable, str(Path(__file__).resolve()), "--role", f"--seed={seed}", *asked]
    own += ["--compile"] if settings.compile else []
    root = find_root(settings.root, default=None, fits=has_layout, layout=LAYOUT, cache=CACHE)
    loads: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        flags = [*timm_flags(recipe, settings.compile), f"--seed={seed}", f"--output={folder}", "--experiment=run"]
        theirs = [sys.executable, str(peer.resolve() / "train.py"), str(root.resolve()), *flags]
        runners = [
            Runner.start(command, where, settings.threads)
            for command, where in ((own, Path.cwd()), (theirs, Path(folder)))
        ]
        waiting = list(runners)
        try:
            while waiting:
                loads.append(os.getloadavg()[0])
                waiting = [runner for runner in waiting if runner.turn(TURN)]
        finally:
            for runner in waiting:
                os.killpg(runner.process.pid, signal.SIGKILL)
    load = statistics.mean(loads)
    ours, others = (
        Result(runner.score, runner.images_per_second(recipe.train.batch), runner.seconds / 60, load)
        for runner in runners
    )
    return ours, others


def report(pairs: list[tuple[int, Result, Result]], settings: Settings, version: str) -> str:
    """Return the page: every run, means, differences."""
    here = environment()
    rows = [
        f"| {seed} | {own.top1:.1f} | {other.top1:.1f} | {own.speed:.1f} | {other.speed:.1f} | "
        f"{own.speed / other.speed:.2f} | {own.minutes:.1f} | {other.minutes:.1f} | {own.load:.1f} |"
        for seed, own, other in pairs
    ]
    gains = [own.top1 - other.top1 for _, own, other in pairs]
    error = f" (standard error {statistics.stdev(gains) / len(gains) ** 0.5:.1f})" if len(gains) > 1 else ""
    ratios = [own.speed / other.speed for _, own, other in pairs]
    compiled = " --compile" if settings.compile else ""
    command = (
        f"python benchmarks/timm_script.py --root FOLDER --peer FOLDER --size {settings.size} "
        f"--epochs {settings.epochs} --seeds {len(pairs)}{compiled}"
    )
    return "\n".join(
        [
            f"# resnet18_imagenette beside timm's training script, {settings.size} pixels, {settings.epochs} epochs",
            "",
            f"{datetime.date.today()}, {here['processor']}, {here['cores']} cores, torch {here['libraries']['torch']}, "
            f"timm {version}.",
            f"Command: `{command}`",
            "",
            "| seed | top-1, ours | timm | images/s, ours | timm | ratio | minutes, ours | timm | load |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
            f"Training steps, ours / timm's: **{statistics.mean(ratios):.2f} times** the images a second.",
            f"Top-1 on val, ours - timm's, mean over seeds: **{statistics.mean(gains):+.1f} points**{error}.",
            "",
            f"Batch 64, bf16, channels_last, {settings.threads} threads, {settings.workers} reading processes on both",
            "sides, which take turns of half a minute. Speed leaves out the first epoch and scoring; the minutes leave",
            "out nothing. timm's flags:",
            "",
            f"    {' '.join(timm_flags(settings.recipe(), settings.compile))}",
            "",
        ]
    )


def peer_version(peer: Path) -> str:
    """Return what the copy of timm calls itself."""
    found = re.search(r"__version__ = '(.*)'", (peer / "timm" / "version.py").read_text(encoding="utf-8"))
    return found[1] if found else "of an unknown version"


def main() -> None:
    """Measure, print after every seed, and write a Markdown page."""
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder or zip of train/CLASS and val/CLASS")
    parser.add_argument("--peer", type=Path, help="a copy of huggingface/pytorch-image-models")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=5, help="at least 2: the first is not timed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--threads", type=int, default=cores)
    parser.add_argument("--workers", type=int, default=cores, help="reading processes")
    parser.add_argument("--compile", action="store_true", help="compile both sides")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--role", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    settings = Settings(given.root, given.size, given.epochs, given.threads, given.workers, given.compile)
    if given.role:
        run_ours(settings.recipe(), given.seed)
        return
    if given.epochs < 2:
        parser.error("--epochs must be at least 2: the first one is not timed")
    if given.peer is None or not ((given.peer / "train.py").is_file() and (given.peer / "timm").is_dir()):
        parser.error("--peer must be a copy of huggingface/pytorch-image-models, with train.py and timm/")
    pairs = []
    for seed in range(given.seed, given.seed + given.seeds):
        pairs.append((seed, *measure(settings, given.peer, seed)))
        print(json.dumps([seed, vars(pairs[-1][1]), vars(pairs[-1][2])]), flush=True)
    page = report(pairs, settings, peer_version(given.peer))
    print(page)
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
