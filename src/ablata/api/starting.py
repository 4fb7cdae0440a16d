"""Starting from a folder: what it holds, which recipe fits it, each choice with its reason, and what it costs here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ablata.base.errors import AblataError, DataError
from ablata.base.home import lab_home
from ablata.base.overrides import override
from ablata.data.formats.recognize import Recognized, box_formats, recognize
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import files_under
from ablata.data.loading.locate import find_root
from ablata.engine.hardware.memory import peak_memory, reset_peak_memory
from ablata.engine.hardware.precision import choose_device
from ablata.engine.length import measured
from ablata.engine.task import RunContext
from ablata.models.weights.getting import get_weights
from ablata.models.weights.sources import SOURCES, Source
from ablata.tasks.any import recipe_classes

_WEIGHTS = "mobilenet_v2"
_SHARE = 0.15
"""Most of the time that evaluations may take."""
_MEMORY = 0.5
"""Most of the machine's memory that a training may take."""
_TASKS = {"classify": "classification", "segment": "semantic segmentation", "detect": "object detection"}


@dataclass(frozen=True)
class Choice:
    """One setting of a proposed recipe, `key=value`, and why it has that value."""

    setting: str
    reason: str


@dataclass(frozen=True)
class Proposal:
    """A recipe for a folder.

    Args:
        found: what the folder is.
        others: further ways to train on it.
        lines: what it holds, in words.
        wrong: what must be repaired before it can be trained on.
        choices: the recipe's settings.
        steps: optimiser steps that fit into the time.
        seconds_a_step: measured here.
        seconds_an_evaluation: likewise.
        memory: peak of the few steps, in bytes.
    """

    found: Recognized
    others: tuple[Recognized, ...]
    lines: tuple[str, ...]
    wrong: tuple[str, ...]
    choices: tuple[Choice, ...]
    steps: int = 0
    seconds_a_step: float = 0.0
    seconds_an_evaluation: float = 0.0
    memory: float = 0.0

    def text(self) -> str:
        """Return the recipe as a file that `ablata train` takes and that can be edited."""
        kind = _recipe_class(self.found.task)
        rows = "".join(
            f"    # {' '.join(one.reason.split())}\n    {json.dumps(one.setting, ensure_ascii=False)},\n"
            for one in self.choices
        )
        return (
            f'"""A first recipe for {self.found.words}, as `ablata start` proposed it; edit it at will."""\n\n'
            "from ablata.base.overrides import override\n"
            f"from {kind.__module__} import {kind.__name__}\n\n"
            f"CHOICES = [\n{rows}]\n\n\n"
            f"def recipe() -> {kind.__name__}:\n"
            f'    """{_TASKS[self.found.task].capitalize()} of a folder of one\'s own."""\n'
            f"    return override({kind.__name__}(), CHOICES)\n"
        )


def propose(
    folder: str, *, minutes: float = 20.0, task: str | None = None, weights: bool = True, say: Callable[[str], None]
) -> Proposal:
    """Look at a folder and propose a recipe for it.

    Args:
        folder: of images and labels, or a zip of it.
        minutes: how long the training may take here.
        task: detect, segment or classify; None: what the folder is most likely for.
        weights: begin with pretrained weights where they can be had.
        say: is told what is being done.

    Raises:
        DataError: the folder is not there, or its layout is not known.
    """
    cache = lab_home() / "cache"
    root = str(Path(folder).expanduser().absolute())
    ways = [one for one in recognize(root, cache) if task in (None, one.task)]
    if not ways:
        raise DataError(
            "The layout of the folder must be one that is recognised",
            found=f"{folder}{f', for the task {task}' if task else ''}",
            do=f"arrange it as one of: images/ and masks/ with files of the same names; "
            f"train/CLASS/ and val/CLASS/; {box_formats()}",
        )
    found, *others = ways
    if found.faults:
        return Proposal(found, tuple(others), (), found.faults, ())
    say(f"looking at every file: {found.words}")
    lines, wrong = _looked(found, cache)
    if wrong:
        return Proposal(found, tuple(others), lines, wrong, ())
    source = _weights(say) if weights else None
    choices = [*_data_choices(found, cache), *_model_choices(found, source, cache), *_length_choices(found, minutes)]
    say("measuring a few steps here")
    return _sized(Proposal(found, tuple(others), lines, (), tuple(choices)), cache)


def _recipe_class(task: str) -> Any:
    return next(kind for kind in recipe_classes() if kind.model_fields["task"].default == task)


def _plain(found: Recognized) -> Any:
    # Looking at boxes needs no masks, and some sets have none.
    first = ["model.masks=null"] if found.task == "detect" else []
    return override(_recipe_class(found.task)(), [*first, *found.overrides])


def _looked(found: Recognized, cache: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a folder holds and what is wrong with it, in words."""
    recipe = _plain(found)
    if found.task == "segment":
        try:
            data = recipe.data.build(cache)
        except DataError as error:
            return (), (str(error),)
        sizes = ", ".join(f"{len(data.split(split))} {split}" for split in data.splits)
        return (f"images: {sizes}", f"classes: {', '.join(data.classes)}", *data.notices), ()
    report = recipe.check_data(cache)
    wrong = [problem for problem in report.problems if not getattr(problem, "repaired", False)]
    return (*report.lines(), *report.class_lines()), tuple(str(one) for one in wrong)


def _weights(say: Callable[[str], None]) -> Source | None:
    """Return pretrained weights, fetched where they are not at hand; None: they cannot be had."""
    try:
        say(f"pretrained weights: {_WEIGHTS}")
        return get_weights(_WEIGHTS)
    except AblataError as error:
        say(f"no pretrained weights: {error.found}; later: ablata weights get {SOURCES[0].name}")
        return None


def _data_choices(found: Recognized, cache: Path) -> Iterator[Choice]:
    for number, setting in enumerate(found.overrides):
        yield Choice(setting, found.words if number == 0 else "what reads it")
    short = _short_side(found, cache)
    if found.task == "classify" and found.kind == "image_folder":
        size = max(32, min(160, short // 32 * 32))
        yield Choice(f"data.size={size}", f"the shorter side of most images is {short} pixels; above 160 costs time")
        yield Choice(f"data.resize={round(size * 256 / 224)}", "scored on the middle, as is usual")
        yield Choice("data.augment.flip=true", "set it to false where left and right differ, as in text")
    elif found.task == "segment":
        side = max(64, min(256, short // 32 * 32))
        yield Choice("data.augment.flip=true", "set it to false where left and right differ")
        yield Choice(f"data.augment.crop.height={side}", f"the shorter side of most images is {short} pixels")
        yield Choice(f"data.augment.crop.width={side}", "as high as wide")
    elif found.task == "detect":
        side = max(128, min(320, short // 32 * 32))
        yield Choice(
            f"data.augment.min_size=[{side}]", f"shorter sides are {short} pixels mostly; above 320 costs time"
        )
        yield Choice(f"data.augment.max_size={2 * side}", "a longer side is made no longer than this")


def _short_side(found: Recognized, cache: Path) -> int:
    """Return the median of the shorter sides of some images of the folder."""
    root = find_root(str(_plain(found).data.root), default=None, fits=Path.is_dir, layout="", cache=cache)
    images = [path for path in files_under(root) if path.suffix.lower() in IMAGE_SUFFIXES]
    sides = []
    for path in images[:: max(1, len(images) // 64)]:
        try:
            with Image.open(path) as image:
                sides.append(min(image.size))
        except (OSError, ValueError):
            # What cannot be read is told by the check.
            continue
    return sorted(sides)[len(sides) // 2] if sides else 224


def _model_choices(found: Recognized, source: Source | None, cache: Path) -> Iterator[Choice]:
    network = source.network if source is not None else "mobilenetv2_100"
    begun = "its pretrained weights learn a small set in minutes" if source else "small, and drawn anew"
    given = f"{source.origin}; licence {source.licence}" if source is not None else ""
    if found.task == "classify":
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
        yield Choice("loss=cross_entropy", "the usual loss")
        if (share := _share(found, cache)) < 0.1:
            yield Choice("loss.weights=median", f"the rarest class has {share:.1%} of the most frequent one's pixels")
    else:
        yield Choice("model=mask_rcnn", "a detector in two stages learns from few images")
        yield Choice("model.backbone=fpn", "a pyramid finds small and large objects")
        yield Choice(f"model.backbone.name={network}", begun)
        yield Choice("model.backbone.channels=128", "half the usual width, for a small set")
        yield Choice("model.head_width=512", "half the usual width, for a small set")
        if source is not None:
            yield Choice(f"model.backbone.weights={source.name}", given)
            yield Choice("model.backbone.norm=frozen", "batches are small: keep the statistics of the weights")
        if not found.masks:
            yield Choice("model.masks=null", "objects have boxes alone" if found.masks is False else "boxes first")
    rate = {"classify": 0.004, "segment": 0.01, "detect": 0.01}[found.task]
    yield Choice("optim=sgd", "the usual optimiser")
    yield Choice(
        f"optim.lr={rate if source else 5 * rate:g}", "low, so that the weights are kept" if source else "usual"
    )
    yield Choice("optim.weight_decay=1e-4", "usual")
    yield Choice("schedule=cosine", "the rate falls to nothing at the end")
    yield Choice("schedule.warmup.length=0.1", "a slow start")
    yield Choice("schedule.warmup.unit=fraction", "as a share of the training")
    if found.task == "detect":
        yield Choice("train.clip=10.0", "single batches of a detector may have large gradients")


def _share(found: Recognized, cache: Path) -> float:
    """Return the pixels of the rarest class as a share of the most frequent one's, over some training images."""
    data = _plain(found).data.build(cache)
    counts = torch.zeros(len(data.classes), dtype=torch.long)
    loader = data.eval_loader("train", 1)
    chosen = loader.index[:: max(1, len(loader.index) // 32)]
    for batch in replace(loader, index=chosen):
        labels = batch.labels.long().flatten()
        counts += torch.bincount(labels[labels < len(counts)], minlength=len(counts))
    return float(counts.min()) / max(1.0, float(counts.max()))


def _length_choices(found: Recognized, minutes: float) -> Iterator[Choice]:
    batch = {"classify": 32, "segment": 8, "detect": 4}[found.task]
    yield Choice(f"train.minutes={minutes:g}", "the time that was asked for, evaluations included")
    yield Choice(f"train.batch={batch}", "fits the memory of this machine")
    yield Choice(f"train.evaluate_batch={batch if found.task != 'segment' else 1}", "images may differ in size")
    yield Choice("train.evaluate_every=1", "epochs")


def _sized(made: Proposal, cache: Path) -> Proposal:
    """Measure a proposal and fit batch and evaluations to machine and time."""
    device = choose_device("auto")
    available = torch.cuda.mem_get_info()[1] if device.type == "cuda" else _memory()
    while True:
        recipe: Any = override(_recipe_class(made.found.task)(), [one.setting for one in made.choices]).effective()
        reset_peak_memory(device)
        found = measured(recipe, 0, RunContext(device, cache))
        memory = float(peak_memory(device))
        if memory <= _MEMORY * available or recipe.train.batch == 1:
            break
        made = _changed(made, f"train.batch={recipe.train.batch // 2}", "more does not fit the memory of this machine")
    step, evaluation = found["seconds_a_step"], found["seconds_an_evaluation"]
    # Evaluations take their share of the time at most.
    epochs = evaluation / (_SHARE * step * found["steps_an_epoch"])
    if epochs > 1:
        reason = f"an evaluation takes {evaluation:.0f} s, an epoch {step * found['steps_an_epoch']:.0f} s"
        made = _changed(made, f"train.evaluate_every={max(1, round(epochs))}", reason)
    steps = int(found["steps"]) if epochs <= 1 else max(1, int((1 - _SHARE) * 60 * recipe.train.minutes / step))
    return replace(made, steps=steps, seconds_a_step=step, seconds_an_evaluation=evaluation, memory=memory)


def _changed(made: Proposal, setting: str, reason: str) -> Proposal:
    key = setting.partition("=")[0]
    kept = [Choice(setting, reason) if one.setting.partition("=")[0] == key else one for one in made.choices]
    return replace(made, choices=tuple(kept))


def _memory() -> float:
    """Return the bytes of memory of this machine."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
