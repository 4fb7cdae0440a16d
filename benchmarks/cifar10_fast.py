"""The recipe cifar10_fast beside the public airbench94 on the same processor: time to the test score, and the score.

The peer is a user's copy of `airbench94_muon.py` or `legacy/airbench94.py` of KellerJordan/cifar10-airbench, as it is
published. It is written for CUDA; `ADAPTED` lists all that is changed to run it on a processor in bf16.

For every seed, ours and theirs run as two processes that take turns of half a minute, the other one asleep, so that
neighbours on the machine slow both alike. Counted is the time awake, from the decoded images on the disk to the last
test score: building the model, whitening, training, scoring with mirrored and moved views, for ours also checks,
checkpoints and the plain score. Not counted: starting Python, importing, decoding the JPEG files.

Command: python benchmarks/cifar10_fast.py --root FOLDER --peer FILE [--seeds 2] [--threads 1] [--output PAGE.md]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ablata.data.loading.in_memory import InMemoryDataset
from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.records.fingerprint import environment
from ablata.tasks.classification.task import Classify

TURN = 30.0
"""Seconds of a turn."""
CACHE = Path.home() / ".cache" / "ablata-bench"

ADAPTED = (
    ("@torch.compile\n", ""),
    ('    model.compile(mode="max-autotune")\n', ""),
    (".half()", ".bfloat16()"),
    ("torch.half", "torch.bfloat16"),
    (".cuda()", ""),
    ('torch.device("cuda")', '"cpu"'),
    ("torch.device(gpu)", '"cpu"'),
    ("torch.cuda.Event(enable_timing=True)", "_Event()"),
    ("torch.cuda.synchronize()", "None"),
    # Scores on the way are not counted in the public figure.
    ("val_acc = evaluate(model, test_loader, tta_level=0)", "val_acc = None"),
)
"""What is replaced in the peer's file: bf16 for fp16, another clock, and no compiling, which is slower here."""

BEFORE = """
class _Event:
    def record(self):
        import time
        self.at = time.perf_counter()
    def elapsed_time(self, later):
        return 1e3 * (later.at - self.at)
"""
"""Put before the peer's file: a clock that needs no GPU."""


@dataclass(frozen=True)
class Result:
    """One run: seconds awake, top-1 in percent with mirrored and moved views, mean load of the machine."""

    seconds: float
    score: float
    load: float


def recipe_of(root: str, overrides: list[str]) -> Classify:
    """Return the recipe with the data's place and any other changes."""
    recipe = load_recipe("cifar10_fast", [f"data.root={root}", *overrides])
    assert isinstance(recipe, Classify)
    return recipe


def run_ours(root: str, seed: int, overrides: list[str]) -> None:
    """Train once, in this process; says `ready` before and the score after."""
    recipe = recipe_of(root, overrides)
    with tempfile.TemporaryDirectory() as folder:
        print("ready", flush=True)
        outcome = train(recipe, seed, Path(folder), CACHE)
    print(f"score {outcome.scores['val/mirror_translate/top1']}", flush=True)


def adapted(peer: Path, seed: int) -> str:
    """Return the peer's program, changed to run once with a seed on the processor and to say when it is ready."""
    text = peer.read_text(encoding="utf-8")
    body, _, _ = text.partition('if __name__ == "__main__":')
    for old, new in ADAPTED:
        body = body.replace(old, new)
    model = ", CifarNet().to(memory_format=torch.channels_last)" if "class CifarNet" in body else ""
    start = f"torch.manual_seed({seed})\nprint('ready', flush=True)\nprint('score', 100 * main(0{model}), flush=True)\n"
    return BEFORE + body + start


def write_peer(folder: Path, peer: Path, seed: int, data: InMemoryDataset) -> list[str]:
    """Lay out the peer's program and its data; return the command."""
    (folder / "cifar10").mkdir()
    for split, name in (("train", "train.pt"), ("val", "test.pt")):
        images = data.reader(split, training=False, seed=0, device=torch.device("cpu")).images  # type: ignore[attr-defined,arg-type]
        labels = data.split_labels(split)
        # The peer whitens the first images, and the parquet files are sorted by class: the published order is random.
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        torch.save(
            {
                "images": images.permute(0, 2, 3, 1)[order].contiguous(),
                "labels": labels[order],
                "classes": list(data.classes),
            },
            folder / "cifar10" / name,
        )
    (folder / "peer.py").write_text(adapted(peer, seed), encoding="utf-8")
    return [sys.executable, "peer.py"]


class Runner:
    """A process that sleeps between its turns.

    Args:
        command: prints `ready` when it begins what is counted, and `score NUMBER` at its end.
        folder: where it runs.
        threads: processor threads.
    """

    def __init__(self, command: list[str], folder: Path, threads: int) -> None:
        environ = os.environ | {"OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
        self.seconds, self.score = 0.0, float("nan")
        self.loads: list[float] = []
        self._until("ready")
        self.process.send_signal(signal.SIGSTOP)

    def _until(self, word: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line
        raise RuntimeError(f"the process ended with {self.process.wait()} before it said {word!r}")

    def turn(self, longest: float) -> bool:
        """Let it run for a while; return whether it goes on after that."""
        self.process.send_signal(signal.SIGCONT)
        started = time.perf_counter()
        try:
            self.process.wait(longest)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGSTOP)
        self.seconds += time.perf_counter() - started
        self.loads.append(os.getloadavg()[0])
        if self.process.returncode is not None:
            self.score = float(self._until("score").split()[1])
        return self.process.returncode is None

    def result(self) -> Result:
        """Return what was measured."""
        return Result(self.seconds, self.score, statistics.mean(self.loads))


def measure(root: str, peer: Path, seed: int, threads: int, overrides: list[str]) -> tuple[Result, Result]:
    """Run both sides in turns with one seed; return ours and theirs."""
    here = Path.cwd()
    own = [sys.executable, str(Path(__file__).resolve()), "--root", root, "--seed", str(seed), "--role", *overrides]
    data = recipe_of(root, overrides).data.build(CACHE)
    assert isinstance(data, InMemoryDataset)
    with tempfile.TemporaryDirectory() as folder:
        runners = [
            Runner(own, here, threads),
            Runner(write_peer(Path(folder), peer.resolve(), seed, data), Path(folder), threads),
        ]
        waiting = list(runners)
        try:
            while waiting:
                waiting = [runner for runner in waiting if runner.turn(TURN)]
        finally:
            for runner in waiting:
                runner.process.kill()
    return runners[0].result(), runners[1].result()


def main() -> None:
    """Measure, print after every seed, and write a Markdown page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder of the CIFAR-10 parquet files")
    parser.add_argument("--peer", type=Path, help="a copy of airbench94_muon.py or airbench94.py")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each side")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="processor threads of each side")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--role", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="changes of our recipe, such as train.epochs=7")
    arguments = parser.parse_args()
    if arguments.role:
        run_ours(arguments.root, arguments.seed, arguments.overrides)
        return
    if arguments.peer is None or not arguments.peer.is_file():
        parser.error(
            "--peer must be a copy of airbench94_muon.py or legacy/airbench94.py of KellerJordan/cifar10-airbench"
        )
    pairs = []
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        pairs.append((seed, *measure(arguments.root, arguments.peer, seed, arguments.threads, arguments.overrides)))
        print(json.dumps([seed, vars(pairs[-1][1]), vars(pairs[-1][2])]), flush=True)
    page = report(pairs, arguments.peer.name, arguments.threads, arguments.overrides)
    print(page)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(page, encoding="utf-8")


def report(pairs: list[tuple[int, Result, Result]], peer: str, threads: int, overrides: list[str]) -> str:
    """Return the page: every run, means, the ratio of times."""
    here = environment()
    ours, theirs = [pair[1] for pair in pairs], [pair[2] for pair in pairs]
    rows = [
        f"| {seed} | {own.seconds:,.0f} | {own.score:.2f} | {other.seconds:,.0f} | {other.score:.2f} | "
        f"{own.seconds / other.seconds:.2f} | {own.load:.1f} |"
        for seed, own, other in pairs
    ]
    ratio = sum(own.seconds for own in ours) / sum(other.seconds for other in theirs)
    gain = statistics.mean(own.score for own in ours) - statistics.mean(other.score for other in theirs)
    changed = "".join(f" {override}" for override in overrides)
    command = f"python benchmarks/cifar10_fast.py --root FOLDER --peer {peer} --seeds {len(pairs)} --threads {threads}"
    return "\n".join(
        [
            f"# cifar10_fast beside {peer}, on the processor",
            "",
            f"{datetime.date.today()}, {here['processor']}, {here['cores']} cores, torch {here['libraries']['torch']}.",
            f"Command: `{command}{changed}`",
            "",
            "| seed | ours, s | top-1 | theirs, s | top-1 | ratio of times | load |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"Time, ours / theirs: **{ratio:.2f}**.",
            f"Top-1 with mirrored and moved views, ours - theirs: {gain:+.2f} points.",
            "",
            "Both sides take turns of half a minute on the machine. Counted: building the model, whitening, training,",
            "scoring; for ours also checks, checkpoints and a second score. Not counted: start, imports, decoding.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
