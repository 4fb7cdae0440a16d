"""EfficientNet: timm's parameters, operations and logits; every variant by its effect."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import timm
import torch
from pydantic import ValidationError
from torch import nn

from ablata.engine.hardware.complexity import count
from ablata.models.backbones.efficientnet import EfficientNet, EfficientNetLite, InvertedResidual

EVERY = [EfficientNet(variant=name) for name in get_args(EfficientNet.model_fields["variant"].annotation)]
EVERY += [EfficientNetLite(variant=name) for name in get_args(EfficientNetLite.model_fields["variant"].annotation)]
QUICK = ("b0", "b2", "lite0", "lite3")


def tiny(**changes: Any) -> EfficientNet:
    return EfficientNet(**{"width": 0.25, "depth": 0.3, **changes})


def lively(model: nn.Module) -> nn.Module:
    """Give all normalisations statistics and weights of their own, so that a mistaken one shows."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(settings, id=settings.variant, marks=[] if settings.variant in QUICK else pytest.mark.slow)
        for settings in EVERY
    ],
)
def test_parameters_operations_and_activations_are_timms(settings: EfficientNet) -> None:
    image = torch.empty(1, 3, 224, 224, device="meta")
    with torch.device("meta"):
        ours, reference = settings.build(1000), timm.create_model(f"efficientnet_{settings.variant}")
    assert count(ours, image) == count(reference, image)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (EfficientNet(), "efficientnet_b0"),
        (EfficientNet(head="backbone"), "efficientnet_b0"),
        (EfficientNetLite(variant="lite1"), "efficientnet_lite1"),
    ],
)
def test_logits_are_timms_with_its_weights(settings: EfficientNet, name: str) -> None:
    torch.manual_seed(0)
    reference, model = lively(timm.create_model(name, num_classes=10)), settings.build(10).eval()
    model.load_state_dict({settings.published_name(key): value for key, value in reference.state_dict().items()})
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(x)["logits"], reference(x), rtol=1e-5, atol=1e-5)


def test_the_head_belongs_to_backbone_or_classifier() -> None:
    apart, together = tiny().build(5), tiny(head="backbone").build(5)
    assert apart(torch.randn(2, 3, 64, 64))["stage4"].shape[1] == apart.backbone.widths["stage4"] == 80
    assert together(torch.randn(2, 3, 64, 64))["stage4"].shape[1] == together.backbone.widths["stage4"] == 320
    names = [name for name in together.state_dict() if not name.startswith("backbone.")]
    assert names == ["classifier.weight", "classifier.bias"]
    assert any(name.startswith("head.unit.conv") for name in apart.state_dict())


def test_drop_connect_rises_with_the_blocks_or_is_the_same_for_all() -> None:
    def shares(**changes: Any) -> list[float]:
        blocks = [module for module in tiny(**changes).build(5).modules() if isinstance(module, InvertedResidual)]
        return [getattr(block.drop, "p", 0.0) for block in blocks]

    rising = shares(drop_connect=0.3)
    assert rising == pytest.approx([0.3 * index / len(rising) for index in range(len(rising))])
    assert shares(drop_connect=0.3, drop_connect_form="fixed") == [0.3] * len(rising)


def test_zero_gamma_starts_blocks_with_a_shortcut_as_the_identity_and_no_others() -> None:
    torch.manual_seed(0)
    model = tiny(depth=1.0, zero_init_residual=True).build(5)
    found = [(module.adds, bool(module.project.norm.weight.any())) for module in model.modules()
             if isinstance(module, InvertedResidual)]  # fmt: skip
    assert set(found) == {(True, False), (False, True)}


def test_a_projection_is_activated_only_if_asked() -> None:
    acts = [type(tiny(project_activation=on).build(5).backbone.groups[1][0].project.act) for on in (False, True)]
    assert acts == [nn.Identity, nn.SiLU]


def test_the_last_norm_comes_after_the_heads_activation() -> None:
    torch.manual_seed(0)
    head = tiny(last_norm=True).build(5).head
    x = torch.randn(4, 80, 3, 3)
    torch.testing.assert_close(head(x).mean((0, 2, 3)), torch.zeros(320), atol=1e-5, rtol=0)
    assert head(x).min() < -0.3


def test_all_normalisations_have_the_eps_of_the_settings() -> None:
    model = tiny(norm_eps=1e-3).build(5)
    assert {module.eps for module in model.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}


def test_the_lite_form_has_no_gates_and_relu6() -> None:
    kinds = {type(module).__name__ for module in EfficientNetLite(width=0.25, depth=0.3).build(5).modules()}
    assert "ReLU6" in kinds
    assert not {"SqueezeExciteGate", "SiLU"} & kinds


def test_the_variant_decides_the_dropout_unless_it_is_given() -> None:
    with torch.device("meta"):
        shares = [EfficientNet(variant="b4", dropout=share).build(5).dropout.p for share in (None, 0.0, 0.1)]
    assert shares == [0.4, 0.0, 0.1]


def test_a_zero_that_would_stay_is_refused() -> None:
    with pytest.raises(ValidationError, match="would stay 0 for ever"):
        tiny(zero_init_residual=True, project_activation=True, activation="relu")
