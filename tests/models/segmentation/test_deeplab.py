"""DeepLabV3 and V3+: torchvision's parameters and logits, sizes, counts by arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from pydantic import ValidationError
from torch import nn

from ablata.base.errors import SettingsError
from ablata.models.backbones.resnet import ResNet
from ablata.models.segmentation.base import DenseHead
from ablata.models.segmentation.deeplab import Aspp, DeepLab, DeepLabDecoder

SMALL = DeepLab(
    backbone=ResNet(depth=18, width=4, last_stage="two_dilated"),
    pyramid=Aspp(width=6, rates=(1, 2)),
    head=DenseHead(width=5),
    aux=DenseHead(width=5),
)
PLUS = SMALL.model_copy(update={"decoder": DeepLabDecoder(low_level_width=3, width=7)})


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def torchvisions(depth: int) -> nn.Module:
    make: Any = getattr(torchvision.models.segmentation, f"deeplabv3_resnet{depth}")
    made: nn.Module = make(weights=None, weights_backbone=None, num_classes=7, aux_loss=True)
    return made


@pytest.mark.parametrize("depth", [50, 101])
def test_parameters_are_torchvisions(depth: Any) -> None:
    with torch.device("meta"):
        ours = DeepLab(backbone=ResNet(depth=depth, last_stage="two_dilated")).build(7)
        theirs = torchvisions(depth)
    assert parameters(ours) == parameters(theirs)


def test_with_torchvisions_weights_the_logits_are_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = torchvisions(50)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    settings = DeepLab()
    ours = settings.build(7)
    ours.load_state_dict({settings.published_name(name): value for name, value in theirs.state_dict().items()})
    images = torch.randn(1, 3, 33, 40)
    for module in (*theirs.modules(), *ours.modules()):
        module.training = False
    with torch.no_grad():
        expected = theirs(images)
        # The further head is there in training alone; its layers stay in evaluation, so that statistics are given.
        ours.training = True
        outputs = ours(images)
    full = ours.full_size(outputs, (33, 40))
    scale = expected["out"].abs().max()
    torch.testing.assert_close(full["logits"] / scale, expected["out"] / scale, rtol=0, atol=1e-5)
    scale = expected["aux"].abs().max()
    torch.testing.assert_close(full["aux8"] / scale, expected["aux"] / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("last_stage", "strides"),
    [("two_dilated", (8, 8)), ("dilated", (16, 16)), ("no_stride", (16, 16)), ("stride", (16, 32))],
)
@pytest.mark.parametrize("settings", [SMALL, PLUS], ids=["v3", "v3plus"])
@pytest.mark.parametrize("size", [(64, 96), (33, 45)])
def test_maps_have_the_sizes_of_the_legend(
    settings: DeepLab, last_stage: Any, strides: tuple[int, int], size: tuple[int, int]
) -> None:
    backbone = settings.backbone.model_copy(update={"last_stage": last_stage})
    model = settings.model_copy(update={"backbone": backbone}).build(3).train()
    model.projection = nn.Conv2d(32, 8, 1)
    outputs = model(torch.randn(2, 3, *size))

    def at(stride: int) -> tuple[int, ...]:
        return tuple(-(-side // stride) for side in size)

    assert outputs["pyramid"].shape == (2, 6, *at(strides[1]))
    assert outputs["embedding"].shape == (2, 8, *at(strides[1]))
    assert outputs["logits"].shape == (2, 3, *at(4 if settings.decoder else strides[1]))
    assert outputs[f"aux{strides[0]}"].shape == (2, 3, *at(strides[0]))
    assert {value.shape for value in model.full_size(outputs, size).values()} == {(2, 3, *size)}
    evaluated = model.eval()(torch.randn(1, 3, *size))
    assert not [name for name in evaluated if name.startswith(("aux", "embedding"))]


def test_the_decoder_adds_what_its_layers_have() -> None:
    with torch.device("meta"):
        plain, plus = (DeepLab(decoder=decoder).build(19) for decoder in (None, DeepLabDecoder()))
    added = 256 * 48 + 2 * 48 + 9 * (256 + 48) * 256 + 2 * 256
    assert parameters(plus) - parameters(plain) == added


def test_the_decoder_sees_the_pyramid_enlarged_beside_stage_1() -> None:
    torch.manual_seed(0)
    model = PLUS.build(3).eval()
    outputs = model(torch.randn(1, 3, 64, 64))
    enlarged = F.interpolate(outputs["pyramid"], (16, 16), mode="bilinear", align_corners=False)
    joined = torch.cat((enlarged, model.low(outputs["stage1"])), 1)
    torch.testing.assert_close(outputs["decoded"], model.merge(joined))


@pytest.mark.parametrize("settings", [SMALL, PLUS], ids=["v3", "v3plus"])
def test_every_parameter_gets_a_gradient_in_training(settings: DeepLab) -> None:
    model = settings.build(3).train()
    outputs = model(torch.randn(2, 3, 64, 64))
    (outputs["logits"].sum() + outputs["aux8"].sum()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_images_that_are_too_small_are_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="at least 32 pixels"):
        SMALL.build(3)(torch.randn(2, 3, 31, 64))


def test_weights_of_the_backbone_must_be_of_a_backbone() -> None:
    with pytest.raises(ValidationError, match="weights_part must be auto or backbone"):
        DeepLab(backbone=ResNet(weights="file.safetensors", weights_part="full"))
