"""ResNet for large images: torchvision's and timm's parameters, operations, logits; every variant by its effect."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import timm
import torch
import torchvision
from pydantic import ValidationError
from torch import nn

from ablata.engine.hardware.complexity import count
from ablata.models.backbones.resnet import ResNet, ResNetStem
from ablata.models.backbones.resnet_blocks import HierarchicalSplit, ResidualBlock, SplitConv
from ablata.nn.convolutions import AlignedConv, DynamicConv, StandardizedConv
from ablata.nn.gates import AttentionalFusion, SqueezeExcite
from ablata.nn.pooled_gates import ConvGate, TwoLayerGate


def parameters(settings: ResNet) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in settings.build(1000).parameters())


def blocks(settings: ResNet) -> list[ResidualBlock]:
    torch.manual_seed(0)
    return [module for module in settings.build(10).modules() if isinstance(module, ResidualBlock)]


def lively(model: nn.Module) -> nn.Module:
    """Give all normalisations statistics and weights of their own, so that a mistaken one shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def with_weights_of(reference: nn.Module, settings: Any, classes: int = 10) -> nn.Module:
    """Return our network with the reference's weights, names translated."""
    model = settings.build(classes).eval()
    state = {settings.published_name(name): value for name, value in reference.state_dict().items()}
    state["classifier.weight"] = state["classifier.weight"].flatten(1)
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_parameters_operations_and_activations_are_torchvisions(depth: int) -> None:
    image = torch.empty(1, 3, 224, 224, device="meta")
    with torch.device("meta"):
        ours, reference = ResNet(depth=depth).build(1000), getattr(torchvision.models, f"resnet{depth}")()
    assert count(ours, image) == count(reference, image)


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        (ResNet(depth=18), lambda: torchvision.models.resnet18(num_classes=10)),
        (
            ResNet(depth=50, last_stage="dilated"),
            lambda: torchvision.models.resnet50(num_classes=10, replace_stride_with_dilation=[False, False, True]),
        ),
        (ResNet(depth=50, stem="deep", shortcut="pool_conv"), lambda: timm.create_model("resnet50d", num_classes=10)),
        (ResNet(depth=50, attention=SqueezeExcite()), lambda: timm.create_model("seresnet50", num_classes=10)),
        (
            ResNet(depth=50, preactivation=True, stem_norm=False),
            lambda: timm.create_model("resnetv2_50", num_classes=10),
        ),
    ],
    ids=["resnet18", "resnet50 dilated", "resnet50d", "seresnet50", "resnetv2_50"],
)
def test_logits_are_the_references_with_its_weights(settings: ResNet, make: Any) -> None:
    torch.manual_seed(0)
    reference = lively(make())
    model, x = with_weights_of(reference, settings), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(x)["logits"], reference(x), rtol=1e-5, atol=1e-5)


def test_stages_are_four_to_thirty_two_times_smaller() -> None:
    outputs = ResNet(depth=18, width=4).build(5)(torch.randn(2, 3, 96, 64))
    shapes = {name: tuple(value.shape[1:]) for name, value in outputs.items()}
    assert shapes["stem"] == shapes["stage1"] == (4, 24, 16)
    assert (shapes["stage2"], shapes["stage3"], shapes["stage4"]) == ((8, 12, 8), (16, 6, 4), (32, 3, 2))


@pytest.mark.parametrize("last_stage", ["no_stride", "dilated"])
def test_the_last_stage_can_keep_its_size_and_its_parameters(last_stage: str) -> None:
    settings = ResNet(depth=18, width=4, last_stage=last_stage)
    outputs = settings.build(5)(torch.randn(2, 3, 64, 64))
    assert outputs["stage4"].shape[2:] == outputs["stage3"].shape[2:]
    assert parameters(settings) == parameters(ResNet(depth=18, width=4))


def test_zero_gamma_starts_every_block_as_its_shortcut_that_can_leave_it(subtests: pytest.Subtests) -> None:
    for variant, depth in itertools.product(
        [
            {},
            {"order": "act_norm"},
            {"order": "add_act_norm", "conv": AlignedConv()},
            {"order": "act_add_norm"},
            {"preactivation": True},
            {"preactivation": True, "conv": AlignedConv()},
            {"attention": SqueezeExcite(reduction=4, last_norm=True)},
            {"attention": SqueezeExcite(reduction=4)},
            {"attention": ConvGate()},
            {"attention": TwoLayerGate()},
            {"conv": DynamicConv()},
        ],
        [18, 50],
    ):
        with subtests.test(depth=depth, variant=variant):
            settings = ResNet(depth=depth, width=8, zero_init_residual=True, **variant)
            block = blocks(settings)[1]
            x = torch.rand(2, 8 if depth == 18 else 32, 8, 8)
            out = block(x)
            ends_with_norm = block.order in ("add_act_norm", "act_add_norm")
            torch.testing.assert_close(out, block.units[str(len(block.units))].norm(x) if ends_with_norm else x)
            (out * torch.randn_like(out)).sum().backward()
            silent = [value for value in block.parameters() if not value.any()]
            assert any(
                value.grad is not None and value.grad.any() for value in silent if value.ndim > 1 or len(value) > 1
            )


@pytest.mark.parametrize("order", ["norm_act", "act_norm", "add_act_norm", "act_add_norm"])
def test_the_orders_do_what_they_say(order: str) -> None:
    block, x, relu = blocks(ResNet(depth=18, width=8, order=order))[0], torch.randn(2, 8, 6, 6), nn.functional.relu
    first, last = block.units["1"], block.units["2"]
    convolved = first.conv(x)
    inner = last.conv(relu(first.norm(convolved)) if order == "norm_act" else first.norm(relu(convolved)))
    if order == "add_act_norm":
        expected = last.norm(relu(inner + x))
    elif order == "act_add_norm":
        expected = last.norm(relu(inner) + relu(x))
    else:
        expected = relu(last.norm(inner) + x)
    torch.testing.assert_close(block(x), expected)


def test_preactivation_leaves_the_residual_path_free() -> None:
    block, x = blocks(ResNet(depth=18, width=8, preactivation=True))[1], torch.randn(2, 8, 6, 6)
    first, last = block.units["1"], block.units["2"]
    relu = nn.functional.relu
    expected = x + last.conv(relu(last.norm(first.conv(relu(first.norm(x))))))
    torch.testing.assert_close(block(x), expected)


def test_fusion_takes_the_place_of_the_addition() -> None:
    block, x = blocks(ResNet(depth=18, width=8, fusion=AttentionalFusion()))[0], torch.randn(2, 8, 6, 6)
    branch = block.units["2"].norm(block.units["2"].conv(block.units["1"](x)))
    torch.testing.assert_close(block(x), nn.functional.relu(block.fusion(branch, x)))


def test_stem_and_shortcut_variants_add_the_parameters_they_name() -> None:
    plain = parameters(ResNet(depth=50))
    shortcut_channels = 256 + 512 + 1024 + 2048
    assert parameters(ResNet(depth=50, shortcut_norm=False)) == plain - 2 * shortcut_channels
    assert parameters(ResNet(depth=50, stem_norm=False)) == plain - 2 * 64
    assert parameters(ResNet(depth=50, input_norm=True)) == plain + 2 * 3
    assert parameters(ResNet(depth=50, last_norm=True)) == plain + 2 * 2048
    assert parameters(ResNet(depth=50, shortcut="pool_conv")) == plain
    deep = 27 * 32 + 9 * 32 * 32 + 9 * 32 * 64 + 4 * 32
    assert parameters(ResNet(depth=50, stem="deep")) == plain - 147 * 64 + deep


def test_the_stem_can_normalise_after_its_pool() -> None:
    torch.manual_seed(0)
    stem, x = ResNet(depth=18, width=4, stem_order="act_pool_norm").build(5).backbone.stem, torch.randn(2, 3, 16, 16)
    pooled = nn.functional.max_pool2d(nn.functional.relu(stem.convs[0](x)), 3, 2, 1)
    torch.testing.assert_close(stem(x), stem.last_norm(pooled))


@pytest.mark.parametrize("order", ["norm_act_pool", "act_pool_norm"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "relu6"])
def test_a_rectifier_behind_the_maximum_gives_the_same_values_and_gradients(activation: str, order: str) -> None:
    torch.manual_seed(0)
    stem = ResNetStem(ResNet.model_validate({"activation": activation, "stem_order": order, "width": 8}), 3)
    images = torch.randn(2, 3, 32, 32)
    seen = []
    for first in (False, True):
        stem.pool_first = first
        stem.zero_grad()
        out = stem(images)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        seen.append([out.detach(), *(parameter.grad for parameter in stem.parameters())])
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=0)


@pytest.mark.parametrize("activation", ["silu", "hardswish", "frelu"])
def test_other_activations_stay_before_the_maximum(activation: str) -> None:
    assert not ResNetStem(ResNet.model_validate({"activation": activation}), 3).pool_first


def test_frelu_leaves_relu_in_the_last_stage() -> None:
    backbone = ResNet(depth=18, width=4, activation="frelu").build(5).backbone
    kinds = [{type(unit.act).__name__ for block in stage for unit in block.units.values()}
             for stage in (backbone.stage1, backbone.stage2, backbone.stage3, backbone.stage4)]  # fmt: skip
    assert kinds == [{"FReLU"}] * 3 + [{"ReLU"}]


def test_forms_of_convolution_reach_every_convolution_but_a_dynamic_stem() -> None:
    for conv in (StandardizedConv(), AlignedConv(), DynamicConv()):
        backbone = ResNet(depth=18, width=8, conv=conv).build_backbone()
        plain = [name for name, module in backbone.named_modules() if type(module) is nn.Conv2d]
        assert plain == (["stem.convs.0"] if conv.kind == "dynamic" else [])


def test_a_split_hands_half_of_each_group_to_the_next() -> None:
    torch.manual_seed(0)
    split = SplitConv(ResNet(split=HierarchicalSplit(splits=3)), 12, 1, 1, "relu")
    x = torch.randn(2, 12, 5, 5)
    second = split.units[0](x[:, 4:8])
    third = split.units[1](torch.cat((x[:, 8:], second[:, :2]), 1))
    torch.testing.assert_close(split(x), torch.cat((x[:, :4], second[:, 2:], third), 1))


def test_where_maps_are_halved_the_groups_stay_apart_or_are_averaged_first() -> None:
    x = torch.randn(2, 12, 8, 8)
    apart = SplitConv(ResNet(split=HierarchicalSplit(splits=3)), 12, 2, 1, "relu")
    expected = (nn.functional.avg_pool2d(x[:, :4], 3, 2, 1), apart.units[0](x[:, 4:8]), apart.units[1](x[:, 8:]))
    torch.testing.assert_close(apart(x), torch.cat(expected, 1))
    pooled = SplitConv(ResNet(split=HierarchicalSplit(splits=3, strided="pooled")), 12, 2, 1, "relu")
    whole = SplitConv(ResNet(split=HierarchicalSplit(splits=3)), 12, 1, 1, "relu")
    whole.load_state_dict(pooled.state_dict())
    torch.testing.assert_close(pooled(x), whole(nn.functional.avg_pool2d(x, 3, 2, 1)))


def test_a_split_network_is_smaller_at_the_bottlenecks_own_width() -> None:
    assert parameters(ResNet(split=HierarchicalSplit())) < parameters(ResNet())
    assert parameters(ResNet(split=HierarchicalSplit(splits=8, width=8))) == parameters(
        ResNet(split=HierarchicalSplit())
    )


@pytest.mark.parametrize(("splits", "width"), [(5, 16), (8, 64)])
def test_the_convolutions_of_a_split_have_the_parameters_of_the_papers_sum(splits: int, width: int) -> None:
    """Equation 3 with the square that it lacks, as its readers found: bobo0810/HS-ResNet issue 1."""
    split = SplitConv(ResNet(split=HierarchicalSplit(splits=splits)), splits * width, 1, 1, "relu")
    expected = sum((3 * width * (2 - 0.5 ** (number - 1))) ** 2 for number in range(1, splits))
    assert sum(weight.numel() for weight in split.parameters() if weight.ndim == 4) == expected


@pytest.mark.parametrize(("width", "millions"), [(None, 17.3), (12, 25.9)])
def test_sizes_of_split_networks_are_as_told(width: int | None, millions: float) -> None:
    assert round(parameters(ResNet(split=HierarchicalSplit(width=width))) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"preactivation": True, "order": "add_act_norm"}, "order=add_act_norm .* needs preactivation=false"),
        ({"depth": 18, "split": HierarchicalSplit()}, "depth >= 50"),
        ({"preactivation": True, "zero_init_residual": True, "conv": StandardizedConv()}, "zero_init_residual"),
        ({"depth": 51}, "depth"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ResNet(**wrong)


@pytest.mark.parametrize(("stem", "stride"), [("3x3", 1), ("3x3_s2", 2), ("3x3_s2_pool", 4)])
def test_stems_for_small_images_shrink_them_less(stem: str, stride: int) -> None:
    settings = ResNet.model_validate({"depth": 18, "width": 8, "stem": stem})
    out = settings.build(5)(torch.randn(2, 3, 32, 32))
    assert settings.stem_stride == stride
    assert out["stem"].shape == (2, 8, 32 // stride, 32 // stride)
    assert out["stage4"].shape[-2:] == (4 // stride, 4 // stride) if stride < 4 else (1, 1)


def test_a_shortcut_of_3x3_has_nine_times_the_weights() -> None:
    plain, wide = (ResNet.model_validate({"depth": 18, "width": 8, "shortcut": name}) for name in ("conv", "conv3x3"))
    shortcuts = 8 * 16 + 16 * 32 + 32 * 64
    assert parameters(wide) - parameters(plain) == 8 * shortcuts


def test_first_weights_are_as_published_or_as_torch_draws_them() -> None:
    torch.manual_seed(0)
    published, drawn = (ResNet.model_validate({"depth": 18, "init": name}).build(5) for name in ("published", "torch"))
    weights = [model.backbone.stage4[1].units["1"].conv.weight for model in (published, drawn)]
    assert weights[0].var().item() == pytest.approx(2 / (9 * 512), rel=0.02)
    assert weights[1].var().item() == pytest.approx(1 / (3 * 9 * 512), rel=0.02)


def test_every_normalisation_has_the_eps_of_the_settings() -> None:
    model = ResNet(depth=18, width=4, norm_eps=1e-3).build(5)
    assert {one.eps for one in model.modules() if isinstance(one, nn.BatchNorm2d)} == {1e-3}
