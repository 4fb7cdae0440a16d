"""What every model must do, whatever its settings. A new model adds its settings to `CASES` and inherits the tests."""

from __future__ import annotations

import inspect
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ablata.base.settings import diff, expand, field_texts, restore
from ablata.models.backbones.efficientnet import EfficientNet, EfficientNetLite
from ablata.models.backbones.regnet import RegNet, RegNetDesign
from ablata.models.backbones.resnet import ResNet
from ablata.models.backbones.resnet_blocks import HierarchicalSplit
from ablata.models.backbones.t2t_vit import T2TViT
from ablata.models.classification.airbench import Airbench
from ablata.models.classification.digits_net import DigitsNet
from ablata.models.classification.feature_pyramid_classifier import PyramidClassifier
from ablata.models.classification.small_resnet import CifarResNet, WideResNet
from ablata.models.classification.timm_model import TimmModel
from ablata.nn.convolutions import AlignedConv, DynamicConv, StandardizedConv
from ablata.nn.gates import AttentionalFusion, SqueezeExcite

CLASSES = 7
CASES: list[tuple[Any, tuple[int, int, int]]] = [
    (CifarResNet(depth=depth, width=4, preactivation=pre, shortcut=shortcut, zero_init_residual=zero), (3, 32, 32))
    for depth, pre, shortcut, zero in product((8, 14), (False, True), ("pad", "conv"), (False, True))
]
CASES += [
    (CifarResNet(depth=8, width=4, stem=stem, shortcut="conv3x3", preactivation=pre), (3, 32, 32))
    for stem, pre in product(("3x3_s2", "3x3_s2_pool", "7x7_s2_pool"), (False, True))
]
CASES += [
    (CifarResNet(depth=8, width=4, dropout=0.1, channel_drop=1, dropout_position=place, preactivation=pre), (3, 32, 32))
    for place, pre in product(("between", "before_last", "after_last"), (False, True))
]
CASES += [
    (CifarResNet(depth=8, width=4, activation="silu", logit_norm=True, features_dropout=0.1), (3, 32, 32)),
    (CifarResNet(depth=8, width=4, activation="leaky_relu", preactivation=True, final_norm=False), (3, 32, 32)),
    (WideResNet(depth=10, factor=1), (3, 32, 32)),
    (WideResNet(depth=16, factor=2, dropout=0.3, shortcut="pad", logits_dropout=0.1), (3, 32, 32)),
]
CASES += [
    (Airbench(widths=(4, 6, 5), whitening=False, whitening_kernel=1, norm_weight=True, dirac=dirac), (3, 16, 16))
    for dirac in (True, False)
]
CASES += [
    (DigitsNet(width=8, depth=depth, norm=norm, activation=activation, dropout=dropout), (1, 8, 8))
    for depth, norm, activation, dropout in [
        (1, "batch", "relu", 0.0),
        (2, "group", "silu", 0.2),
        (3, "none", "gelu", 0.0),
        (2, "batch", "leaky_relu", 0.5),
    ]
]
CASES += [
    (settings, (3, 64, 64))
    for settings in (
        ResNet(depth=18, width=4, zero_init_residual=True),
        ResNet(depth=50, width=4, stem="deep", shortcut="pool_conv", attention=SqueezeExcite(last_norm=True)),
        ResNet(depth=18, width=8, preactivation=True, stem_norm=False, conv=StandardizedConv()),
        ResNet(depth=18, width=8, preactivation=True, order="act_norm", shortcut_norm=True, activation="leaky_relu"),
        ResNet(
            depth=18, width=4, order="act_norm", stem_order="act_pool_norm", input_norm=True, activation="hardswish"
        ),
        ResNet(depth=18, width=4, order="add_act_norm", fusion=AttentionalFusion(), activation="silu_lean"),
        ResNet(depth=18, width=4, order="act_add_norm", activation="frelu", conv=AlignedConv(), last_norm=True),
        ResNet(depth=50, width=8, split=HierarchicalSplit(splits=4), last_stage="dilated"),
        ResNet(depth=18, width=4, last_stage="no_stride", shortcut_norm=False),
        ResNet(depth=18, width=16, conv=DynamicConv(), attention=SqueezeExcite(reduction=4, temperature=30)),
        EfficientNet(width=0.25, depth=0.3, drop_connect=0.0, last_norm=True),
        EfficientNet(width=0.25, depth=0.3, head="backbone", project_activation=True, drop_connect_form="fixed"),
        EfficientNetLite(width=0.25, depth=0.3, zero_init_residual=True, conv=AlignedConv()),
        RegNet(size="custom", design=RegNetDesign(w0=8, wa=8, wm=2, depth=7, group=4), stem=8, drop_path=0.1),
        T2TViT(size=7, depth=2, width=64, token_width=16),
        T2TViT(size=7, depth=2, width=64, token_width=16, tokens="transformer", dropout=0.1),
        PyramidClassifier(backbone=ResNet(depth=18, width=4), width=8),
        PyramidClassifier(backbone=ResNet(depth=18, width=4), width=8, merge="nearest_sum", kernel=3),
        PyramidClassifier(backbone=ResNet(depth=18, width=4), width=8, merge="nearest_concat", level_heads=True),
        PyramidClassifier(backbone=EfficientNet(width=0.25, depth=0.3), width=8, merge="down_sum"),
        TimmModel(name="test_resnet"),
        TimmModel(name="test_vit", image_size=64),
    )
]

every_model = pytest.mark.parametrize(("settings", "image"), CASES, ids=lambda value: "-".join(words(value)))


def words(value: Any) -> list[str]:
    if isinstance(value, tuple):
        return [str(side) for side in value]
    return [value.kind, *(f"{change.key}={change.new}" for change in diff(type(value)(), value))]


def build(settings: Any, image: tuple[int, int, int], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return settings.build(CLASSES, image[0])


def images(image: tuple[int, int, int], count: int = 4) -> Tensor:
    return torch.randn(count, *image, generator=torch.Generator().manual_seed(1))


@every_model
def test_outputs_are_named_tensors_with_features_and_logits(settings: Any, image: tuple[int, int, int]) -> None:
    outputs = build(settings, image)(images(image))
    names = list(outputs)
    assert names[-2:] == ["features", "logits"]
    stages = names[:-2] if names[0] != "stem" else names[1:-2]
    assert stages == [f"stage{number}" for number in range(1, len(stages) + 1)]
    assert outputs["logits"].shape == (4, CLASSES)
    assert (outputs["features"].ndim, len(outputs["features"])) == (2, 4)
    sides = [outputs[name].shape[-1] for name in names[:-2]]
    assert sides == sorted(sides, reverse=True)
    assert image[-1] % sides[0] == 0
    assert all(torch.isfinite(value).all() for value in outputs.values())


@every_model
def test_every_parameter_gets_a_gradient(settings: Any, image: tuple[int, int, int]) -> None:
    model = build(settings, image)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.ones_(norm.weight)
    labels = torch.arange(4) % CLASSES
    nn.functional.cross_entropy(model(images(image))["logits"], labels).backward()
    without = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


@every_model
def test_the_seed_alone_decides_the_weights(settings: Any, image: tuple[int, int, int]) -> None:
    def weights(seed: int) -> Tensor:
        return torch.cat([value.detach().flatten() for value in build(settings, image, seed).parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@every_model
def test_evaluation_is_repeatable_and_independent_of_the_batch(settings: Any, image: tuple[int, int, int]) -> None:
    model = build(settings, image).eval()
    x = images(image)
    with torch.no_grad():
        whole = model(x)["logits"]
        assert torch.equal(whole, model(x)["logits"])
        torch.testing.assert_close(torch.cat([model(one[None])["logits"] for one in x]), whole, rtol=1e-4, atol=1e-5)


@every_model
def test_channels_last_gives_the_same_values(settings: Any, image: tuple[int, int, int]) -> None:
    model = build(settings, image).eval()
    x = images(image)
    with torch.no_grad():
        expected = model(x)["logits"]
        model.to(memory_format=torch.channels_last)
        found = model(x.to(memory_format=torch.channels_last))["logits"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@every_model
def test_a_training_step_runs_under_bf16_autocast(settings: Any, image: tuple[int, int, int]) -> None:
    model = build(settings, image)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images(image))["logits"]
    logits.float().square().mean().backward()
    assert logits.dtype == torch.bfloat16
    assert all(value.grad is not None and value.grad.dtype == torch.float32 for value in model.parameters())


@every_model
def test_the_state_goes_into_a_fresh_model_and_the_settings_through_json(
    settings: Any, image: tuple[int, int, int]
) -> None:
    model = build(settings, image)
    model(images(image))
    again = restore(type(settings), expand(settings), source="test")
    assert again == settings
    other = build(again, image, seed=5)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        x = images(image)
        assert torch.equal(model.eval()(x)["logits"], other.eval()(x)["logits"])


@pytest.mark.parametrize("kind", dict.fromkeys(type(settings) for settings, _ in CASES), ids=lambda kind: kind.__name__)
def test_every_setting_has_a_help_text_and_every_file_a_legend(kind: type) -> None:
    assert set(kind.model_fields) - {"kind"} <= field_texts(kind).keys()
    assert "Shapes:" in (inspect.getmodule(kind).__doc__ or "")
