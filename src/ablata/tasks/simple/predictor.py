"""A user's trained network for use on image files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from PIL import Image
from torch import Tensor, nn

from ablata.base.errors import SettingsError, UserError, choices, suggestion
from ablata.base.files import refuse_no_image
from ablata.data.drawing.contact_sheet import captioned
from ablata.data.io.decode import open_image, to_rgb
from ablata.data.io.input_files import InputFile
from ablata.engine.predictor import Prediction, PredictOptions, Predictor
from ablata.tasks.simple.visuals import as_image, first, written

_SIDE = 160
"""Pixels of the longer side of each image of the sheet."""


@dataclass(frozen=True, kw_only=True)
class SimplePrediction(Prediction):
    """A prediction of a user's network for one image.

    Args:
        described: what `SimpleRecipe.describe` returned.
        image: as the network took it, float32 [C, H, W]; None where it could not be read.
    """

    described: dict[str, Any] = field(default_factory=dict)
    image: Tensor | None = None

    def text(self) -> str:
        """Return the file and what is predicted."""
        return "" if self.problem else f"{self.file}: {written(self.described)}"

    def values(self) -> dict[str, Any]:
        """Return what is predicted."""
        return self.described


@dataclass(frozen=True)
class SimplePredictor(Predictor):
    """A user's network; arguments as of `Predictor`, `settings` being the whole recipe."""

    title: ClassVar[str] = "network"
    pipeline: ClassVar[str] = "other"
    output_name: ClassVar[str] = "output"

    @classmethod
    def build_network(cls, settings: Any, contract: Mapping[str, Any]) -> nn.Module:
        """Build the network as the recipe does."""
        network: nn.Module = settings.build_model()
        return network

    @property
    def kind(self) -> str:
        """Return the name of the recipe's class."""
        return type(self.settings).__name__

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of what the network takes of a sample."""
        return tuple(self.contract["input_shape"])

    def summary(self) -> str:
        """Say what it is."""
        return f"network of the task {self.kind}"

    def class_list(self) -> tuple[str, ...]:
        """Return nothing: it need not know classes."""
        return ()

    def predict_files(self, inputs: Sequence[InputFile], options: PredictOptions) -> Iterator[SimplePrediction]:
        """Predict image files; `options.output` is an image of them all with what is predicted.

        Raises:
            SettingsError: there is no such protocol.
        """
        if options.protocol not in (None, *self.protocols):
            raise SettingsError(
                f"--protocol must be one of {choices(self.protocols, options.protocol)}",
                found=str(options.protocol),
                do=suggestion(options.protocol, self.protocols),
            )
        return self._predicted(inputs, options)

    def _predicted(self, inputs: Sequence[InputFile], options: PredictOptions) -> Iterator[SimplePrediction]:
        done: list[SimplePrediction] = []
        for entry in inputs:
            try:
                image = self._prepared(to_rgb(open_image(entry.file, str(entry.file)), str(entry.file)))
            except UserError as error:
                yield SimplePrediction(file=entry.file, problem=error.found or error.must)
                continue
            with torch.no_grad():
                described = self.settings.describe(first(self.network(image[None])))
            done.append(SimplePrediction(file=entry.file, described=described, image=image))
            yield done[-1]
        if options.output is not None and done:
            refuse_no_image(options.output)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            sheet(done).save(options.output)

    def _prepared(self, image: Image.Image) -> Tensor:
        prepared: Tensor = self.settings.prepare_image(image, self.shape)
        if tuple(prepared.shape) != self.shape:
            raise SettingsError(
                f"{self.kind}.prepare_image must return an image of the shape trained on, {list(self.shape)}",
                found=str(list(prepared.shape)),
                do="resize or convert the image there",
            )
        return prepared

    def exportable(self) -> nn.Module:
        """Return a module that maps prepared samples to the network's only, or first, output."""
        return _FirstOutput(self.network)

    def input(self) -> str:
        """Say what goes into `exportable`."""
        return f"images: float32 {['batch', *self.shape]}, as {self.kind}.prepare_image returns them".replace("'", "")

    def output(self) -> str:
        """Say what comes out of `exportable`."""
        with torch.no_grad():
            shape = list(self.outputs(self.example()).shape[1:])
        return f"output: float32 {['batch', *shape]}".replace("'", "")

    def preparation(self) -> tuple[str, ...]:
        """Say how image files become the network's input."""
        return (f"images as {self.kind}.prepare_image returns them",)

    def evaluation(self) -> str:
        """Say how images were brought to their size."""
        return self.preparation()[0]

    def with_free_size(self) -> Self:
        """Refuse: its samples have one shape, that of `prepare_image`."""
        raise SettingsError("--free-size is of classifiers, segmenters and re-identification", found=self.title,
                            do="leave --free-size out")  # fmt: skip

    def example(self, count: int = 1, size: tuple[int, int] | None = None) -> Tensor:
        """Return noise in the shape of prepared samples, float32 [count, ...], the same at every call."""
        return torch.randn(count, *self.shape, generator=torch.Generator().manual_seed(0))


def sheet(predictions: Sequence[SimplePrediction]) -> Image.Image:
    """Draw images, at least one, with what is predicted under them."""
    drawn = [
        (as_image(prediction.image), prediction.described) for prediction in predictions if prediction.image is not None
    ]
    pixels = [torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(image.height, image.width, 3)
              for image, _ in drawn]  # fmt: skip
    captions = [[written({name: value}) for name, value in described.items()][:3] for _, described in drawn]
    return captioned([values.permute(2, 0, 1) for values in pixels], captions, side=_SIDE)


class _FirstOutput(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.network(images)
        while not isinstance(outputs, Tensor):
            outputs = next(iter(outputs.values() if isinstance(outputs, dict) else outputs))
        return outputs
