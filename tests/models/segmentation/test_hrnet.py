"""HRNet: timm's branches, published counts, sizes, object context against its formulas."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from ablata.base.errors import SettingsError
from ablata.models.segmentation.base import DenseHead
from ablata.models.segmentation.hrnet import HRNet, HRNetModel, ObjectContext, gather_regions
from ablata.nn.upsampling import Nearest

SMALL: dict[str, Any] = {"width": 4, "exchanges": (1, 1, 1), "blocks": 1}


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def small(**fields: Any) -> HRNetModel:
    torch.manual_seed(0)
    return HRNet(**SMALL, **fields).build(5)


def lively(model: nn.Module) -> nn.Module:
    """Give all normalisations statistics and weights of their own, so that a mistaken one shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def timm_hrnet(width: int, **changes: Any) -> Any:
    return timm.create_model(f"hrnet_w{width}", features_only=True, feature_location="", **changes)


@pytest.mark.parametrize("width", [18, 32, 48])
def test_the_branches_have_timms_parameters(width: int) -> None:
    with torch.device("meta"):
        ours, theirs = HRNet(width=width).build_backbone(), timm_hrnet(width)
    assert parameters(ours) == parameters(theirs)


def test_w48_with_the_head_of_its_authors_has_the_published_parameters() -> None:
    with torch.device("meta"):
        model = HRNet(width=48).build(19)
    features = 15 * 48
    openseg = 9 * features**2 + 2 * features + 19 * features
    assert parameters(model.head) == openseg
    # README of HRNet-Semantic-Segmentation: 65.8M, with a 1x1 layer and a classifier, both with biases.
    authors = features**2 + features + 2 * features + 19 * features + 19
    assert round((parameters(model.backbone) + authors) / 1e6, 2) == 65.86


@pytest.mark.slow
@pytest.mark.parametrize("width", [18, 48])
def test_with_timms_weights_the_branches_are_timms(width: int) -> None:
    branches_agree(width, {})


def test_with_the_weights_of_a_small_form_of_timms_the_branches_are_timms() -> None:
    stages = {
        name: {
            "num_modules": 1,
            "num_branches": count,
            "block_type": "BASIC",
            "num_blocks": (1,) * count,
            "num_channels": tuple(4 * 2**branch for branch in range(count)),
            "fuse_method": "SUM",
        }
        for name, count in (("stage2", 2), ("stage3", 3), ("stage4", 4))
    }
    first = {"num_modules": 1, "num_branches": 1, "block_type": "BOTTLENECK", "num_blocks": (1,), "num_channels": (64,)}
    branches_agree(18, SMALL, stage1=first | {"fuse_method": "SUM"}, **stages)


def branches_agree(width: int, fields: dict[str, Any], **changes: Any) -> None:
    torch.manual_seed(0)
    theirs = lively(timm_hrnet(width, **changes))
    settings = HRNet(**({"width": width} | fields), exchange_upsample=Nearest())
    ours = settings.build(5).eval()
    named = {settings.published_name(name): value for name, value in theirs.state_dict().items()}
    missing, unexpected = ours.load_state_dict(named, strict=False)
    assert not unexpected
    assert all(name.startswith("head.") for name in missing)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        # timm's list begins with the stem at 1/2.
        expected = theirs(images)[-4:]
        found = ours(images)
    for number, branch in enumerate(expected, start=1):
        torch.testing.assert_close(found[f"branch{number}"], branch, rtol=1e-4, atol=1e-5)


def test_the_layers_of_published_classifiers_are_left_out() -> None:
    names = ["incre_modules.0.0.conv1.weight", "downsamp_modules.0.0.weight", "final_layer.0.weight", "classifier.bias"]
    assert [HRNet().published_name(name) for name in names] == [None] * 4


@pytest.mark.parametrize("context", [None, ObjectContext(width=8, keys=6)])
@pytest.mark.parametrize("size", [(64, 96), (33, 45)])
def test_maps_have_the_sizes_of_the_legend(context: ObjectContext | None, size: tuple[int, int]) -> None:
    model = small(context=context, head=DenseHead(width=None) if context else DenseHead())
    model.projection = nn.Conv2d(60, 7, 1)
    high, wide = (-(-side // 4) for side in size)
    outputs = model.train()(torch.randn(2, 3, *size))
    assert outputs["features"].shape == (2, 60, high, wide)
    assert outputs["logits"].shape == (2, 5, high, wide)
    assert outputs["embedding"].shape == (2, 7, high, wide)
    assert ("aux4" in outputs) == (context is not None)
    assert {value.shape for value in model.full_size(outputs, size).values()} == {(2, 5, *size)}
    assert not {"aux4", "embedding"} & set(model.eval()(torch.randn(1, 3, *size)))


@pytest.mark.parametrize("context", [None, ObjectContext(width=8, keys=6)])
def test_every_parameter_gets_a_gradient_in_training(context: ObjectContext | None) -> None:
    model = small(context=context).train()
    outputs = model(torch.randn(2, 3, 64, 64))
    sum(outputs[name].sum() for name in outputs if name in ("logits", "aux4")).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_images_that_are_too_small_are_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="at least 32 pixels"):
        small()(torch.randn(2, 3, 64, 31))


def test_a_region_is_the_mean_of_the_pixels_weighted_by_a_softmax_over_the_image() -> None:
    pixels, rough = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 4, 5)
    weights = rough[1, 2].exp() / rough[1, 2].exp().sum()
    torch.testing.assert_close(gather_regions(pixels, rough)[1, 2], (pixels[1] * weights).sum((1, 2)))


def test_object_context_is_attention_of_the_pixels_to_the_regions() -> None:
    torch.manual_seed(0)
    layers = lively(ObjectContext(width=8, keys=6).build(7))
    features, rough = torch.randn(1, 7, 3, 4), torch.randn(1, 5, 3, 4)
    pixels = layers.pixels(features)
    regions = gather_regions(pixels, rough).transpose(1, 2)[..., None]
    key, value = layers.key(regions)[0, ..., 0], layers.value(regions)[0, ..., 0]
    query = layers.query(pixels)[0]
    seen = torch.zeros(6, 3, 4)
    for row in range(3):
        for column in range(4):
            attention = (query[:, row, column] @ key / 6**0.5).softmax(0)
            seen[:, row, column] = value @ attention
    expected = layers.join(torch.cat((layers.context(seen[None]), pixels), 1))
    torch.testing.assert_close(layers(features, rough), expected)


def test_object_context_has_the_parameters_of_its_authors_layers() -> None:
    with torch.device("meta"):
        layers = ObjectContext().build(720)
    convs = 720 * 512 * 9 + 2 * (512 * 256 + 256 * 256) + 512 * 256 + 256 * 512 + 1024 * 512
    norms = 2 * (512 + 4 * 256 + 256 + 512 + 512)
    assert parameters(layers) == convs + norms


def test_a_rough_head_that_enlarges_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"context_head\.upsample_at must be after"):
        HRNet(context_head=DenseHead(upsample_at="before_head"))


def test_logits_are_enlarged_without_aligned_corners_so_that_a_loss_can_do_it_by_itself() -> None:
    model, size = small().eval(), (64, 64)
    outputs = model(torch.randn(1, 3, *size))
    assert model.for_loss(outputs, size)["logits"] is outputs["logits"]
    full = F.interpolate(outputs["logits"], size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(model.full_size(outputs, size)["logits"], full)
