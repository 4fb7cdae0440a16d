"""Digest of a network's state: the same weights have the same one, wherever they are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

DIGEST = "digest"
"""The entry of a checkpoint's header that holds the digest of its tensors and of the entry `ablata`."""


def state_digest(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """Return 24 hexadecimal digits of the names, shapes, types and values of tensors.

    Args:
        tensors: by name, of any shapes and types, on any device.
        text: what is kept with them and counts too.
    """
    content = hashlib.blake2b(text.encode(), digest_size=12)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        content.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        if tensor.numel():
            content.update(tensor.flatten().view(torch.uint8).numpy().data)
    return content.hexdigest()
