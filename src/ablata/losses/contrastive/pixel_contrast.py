"""Pixel-wise supervised contrastive loss: pixels of a class attract each other on the unit sphere, others repel.

Source: Wang et al. 2021, arXiv 2101.11939, equation 3, scaled by tau / tau_b as in its code and in Khosla et al. 2020,
arXiv 2004.11362. For anchor i, positives p and negatives n, s the products of unit vectors:

    L_i = (tau / tau_b) mean_p -log( exp(s_ip / tau) / (exp(s_ip / tau) + sum_n exp(s_in / tau)) )
        = (tau / tau_b) mean_p softplus( log sum_n exp(s_in / tau) - s_ip / tau )

and the loss is the mean over the anchors that have a positive; 0, with a gradient of 0, where none has.

Letters: B images, D width of the embedding, h x w its size, K classes, H x W the labels' size, A anchors, M keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from ablata.losses.contrastive.anchor_sampling import AnchorSampling, draw_anchors, group_pixels
from ablata.losses.contrastive.memory_bank import ClassQueues, MemoryBank, SemiHard, mean_regions
from ablata.losses.contrastive.weight_schedule import AnyWeightSchedule, ConstantWeight
from ablata.losses.segmentation.any import AnyPixelLoss
from ablata.losses.segmentation.base import IGNORE, SegmentationLossSettings
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.nn.projection import Projection

_PRODUCTS = 2**23
"""Products of anchors and keys that are held at once (32 MiB, and masks and their like); more are computed in parts,
each again in the backward pass."""


class PixelContrast(SegmentationLossSettings, AnchorSampling):
    """Pixel-wise contrastive loss beside a loss of the logits."""

    kind: Literal["contrast"] = "contrast"
    pixel_loss: AnyPixelLoss | None = PixelCrossEntropy()
    """Loss of the logits; null: none, so that the heads get no gradient."""
    pixel_loss_weight: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the loss of the logits, on that of auxiliary heads too."""
    combine: Literal["sum", "product"] = "sum"
    """What is made of the main head's loss and the contrast; of a product each is the other's weight, so that a batch
    without contrast gives the main head no gradient."""
    weight: Annotated[float, Field(gt=0)] = 0.1
    """Factor on the contrast."""
    weight_schedule: AnyWeightSchedule = ConstantWeight()
    """Schedule of the weight. It scales the gradient; the logged value is that at full weight."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """tau."""
    base_temperature: Annotated[float, Field(gt=0)] = 0.07
    """tau_b."""
    projection: Projection = Projection()
    """Layers from the network's features to the embedding; there in training alone."""
    memory: MemoryBank | None = None
    """Contrast with earlier pixels and regions too; null: with those of the batch alone."""

    @model_validator(mode="after")
    def _fits_together(self) -> PixelContrast:
        if self.combine == "product" and self.pixel_loss is None:
            raise ValueError("combine=product needs a loss of the logits: pixel_loss must not be null")
        return self

    def build_contrast(
        self,
        classes: int,
        ignore: int = IGNORE,
        device: torch.device | str = "cpu",
        all_gather: Callable[[Tensor], Tensor] = lambda own: own,
    ) -> PixelContrastLoss:
        """Make the contrast, without the loss of the logits.

        Args:
            classes: K.
            ignore: label of pixels that do not count.
            device: where the memory is.
            joined: brings the rows [N, ...] of all processes together, equal on each of them; one process has its own.
        """
        return PixelContrastLoss(self, classes, ignore, device, all_gather)


class PixelContrastLoss:
    """The contrast of a training, with its memory; arguments as for `PixelContrast.build_contrast`."""

    def __init__(
        self,
        settings: PixelContrast,
        classes: int,
        ignore: int,
        device: torch.device | str,
        all_gather: Callable[[Tensor], Tensor],
    ) -> None:
        self.settings, self.classes, self.ignore, self.all_gather = settings, classes, ignore, all_gather
        lengths = {"pixels": 0, "regions": 0}
        if settings.memory is not None:
            lengths = {"pixels": settings.memory.pixels, "regions": settings.memory.regions}
        width = settings.projection.width
        self.queues = {name: ClassQueues(classes, length, width, device) for name, length in lengths.items() if length}

    def __call__(self, embedding: Tensor, logits: Tensor, labels: Tensor, progress: float = 1.0) -> Tensor:
        """Return weight x contrast, a scalar, and add the batch to the memory bank.

        Args:
            embedding: [B, D, h, w], of any length but 0.
            logits: [B, K, a, b], of any size; where they are wrong, pixels are hard.
            labels: [B, H, W] integers in [0, K), or `ignore`.
            progress: fraction of the training that is over, in [0, 1).
        """
        settings, size = self.settings, (embedding.shape[2], embedding.shape[3])
        truth = resize_nearest(labels, size).flatten(1).long()
        correct = is_correct(resize_nearest(logits.detach(), size).flatten(2), truth)
        with torch.autocast(embedding.device.type, enabled=False):
            rows, counts = draw_anchors(settings, group_pixels(truth, correct, self.classes, self.ignore))
            anchors = gather_unit_vectors(embedding, rows)
            own = torch.where(counts, truth.flatten()[rows], -1)
            held = [queue.content() for queue in self.queues.values()]
            memory = torch.cat([vectors for vectors, _, _ in held]) if held else None
            held_labels = torch.cat([torch.where(full, of, -1) for _, of, full in held]) if held else None
            mining = settings.memory.mining if settings.memory else None
            loss = settings.weight * contrast(
                anchors, own, settings.temperature, settings.base_temperature, memory, held_labels, mining
            )
            if self.queues:
                self._remember(embedding.detach(), truth)
        factor = settings.weight_schedule.value(progress)
        return loss if factor == 1 else loss.detach() + factor * (loss - loss.detach())

    @torch.no_grad()
    def _remember(self, embedding: Tensor, truth: Tensor) -> None:
        assert self.settings.memory is not None
        if "pixels" in self.queues:
            groups = group_pixels(truth, torch.ones_like(truth, dtype=torch.bool), self.classes, self.ignore)
            each = self.settings.memory.per_image
            amount = AnchorSampling(
                samples=max(2, len(truth) * self.classes * each), max_views=each, on_short_class="take"
            )
            rows, counts = draw_anchors(amount, groups)
            labels = torch.where(counts, truth.flatten()[rows], -1)
            self._add("pixels", gather_unit_vectors(embedding, rows), labels)
        if "regions" in self.queues:
            pixels = F.normalize(embedding.float(), dim=1).flatten(2).transpose(1, 2)
            self._add("regions", *mean_regions(pixels, torch.where(truth == self.ignore, -1, truth), self.classes))

    def _add(self, name: str, vectors: Tensor, labels: Tensor) -> None:
        self.queues[name].add(self.all_gather(vectors), self.all_gather(labels))

    def state(self) -> dict[str, Tensor]:
        """Return what the memory holds, for a checkpoint."""
        return {f"{name}.{key}": value for name, queue in self.queues.items() for key, value in queue.state().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned.

        Raises:
            ValueError: it is of another memory.
        """
        for name, queue in self.queues.items():
            queue.load_state({key: state[f"{name}.{key}"] for key in ("vectors", "added")})


def contrast(
    anchors: Tensor,
    labels: Tensor,
    temperature: float,
    base_temperature: float,
    memory: Tensor | None = None,
    memory_labels: Tensor | None = None,
    mining: SemiHard | None = None,
) -> Tensor:
    """Return the loss at the head of the file, a scalar; keys are the anchors and what is in the memory.

    Args:
        anchors: [A, D], unit vectors; of A = 0 the loss is 0.
        labels: int64 [A], below 0 for rows that do not count.
        temperature: tau.
        base_temperature: tau_b.
        memory: [M, D], unit vectors, which get no gradient; None: there are none.
        memory_labels: int64 [M], below 0 for rows that do not count.
        mining: which part of the memory is used; None: all.
    """
    if not len(anchors):
        return anchors.sum()
    if memory is None or memory_labels is None:
        memory, memory_labels = anchors.detach()[:0], labels[:0]
    rows = max(1, _PRODUCTS // (len(anchors) + len(memory)))
    arguments = (anchors, labels, memory.detach(), memory_labels, temperature, mining)
    if len(anchors) <= rows:
        sums = [_of_rows(slice(0, len(anchors)), *arguments)]
    else:
        sums = [
            checkpoint(_of_rows, slice(first, first + rows), *arguments, use_reentrant=False)
            for first in range(0, len(anchors), rows)
        ]
    total, counted = torch.stack(sums).sum(0)
    loss: Tensor = temperature / base_temperature * total / counted.clamp(min=1)
    return loss


def _of_rows(
    chosen: slice,
    anchors: Tensor,
    labels: Tensor,
    memory: Tensor,
    memory_labels: Tensor,
    temperature: float,
    mining: SemiHard | None,
) -> Tensor:
    """Return the sum of L_i over the chosen anchors, and how many of them have a positive: [2]."""
    mine, own = anchors[chosen], labels[chosen]
    products = torch.cat((mine @ anchors.T, mine @ memory.T), 1) / temperature
    key_labels = torch.cat((labels, memory_labels))
    same = own[:, None] == key_labels
    counted = (own >= 0)[:, None] & (key_labels >= 0)
    positive, negative = same & counted, ~same & counted
    row = torch.arange(len(mine), device=mine.device)
    positive[row, chosen.start + row] = False
    if mining is not None:
        count = len(anchors)
        later = products.detach()[:, count:]
        positive[:, count:] = choose_hard(-later, positive[:, count:], mining.fraction, mining.positives)
        negative[:, count:] = choose_hard(later, negative[:, count:], mining.fraction, mining.negatives)
    against = products.masked_fill(~negative, -math.inf).logsumexp(1, keepdim=True)
    # Where an anchor has no negative this is softplus(-inf) = 0, with a gradient of 0.
    each = torch.where(positive, F.softplus(against - products), 0.0).sum(1)
    number = positive.sum(1)
    return torch.stack(((each / number.clamp(min=1)).sum(), (number > 0).sum().to(each.dtype)))


def choose_hard(scores: Tensor, among: Tensor, fraction: float, most: int) -> Tensor:
    """Hard example mining: choose at random among the highest scores of each row.

    Args:
        scores: [A, M].
        among: bool [A, M], what can be chosen; of n in a row the ceil(fraction n) highest are candidates, with ties.
        fraction: in (0, 1].
        most: how many of the candidates are chosen at most.

    Returns:
        bool [A, M].
    """
    scores = scores.masked_fill(~among, -math.inf)
    limit = (among.sum(1, keepdim=True) * fraction).ceil().long().clamp(min=1)
    candidate = among & (scores >= scores.sort(1, descending=True).values.gather(1, limit - 1))
    chance = torch.where(candidate, torch.rand(scores.shape, device=scores.device), -1.0)
    drawn = chance.topk(min(most, scores.shape[1]), 1).indices
    return candidate & torch.zeros_like(candidate).scatter_(1, drawn, True)


def resize_nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps [..., H, W] resized by nearest neighbour: row i takes row floor(i H / h), where a
    convolution of that stride, with padding, has its centre."""
    (height, width), (h, w) = maps.shape[-2:], size
    if (height, width) == size:
        return maps
    rows = torch.arange(h, device=maps.device) * height // h
    columns = torch.arange(w, device=maps.device) * width // w
    return maps[..., rows[:, None], columns]


def is_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return bool [B, P], where no logit [B, K, P] is above that of the label [B, P]; of labels outside [0, K) it means
    nothing."""
    # Less than half the time of an argmax, which nobody needs.
    own = logits.gather(1, labels.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
    return own >= logits.amax(1)


def gather_unit_vectors(embedding: Tensor, rows: Tensor) -> Tensor:
    """Return the unit vectors [A, D] in float32 of an embedding [B, D, h, w] at pixels `rows` of B h w."""
    chosen: Tensor = _Gather.apply(embedding, rows)
    return F.normalize(chosen.float(), dim=1)


class _Gather(torch.autograd.Function):
    """One gather in any memory order, whose gradient has that order too: torch's own would be copied from another."""

    @staticmethod
    def forward(context: Any, embedding: Tensor, rows: Tensor) -> Tensor:
        _, _, h, w = embedding.shape
        index = (rows // (h * w), rows // w % h, rows % w)
        context.save_for_backward(*index)
        context.like = torch.empty_like(embedding, device="meta")
        return embedding.permute(0, 2, 3, 1)[index]

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        whole = torch.zeros_like(context.like, device=gradient.device)
        whole.permute(0, 2, 3, 1).index_put_(context.saved_tensors, gradient, accumulate=True)
        return whole, None
