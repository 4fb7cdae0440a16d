"""Temperature annealing, counted in optimiser steps and kept in the network's state.

The count is a buffer of whole numbers: a checkpoint holds it, a moving average leaves it alone, and further forward
passes (accumulated batches, evaluation) do not move it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Temperature(nn.Module):
    """Linearly annealed temperature, from `start` to 1.

    Args:
        start: the temperature before the first optimiser step, at least 1.
        steps: optimiser steps until it is 1.
    """

    step: Tensor

    def __init__(self, start: float, steps: int) -> None:
        super().__init__()
        self.start, self.steps = start, steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self) -> Tensor:
        """Return the temperature, a float32 scalar on the network's device."""
        done = (self.step / self.steps).clamp(max=1)
        return self.start + (1 - self.start) * done


def temperatures(model: nn.Module) -> list[Temperature]:
    """Return all temperatures of a model, each once."""
    return [module for module in model.modules() if isinstance(module, Temperature)]


@torch.no_grad()
def advance(found: list[Temperature]) -> None:
    """Count one optimiser step in every temperature; to be called once after each step."""
    if found:
        torch._foreach_add_([temperature.step for temperature in found], 1)
