"""RegNet: timm's parameters, operations and logits for every size; the design's arithmetic; refusals."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import timm
import torch
from pydantic import ValidationError
from torch import nn

from ablata.engine.hardware.complexity import count
from ablata.models.backbones.regnet import RegNet, RegNetBlock, RegNetDesign, SizeName

QUICK = ("x_200mf", "x_3.2gf", "y_800mf", "y_1.6gf")
SIZES = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
    for name in get_args(SizeName)
    if name != "custom"
]


def sized(name: str) -> RegNet:
    return RegNet(size=name) if name.startswith("y") else RegNet(size=name, attention=None)


def timms_name(name: str) -> str:
    kind, _, flops = name.partition("_")
    hundreds = float(flops[:-2]) * (10 if flops.endswith("gf") else 0.01)
    return f"regnet{kind}_{round(hundreds):03d}"


@pytest.mark.parametrize("name", SIZES)
def test_parameters_operations_and_activations_are_timms(name: str) -> None:
    image = torch.empty(1, 3, 224, 224, device="meta")
    with torch.device("meta"):
        ours, reference = sized(name).build(1000), timm.create_model(timms_name(name))
    assert count(ours, image) == count(reference, image)


@pytest.mark.parametrize("name", ["x_200mf", "y_200mf"])
def test_logits_are_timms_with_its_weights(name: str) -> None:
    torch.manual_seed(0)
    reference, settings = timm.create_model(timms_name(name), num_classes=10).eval(), sized(name)
    with torch.no_grad():
        for module in reference.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.weight.uniform_(0.5, 1.5)
    model, x = settings.build(10).eval(), torch.randn(2, 3, 64, 64)
    model.load_state_dict({settings.published_name(key): value for key, value in reference.state_dict().items()})
    with torch.no_grad():
        torch.testing.assert_close(model(x)["logits"], reference(x), rtol=1e-5, atol=1e-5)


def test_the_design_of_y_1_6gf_gives_its_published_stages() -> None:
    # facebookresearch/pycls: depths 2, 6, 17, 2 and widths 48, 120, 336, 888, groups of 24 channels.
    assert RegNetDesign().stages() == [(48, 2, 24), (120, 6, 24), (336, 17, 24), (888, 2, 24)]


@pytest.mark.parametrize(
    "design", [RegNetDesign(w0=8, wa=8, wm=2, depth=8, group=8), RegNetDesign(w0=24, wa=36.44, wm=2.49, depth=13)]
)
def test_groups_divide_widths_and_widths_grow(design: RegNetDesign) -> None:
    widths = [width for width, _, _ in design.stages()]
    assert widths == sorted(set(widths))
    assert all(width % group == 0 for width, _, group in design.stages())
    assert sum(blocks for _, blocks, _ in design.stages()) == design.depth


def test_zero_gamma_starts_every_block_as_its_shortcut() -> None:
    torch.manual_seed(0)
    design = RegNetDesign(w0=8, wa=8, wm=2, depth=8, group=8)
    model = RegNet(size="custom", design=design, zero_init_residual=True).build(5)
    blocks = [module for module in model.modules() if isinstance(module, RegNetBlock)]
    block = next(block for block in blocks if isinstance(block.shortcut, nn.Identity))
    x = torch.rand(2, block.reduce.conv.in_channels, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"size": "custom"}, "goes with a design"),
        ({"design": RegNetDesign()}, "goes with a design"),
        ({"size": "x_1.6gf"}, "has no gates"),
        ({"size": "custom", "design": RegNetDesign(wa=0.0)}, r"must give 4 stages, got widths \[48\]"),
    ],
)
def test_settings_that_make_no_regnet_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        RegNet(**wrong)
