"""Attention with geometric weights (Relation Networks, equation 3), with its backward pass written out.

Shapes: N heads of images, R queries, S keys, d and e features of a head.

    strength   [N, R, S]   geometric weights before ReLU
    weights    [N, R, S]   log(max(strength, 1e-6)) + query key, softmax over S
    outputs    [N, R, e]   weights values

With 512 regions a tensor of [N, R, S] is larger than all the rest together, and what is done with it takes a dozen
passes. Left to autograd each goes through the memory. Here all passes are done for a few heads of an image before the
next ones, which a processor's caches hold; on a GPU for all heads at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

FAINT = 1e-6
"""Minimum of the geometric weights."""
FILLED = -1e9
"""Logit of a masked key, for the logarithm of zero."""
_HEADS = 4
"""Heads at once on a processor: 1 to 16 were tried with 512 regions, on two cores."""


def geometric_attention(strength: Tensor, queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
    """Return each head's weighted values, [B, H, R, e], with even weights where nothing is allowed.

    Args:
        strength: [B, H, R, S], in any floating format.
        queries: [B, H, R, d], scaled.
        keys: [B, H, S, d].
        values: [B, H, S, e], in the format of queries and keys, in which products are taken.
        allowed: bool [B, R, S].
    """
    heads = strength.shape[1]
    # Elsewhere the question would wait for the device.
    everywhere = allowed.device.type == "cpu" and bool(allowed.all())
    hidden = None if everywhere else torch.where(allowed, 0.0, FILLED)
    flat = (one.flatten(0, 1) for one in (strength, queries, keys, values))
    out: Tensor = _Attention.apply(*flat, hidden, heads)
    return out.reshape(-1, heads, *out.shape[1:])


class _Attention(torch.autograd.Function):
    """The attention over heads of all images in a row; every gradient is taken from the weights, which are kept."""

    @staticmethod
    def forward(
        ctx: Any, strength: Tensor, queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None, heads: int
    ) -> Tensor:
        """Return [N, R, e]; `hidden`, float [B, R, S], is added to the logits of each of an image's `heads`."""
        weights = torch.empty_like(strength, dtype=values.dtype)
        out = values.new_empty(*queries.shape[:2], values.shape[2])
        for part in _parts(strength):
            logits = torch.threshold_(_to_float32(strength[part]), FAINT, FAINT).log_()
            if hidden is not None:
                logits += hidden[torch.arange(part.start, part.stop, device=hidden.device) // heads]
            logits += torch.bmm(queries[part], keys[part].transpose(1, 2))
            weights[part] = logits.softmax(2)
            out[part] = torch.bmm(weights[part], values[part])
        ctx.save_for_backward(strength, queries, keys, values, weights)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by what `forward` takes, from that by what it returns, [N, R, e]."""
        strength, queries, keys, values, weights = ctx.saved_tensors
        by_strength, by_query, by_key, by_value = map(torch.empty_like, (strength, queries, keys, values))
        for part in _parts(strength):
            wide = _to_float32(weights[part])
            by_value[part] = torch.bmm(weights[part].transpose(1, 2), grad[part])
            slope = _to_float32(torch.bmm(grad[part], values[part].transpose(1, 2))).mul_(wide)
            slope = slope.addcmul_(wide, slope.sum(2, keepdim=True), value=-1)
            narrow = slope.to(values.dtype)
            by_query[part] = torch.bmm(narrow, keys[part])
            by_key[part] = torch.bmm(narrow.transpose(1, 2), queries[part])
            there = _to_float32(strength[part])
            # ReLU's gradient: masked_fill takes thirty times as long.
            by_strength[part] = torch.ops.aten.threshold_backward(slope.div_(there), there, FAINT)
        return by_strength, by_query, by_key, by_value, None, None


def _parts(strength: Tensor) -> list[slice]:
    size = _HEADS if strength.device.type == "cpu" else len(strength)
    return [slice(start, min(start + size, len(strength))) for start in range(0, len(strength), max(size, 1))]


def _to_float32(values: Tensor) -> Tensor:
    """Return a copy in float32, or in float64 where that is what they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32), copy=True)
