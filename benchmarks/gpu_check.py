"""Everything that wants a GPU, checked and timed in one go, under eight minutes, into one JSON file.

Each part is a process of its own, so that one that fails costs no other; what is left of the time is each part's
limit, and a part that no time is left for is named as not run. The parts:

    tests        pytest -m cuda: the tests of every task that need a GPU
    precision    six trainings in bf16 and fp16 beside fp32, and in fp32 beside the processor: mean losses in `BOUNDS`
    resume       a training that is stopped halfway and gone on with beside one that is not
    processes    torchrun: nccl with one process on a GPU, gloo with two on a processor
    resnet50     images a second of a training step: ours, torchvision's and timm's in turns in one process
    mask_rcnn    seconds of a training step: ours and torchvision's in turns in one process
    bisenet      images a second at 1024x2048: a training step, and naming the class of each pixel
    cifar10_fast seconds and score of the recipe (needs --cifar10 FOLDER)
    together     many seeds as one network beside one after another

On a processor the same parts run at tiny sizes and time nothing that matters: that is how the suite knows that the
script works.

Command: python benchmarks/gpu_check.py --output gpu_check.json [--cifar10 FOLDER] [--only precision resume ...]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ablata.base.errors import StoppedError
from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.hardware.precision import choose_device
from ablata.engine.reporting import MetricRow, Reporter
from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.records.fingerprint import environment
from ablata.structures.batch import Rows
from ablata.structures.detection import DetectionBatch, Objects

TOTAL_SECONDS = 470.0
"""Of all parts: under eight minutes with the start of Python."""

BOUNDS = {"fp32": 0.01, "fp16": 0.02, "bf16": 0.05}
"""Largest relative difference of a training's mean loss: fp32 from the processor's fp32, the others from fp32 on the
same device. Half precisions round to 11 and 8 bits, and in a few steps such a difference grows."""

RESUME_BOUND = 0.01
"""Largest relative difference of the weights after a resumed training: atomic additions differ in their order."""

SHORT = ["train.epochs=null", "train.log_every=1", "train.evaluate_every=0", "schedule.warmup=null"]
TRAININGS = {
    "digits": ["train.batch=64"],
    "resnet8_scenes": ["data.train=32", "data.val=16", "train.batch=16"],
    "bisenet_scenes": ["data.train=16", "data.val=8", "train.batch=8"],
    "contrast_scenes": ["data.train=16", "data.val=8", "train.batch=8"],
    "relation_rcnn_scenes": ["data.train=8", "data.val=4", "train.batch=4"],
    "reid_scenes": ["data.test_persons=4", "data.distractors=0"],
}
"""A training of each task, small enough for a processor."""


class BoundError(Exception):
    """A measured difference is above what is allowed."""


@dataclass(frozen=True)
class Place:
    """Where the parts run.

    Args:
        device: a GPU or the processor.
        tiny: sizes for a processor in the test suite; otherwise those of a large GPU.
        cifar10: folder of the CIFAR-10 files, if there is one.
    """

    device: torch.device
    tiny: bool
    cifar10: str | None = None

    @property
    def is_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    def sync(self) -> None:
        """Wait until the device has done what it was given."""
        if self.is_gpu:
            torch.cuda.synchronize(self.device)


class Losses(Reporter):
    """Keeps the training losses; stops a training where it is told to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.total: list[float] = []
        self.stop_after = stop_after

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        """Keep the sum of the loss terms of each step."""
        others = {"train/gradient_norm", "train/lr"}
        terms = [value for _, name, value in rows if name.startswith("train/") and name not in others]
        self.total += [sum(terms)] if terms else []

    def stop_reason(self) -> str | None:
        """Ask for an end once as many steps are done."""
        return "asked" if self.stop_after is not None and len(self.total) >= self.stop_after else None


def trained(name: str, device: str, precision: str, steps: int, folder: Path, stop_after: int | None = None) -> Losses:
    """Train a recipe of `TRAININGS` for some steps; return its losses."""
    chosen = [*SHORT, f"train.steps={steps}", f"compute.device={device}", f"compute.precision={precision}"]
    losses = Losses(stop_after)
    try:
        train(load_recipe(name, [*chosen, *TRAININGS[name]]), 0, folder, folder.parent / "cache", losses)
    except StoppedError:
        if stop_after is None:
            raise
    return losses


def tests(place: Place) -> dict[str, Any]:
    """Run the tests that are marked `cuda`."""
    root = Path(__file__).resolve().parents[1]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "cuda",
        "-p",
        "no:cacheprovider",
        *(["--co"] if place.tiny else []),
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    tail = done.stdout.strip().splitlines()[-20:]
    if done.returncode != 0:
        raise BoundError("\n".join(tail))
    return {"pytest": tail[-1]}


def precision(place: Place) -> dict[str, Any]:
    """Compare mean losses of a few steps between precisions, and between the device and the processor."""
    steps, found = 2 if place.tiny else 12, {}
    kinds = ["fp32", "bf16", "fp16"] if place.is_gpu else ["fp32", "bf16"]
    names = list(TRAININGS)[: 2 if place.tiny else None]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            means = {
                kind: statistics.mean(trained(name, str(place.device), kind, steps, Path(folder, name, kind)).total)
                for kind in kinds
            }
            if place.is_gpu:
                means["cpu"] = statistics.mean(trained(name, "cpu", "fp32", steps, Path(folder, name, "cpu")).total)
            against = {kind: "cpu" if kind == "fp32" else "fp32" for kind in kinds}
            found[name] = {
                kind: abs(means[kind] / means[other] - 1) for kind, other in against.items() if other in means
            }
    above = [
        f"{name} in {kind}: {difference:.3%} is above {BOUNDS[kind]:.0%}"
        for name, one in found.items()
        for kind, difference in one.items()
        if not difference <= BOUNDS[kind]
    ]
    if above:
        raise BoundError("; ".join(above))
    return {"relative difference of the mean loss": found, "bounds": BOUNDS, "steps": steps}


def resume(place: Place) -> dict[str, Any]:
    """Compare the weights of a training in two pieces with those of one in a single piece."""
    steps, found = 4 if place.tiny else 20, {}
    for name in list(TRAININGS)[: 1 if place.tiny else 3]:
        with tempfile.TemporaryDirectory() as folder:
            whole, pieces = Path(folder, "whole"), Path(folder, "pieces")
            trained(name, str(place.device), "fp32", steps, whole)
            trained(name, str(place.device), "fp32", steps, pieces, stop_after=steps // 2)
            if (step := load_checkpoint(pieces / LAST).facts["step"]) != steps // 2:
                raise BoundError(f"{name} was to stop after {steps // 2} steps; its checkpoint is of step {step}")
            trained(name, str(place.device), "fp32", steps, pieces)
            one, other = (load_checkpoint(path / LAST).groups["model"] for path in (whole, pieces))
            found[name] = max(_relative(one[key], other[key]) for key in one)
    above = [f"{name}: {difference:.3%} is above {RESUME_BOUND:.0%}" for name, difference in found.items()
             if not difference <= RESUME_BOUND]  # fmt: skip
    if above:
        raise BoundError("; ".join(above))
    return {"largest relative difference of a weight tensor": found, "steps": steps}


def _relative(one: Tensor, other: Tensor) -> float:
    """Return the norm of a difference beside the norm of what it is taken from."""
    return float((one.double() - other.double()).norm() / one.double().norm().clamp(min=1e-12))


def processes(place: Place) -> dict[str, Any]:
    """Train digits under torchrun and alone; compare the scores."""
    number = 1 if place.is_gpu else 2
    settings = ["digits", "train.epochs=null", "train.steps=4", f"compute.device={place.device.type}", "--json"]
    scores = []
    for start in ([], ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]):
        with tempfile.TemporaryDirectory() as home:
            environ = os.environ | {"ABLATA_HOME": home, "OMP_NUM_THREADS": "1"}
            command = [sys.executable, *start, "-m", "ablata", "train", *settings]
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BoundError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-800:]}")
            scores.append(json.loads(done.stdout[done.stdout.index("{") :])["scores"])
    alone, shared = scores
    if alone.keys() != shared.keys():
        raise BoundError(f"other scores under torchrun: {sorted(shared)}; alone {sorted(alone)}")
    return {"processes": number, "alone": alone, "under torchrun": shared}


def in_turns(contenders: dict[str, Callable[[], None]], place: Place, turns: int, each: int) -> dict[str, float]:
    """Return the median seconds of a call of each, measured in turns after two calls that are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(-1, turns):
        for name, call in contenders.items():
            place.sync()
            started = time.perf_counter()
            for _ in range(each):
                call()
            place.sync()
            if turn >= 0:
                seconds[name].append((time.perf_counter() - started) / each)
    return {name: statistics.median(found) for name, found in seconds.items()}


def _autocast(place: Place) -> Any:
    return torch.autocast(place.device.type, dtype=torch.bfloat16)


def _classifier_step(network: nn.Module, place: Place, batch: int, side: int) -> Callable[[], None]:
    """Return one training step in bf16, channels_last: forward, cross-entropy, backward, SGD."""
    network = network.to(place.device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(batch, 3, side, side, device=place.device).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (batch,), device=place.device)

    def step() -> None:
        with _autocast(place):
            found = network(images)
            loss = nn.functional.cross_entropy(found["logits"] if isinstance(found, dict) else found, labels)
        torch.autograd.backward(loss)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def resnet50(place: Place) -> dict[str, Any]:
    """Time a training step of ResNet-50 beside torchvision's and timm's."""
    import timm
    from torchvision.models import resnet50 as torchvisions

    batch, side = (2, 64) if place.tiny else (128, 224)
    recipe: Any = load_recipe("resnet50_imagenet", [])
    made: dict[str, nn.Module] = {
        "ours": recipe.model.build(1000),
        "torchvision": torchvisions(),
        "timm": timm.create_model("resnet50"),
    }
    counts = {name: sum(one.numel() for one in network.parameters()) for name, network in made.items()}
    steps = {name: _classifier_step(network, place, batch, side) for name, network in made.items()}
    seconds = in_turns(steps, place, 2 if place.tiny else 7, 1 if place.tiny else 10)
    return {
        "images a second": {name: batch / one for name, one in seconds.items()},
        "ours beside torchvision": seconds["torchvision"] / seconds["ours"],
        "ours beside timm": seconds["timm"] / seconds["ours"],
        "parameters": counts,
        "batch": batch,
        "side": side,
    }


def _scene(images: int, side: int, objects: int, device: torch.device) -> DetectionBatch:
    """Return random images with rectangles as boxes and masks."""
    random = torch.Generator().manual_seed(0)
    every = []
    for _ in range(images):
        sides = side / 16 * (1 + 3 * torch.rand(objects, 2, generator=random))
        low = torch.rand(objects, 2, generator=random) * (side - sides)
        boxes = torch.cat([low, low + sides], dim=1).round()
        rows, columns = torch.arange(side)[:, None], torch.arange(side)[None]
        masks = torch.stack(
            [(columns >= x) & (columns < X) & (rows >= y) & (rows < Y) for x, y, X, Y in boxes.tolist()]
        )
        labels = torch.randint(7, (objects,), generator=random)
        crowd = torch.zeros(objects, dtype=torch.bool)
        every.append(Objects(boxes, labels, masks, torch.arange(objects), crowd))
    sizes = torch.tensor([[side, side]] * images)
    pixels = torch.randn(images, 3, side, side, generator=random)
    batch = DetectionBatch(pixels, sizes, sizes, tuple(every), torch.arange(images), Rows(0, images))
    return batch.to(device)


def mask_rcnn(place: Place) -> dict[str, Any]:
    """Time a training step of Mask R-CNN with a ResNet-50 pyramid beside torchvision's."""
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    from ablata.engine.task import RunContext

    images, side = (1, 128) if place.tiny else (4, 800)
    theirs: Any = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=8, min_size=side, max_size=side,
        image_mean=[0.0] * 3, image_std=[1.0] * 3,
    )  # fmt: skip
    changes = [
        "data=scene_boxes", "data.train=2", "data.val=2", "model.backbone.norm=batch",
        "model.backbone.frozen_stages=0", "train.batch=2",
    ]  # fmt: skip
    batch = _scene(images, side, 8, place.device)
    with tempfile.TemporaryDirectory() as folder:
        recipe: Any = load_recipe("mask_rcnn_fpn_coco", changes)
        task = recipe.build(0, RunContext(place.device, Path(folder)))
        ours = task.model.to(place.device, memory_format=torch.channels_last).train()
        theirs = theirs.to(place.device, memory_format=torch.channels_last).train()
        targets = [
            {"boxes": one.boxes, "labels": one.labels + 1, "masks": one.masks.byte()}
            for one in batch.objects
            if isinstance(one.masks, Tensor)
        ]
        losses: dict[str, Callable[[], Tensor]] = {
            "ours": lambda: torch.stack(list(task.loss(task.model, batch).values())).sum(),
            "torchvision": lambda: torch.stack(list(theirs(list(batch.images), targets).values())).sum(),
        }
        steps = {
            name: _detector_step(network, losses[name], place)
            for name, network in (("ours", ours), ("torchvision", theirs))
        }
        seconds = in_turns(steps, place, 1 if place.tiny else 5, 1 if place.tiny else 3)
    ratio = seconds["torchvision"] / seconds["ours"]
    return {"seconds of a step": seconds, "ours beside torchvision": ratio, "images": images, "side": side}


def _detector_step(network: nn.Module, loss: Callable[[], Tensor], place: Place) -> Callable[[], None]:
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-5, momentum=0.9)

    def step() -> None:
        with _autocast(place):
            value = loss()
        torch.autograd.backward(value)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def bisenet(place: Place) -> dict[str, Any]:
    """Time a training step of BiSeNet and the class of each pixel at the size of Cityscapes."""
    from ablata.tasks.segmentation.argmax import argmax_upsampled

    height, width, batch = (64, 128, 2) if place.tiny else (1024, 2048, 4)
    recipe: Any = load_recipe("bisenet_cityscapes", [])
    network = recipe.model.build(19).to(place.device, memory_format=torch.channels_last)
    images = torch.randn(batch, 3, height, width, device=place.device).to(memory_format=torch.channels_last)
    labels = torch.randint(19, (batch, height, width), device=place.device)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        with _autocast(place):
            found = network.full_size(network.train()(images), (height, width))
            loss = torch.stack([nn.functional.cross_entropy(one.float(), labels) for one in found.values()]).sum()
        torch.autograd.backward(loss)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    @torch.inference_mode()
    def answer() -> None:
        with _autocast(place):
            found = network.eval()(images[:1])["logits"]
        argmax_upsampled(found, [(network.head.resize, (height, width))])

    turns = (1, 1) if place.tiny else (5, 5)
    training = in_turns({"step": step}, place, *turns)["step"]
    naming = in_turns({"answer": answer}, place, *turns)["answer"]
    return {"images a second, training": batch / training, "images a second, classes": 1 / naming,
            "size": [height, width], "batch": batch}  # fmt: skip


def cifar10_fast(place: Place) -> dict[str, Any]:
    """Train the recipe once; seconds of the training and its scores."""
    if place.cifar10 is None:
        return {"not run": "no folder was named with --cifar10"}
    changes = [f"data.root={place.cifar10}", f"compute.device={place.device}"]
    changes += ["train.epochs=null", "train.steps=2", "data.minival=500"] if place.tiny else []
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(load_recipe("cifar10_fast", changes), 0, Path(folder, "run"), Path(folder, "cache"))
    return {"seconds": outcome.cost["seconds"], "scores": outcome.scores}


def together(place: Place) -> dict[str, Any]:
    """Train seeds of digits, and of ResNet-20 where there is CIFAR-10, as one network and one after another."""
    script = Path(__file__).with_name("seeds_together.py")
    options = ["--recipe", "digits", *(["resnet20", "--root", place.cifar10] if place.cifar10 else [])]
    options += ["--members", "1", "--turns", "1"] if place.tiny else ["--members", "1", "4", "16"]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "found.json")
        done = subprocess.run([sys.executable, str(script), *options, "--json", str(output)],
                              capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode != 0:
            raise BoundError(done.stderr[-2000:])
        return {"rows": json.loads(output.read_text(encoding="utf-8"))["rows"]}


PARTS: dict[str, Callable[[Place], dict[str, Any]]] = {
    "tests": tests,
    "precision": precision,
    "resume": resume,
    "processes": processes,
    "resnet50": resnet50,
    "mask_rcnn": mask_rcnn,
    "bisenet": bisenet,
    "cifar10_fast": cifar10_fast,
    "together": together,
}


def run_part(name: str, arguments: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run a part in a process of its own; return what it found, or how it failed."""
    if seconds < 5:
        return {"state": "not run", "why": "no time was left"}
    command = [sys.executable, __file__, "--part", name, "--device", arguments.device]
    command += ["--tiny"] if arguments.tiny else []
    command += ["--cifar10", arguments.cifar10] if arguments.cifar10 else []
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"state": "out of time", "seconds": seconds}
    took = {"seconds": round(time.perf_counter() - started, 1)}
    if done.returncode != 0:
        return {"state": "failed", **took, "why": done.stderr[-2000:]}
    return {"state": "ok", **took, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Run the parts, print a line of each, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gpu_check.json"))
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--cifar10", help="folder of the CIFAR-10 files")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--tiny", action="store_true", help="sizes for a processor; so without a GPU anyway")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    if arguments.part:
        place = Place(device, arguments.tiny or device.type == "cpu", arguments.cifar10)
        print(json.dumps(PARTS[arguments.part](place)))
        return
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    found: dict[str, Any] = {"date": str(datetime.date.today()), "gpu": gpu, "environment": environment(), "parts": {}}
    started = time.perf_counter()
    for name in arguments.only:
        one = run_part(name, arguments, TOTAL_SECONDS - (time.perf_counter() - started))
        found["parts"][name] = one
        print(f"{name:<13} {one['state']:<12} {one.get('seconds', 0):>6} s  {one.get('why', '')[-300:]}", flush=True)
        arguments.output.write_text(json.dumps(found, indent=1), encoding="utf-8")
    failed = [name for name, one in found["parts"].items() if one["state"] != "ok"]
    if failed:
        raise SystemExit(f"{', '.join(failed)}: see {arguments.output}")


if __name__ == "__main__":
    main()
