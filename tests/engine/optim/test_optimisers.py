"""Optimisers against torch, timm and published numbers; their state through safetensors and JSON."""

from __future__ import annotations

import copy
import itertools
import json
import math

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load, save
from torch import Tensor, nn

from ablata.base.errors import CheckpointError, SettingsError
from ablata.engine.optim.hooks import Lookahead
from ablata.engine.optim.optimisers import AdamW, Muon, OptimiserSettings, RmsProp, RmsPropTf, Sgd, Timm
from ablata.engine.optim.parameter_groups import Multiplier, ParameterGroups
from ablata.engine.optim.state import load_optimiser_state, optimiser_state

EVERY = [
    Sgd(),
    Sgd(momentum=0.0),
    Sgd(nesterov=True, weight_decay=0.01, decay="decoupled"),
    AdamW(weight_decay=0.05),
    AdamW(weight_decay=0.05, decay="coupled"),
    RmsProp(momentum=0.9, weight_decay=0.01),
    RmsPropTf(weight_decay=0.01),
    RmsPropTf(weight_decay=0.01, decay="decoupled"),
    Muon(weight_decay=0.01),
    Muon(weight_decay=0.01, decay="decoupled", keep_norm=False, nesterov=False),
]
EVERY += [Timm(name=name, weight_decay=0.01) for name in ("lamb", "adafactor", "adanw")]
EVERY += [one.model_copy(update={"lookahead": Lookahead(steps=3)}) for one in EVERY]


def network() -> nn.Module:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    return net.to(memory_format=torch.channels_last)


def train(net: nn.Module, optimiser: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(8, 2, 5, 5, generator=generator).to(memory_format=torch.channels_last)
        y = torch.randint(3, (8,), generator=generator)
        for group in optimiser.param_groups:
            group["lr"] = 0.01 / (1 + step) * group["lr_scale"]
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()


def weights(net: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def test_a_restored_optimiser_goes_on_bit_for_bit(subtests: pytest.Subtests) -> None:
    for settings in EVERY:
        with subtests.test(settings=settings):
            settings = settings.model_copy(
                update={
                    "groups": ParameterGroups(
                        no_decay_norm_and_bias=True, multipliers=(Multiplier(pattern="4.*", lr=10),)
                    )
                }
            )
            whole = network()
            train(whole, settings.build(whole, 8), range(8))

            first = network()
            optimiser = settings.build(first, 8)
            train(first, optimiser, range(4))
            tensors, tree = optimiser_state(optimiser)
            stored, text = save(tensors), json.dumps(tree)

            second = network()
            second.load_state_dict(first.state_dict())
            resumed = settings.build(second, 8)
            load_optimiser_state(resumed, load(stored), json.loads(text))
            train(second, resumed, range(4, 8))
            assert torch.equal(weights(second), weights(whole))
            assert not torch.equal(weights(second), weights(first))


def test_a_state_saved_before_the_first_step_can_be_restored() -> None:
    net = network()
    tensors, tree = optimiser_state(Sgd().build(net, 8))
    assert tensors == {}
    load_optimiser_state(Sgd().build(net, 8), tensors, tree)


def test_a_state_of_another_optimiser_or_of_other_groups_is_refused() -> None:
    net = network()
    state = optimiser_state(Sgd().build(net, 8))
    for other in (AdamW(), Sgd(groups=ParameterGroups(no_decay_norm_and_bias=True))):
        with pytest.raises(CheckpointError, match="parameter groups of the recipe"):
            load_optimiser_state(other.build(net, 8), *state)


def test_a_state_of_another_shape_is_refused() -> None:
    net = network()
    optimiser = Sgd().build(net, 8)
    train(net, optimiser, range(1))
    tensors, tree = optimiser_state(optimiser)
    name = next(iter(tensors))
    with pytest.raises(CheckpointError, match="shape of its parameter"):
        load_optimiser_state(optimiser, tensors | {name: torch.zeros(1, 2, 3)}, tree)


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        (Sgd(weight_decay=0.1, nesterov=True), lambda p: torch.optim.SGD(p, 0.1, 0.9, 0, 0.1, nesterov=True)),
        (AdamW(weight_decay=0.1), lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=0.1)),
        (AdamW(weight_decay=0.1, decay="coupled"), lambda p: torch.optim.Adam(p, 1e-3, weight_decay=0.1)),
        (RmsProp(weight_decay=0.1, momentum=0.5), lambda p: torch.optim.RMSprop(p, weight_decay=0.1, momentum=0.5)),
    ],
    ids=["sgd", "adamw", "adam", "rmsprop"],
)
def test_the_steps_are_those_of_torch(settings: OptimiserSettings, reference) -> None:
    ours, theirs = network(), network()
    expected = reference(theirs.parameters())
    for group in expected.param_groups:
        group["lr_scale"] = 1.0
    train(ours, settings.build(ours, 8), range(5))
    train(theirs, expected, range(5))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-6, atol=1e-7)


def one_parameter(settings: OptimiserSettings, gradients: list[float], rates: list[float]) -> list[float]:
    holder = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.ones_(holder.weight)
    optimiser = settings.build(holder, 1)
    values = []
    for gradient, rate in zip(gradients, rates, strict=True):
        holder.weight.grad = torch.full_like(holder.weight, gradient)
        optimiser.param_groups[0]["lr"] = rate
        optimiser.step()
        values.append(holder.weight.item())
    return values


def rmsprop_by_hand(gradients: list[float], rates: list[float], *, tensorflow: bool) -> list[float]:
    p, v, buffer, values = 1.0, 1.0 if tensorflow else 0.0, 0.0, []
    for g, lr in zip(gradients, rates, strict=True):
        v += 0.1 * (g * g - v)
        scaled = g / math.sqrt(v + 1e-3) if tensorflow else g / (math.sqrt(v) + 1e-3)
        buffer = 0.9 * buffer + (lr * scaled if tensorflow else scaled)
        p -= buffer if tensorflow else lr * buffer
        values.append(p)
    return values


TF = RmsPropTf(eps=1e-3)
TORCH = RmsProp(alpha=0.9, eps=1e-3, momentum=0.9)


def test_the_two_forms_of_rmsprop_give_the_published_steps() -> None:
    gradients, rates = [0.5, 0.5, -0.2], [0.1, 0.1, 0.1]
    assert one_parameter(TF, gradients, rates) == pytest.approx([0.94804055, 0.84731358, 0.77935218], abs=1e-7)
    assert one_parameter(TORCH, gradients, rates) == pytest.approx([0.68575966, 0.17457545, -0.19341672], abs=1e-7)


def test_after_a_change_of_rate_the_tensorflow_form_keeps_the_old_rate_in_its_momentum() -> None:
    gradients, rates = [0.5, 0.5, -0.2, 0.0], [0.1, 0.1, 0.01, 0.01]
    tf, torch_form = one_parameter(TF, gradients, rates), one_parameter(TORCH, gradients, rates)
    assert tf == pytest.approx(rmsprop_by_hand(gradients, rates, tensorflow=True), abs=1e-9)
    assert torch_form == pytest.approx(rmsprop_by_hand(gradients, rates, tensorflow=False), abs=1e-9)
    assert abs(tf[3] - tf[2]) > 0.5 * abs(tf[1] - tf[0])
    assert abs(torch_form[3] - torch_form[2]) < 0.1 * abs(torch_form[1] - torch_form[0])


@pytest.mark.parametrize("settings", [Sgd(lr=0.1, momentum=0.0), RmsProp(lr=0.1), RmsPropTf(lr=0.1), AdamW(lr=0.1)])
def test_decoupled_decay_without_a_gradient_shrinks_the_weight_by_rate_times_decay(settings: OptimiserSettings) -> None:
    settings = settings.model_copy(update={"decay": "decoupled", "weight_decay": 0.5})
    assert one_parameter(settings, [0.0, 0.0], [0.1, 0.2]) == pytest.approx([0.95, 0.95 * 0.9])


def test_direct_decay_shrinks_the_weight_whatever_the_rate(subtests: pytest.Subtests) -> None:
    for rate, settings in itertools.product([0.1, 0.01], [Sgd(), AdamW(), RmsProp(), RmsPropTf()]):
        with subtests.test(settings=settings, rate=rate):
            settings = settings.model_copy(update={"decay": "direct", "weight_decay": 0.25})
            assert one_parameter(settings, [0.0, 0.0], [rate, rate]) == pytest.approx([0.75, 0.5625])


def test_the_decay_hook_equals_torchs_own_decoupled_decay() -> None:
    hooked = Sgd(momentum=0.0, weight_decay=0.3, decay="decoupled")
    # With betas of 0 and a large eps, Adam's step is lr g / (|g| + eps), close to SGD's with a rate of lr / eps.
    adam = AdamW(betas=(0.0, 0.0), eps=1e6, weight_decay=0.3e-6)
    ours = one_parameter(hooked, [0.5, -0.2, 0.1], [0.1, 0.1, 0.05])
    theirs = one_parameter(adam, [0.5, -0.2, 0.1], [0.1e6, 0.1e6, 0.05e6])
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_parameter_without_gradient_neither_moves_nor_decays() -> None:
    net = network()
    before = net[4].weight.detach().clone()
    optimiser = Sgd(weight_decay=0.5, decay="decoupled", lookahead=Lookahead(steps=1)).build(net, 8)
    net[0].weight.grad = torch.ones_like(net[0].weight)
    optimiser.step()
    assert torch.equal(net[4].weight, before)


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_lookahead_follows_the_papers_algorithm(steps: int) -> None:
    alpha, lr = 0.4, 0.1
    gradients = [0.5, -0.2, 0.3, 0.9, -0.4, 0.1, 0.6]
    slow = fast = 1.0
    expected = []
    for step, gradient in enumerate(gradients, start=1):
        fast -= lr * gradient
        if step % steps == 0:
            slow += alpha * (fast - slow)
            fast = slow
        expected.append(fast)
    settings = Sgd(lr=lr, momentum=0.0, lookahead=Lookahead(steps=steps, alpha=alpha))
    assert one_parameter(settings, gradients, [lr] * len(gradients)) == pytest.approx(expected)


def test_gradients_of_another_memory_format_do_not_mix_up_the_elements() -> None:
    moved = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        net = nn.Conv2d(4, 8, 3, bias=False).to(memory_format=memory_format)
        optimiser = Sgd().build(net, 8)
        for seed in range(3):
            generator = torch.Generator().manual_seed(seed)
            net.weight.grad = torch.randn(8, 4, 3, 3, generator=generator)
            optimiser.step()
        moved.append(net.weight.detach().contiguous())
    assert torch.equal(*moved)


def test_the_rate_follows_the_batch_as_asked_and_the_sentence_says_so() -> None:
    linear = Sgd(lr=0.1, scaling="linear", reference_batch=256)
    assert linear.scaled_lr(1024)[0] == pytest.approx(0.4)
    assert "0.4 = 0.1 x linear scale of batch 1024 / reference batch 256" in linear.scaled_lr(1024)[1]
    assert Sgd(lr=0.1, scaling="sqrt").scaled_lr(1024)[0] == pytest.approx(0.2)
    rate, sentence = Sgd(lr=0.1).scaled_lr(1024)
    assert rate == 0.1
    assert "not scaled" in sentence
    groups = ParameterGroups(multipliers=(Multiplier(pattern="4.*", lr=10),))
    optimiser = linear.model_copy(update={"groups": groups}).build(network(), 1024)
    assert sorted(group["lr"] for group in optimiser.param_groups) == pytest.approx([0.4, 4.0])


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValidationError, match="momentum above 0"):
        Sgd(nesterov=True, momentum=0.0)


def test_building_an_optimiser_leaves_the_settings_and_the_model_as_they_were() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    AdamW(lookahead=Lookahead()).build(net, 8)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_optimisers_of_timm_are_found_by_name_and_what_they_cannot_is_told(subtests: pytest.Subtests) -> None:
    for settings, words in (
        (Timm(name="lam"), "did you mean"),
        (Timm(name="kron"), "saved and resumed exactly"),
        (Timm(name="adafactor", momentum=0.5), "must be an argument of the optimiser"),
        (Timm(name="fusedadam"), "made here"),
    ):
        with subtests.test(name=settings.name), pytest.raises(SettingsError, match=words):
            settings.build(network(), 8)


def test_weights_that_learn_later_than_others_begin_without_momentum() -> None:
    moved = []
    for fused in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        optimiser = Sgd(nesterov=True).build(model, 8)
        if not fused:
            for group in optimiser.param_groups:
                group["fused"] = False
        for step in range(4):
            model[0].requires_grad_(step > 1)
            optimiser.zero_grad()
            model(torch.ones(2, 3)).square().mean().backward()
            optimiser.step()
        moved.append(torch.cat([one.detach().flatten() for one in model.parameters()]))
    assert torch.allclose(*moved, atol=1e-7)
