"""Rotation prediction as an auxiliary self-supervised loss: a second head predicts the quarter turn of an image.

Sources: Gidaris et al. 2018, arXiv 1803.07728 (the question); Hendrycks et al. 2019, arXiv 1906.12340, section 3 (asked
beside the class, with weight 0.5; the class is learned on upright images alone).

Letters: B rows, C channels, H height and width, D features.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.settings import Settings

TURNS = 4


class Rotation(Settings):
    """Let the network also name the angle, 0, 90, 180 or 270 degrees, of turned copies of its images."""

    kind: Literal["rotation"] = "rotation"
    weight: Annotated[float, Field(gt=0)] = 0.5
    """Factor on the cross-entropy of the angle."""
    views: Literal["all", "one"] = "all"
    """all: an image comes upright and at the three other angles, a batch four times as large; one: upright, and at one
    angle drawn from all four, twice as large."""

    def attach(self, network: nn.Module, example: Tensor) -> RotationNetwork:
        """Add the head to a classifier.

        Args:
            network: gives `features` [B, D] among its outputs.
            example: an image [1, C, H, H], on the network's device.

        Raises:
            SettingsError: the images are not square, or the network names no features.
        """
        if example.shape[-1] != example.shape[-2]:
            raise SettingsError(
                "Images must be square to be turned by 90 degrees",
                found=f"{example.shape[-2]}x{example.shape[-1]} (height x width)",
                do="set rotation=null",
            )
        training = network.training
        with torch.no_grad():
            outputs = network.eval()(example)
        network.train(training)
        if "features" not in outputs:
            raise SettingsError(
                "The head for rotation needs a network that names its features",
                found=", ".join(outputs),
                do='return {"logits": ..., "features": ...}',
            )
        return RotationNetwork(network, outputs["features"].shape[1])

    def forward(self, network: nn.Module, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Run a network on a batch and its turned copies.

        Args:
            network: a `RotationNetwork`, perhaps compiled or wrapped for group.
            images: float32 [B, C, H, H], augmented and perhaps mixed.

        Returns:
            Its outputs for the upright images, B rows each, and the weighted loss of the angles, a scalar.
        """
        seen, angles = turned(images, self.views)
        outputs = network(seen)
        logits = outputs["rotation"][-len(angles) :]
        loss = self.weight * F.cross_entropy(logits.float(), angles)
        return {name: value[: len(images)] for name, value in outputs.items()}, loss


class RotationNetwork(nn.Module):
    """A classifier with a second linear head on its features.

    Args:
        network: the classifier.
        features: D.
    """

    def __init__(self, network: nn.Module, features: int) -> None:
        super().__init__()
        self.network = network
        self.rotation_head = nn.Linear(features, TURNS)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to the classifier's outputs and `rotation`, logits [B, 4] of the quarter turns."""
        outputs: dict[str, Tensor] = self.network(images)
        return outputs | {"rotation": self.rotation_head(outputs["features"])}


def turned(images: Tensor, views: Literal["all", "one"]) -> tuple[Tensor, Tensor]:
    """Return images with turned copies behind them, and the quarter turns, counter-clockwise, of the last rows.

    Args:
        images: [B, C, H, H].
        views: all: rows at 0, 90, 180 and 270 degrees in this order; one: upright, then each at one drawn angle, from
            torch's global generator.

    Returns:
        [4B, C, H, H] and int64 [4B]; or [2B, C, H, H] and int64 [B]. Memory is laid out as that of `images`.
    """
    if views == "all":
        angles = torch.arange(TURNS, device=images.device).repeat_interleave(len(images))
        parts = [torch.rot90(images, turn, (2, 3)) for turn in range(TURNS)]
    else:
        angles = torch.randint(TURNS, (len(images),), device=images.device)
        copies = images
        for turn in range(1, TURNS):
            copies = torch.where((angles == turn)[:, None, None, None], torch.rot90(images, turn, (2, 3)), copies)
        parts = [images, copies]
    layout = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return torch.cat(parts).contiguous(memory_format=layout), angles
