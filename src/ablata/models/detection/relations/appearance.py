"""What the regions of a detector look at, collected while it runs.

Shapes: B images, R regions of an image (filled up).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ablata.models.detection.relations.spatial_relation import SpatialRelationModule


@dataclass(frozen=True)
class RegionAttention:
    """What regions looked at in one call.

    Attributes:
        boxes: float [B, R, 4].
        weights: float [B, R, R], how much a row's region looks at a column's.
    """

    boxes: Tensor
    weights: Tensor


@contextmanager
def record_attention(model: nn.Module) -> Iterator[list[RegionAttention]]:
    """Collect what regions look at while a model runs: an entry for each call of its last spatial relation.

    The list stays empty for a model without any.
    """
    seen: list[RegionAttention] = []

    def note(module: nn.Module, arguments: tuple[Any, ...], result: Tensor) -> None:
        assert isinstance(module, SpatialRelationModule)
        seen.append(RegionAttention(arguments[1], module.attention(*arguments)))

    modules = [module for module in model.modules() if isinstance(module, SpatialRelationModule)]
    handles = [module.register_forward_hook(note) for module in modules[-1:]]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
