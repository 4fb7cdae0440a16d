"""Predictions for image files: the most probable classes of each, and an image that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ablata.base.errors import DataError, SettingsError, listing
from ablata.data.drawing.contact_sheet import captioned
from ablata.data.io.eval_crop import DEFAULT
from ablata.tasks.classification.predictor import ClassificationPredictor
from ablata.tasks.classification.protocols import PROTOCOLS, Protocol, eval_crop, predict

_BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """What a network says of an image.

    Args:
        file: the image.
        classes: name and probability, the most probable first.
        shown: uint8 [C, H, W], the image as the network saw it.
    """

    file: Path
    classes: tuple[tuple[str, float], ...]
    shown: Tensor

    def as_dict(self) -> dict[str, Any]:
        """Return file and classes, JSON-safe."""
        return {"file": str(self.file), "classes": [{"name": n, "probability": p} for n, p in self.classes]}


@dataclass(frozen=True)
class Predictions:
    """All predictions of a call.

    Args:
        done: of the images that could be read, in the order given.
        unreadable: what was found in the others, file first.
        protocol: by which views.
    """

    done: tuple[Prediction, ...]
    unreadable: tuple[str, ...]
    protocol: str

    def as_dict(self) -> dict[str, Any]:
        """Return everything but pixels, JSON-safe."""
        return {
            "protocol": self.protocol,
            "predictions": [one.as_dict() for one in self.done],
            "unreadable": list(self.unreadable),
        }

    def sheet(self, side: int = 160) -> Image.Image:
        """Draw the images with their classes under them; the longer side of each takes about `side` pixels."""
        return captioned(
            [one.shown for one in self.done],
            [[f"{probability:.0%} {name}" for name, probability in one.classes[:3]] for one in self.done],
            side=side,
        )


@torch.no_grad()
def predict_files(
    model: ClassificationPredictor, files: Sequence[Path], *, top: int = 5, protocol: str | None = None
) -> Predictions:
    """Predict the classes of image files.

    Args:
        model: the classifier.
        files: image files.
        top: how many classes of each are kept.
        protocol: which views; None: the one the network was compared by.

    Raises:
        CheckpointError: images would be decoded or resized otherwise than in training.
        SettingsError: there is no such protocol, or not for this network.
        DataError: a file does not exist.
    """
    chosen = _protocol(model, protocol)
    model.refuse_other_backend()
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataError("Every image must exist", found=f"no file {listing(map(str, missing[:5]))}")
    done: list[Prediction] = []
    unreadable: list[str] = []
    for start in range(0, len(files), _BATCH):
        read: list[tuple[Path, Tensor]] = []
        for file in files[start : start + _BATCH]:
            try:
                read.append((file, model.read(file, eval_crop(chosen))))
            except DataError as error:
                unreadable.append(error.found or str(file))
        if read:
            done += _predict(model, read, top, chosen)
    return Predictions(tuple(done), tuple(unreadable), chosen)


def _predict(
    model: ClassificationPredictor, read: list[tuple[Path, Tensor]], top: int, protocol: Protocol
) -> list[Prediction]:
    images = model.prepared(torch.stack([pixels for _, pixels in read]))
    logits = predict(lambda views: model.network(views)["logits"], images, protocol, model.size)
    best = logits.float().softmax(1).topk(min(top, len(model.classes)), dim=1)
    names = [[model.classes[label] for label in row] for row in best.indices.tolist()]
    return [
        Prediction(file, tuple(zip(row, probabilities, strict=True)), pixels)
        for (file, pixels), row, probabilities in zip(read, names, best.values.tolist(), strict=True)
    ]


def _protocol(model: ClassificationPredictor, asked: str | None) -> Protocol:
    chosen = next((name for name in PROTOCOLS if name == (asked or model.protocol)), None)
    if chosen is None:
        raise SettingsError(f"--protocol must be one of {listing(PROTOCOLS)}", found=str(asked))
    if eval_crop(chosen) != DEFAULT and not model.from_files:
        raise SettingsError(
            "Protocols that cut images otherwise are for networks trained on image files",
            found=f"--protocol {chosen}, trained on {model.data.kind}",
            do="use plain, mirror or mirror_translate",
        )
    return chosen
