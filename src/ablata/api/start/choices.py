"""The settings that are proposed for a folder, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ablata.api.start.groups import Grouping
from ablata.api.start.proposal import Choice
from ablata.base.errors import DataError
from ablata.data.formats.recognize import Recognized
from ablata.data.io.decode import open_image
from ablata.data.transforms.normalization import IMAGENET_MEAN, IMAGENET_STD
from ablata.models.weights.sources import Source

BATCHES = {"classify": 32, "segment": 8, "detect": 4, "reidentify": 32}
"""The usual batches of small sets; a GPU gets four times as many."""
SIDES = {"classify": "data.size", "segment": "data.augment.crop.height", "detect": "data.augment.min_size"}
"""The setting that says how large images are."""
_WIDEST, _SMALLEST = {"classify": 160, "segment": 256, "detect": 320}, 64
_UNEVEN, _RARE = 3.0, 0.1
"""Images of the most frequent class beside the rarest's from which on classes are weighed; share of pixels likewise."""
_SHOWN_SIZES = 64
_TOLD = {
    "data.root": "the folder",
    "data.classes": "classes, in the order of their numbers",
    "data.map": "what the masks' values mean: the folder does not say; give the classes their names in that file",
}
_IDENTITY_IMAGES = 4


@dataclass(frozen=True)
class Seen:
    """What was seen of a folder.

    Attributes:
        side: median of the shorter sides of some images, in pixels.
        counts: images (of classifiers) or pixels (of segmenters) of each class in the training set; empty: not counted.
        grouping: images that belong together; None: nothing tells of any.
        drawn: the folder has no split to score on, so that one is drawn.
    """

    side: int
    counts: Mapping[str, int]
    grouping: Grouping | None
    drawn: bool


def median_side(files: Sequence[Path]) -> int:
    """Return the median of the shorter sides of some images; 224 where none can be read."""
    sides = []
    for path in files[:: max(1, len(files) // _SHOWN_SIZES)]:
        try:
            with open_image(path, str(path)) as image:
                sides.append(min(image.size))
        except (DataError, OSError, ValueError):
            continue  # what cannot be read is told by the check
    return sorted(sides)[len(sides) // 2] if sides else 224


def data_choices(found: Recognized, seen: Seen, source: Source | None) -> Iterator[Choice]:
    """Yield how the folder is read, divided and cropped."""
    yield Choice(f"data={found.kind}", f"the folder has this layout: {found.words}")
    for setting in found.settings:
        key = setting.partition("=")[0]
        yield Choice(setting, _TOLD.get(key, "as the folder has it"))
    if seen.drawn:
        yield Choice(
            f"data.val={0.3 if found.task == 'reidentify' else 0.2}",
            "the folder has no images to score on: this fraction is drawn, the same in every run",
        )
    if seen.drawn and seen.grouping is not None:
        yield Choice(seen.grouping.setting, seen.grouping.reason)
    if found.task == "reidentify":
        yield Choice("data.height=128", "persons and animals are small in such sets")
        yield Choice("data.width=64", "half as wide as high, as persons stand; animals may need as much as the height")
        yield Choice("data.sampling=balanced", "each batch has several images of each identity")
        yield Choice(f"data.sampling.images={_IDENTITY_IMAGES}", "the usual number")
    else:
        yield from _sizes(found, seen.side)
    if source is not None and (source.mean, source.std) != (IMAGENET_MEAN, IMAGENET_STD):
        for key, values in (("mean", source.mean), ("std", source.std)):
            yield Choice(f"data.{key}=[{','.join(f'{one:.6g}' for one in values)}]", "as the weights were trained")
    if source is not None and found.task == "classify" and source.interpolation != "bilinear":
        yield Choice(f"data.interpolation={source.interpolation}", "as the weights were trained")


def _sizes(found: Recognized, short: int) -> Iterator[Choice]:
    most = _WIDEST[found.task]
    side = max(32 if found.task == "classify" else _SMALLEST, min(most, short // 32 * 32))
    told = f"the shorter side of most images is {short} pixels" + (f"; above {most} costs time" if side == most else "")
    if found.task == "classify":
        yield Choice(f"data.size={side}", told)
        yield Choice(f"data.resize={round(side * 256 / 224)}", "scored on the middle, as is usual")
    elif found.task == "segment":
        yield Choice(f"data.augment.crop.height={side}", f"trained on crops: {told}")
        yield Choice(f"data.augment.crop.width={side}", "as high as wide")
    else:
        yield Choice(f"data.augment.min_size=[{side}]", f"images are resized: {told}")
        yield Choice(f"data.augment.max_size={2 * side}", "a longer side is made no longer than this")
    if found.task != "detect":
        yield Choice("data.augment.flip=true", "set it to false where left and right differ, as in text")


def model_choices(found: Recognized, source: Source | None) -> Iterator[Choice]:
    """Yield the network and what it begins with."""
    network = source.network if source is not None else "mobilenetv2_100"
    begun = "its pretrained weights learn a small set in minutes" if source else "small; it begins without weights"
    given = f"{source.origin}; licence {source.licence}" if source is not None else ""
    if found.task in ("classify", "reidentify"):
        yield Choice("model=timm", "any network of timm")
        yield Choice(f"model.name={network}", begun)
        if source is not None:
            yield Choice(f"model.weights={source.name}", given)
    elif found.task == "segment":
        yield Choice("model=features", "one decoder on any backbone")
        yield Choice("model.backbone=timm", "any network of timm")
        yield Choice(f"model.backbone.name={network}", begun)
        yield Choice("model.width=128", "half the usual width, for a small set")
        if source is not None:
            yield Choice(f"model.backbone.weights={source.name}", given)
    else:
        yield Choice("model=mask_rcnn", "a detector in two stages learns from few images")
        yield Choice("model.backbone=timm", "a pyramid finds small and large objects")
        yield Choice(f"model.backbone.name={network}", begun)
        yield Choice("model.backbone.channels=128", "half the usual width, for a small set")
        yield Choice("model.head_width=512", "half the usual width, for a small set")
        if source is not None:
            yield Choice(f"model.backbone.weights={source.name}", given)
            yield Choice("model.backbone.norm=frozen", "batches are small: keep the statistics of the weights")
        if not found.masks:
            yield Choice("model.masks=null", "objects have boxes alone" if found.masks is False else "boxes first")


def loss_choices(found: Recognized, seen: Seen) -> Iterator[Choice]:
    """Yield the loss, with class weights where classes are uneven."""
    there = {name: count for name, count in seen.counts.items() if count}
    rare = min(there, key=there.__getitem__, default="")
    often = max(there, key=there.__getitem__, default="")
    share = there[rare] / there[often] if there else 1.0
    told = f"{rare} has {share:.1%} of what {often} has"
    if found.task == "classify":
        yield Choice("loss=cross_entropy", "the usual loss")
        if share * _UNEVEN <= 1:
            yield Choice("loss.weights=sqrt", f"classes are uneven: in images, {told}")
    elif found.task == "segment":
        yield Choice("loss=cross_entropy", "the usual loss")
        if share < _RARE:
            yield Choice("loss.weights=median", f"classes are uneven: in pixels, {told}")
    elif found.task == "reidentify":
        yield Choice("loss.smoothing=0.1", "as in Luo et al. 2019")


def training_choices(found: Recognized, source: Source | None, minutes: float, batch: int) -> Iterator[Choice]:
    """Yield optimiser, schedule and length; the batch is a first one, before the memory is measured."""
    rate = {"classify": 0.004, "segment": 0.01, "detect": 0.01, "reidentify": 0.01}[found.task]
    yield Choice("optim=sgd", "the usual optimiser")
    yield Choice(
        f"optim.lr={rate if source else 5 * rate:g}", "low, so that the weights are kept" if source else "usual"
    )
    yield Choice("optim.weight_decay=1e-4", "usual")
    yield Choice("schedule=cosine", "the learning rate falls to nothing at the end")
    yield Choice("schedule.warmup.length=0.1", "the learning rate rises over the first tenth")
    yield Choice("schedule.warmup.unit=fraction", "as a share of the training")
    if found.task == "detect":
        yield Choice("train.clip=10.0", "single batches of a detector may have large gradients")
    yield Choice(f"train.minutes={minutes:g}", "the time that was asked for, evaluations included")
    yield Choice(f"train.batch={batch}", "the usual number")
    score = 1 if found.task == "segment" else batch
    yield Choice(f"train.evaluate_batch={score}", "images differ in size" if score == 1 else "as in training")
    yield Choice("train.evaluate_every=1", "epochs between two evaluations")


def class_counts(labels: np.ndarray | torch.Tensor, classes: tuple[str, ...]) -> dict[str, int]:
    """Return how often each class occurs among labels; others than 0..K-1 do not count."""
    flat = np.asarray(labels).reshape(-1)
    counts = np.bincount(flat[(flat >= 0) & (flat < len(classes))].astype(np.int64), minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))
