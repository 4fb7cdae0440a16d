"""Global average pooling.

Letters: B batch, C channels, h and w sides of the map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def global_average(maps: Tensor) -> Tensor:
    """Return the mean over the places of [B, C, h, w] as [B, C], in the dtype of `maps`.

    It is written as pooling since that keeps the map for its backward pass. Behind a ReLU a compiler then finds the
    zeros in the map again; behind `mean` it keeps a map of truth values, which takes a processor seven times as long.
    An exported graph has the mean: a window of any size is no constant that it could hold.
    """
    if torch.compiler.is_exporting():
        return maps.mean((2, 3))
    return F.avg_pool2d(maps, (maps.shape[2], maps.shape[3])).flatten(1)
