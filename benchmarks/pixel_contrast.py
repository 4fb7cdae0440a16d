"""Time the contrast of pixels beside the public implementation, and a training step with and without it, in turns.

    python benchmarks/pixel_contrast.py [--peer FOLDER] [--turns 5] [--threads 1] [--step-turns 3]

FOLDER is a checkout of github.com/tfzhou/ContrastiveSeg; its lib/loss/loss_contrast.py is run as it stands, with
`.cuda()` doing nothing. Both contrasts get 4 embeddings of 256 x 128 x 256 and at most 1,024 samples, forward and
backward; on the public one's own anchors both must give one value. The step is that of HRNet-W18 on 4 images of
512 x 1024.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ablata.losses.contrastive.pixel_contrast import PixelContrast, contrast, nearest
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.models.segmentation.base import Segmenter
from ablata.models.segmentation.hrnet import HRNet

CLASSES, IGNORE, SIZE, WIDTH, BATCH = 19, 255, (128, 256), 256, 4
SETTINGS = {
    "temperature": 0.1,
    "base_temperature": 0.07,
    "max_samples": 1024,
    "max_views": 100,
    "ce_ignore_index": IGNORE,
}


class Configer:
    """What the public loss asks for its settings."""

    def exists(self, *keys: str) -> bool:
        """Say that everything is there."""
        return True

    def get(self, *keys: str) -> Any:
        """Return a setting; `loss params` is the whole table."""
        return SETTINGS.get(keys[-1], SETTINGS)


def public_loss(folder: Path) -> Any:
    """Load the public loss without the libraries that only other parts of its file need."""
    helper, logger = ModuleType("lib.loss.loss_helper"), ModuleType("lib.utils.tools.logger")
    for name in ("FSAuxCELoss", "FSAuxRMILoss", "FSCELoss"):
        setattr(helper, name, object)
    logger.Logger = object  # type: ignore[attr-defined]
    sys.modules |= {"lib.loss.loss_helper": helper, "lib.utils.tools.logger": logger}
    spec = importlib.util.spec_from_file_location("loss_contrast", folder / "lib/loss/loss_contrast.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"no lib/loss/loss_contrast.py in {folder}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    return module.PixelContrastLoss(Configer())


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Return an embedding [4, 256, 128, 256], logits of which two thirds are right, labels [4, 512, 1024] of blocks."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(CLASSES, (BATCH, 8, 16), generator=generator)
    labels = blocks.repeat_interleave(64, 1).repeat_interleave(64, 2)
    small = nearest(labels, SIZE)
    guess = torch.where(torch.rand(small.shape, generator=generator) < 0.35, (small + 1) % CLASSES, small)
    logits = F.one_hot(guess, CLASSES).movedim(3, 1).float().contiguous()
    return torch.randn(BATCH, WIDTH, *SIZE, generator=generator), logits, labels


def seconds(work: Callable[[], Tensor], leaf: Tensor | None = None) -> float:
    """Return how long a pass forward and back takes; of one thread the processor's time, free of other programs."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    if leaf is not None:
        leaf.grad = None
    start = clock()
    torch.autograd.backward(work())
    return clock() - start


def beside_the_public_one(folder: Path, turns: int) -> None:
    """Compare values, then times."""
    embedding, logits, labels = inputs()
    theirs = public_loss(folder)
    unit, plain = F.normalize(embedding, dim=1).requires_grad_(), embedding.requires_grad_()
    small, guess = nearest(labels, SIZE).flatten(1), logits.argmax(1).flatten(1)
    anchors, classes = theirs._hard_anchor_sampling(unit.detach().flatten(2).transpose(1, 2), small, guess)
    rows, row_labels = anchors.transpose(0, 1).flatten(0, 1), classes.long().repeat(anchors.shape[1])
    values = (
        theirs._contrastive(anchors, classes).item(),
        contrast(rows, row_labels, 0.1, 0.07).item(),
    )
    if abs(values[0] - values[1]) > 1e-5 * abs(values[0]):
        raise SystemExit(f"the two losses differ on the same anchors: {values}")
    print(f"on the same {len(rows)} anchors: public {values[0]:.6f}, ours {values[1]:.6f}")
    ours = PixelContrast(weight=1.0).build_contrast(CLASSES, IGNORE)
    pairs = []
    for _ in range(turns + 1):
        them = seconds(lambda: theirs(unit, labels, logits.argmax(1)), unit)
        us = seconds(lambda: ours(plain, logits, labels), plain)
        pairs.append((them, us))
    median = [1e3 * statistics.median(column) for column in zip(*pairs[1:], strict=True)]
    ratio = statistics.median(them / us for them, us in pairs[1:])
    print(f"contrast: public {median[0]:.0f} ms, ours {median[1]:.0f} ms, {ratio:.1f} times as fast")


def step(model: Segmenter, terms: Callable[[dict[str, Tensor]], Tensor], images: Tensor) -> Tensor:
    """Return the loss of a forward pass in bfloat16; the gradients go to the parameters."""
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        return terms(model(images))


def a_step_with_and_without(turns: int) -> None:
    """Time the steps of two equal networks of which one has a projection."""
    _, _, labels = inputs()
    images = torch.randn(BATCH, 3, 512, 1024).contiguous(memory_format=torch.channels_last)
    cross_entropy, settings = PixelCrossEntropy().build(IGNORE), PixelContrast()
    built = settings.build_contrast(CLASSES, IGNORE)
    models = [HRNet(width=18).build(CLASSES).to(memory_format=torch.channels_last).train() for _ in range(2)]
    models[1].projection = settings.projection.build(15 * 18).to(memory_format=torch.channels_last)

    def both(outputs: dict[str, Tensor]) -> Tensor:
        return cross_entropy(outputs["logits"], labels) + built(outputs["embedding"], outputs["logits"], labels)

    alone = partial(step, models[0], lambda outputs: cross_entropy(outputs["logits"], labels), images)
    joint = partial(step, models[1], both, images)
    pairs = [(seconds(alone), seconds(joint)) for _ in range(turns + 1)][1:]
    without, together = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(after / before for before, after in pairs)
    print(f"step: without {without:.2f} s, with contrast {together:.2f} s, ratio {ratio:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--step-turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} thread(s)")
    if arguments.peer is not None:
        beside_the_public_one(arguments.peer, arguments.turns)
    if arguments.step_turns:
        a_step_with_and_without(arguments.step_turns)
    print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
