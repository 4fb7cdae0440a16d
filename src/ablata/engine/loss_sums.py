"""Sums of the loss terms between two points of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ablata.engine.hardware.process_group import ProcessGroup


class LossSums:
    """Sums of the loss terms since the last log point, which a checkpoint keeps: a resumed curve is the same.

    Args:
        group: this process's place among several.
        device: where the terms are.
    """

    def __init__(self, group: ProcessGroup, device: torch.device) -> None:
        self.group, self.device = group, device
        self.names: list[str] = []
        self.count = 0
        self._sums = torch.zeros(0, device=device)

    def add(self, names: Sequence[str], values: Tensor) -> None:
        """Add the terms of one part of a batch, float32 [T], always of the same names."""
        if not self.names:
            self.names, self._sums = list(names), torch.zeros_like(values)
        self._sums += values
        self.count += 1

    def means(self) -> dict[str, float]:
        """Return the means over all processes since the last call, and begin anew."""
        means = (self.group.all_reduce_sum(self._sums) / (self.count * self.group.world_size)).tolist()
        self._sums.zero_()
        self.count = 0
        return dict(zip(self.names, means, strict=True))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, JSON-safe: sums of each process, names, count; all processes ask together."""
        return {"sums": self.group.all_gather(self._sums[None]).tolist(), "names": self.names, "count": self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned. Of another number of processes the first takes the sum of all."""
        rows = torch.tensor(state["sums"], dtype=torch.float32, device=self.device)
        self.names, self.count = list(state["names"]), int(state["count"])
        if len(rows) == self.group.world_size:
            self._sums = rows[self.group.rank].clone()
        else:
            self._sums = rows.sum(0) * (self.group.is_main * self.group.world_size / len(rows))
