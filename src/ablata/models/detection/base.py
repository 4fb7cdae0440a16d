"""Base classes of detectors' settings."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from ablata.base.settings import Settings


class DetectorSettings(Settings):
    """Base of the settings of object detectors; not itself a choice."""

    @abstractmethod
    def build(self, classes: int, graph: Tensor | None = None) -> nn.Module:
        """Make the detector; weights come from torch's global generator.

        Args:
            classes: K, without the background.
            graph: float [K + 1, K + 1], for relations between classes; None: there is none.
        """

    def silent_terms(self) -> set[str]:
        """Return the names of loss terms whose weight is 0."""
        return set()


class DetectionBackbone(Settings):
    """Base of the settings of detectors' backbones; not itself a choice."""

    @abstractmethod
    def build(self) -> DetectionBackboneModule:
        """Make the backbone; weights come from torch's global generator, or from `weights_file`."""

    def weights_file(self) -> str | None:
        """Return the file of weights that the backbone begins with; None: there is none."""
        return None

    def without_weights(self) -> DetectionBackbone:
        """Return the backbone without its file of weights, which need not be here any more once it was trained."""
        return self


class DetectionBackboneModule(nn.Module):
    """Base of detectors' backbones: maps images [B, 3, H, W] to a list of feature maps, the finest first.

    Attributes:
        channels: of every level.
        levels: number of feature maps.
        tail: layers that regions of the last map go through one by one (C4); None: there are none.
        tail_channels: channels behind them.
    """

    channels: int
    levels: int
    tail: nn.Module | None
    tail_channels: int = 0

    def __init__(self) -> None:
        super().__init__()
        self.tail = None
