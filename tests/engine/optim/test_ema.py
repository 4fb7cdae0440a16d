"""Moving averages against timm's, and the exchange of weights for scoring."""

from __future__ import annotations

import itertools

import pytest
import torch
from safetensors.torch import load, save
from timm.utils import ModelEmaV3
from torch import nn

from ablata.base.errors import CheckpointError
from ablata.engine.optim.ema import Ema
from ablata.engine.optim.hooks import Lookahead
from ablata.engine.optim.optimisers import Sgd


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 3))


def move(net: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    net.train()(torch.randn(4, 2, 5, 5, generator=generator))


def test_the_average_is_timms(subtests: pytest.Subtests) -> None:
    for copy_steps, warmup, buffers in itertools.product([0, 3], ["none", "power"], ["average", "copy"]):
        with subtests.test(buffers=buffers, warmup=warmup, copy_steps=copy_steps):
            net = network()
            settings = Ema(decay=0.9, warmup=warmup, gamma=2.0, power=0.75, copy_steps=copy_steps, buffers=buffers)
            ours = settings.build(net)
            theirs = ModelEmaV3(
                net,
                decay=0.9,
                use_warmup=warmup == "power",
                warmup_gamma=2.0,
                warmup_power=0.75,
                update_after_step=copy_steps,
                exclude_buffers=buffers == "copy",
            )
            for step in range(12):
                move(net, step)
                ours.update(net, step)
                # timm counts steps from 1, and follows the model once more where the decay has no warm-up.
                plain = warmup == "none" and step >= copy_steps
                theirs.update(net, step=None if plain else step + 1)
            expected = theirs.module.state_dict()
            assert set(ours.weights) == {name for name, value in expected.items() if value.is_floating_point()}
            for name, value in ours.weights.items():
                torch.testing.assert_close(value, expected[name])


def test_the_ramp_is_the_smaller_of_the_decay_and_its_fraction() -> None:
    settings = Ema(decay=0.5, warmup="ramp")
    assert [settings.decay_at(step) for step in (0, 1, 8, 100)] == [0.1, 2 / 11, 0.5, 0.5]


def test_a_decay_of_zero_is_the_model() -> None:
    net = network()
    average = Ema(decay=0.0, warmup="none").build(net)
    move(net, 0)
    average.update(net, 0)
    assert all(torch.equal(average.weights[name], value) for name, value in net.named_parameters())
    assert average.distance(net) == 0


def test_a_decay_of_the_average_shrinks_weights_and_leaves_buffers() -> None:
    net = network()
    average = Ema(decay=0.9, warmup="none", weight_decay=0.05, copy_steps=1).build(net)
    expected = {name: value.clone() for name, value in average.weights.items()}
    trainable = {name for name, _ in net.named_parameters()}
    for step, rate in enumerate((0.3, 0.2, 0.1)):
        move(net, step)
        average.update(net, step, rate)
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                kept = 0.0 if step == 0 else 0.9
                shrunk = 1 - rate * 0.05 if step > 0 and name in trainable else 1.0
                expected[name] = shrunk * (kept * expected[name] + (1 - kept) * value.detach())
    for name, value in average.weights.items():
        torch.testing.assert_close(value, expected[name])


def test_a_decay_of_the_average_needs_the_learning_rate() -> None:
    net = network()
    with pytest.raises(ValueError, match="learning_rate"):
        Ema(weight_decay=0.1).build(net).update(net, 0)


def test_going_on_from_the_average_after_each_step_is_lookahead_with_one_step() -> None:
    nets = [network(), network()]
    optimiser = Sgd(lr=0.1, momentum=0.9, weight_decay=5e-4, lookahead=Lookahead(steps=1, alpha=0.1)).build(nets[0], 4)
    plain = Sgd(lr=0.1, momentum=0.9, weight_decay=5e-4).build(nets[1], 4)
    average = Ema(decay=0.9, warmup="none").build(nets[1])
    for step in range(4):
        x = torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(step))
        for net, stepping in zip(nets, (optimiser, plain), strict=True):
            stepping.zero_grad()
            net.train()(x).square().mean().backward()
            stepping.step()
        average.update(nets[1], step)
        with torch.no_grad():
            for name, parameter in nets[1].named_parameters():
                parameter.copy_(average.weights[name])
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_averaging_every_three_steps_skips_the_others() -> None:
    net = network()
    average = Ema(decay=0.5, warmup="none", every=3).build(net)
    seen = []
    for step in range(7):
        before = average.weights["0.weight"].clone()
        move(net, step)
        average.update(net, step)
        seen.append(not torch.equal(before, average.weights["0.weight"]))
    assert seen == [False, False, True, False, False, True, False]


def test_the_model_is_scored_as_the_average_and_comes_back_even_after_an_error() -> None:
    net = network()
    average = Ema(decay=0.5, warmup="none").build(net)
    move(net, 0)
    average.update(net, 0)
    raw = {name: value.clone() for name, value in net.state_dict().items()}
    wanted = {name: value.clone() for name, value in average.weights.items()}
    addresses = [parameter.data_ptr() for parameter in net.parameters()]

    def score() -> None:
        with average.applied(net):
            assert all(torch.equal(net.state_dict()[name], value) for name, value in wanted.items())
            raise RuntimeError("in the block")

    with pytest.raises(RuntimeError, match="in the block"):
        score()
    assert all(torch.equal(net.state_dict()[name], value) for name, value in raw.items())
    assert all(torch.equal(average.weights[name], value) for name, value in wanted.items())
    assert [parameter.data_ptr() for parameter in net.parameters()] == addresses


def test_tied_weights_are_averaged_and_exchanged_once() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    average = Ema(decay=0.5, warmup="none").build(net)
    start = net[0].weight.detach().clone()
    with torch.no_grad():
        net[0].weight.add_(1)
    average.update(net, 0)
    with average.applied(net):
        torch.testing.assert_close(net[1].weight.detach(), start + 0.5)
    torch.testing.assert_close(net[1].weight.detach(), start + 1)


def test_training_goes_on_unharmed_after_the_average_was_applied() -> None:
    results = []
    for scored in (False, True):
        net = network()
        average = Ema(decay=0.9).build(net)
        optimiser = torch.optim.SGD(net.parameters(), 0.1, 0.9)
        for step in range(4):
            x = torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(step))
            optimiser.zero_grad()
            net.train()(x).square().mean().backward()
            optimiser.step()
            average.update(net, step)
            if scored:
                with average.applied(net), torch.no_grad():
                    net.eval()(x)
        results.append(torch.cat([value.detach().flatten() for value in net.parameters()]))
    assert torch.equal(*results)


def test_a_restored_average_goes_on_bit_for_bit() -> None:
    net = network().to(memory_format=torch.channels_last)
    average = Ema(decay=0.9).build(net)
    for step in range(3):
        move(net, step)
        average.update(net, step)
    restored = Ema(decay=0.9).build(network().to(memory_format=torch.channels_last))
    restored.load(load(save(average.state())))
    move(net, 3)
    for one in (average, restored):
        one.update(net, 3)
    assert all(torch.equal(value, restored.weights[name]) for name, value in average.weights.items())


def test_an_average_of_another_model_is_refused() -> None:
    average = Ema().build(network())
    with pytest.raises(CheckpointError, match=r"0\.bias"):
        average.load({name: value for name, value in average.state().items() if name != "0.bias"})


def test_the_distance_is_the_relative_norm_of_the_difference() -> None:
    net = network()
    average = Ema(decay=0.9, warmup="none").build(net)
    start = torch.cat([value.detach().flatten() for value in net.parameters()])
    move(net, 0)
    now = torch.cat([value.detach().flatten() for value in net.parameters()])
    torch.testing.assert_close(average.distance(net), (now - start).norm() / now.norm())


def test_averaging_and_its_distance_read_no_value_from_the_device() -> None:
    # Meta tensors have no values, so whatever would wait for one raises.
    net = network().to("meta")
    average = Ema(decay=0.9).build(net)
    average.update(net, 0)
    distance = average.distance(net)
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(distance)


def test_a_slow_average_without_warm_up_is_seen_to_depart() -> None:
    net = network()
    average = Ema(decay=0.9999, warmup="none").build(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(-1)
    for step in range(101):
        average.update(net, step)
    assert average.warmed_up(100)
    assert not average.warmed_up(99)
    assert average.distance(net) > 1


def test_weights_of_sixteen_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bits"):
        Ema().build(network().bfloat16())
