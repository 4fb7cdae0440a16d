"""Predictor: a trained network for use on image files, with what its outputs mean; no data set needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.quantities import counted
from ablata.base.user_code import CodeFolder
from ablata.data.io.input_files import InputFile
from ablata.data.loading.dataset import GIVEN, PAINTED
from ablata.data.transforms.normalization import Normalizer
from ablata.engine.checkpoints import refuse_mismatch


@dataclass(frozen=True)
class PredictOptions:
    """How files are predicted; a task ignores what does not concern it.

    Args:
        protocol: how images are scored: crops, scales, flips; None: as the network was compared.
        output: what is written, a file or a folder as the task has it; None: nothing.
        top: classes, or nearest images, that are kept of each file.
        score_threshold: score from which detections are drawn and counted.
        gallery: image files, and folders of them, among which a query's nearest are searched.
        tile: height and width of the parts, in pixels, that a segmenter sees one by one; None: the whole image.
        annotations: of a detector, a JSON file of COCO's that says under which ids results are written.
    """

    protocol: str | None = None
    output: Path | None = None
    top: int = 5
    score_threshold: float = 0.5
    gallery: tuple[Path, ...] = ()
    tile: int | None = None
    annotations: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a network says of one file.

    Args:
        file: the image or video.
        problem: why there is no prediction, or not of all of the file; empty: there is.
        outputs: files written.
    """

    file: Path
    problem: str = ""
    outputs: tuple[Path, ...] = ()

    def text(self) -> str:
        """Return a line that names the file and what is on it; empty where nothing could be predicted."""
        return ""

    def values(self) -> dict[str, Any]:
        """Return what was predicted, JSON-safe."""
        return {}

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe."""
        outputs = [str(path) for path in self.outputs]
        return {"file": str(self.file)} | self.values() | {"problem": self.problem, "outputs": outputs}


@dataclass(frozen=True)
class Predictor(ABC):
    """A network and what its outputs mean.

    Args:
        network: in evaluation mode on the processor; maps float32 [B, C, H, W], normalised, to named outputs.
        settings: those of the recipe that are needed: of the network as `model`, of the training data as `data`.
        contract: classes, image size, channels, mean, std, image backend, protocols.
        facts: recipe (expanded), recipe name, run, seed, step, scores, environment; JSON-safe.
        source: where it comes from, for messages.
        code: copies of the users' files that it is built from; None: there are none.
        free_size: whether an exported graph takes images of any height and width.
    """

    network: nn.Module
    settings: Any
    contract: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    code: CodeFolder | None = None
    free_size: bool = False

    title: ClassVar[str]
    """What it is, in a word."""
    pipeline: ClassVar[str]
    """The same in the words of model hubs."""
    use: ClassVar[str] = "ablata predict FOLDER IMAGE..."
    """The command that an exported folder is used with."""
    videos: ClassVar[bool] = False
    """Whether it predicts videos too."""
    output_name: ClassVar[str] = "logits"
    """What an exported graph calls its output."""
    training_only: ClassVar[tuple[str, ...]] = ()
    """How the names of weights begin that only the training needs."""

    @classmethod
    def build_network(cls, settings: Any, contract: Mapping[str, Any]) -> nn.Module:
        """Build the network without its weights; arguments as of the class."""
        network: nn.Module = settings.model.build(len(contract["classes"]), contract["channels"])
        return network

    @property
    def model(self) -> Any:
        """Return the settings of the network; None where the recipe itself builds it."""
        return getattr(self.settings, "model", None)

    @property
    def data(self) -> Any:
        """Return the settings of the data it was trained on; None where the recipe itself builds them."""
        return getattr(self.settings, "data", None)

    @property
    def kind(self) -> str:
        """Return which network it is."""
        return str(getattr(self.model, "kind", self.title))

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names by label."""
        return tuple(self.contract["classes"])

    @property
    def protocols(self) -> tuple[str, ...]:
        """Return the ways in which it was scored, the first of which it was compared by."""
        return tuple(self.contract["protocols"])

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the images it was trained on, in pixels."""
        height, width = self.contract["image_size"]
        return height, width

    def summary(self) -> str:
        """Say what it is, in a few words that follow "A"."""
        return f"{self.title} of {counted(len(self.classes), 'class')}"

    def class_list(self) -> tuple[str, ...]:
        """Return the classes that its outputs stand for, to be listed on the card of an export."""
        return self.classes

    @abstractmethod
    def predict_files(self, inputs: Sequence[InputFile], options: PredictOptions) -> Iterator[Prediction]:
        """Predict files one after the other; one that cannot be read is told and the others are done.

        Args:
            inputs: image files, and videos where it predicts them.
            options: how.

        Raises:
            CheckpointError: images would be decoded or resized otherwise than in training.
            SettingsError: an option does not fit, such as a protocol that there is not.
        """

    @abstractmethod
    def exportable(self) -> nn.Module:
        """Return a module that maps prepared images, of the size of `example`, to the output that is exported."""

    def input(self) -> str:
        """Say what goes into `exportable`."""
        height, width = ("height", "width") if self.free_size else self.size
        channels = self.contract["channels"]
        return f"images: float32 [batch, {channels}, {height}, {width}], (pixels / 255 - mean) / std"

    def preparation(self) -> tuple[str, ...]:
        """Say how image files become that input, a sentence each."""
        mean, std = (list(self.contract[name]) for name in ("mean", "std"))
        return (
            f"mean {mean}, std {std}, channels in the order red, green, blue (or grey alone)",
            f"decoder and filter: {self.contract['image_backend']}; {self.evaluation()}",
        )

    @abstractmethod
    def output(self) -> str:
        """Say what comes out of `exportable`."""

    @abstractmethod
    def evaluation(self) -> str:
        """Say how images were brought to their size."""

    def outputs(self, images: Tensor) -> Tensor:
        """Return the output of prepared images by which an export is compared with its network."""
        values: Tensor = self.exportable()(images)
        return values

    def with_size(self, size: str) -> Self:
        """Return the same with an exported graph that takes images of another size.

        Args:
            size: height and width as `1024x2048`.

        Raises:
            SettingsError: it has no such form, or the network takes images of one size only.
        """
        raise SettingsError(
            "--size must be HEIGHTxWIDTH in pixels, of a segmenter",
            found=f"{size} for a {self.title}",
            do="leave it out: the graph takes images of the size trained on",
        )

    def with_free_size(self) -> Self:
        """Return the same with an exported graph that takes images of any height and width."""
        return replace(self, free_size=True)

    def example(self, count: int = 1, size: tuple[int, int] | None = None) -> Tensor:
        """Return noise in the shape of prepared images, float32 [count, C, H, W], the same at every call.

        Args:
            count: images.
            size: H and W; None: as trained on.
        """
        random = torch.Generator().manual_seed(0)
        return torch.randn(count, self.contract["channels"], *(size or self.size), generator=random)

    def prepared(self, pixels: Tensor) -> Tensor:
        """Normalise uint8 [B, C, H, W] to float32."""
        return Normalizer(self.contract["mean"], self.contract["std"], False)(pixels)

    def refuse_backend(self, here: str) -> None:
        """Check that images are decoded and resized here as in training, if files were decoded there at all.

        Args:
            here: what would decode and resize.

        Raises:
            CheckpointError: another library or version would do it; both are named.
        """
        if self.contract["image_backend"] not in (PAINTED, GIVEN):
            refuse_mismatch(self.contract, {"image_backend": here}, self.source)


def refuse_file(output: Path | None, title: str) -> None:
    """Check that an output that must be a folder is not a file.

    Raises:
        SettingsError: it is.
    """
    if output is not None and output.is_file():
        raise SettingsError(
            f"--output of a {title} must be a folder",
            found=f"{output} is a file",
            do="give another path: the folder is made",
        )
