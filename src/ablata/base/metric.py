"""Metric: a score and how to read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A score and how to read it.

    Args:
        name: for example `top1`.
        split: the split it is computed on: `val`, or `minival` where choices are made; empty where nothing says.
        protocol: how it is computed: crop, scales, flip; empty where nothing says.
        higher_is_better: False for a loss.
        unit: `%` for percent, empty for a plain number.
    """

    name: str
    split: str = "val"
    protocol: str = "plain"
    higher_is_better: bool = True
    unit: str = "%"

    @property
    def key(self) -> str:
        """The name under which the score is stored: `val/plain/top1`."""
        return "/".join(part for part in (self.split, self.protocol, self.name) if part)
