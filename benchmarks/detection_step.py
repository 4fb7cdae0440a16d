"""Training step of Mask R-CNN with a ResNet-50 pyramid: this engine beside torchvision's own model in a plain loop.

Two images of 512 x 512 with eight objects each, the same tensors for both; resizing and normalising are off on both
sides. Both train all layers from scratch, with batch normalisation, SGD and 512 regions an image. In each format two
processes take turns, the other asleep; a figure is the median over turns of the mean step.

    torchvision    maskrcnn_resnet50_fpn, torch.optim.SGD, autocast where asked: what one writes first
    ours           `ablata.engine.loop.train_steps` with everything it does in a step

Then, in a third process, the relations of `relation_rcnn_fpn_coco` with the spatial relation of Relation Networks
beside them: forward and backward over 512 regions of each image, time, memory, and share of our step.

    python benchmarks/detection_step.py [--turns 5] [--side 512] [--threads 2] [--output PAGE.md]
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablata.engine.hardware.memory import keep_memory
from ablata.engine.hardware.precision import choose_precision
from ablata.engine.hardware.timer import Clock
from ablata.engine.loop import train_steps
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train_state import TrainState
from ablata.models.detection.relations.spatial_relation import SpatialRelation
from ablata.models.detection.relations.stage import RelationContext, Relations, RelationStage
from ablata.recipes.index import load_recipe
from ablata.records.fingerprint import environment
from ablata.structures.batch import Rows
from ablata.structures.detection import DetectionBatch, Objects

IMAGES, OBJECTS, CLASSES, REGIONS, STEPS = 2, 8, 7, 512, 2
FORMATS = {"fp32": ("fp32", False), "bf16": ("bf16", False), "bf16 channels_last": ("bf16", True)}
CPU = torch.device("cpu")


def batch_of(side: int, seed: int) -> DetectionBatch:
    """Return images with ellipses whose sides are from a sixteenth to a half of the image's."""
    random = torch.Generator().manual_seed(seed)
    images, every = torch.randn(IMAGES, 3, side, side, generator=random), []
    rows, columns = torch.arange(side)[:, None] + 0.5, torch.arange(side)[None] + 0.5
    for image in range(IMAGES):
        sides = side / 16 * 8 ** torch.rand(OBJECTS, 2, generator=random)
        low = (torch.rand(OBJECTS, 2, generator=random) * (side - sides)).floor()
        boxes = torch.cat([low, low + sides.ceil()], dim=1).clamp(max=side)
        masks = torch.stack([_ellipse(rows, columns, box) for box in boxes])
        labels = torch.randint(CLASSES, (OBJECTS,), generator=random)
        images[image] += masks.any(0)
        every.append(Objects(boxes, labels, masks, torch.arange(OBJECTS), torch.zeros(OBJECTS, dtype=torch.bool)))
    sizes = torch.tensor([[side, side]] * IMAGES)
    return DetectionBatch(images, sizes, sizes, tuple(every), torch.arange(IMAGES), Rows(0, IMAGES))


def _ellipse(rows: Tensor, columns: Tensor, box: Tensor) -> Tensor:
    left, top, right, bottom = box.tolist()
    across = (columns - (left + right) / 2) / (right - left) * 2
    down = (rows - (top + bottom) / 2) / (bottom - top) * 2
    inside: Tensor = across**2 + down**2 <= 1
    return inside


def our_steps(side: int, precision: str, channels_last: bool, folder: Path) -> Callable[[int], None]:
    """Return the engine's own loop over a number of steps, without evaluation and checkpoint at its end."""
    recipe = load_recipe(
        "mask_rcnn_fpn_coco",
        [
            "data=scene_boxes", "data.train=2", "data.val=2", f"data.scenes.height={side}", f"data.scenes.width={side}",
            "model.backbone.norm=batch", "model.backbone.frozen_stages=0", "train.batch=2", "train.evaluate_every=0",
            "train.checkpoint_seconds=1e9", "optim.lr=1e-5", "schedule.warmup=null",
            f"compute.precision={precision}", f"compute.channels_last={channels_last}",
        ],
    )  # fmt: skip
    keep_memory()
    torch.manual_seed(0)
    session = TrainState(recipe, 0, folder, RunContext(CPU, folder / "cache", channels_last=channels_last), Reporter())
    session.model.train()
    session.evaluate = lambda: None  # type: ignore[method-assign]
    session.save = lambda which: None  # type: ignore[method-assign]
    order = torch.channels_last if channels_last else torch.contiguous_format

    def batches(start: int, stop: int) -> Iterator[DetectionBatch]:
        for step in range(start, stop):
            batch = batch_of(side, step)
            yield DetectionBatch(**{**vars(batch), "images": batch.images.contiguous(memory_format=order)})

    session.task.batches = batches  # type: ignore[method-assign]
    session.task.augment = lambda batch, step: batch  # type: ignore[method-assign]
    end = session.total

    def run(steps: int) -> None:
        session.total = session.step + steps
        train_steps(session)
        session.total = end
        session.clock = Clock(end, 0)

    return run


def their_steps(side: int, precision: str, channels_last: bool) -> Callable[[int], None]:
    """Return a plain loop over torchvision's model."""
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    torch.manual_seed(0)
    model: Any = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1, min_size=side, max_size=side,
        image_mean=[0.0] * 3, image_std=[1.0] * 3,
    ).train()  # fmt: skip
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9, weight_decay=1e-4)
    chosen = choose_precision(precision, CPU)
    done = 0

    def run(steps: int) -> None:
        nonlocal done
        for _ in range(steps):
            batch = batch_of(side, done)
            targets = [
                {"boxes": one.boxes, "labels": one.labels + 1, "masks": one.masks.byte()}
                for one in batch.objects
                if isinstance(one.masks, Tensor)
            ]
            with chosen.autocast():
                loss = torch.stack(list(model(list(batch.images), targets).values())).sum()
            torch.autograd.backward(loss)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            done += 1

    return run


def serve(role: str, name: str, side: int) -> None:
    """Run one turn for every line that comes in, and answer with the seconds of a step."""
    precision, channels_last = FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:
        if role == "ours":
            run = our_steps(side, precision, channels_last, Path(folder))
        else:
            run = their_steps(side, precision, channels_last)
        run(2)
        print("ready", flush=True)
        for _ in sys.stdin:
            started = time.perf_counter()
            run(STEPS)
            print((time.perf_counter() - started) / STEPS, flush=True)


def measure(command: list[str], name: str, turns: int) -> dict[str, list[float]]:
    """Let two processes take turns; return seconds of a step of each turn."""
    found: dict[str, list[float]] = {"torchvision": [], "ours": []}
    with ExitStack() as stack:
        processes = {}
        for role in found:
            line = [*command, "--role", role, "--format", name]
            process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes[role] = stack.enter_context(process)
            _answer(process)
        for _ in range(turns):
            for role, process in processes.items():
                assert process.stdin is not None
                print("go", file=process.stdin, flush=True)
                found[role].append(float(_answer(process)))
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.close()
    return found


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("a process ended before it answered")
    return line


def relations(turns: int) -> dict[str, dict[str, float]]:
    """Return seconds and MiB of forward and backward through relations between classes, regions, and both."""
    torch.manual_seed(0)
    boxes = torch.rand(IMAGES, REGIONS, 4) * 400
    boxes[..., 2:] += boxes[..., :2] + 8
    maps = [torch.randn(IMAGES, 256, 128 >> level, 128 >> level).bfloat16() for level in range(5)]
    keys = torch.ones(IMAGES, REGIONS, dtype=torch.bool)
    context = RelationContext(boxes, keys, maps, torch.ones(IMAGES, 2))
    features = torch.randn(IMAGES, REGIONS, 1024).bfloat16().requires_grad_()
    scores = torch.randn(IMAGES, REGIONS, CLASSES + 1).softmax(2)
    classifier = torch.nn.Linear(1024, CLASSES + 1)
    forms = {
        "classes": Relations(),
        "regions": Relations(classes=None, spatial=SpatialRelation()),
        "both": Relations(spatial=SpatialRelation()),
    }
    found = {}
    keep_memory()
    for name, settings in forms.items():
        stage = RelationStage(settings, 1024, 256 * 5, torch.eye(CLASSES + 1))

        def step(stage: torch.nn.Module = stage) -> None:
            with choose_precision("auto", CPU).autocast():
                value = stage(features, scores, classifier, context).float().square().mean()
            torch.autograd.backward(value)

        step()
        held = peak(step)
        times = []
        for _ in range(turns):
            started = time.perf_counter()
            step()
            times.append(time.perf_counter() - started)
        found[name] = {"seconds": statistics.median(times), "mib": held}
    return found


def peak(work: Callable[[], None]) -> float:
    """Return the most memory that was held beyond what was there before, in MiB (Linux)."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the highest resident size begins anew
    before = _highest()
    work()
    return (_highest() - before) / 1024


def _highest() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1])


def main() -> None:
    """Measure and print a Markdown page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--side", type=int, default=512, help="of the images, a multiple of 32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--formats", nargs="*", choices=list(FORMATS), default=list(FORMATS))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--role", choices=("torchvision", "ours", "relations"), help=argparse.SUPPRESS)
    parser.add_argument("--format", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.role == "relations":
        print(json.dumps(relations(asked.turns)))
        return
    if asked.role:
        serve(asked.role, asked.format, asked.side)
        return
    command = [sys.executable, __file__, *(f"--{key}={getattr(asked, key)}" for key in ("turns", "side", "threads"))]
    times = {name: measure(command, name, asked.turns) for name in asked.formats}
    told = subprocess.run([*command, "--role", "relations"], check=True, capture_output=True, text=True).stdout
    page = report(asked, times, json.loads(told))
    print(page)
    if asked.output:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(page)


def report(asked: argparse.Namespace, times: dict[str, Any], module: dict[str, dict[str, float]]) -> str:
    """Return the page: medians, ranges, ratios of turns."""
    here = environment()
    middle = {
        role: {name: statistics.median(one[role]) for name, one in times.items()} for role in ("torchvision", "ours")
    }
    rows = []
    for name, one in times.items():
        ratio = statistics.median(a / b for a, b in zip(one["torchvision"], one["ours"], strict=True))
        cells = [f"{middle[role][name]:.2f} s ({min(one[role]):.2f} to {max(one[role]):.2f})" for role in one]
        rows.append(f"| {name} | {cells[0]} | {cells[1]} | {ratio:.2f} |")
    best = {role: min(found, key=found.__getitem__) for role, found in middle.items()}
    theirs, ours = (middle[role][best[role]] for role in ("torchvision", "ours"))
    step = middle["ours"][best["ours"]]
    valid_fraction = [
        f"| {name} | {1e3 * one['seconds']:.0f} ms | {one['mib']:.0f} MiB | {one['seconds'] / step:.1%} |"
        for name, one in module.items()
    ]
    return "\n".join(
        [
            "# Training step of Mask R-CNN, ResNet-50 pyramid",
            "",
            f"{datetime.date.today()}, {here['processor']}, {asked.threads} threads, "
            f"torch {here['libraries']['torch']}. "
            f"Command: `python benchmarks/detection_step.py --turns {asked.turns} --threads {asked.threads}`: "
            f"{IMAGES} images of {asked.side} x {asked.side} with {OBJECTS} objects each; seconds of a step, "
            f"medians over turns of {STEPS} steps in turning processes (range), ratios within a turn.",
            "",
            "| format | torchvision, plain loop | ours, whole engine | times as fast |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Our best ({best['ours']}) beside torchvision's ({best['torchvision']}): **{theirs / ours:.2f} times**.",
            "",
            f"# Relations over {REGIONS} regions of {IMAGES} images",
            "",
            "Forward and backward, bf16 where the processor has it; share of our best step.",
            "",
            "| relations between | time | memory | share of the step |",
            "|---|---|---|---|",
            *valid_fraction,
            "",
        ]
    )


if __name__ == "__main__":
    main()
