"""Random numbers of trainings that take turns in one process: each goes on with its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class RandomStates:
    """States of torch's global generator, one for each training.

    Args:
        device: where the trainings are; its generator and the processor's are kept.
        count: how many trainings.
    """

    def __init__(self, device: torch.device, count: int) -> None:
        self._device = device
        self._states = [self._now()] * count

    def capture(self, member: int) -> None:
        """Keep the present state as a training's own."""
        self._states[member] = self._now()

    @contextmanager
    def of(self, member: int) -> Iterator[None]:
        """Draw a training's own numbers within a `with` block; the state outside is what it was."""
        before = self._now()
        self._set(self._states[member])
        try:
            yield
        finally:
            self._states[member] = self._now()
            self._set(before)

    def _now(self) -> tuple[Tensor, ...]:
        states = (torch.get_rng_state(),)
        return states if self._device.type == "cpu" else (*states, torch.cuda.get_rng_state(self._device))

    def _set(self, states: tuple[Tensor, ...]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self._device)
