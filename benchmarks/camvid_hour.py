"""The recipe bisenet_camvid beside segmentation_models_pytorch's DeepLabV3+ on CamVid: mean IoU for equal minutes.

Both train from nothing with the same ResNet-18 as backbone, in the same loop, on the same augmented batches with the
same optimiser, schedule form and loss (DeepLabV3+ has one head, ours auxiliary ones in training); only the network
differs. --set changes both recipes, --set-peer DeepLabV3+'s alone, so that it can have what suits it. Each trains for
as many epochs as --minutes hold, measured first, or both for --epochs. They run as two groups of processes that take
turns of half a minute, the other one asleep; minutes are those awake, evaluations included.

DeepLabV3+ takes sides that 16 divides: black rows are added below its images, and its logits there are cut off.

    python benchmarks/camvid_hour.py --root FOLDER [--smp FOLDER] [--minutes 60 | --epochs N] [--seeds 1] [--threads 2]
        [--set key=value ...] [--set-peer key=value ...] [--output PAGE.md]

The page's image is written beside it, as images/PAGE.png: what both say of some validation images, and where
that is wrong. The photographs themselves are not in it. The curves are drawn in images/PAGE.svg.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ablata.base.overrides import override
from ablata.base.settings import Settings
from ablata.data.drawing.segmentation import errors
from ablata.data.labels.table import paint
from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.hardware.precision import choose_precision
from ablata.engine.reporting import MetricRow
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.models.segmentation.base import Segmenter
from ablata.recipes.index import load_recipe
from ablata.records.fingerprint import environment
from ablata.tasks.segmentation.task import Segment
from curve_drawing import drawn_curves
from timm_script import CACHE, TURN, Runner, Speaker

MULTIPLE = 16
SIDES = ("ours", "peer")
NAMES = {"ours": "BiSeNet, ours", "peer": "DeepLabV3+, smp"}
SHOWN = 4
TRIAL_STEPS = 16
_WIDTH = 320


class SmpDeepLab(Settings):
    """DeepLabV3+ as segmentation_models_pytorch builds it."""

    kind: Literal["smp_deeplabv3plus"] = "smp_deeplabv3plus"
    encoder: str = "resnet18"
    """Name of the backbone there."""

    def build(self, classes: int, channels: int = 3) -> Whole:
        """Make the network, with weights drawn."""
        import segmentation_models_pytorch as library  # type: ignore[import-not-found]

        network = library.DeepLabV3Plus(self.encoder, encoder_weights=None, in_channels=channels, classes=classes)
        return Whole(network)

    def new_layers(self) -> tuple[str, ...]:
        """Return patterns of the parameters outside the backbone."""
        return ("network.decoder.*", "network.segmentation_head.*")


class PeerSegment(Segment):
    """The recipe with that network."""

    model: SmpDeepLab = SmpDeepLab()  # type: ignore[assignment]


class NoStep(nn.Module):
    """Stands for the head of a network whose logits have the image's size."""

    resize = None
    plain = True

    def full_size(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Return them as they are."""
        return logits


class Whole(Segmenter):
    """A network that returns logits of its image's size, of sides that `MULTIPLE` divides."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.head = NoStep()  # type: ignore[assignment]
        self.aux = nn.ModuleDict()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map [B, C, H, W] to `logits`, [B, K, H, W]."""
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % MULTIPLE, 0, -height % MULTIPLE))
        logits: Tensor = self.network(padded)
        return {"logits": logits[..., :height, :width]}


@dataclass(frozen=True)
class Asked:
    """The command line's options of the same names."""

    root: str
    smp: str | None
    threads: int
    set: tuple[str, ...]
    set_peer: tuple[str, ...]

    def recipe(self, side: str, length: Sequence[str]) -> Segment:
        """Return the recipe of one of `SIDES`; `length` are its settings of how long."""
        common = [f"data.root={self.root}", f"compute.threads={self.threads}", *self.set, *length]
        recipe = load_recipe("bisenet_camvid", common)
        assert isinstance(recipe, Segment)
        if side == "ours":
            return recipe
        rest = {name: getattr(recipe, name) for name in type(recipe).model_fields if name != "model"}
        return override(PeerSegment(**rest), list(self.set_peer))

    def words(self) -> list[str]:
        """Return them as a command line."""
        words = ["--root", self.root, "--threads", str(self.threads)]
        words += ["--smp", self.smp] if self.smp else []
        words += ["--set", *self.set] if self.set else []
        return words + (["--set-peer", *self.set_peer] if self.set_peer else [])


class Teller(Speaker):
    """Says how many steps are done, and every score."""

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        """Print the mean IoU of each evaluation, in a line that `curve` reads."""
        for step, name, value in rows:
            if name.startswith("val/") and name.endswith("/miou"):
                print(f"curve {step} {value}", flush=True)


def run(asked: Asked, side: str, length: Sequence[str], seed: int, folder: Path) -> None:
    """Train once in this process; scores, classes and predictions go to `folder`/result.npz."""
    recipe = asked.recipe(side, length)
    outcome = train(recipe, seed, folder / "run", CACHE, Teller())
    print(f"score {outcome.scores[recipe.metric().key]}", flush=True)
    device = torch.device("cpu")
    task = recipe.build(seed, RunContext(device, CACHE))
    task.model.load_state_dict(load_checkpoint(folder / "run" / LAST).weights())
    model = task.model.eval().to(memory_format=torch.channels_last)
    protocol, split = task.protocols[0], recipe.metric().split
    index = task.data.splits[split].index
    chosen = index[np.linspace(0, len(index) - 1, SHOWN).round().astype(int)]
    with torch.no_grad(), choose_precision(recipe.compute.precision, device).autocast():
        found = task.evaluate_detailed(model, split)
        batches = list(task.some(split, chosen))
        predicted = [task.predicted(model, batch.images, protocol)[0] for batch in batches]
    np.savez(
        folder / "result.npz",
        classes=np.array(found.classes),
        iou=np.array(found.class_scores),
        palette=np.array(task.data.table.palette),
        labels=torch.cat([batch.labels for batch in batches]).byte().numpy(),
        predicted=torch.stack(predicted).byte().numpy(),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


@dataclass(frozen=True)
class Result:
    """One training: mean IoU by step of each evaluation, minutes awake, and what `run` wrote."""

    miou: float
    minutes: float
    epochs: float
    speed: float
    curve: tuple[tuple[int, float], ...]
    kept: dict[str, np.ndarray]


def train_both(asked: Asked, lengths: dict[str, list[str]], seed: int, turn: float = TURN) -> dict[str, Result]:
    """Train both sides in turns."""
    batch = asked.recipe("ours", lengths["ours"]).train.batch
    with tempfile.TemporaryDirectory() as place:
        runners = {}
        for side in SIDES:
            folder = Path(place) / side
            folder.mkdir()
            role = ["--role", side, "--folder", str(folder), "--seed", str(seed), "--length", *lengths[side]]
            command = [sys.executable, str(Path(__file__).resolve()), *asked.words(), *role]
            runners[side] = Runner.start(command, Path.cwd(), asked.threads)
        waiting = list(runners.values())
        try:
            while waiting:
                waiting = [runner for runner in waiting if runner.turn(turn)]
        finally:
            for runner in waiting:
                os.killpg(runner.process.pid, signal.SIGKILL)
        return {side: _result(runner, Path(place) / side, batch) for side, runner in runners.items()}


def _result(runner: Runner, folder: Path, batch: int) -> Result:
    if len(runner.marks) < 2:
        raise SystemExit(f"too short to time: {len(runner.marks)} line of the log, two are needed; raise --epochs")
    (first, began), *_, (last, ended) = runner.marks
    curve = [line.split() for line in runner.lines if line.startswith("curve ")]
    with np.load(folder / "result.npz") as file:
        kept = {name: file[name] for name in file.files}
    return Result(
        miou=runner.score,
        minutes=runner.seconds / 60,
        epochs=last / runner.epoch,
        speed=(last - first) * batch / (ended - began),
        curve=tuple((int(step), float(value)) for _, step, value in curve),
        kept=kept,
    )


def epochs_within(asked: Asked, minutes: float) -> dict[str, list[str]]:
    """Return the length of each side that fits, from a few steps of both in turns."""
    trial = [f"train.steps={TRIAL_STEPS}", "train.epochs=null", "train.evaluate_every=0", "train.log_every=2"]
    found = train_both(asked, dict.fromkeys(SIDES, trial), seed=0, turn=10)
    images = {side: result.speed * 60 * minutes for side, result in found.items()}
    size = asked.recipe("ours", trial).build(0, RunContext(torch.device("cpu"), CACHE)).data.splits["train"].index.size
    print(json.dumps({side: f"{result.speed:.1f} images/s" for side, result in found.items()}), flush=True)
    return {side: [f"train.epochs={max(1, math.floor(count / size))}"] for side, count in images.items()}


def image(results: dict[str, Result]) -> Image.Image:
    """Return what each side says of an image and where it is wrong, a row an image."""
    palette = [tuple(map(int, colour)) for colour in results["ours"].kept["palette"]]
    rows = []
    for row, labels in enumerate(results["ours"].kept["labels"]):
        said = [results[side].kept["predicted"][row] for side in SIDES]
        shown = [drawn for each in said for drawn in (paint(each, palette), errors(each, labels))]  # type: ignore[arg-type]
        rows.append(np.concatenate(shown, axis=1))
    sheet = Image.fromarray(np.concatenate(rows).astype(np.uint8))
    size = (4 * _WIDTH, round(sheet.height * 4 * _WIDTH / sheet.width))
    return sheet.resize(size, Image.Resampling.NEAREST)


def curves(results: dict[str, Result]) -> str:
    """Return a drawing of mean IoU by epochs."""
    points = {}
    for side, one in results.items():
        epoch = one.curve[-1][0] / one.epochs
        points[NAMES[side]] = [(step / epoch, value) for step, value in one.curve]
    return drawn_curves(points, "epochs", "mIoU on val")


def report(runs: list[tuple[int, dict[str, Result]]], asked: Asked, given: argparse.Namespace) -> str:
    """Return the page: every run, classes, curves."""
    here = environment()
    length = f"--epochs {given.epochs}" if given.epochs else f"--minutes {given.minutes:g}"
    extra = [
        *(["--set", *asked.set] if asked.set else []),
        *(["--set-peer", *asked.set_peer] if asked.set_peer else []),
    ]
    command = " ".join(
        ["python benchmarks/camvid_hour.py --root FOLDER --smp FOLDER", length, f"--seeds {len(runs)}", *extra]
    )
    rows = [
        f"| {seed} | {NAMES[side]} | {one.miou:.2f} | {one.epochs:.0f} | {one.minutes:.1f} | {one.speed:.1f} | "
        f"{int(one.kept['parameters']) / 1e6:.1f} M |"
        for seed, both in runs
        for side, one in both.items()
    ]
    gains = [both["ours"].miou - both["peer"].miou for _, both in runs]
    error = f" (standard error {statistics.stdev(gains) / len(gains) ** 0.5:.2f})" if len(gains) > 1 else ""
    first = runs[0][1]
    classes = [
        " | ".join([f"| {name}", *(f"{first[side].kept['iou'][place]:.1f}" for side in SIDES)]) + " |"
        for place, name in enumerate(first["ours"].kept["classes"])
    ]
    scores = [
        f"- {NAMES[side]}: " + ", ".join(f"{value:.1f} ({step})" for step, value in one.curve)
        for side, one in first.items()
    ]
    shown = ""
    if given.output:
        place = f"images/{given.output.stem}"
        shown = f"![mIoU by epochs]({place}.svg)\n\n![BiSeNet, its errors, DeepLabV3+, its errors]({place}.png)"
    return "\n".join(
        [
            "# bisenet_camvid beside DeepLabV3+ of segmentation_models_pytorch, from nothing",
            "",
            f"{datetime.date.today()}, {here['processor']}, {asked.threads} threads, torch {torch.__version__}.",
            f"Command: `{command}`",
            "",
            "| seed | network | mIoU on val, ss | epochs | minutes awake | images/s of training | parameters |",
            "|---|---|---:|---:|---:|---:|---:|",
            *rows,
            "",
            f"Ours - DeepLabV3+, mean over seeds: **{statistics.mean(gains):+.2f} mIoU**{error}.",
            "",
            f"IoU of each class, seed {runs[0][0]}:",
            "",
            f"| class | {' | '.join(NAMES[side] for side in SIDES)} |",
            "|---|---:|---:|",
            *classes,
            "",
            "mIoU at each evaluation (step):",
            "",
            *scores,
            "",
            shown,
            "",
        ]
    )


def main() -> None:
    """Measure, print, and write a Markdown page with its image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder of CamVid")
    parser.add_argument("--smp", help="folder that segmentation_models_pytorch is installed in")
    parser.add_argument("--minutes", type=float, default=60, help="of each side")
    parser.add_argument("--epochs", type=float, help="of both sides, in place of minutes")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of both recipes")
    parser.add_argument("--set-peer", nargs="+", default=[], metavar="KEY=VALUE", help="settings of DeepLabV3+'s alone")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--role", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--length", nargs="+", default=[], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.smp:
        sys.path.append(given.smp)
    asked = Asked(given.root, given.smp, given.threads, tuple(given.set), tuple(given.set_peer))
    if given.role:
        run(asked, given.role, given.length, given.seed, given.folder)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the trainings end with this process
    asked.recipe("peer", [])  # refuse wrong settings before the first step
    both = [f"train.epochs={given.epochs}"]
    lengths = dict.fromkeys(SIDES, both) if given.epochs else epochs_within(asked, given.minutes)
    runs = []
    for seed in range(given.seed, given.seed + given.seeds):
        runs.append((seed, train_both(asked, lengths, seed)))
        print(json.dumps({side: [one.miou, one.minutes] for side, one in runs[-1][1].items()}), flush=True)
    page = report(runs, asked, given)
    print(page)
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(page, encoding="utf-8")
        beside = given.output.parent / "images" / f"{given.output.stem}.png"
        beside.parent.mkdir(exist_ok=True)
        image(runs[0][1]).quantize(64).save(beside, optimize=True)
        beside.with_suffix(".svg").write_text(curves(runs[0][1]), encoding="utf-8")


if __name__ == "__main__":
    main()
