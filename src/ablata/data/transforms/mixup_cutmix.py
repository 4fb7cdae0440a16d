"""Mixup and CutMix for whole batches, in the forms that published recipes use.

Mixup: Zhang et al. 2018, arXiv 1710.09412, section 2. CutMix: Yun et al. 2019, arXiv 1905.04899, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from ablata.base.parts import OpenPart
from ablata.base.settings import Settings
from ablata.data.transforms.geometry import box_mask
from ablata.structures.batch import ImageBatch, Mixing, MixingForm

Probability = Annotated[float, Field(ge=0, le=1)]


class _Mix(Settings):
    """What mixup and CutMix have in common."""

    alpha: Annotated[float, Field(gt=0)] = 1.0
    """Both parameters of the Beta distribution from which the weight of the own image is drawn."""
    pairing: Literal["permutation", "reversed", "other"] = "permutation"
    """Partner of row i of B: a random permutation's (pycls); row B-1-i (timm); or row i of another batch of the epoch,
    drawn in an order of its own and read beside this one."""
    lam: Literal["batch", "sample"] = "batch"
    """Draw one weight (and box) a batch, or one a sample."""
    mix_target: MixingForm = "labels"
    """Take the loss once against mixed labels, or mix the losses against the two labels."""
    larger: bool = False
    """Give the own image the larger of weight and 1 - weight."""
    probability: Probability = 1.0
    """Share of the batches that are mixed."""
    until_epoch: Annotated[int, Field(ge=0)] | None = None
    """First epoch (counted from 0) that is no longer mixed; null: mix to the end."""

    @property
    def other_batch(self) -> bool:
        """Whether partners come from another batch."""
        return self.pairing == "other"

    def active(self, epoch: int) -> bool:
        """Tell whether batches of this epoch may be mixed."""
        return self.until_epoch is None or epoch < self.until_epoch


class Mixup(_Mix):
    """Mixup: blend each image with a partner: w * own + (1 - w) * partner."""

    kind: Literal["mixup"] = "mixup"
    alpha: Annotated[float, Field(gt=0)] = 0.2
    """Both parameters of the Beta distribution from which the weight of the own image is drawn."""


class Cutmix(_Mix):
    """CutMix: paste a box of a partner into each image; the weight is the fraction of pixels that stay."""

    kind: Literal["cutmix"] = "cutmix"
    box: Literal["centered", "corners"] = "centered"
    """Box of the drawn area and the image's shape around a uniform centre, clipped (the paper's); or any box, its
    corners uniform (then alpha and `larger` do nothing)."""


class MixupOrCutmix(Settings):
    """Mixup or CutMix, chosen anew for every batch."""

    kind: Literal["both"] = "both"
    mixup: Mixup = Mixup()
    """Settings of the mixup batches."""
    cutmix: Cutmix = Cutmix()
    """Settings of the CutMix batches."""
    switch: Probability = 0.5
    """Share of CutMix batches; the others are mixup batches."""

    @model_validator(mode="after")
    def _same_batches(self) -> MixupOrCutmix:
        if self.mixup.other_batch != self.cutmix.other_batch:
            raise ValueError("mixup.pairing and cutmix.pairing must both be other, or neither")
        return self

    @property
    def other_batch(self) -> bool:
        """Whether partners come from another batch."""
        return self.mixup.other_batch

    def active(self, epoch: int) -> bool:
        """Tell whether batches of this epoch may be mixed."""
        return self.mixup.active(epoch) or self.cutmix.active(epoch)


Mix = Annotated[Mixup | Cutmix | MixupOrCutmix, OpenPart()]


@dataclass(frozen=True)
class MixPlan:
    """Drawn numbers of a global batch of B rows.

    Attributes:
        partner: int64 [B], row of each row's partner.
        lam: float32 [B], weight of the own image (mixup) or fraction of own pixels (cutmix).
        box: int64 [B, 4] top, left, bottom, right, half open and inside the image; None for mixup.
        mix_target: how the loss treats the two labels.
    """

    partner: Tensor
    lam: Tensor
    box: Tensor | None
    mix_target: MixingForm


def draw_plan(
    seed: int, mix: Mixup | Cutmix | MixupOrCutmix, total: int, size: tuple[int, int], epoch: int
) -> MixPlan | None:
    """Draw partners, weights and boxes for a global batch.

    Args:
        seed: seed of this step's mixing; the same seed gives the same plan.
        mix: the settings.
        total: B, rows of the global batch, and of the other batch where partners come from one.
        size: height and width of the images.
        epoch: for `until_epoch`.

    Returns:
        The plan, or None where this batch is not mixed.
    """
    random = np.random.default_rng(seed)
    chosen = (mix.cutmix if random.random() < mix.switch else mix.mixup) if isinstance(mix, MixupOrCutmix) else mix
    if not chosen.active(epoch) or random.random() >= chosen.probability:
        return None
    partner = _partners(random, chosen.pairing, total)
    draws = total if chosen.lam == "sample" else 1
    weight = random.beta(chosen.alpha, chosen.alpha, size=draws)
    if chosen.larger:
        weight = np.maximum(weight, 1 - weight)
    box = None
    if isinstance(chosen, Cutmix):
        box = _centred(random, weight, size) if chosen.box == "centered" else _corners(random, draws, size)
        weight = 1 - (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) / (size[0] * size[1])
        box = np.broadcast_to(box, (total, 4)).copy()
    weight = np.broadcast_to(weight, (total,)).astype(np.float32)
    boxes = None if box is None else torch.from_numpy(box)
    return MixPlan(torch.from_numpy(partner), torch.from_numpy(weight), boxes, chosen.mix_target)


def _partners(random: np.random.Generator, pairing: str, total: int) -> np.ndarray:
    """Return int64 [total]; another batch is the second half of the rows."""
    if pairing == "permutation":
        return random.permutation(total)
    rows = np.arange(total)
    return rows[::-1].copy() if pairing == "reversed" else (rows + total // 2) % total


def _centred(random: np.random.Generator, weight: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes of area share 1 - weight around uniform centres, clipped to the image: int64 [n, 4]."""
    limits = np.array(size)
    extent = (limits * np.sqrt(1 - weight)[:, None]).astype(np.int64)
    centre = random.integers(0, limits, size=(len(weight), 2))
    start = centre - extent // 2
    return np.concatenate([start.clip(0), np.minimum(start + extent, limits)], axis=1)


def _corners(random: np.random.Generator, draws: int, size: tuple[int, int]) -> np.ndarray:
    """Boxes between two uniform corners: int64 [n, 4]."""
    corners = np.sort(random.integers(0, np.array(size) + 1, size=(draws, 2, 2)), axis=1)
    return corners.reshape(draws, 4)


def apply_plan(batch: ImageBatch, plan: MixPlan) -> ImageBatch:
    """Mix a batch that holds every row of the global batch, and return the rows that `batch.rows.keep` asks for.

    Args:
        batch: images float32 [B, C, H, W].
        plan: numbers for the same B rows.

    Returns:
        The kept rows, with `mixing` set.

    Raises:
        ValueError: the batch does not hold all rows of the plan.
    """
    if len(batch) != len(plan.partner):
        raise ValueError(f"the batch must hold all {len(plan.partner)} rows of the global batch, got {len(batch)}")
    start, stop = batch.rows.keep or (0, len(batch))
    device = batch.images.device
    partner = plan.partner[start:stop].to(device)
    weight = plan.lam[start:stop].to(device)
    kept = replace(batch, rows=replace(batch.rows, keep=None)).narrow(start, stop)
    others = batch.images[partner]
    if plan.box is None:
        images = torch.lerp(others, kept.images, weight[:, None, None, None])
    else:
        top, left, bottom, right = plan.box[start:stop].to(device).unbind(1)
        pasted = box_mask(top, left, bottom, right, *batch.images.shape[-2:])[:, None]
        images = torch.where(pasted, others, kept.images)
    mixing = Mixing(batch.labels[partner], batch.index[partner], weight, plan.mix_target)
    return replace(kept, images=images, mixing=mixing)
