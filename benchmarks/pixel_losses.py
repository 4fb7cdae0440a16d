"""Time and memory of losses that never hold full-size logits, beside enlarging everything first, in turns.

Forward and backward from logits at an eighth of the labels' size, as a segmenter hands them over. The usual forms are
torch's: F.interpolate, then F.cross_entropy; hard example mining the usual way selects above a threshold by a mask.
Mining is `count_valid` where no other definition is named.

    python benchmarks/pixel_losses.py [--turns 9] [--threads 1] [--size 1024] [--device cpu]

Memory is the highest resident size above the state before (Linux), or the device's own count of allocated bytes.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ablata.engine.hardware.memory import keep_memory
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.ohem import Ohem
from ablata.records.fingerprint import environment

CLASSES, IGNORE, STRIDE, IMAGES = 19, 255, 8, 2
Loss = Callable[[Tensor, Tensor], Tensor]


def batch(size: int, device: torch.device, sure: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits [2, 19, size / 8, size / 8] and labels [2, size, size] of 32 x 32 blocks, a twentieth ignored.

    The larger `sure`, the fewer pixels are hard.
    """
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(CLASSES, (IMAGES, size // 32, size // 32), generator=generator)
    labels = blocks.repeat_interleave(32, 1).repeat_interleave(32, 2)
    labels[torch.rand(labels.shape, generator=generator) < 0.05] = IGNORE
    logits = torch.randn(IMAGES, CLASSES, size // STRIDE, size // STRIDE, generator=generator)
    small = blocks.repeat_interleave(32 // STRIDE, 1).repeat_interleave(32 // STRIDE, 2)
    logits += sure * F.one_hot(small, CLASSES).movedim(-1, 1)
    return logits.to(device), labels.to(device)


def usual(logits: Tensor, labels: Tensor) -> Tensor:
    """Enlarge everything, then the mean over the pixels that count."""
    return F.cross_entropy(_enlarged(logits, labels), labels, ignore_index=IGNORE)


def usual_ohem(logits: Tensor, labels: Tensor) -> Tensor:
    """Enlarge everything, then the mean over the pixels with a loss above -ln 0.7, or over the hardest sixteenth."""
    losses = F.cross_entropy(_enlarged(logits, labels), labels, ignore_index=IGNORE, reduction="none").flatten()
    hard = losses[losses > -math.log(0.7)]
    least = int((labels != IGNORE).sum()) // 16
    return (hard if len(hard) >= least else losses.topk(least).values).mean()


def _enlarged(logits: Tensor, labels: Tensor) -> Tensor:
    return F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)


def step(loss: Loss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return value and gradient."""
    logits = logits.detach().requires_grad_()
    value = loss(logits, labels)
    torch.autograd.backward(value)
    assert logits.grad is not None
    return value.detach(), logits.grad


def seconds(loss: Loss, logits: Tensor, labels: Tensor) -> float:
    """Return how long forward and backward take."""
    start = time.perf_counter()
    step(loss, logits, labels)
    if logits.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak(loss: Loss, logits: Tensor, labels: Tensor) -> float:
    """Return the most memory that forward and backward held beyond what was there, in MiB; nan where it is not told."""
    if logits.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        step(loss, logits, labels)
        return (torch.cuda.max_memory_allocated() - held) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the highest resident size begins anew
    except (OSError, AttributeError):
        return math.nan
    before = _status("VmHWM")
    step(loss, logits, labels)
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return float(line.split()[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, default=1024, help="side of the labels, a multiple of 32")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    losses: dict[str, Loss] = {
        "usual cross-entropy": usual,
        "lean cross-entropy": PixelCrossEntropy().build(IGNORE),
        "usual OHEM": usual_ohem,
        "lean OHEM": Ohem().build(IGNORE),
        "lean OHEM, count_all": Ohem(definition="count_all").build(IGNORE),
        "lean OHEM, probability": Ohem(definition="probability").build(IGNORE),
        "lean OHEM, top_fraction": Ohem(definition="top_fraction").build(IGNORE),
    }
    arguments = batch(asked.size, torch.device(asked.device), sure=3)
    for loss in losses.values():
        step(loss, *arguments)
    for kind in ("cross-entropy", "OHEM"):
        (value, slope), (other, tilt) = (step(losses[f"{form} {kind}"], *arguments) for form in ("usual", "lean"))
        print(f"{kind}: values differ by {float((value - other).abs() / value):.1e} of the value, "
              f"gradients by {float((slope - tilt).abs().max() / slope.abs().max()):.1e} of the largest")  # fmt: skip
    memory = {name: statistics.median(peak(loss, *arguments) for _ in range(3)) for name, loss in losses.items()}
    for name, held in memory.items():
        print(f"{name:22s} {held:6.1f} MiB, {held / memory['usual cross-entropy']:.2f} of the memory")
    keep_memory()  # as a training does; it spares the usual form more
    print(f"labels {IMAGES} x {asked.size} x {asked.size}, {CLASSES} classes, logits at 1/{STRIDE}, "
          f"{asked.threads} thread(s), {asked.turns} turns")  # fmt: skip
    for sure, said in ((3, "many pixels are hard"), (12, "few pixels are hard, the hardest are selected")):
        print(said)
        report(losses, batch(asked.size, torch.device(asked.device), sure), asked.turns)
    print(json.dumps({"processor": environment()["processor"], "torch": torch.__version__, "device": asked.device}))


def report(losses: dict[str, Loss], arguments: tuple[Tensor, Tensor], turns: int) -> None:
    """Time the losses in turns and print their times, and their ratios as medians over the turns."""
    times = [{name: seconds(loss, *arguments) for name, loss in losses.items()} for _ in range(turns + 1)][1:]
    for name in losses:
        middle = 1e3 * statistics.median(turn[name] for turn in times)
        ratio = statistics.median(turn[name] / turn["usual cross-entropy"] for turn in times)
        print(f"  {name:22s} {middle:7.1f} ms, {ratio:.2f} of the time of usual cross-entropy")
    for name in (name for name in losses if "OHEM" in name):
        form = name.split()[0]
        ratio = statistics.median(turn[name] / turn[f"{form} cross-entropy"] for turn in times)
        print(f"  {name}: {ratio:.2f} of the time of {form} cross-entropy")


if __name__ == "__main__":
    main()
