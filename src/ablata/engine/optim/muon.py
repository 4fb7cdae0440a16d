"""Muon: SGD with momentum whose update matrices are orthogonalised by Newton-Schulz.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon/; as in the public cifar10-airbench, where filters also keep their norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial x -> a x + b x^3 + c x^5: steep at 0, and ending between about 0.7 and 1.2 rather than at 1."""


def orthogonalize(matrix: Tensor, steps: int, coefficients: tuple[float, float, float] = COEFFICIENTS) -> Tensor:
    """Return nearly U V^T of the singular value decomposition U S V^T of `matrix`, by a Newton-Schulz iteration.

    Each step maps every singular value by the polynomial and leaves the singular vectors as they are.

    Args:
        matrix: float [M, N]; computed in its own type.
        steps: iterations, >= 0; more bring smaller singular values up.
        coefficients: a, b, c; (15/8, -10/8, 3/8) converges to U V^T itself, but slowly.

    Returns:
        [M, N]; zero for a zero matrix.
    """
    a, b, c = coefficients
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x: Tensor = wide / (wide.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class MuonSgd(Optimizer):
    """Muon for the groups marked `orthogonal`, SGD with momentum for all others.

    With g the gradient (plus weight_decay * w), buf = m buf + g and u = g + m buf (Nesterov) or buf:

        orthogonal    w <- w sqrt(rows) / |w| where `keep_norm`; then w <- w - lr orthogonalised(u as [rows, -1])
        others        w <- w - lr u

    Args:
        groups: with `orthogonal`, `momentum`, `nesterov`, `steps` and `keep_norm` beside what all groups have.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"orthogonal": False, "nesterov": True, "steps": 3, "keep_norm": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step with the gradients at hand; parameters without one stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._momentum(parameter, group)
                    if group["orthogonal"]:
                        update = self._orthogonal(parameter, update, group)
                    parameter.add_(update, alpha=-group["lr"])
        return loss

    def _momentum(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        gradient = parameter.grad
        assert gradient is not None
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        buffer.mul_(group["momentum"]).add_(gradient)
        return gradient.add(buffer, alpha=group["momentum"]) if group["nesterov"] else buffer

    def _orthogonal(self, parameter: Tensor, update: Tensor, group: dict[str, Any]) -> Tensor:
        rows = len(parameter)
        if group["keep_norm"]:
            parameter.mul_(rows**0.5 / parameter.norm())
        # 16 bits are enough: the iteration ends anywhere between 0.7 and 1.2.
        matrix = orthogonalize(update.reshape(rows, -1).bfloat16(), group["steps"])
        return matrix.view(update.shape).to(parameter.dtype)
