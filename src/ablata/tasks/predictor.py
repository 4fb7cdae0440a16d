"""A trained network as it is handed on, with what its outputs mean; no data set needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ablata.data.transforms.normalization import Normalizer
from ablata.engine.checkpoints import refuse_mismatch


@dataclass(frozen=True)
class Predictor(ABC):
    """A network and what its outputs mean.

    Args:
        network: in evaluation mode on the processor; maps float32 [B, C, H, W], normalised, to a dict with `logits`.
        model: the settings of the network.
        data: the settings of the data it was trained on.
        contract: classes, image size, channels, mean, std, image backend, protocols.
        facts: recipe (expanded), recipe name, run, seed, step, scores, environment; JSON-safe.
        source: where it comes from, for messages.
    """

    network: nn.Module
    model: Any
    data: Any
    contract: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    title: ClassVar[str]
    """What it is, in a word."""
    pipeline: ClassVar[str]
    """The same in the words of model hubs."""
    use: ClassVar[str]
    """The command that an exported folder is used with."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names by label."""
        return tuple(self.contract["classes"])

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the images it was trained on, in pixels."""
        height, width = self.contract["image_size"]
        return height, width

    @abstractmethod
    def exportable(self) -> nn.Module:
        """Return a module that maps prepared images, of the size of `example`, to logits."""

    @abstractmethod
    def output(self) -> str:
        """Say what comes out of `exportable`."""

    @abstractmethod
    def evaluation(self) -> str:
        """Say how images were brought to their size."""

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of prepared images."""
        found: Tensor = self.exportable()(images)
        return found

    def example(self, count: int = 1) -> Tensor:
        """Return noise in the shape of prepared images, float32 [count, C, H, W], the same at every call."""
        random = torch.Generator().manual_seed(0)
        return torch.randn(count, self.contract["channels"], *self.size, generator=random)

    def prepared(self, pixels: Tensor) -> Tensor:
        """Normalise uint8 [B, C, H, W] to float32."""
        return Normalizer(self.contract["mean"], self.contract["std"], False)(pixels)

    def refuse_backend(self, here: str) -> None:
        """Check that images are decoded and resized here as they were in training.

        Raises:
            CheckpointError: another library or version would do it; both are named.
        """
        refuse_mismatch(self.contract, {"image_backend": here}, self.source)
