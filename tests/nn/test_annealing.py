"""Temperatures fall in a straight line, by the count in the state alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ablata.nn.annealing import Temperature, advance, temperatures


def test_a_temperature_falls_evenly_to_one_and_stays() -> None:
    temperature = Temperature(30.0, 4)
    seen = []
    for _ in range(7):
        seen.append(temperature().item())
        advance([temperature])
    assert seen == pytest.approx([30, 22.75, 15.5, 8.25, 1, 1, 1])


def test_looking_at_a_temperature_does_not_move_it() -> None:
    temperature = Temperature(30.0, 4)
    assert torch.equal(temperature(), temperature())


def test_the_count_lies_in_the_state_as_a_whole_number() -> None:
    network = nn.Sequential(Temperature(30.0, 4), nn.Linear(1, 1), Temperature(2.0, 3))
    for _ in range(3):
        advance(temperatures(network))
    state = network.state_dict()
    assert (state["0.step"].item(), state["2.step"].dtype) == (3, torch.int64)
    again = nn.Sequential(Temperature(30.0, 4), nn.Linear(1, 1), Temperature(2.0, 3))
    again.load_state_dict(state)
    assert again[0]().item() == pytest.approx(8.25)


def test_a_model_without_temperatures_has_none_to_advance() -> None:
    assert temperatures(nn.Linear(1, 1)) == []
    advance([])
