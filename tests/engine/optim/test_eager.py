"""Optimisers that step without torch's compiler: the same numbers, and nothing of it is loaded."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from ablata.engine.optim.eager import eager

KINDS: list[tuple[type[Any], dict[str, Any]]] = [
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "fused": True}),
    (torch.optim.AdamW, {"lr": 0.01, "fused": True}),
    (torch.optim.Adam, {"lr": 0.01}),
    (torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.9}),
]


def stepped(kind: type[Any], options: dict[str, Any]) -> tuple[list[torch.Tensor], dict[str, Any]]:
    torch.manual_seed(0)
    model, images = nn.Linear(4, 3), torch.randn(8, 4)
    optimiser, calls = kind(model.parameters(), **options), []
    optimiser.register_step_pre_hook(lambda *asked: calls.append(len(asked)))
    for _ in range(3):
        optimiser.zero_grad()
        model(images).square().sum().backward()
        optimiser.step()
    assert calls == [3, 3, 3]
    again = kind(model.parameters(), **options)
    again.load_state_dict(optimiser.state_dict())
    return list(model.parameters()), again.state_dict()


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_it_steps_as_torchs_own_to_the_bit(kind: type[Any], options: dict[str, Any]) -> None:
    (here, state), (there, expected) = stepped(eager(kind), options), stepped(kind, options)
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))
    assert state.keys() == expected.keys()
    for number, own in expected["state"].items():
        assert all(
            torch.equal(torch.as_tensor(state["state"][number][name]), torch.as_tensor(own[name])) for name in own
        )
    assert eager(kind) is eager(kind)
    assert eager(kind).__name__ == kind.__name__


def test_a_training_does_not_load_torchs_compiler() -> None:
    program = """
import sys, torch
from torch import nn
from ablata.engine.hardware.complexity import count
from ablata.engine.optim.optimisers import AdamW, Sgd
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
assert count(model, torch.ones(1, 3, 8, 8)).flops == 3 * 4 * 9 * 36 + 144 * 2
for settings in (Sgd(), AdamW()):
    model = nn.Linear(2, 2)
    optimiser = settings.build(model, 4)
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    optimiser.load_state_dict(optimiser.state_dict())
assert "torch._dynamo" not in sys.modules
"""
    # Loaded by the shapes of batch normalisation and by optimisers, if they are torch's own.
    subprocess.run([sys.executable, "-c", program], check=True, timeout=240)
