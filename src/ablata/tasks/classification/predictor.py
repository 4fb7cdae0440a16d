"""A trained classifier for use on image files: classes with probabilities, and an image that shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from ablata.base.errors import DataError, SettingsError, choices, suggestion
from ablata.base.files import refuse_no_image
from ablata.data.classification.image_files import DecodeAndCrop, ImageFileSettings
from ablata.data.drawing.contact_sheet import captioned
from ablata.data.io.decode import open_image, to_rgb
from ablata.data.io.eval_crop import DEFAULT, EvalCrop
from ablata.data.io.input_files import InputFile
from ablata.engine.predictor import Prediction, PredictOptions, Predictor
from ablata.tasks.classification.protocols import PROTOCOLS, Protocol, eval_crop, predict

_BATCH = 32
_SIDE = 160
"""Pixels of the longer side of each image of the sheet."""


@dataclass(frozen=True, kw_only=True)
class ClassPrediction(Prediction):
    """The most probable classes of an image.

    Args:
        classes: name and probability, the most probable first.
        view: uint8 [C, H, W], the image as the network saw it; None where it could not be read.
    """

    classes: tuple[tuple[str, float], ...] = ()
    view: Tensor | None = None

    def text(self) -> str:
        """Return the file and its classes."""
        named = ", ".join(f"{name} {probability:.1%}" for name, probability in self.classes)
        return f"{self.file}: {named}" if named else ""

    def values(self) -> dict[str, Any]:
        """Return the classes."""
        return {"classes": [{"name": name, "probability": probability} for name, probability in self.classes]}


@dataclass(frozen=True)
class ClassificationPredictor(Predictor):
    """A classifier and what its predictions mean; arguments as of `Predictor`."""

    title: ClassVar[str] = "classifier"
    pipeline: ClassVar[str] = "image-classification"

    @property
    def from_files(self) -> bool:
        """Tell whether the network was trained on image files, which are cut and resized as they are read."""
        return isinstance(self.data, ImageFileSettings)

    def exportable(self) -> nn.Module:
        """Return a module that maps images [B, C, H, W] to logits [B, K]."""
        return _Logits(self.network)

    def output(self) -> str:
        """Say what comes out of `exportable`."""
        return f"logits: float32 [batch, {len(self.classes)}]"

    def evaluation(self) -> str:
        """Say how images were brought to their size."""
        if not self.from_files:
            return "images come at this size"
        return (
            f"the shorter side is resized to {self.data.resize} ({self.contract['image_backend']}), "
            f"the central square of {self.data.size} cut"
        )

    def read(self, file: Path, crop: EvalCrop = DEFAULT) -> Tensor:
        """Read an image as the training's evaluation would.

        Args:
            file: any image file.
            crop: which part of it; only for networks trained on image files.

        Returns:
            uint8 [C, H, W]. Where the training images lay in memory, ready at their size, another size is cut to
            the same shape from the middle and resized by PIL (bilinear, antialias).

        Raises:
            DataError: the file is no image or damaged.
        """
        if self.from_files:
            return torch.from_numpy(DecodeAndCrop(self.data, crop)(file, None).copy()).permute(2, 0, 1)
        image = to_rgb(open_image(file, str(file)), str(file))
        height, width = self.size
        if image.size != (width, height):
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image if self.contract["channels"] == 3 else image.convert("L")).copy()
        return torch.from_numpy(pixels.reshape(height, width, -1)).permute(2, 0, 1)

    def predict_files(self, inputs: Sequence[InputFile], options: PredictOptions) -> Iterator[ClassPrediction]:
        """Predict the classes of image files; `options.output` is an image of them all with their classes."""
        protocol = self._protocol(options.protocol)
        if self.from_files:
            self.refuse_backend(self.data.backend_name())
        return self._predicted(inputs, protocol, options)

    def _predicted(
        self, inputs: Sequence[InputFile], protocol: Protocol, options: PredictOptions
    ) -> Iterator[ClassPrediction]:
        done: list[ClassPrediction] = []
        for start in range(0, len(inputs), _BATCH):
            read: dict[Path, Tensor] = {}
            problems: dict[Path, str] = {}
            batch = [entry.file for entry in inputs[start : start + _BATCH]]
            for file in batch:
                try:
                    read[file] = self.read(file, eval_crop(protocol))
                except DataError as error:
                    problems[file] = error.found or str(file)
            predicted = self._classes(read, protocol, options.top)
            for file in batch:
                if file in problems:
                    yield ClassPrediction(file=file, problem=problems[file])
                else:
                    done.append(ClassPrediction(file=file, classes=predicted[file], view=read[file]))
                    yield done[-1]
        if options.output is not None and done:
            refuse_no_image(options.output)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            sheet(done).save(options.output)

    @torch.no_grad()
    def _classes(
        self, read: dict[Path, Tensor], protocol: Protocol, top: int
    ) -> dict[Path, tuple[tuple[str, float], ...]]:
        if not read:
            return {}
        images = self.prepared(torch.stack(list(read.values())))
        logits = predict(lambda views: self.network(views)["logits"], images, protocol, self.size)
        best = logits.float().softmax(1).topk(min(top, len(self.classes)), dim=1)
        names = [[self.classes[label] for label in row] for row in best.indices.tolist()]
        pairs = [tuple(zip(*row, strict=True)) for row in zip(names, best.values.tolist(), strict=True)]
        return dict(zip(read, pairs, strict=True))

    def _protocol(self, asked: str | None) -> Protocol:
        # A protocol of the user's own is a way to score; images without labels are shown as they are.
        usual = next((name for name in self.protocols if name in PROTOCOLS), "plain")
        chosen = next((name for name in PROTOCOLS if name == (asked or usual)), None)
        if chosen is None:
            raise SettingsError(
                f"--protocol must be one of {choices(PROTOCOLS, asked)}",
                found=str(asked),
                do=suggestion(asked, PROTOCOLS),
            )
        if eval_crop(chosen) != DEFAULT and not self.from_files:
            raise SettingsError(
                "Protocols that cut images otherwise are for networks trained on image files",
                found=f"--protocol {chosen}, trained on {self.data.kind}",
                do="use plain, mirror or mirror_translate",
            )
        return chosen


def sheet(predictions: Sequence[ClassPrediction]) -> Image.Image:
    """Draw images, at least one, with their classes under them."""
    seen = [(prediction.view, prediction.classes[:3]) for prediction in predictions if prediction.view is not None]
    captions = [[f"{probability:.0%} {name}" for name, probability in classes] for _, classes in seen]
    return captioned([view for view, _ in seen], captions, side=_SIDE)


class _Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)["logits"]
        return logits
