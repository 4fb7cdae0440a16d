"""Parameter groups: every trainable parameter once, and errors that name patterns and parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ablata.base.errors import SettingsError
from ablata.engine.optim.parameter_groups import Multiplier, ParameterGroups, rate_factor


def network() -> nn.Module:
    net = nn.Module()
    net.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4))
    net.head = nn.Linear(4, 2)
    net.extra = nn.Linear(4, 2)
    return net


def by_name(groups: list[dict]) -> dict[str, dict]:
    return {name: group for group in groups for name, _ in group["params"]}


PATTERNS = ["backbone.*", "head.*", "extra.weight", "extra.bias"]


@given(no_decay=st.booleans(), patterns=st.sets(st.sampled_from(PATTERNS)), frozen=st.booleans())
def test_every_trainable_parameter_is_in_exactly_one_group(no_decay: bool, patterns: set[str], frozen: bool) -> None:
    net = network()
    net.backbone[0].weight.requires_grad_(not frozen)
    rules = ParameterGroups(
        no_decay_norm_and_bias=no_decay, multipliers=tuple(Multiplier(pattern=pattern, lr=2) for pattern in patterns)
    )
    groups = rules.build(net, 0.1)
    names = [name for group in groups for name, _ in group["params"]]
    assert sorted(names) == sorted(name for name, parameter in net.named_parameters() if parameter.requires_grad)
    assert len({group["name"] for group in groups}) == len(groups)
    assert all(group["params"] for group in groups)


def test_norms_slopes_and_biases_have_no_decay_where_asked() -> None:
    groups = by_name(ParameterGroups(no_decay_norm_and_bias=True).build(network(), 0.1))
    decayed = {name for name, group in groups.items() if group["weight_decay"] > 0}
    assert decayed == {"backbone.0.weight", "head.weight", "extra.weight"}
    everything = by_name(ParameterGroups().build(network(), 0.1))
    assert {group["weight_decay"] for group in everything.values()} == {0.1}


def test_multipliers_scale_rate_and_decay() -> None:
    rules = ParameterGroups(no_decay_norm_and_bias=True, multipliers=(Multiplier(pattern="head.*", lr=10, decay=0.5),))
    groups = by_name(rules.build(network(), 0.1))
    assert (groups["head.weight"]["lr_scale"], groups["head.weight"]["weight_decay"]) == (10, 0.05)
    assert (groups["head.bias"]["lr_scale"], groups["head.bias"]["weight_decay"]) == (10, 0)
    assert (groups["extra.weight"]["lr_scale"], groups["extra.weight"]["weight_decay"]) == (1, 0.1)


def test_a_group_of_the_first_epochs_slows_down_to_a_stop_and_others_do_not() -> None:
    rules = ParameterGroups(multipliers=(Multiplier(pattern="head.bias", epochs=2.0),))
    groups = by_name(rules.build(network(), 0.1))
    steps = (0, 5, 15, 20, 21, 400)
    assert [rate_factor(groups["head.bias"], step, 10) for step in steps] == pytest.approx([1, 0.75, 0.25, 0, 0, 0])
    assert {rate_factor(groups["head.weight"], step, 10) for step in steps} == {1.0}


def test_a_shared_parameter_is_counted_once() -> None:
    net = network()
    net.extra.weight = net.head.weight
    names = list(by_name(ParameterGroups().build(net, 0.1)))
    assert "head.weight" in names
    assert "extra.weight" not in names


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (["haed.*"], ["'haed.*' fits none", "backbone, head, extra"]),
        (["head.weigth"], ["did you mean head.weight"]),
        (["head.*", "*.weight"], ["head.weight fits head.*, *.weight"]),
        (["backbone.0.*"], ["only frozen ones (backbone.0.weight"]),
    ],
)
def test_a_wrong_pattern_is_named(patterns: list[str], words: list[str]) -> None:
    net = network()
    net.backbone[0].requires_grad_(False)
    rules = ParameterGroups(multipliers=tuple(Multiplier(pattern=pattern) for pattern in patterns))
    with pytest.raises(SettingsError) as caught:
        rules.build(net, 0.1)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_frozen_model_is_refused() -> None:
    with pytest.raises(SettingsError, match="trainable"):
        ParameterGroups().build(network().requires_grad_(False), 0.1)
